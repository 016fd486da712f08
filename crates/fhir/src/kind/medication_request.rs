//! MedicationRequest.

use api::v1;
use serde::Deserialize;

use super::Links;
use crate::fields::Fields;
use crate::json::{CodeableConcept, Dosage, Quantity, Reference};
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DispenseRequest {
    quantity: Option<Quantity>,
}

/// A resource within the resource; only a Medication is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Contained {
    id: String,
    code: Option<CodeableConcept>,
}

pub(super) fn entry(fields: &mut Fields<'_>, links: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    if fields.take::<bool>("doNotPerform")? == Some(true) {
        return Err(Refusal::new(
            "DO_NOT_PERFORM",
            "doNotPerform",
            "an order not to give a medication has no counterpart; file it as a note",
        ));
    }
    let code = medication(fields)?;
    let dosage = fields.list::<Dosage>("dosageInstruction")?;
    if dosage.iter().any(Dosage::has_further_doses) {
        fields.lose("dosageInstruction.doseAndRate (second and later)");
    }
    let authored = fields.take::<String>("authoredOn")?;
    let mut reason = fields.concepts("reasonCode")?;
    links.reasons(fields, &mut reason)?;
    let several = dosage.len() > 1;
    let dosage = dosage.into_iter().map(|one| one.carried(fields, several)).collect();
    let dispense = fields.take::<DispenseRequest>("dispenseRequest")?;
    let dispensed = dispense.and_then(|dispense| dispense.quantity);
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: Some(code),
        effective: authored.map(|at| v1::Effective { value: Some(v1::effective::Value::At(at)) }),
        asserter: fields.take_actor("requester")?,
        detail: Some(v1::entry::Detail::MedicationRequest(v1::MedicationRequest {
            intent: fields.text("intent")?,
            priority: fields.text("priority")?,
            reason,
            dosage_instruction: dosage,
            dispense_quantity: dispensed
                .and_then(|it| fields.amount("dispenseRequest.quantity", it)),
            reason_reference: Vec::new(),
        })),
        ..Default::default()
    })
}

/// The medication: coded, or contained, or at least named.
fn medication(fields: &mut Fields<'_>) -> Result<v1::CodeableConcept, Refusal> {
    if let Some(code) = fields.concept("medicationCodeableConcept")? {
        return Ok(code);
    }
    let reference = fields.take::<Reference>("medicationReference")?.unwrap_or_default();
    let target = reference.reference.as_deref().unwrap_or_default();
    if let Some(id) = target.strip_prefix('#') {
        let contained = fields.list::<Contained>("contained")?;
        let found = contained.into_iter().find(|resource| resource.id == id);
        let code = found.and_then(|medication| medication.code);
        if let Some(code) = code.and_then(|code| fields.whole("contained.code", code)) {
            return Ok(code);
        }
    }
    match reference.display {
        Some(text) => {
            let (named, numbered) = (reference.reference, reference.identifier);
            for (name, there) in
                [("reference", named.is_some()), ("identifier", numbered.is_some())]
            {
                if there {
                    fields.lose(&format!("medicationReference.{name}"));
                }
            }
            Ok(v1::CodeableConcept { text, coding: Vec::new() })
        }
        None => Err(Refusal::new(
            "MEDICATION_NOT_NAMED",
            "medication[x]",
            "the medication is neither coded nor contained nor named by a display",
        )),
    }
}
