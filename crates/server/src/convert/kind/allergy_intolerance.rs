//! Allergy intolerance.

use api::v1 as proto;
use domain::{AllergyIntolerance, Reaction};

use crate::convert::values::{
    all, concept_in, concept_out, date_in, date_out, list, option, text, text_out,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::AllergyIntolerance,
    at: &At<'_>,
    report: &mut Report,
) -> Option<AllergyIntolerance> {
    Some(AllergyIntolerance {
        verification_status: text(from.verification_status),
        r#type: text(from.r#type),
        category: from.category,
        criticality: text(from.criticality),
        last_occurrence: date_in(&from.last_occurrence, &at.field("last_occurrence"), report),
        reaction: list(from.reaction, &at.field("reaction"), report, reaction_in),
    })
}

pub(super) fn fields_out(from: &AllergyIntolerance) -> proto::AllergyIntolerance {
    proto::AllergyIntolerance {
        verification_status: text_out(from.verification_status.as_ref()),
        r#type: text_out(from.r#type.as_ref()),
        category: from.category.clone(),
        criticality: text_out(from.criticality.as_ref()),
        last_occurrence: date_out(from.last_occurrence.as_ref()),
        reaction: all(&from.reaction, reaction_out),
    }
}

fn reaction_in(from: proto::Reaction, at: &At<'_>, report: &mut Report) -> Option<Reaction> {
    Some(Reaction {
        substance: option(from.substance, &at.field("substance"), report, concept_in),
        manifestation: list(from.manifestation, &at.field("manifestation"), report, concept_in),
        severity: text(from.severity),
        onset: date_in(&from.onset, &at.field("onset"), report),
        description: text(from.description),
    })
}

fn reaction_out(from: &Reaction) -> proto::Reaction {
    proto::Reaction {
        substance: from.substance.as_ref().map(concept_out),
        manifestation: all(&from.manifestation, concept_out),
        severity: text_out(from.severity.as_ref()),
        onset: date_out(from.onset.as_ref()),
        description: text_out(from.description.as_ref()),
    }
}
