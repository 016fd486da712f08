//! A visit or stay (FHIR R4 `Encounter`).

use crate::id::EntryId;
use crate::value::{Actor, CodeableConcept, Coding, Quantity};

/// The fields that only an encounter has. `Entry.code` is its type, `Entry.effective` its period.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Encounter {
    /// Ambulatory, emergency, inpatient, … (v3 ActCode); must be given.
    pub class: Coding,
    /// How urgent.
    pub priority: Option<CodeableConcept>,
    /// Who took part.
    pub participant: Vec<Actor>,
    /// Why the patient came.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`).
    pub reason_reference: Vec<EntryId>,
    /// Which organisation is responsible.
    pub service_provider: Option<Actor>,
    /// Where the patient was, in order.
    pub location: Vec<Actor>,
    /// Where the patient went afterwards.
    pub discharge_disposition: Option<CodeableConcept>,
    /// How long it lasted, less leave.
    pub length: Option<Quantity>,
}
