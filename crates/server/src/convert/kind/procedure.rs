//! Procedure.

use api::v1 as proto;
use domain::Procedure;

use crate::convert::values::{
    actor_in, actor_out, all, concept_in, concept_out, entry_ref_in, entry_ref_out, list, option,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::Procedure,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Procedure> {
    Some(Procedure {
        category: option(from.category, &at.field("category"), report, concept_in),
        body_site: list(from.body_site, &at.field("body_site"), report, concept_in),
        performer: list(from.performer, &at.field("performer"), report, actor_in),
        reason: list(from.reason, &at.field("reason"), report, concept_in),
        reason_reference: list(
            from.reason_reference,
            &at.field("reason_reference"),
            report,
            entry_ref_in,
        ),
        outcome: option(from.outcome, &at.field("outcome"), report, concept_in),
    })
}

pub(super) fn fields_out(from: &Procedure) -> proto::Procedure {
    proto::Procedure {
        category: from.category.as_ref().map(concept_out),
        body_site: all(&from.body_site, concept_out),
        performer: all(&from.performer, actor_out),
        reason: all(&from.reason, concept_out),
        reason_reference: all(&from.reason_reference, entry_ref_out),
        outcome: from.outcome.as_ref().map(concept_out),
    }
}
