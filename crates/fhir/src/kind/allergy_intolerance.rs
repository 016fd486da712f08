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

fn reaction(fields: &mut Fields<'_>, from: Reaction) -> v1::Reaction {
    let manifestation = from.manifestation.into_iter();
    v1::Reaction {
        substance: from.substance.and_then(|it| fields.whole("reaction.substance", it)),
        manifestation: manifestation
            .filter_map(|it| fields.whole("reaction.manifestation", it))
            .collect(),
        severity: from.severity.unwrap_or_default(),
        onset: from.onset.unwrap_or_default(),
        description: from.description.unwrap_or_default(),
    }
}

pub(super) fn entry(fields: &mut Fields<'_>, _: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    let reactions = fields.list::<Reaction>("reaction")?.into_iter();
    let reaction = reactions.map(|from| reaction(fields, from)).collect();
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
            reaction,
        })),
        ..Default::default()
    })
}
