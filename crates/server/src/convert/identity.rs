//! Who a patient is.

use api::v1 as proto;
use domain::{Deceased, Identity};

use super::values::{
    address_in, address_out, all, coding_in, coding_out, concept_in, concept_out, date_in,
    date_out, identifier_in, identifier_out, list, name_in, name_out, option, source_in,
    source_out, telecom_in, telecom_out, text, text_out,
};
use super::{At, Report};

/// Into the domain.
pub fn identity_in(from: proto::Identity, at: &At<'_>, report: &mut Report) -> Option<Identity> {
    let identifiers = list(from.identifiers, &at.field("identifiers"), report, identifier_in);
    let names = list(from.names, &at.field("names"), report, name_in);
    let birth_date = date_in(&from.birth_date, &at.field("birth_date"), report);
    let deceased = option(from.deceased, &at.field("deceased"), report, deceased_in);
    let gender_identity =
        option(from.gender_identity, &at.field("gender_identity"), report, concept_in);
    let language = option(from.language, &at.field("language"), report, coding_in);
    let addresses = list(from.addresses, &at.field("addresses"), report, address_in);
    let telecoms = list(from.telecoms, &at.field("telecoms"), report, telecom_in);
    let confidential_telecoms =
        list(from.confidential_telecoms, &at.field("confidential_telecoms"), report, telecom_in);
    let confidential_addresses =
        list(from.confidential_addresses, &at.field("confidential_addresses"), report, address_in);
    let labels = list(from.labels, &at.field("labels"), report, coding_in);
    let source = option(from.source, &at.field("source"), report, source_in);
    Some(Identity {
        identifiers,
        names,
        preferred_name: text(from.preferred_name),
        birth_date,
        deceased,
        sex: text(from.sex),
        sex_at_birth: text(from.sex_at_birth),
        gender_identity,
        language,
        interpreter_needed: from.interpreter_needed,
        addresses,
        telecoms,
        unidentified: from.unidentified,
        alias: text(from.alias),
        confidential_telecoms,
        confidential_addresses,
        labels,
        source,
        delivered: None,
    })
}

/// Out of the domain.
#[must_use]
pub fn identity_out(from: &Identity) -> proto::Identity {
    proto::Identity {
        identifiers: all(&from.identifiers, identifier_out),
        names: all(&from.names, name_out),
        preferred_name: text_out(from.preferred_name.as_ref()),
        birth_date: date_out(from.birth_date.as_ref()),
        deceased: from.deceased.as_ref().map(deceased_out),
        sex: text_out(from.sex.as_ref()),
        sex_at_birth: text_out(from.sex_at_birth.as_ref()),
        gender_identity: from.gender_identity.as_ref().map(concept_out),
        language: from.language.as_ref().map(coding_out),
        interpreter_needed: from.interpreter_needed,
        addresses: all(&from.addresses, address_out),
        telecoms: all(&from.telecoms, telecom_out),
        unidentified: from.unidentified,
        alias: text_out(from.alias.as_ref()),
        confidential_telecoms: all(&from.confidential_telecoms, telecom_out),
        confidential_addresses: all(&from.confidential_addresses, address_out),
        labels: all(&from.labels, coding_out),
        source: from.source.as_ref().map(source_out),
    }
}

fn deceased_in(from: proto::Deceased, at: &At<'_>, report: &mut Report) -> Option<Deceased> {
    use proto::deceased::Value;
    match from.value {
        Some(Value::At(text)) if text.is_empty() => report.missing(&at.field("at")),
        Some(Value::At(text)) => {
            return date_in(&text, &at.field("at"), report).map(Deceased::At);
        }
        Some(Value::Flag(true)) => return Some(Deceased::Yes),
        Some(Value::Flag(false)) => return Some(Deceased::No),
        None => report.fault(at, "required", "one of at, flag must be set"),
    }
    None
}

fn deceased_out(from: &Deceased) -> proto::Deceased {
    use proto::deceased::Value;
    let value = match from {
        Deceased::At(date) => Value::At(date.as_str().to_owned()),
        Deceased::Yes => Value::Flag(true),
        Deceased::No => Value::Flag(false),
    };
    proto::Deceased { value: Some(value) }
}
