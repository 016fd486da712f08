//! Condition.

use api::v1 as proto;
use domain::Condition;

use crate::convert::values::{
    all, concept_in, concept_out, effective_in, effective_out, list, option, text, text_out,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::Condition,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Condition> {
    Some(Condition {
        verification_status: text(from.verification_status),
        category: list(from.category, &at.field("category"), report, concept_in),
        severity: option(from.severity, &at.field("severity"), report, concept_in),
        body_site: list(from.body_site, &at.field("body_site"), report, concept_in),
        abatement: option(from.abatement, &at.field("abatement"), report, effective_in),
    })
}

pub(super) fn fields_out(from: &Condition) -> proto::Condition {
    proto::Condition {
        verification_status: text_out(from.verification_status.as_ref()),
        category: all(&from.category, concept_out),
        severity: from.severity.as_ref().map(concept_out),
        body_site: all(&from.body_site, concept_out),
        abatement: from.abatement.as_ref().map(effective_out),
    }
}
