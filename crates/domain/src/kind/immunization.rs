//! A vaccination, given or not (FHIR R4 `Immunization`).

use crate::value::{Actor, CodeableConcept, FhirDateTime, Quantity};

/// The fields that only an immunization has. `Entry.code` is the vaccine, `Entry.effective` the
/// occurrence.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Immunization {
    /// Lot of the vaccine.
    pub lot_number: Option<String>,
    /// Until when the vaccine could be used.
    pub expiration_date: Option<FhirDateTime>,
    /// Where in the body.
    pub site: Option<CodeableConcept>,
    /// By which route.
    pub route: Option<CodeableConcept>,
    /// How much.
    pub dose_quantity: Option<Quantity>,
    /// Who gave it.
    pub performer: Vec<Actor>,
    /// Recorded by who gave it (true), or reported by somebody else (false).
    pub primary_source: Option<bool>,
    /// Why it was not given.
    pub status_reason: Option<CodeableConcept>,
    /// Which dose of the series (FHIR `protocolApplied.doseNumber[x]`).
    pub protocol_dose: Option<String>,
}
