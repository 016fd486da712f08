//! Service request.

use api::v1 as proto;
use domain::ServiceRequest;

use crate::convert::values::{
    actor_in, actor_out, all, concept_in, concept_out, entry_ref_in, entry_ref_out, list, option,
    text, text_out,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::ServiceRequest,
    at: &At<'_>,
    report: &mut Report,
) -> Option<ServiceRequest> {
    Some(ServiceRequest {
        intent: text(from.intent),
        category: list(from.category, &at.field("category"), report, concept_in),
        priority: text(from.priority),
        performer_type: option(
            from.performer_type,
            &at.field("performer_type"),
            report,
            concept_in,
        ),
        performer: list(from.performer, &at.field("performer"), report, actor_in),
        body_site: list(from.body_site, &at.field("body_site"), report, concept_in),
        location: list(from.location, &at.field("location"), report, actor_in),
        reason: list(from.reason, &at.field("reason"), report, concept_in),
        reason_reference: list(
            from.reason_reference,
            &at.field("reason_reference"),
            report,
            entry_ref_in,
        ),
    })
}

pub(super) fn fields_out(from: &ServiceRequest) -> proto::ServiceRequest {
    proto::ServiceRequest {
        intent: text_out(from.intent.as_ref()),
        category: all(&from.category, concept_out),
        priority: text_out(from.priority.as_ref()),
        performer_type: from.performer_type.as_ref().map(concept_out),
        performer: all(&from.performer, actor_out),
        body_site: all(&from.body_site, concept_out),
        location: all(&from.location, actor_out),
        reason: all(&from.reason, concept_out),
        reason_reference: all(&from.reason_reference, entry_ref_out),
    }
}
