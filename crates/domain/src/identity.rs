//! Who a patient file is about.

use crate::value::{
    Address, CodeableConcept, Coding, ContactPoint, FhirDateTime, HumanName, Identifier, SourceId,
};

/// Whether and when the patient died (FHIR R4 `Patient.deceased[x]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deceased {
    /// Died at that time.
    At(FhirDateTime),
    /// Died, the time is not known.
    Yes,
    /// Known to be alive.
    No,
}

/// Who a patient file is about. Field names are also the paths of the field mask.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identity {
    /// Numbers that hospitals, insurers and registries have given; the issuer comes with each.
    pub identifiers: Vec<Identifier>,
    /// All names, with use and period.
    pub names: Vec<HumanName>,
    /// What the patient wants to be called.
    pub preferred_name: Option<String>,
    /// Date of birth, to the precision known.
    pub birth_date: Option<FhirDateTime>,
    /// Whether and when the patient died; unset: not known.
    pub deceased: Option<Deceased>,
    /// Administrative gender: `male`, `female`, `other` or `unknown` (FHIR R4).
    pub sex: Option<String>,
    /// Sex assigned at birth: `F`, `M`, `UNK`, `OTH` or `ASKU` (US Core birth sex).
    pub sex_at_birth: Option<String>,
    /// Gender identity as stated.
    pub gender_identity: Option<CodeableConcept>,
    /// Preferred language, system `urn:ietf:bcp:47`.
    pub language: Option<Coding>,
    /// Whether an interpreter must be called.
    pub interpreter_needed: Option<bool>,
    /// Addresses, with use and period.
    pub addresses: Vec<Address>,
    /// Telephone numbers, e-mail addresses.
    pub telecoms: Vec<ContactPoint>,
    /// Nobody knows yet who this is: no name is needed.
    pub unidentified: bool,
    /// A label to call an unidentified or protected patient by, such as `Unknown Male 7`.
    pub alias: Option<String>,
    /// Where it was imported from.
    pub source: Option<SourceId>,
}

impl Identity {
    /// Every field that a mask may name.
    pub const FIELDS: &'static [&'static str] = &[
        "identifiers",
        "names",
        "preferred_name",
        "birth_date",
        "deceased",
        "sex",
        "sex_at_birth",
        "gender_identity",
        "language",
        "interpreter_needed",
        "addresses",
        "telecoms",
        "unidentified",
        "alias",
        "source",
    ];

    /// What the checks say: violations refuse it, remarks do not.
    #[must_use]
    pub fn validate(&self) -> Vec<crate::finding::Finding> {
        Vec::new()
    }
}
