//! A patient file for a person to read.

use std::fmt::Write as _;

use api::v1;
use api::v1::entry::Detail;
use api::v1::event::Event;

use super::Shown;
use crate::output::{Table, counted, one_line, thousands};
use crate::time;

/// Section headings, in the order in which a file shows its kinds.
const SECTIONS: [&str; 12] = [
    "Encounters",
    "Allergies and intolerances",
    "Conditions",
    "Medication requests",
    "Procedures",
    "Observations",
    "Immunizations",
    "Notes",
    "Care teams",
    "Consents",
    "Requests",
    "Tasks",
];

/// A file; one of the past says so first, so that nobody takes it for the present.
pub(super) fn file(shown: &Shown, past: bool) -> String {
    let file = &shown.file;
    let identity = file.identity.clone().unwrap_or_default();
    let mut text = String::new();
    if past {
        let _ = writeln!(text, "as it was at version {}\n", file.version);
    }
    let _ = writeln!(text, "{}", one_line(&who(&identity)));
    text.push_str(&facts(&identity).lines("  "));
    let stamp = file.identity_stamp.as_ref();
    let _ = writeln!(
        text,
        "\npatient {}  version {}  position {}  identity filed {}",
        one_line(&file.patient_id),
        file.version,
        thousands(shown.position),
        time::short(stamp.and_then(|stamp| stamp.recorded_at.as_ref()))
    );
    for (section, heading) in SECTIONS.iter().enumerate() {
        let entries: Vec<_> =
            file.entries.iter().filter(|state| section_of(state) == Some(section)).collect();
        if !entries.is_empty() {
            let _ =
                write!(text, "\n{heading} ({})\n{}", entries.len(), table(&entries).lines("  "));
        }
    }
    // a kind of a later version still has its summary
    let (masked, unknown): (Vec<_>, Vec<_>) = file
        .entries
        .iter()
        .filter(|state| section_of(state).is_none())
        .partition(|state| state.masked);
    if !unknown.is_empty() {
        let _ = write!(text, "\nOthers ({})\n{}", unknown.len(), table(&unknown).lines("  "));
    }
    if !masked.is_empty() {
        let _ = writeln!(
            text,
            "\nMasked ({}): the access policies do not show you these entries for this purpose",
            masked.len()
        );
        for state in masked {
            let _ = writeln!(text, "  {}", one_line(&state.entry_id));
        }
    }
    if !file.unreadable_positions.is_empty() {
        let count = counted(file.unreadable_positions.len() as u64, "record");
        let positions: Vec<_> = file.unreadable_positions.iter().map(u64::to_string).collect();
        let _ = writeln!(
            text,
            "\n{count} cannot be opened (key destroyed, or not here yet): positions {}",
            positions.join(", ")
        );
    }
    text.push_str(&receipts(&shown.receipts));
    text
}

/// "Aamina Cabdi Warsame, female, born 1961".
fn who(identity: &v1::Identity) -> String {
    let mut parts = vec![name(identity)];
    if !identity.sex.is_empty() {
        parts.push(identity.sex.clone());
    }
    if !identity.birth_date.is_empty() {
        parts.push(format!("born {}", identity.birth_date));
    }
    match identity.deceased.as_ref().and_then(|deceased| deceased.value.as_ref()) {
        Some(v1::deceased::Value::At(at)) => parts.push(format!("died {at}")),
        Some(v1::deceased::Value::Flag(true)) => parts.push("died".to_owned()),
        Some(v1::deceased::Value::Flag(false)) | None => {}
    }
    parts.join(", ")
}

