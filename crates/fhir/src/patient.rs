//! Patient → Identity.

use api::v1;

use crate::fields::Fields;
use crate::json::{
    Address, CodeableConcept, Coding, ContactPoint, Extension, HumanName, Identifier, Known, Meta,
};
use crate::refusal::Refusal;
use serde::Deserialize;

const DATA_ABSENT: &str = "http://hl7.org/fhir/StructureDefinition/data-absent-reason";
const INTERPRETER: &str = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired";
const BIRTH_SEX: &str = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex";
/// R4 has had three homes for it; all carry the same value.
const GENDER_IDENTITY: [&str; 3] = [
    "http://hl7.org/fhir/StructureDefinition/patient-genderIdentity",
    "http://hl7.org/fhir/StructureDefinition/individual-genderIdentity",
    "http://hl7.org/fhir/us/core/StructureDefinition/us-core-genderIdentity",
];
const IDENTIFIER_TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";

/// A language of the patient.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Communication {
    language: CodeableConcept,
    preferred: bool,
}

/// Takes the identifiers that have both issuer and value.
pub(crate) fn identifiers(fields: &mut Fields<'_>) -> Result<Vec<v1::Identifier>, Refusal> {
    let mut kept = Vec::new();
    for identifier in fields.list::<Identifier>("identifier")? {
        match (identifier.system, identifier.value) {
            (Some(issuer), Some(value)) if !issuer.is_empty() && !value.is_empty() => {
                kept.push(v1::Identifier {
                    issuer,
                    value,
                    r#use: identifier.usage.unwrap_or_default(),
                    kind: identifier.kind.map(Into::into),
                    period: identifier.period.map(Into::into),
                });
            }
            _ => fields.lose("identifier (without system or value)"),
        }
    }
    Ok(kept)
}

/// The number to find the patient by, one of the hospital numbers that the interface defines at
/// `Identity.identifiers`: the first medical record number still in use, else the first medical record
/// number, else the first number of no known type, else the first.
pub(crate) fn number(identifiers: &[v1::Identifier]) -> Option<v1::PatientNumber> {
    let medical_record = |identifier: &&v1::Identifier| {
        identifier.kind.iter().flat_map(|kind| &kind.coding).any(|coding| {
            coding.code == "MR" && (coding.system == IDENTIFIER_TYPES || coding.system.is_empty())
        })
    };
    let typed = |identifier: &v1::Identifier| {
        let mut codings = identifier.kind.iter().flat_map(|kind| &kind.coding);
        codings.any(|coding| coding.system == IDENTIFIER_TYPES)
    };
    identifiers
        .iter()
        .find(|identifier| medical_record(identifier) && identifier.r#use != "old")
        .or_else(|| identifiers.iter().find(medical_record))
        .or_else(|| identifiers.iter().find(|identifier| !typed(identifier)))
        .or_else(|| identifiers.first())
        .map(|found| v1::PatientNumber { issuer: found.issuer.clone(), value: found.value.clone() })
}

/// The whole identity.
pub(crate) fn identity(
    fields: &mut Fields<'_>,
    source: v1::SourceId,
) -> Result<v1::Identity, Refusal> {
    let mut identity = v1::Identity {
        identifiers: identifiers(fields)?,
        birth_date: fields.text("birthDate")?,
        deceased: deceased(fields)?,
        sex: fields.text("gender")?,
        addresses: fields.list::<Address>("address")?.into_iter().map(Into::into).collect(),
        telecoms: fields.list::<ContactPoint>("telecom")?.into_iter().map(Into::into).collect(),
        source: Some(source),
        ..Default::default()
    };
    names(fields, &mut identity)?;
    language(fields, &mut identity)?;
    extensions(fields, &mut identity)?;
    // in use is the normal case; a file that is not in use has no counterpart
    if fields.take::<bool>("active")? == Some(false) {
        fields.lose("active (false)");
    }
    if let Some(meta) = fields.take::<Meta>("meta")? {
        identity.labels = meta.security.into_iter().map(v1::Coding::from).collect();
    }
    Ok(identity)
}

fn deceased(fields: &mut Fields<'_>) -> Result<Option<v1::Deceased>, Refusal> {
    use v1::deceased::Value;
    let at = fields.take::<String>("deceasedDateTime")?.map(Value::At);
    let flag = fields.take::<bool>("deceasedBoolean")?.map(Value::Flag);
    Ok(at.or(flag).map(|value| v1::Deceased { value: Some(value) }))
}

/// A name that FHIR marks as unknown makes an unidentified patient; its text is what staff call
/// them by. The name with use `usual` is how somebody wants to be called.
fn names(fields: &mut Fields<'_>, identity: &mut v1::Identity) -> Result<(), Refusal> {
    for name in fields.list::<HumanName>("name")? {
        let absent = name.extension.iter().any(|extension| extension.url == DATA_ABSENT);
        for extension in name.extension.iter().filter(|extension| extension.url != DATA_ABSENT) {
            fields.lose(&format!("name.extension:{}", last_segment(&extension.url)));
        }
        if absent {
            identity.unidentified = true;
            identity.alias = name.text.unwrap_or_default();
            continue;
        }
        if name.usage.as_deref() == Some("usual") && identity.preferred_name.is_empty() {
            identity.preferred_name = name.text.clone().unwrap_or_else(|| name.given.join(" "));
        }
        identity.names.push(name.into());
    }
    // somebody who has a name as well is not unidentified
    identity.unidentified &= identity.names.is_empty();
    // FHIR marks an unknown date in the same way; that there is none says it already
    if identity.birth_date.is_empty() {
        fields.take::<Known>("_birthDate")?;
    }
    Ok(())
}

fn language(fields: &mut Fields<'_>, identity: &mut v1::Identity) -> Result<(), Refusal> {
    let spoken = fields.list::<Communication>("communication")?;
    if spoken.len() > 1 {
        fields.lose("communication (other than the preferred)");
    }
    let preferred = spoken.iter().position(|language| language.preferred).unwrap_or(0);
    let language = spoken.into_iter().nth(preferred).map(|spoken| spoken.language);
    identity.language =
        language.and_then(|language| language.coding.into_iter().next()).map(Coding::into);
    Ok(())
}

fn extensions(fields: &mut Fields<'_>, identity: &mut v1::Identity) -> Result<(), Refusal> {
    let mut others = Vec::new();
    for extension in fields.list::<Extension>("extension")? {
        match extension.url.as_str() {
            INTERPRETER => identity.interpreter_needed = extension.value_boolean,
            BIRTH_SEX => identity.sex_at_birth = extension.value_code.unwrap_or_default(),
            url if GENDER_IDENTITY.contains(&url) => {
                identity.gender_identity = extension.value_codeable_concept.map(Into::into);
            }
            url => others.push(format!("extension:{}", last_segment(url))),
        }
    }
    // parts of extensions are named by their extension
    fields.forget_parts_of("extension");
    for other in others {
        fields.lose(&other);
    }
    Ok(())
}

fn last_segment(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
