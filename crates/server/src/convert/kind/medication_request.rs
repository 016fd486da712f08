//! Medication request.

use api::v1 as proto;
use domain::{Dosage, MedicationRequest};

use crate::convert::values::{
    all, concept_in, concept_out, entry_ref_in, entry_ref_out, list, option, quantity_in,
    quantity_out, text, text_out,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::MedicationRequest,
    at: &At<'_>,
    report: &mut Report,
) -> Option<MedicationRequest> {
    Some(MedicationRequest {
        intent: text(from.intent),
        priority: text(from.priority),
        reason: list(from.reason, &at.field("reason"), report, concept_in),
        reason_reference: list(
            from.reason_reference,
            &at.field("reason_reference"),
            report,
            entry_ref_in,
        ),
        dosage_instruction: list(
            from.dosage_instruction,
            &at.field("dosage_instruction"),
            report,
            dosage_in,
        ),
        dispense_quantity: option(
            from.dispense_quantity,
            &at.field("dispense_quantity"),
            report,
            quantity_in,
        ),
    })
}

pub(super) fn fields_out(from: &MedicationRequest) -> proto::MedicationRequest {
    proto::MedicationRequest {
        intent: text_out(from.intent.as_ref()),
        priority: text_out(from.priority.as_ref()),
        reason: all(&from.reason, concept_out),
        reason_reference: all(&from.reason_reference, entry_ref_out),
        dosage_instruction: all(&from.dosage_instruction, dosage_out),
        dispense_quantity: from.dispense_quantity.as_ref().map(quantity_out),
    }
}

fn dosage_in(from: proto::Dosage, at: &At<'_>, report: &mut Report) -> Option<Dosage> {
    Some(Dosage {
        text: text(from.text),
        timing_text: text(from.timing_text),
        as_needed: from.as_needed,
        route: option(from.route, &at.field("route"), report, concept_in),
        dose: option(from.dose, &at.field("dose"), report, quantity_in),
        patient_instruction: text(from.patient_instruction),
    })
}

fn dosage_out(from: &Dosage) -> proto::Dosage {
    proto::Dosage {
        text: text_out(from.text.as_ref()),
        timing_text: text_out(from.timing_text.as_ref()),
        as_needed: from.as_needed,
        route: from.route.as_ref().map(concept_out),
        dose: from.dose.as_ref().map(quantity_out),
        patient_instruction: text_out(from.patient_instruction.as_ref()),
    }
}
