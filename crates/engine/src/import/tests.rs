use domain::{CodeableConcept, Detail, Note, SourceId};

use super::outcome::TAKEN_BACK;
use super::*;

fn note(source: &str, text: &str) -> (EntryId, Entry) {
    let mut id = [7; 16];
    id.iter_mut().zip(source.bytes()).for_each(|(to, from)| *to = from);
    let mut entry = Entry {
        code: CodeableConcept { text: Some("Progress note".to_owned()), coding: Vec::new() },
        source: Some(SourceId { system: "urn:test".to_owned(), value: source.to_owned() }),
        detail: Detail::Note(Note { text: text.to_owned(), ..Note::default() }),
        ..Entry::default()
    };
    entry.delivered = delivered_entry(&entry).expect("encodes");
    (EntryId(id), entry)
}

/// Decides for somebody who may see all.
fn decide_each(file: PatientFile, named: &[(EntryId, Entry)]) -> (Vec<Event>, Vec<ImportOutcome>) {
    super::decide_each(file, named, |_| false)
}

fn file() -> PatientFile {
    let identity = Identity { unidentified: true, ..Identity::default() };
    PatientFile { registered: true, identity: Some(identity), version: 1, ..PatientFile::default() }
}

#[test]
fn a_bad_item_is_refused_and_the_others_are_not() {
    let named = [note("a", "one"), note("b", ""), note("c", "three")];
    let (events, outcomes) = decide_each(file(), &named);
    assert_eq!(events.len(), 2);
    assert!(matches!(
        outcomes.as_slice(),
        [ImportOutcome::Filed { .. }, ImportOutcome::Invalid { .. }, ImportOutcome::Filed { .. }]
    ));
}

#[test]
fn invariant_4_items_on_file_are_acknowledged_when_the_trail_takes_nothing() {
    let (_, outcomes) =
        decide_each(file(), &[note("a", "one"), note("a", "two"), note("a", "two"), note("b", "")]);
    let failed = || Err(Failure::Unavailable { why: "the trail".to_owned() });
    let (withheld, receipt) = told(outcomes.clone(), failed()).expect("two are on file");
    assert_eq!(receipt, None);
    assert!(matches!(
        withheld.as_slice(),
        [
            ImportOutcome::Filed { withheld: true, .. },
            // That another version was there would show something of the file.
            ImportOutcome::Filed { withheld: true, .. },
            ImportOutcome::Untold,
            ImportOutcome::Untold,
        ]
    ));
    assert!(told(outcomes[2..].to_vec(), failed()).is_err(), "nothing was filed");
    let receipt = Receipt(ledger::Hash::ZERO);
    let (all, told) = told(outcomes, Ok(receipt)).expect("on the trail");
    assert_eq!(told, Some(receipt));
    assert!(matches!(all.as_slice(), [_, ImportOutcome::Amended { withheld: false, .. }, ..]));
}

#[test]
fn an_item_sent_twice_is_unchanged_and_one_that_differs_is_amended() {
    let named = [note("a", "one"), note("a", "one"), note("a", "two")];
    let (events, outcomes) = decide_each(file(), &named);
    assert_eq!(events.len(), 2);
    assert!(matches!(
        outcomes.as_slice(),
        [
            ImportOutcome::Filed { .. },
            ImportOutcome::Unchanged { .. },
            ImportOutcome::Amended { .. }
        ]
    ));
}

/// The file after one item was imported and then changed by hand.
fn changed_by_hand(item: &(EntryId, Entry), by_hand: &[domain::Command]) -> PatientFile {
    let mut file = file();
    let (mut events, _) = decide_each(file.clone(), std::slice::from_ref(item));
    for command in by_hand {
        events.iter().for_each(|event| domain::evolve(&mut file, event, domain::Stamp::default()));
        events = domain::decide(&file, command).expect("accepted");
    }
    events.iter().for_each(|event| domain::evolve(&mut file, event, domain::Stamp::default()));
    file
}

