//! FHIR R4 data types as JSON, and their counterparts in the interface.
//!
//! Parts that are not listed here are noticed by [`crate::fields::Fields::take`], not by serde.

mod dosage;

pub(crate) use dosage::Dosage;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use api::v1;

use crate::refusal::Refusal;

/// A number as it was written: `1.0` stays `1.0`, `1e2` stays `1e2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Number(pub(crate) String);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // whatever else JSON has begins with another character
        if raw.get().starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            Ok(Self(raw.get().to_owned()))
        } else {
            Err(serde::de::Error::custom("not a number"))
        }
    }
}

/// A list of texts; `null` only keeps the place of one that has extensions, which are noted.
fn without_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let list = Vec::<Option<String>>::deserialize(deserializer)?;
    Ok(list.into_iter().flatten().collect())
}

/// Something that is left out knowingly, so that it is not noted as lost. (serde's `IgnoredAny` is
/// what `serde_ignored` takes note of.)
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Known;

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|_| Self)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Coding {
    pub(crate) system: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) display: Option<String>,
}

impl From<Coding> for v1::Coding {
    fn from(from: Coding) -> Self {
        Self {
            system: from.system.unwrap_or_default(),
            version: from.version.unwrap_or_default(),
            code: from.code.unwrap_or_default(),
            display: from.display.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct CodeableConcept {
    pub(crate) coding: Vec<Coding>,
    pub(crate) text: Option<String>,
}

impl From<CodeableConcept> for v1::CodeableConcept {
    fn from(from: CodeableConcept) -> Self {
        Self {
            coding: from.coding.into_iter().map(Into::into).collect(),
            text: from.text.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Period {
    pub(crate) start: Option<String>,
    pub(crate) end: Option<String>,
}

impl From<Period> for v1::Period {
    fn from(from: Period) -> Self {
        Self { start: from.start.unwrap_or_default(), end: from.end.unwrap_or_default() }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Quantity {
    pub(crate) value: Option<Number>,
    pub(crate) comparator: Option<String>,
    pub(crate) unit: Option<String>,
    pub(crate) system: Option<String>,
    pub(crate) code: Option<String>,
}

impl From<Quantity> for v1::Quantity {
    fn from(from: Quantity) -> Self {
        Self {
            value: from.value.map(|number| number.0).unwrap_or_default(),
            comparator: from.comparator.unwrap_or_default(),
            unit: from.unit.unwrap_or_default(),
            system: from.system.unwrap_or_default(),
            code: from.code.unwrap_or_default(),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LogicalReference {
    pub(crate) system: Option<String>,
    pub(crate) value: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Reference {
    pub(crate) reference: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<String>,
    pub(crate) identifier: Option<LogicalReference>,
    pub(crate) display: Option<String>,
}

impl Reference {
    /// As an actor; none if it names nobody.
    pub(crate) fn actor(self) -> Option<v1::Actor> {
        let logical = self.identifier.and_then(|identifier| {
            Some(format!("{}|{}", identifier.system.unwrap_or_default(), identifier.value?))
        });
        let reference = self.reference.or(logical).unwrap_or_default();
        let display = self.display.unwrap_or_default();
        (!reference.is_empty() || !display.is_empty()).then_some(v1::Actor { reference, display })
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Identifier {
    #[serde(rename = "use")]
    pub(crate) usage: Option<String>,
    #[serde(rename = "type")]
    pub(crate) kind: Option<CodeableConcept>,
    pub(crate) system: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) period: Option<Period>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct HumanName {
    #[serde(rename = "use")]
    pub(crate) usage: Option<String>,
    pub(crate) text: Option<String>,
    pub(crate) family: Option<String>,
    #[serde(deserialize_with = "without_null")]
    pub(crate) given: Vec<String>,
    #[serde(deserialize_with = "without_null")]
    pub(crate) prefix: Vec<String>,
    #[serde(deserialize_with = "without_null")]
    pub(crate) suffix: Vec<String>,
    pub(crate) period: Option<Period>,
    pub(crate) extension: Vec<Extension>,
}

impl From<HumanName> for v1::HumanName {
    fn from(from: HumanName) -> Self {
        Self {
            r#use: from.usage.unwrap_or_default(),
            text: from.text.unwrap_or_default(),
            family: from.family.unwrap_or_default(),
            given: from.given,
            prefix: from.prefix,
            suffix: from.suffix,
            period: from.period.map(Into::into),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Address {
    #[serde(rename = "use")]
    pub(crate) usage: Option<String>,
    pub(crate) text: Option<String>,
    #[serde(deserialize_with = "without_null")]
    pub(crate) line: Vec<String>,
    pub(crate) city: Option<String>,
    pub(crate) district: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) postal_code: Option<String>,
    pub(crate) country: Option<String>,
    pub(crate) period: Option<Period>,
}

impl From<Address> for v1::Address {
    fn from(from: Address) -> Self {
        Self {
            r#use: from.usage.unwrap_or_default(),
            text: from.text.unwrap_or_default(),
            line: from.line,
            city: from.city.unwrap_or_default(),
            district: from.district.unwrap_or_default(),
            state: from.state.unwrap_or_default(),
            postal_code: from.postal_code.unwrap_or_default(),
            country: from.country.unwrap_or_default(),
            period: from.period.map(Into::into),
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ContactPoint {
    pub(crate) system: Option<String>,
    pub(crate) value: Option<String>,
    #[serde(rename = "use")]
    pub(crate) usage: Option<String>,
    pub(crate) rank: Option<u32>,
    pub(crate) period: Option<Period>,
}

impl From<ContactPoint> for v1::ContactPoint {
    fn from(from: ContactPoint) -> Self {
        Self {
            system: from.system.unwrap_or_default(),
            value: from.value.unwrap_or_default(),
            r#use: from.usage.unwrap_or_default(),
            rank: from.rank,
            period: from.period.map(Into::into),
        }
    }
}

/// The extensions that have a place of their own; others are named by their URL.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Extension {
    pub(crate) url: String,
    pub(crate) value_boolean: Option<bool>,
    pub(crate) value_code: Option<String>,
    pub(crate) value_codeable_concept: Option<CodeableConcept>,
    pub(crate) extension: Vec<Extension>,
}

/// A remark (FHIR R4 Annotation); its author and time have no place in an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Annotation {
    pub(crate) text: String,
}

/// Whether a tag says that elements are left out (FHIR R4, `_summary` and `_elements`).
fn is_subsetted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let tags: Vec<Coding> = serde_json::from_str(raw.get()).map_err(serde::de::Error::custom)?;
    Ok(tags.iter().any(|tag| tag.code.as_deref() == Some("SUBSETTED")))
}

/// What of the metadata is about the content: labels, and whether it is all there.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Meta {
    security: Vec<Coding>,
    #[serde(rename = "tag", deserialize_with = "is_subsetted")]
    subsetted: bool,
    // technical, so not noted as lost
    #[serde(rename = "lastUpdated")]
    _last_updated: Known,
    #[serde(rename = "versionId")]
    _version_id: Known,
    #[serde(rename = "profile")]
    _profile: Known,
    #[serde(rename = "source")]
    _source: Known,
}

impl Meta {
    /// The labels of a resource that is whole. One that is not would take off file what it leaves out.
    pub(crate) fn labels(self) -> Result<Vec<v1::Coding>, Refusal> {
        if self.subsetted {
            return Err(Refusal::new(
                "SUBSETTED",
                "meta.tag",
                "the resource lacks elements that its source left out of this export: export it whole, \
                 without `_summary` and `_elements`",
            ));
        }
        Ok(self.security.into_iter().map(Into::into).collect())
    }
}
