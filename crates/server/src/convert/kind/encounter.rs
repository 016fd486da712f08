//! Encounter.

use api::v1 as proto;
use domain::Encounter;

use crate::convert::values::{
    actor_in, actor_out, all, coding_in, coding_out, concept_in, concept_out, entry_ref_in,
    entry_ref_out, list, option, quantity_in, quantity_out, required,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::Encounter,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Encounter> {
    let class = required(from.class, &at.field("class"), report, coding_in);
    Some(Encounter {
        priority: option(from.priority, &at.field("priority"), report, concept_in),
        participant: list(from.participant, &at.field("participant"), report, actor_in),
        reason: list(from.reason, &at.field("reason"), report, concept_in),
        reason_reference: list(
            from.reason_reference,
            &at.field("reason_reference"),
            report,
            entry_ref_in,
        ),
        service_provider: option(
            from.service_provider,
            &at.field("service_provider"),
            report,
            actor_in,
        ),
        location: list(from.location, &at.field("location"), report, actor_in),
        discharge_disposition: option(
            from.discharge_disposition,
            &at.field("discharge_disposition"),
            report,
            concept_in,
        ),
        length: option(from.length, &at.field("length"), report, quantity_in),
        class: class?,
    })
}

pub(super) fn fields_out(from: &Encounter) -> proto::Encounter {
    proto::Encounter {
        class: Some(coding_out(&from.class)),
        priority: from.priority.as_ref().map(concept_out),
        participant: all(&from.participant, actor_out),
        reason: all(&from.reason, concept_out),
        reason_reference: all(&from.reason_reference, entry_ref_out),
        service_provider: from.service_provider.as_ref().map(actor_out),
        location: all(&from.location, actor_out),
        discharge_disposition: from.discharge_disposition.as_ref().map(concept_out),
        length: from.length.as_ref().map(quantity_out),
    }
}