fn name(identity: &v1::Identity) -> String {
    let written = |name: &v1::HumanName| {
        if name.text.is_empty() {
            let mut parts = name.given.clone();
            parts.push(name.family.clone());
            parts.retain(|part| !part.is_empty());
            parts.join(" ")
        } else {
            name.text.clone()
        }
    };
    let official = identity.names.iter().find(|name| name.r#use == "official");
    match official.or(identity.names.first()) {
        Some(name) => written(name),
        None if identity.alias.is_empty() => "(no name)".to_owned(),
        None => identity.alias.clone(),
    }
}

/// What else is known of the patient, a line each.
fn facts(identity: &v1::Identity) -> Table {
    let mut table = Table::default();
    let mut add = |what: &str, value: String| {
        if !value.is_empty() {
            table.row([what.to_owned(), value]);
        }
    };
    add("called", identity.preferred_name.clone());
    if identity.unidentified {
        add("identity", "not known yet".to_owned());
    }
    for number in &identity.identifiers {
        let usage =
            if number.r#use.is_empty() { String::new() } else { format!(" ({})", number.r#use) };
        add("number", format!("{}|{}{usage}", number.issuer, number.value));
    }
    add("gender identity", identity.gender_identity.as_ref().map(concept).unwrap_or_default());
    let interpreter = match identity.interpreter_needed {
        Some(true) => "interpreter needed",
        Some(false) => "no interpreter needed",
        None => "",
    };
    let language = identity.language.as_ref().map_or("", |language| {
        if language.display.is_empty() { &language.code } else { &language.display }
    });
    let mut spoken = vec![language, interpreter];
    spoken.retain(|part| !part.is_empty());
    add("language", spoken.join(", "));
    for telecom in &identity.confidential_telecoms {
        add("reach only by", format!("{} {}", telecom.system, telecom.value).trim().to_owned());
    }
    for address in &identity.confidential_addresses {
        add("write only to", on_one_line(address));
    }
    for telecom in &identity.telecoms {
        add(&telecom.system, telecom.value.clone());
    }
    for address in &identity.addresses {
        add("address", on_one_line(address));
    }
    let labels: Vec<_> = identity.labels.iter().map(|label| label.code.as_str()).collect();
    add("labels", labels.join(" "));
    table
}

fn on_one_line(address: &v1::Address) -> String {
    let mut parts = address.line.clone();
    parts.extend([
        address.postal_code.clone(),
        address.city.clone(),
        address.state.clone(),
        address.country.clone(),
    ]);
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { address.text.clone() } else { parts.join(", ") }
}

fn section_of(state: &v1::EntryState) -> Option<usize> {
    Some(match state.entry.as_ref()?.detail.as_ref()? {
        Detail::EncounterDetail(_) => 0,
        Detail::AllergyIntolerance(_) => 1,
        Detail::Condition(_) => 2,
        Detail::MedicationRequest(_) => 3,
        Detail::Procedure(_) => 4,
        Detail::Observation(_) => 5,
        Detail::Immunization(_) => 6,
        Detail::NoteDetail(_) => 7,
        Detail::CareTeam(_) => 8,
        Detail::Consent(_) => 9,
        Detail::ServiceRequest(_) => 10,
        Detail::Task(_) => 11,
    })
}

fn table(entries: &[&v1::EntryState]) -> Table {
    let mut table = Table::with_heading(["when", "status", "what", "remarks", "changes", "entry"]);
    for state in entries {
        let entry = state.entry.clone().unwrap_or_default();
        let status = if state.retracted { "RETRACTED".to_owned() } else { entry.status.clone() };
        let remarks: Vec<_> = entry.findings.iter().map(|finding| finding.code.clone()).collect();
        table.row([
            entry.effective.as_ref().map(when).unwrap_or_default(),
            status,
            what(&entry),
            remarks.join(" "),
            state.revision.saturating_sub(1).to_string(),
            state.entry_id.clone(),
        ]);
    }
    table
}

/// The server's one line, else the words of the code; and of an allergy how sure it is, which that
/// line does not say. Confirmed goes without saying.
fn what(entry: &v1::Entry) -> String {
    let mut what = if entry.summary.is_empty() {
        entry.code.as_ref().map(concept).unwrap_or_default()
    } else {
        entry.summary.clone()
    };
    if let Some(Detail::AllergyIntolerance(allergy)) = &entry.detail
        && !["", "confirmed"].contains(&allergy.verification_status.as_str())
    {
        let _ = write!(what, ", {}", allergy.verification_status);
    }
    what
}

fn concept(concept: &v1::CodeableConcept) -> String {
    let coding = concept.coding.first();
    let words =
        coding.map(|coding| if coding.display.is_empty() { &coding.code } else { &coding.display });
    if concept.text.is_empty() { words.cloned().unwrap_or_default() } else { concept.text.clone() }
}

fn when(effective: &v1::Effective) -> String {
    match &effective.value {
        Some(v1::effective::Value::At(at)) => at.clone(),
        Some(v1::effective::Value::During(period)) => {
            format!(
                "{} to {}",
                period.start,
                if period.end.is_empty() { "now" } else { &period.end }
            )
        }
        None => String::new(),
    }
}

pub(super) fn history(
    patient_id: &str,
    events: &[v1::FiledEvent],
    receipts_of: &[Vec<u8>],
    versions: Option<u64>,
) -> String {
    let patient_id = one_line(patient_id);
    if let Some(versions) = versions {
        let count = counted(versions, "version");
        let receipts = receipts(receipts_of);
        return format!(
            "patient {patient_id}\n\nthe file has {count}; nothing was filed after\n{receipts}"
        );
    }
    let mut table = Table::with_heading(["version", "filed", "what", "about", "actor", "hash"])
        .right_aligned([0]);
    for filed in events {
        let (what, about) = said(filed);
        table.row([
            filed.version.to_string(),
            time::short(filed.recorded_at.as_ref()),
            what,
            about,
            filed.actor.get(..8).unwrap_or_default().to_owned(),
            hex::encode(filed.hash.get(..8).unwrap_or_default()),
        ]);
    }
    format!("patient {patient_id}\n\n{}{}", table.lines(""), receipts(receipts_of))
}

fn said(filed: &v1::FiledEvent) -> (String, String) {
    let entry = |entry: &Option<v1::Entry>| entry.as_ref().map(what).unwrap_or_default();
    let because =
        |reason: &str| if reason.is_empty() { String::new() } else { format!(" ({reason})") };
    match filed.event.as_ref().and_then(|event| event.event.as_ref()) {
        Some(Event::PatientRegistered(event)) => {
            ("registered".to_owned(), event.identity.as_ref().map(who).unwrap_or_default())
        }
        Some(Event::IdentityAmended(event)) => (
            format!("identity {}", how(event.how())),
            format!("{}{}", event.changed.join(", "), because(&event.reason)),
        ),
        Some(Event::EntryAdded(event)) => ("added".to_owned(), entry(&event.entry)),
        Some(Event::EntryAmended(event)) => (
            how(event.how()).to_owned(),
            format!(
                "{}: {}{}",
                entry(&event.entry),
                event.changed.join(", "),
                because(&event.reason)
            ),
        ),
        Some(Event::EntryRetracted(event)) => {
            ("retracted".to_owned(), format!("{}{}", event.entry_id, because(&event.reason)))
        }
        Some(Event::EntryMasked(event)) => ("masked".to_owned(), event.entry_id.clone()),
        None if filed.unreadable => ("cannot be opened".to_owned(), String::new()),
        None => ("of a newer version".to_owned(), String::new()),
    }
}

fn how(amendment: v1::Amendment) -> &'static str {
    match amendment {
        v1::Amendment::Correction => "corrected",
        v1::Amendment::Amendment => "amended",
        v1::Amendment::Augmentation => "augmented",
        v1::Amendment::Unspecified => "changed",
    }
}

