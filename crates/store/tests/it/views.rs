//! Views: the file now and as it was, identifiers, missing and destroyed keys, rebuilding.

use crate::records::shown;
use crate::world::{
    Draft, RECORDS, SECRET, World, added, amended, assigned, entry_id, files, kek, note,
    registered, released, retracted,
};
use domain::{Condition, Detail, Encounter, Entry, Event, Kind, Note, PatientId, Task};
use ledger::{Control, Item, SubjectId};
use std::ops::ControlFlow;
use std::sync::Arc;
use store::{EntriesPage, PAGE_BYTES, Store};
use vault::{BatchOrigin, Vault};

#[test]
fn a_file_is_shown_now_and_as_it_was() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    let applied = world.file(keys, &[amended(1, "dry cough")]);
    let middle = applied.records[0].header.recorded_at;
    world.file(keys, &[retracted(2), registered("Anne")]);
    let reader = world.store().reader();
    let header = reader.file_header(keys.subject).unwrap().unwrap();
    assert_eq!((header.version, header.stamp.version), (6, 6));
    let entry = reader.entry(keys.subject, entry_id(1)).unwrap().unwrap();
    assert_eq!((entry.revision, entry.entry), (2, note("dry cough")));
    assert!(reader.entry(keys.subject, entry_id(2)).unwrap().unwrap().retracted.is_some());
    assert_eq!(reader.entry(keys.subject, entry_id(9)).unwrap(), None);
    let then = reader.fold(keys.subject, 3).unwrap().file;
    assert_eq!(then.entries[&entry_id(1)].entry, note("cough"));
    assert_eq!(then.entries[&entry_id(2)].retracted, None);
    assert_eq!(reader.version_at(keys.subject, middle).unwrap(), 4);
    assert_eq!(reader.version_at(keys.subject, middle - 1).unwrap(), 3);
    assert_eq!(reader.version_at(keys.subject, u64::MAX).unwrap(), 6);
    assert_eq!(reader.version_at(keys.subject, 0).unwrap(), 0);
    assert_eq!(reader.version_at(SubjectId([1; 16]), middle).unwrap(), 0);
    let third = reader.history(keys.subject, 3, 1).unwrap().items[0].position;
    assert_eq!(reader.version_within(keys.subject, third).unwrap(), 2);
    assert_eq!(reader.version_within(keys.subject, third + 1).unwrap(), 3);
    assert_eq!(reader.version_within(keys.subject, u64::MAX).unwrap(), 6);
    assert_eq!(reader.version_within(keys.subject, 0).unwrap(), 0);
}

#[test]
fn invariant_9_nothing_is_overwritten() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    world.file(keys, &[amended(1, "dry cough"), retracted(1)]);
    let page = world.store().reader().history(keys.subject, 2, 3).unwrap();
    let events: Vec<_> = page.items.iter().map(|item| item.event.clone().unwrap()).collect();
    assert_eq!(events, [added(1, "cough"), added(2, "fever"), amended(1, "dry cough")]);
    assert_eq!(page.next, Some(5));
    let rest = world.store().reader().history(keys.subject, 5, 3).unwrap();
    assert_eq!((rest.items.len(), rest.next), (1, None));
}

#[test]
fn entries_come_in_pages_by_section_and_end_at_their_patient() {
    let mut world = World::new();
    let (one, two) = (world.patient_with_file(), world.patient_with_file());
    let events: Vec<_> = (1..=9).map(|number| added(number, "note")).collect();
    world.file(one, &events);
    let reader = world.store().reader();
    let mut seen = Vec::new();
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = reader.entries(one.subject, &[Kind::Note], after.as_deref(), 4).unwrap();
        seen.extend(page.entries.iter().map(|state| state.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=9).map(entry_id).collect::<Vec<_>>());
    assert!(reader.entries(one.subject, &[Kind::Condition], None, 4).unwrap().entries.is_empty());
    assert_eq!(reader.entries(two.subject, &[], None, 100).unwrap().entries.len(), 2);
}

