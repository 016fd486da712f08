//! What holds for any commands and events whatever.

// `cfg(test)` is always so here; it tells clippy that helpers may unwrap like the tests they serve.
#[cfg(test)]
#[path = "properties/generate.rs"]
#[expect(dead_code, reason = "shared with the tests of schema, which use the rest")]
mod generate;

use domain::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{FileFailurePersistence, TestRunner};

fn stamp(version: u64) -> Stamp {
    Stamp { position: version * 3, version, recorded_at: version * 1000, actor: [9; 16] }
}

/// A file that exists, so that most commands have something to meet.
#[cfg(test)]
fn opened() -> (PatientFile, Vec<Event>) {
    let command = Command::Register(Identity { unidentified: true, ..Identity::default() });
    let mut file = PatientFile::default();
    let events = decide(&file, &command).unwrap();
    for event in &events {
        evolve(&mut file, event, stamp(1));
    }
    (file, events)
}

/// What is true of a file after any accepted commands.
#[cfg(test)]
fn check_invariants(before: &PatientFile, after: &PatientFile, event: &Event) {
    assert_eq!(after.version, before.version + 1);
    assert!(after.identity.is_some());
    for (id, earlier) in &before.entries {
        let later = &after.entries[id];
        assert_eq!(later.filed, earlier.filed, "when it was filed never changes");
        assert_eq!(later.entry.kind(), earlier.entry.kind());
        assert!(later.revision == earlier.revision || later.revision == earlier.revision + 1);
        if later.revision == earlier.revision {
            assert_eq!(later, earlier, "only the entry named changes");
        } else {
            assert_eq!(earlier.retracted, None, "nothing follows a retraction");
            assert_eq!(later.changed.version, after.version);
        }
    }
    for (id, state) in &after.entries {
        assert_eq!(state.id, *id);
        let findings = state.entry.validate();
        assert_eq!(findings, state.entry.findings, "what was found is filed");
        assert!(findings.iter().all(|finding| finding.severity == Severity::Remark));
        assert!(state.entry.summary().lines().count() <= 1);
    }
    match event {
        Event::EntryAmended { id, entry, changed, reason, .. } => {
            let last = before.entries[id].entry.delivered;
            assert!(!changed.is_empty() || entry.delivered != last);
            assert!(!reason.trim().is_empty());
        }
        Event::IdentityAmended { identity, changed, reason, .. } => {
            let last = before.identity.as_ref().unwrap().delivered;
            assert!(!changed.is_empty() || identity.delivered != last);
            assert!(!reason.trim().is_empty());
        }
        Event::EntryAdded { .. }
        | Event::EntryRetracted { .. }
        | Event::PatientRegistered { .. } => {}
        Event::IdentifierAssigned { .. }
        | Event::IdentifierReleased { .. }
        | Event::DocumentFiled { .. } => {
            panic!("no command makes it")
        }
    }
}

/// What an amendment must have left as it was.
#[cfg(test)]
fn check_mask(before: &PatientFile, after: &PatientFile, command: &Command) {
    let Command::AmendEntry { id, entry, mask, .. } = command else { return };
    let (earlier, later) = (&before.entries[id].entry, &after.entries[id].entry);
    let named = |name: &str| mask.iter().any(|field| field == name);
    let expected = |name: &str| if named(name) { entry } else { earlier };
    assert_eq!(later.status, expected("status").status);
    assert_eq!(later.code, expected("code").code);
    assert_eq!(later.effective, expected("effective").effective);
    assert_eq!(later.note, expected("note").note);
    assert_eq!(later.detail, expected("detail").detail);
    assert_eq!(later.labels, expected("labels").labels);
}

/// What an augmentation must have left as it was.
#[cfg(test)]
fn check_augmentation(before: &PatientFile, after: &PatientFile, command: &Command) {
    let Command::AmendEntry { id, how: Amendment::Augmentation, .. } = command else { return };
    let (earlier, later) = (&before.entries[id].entry, &after.entries[id].entry);
    let kept =
        |earlier: &Option<String>, later: &Option<String>| earlier.is_none() || earlier == later;
    assert!(kept(&earlier.status, &later.status));
    assert!(kept(&earlier.unit, &later.unit));
    assert!(kept(&earlier.note, &later.note));
    assert!(kept(&earlier.code.text, &later.code.text));
    assert!(earlier.encounter.is_none() || earlier.encounter == later.encounter);
    assert!(earlier.source.is_none() || earlier.source == later.source);
    assert!(earlier.overrides.iter().all(|item| later.overrides.contains(item)));
    let codes = |entry: &Entry| -> Vec<String> {
        entry.labels.iter().chain(&entry.code.coding).map(|coding| coding.code.clone()).collect()
    };
    assert!(codes(earlier).iter().all(|code| codes(later).contains(code)));
}

