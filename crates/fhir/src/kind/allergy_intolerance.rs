//! AllergyIntolerance.

use api::v1;
use serde::Deserialize;

use super::Links;
use crate::fields::Fields;
use crate::json::CodeableConcept;
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reaction {
    substance: Option<CodeableConcept>,
    manifestation: Vec<CodeableConcept>,
    severity: Option<String>,
    onset: Option<String>,
    description: Option<String>,
}

impl From<Reaction> for v1::Reaction {
    fn from(from: Reaction) -> Self {
        Self {
            substance: from.substance.map(Into::into),
            manifestation: from.manifestation.into_iter().map(Into::into).collect(),
            severity: from.severity.unwrap_or_default(),
            onset: from.onset.unwrap_or_default(),
            description: from.description.unwrap_or_default(),
        }
    }
}

pub(super) fn entry(fields: &mut Fields<'_>, _: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    Ok(v1::Entry {
        status: fields.status_concept("clinicalStatus")?,
        code: fields.concept("code")?,
        effective: fields.effective("onsetDateTime", "onsetPeriod")?,
        recorded_date: fields.text("recordedDate")?,
        detail: Some(v1::entry::Detail::AllergyIntolerance(v1::AllergyIntolerance {
            verification_status: fields.status_concept("verificationStatus")?,
            r#type: fields.text("type")?,
            category: fields.list("category")?,
            criticality: fields.text("criticality")?,
            last_occurrence: fields.text("lastOccurrence")?,
            reaction: fields.list::<Reaction>("reaction")?.into_iter().map(Into::into).collect(),
        })),
        ..Default::default()
    })
}