/// What the caller can keep: the hashes of the access records of this reading.
fn receipts(receipts: &[Vec<u8>]) -> String {
    let mut text = "\n".to_owned();
    for receipt in receipts.iter().filter(|receipt| !receipt.is_empty()) {
        let _ = writeln!(text, "receipt {}", hex::encode(receipt));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown() -> Shown {
        let condition = v1::Entry {
            status: "active".to_owned(),
            code: Some(v1::CodeableConcept { text: "Asthma".to_owned(), coding: Vec::new() }),
            effective: Some(v1::Effective {
                value: Some(v1::effective::Value::At("2019-05".to_owned())),
            }),
            detail: Some(Detail::Condition(v1::Condition::default())),
            ..Default::default()
        };
        Shown {
            file: v1::PatientFile {
                patient_id: "0a".repeat(16),
                version: 3,
                identity: Some(v1::Identity {
                    unidentified: true,
                    alias: "Unknown Heron-Seven".to_owned(),
                    sex: "unknown".to_owned(),
                    ..Default::default()
                }),
                entries: vec![
                    v1::EntryState {
                        entry_id: "e1".to_owned(),
                        entry: Some(condition),
                        revision: 2,
                        retracted: true,
                        ..Default::default()
                    },
                    v1::EntryState {
                        entry_id: "e2".to_owned(),
                        entry: Some(v1::Entry {
                            summary: "a new kind".to_owned(),
                            ..Default::default()
                        }),
                        ..Default::default()
                    },
                    v1::EntryState {
                        entry_id: "e3".to_owned(),
                        masked: true,
                        ..Default::default()
                    },
                ],
                unreadable_positions: vec![4, 9],
                ..Default::default()
            },
            position: 1234,
            receipts: vec![vec![0xab; 32]],
        }
    }

    #[test]
    fn a_file_shows_who_what_and_what_cannot_be_shown() {
        let text = file(&shown(), false);
        assert!(file(&shown(), true).starts_with("as it was at version 3\n\nUnknown Heron"));
        assert!(
            text.starts_with("Unknown Heron-Seven, unknown\n  identity  not known yet\n"),
            "{text}"
        );
        assert!(text.contains("\nConditions (1)\n"));
        assert!(text.contains("  2019-05  RETRACTED  Asthma           1        e1\n"), "{text}");
        assert!(text.contains("\nOthers (1)\n") && text.contains("a new kind"));
        assert!(
            text.contains(
                "\nMasked (1): the access policies do not show you these entries for this \
                 purpose\n  e3\n"
            ),
            "{text}"
        );
        assert!(text.contains(
            "2 records cannot be opened (key destroyed, or not here yet): positions 4, 9"
        ));
        assert!(text.ends_with(&format!("receipt {}\n", "ab".repeat(32))));
    }

    #[test]
    fn a_refuted_allergy_is_not_listed_as_a_standing_one() {
        let allergy = |verification: &str| v1::Entry {
            summary: "Penicillin, high criticality, active".to_owned(),
            detail: Some(Detail::AllergyIntolerance(v1::AllergyIntolerance {
                verification_status: verification.to_owned(),
                ..Default::default()
            })),
            ..Default::default()
        };
        let refuted = what(&allergy("refuted"));
        assert_eq!(refuted, "Penicillin, high criticality, active, refuted");
        for sure in ["", "confirmed"] {
            assert_eq!(what(&allergy(sure)), "Penicillin, high criticality, active");
        }
    }

    #[test]
    fn an_interpreter_is_needed_also_when_the_language_is_not_known() {
        let code = |code: &str| v1::Coding { code: code.to_owned(), ..Default::default() };
        let told = |language: Option<v1::Coding>, interpreter_needed| {
            let identity = v1::Identity { language, interpreter_needed, ..Default::default() };
            facts(&identity).lines("")
        };
        assert_eq!(told(None, Some(true)), "language  interpreter needed\n");
        assert_eq!(told(Some(code("so")), Some(true)), "language  so, interpreter needed\n");
        assert_eq!(told(Some(code("so")), None), "language  so\n");
        assert_eq!(told(None, None), "");
    }

    #[test]
    fn a_history_says_what_changed_and_why() {
        let filed = v1::FiledEvent {
            version: 2,
            event: Some(v1::Event {
                event: Some(Event::IdentityAmended(v1::IdentityAmended {
                    changed: vec!["names".to_owned()],
                    how: v1::Amendment::Correction.into(),
                    reason: "misspelt".to_owned(),
                    ..Default::default()
                })),
            }),
            ..Default::default()
        };
        assert_eq!(said(&filed), ("identity corrected".to_owned(), "names (misspelt)".to_owned()));
        assert!(history("p", &[], &[], Some(3)).contains("the file has 3 versions;"));
        let masked = v1::EntryMasked { entry_id: "e3".to_owned() };
        let masked = v1::FiledEvent {
            event: Some(v1::Event { event: Some(Event::EntryMasked(masked)) }),
            ..Default::default()
        };
        assert_eq!(said(&masked), ("masked".to_owned(), "e3".to_owned()));
        let closed = v1::FiledEvent { unreadable: true, ..Default::default() };
        assert_eq!(said(&closed).0, "cannot be opened");
    }
}
