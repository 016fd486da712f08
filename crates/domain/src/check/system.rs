//! The code systems that have a check, by the URIs in use.

/// SNOMED CT.
pub const SNOMED: &str = "http://snomed.info/sct";
/// LOINC.
pub const LOINC: &str = "http://loinc.org";
/// ICD-10-CM, the clinical modification of the United States.
pub const ICD10CM: &str = "http://hl7.org/fhir/sid/icd-10-cm";
/// UCUM.
pub const UCUM: &str = "http://unitsofmeasure.org";
/// National Provider Identifier of the United States.
pub const NPI: &str = "http://hl7.org/fhir/sid/us-npi";

/// A code system with a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// SNOMED CT.
    Snomed,
    /// LOINC.
    Loinc,
    /// ICD-10-CM.
    Icd10Cm,
    /// UCUM.
    Ucum,
    /// National Provider Identifier.
    Npi,
}

impl System {
    /// The system with that URI, written as FHIR does, or as the OID that older sources use
    /// (HL7 OID registry).
    #[must_use]
    pub fn of(uri: &str) -> Option<Self> {
        match uri {
            SNOMED | "urn:oid:2.16.840.1.113883.6.96" => Some(Self::Snomed),
            LOINC | "urn:oid:2.16.840.1.113883.6.1" => Some(Self::Loinc),
            ICD10CM | "urn:oid:2.16.840.1.113883.6.90" => Some(Self::Icd10Cm),
            UCUM | "urn:oid:2.16.840.1.113883.6.8" => Some(Self::Ucum),
            NPI | "urn:oid:2.16.840.1.113883.4.6" => Some(Self::Npi),
            _ => None,
        }
    }
}
