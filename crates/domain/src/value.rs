//! Values that every kind of entry is built from. Names and meanings follow FHIR R4.

mod datetime;
mod decimal;

pub use datetime::{FhirDateTime, InvalidDateTime};
pub use decimal::{Decimal, InvalidDecimal};

/// A code of a code system, as filed (FHIR R4 `Coding`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Coding {
    /// The code system's URI, such as `http://snomed.info/sct`.
    pub system: String,
    /// The code system's version, when the author gave one.
    pub version: Option<String>,
    /// The code itself, as written.
    pub code: String,
    /// The code's text as shown to its author.
    pub display: Option<String>,
}

/// A concept: any number of codes that say the same, and the text as entered (FHIR R4
/// `CodeableConcept`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CodeableConcept {
    /// The same concept in one or more code systems.
    pub coding: Vec<Coding>,
    /// What the author wrote or chose, in plain language.
    pub text: Option<String>,
}

impl CodeableConcept {
    /// Whether nothing at all is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.coding.is_empty() && self.text.is_none()
    }

    /// The words to show: the text as entered, else the first display, else the first code.
    #[must_use]
    pub fn words(&self) -> &str {
        self.text
            .as_deref()
            .or_else(|| self.coding.iter().find_map(|coding| coding.display.as_deref()))
            .or_else(|| self.coding.first().map(|coding| coding.code.as_str()))
            .unwrap_or_default()
    }
}

/// From when until when; either end may be open (FHIR R4 `Period`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Period {
    /// The first moment, inclusive.
    pub start: Option<FhirDateTime>,
    /// The last moment, inclusive to its precision; unset: still going on or not known.
    pub end: Option<FhirDateTime>,
}

/// When what an entry says was true, as its author gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effective {
    /// At a moment, a day, a month or a year.
    At(FhirDateTime),
    /// Over a time.
    During(Period),
}

/// A measured amount (FHIR R4 `Quantity`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quantity {
    /// The number, with the precision as entered: `1.0` and `1.00` differ.
    pub value: Decimal,
    /// `<`, `<=`, `>=` or `>`: the true value is not exactly `value`.
    pub comparator: Option<String>,
    /// The unit as shown to people.
    pub unit: Option<String>,
    /// The unit's code system, normally `http://unitsofmeasure.org` (UCUM).
    pub system: Option<String>,
    /// The unit's code in `system`.
    pub code: Option<String>,
}

/// A person, role, device or place that an entry names.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Actor {
    /// A FHIR reference (`Practitioner/123`), a `system|value` pair, or another stable id; empty if
    /// only the name is known.
    pub reference: String,
    /// The name as shown. Required if there is no reference.
    pub display: Option<String>,
}

/// Where an imported item comes from: its id in the system that it was imported from.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct SourceId {
    /// The source system's URI.
    pub system: String,
    /// The item's id there.
    pub value: String,
}

/// A number or string that an issuer has given a patient (FHIR R4 `Identifier`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Identifier {
    /// The issuer's namespace URI (FHIR `system`).
    pub system: String,
    /// The value, unique within the issuer's namespace.
    pub value: String,
    /// `usual`, `official`, `temp`, `secondary` or `old`.
    pub r#use: Option<String>,
    /// What sort of identifier (FHIR `type`), such as v2-0203 `MR`.
    pub kind: Option<CodeableConcept>,
    /// When it was in use.
    pub period: Option<Period>,
}

/// A name of a person (FHIR R4 `HumanName`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct HumanName {
    /// `usual`, `official`, `temp`, `nickname`, `anonymous`, `old` or `maiden`.
    pub r#use: Option<String>,
    /// The whole name as it should be shown.
    pub text: Option<String>,
    /// Family name.
    pub family: Option<String>,
    /// Given names, in order, middle names included.
    pub given: Vec<String>,
    /// Parts that come before the name.
    pub prefix: Vec<String>,
    /// Parts that come after the name.
    pub suffix: Vec<String>,
    /// When it was in use.
    pub period: Option<Period>,
}

/// A postal address (FHIR R4 `Address`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Address {
    /// `home`, `work`, `temp`, `old` or `billing`.
    pub r#use: Option<String>,
    /// Street, number, floor, in the order they are written.
    pub line: Vec<String>,
    /// City or town.
    pub city: Option<String>,
    /// District or county.
    pub district: Option<String>,
    /// State or province.
    pub state: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Country, ISO 3166 or as written.
    pub country: Option<String>,
    /// The whole address as it should be shown.
    pub text: Option<String>,
    /// When it was in use.
    pub period: Option<Period>,
}

/// A telephone number, e-mail address or the like (FHIR R4 `ContactPoint`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ContactPoint {
    /// `phone`, `fax`, `email`, `pager`, `url`, `sms` or `other`.
    pub system: Option<String>,
    /// The number or address.
    pub value: String,
    /// `home`, `work`, `temp`, `old` or `mobile`.
    pub r#use: Option<String>,
    /// Order of preference, 1 first.
    pub rank: Option<u32>,
    /// When it was in use.
    pub period: Option<Period>,
}