#[test]
fn an_item_sent_again_undoes_nothing_that_was_changed_by_hand() {
    let item = note("a", "one");
    let by_hand = Command::AmendEntry {
        id: item.0,
        entry: Entry { note: Some("seen".to_owned()), ..Entry::default() },
        mask: vec!["note".to_owned()],
        how: Amendment::Amendment,
        reason: "seen".to_owned(),
    };
    let retract = Command::RetractEntry { id: item.0, reason: "wrong patient".to_owned() };
    let changes = [by_hand, retract];
    for count in 1..=changes.len() {
        let file = changed_by_hand(&item, &changes[..count]);
        let (events, outcomes) = decide_each(file, std::slice::from_ref(&item));
        assert!(events.is_empty(), "{events:?}");
        assert!(matches!(outcomes.as_slice(), [ImportOutcome::Unchanged { .. }]));
    }
    let other = [note("a", "two")];
    let (_, outcomes) = decide_each(changed_by_hand(&item, &changes[..1]), &other);
    assert!(matches!(outcomes.as_slice(), [ImportOutcome::Amended { .. }]));
    let (_, outcomes) = decide_each(changed_by_hand(&item, &changes), &other);
    let [ImportOutcome::Refused { reason: "ENTRY_RETRACTED", message }] = outcomes.as_slice()
    else {
        panic!("{outcomes:?}");
    };
    assert!(message.contains("file a new one"), "{message}");
}

#[test]
fn an_item_finds_its_entry_and_mends_the_source_that_an_earlier_record_took_off() {
    let item = note("a", "one");
    let mut file = changed_by_hand(&item, &[]);
    // As it could be filed once.
    let entry = Entry { source: None, ..file.entries[&item.0].entry.clone() };
    let cleared = Event::EntryAmended {
        id: item.0,
        entry,
        changed: vec!["source".to_owned()],
        how: Amendment::Amendment,
        reason: "seen".to_owned(),
    };
    domain::evolve(&mut file, &cleared, domain::Stamp::default());
    let (events, outcomes) = decide_each(file.clone(), std::slice::from_ref(&item));
    assert!(events.is_empty(), "{events:?}");
    assert!(matches!(outcomes.as_slice(), [ImportOutcome::Unchanged { .. }]));
    let (events, outcomes) = decide_each(file.clone(), &[note("a", "two")]);
    assert!(matches!(outcomes.as_slice(), [ImportOutcome::Amended { .. }]), "{outcomes:?}");
    events.iter().for_each(|event| domain::evolve(&mut file, event, domain::Stamp::default()));
    assert_eq!(file.entries[&item.0].entry.source, item.1.source);
}

#[test]
fn what_the_importer_may_not_see_is_refused_whatever_the_item_says_of_it() {
    let item = note("a", "one");
    let file = changed_by_hand(&item, &[]);
    for again in [item.clone(), note("a", "two")] {
        let named = [again, note("b", "other")];
        let hidden = |id: &EntryId| *id == item.0;
        let (events, outcomes) = super::decide_each(file.clone(), &named, hidden);
        assert_eq!(events.len(), 1, "the other one is filed");
        assert!(matches!(
            outcomes.as_slice(),
            [ImportOutcome::Masked, ImportOutcome::Filed { .. }]
        ));
    }
}

