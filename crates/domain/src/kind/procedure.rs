//! Something done to or for the patient (FHIR R4 `Procedure`).

use crate::id::EntryId;
use crate::value::{Actor, CodeableConcept};

/// The fields that only a procedure has. `Entry.effective` is when it was performed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Procedure {
    /// Surgical, diagnostic, counselling, ….
    pub category: Option<CodeableConcept>,
    /// Where in the body.
    pub body_site: Vec<CodeableConcept>,
    /// Who did it.
    pub performer: Vec<Actor>,
    /// Why it was done.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`).
    pub reason_reference: Vec<EntryId>,
    /// How it ended.
    pub outcome: Option<CodeableConcept>,
}