#[test]
fn pages_of_some_kinds_are_those_of_all_kinds_without_the_others() {
    let mut world = World::new();
    let keys = world.patient();
    world.file(keys, &[registered("Anna")]);
    // More of one kind in a row than are passed one by one.
    let kinds = [
        (3, Detail::Condition(Condition::default())),
        (20, Detail::Encounter(Encounter::default())),
        (2, Detail::Task(Task::default())),
        (40, Detail::Note(Note::default())),
    ];
    let mut number = 0;
    for (count, detail) in kinds {
        for _ in 0..count {
            number += 1;
            let entry = Entry { detail: detail.clone(), ..Entry::default() };
            world.file(keys, &[Event::EntryAdded { id: entry_id(number), entry }]);
        }
    }
    let reader = world.store().reader();
    let states = reader.entries(keys.subject, &[], None, 100).unwrap().entries;
    assert_eq!(states.len(), 65);
    let header = reader.file_header(keys.subject).unwrap();
    for first in Kind::ALL {
        for second in Kind::ALL {
            for limit in [1, 7, 100] {
                let wanted = [*first, *second];
                let mut after: Option<Vec<u8>> = None;
                loop {
                    let page = reader.entries(keys.subject, &wanted, after.as_deref(), limit);
                    let page = page.unwrap();
                    let expected =
                        EntriesPage::of(states.clone(), &wanted, after.as_deref(), limit).unwrap();
                    assert_eq!(page, expected, "{wanted:?} after {after:?}, at most {limit}");
                    let rows = reader.file(keys.subject, &wanted, after.as_deref(), limit);
                    let rows = rows.unwrap().unwrap();
                    assert_eq!(rows.page, page, "{wanted:?} after {after:?}, with the file's head");
                    assert_eq!(Some(&rows.header), header.as_ref());
                    after = page.next;
                    if after.is_none() {
                        break;
                    }
                }
            }
        }
    }
}

#[test]
fn a_page_ends_before_it_outgrows_a_message() {
    let mut world = World::new();
    let keys = world.patient();
    world.file(keys, &[registered("Anna")]);
    let long = "x".repeat(100_000);
    for number in 0..24 {
        world.file(keys, &[added(number, &long)]);
    }
    let page = world.store().reader().entries(keys.subject, &[], None, 200).unwrap();
    assert!(page.next.is_some());
    assert!(page.entries.len() * long.len() <= PAGE_BYTES && page.entries.len() > 5);
    let history = world.store().reader().history(keys.subject, 1, 200).unwrap();
    assert!(history.next.is_some() && history.items.len() > 5);
}

#[test]
fn a_number_finds_its_patient_and_only_the_registry_can_assign_it() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    let bucket = SubjectId([5; 16]);
    world.assign(bucket, "4711", keys.subject);
    let find = |world: &World, value| {
        world.store().reader().find_identifier("urn:hospital:mrn", value).unwrap()
    };
    assert_eq!(find(&world, "4711"), Some(PatientId(keys.subject.0)));
    assert_eq!(find(&world, "4712"), None);
    // the same event under a patient's key claims nothing
    let event = domain::Event::IdentifierAssigned {
        identifier_system: "urn:hospital:mrn".to_owned(),
        identifier_value: "4712".to_owned(),
        patient: PatientId(keys.subject.0),
    };
    let draft = Draft {
        chain: keys.subject,
        subject: keys.subject,
        key: keys.file,
        plain: schema::encode_event(&event).unwrap(),
    };
    let contribution = world.contribution(RECORDS, &[draft]);
    let block = world.block(RECORDS, vec![Item::Contribution(contribution)]);
    let applied = world.give(RECORDS, block);
    assert_eq!(find(&world, "4712"), None);
    let unfolded = world.store().reader().unfolded(keys.subject).unwrap();
    assert_eq!(unfolded, [applied.records[0].position]);
    world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(find(&world, "4711"), Some(PatientId(keys.subject.0)));
}

/// A member can seal under any key that it has.
#[test]
fn what_is_sealed_under_anothers_key_is_neither_now_nor_ever_in_a_file() {
    let mut world = World::new();
    let (one, other) = (world.patient_with_file(), world.patient_with_file());
    let registry = world.vault.system().unwrap().unwrap().registry;
    let (chain, subject) = (one.subject, one.subject);
    let stray = |(number, key)| Draft {
        chain,
        subject,
        key,
        plain: schema::encode_event(&added(number, "stray")).unwrap(),
    };
    let strays = [(7, other.file), (8, one.audit), (9, registry)].map(stray);
    let contribution = world.contribution(RECORDS, &strays);
    let block = world.block(RECORDS, vec![Item::Contribution(contribution)]);
    let applied = world.give(RECORDS, block);
    let positions: Vec<_> = applied.records.iter().map(|record| record.position).collect();
    assert_eq!(positions.len(), 3);
    let reader = world.store().reader();
    assert_eq!(reader.unfolded(subject).unwrap(), positions);
    let folded = reader.fold(subject, 9).unwrap();
    assert_eq!((&folded.file, folded.unreadable), (&shown(world.store(), subject), positions));
    assert_eq!((folded.file.version, folded.file.entries.len()), (6, 2));
    let history = reader.history(subject, 4, 9).unwrap();
    assert!(history.items.iter().all(|item| item.event.is_none()), "{history:?}");
}

