//! An allergy or intolerance (FHIR R4 `AllergyIntolerance`).

use crate::value::{CodeableConcept, FhirDateTime};

/// The fields that only an allergy or intolerance has. `Entry.status` is `clinicalStatus`,
/// `Entry.code` the substance or the statement that none is known.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AllergyIntolerance {
    /// `unconfirmed`, `confirmed` or `refuted`.
    pub verification_status: Option<String>,
    /// `allergy` or `intolerance`.
    pub r#type: Option<String>,
    /// `food`, `medication`, `environment`, `biologic`.
    pub category: Vec<String>,
    /// `low`, `high` or `unable-to-assess`.
    pub criticality: Option<String>,
    /// The last reaction known.
    pub last_occurrence: Option<FhirDateTime>,
    /// Reactions that were seen.
    pub reaction: Vec<Reaction>,
}

/// One reaction that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reaction {
    /// To what exactly, if narrower than the entry's code.
    pub substance: Option<CodeableConcept>,
    /// Signs and symptoms; at least one.
    pub manifestation: Vec<CodeableConcept>,
    /// `mild`, `moderate` or `severe`.
    pub severity: Option<String>,
    /// When it began.
    pub onset: Option<FhirDateTime>,
    /// The reaction in words.
    pub description: Option<String>,
}