/// A generator whose commands are all refused would prove nothing.
#[test]
fn enough_of_the_generated_commands_are_accepted() {
    let mut runner = TestRunner::deterministic();
    let (file, _) = opened();
    let mut accepted = 0;
    for _ in 0..300 {
        let entry = generate::entry().new_tree(&mut runner).unwrap().current();
        let command = Command::AddEntry { id: EntryId([1; 16]), entry };
        accepted += usize::from(decide(&file, &command).is_ok());
    }
    assert!(accepted >= 100, "{accepted} of 300");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    #[test]
    fn accepted_commands_keep_the_file_whole(commands in vec(generate::command(), 1..24)) {
        let (mut file, mut history) = opened();
        for command in &commands {
            let decided = decide(&file, command);
            prop_assert_eq!(&decided, &decide(&file, command), "the same answer every time");
            let events = match decided {
                Ok(events) => events,
                Err(Rejection::Invalid(findings)) => {
                    let violation = |finding: &Finding| finding.severity == Severity::Violation;
                    prop_assert!(findings.iter().any(violation));
                    continue;
                }
                Err(_) => continue,
            };
            let before = file.clone();
            for event in events {
                let next = stamp(file.version + 1);
                evolve(&mut file, &event, next);
                check_invariants(&before, &file, &event);
                history.push(event);
            }
            check_mask(&before, &file, command);
            check_augmentation(&before, &file, command);
            // Once accepted, the same again never changes anything.
            prop_assert!(decide(&file, command).is_err());
        }
        let mut again = PatientFile::default();
        for (version, event) in (1..).zip(&history) {
            evolve(&mut again, event, stamp(version));
        }
        prop_assert_eq!(again, file, "the history says it all");
    }

    #[test]
    fn an_augmentation_adds_and_never_takes_away(entry in generate::entry(), bits in any::<u16>()) {
        let more = Entry { overrides: Vec::new(), delivered: None, ..entry };
        let less = generate::less(more.clone(), bits);
        let augmented = |from: &Entry, to: &Entry| {
            let (mut file, _) = opened();
            let id = EntryId([1; 16]);
            for event in decide(&file, &Command::AddEntry { id, entry: from.clone() })? {
                evolve(&mut file, &event, stamp(2));
            }
            let mask = Entry::FIELDS.iter().map(|field| (*field).to_owned()).collect();
            let (how, reason) = (Amendment::Augmentation, "asked".to_owned());
            decide(&file, &Command::AmendEntry { id, entry: to.clone(), mask, how, reason })
        };
        let valid = |entry: &Entry| {
            entry.validate().iter().all(|finding| finding.severity == Severity::Remark)
        };
        prop_assume!(valid(&more) && valid(&less) && more != less);
        prop_assert!(augmented(&less, &more).is_ok());
        prop_assert_eq!(augmented(&more, &less), Err(Rejection::AugmentationReplaces));
    }

    #[test]
    fn evolve_takes_any_event_in_any_order(events in vec(generate::event(), 0..12)) {
        let mut file = PatientFile::default();
        let mut rows: std::collections::BTreeMap<EntryId, EntryState> = Default::default();
        for (version, event) in (1..).zip(&events) {
            evolve(&mut file, event, stamp(version));
            if let Event::EntryAdded { id, .. }
            | Event::EntryAmended { id, .. }
            | Event::EntryRetracted { id, .. } = event
            {
                let row = evolve_entry(rows.remove(id), event.clone(), stamp(version));
                rows.extend(row.map(|row| (*id, row)));
            }
        }
        prop_assert_eq!(file.entries, rows, "row by row is the same as the whole file");
    }

    #[test]
    fn checks_take_any_text(system in generate::text(), text in any::<String>()) {
        for system in [&system, "http://snomed.info/sct", "http://loinc.org",
            "http://unitsofmeasure.org", "http://hl7.org/fhir/sid/us-npi",
            "http://hl7.org/fhir/sid/icd-10-cm"] {
            let _ = check::coding(system, &text);
        }
        let _ = check::reference(&text);
        let _ = check::banned_abbreviations(&text);
        let _ = check::is_language_tag(&text);
        let _ = FhirDateTime::parse(&text);
        let _ = Decimal::parse(&text);
    }

    #[test]
    fn a_sortable_time_is_within_what_is_meant(at in generate::date_time()) {
        prop_assert!(at.earliest() <= at.latest());
        prop_assert_eq!(FhirDateTime::parse(at.as_str()), Ok(at));
    }

    #[test]
    fn unit_shaped_texts_are_read_without_panic(text in "[a-zA-Z0-9\\[\\]{}()./*^+'%_-]{0,40}") {
        let _ = check::is_ucum(&text);
        let _ = check::is_loinc(&text);
        let _ = check::is_snomed(&text);
    }
}
