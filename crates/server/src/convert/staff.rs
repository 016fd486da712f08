//! People of the staff directory.

use api::v1 as proto;
use domain::{DocumentState, Duty, PractitionerRole};

use super::values::{all, list, option, period_in, period_out, required, text, text_out, time_out};
use super::{At, Report};

/// What is known of a person.
pub fn practitioner_role_in(
    from: proto::PractitionerRole,
    at: &At<'_>,
    report: &mut Report,
) -> Option<PractitionerRole> {
    for (name, given) in [("person", &from.person), ("name", &from.name)] {
        if given.is_empty() {
            report.missing(&at.field(name));
        }
    }
    Some(PractitionerRole {
        person: from.person,
        name: from.name,
        references: from.references,
        roles: from.roles,
        units: from.units,
        organization: text(from.organization),
        period: option(from.period, &at.field("period"), report, period_in),
        patient: None,
        duties: list(from.duties, &at.field("duties"), report, duty_in),
    })
}

fn duty_in(from: proto::Duty, at: &At<'_>, report: &mut Report) -> Option<Duty> {
    let period = required(from.period, &at.field("period"), report, period_in);
    Some(Duty { unit: from.unit, period: period? })
}

/// A person as they stand in the directory, without which patient they are.
#[must_use]
pub fn practitioner_role_out(
    from: &PractitionerRole,
    state: &DocumentState,
) -> proto::PractitionerRoleState {
    let role = proto::PractitionerRole {
        person: from.person.clone(),
        name: from.name.clone(),
        references: from.references.clone(),
        roles: from.roles.clone(),
        units: from.units.clone(),
        organization: text_out(from.organization.as_ref()),
        period: from.period.as_ref().map(period_out),
        duties: all(&from.duties, |duty| proto::Duty {
            unit: duty.unit.clone(),
            period: Some(period_out(&duty.period)),
        }),
    };
    proto::PractitionerRoleState {
        practitioner_role: Some(role),
        revision: state.revision,
        changed_at: Some(time_out(state.changed.stamp.recorded_at)),
        changed_by: state.changed.author.clone(),
        reason: state.changed.reason.clone(),
    }
}
