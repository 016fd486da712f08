//! A problem, diagnosis or finding (FHIR R4 `Condition`).

use crate::value::{CodeableConcept, Effective};

/// The fields that only a condition has. `Entry.status` is `clinicalStatus`, `Entry.effective` the
/// onset.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Condition {
    /// `unconfirmed`, `provisional`, `differential`, `confirmed` or `refuted`.
    pub verification_status: Option<String>,
    /// Problem list item, encounter diagnosis, ….
    pub category: Vec<CodeableConcept>,
    /// How severe.
    pub severity: Option<CodeableConcept>,
    /// Where in the body.
    pub body_site: Vec<CodeableConcept>,
    /// When it ended; then the status is `inactive`, `remission` or `resolved`.
    pub abatement: Option<Effective>,
}
