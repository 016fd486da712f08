//! Immunization.

use api::v1;
use serde::Deserialize;

use super::{Links, actors};
use crate::fields::{Fields, modified};
use crate::json::{Number, Reference};
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Performer {
    actor: Option<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Protocol {
    dose_number_positive_int: Option<Number>,
    dose_number_string: Option<String>,
}

pub(super) fn entry(fields: &mut Fields<'_>, _: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    if fields.take::<bool>("isSubpotent")? == Some(true) {
        return Err(modified("isSubpotent"));
    }
    let performers = fields.list::<Performer>("performer")?.into_iter();
    let mut protocols = fields.list::<Protocol>("protocolApplied")?.into_iter();
    let protocol = protocols.next().unwrap_or_default();
    if protocols.next().is_some() {
        fields.lose("protocolApplied (second and later)");
    }
    let dose = protocol.dose_number_positive_int.map(|number| number.0);
    // an occurrence in words ("as a child") cannot be sorted, but it is said
    let in_words = fields.text("occurrenceString")?;
    if !in_words.is_empty() {
        fields.lose("occurrenceString");
    }
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.concept("vaccineCode")?,
        effective: fields.effective("occurrenceDateTime", "occurrencePeriod")?,
        recorded_date: fields.text("recorded")?,
        detail: Some(v1::entry::Detail::Immunization(v1::Immunization {
            lot_number: fields.text("lotNumber")?,
            expiration_date: fields.text("expirationDate")?,
            site: fields.concept("site")?,
            route: fields.concept("route")?,
            dose_quantity: fields.quantity("doseQuantity")?,
            performer: actors(
                fields,
                "performer.actor",
                performers.map(|performer| performer.actor),
            ),
            primary_source: fields.take("primarySource")?,
            status_reason: fields.concept("statusReason")?,
            protocol_dose: dose.or(protocol.dose_number_string).unwrap_or_default(),
        })),
        ..Default::default()
    })
}
