//! What a delivered item speaks of, and what it leaves as it is on file.

use domain::{Entry, Identity};

/// The fields of an identity that its source speaks of. What protects the patient, or many sources
/// have no word for, stays as people filed it when nothing is said of it.
pub(super) fn fields_of_identity(identity: &Identity) -> Vec<String> {
    let silent = |field: &str| match field {
        "preferred_name" => identity.preferred_name.is_none(),
        "deceased" => identity.deceased.is_none(),
        "interpreter_needed" => identity.interpreter_needed.is_none(),
        "alias" => identity.alias.is_none(),
        "labels" => identity.labels.is_empty(),
        "confidential_telecoms" => identity.confidential_telecoms.is_empty(),
        "confidential_addresses" => identity.confidential_addresses.is_empty(),
        _ => false,
    };
    spoken_of(Identity::FIELDS, silent)
}

/// The same of an entry.
pub(super) fn fields_of_entry(entry: &Entry) -> Vec<String> {
    let silent = |field: &str| match field {
        "unit" => entry.unit.is_none(),
        "labels" => entry.labels.is_empty(),
        "overrides" => entry.overrides.is_empty(),
        _ => false,
    };
    spoken_of(Entry::FIELDS, silent)
}

fn spoken_of(fields: &[&str], silent: impl Fn(&str) -> bool) -> Vec<String> {
    fields.iter().filter(|field| !silent(field)).map(|field| (*field).to_owned()).collect()
}