#[test]
fn a_released_number_is_nobodys_until_it_is_given_again() {
    let mut world = World::new();
    let (one, other) = (world.patient_with_file(), world.patient_with_file());
    let bucket = SubjectId([5; 16]);
    let find = |world: &World| {
        let found = world.store().reader().find_identifier("urn:hospital:mrn", "4711").unwrap();
        found.map(|patient| SubjectId(patient.0))
    };
    world.assign(bucket, "4711", one.subject);
    world.registry(bucket, &[released("4711", other.subject)]);
    assert_eq!(find(&world), Some(one.subject), "only its holder's is released");
    world.registry(bucket, &[released("4711", one.subject)]);
    assert_eq!(find(&world), None);
    // Within one batch too, where the rows are only staged.
    let there_and_back = [
        assigned("4711", one.subject),
        released("4711", one.subject),
        assigned("4711", other.subject),
    ];
    world.registry(bucket, &there_and_back);
    assert_eq!(find(&world), Some(other.subject));
    let (key, subject, signatures) = (one.file, one.subject, Vec::new());
    world.control(Control::KeyDestroyed { key, subject, signatures });
    assert_eq!(find(&world), Some(other.subject), "no longer among what is erased with the first");
    world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(find(&world), Some(other.subject));
}

/// Another node, without keys at first: same verdicts and roots, no views; then the keys come.
#[test]
fn views_come_with_their_keys_and_verdicts_without() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    world.assign(SubjectId([5; 16]), "4711", keys.subject);
    let dir = tempfile::tempdir().unwrap();
    let vault = Arc::new(Vault::open(dir.path(), kek()).unwrap());
    let store = Store::open(dir.path(), &world.pins, Arc::clone(&vault)).unwrap();
    for (sequence, message) in (1..).zip(&world.messages[0]) {
        store.apply(RECORDS, &[(sequence, message)]).unwrap();
    }
    assert_eq!(store.state(RECORDS).unwrap().root(), world.store().state(RECORDS).unwrap().root());
    assert_eq!(store.reader().file_header(keys.subject).unwrap(), None);
    assert_eq!(store.reader().unfolded(keys.subject).unwrap().len(), 3);
    let folded = store.reader().fold(keys.subject, 9).unwrap();
    assert_eq!((folded.unreadable.len(), folded.file.version), (3, 3));
    assert!(store.reader().history(keys.subject, 1, 9).unwrap().items[0].event.is_none());

    vault.add_batch("batch", &world.batch, BatchOrigin::Bucket).unwrap();
    vault.add_system(&world.system).unwrap();
    let waiting = store.unfolded_subjects().unwrap();
    assert_eq!(waiting.len(), 2, "the patient and the bucket");
    for subject in waiting {
        assert!(store.refold(subject).unwrap());
        assert!(!store.refold(subject).unwrap(), "nothing is left to do");
    }
    assert_eq!(shown(&store, keys.subject), shown(world.store(), keys.subject));
    let rows = |store: &Store| store.reader().file(keys.subject, &[], None, 100).unwrap().unwrap();
    assert_eq!(rows(&store).authors.filed.len(), 1);
    assert_eq!(rows(&store), rows(world.store()));
    assert!(store.unfolded_subjects().unwrap().is_empty());
    assert_eq!(
        store.reader().find_identifier("urn:hospital:mrn", "4711").unwrap(),
        Some(PatientId(keys.subject.0))
    );
}

#[test]
fn invariant_8_no_clear_text_at_rest() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    world.file(keys, &[amended(1, "dry cough"), retracted(2)]);
    world.assign(SubjectId([5; 16]), SECRET, keys.subject);
    world.store().spool().put(1, &world.messages[0][1], 1).unwrap();
    world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap();
    assert!(world.store().reader().entry(keys.subject, entry_id(1)).unwrap().is_some());
    world.close();
    for file in files(world.dir.path()) {
        let bytes = std::fs::read(&file).unwrap();
        for secret in [SECRET, "Wilhelmina", "dry cough", "urn:hospital:mrn"] {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{} holds a planted string", file.display());
        }
    }
    let subject = keys.subject.0;
    let searched = files(world.dir.path())
        .iter()
        .any(|file| std::fs::read(file).unwrap().windows(16).any(|window| window == subject));
    assert!(searched, "the search finds what is there");
}

