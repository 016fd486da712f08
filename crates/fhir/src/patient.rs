//! Patient → Identity.

use api::v1;

use crate::directory::Standing;
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

/// Another Patient that is about the same person.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Link {
    #[serde(rename = "type")]
    kind: String,
}

/// Whether it is in use, or says that another one took its place.
pub(crate) fn standing(fields: &mut Fields<'_>) -> Standing {
    let links = fields.list::<Link>("link").unwrap_or_default();
    if links.iter().any(|link| link.kind == "replaced-by") {
        return Standing::Replaced;
    }
    match fields.take::<bool>("active") {
        Ok(Some(false)) => Standing::Inactive,
        _ => Standing::Active,
    }
}

/// Addresses that say where.
fn addresses(fields: &mut Fields<'_>) -> Result<Vec<v1::Address>, Refusal> {
    let all: Vec<v1::Address> =
        fields.list::<Address>("address")?.into_iter().map(Into::into).collect();
    let count = all.len();
    let says = |address: &v1::Address| {
        let bare = v1::Address { r#use: String::new(), period: None, ..address.clone() };
        bare != v1::Address::default()
    };
    let kept: Vec<_> = all.into_iter().filter(says).collect();
    if kept.len() < count {
        fields.lose("address (empty)");
    }
    Ok(kept)
}

/// Date of birth, family and first given name of who it is; none if it lacks one of them.
pub(crate) fn who(fields: &mut Fields<'_>) -> Option<String> {
    let born = fields.text("birthDate").ok().filter(|born| !born.is_empty())?;
    let name = fields.list::<HumanName>("name").ok()?.into_iter().next()?;
    let (family, given) = (name.family?, name.given.into_iter().next()?);
    Some(format!("{born} {} {}", family.to_lowercase(), given.to_lowercase()))
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
    identifiers
        .iter()
        .find(|identifier| is_record(identifier) && identifier.r#use != "old")
        .or_else(|| identifiers.iter().find(|identifier| is_record(identifier)))
        .or_else(|| identifiers.iter().find(|identifier| !is_typed(identifier)))
        .or_else(|| identifiers.first())
        .map(number_of)
}

/// All hospital numbers, each of which belongs to one patient.
pub(crate) fn numbers(identifiers: &[v1::Identifier]) -> Vec<v1::PatientNumber> {
    let hospital = |identifier: &&v1::Identifier| is_record(identifier) || !is_typed(identifier);
    let numbers: Vec<_> = identifiers.iter().filter(hospital).map(number_of).collect();
    if numbers.is_empty() {
        identifiers.first().map(number_of).into_iter().collect()
    } else {
        numbers
    }
}

fn number_of(found: &v1::Identifier) -> v1::PatientNumber {
    v1::PatientNumber { issuer: found.issuer.clone(), value: found.value.clone() }
}

/// Whether it is a medical record number.
fn is_record(identifier: &v1::Identifier) -> bool {
    identifier.kind.iter().flat_map(|kind| &kind.coding).any(|coding| {
        coding.code == "MR" && (coding.system == IDENTIFIER_TYPES || coding.system.is_empty())
    })
}

/// Whether it says what kind of number it is.
fn is_typed(identifier: &v1::Identifier) -> bool {
    let mut codings = identifier.kind.iter().flat_map(|kind| &kind.coding);
    codings.any(|coding| coding.system == IDENTIFIER_TYPES)
}

/// The whole identity, and the number to find the patient by.
pub(crate) fn identity(
    fields: &mut Fields<'_>,
    source: v1::SourceId,
) -> Result<(v1::Identity, v1::PatientNumber), Refusal> {
    let mut identifiers = identifiers(fields)?;
    let number = number(&identifiers).ok_or_else(no_identifier)?;
    for identifier in &mut identifiers {
        let kind = identifier.kind.take();
        identifier.kind = kind.and_then(|kind| fields.whole("identifier.type", kind));
    }
    let mut identity = v1::Identity {
        identifiers,
        birth_date: fields.text("birthDate")?,
        deceased: deceased(fields)?,
        sex: fields.text("gender")?,
        addresses: addresses(fields)?,
        telecoms: telecoms(fields)?,
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
        identity.labels = meta.labels()?;
    }
    Ok((identity, number))
}

fn no_identifier() -> Refusal {
    Refusal::new(
        "NO_IDENTIFIER",
        "identifier",
        "the patient has no identifier with system and value, so no file could be found by it",
    )
}

fn telecoms(fields: &mut Fields<'_>) -> Result<Vec<v1::ContactPoint>, Refusal> {
    let (kept, empty): (Vec<_>, Vec<_>) = fields
        .list::<ContactPoint>("telecom")?
        .into_iter()
        .partition(|telecom| telecom.value.is_some());
    if !empty.is_empty() {
        fields.lose("telecom (without value)");
    }
    Ok(kept.into_iter().map(Into::into).collect())
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
        let absent = name.extension.iter().find(|extension| extension.url == DATA_ABSENT);
        for extension in name.extension.iter().filter(|extension| extension.url != DATA_ABSENT) {
            fields.lose(&format!("name.extension:{}", last_segment(&extension.url)));
        }
        if let Some(absent) = absent {
            // Somebody knows who it is; here nobody does.
            if absent.value_code.as_deref() == Some("masked") {
                fields.lose("name (masked)");
            }
            for (part, there) in [
                ("family", name.family.is_some()),
                ("given", !name.given.is_empty()),
                ("prefix", !name.prefix.is_empty()),
                ("suffix", !name.suffix.is_empty()),
                ("period", name.period.is_some()),
            ] {
                if there {
                    fields.lose(&format!("name.{part} (of a name that is absent)"));
                }
            }
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
    let Some(language) = spoken.into_iter().nth(preferred).map(|spoken| spoken.language) else {
        return Ok(());
    };
    let (whole, partial): (Vec<Coding>, Vec<Coding>) = language
        .coding
        .into_iter()
        .partition(|coding| coding.system.is_some() && coding.code.is_some());
    if !partial.is_empty() {
        fields.lose("communication.language.coding (without system or code)");
    }
    if whole.len() > 1 {
        fields.lose("communication.language.coding (second and later)");
    }
    let kept = whole.into_iter().next();
    let text = language.text.as_deref();
    match &kept {
        Some(coding) => fields.lose_text("communication.language", text, coding),
        None => fields.lose_text("communication.language", text, &Coding::default()),
    }
    identity.language = kept.map(Coding::into);
    Ok(())
}

fn extensions(fields: &mut Fields<'_>, identity: &mut v1::Identity) -> Result<(), Refusal> {
    let all = fields.list::<Extension>("extension")?;
    // parts of extensions are named by their extension
    fields.forget_parts_of("extension");
    for mut extension in all {
        let url = std::mem::take(&mut extension.url);
        let name = format!("extension:{}", last_segment(&url));
        let taken = match url.as_str() {
            INTERPRETER => first(&mut identity.interpreter_needed, extension.value_boolean),
            BIRTH_SEX if identity.sex_at_birth.is_empty() => {
                identity.sex_at_birth = extension.value_code.unwrap_or_default();
                !identity.sex_at_birth.is_empty()
            }
            url if GENDER_IDENTITY.contains(&url) => {
                let value = gender_identity(fields, &name, extension);
                first(&mut identity.gender_identity, value)
            }
            _ => false,
        };
        if !taken {
            fields.lose(&name);
        }
    }
    Ok(())
}

/// Takes a value unless there is one already; whether it was taken.
fn first<T>(into: &mut Option<T>, value: Option<T>) -> bool {
    let taken = into.is_none() && value.is_some();
    if taken {
        *into = value;
    }
    taken
}

/// Its value stands in the extension, or in a part of it beside its period and a comment.
fn gender_identity(
    fields: &mut Fields<'_>,
    name: &str,
    extension: Extension,
) -> Option<v1::CodeableConcept> {
    let is_value = |part: &Extension| part.url == "value";
    if extension.extension.iter().any(|part| !is_value(part)) {
        fields.lose(&format!("{name} (other than its value)"));
    }
    let part = extension.extension.into_iter().find(is_value);
    let value = part.and_then(|part| part.value_codeable_concept);
    fields.whole(name, extension.value_codeable_concept.or(value)?)
}

fn last_segment(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}
