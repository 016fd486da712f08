//! An order or prescription of a medication (FHIR R4 `MedicationRequest`).

use crate::id::EntryId;
use crate::value::{CodeableConcept, Quantity};

/// The fields that only an order of a medication has. `Entry.code` is the medication,
/// `Entry.effective` when it was authored, `Entry.asserter` the requester.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MedicationRequest {
    /// `proposal`, `plan`, `order`, `original-order`, `reflex-order`, `filler-order`,
    /// `instance-order` or `option`; must be given.
    pub intent: Option<String>,
    /// `routine`, `urgent`, `asap` or `stat`.
    pub priority: Option<String>,
    /// Why it was ordered.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`).
    pub reason_reference: Vec<EntryId>,
    /// How to take it.
    pub dosage_instruction: Vec<Dosage>,
    /// How much to hand out.
    pub dispense_quantity: Option<Quantity>,
}

/// How to take a medication (FHIR R4 `Dosage`, timing as text).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Dosage {
    /// The whole instruction in words.
    pub text: Option<String>,
    /// When and how often, in words.
    pub timing_text: Option<String>,
    /// Only when needed.
    pub as_needed: Option<bool>,
    /// By which route.
    pub route: Option<CodeableConcept>,
    /// How much at a time.
    pub dose: Option<Quantity>,
    /// What the patient is told.
    pub patient_instruction: Option<String>,
}