#[test]
fn a_destroyed_key_takes_its_views_along_and_every_proof_still_holds() {
    let mut world = World::new();
    let (keys, other) = (world.patient_with_file(), world.patient_with_file());
    world.assign(SubjectId([5; 16]), "4711", keys.subject);
    let root = world.store().state(RECORDS).unwrap().root();
    let size = world.store().state(RECORDS).unwrap().size;
    let destroyed =
        Control::KeyDestroyed { key: keys.file, subject: keys.subject, signatures: Vec::new() };
    let applied = world.control(destroyed);
    assert_eq!(applied.destroyed, [keys.file], "{:?}", applied.verdict);
    world.vault.destroy(keys.file).unwrap();
    let reader = world.store().reader();
    assert!(reader.destroyed(RECORDS, keys.file).unwrap());
    assert_eq!(reader.file_header(keys.subject).unwrap(), None);
    assert_eq!(reader.entry(keys.subject, entry_id(1)).unwrap(), None);
    assert_eq!(reader.find_identifier("urn:hospital:mrn", "4711").unwrap(), None);
    assert_eq!(reader.fold(keys.subject, 9).unwrap().unreadable.len(), 3);
    assert!(reader.file_header(other.subject).unwrap().is_some(), "others stay readable");
    assert_eq!(reader.root_at(RECORDS, size).unwrap(), root);
    assert!(reader.record(RECORDS, 3).unwrap().is_some());
    for (sequence, message) in (1..).zip(&world.messages[0]) {
        assert_eq!(reader.message(RECORDS, sequence).unwrap().as_ref(), Some(message));
    }
    drop(reader);
    world.reopen();
    world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap();
    assert_eq!(world.store().reader().file_header(keys.subject).unwrap(), None);
}

#[test]
fn a_number_that_was_given_on_after_an_erasure_stays_where_it_is_when_views_are_made_anew() {
    let mut world = World::new();
    let (keys, other) = (world.patient_with_file(), world.patient_with_file());
    world.assign(SubjectId([5; 16]), "4711", keys.subject);
    world.assign(SubjectId([6; 16]), "4712", keys.subject);
    let generation = world.store().views_generation();
    assert!(world.store().opens(keys.subject).unwrap());
    world.control(Control::KeyDestroyed {
        key: keys.file,
        subject: keys.subject,
        signatures: Vec::new(),
    });
    assert!(world.store().views_generation() > generation, "what was rendered is stale");
    world.vault.destroy(keys.file).unwrap();
    assert!(!world.store().opens(keys.subject).unwrap());
    world.assign(SubjectId([5; 16]), "4711", other.subject);
    let holders = |store: &Store| {
        let reader = store.reader();
        ["4711", "4712"].map(|value| reader.find_identifier("urn:hospital:mrn", value).unwrap())
    };
    let before = holders(world.store());
    assert_eq!(before, [Some(PatientId(other.subject.0)), None]);
    let generation = world.store().views_generation();
    world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap();
    assert!(world.store().views_generation() > generation);
    assert_eq!(holders(world.store()), before);
}

#[test]
fn a_rebuild_tells_its_progress_and_changes_nothing() {
    let mut world = World::new();
    let patients: Vec<_> = (0..5).map(|_| world.patient_with_file()).collect();
    let before: Vec<_> = patients.iter().map(|p| shown(world.store(), p.subject)).collect();
    let mut heard = Vec::new();
    let listening = |done, total| {
        heard.push((done, total));
        ControlFlow::Continue(())
    };
    assert!(world.store().rebuild_views(listening).unwrap());
    assert_eq!(heard.last(), Some(&(19, 19)), "two ledgers founded, fifteen records");
    assert!(world.store().views_ready().unwrap());
    world.reopen();
    assert!(world.store().views_ready().unwrap());
    let after: Vec<_> = patients.iter().map(|p| shown(world.store(), p.subject)).collect();
    assert_eq!(before, after);
}

#[test]
fn views_that_were_dropped_or_broken_off_are_not_ready_until_they_are_made() {
    let mut world = World::new();
    let patient = world.patient_with_file();
    let before = shown(world.store(), patient.subject);
    world.store().drop_views().unwrap();
    assert!(!world.store().views_ready().unwrap());
    assert!(!world.store().rebuild_views(|_, _| ControlFlow::Break(())).unwrap());
    world.reopen();
    assert!(!world.store().views_ready().unwrap(), "also after a restart");
    assert!(world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap());
    assert!(world.store().views_ready().unwrap());
    assert_eq!(shown(world.store(), patient.subject), before);
}