#[test]
fn a_changed_item_without_labels_leaves_those_on_file_and_one_with_labels_sets_its_own() {
    let labels = |code: &str| {
        let (system, code) = ("urn:labels".to_owned(), code.to_owned());
        vec![domain::Coding { system, code, ..domain::Coding::default() }]
    };
    let item = note("a", "one");
    let by_hand = Command::AmendEntry {
        id: item.0,
        entry: Entry { labels: labels("PSY"), ..Entry::default() },
        mask: vec!["labels".to_owned()],
        how: Amendment::Amendment,
        reason: "a psychotherapy note".to_owned(),
    };
    let mut labelled = note("a", "three");
    labelled.1.labels = labels("R");
    labelled.1.delivered = delivered_entry(&labelled.1).expect("encodes");
    for (again, after) in [(note("a", "two"), "PSY"), (labelled, "R")] {
        let mut file = changed_by_hand(&item, std::slice::from_ref(&by_hand));
        let (events, outcomes) = decide_each(file.clone(), std::slice::from_ref(&again));
        assert!(matches!(outcomes.as_slice(), [ImportOutcome::Amended { .. }]), "{outcomes:?}");
        events.iter().for_each(|event| domain::evolve(&mut file, event, domain::Stamp::default()));
        assert_eq!(file.entries[&item.0].entry.labels, labels(after));
    }
}

#[test]
fn a_changed_item_leaves_what_its_source_has_no_word_for_as_it_is_on_file() {
    let item = note("a", "one");
    let by_hand = Command::AmendEntry {
        id: item.0,
        entry: Entry { unit: Some("4 West".to_owned()), ..Entry::default() },
        mask: vec!["unit".to_owned()],
        how: Amendment::Amendment,
        reason: "moved".to_owned(),
    };
    let mut moved = note("a", "three");
    moved.1.unit = Some("ICU".to_owned());
    moved.1.delivered = delivered_entry(&moved.1).expect("encodes");
    for (again, after) in [(note("a", "two"), "4 West"), (moved, "ICU")] {
        let mut file = changed_by_hand(&item, std::slice::from_ref(&by_hand));
        let (events, outcomes) = decide_each(file.clone(), std::slice::from_ref(&again));
        assert!(matches!(outcomes.as_slice(), [ImportOutcome::Amended { .. }]), "{outcomes:?}");
        events.iter().for_each(|event| domain::evolve(&mut file, event, domain::Stamp::default()));
        assert_eq!(file.entries[&item.0].entry.unit.as_deref(), Some(after));
    }
    let unsaid = |all: &[&str], said: &[String]| -> Vec<String> {
        let unsaid = all.iter().filter(|field| !said.iter().any(|it| it == *field));
        unsaid.map(|field| (*field).to_owned()).collect()
    };
    let of_entry = fields_of_entry(&Entry::default());
    assert_eq!(unsaid(Entry::FIELDS, &of_entry), ["unit", "labels", "overrides"]);
    let by_hand = [
        "preferred_name",
        "deceased",
        "interpreter_needed",
        "alias",
        "confidential_telecoms",
        "confidential_addresses",
        "labels",
    ];
    let mut identity = Identity::default();
    assert_eq!(unsaid(Identity::FIELDS, &fields_of_identity(&identity)), by_hand);
    identity.interpreter_needed = Some(false);
    identity.alias = Some("Unknown Heron-Seven".to_owned());
    let said = fields_of_identity(&identity);
    assert!(["interpreter_needed", "alias"].iter().all(|field| said.iter().any(|it| it == field)));
}

#[test]
fn an_entry_that_its_source_takes_back_is_to_be_retracted_until_it_is() {
    let item = note("a", "one");
    let mut taken_back = item.clone();
    taken_back.1.status = Some("entered-in-error".to_owned());
    taken_back.1.delivered = delivered_entry(&taken_back.1).expect("encodes");
    let codes = |file: PatientFile| {
        let (events, outcomes) = decide_each(file, std::slice::from_ref(&taken_back));
        assert!(events.is_empty(), "{events:?}");
        if let [ImportOutcome::Invalid { violations }] = outcomes.as_slice() {
            violations[0].code.clone()
        } else {
            format!("{outcomes:?}")
        }
    };
    assert_eq!(codes(file()), finding_code::RETRACT_INSTEAD, "it never was on file");
    assert_eq!(codes(changed_by_hand(&item, &[])), TAKEN_BACK);
    let retract = Command::RetractEntry { id: item.0, reason: "entered in error".to_owned() };
    assert!(codes(changed_by_hand(&item, &[retract])).contains("Unchanged"));
}
