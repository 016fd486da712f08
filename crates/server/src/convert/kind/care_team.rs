//! Care team.

use api::v1 as proto;
use domain::{CareTeam, CareTeamParticipant};

use crate::convert::values::{
    actor_in, actor_out, all, concept_in, concept_out, entry_ref_in, entry_ref_out, list, option,
    period_in, period_out, required, text, text_out,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::CareTeam,
    at: &At<'_>,
    report: &mut Report,
) -> Option<CareTeam> {
    Some(CareTeam {
        name: text(from.name),
        participant: list(from.participant, &at.field("participant"), report, participant_in),
        reason: list(from.reason, &at.field("reason"), report, concept_in),
        reason_reference: list(
            from.reason_reference,
            &at.field("reason_reference"),
            report,
            entry_ref_in,
        ),
        managing_organization: list(
            from.managing_organization,
            &at.field("managing_organization"),
            report,
            actor_in,
        ),
    })
}

fn participant_in(
    from: proto::CareTeamParticipant,
    at: &At<'_>,
    report: &mut Report,
) -> Option<CareTeamParticipant> {
    let member = required(from.member, &at.field("member"), report, actor_in);
    let role = option(from.role, &at.field("role"), report, concept_in);
    let period = option(from.period, &at.field("period"), report, period_in);
    Some(CareTeamParticipant { member: member?, role, period })
}

pub(super) fn fields_out(from: &CareTeam) -> proto::CareTeam {
    proto::CareTeam {
        name: text_out(from.name.as_ref()),
        participant: all(&from.participant, |one| proto::CareTeamParticipant {
            member: Some(actor_out(&one.member)),
            role: one.role.as_ref().map(concept_out),
            period: one.period.as_ref().map(period_out),
        }),
        reason: all(&from.reason, concept_out),
        reason_reference: all(&from.reason_reference, entry_ref_out),
        managing_organization: all(&from.managing_organization, actor_out),
    }
}
