//! A measurement or simple statement (FHIR R4 `Observation`).

use crate::value::{CodeableConcept, FhirDateTime, Period, Quantity};

/// The fields that only an observation has. `Entry.effective` is when it was true.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Observation {
    /// Vital signs, laboratory, survey, ….
    pub category: Vec<CodeableConcept>,
    /// The result.
    pub value: Option<ObservationValue>,
    /// Why there is no result; only without `value`.
    pub data_absent_reason: Option<CodeableConcept>,
    /// High, low, normal, ….
    pub interpretation: Vec<CodeableConcept>,
    /// Where in the body.
    pub body_site: Option<CodeableConcept>,
    /// How it was measured.
    pub method: Option<CodeableConcept>,
    /// What is usual.
    pub reference_range: Vec<ReferenceRange>,
    /// Parts of the result, such as systolic and diastolic pressure.
    pub component: Vec<Component>,
    /// When this version of the result was made available.
    pub issued: Option<FhirDateTime>,
}

/// A result (FHIR R4 `Observation.value[x]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservationValue {
    /// A measured amount.
    Quantity(Quantity),
    /// A coded answer.
    CodeableConcept(CodeableConcept),
    /// An answer in words.
    String(String),
    /// Yes or no.
    Boolean(bool),
    /// A count or score.
    Integer(i32),
    /// A moment or day.
    DateTime(FhirDateTime),
    /// A time from, until.
    Period(Period),
}

/// What is usual; one of the three must be given.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReferenceRange {
    /// From, inclusive.
    pub low: Option<Quantity>,
    /// To, inclusive.
    pub high: Option<Quantity>,
    /// In words.
    pub text: Option<String>,
}

/// A part of the result.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Component {
    /// What was measured.
    pub code: CodeableConcept,
    /// The result.
    pub value: Option<ObservationValue>,
    /// Why there is no result; only without `value`.
    pub data_absent_reason: Option<CodeableConcept>,
}
