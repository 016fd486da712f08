//! An order of a medication.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{Concept, Id, Quantity};

mirror_struct! {
    MedicationRequest<'a> = domain::MedicationRequest {
        intent: Option<Text<'a>>,
        priority: Option<Text<'a>>,
        reason: Vec<Concept<'a>>,
        reason_reference: Vec<Id>,
        dosage_instruction: Vec<Dosage<'a>>,
        dispense_quantity: Option<Quantity<'a>>,
    }
}

mirror_struct! {
    Dosage<'a> = domain::Dosage {
        text: Option<Text<'a>>,
        timing_text: Option<Text<'a>>,
        as_needed: Option<bool>,
        route: Option<Concept<'a>>,
        dose: Option<Quantity<'a>>,
        patient_instruction: Option<Text<'a>>,
    }
}
