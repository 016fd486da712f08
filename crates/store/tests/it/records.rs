//! Applying and reading records and messages.

use crate::world::{
    ACCESS, RECORDS, World, added, amended, block_key, draft, note, registered, retracted,
};
use domain::{Authors, Event, PatientFile, Stamp};
use ledger::proof::{verify_consistency, verify_inclusion};
use ledger::{
    BlockVerdict, Hash, Item, ItemVerdict, Memory, Refusal, Settled, State, SubjectId, VoidReason,
    stream_hash,
};
use proptest::prelude::*;
use std::ops::ControlFlow;
use store::{Store, StoreError};

#[test]
fn an_applied_block_is_there_in_every_table() {
    let mut world = World::new();
    let keys = world.patient();
    let events = [registered("Anna"), added(1, "cough")];
    let applied = world.file(keys, &events);
    let reader = world.store().reader();
    let state = world.store().state(RECORDS).unwrap();
    assert_eq!((state.sequence, state.size), (2, 4), "genesis, admission and two records");
    assert_eq!(state.stream_hash, applied.stream_hash);
    let head = reader.head(RECORDS, keys.subject).unwrap().unwrap();
    assert_eq!((head.version, head.position), (2, 3));
    let (id, settled) = applied.settled[0];
    assert_eq!(reader.settled(RECORDS, &id).unwrap(), Some(settled));
    assert!(matches!(settled, Settled::Accepted { first_position: 2, count: 2, .. }));
    assert_eq!(reader.chain(RECORDS, keys.subject, 1..=9).unwrap(), [2, 3]);
    assert_eq!(reader.chain(RECORDS, keys.subject, 2..=2).unwrap(), [3]);
    let record = reader.record(RECORDS, 3).unwrap().unwrap();
    assert_eq!(record.header, applied.records[1].header);
    assert_eq!(reader.record(RECORDS, 4).unwrap(), None);
    assert_eq!(reader.stream_hash_at(RECORDS, 2).unwrap(), Some(applied.stream_hash));
    assert_eq!(reader.stream_hash_at(RECORDS, 0).unwrap(), Some(Hash::ZERO));
    assert_eq!(reader.stream_hash_at(RECORDS, 3).unwrap(), None);
}

/// Accepted, void, abandoned, checkpoint, junk: all of it comes back as it was.
#[test]
fn every_message_comes_back_bit_for_bit() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    let accepted = world.contribution(RECORDS, &[draft(keys, &added(3, "rash"))]);
    let stale = world.contribution(RECORDS, &[draft(keys, &added(4, "late"))]);
    let abandoned = Item::Abandonment(ledger::ContributionId([9; 32]));
    let items = vec![
        Item::Checkpoint(b"a note".to_vec()),
        Item::Contribution(accepted.clone()),
        abandoned,
        Item::Contribution(stale),
        Item::Contribution(accepted),
    ];
    let block = world.block(RECORDS, items);
    let applied = world.give(RECORDS, block);
    let BlockVerdict::Judged(verdicts) = &applied.verdict else { panic!("{applied:?}") };
    assert!(matches!(verdicts[3], ItemVerdict::Void { reason: VoidReason::Stale, .. }));
    assert!(matches!(verdicts[4], ItemVerdict::Void { reason: VoidReason::Duplicate { .. }, .. }));
    let junk = world.give(RECORDS, b"junk".to_vec());
    assert_eq!(junk.verdict, BlockVerdict::Refused(Refusal::Junk));
    world.give(RECORDS, Vec::new());
    world.reopen();
    let reader = world.store().reader();
    let mut hash = Hash::ZERO;
    for (sequence, message) in (1..).zip(&world.messages[0]) {
        assert_eq!(reader.message(RECORDS, sequence).unwrap().as_ref(), Some(message));
        hash = stream_hash(&hash, sequence, message);
        assert_eq!(reader.stream_hash_at(RECORDS, sequence).unwrap(), Some(hash));
    }
    assert_eq!(reader.message(RECORDS, 99).unwrap(), None);
}

#[test]
fn a_record_is_stored_once() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    let body = world.store().reader().record(RECORDS, 3).unwrap().unwrap().body;
    world.close();
    let found: usize = crate::world::files(&world.database())
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .map(|bytes| bytes.windows(64).filter(|window| *window == &body[..64]).count())
        .sum();
    assert_eq!(found, 1, "of {}", keys.subject);
}

#[test]
fn a_message_applied_before_is_told_from_a_changed_past() {
    let mut world = World::new();
    world.patient_with_file();
    let second = world.messages[0][1].clone();
    let store = world.store();
    let again = store.apply(RECORDS, &[(2, &second)]).unwrap_err();
    assert!(matches!(again, StoreError::AlreadyApplied { sequence: 2, .. }), "{again}");
    let other = store.apply(RECORDS, &[(2, b"another")]).unwrap_err();
    assert!(matches!(other, StoreError::OtherHistory { sequence: 2, .. }), "{other}");
    let gap = store.apply(RECORDS, &[(4, b"later")]).unwrap_err();
    let StoreError::Apply { source, .. } = gap else { panic!("{gap}") };
    assert_eq!(source, ledger::ApplyError::Gap { expected: 3, got: 4 });
}

#[test]
fn what_precedes_a_message_that_cannot_be_applied_is_applied() {
    let mut world = World::new();
    let keys = world.patient();
    let contribution = world.contribution(RECORDS, &[draft(keys, &registered("Anna"))]);
    let good = world.block(RECORDS, vec![Item::Contribution(contribution)]);
    let store = world.store();
    let given = [(2, good.as_slice()), (3, b"junk".as_slice()), (5, b"gap".as_slice())];
    let applied = store.apply(RECORDS, &given).unwrap();
    assert_eq!(applied.iter().map(|a| a.sequence).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(world.sequence(RECORDS), 3);
    assert!(store.apply(RECORDS, &given[2..]).is_err());
    assert_eq!(world.sequence(RECORDS), 3);
}

#[test]
fn a_stream_of_another_genesis_is_not_begun() {
    let world = World::empty();
    let access_founding = &world.founding[1];
    let error = world.store().apply(RECORDS, &[(1, access_founding)]).unwrap_err();
    let StoreError::Apply { source, .. } = error else { panic!("{error}") };
    assert!(matches!(source, ledger::ApplyError::NotOurGenesis { .. }));
    assert_eq!(world.sequence(RECORDS), 0);
}

#[test]
fn a_ledger_that_is_not_configured_is_named() {
    let world = World::new();
    let other = ledger::LedgerId { shard: 9, ..RECORDS };
    let error = world.store().apply(other, &[(1, b"")]).unwrap_err();
    assert_eq!(error.to_string(), "ledger records.9.0 is not configured on this node");
}

/// More than two full tiles, and proofs over them against the roots of every moment.
#[test]
fn tiles_and_proofs_agree_with_the_roots_of_their_time() {
    let mut world = World::new();
    let keys = world.patient();
    world.file(keys, &[registered("Anna")]);
    let mut roots = vec![(world.store().state(RECORDS).unwrap().size, Hash::ZERO)];
    for number in 0..3 {
        let events: Vec<Event> = (0..200).map(|at| added(at, "note")).collect();
        if number == 1 {
            world.reopen();
        }
        world.file(keys, &events);
        let state = world.store().state(RECORDS).unwrap();
        roots.push((state.size, state.root()));
    }
    let reader = world.store().reader();
    let (size, root) = *roots.last().unwrap();
    assert_eq!(size, 603);
    for position in [0, 2, 255, 256, 511, 512, 602] {
        let record = reader.record(RECORDS, position).unwrap().unwrap();
        let leaf = ledger::leaf_hash(&record.header_bytes);
        let proof = reader.inclusion_proof(RECORDS, position, size).unwrap();
        assert!(verify_inclusion(position, size, &leaf, &proof, &root), "{position}");
    }
    for (first, then) in &roots[1..] {
        assert_eq!(reader.root_at(RECORDS, *first).unwrap(), *then);
        let proof = reader.consistency_proof(RECORDS, *first, size).unwrap();
        assert!(verify_consistency(*first, size, then, &root, &proof), "{first}");
    }
    let asked = reader.inclusion_proof(RECORDS, 0, size + 1).unwrap_err();
    assert!(matches!(asked, StoreError::NoSuchSize { .. }), "{asked}");
    let full = reader.tile(RECORDS, ledger::TileId { level: 0, index: 1 }).unwrap().unwrap();
    let last = reader.tile(RECORDS, ledger::TileId { level: 0, index: 2 }).unwrap().unwrap();
    assert_eq!((full.len(), last.len()), (256 * 32, (603 - 512) * 32));
}

/// The verdicts of a store are those of memory, message by message.
#[test]
fn invariant_1_one_order_one_verdict() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    world.file(keys, &[amended(1, "dry cough")]);
    world.give(RECORDS, b"junk".to_vec());
    let mut memory = Memory::default();
    let mut state = State::new(RECORDS, world.genesis(RECORDS));
    let replayed = World::empty();
    for (sequence, message) in (1..).zip(&world.messages[0]) {
        let applied = state.apply(&memory, sequence, message).unwrap();
        memory.add(&applied);
        let stored = replayed.store().apply(RECORDS, &[(sequence, message)]).unwrap();
        assert_eq!(stored, [applied]);
    }
    let (one, two) = (world.store().state(RECORDS), replayed.store().state(RECORDS));
    assert_eq!(one.unwrap().state(), &state);
    assert_eq!(two.unwrap().state(), &state);
}

#[test]
fn two_ledgers_apply_at_the_same_time() {
    let mut world = World::new();
    let patient = world.patient();
    let first = world.contribution(RECORDS, &[draft(patient, &registered("Anna"))]);
    let records = world.block(RECORDS, vec![Item::Contribution(first)]);
    let store = world.store();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| store.apply(RECORDS, &[(2, &records)]).unwrap().len());
        let two = scope.spawn(|| store.apply(ACCESS, &[(2, b"junk")]).unwrap().len());
        assert_eq!((one.join().unwrap(), two.join().unwrap()), (1, 1));
    });
    let _ = block_key();
}

#[derive(Debug, Clone)]
enum Step {
    Add(u8, String),
    Amend(u8, String),
    Retract(u8),
    Identity(String),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    let text = || "[a-z ]{0,40}";
    prop_oneof![
        4 => (0..6_u8, text()).prop_map(|(id, text)| Step::Add(id, text)),
        3 => (0..6_u8, text()).prop_map(|(id, text)| Step::Amend(id, text)),
        2 => (0..6_u8).prop_map(Step::Retract),
        1 => text().prop_map(Step::Identity),
        1 => Just(Step::Reopen),
    ]
}

fn event(step: &Step) -> Option<Event> {
    Some(match step {
        Step::Add(id, text) => added(*id, text),
        Step::Amend(id, text) => amended(*id, text),
        Step::Retract(id) => retracted(*id),
        Step::Identity(name) => registered(name),
        Step::Reopen => return None,
    })
}

/// The file as the views show it.
pub(crate) fn shown(store: &Store, subject: SubjectId) -> PatientFile {
    let reader = store.reader();
    let mut file = PatientFile::default();
    if let Some(header) = reader.file_header(subject).unwrap() {
        file.registered = true;
        file.identity = Some(header.identity);
        file.identity_stamp = header.stamp;
        file.version = header.version;
    }
    let mut after = None;
    loop {
        let page = reader.entries(subject, &[], after.as_deref(), 2).unwrap();
        file.entries.extend(page.entries.into_iter().map(|state| (state.id, state)));
        after = page.next;
        if after.is_none() {
            return file;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Views, a fold of the records, and plain `evolve` agree, in whatever batches it was applied
    /// and however often the store was opened.
    #[test]
    fn views_are_what_evolve_says(
        groups in proptest::collection::vec(proptest::collection::vec(step(), 1..8), 1..6),
    ) {
        let mut world = World::new();
        let keys = world.patient();
        world.file(keys, &[registered("Anna")]);
        let mut expected = PatientFile::default();
        let stamp = |world: &World, version| {
            let position = world.store().reader().chain(RECORDS, keys.subject, version..=version);
            let position = position.unwrap()[0];
            let record = world.store().reader().record(RECORDS, position).unwrap().unwrap();
            let (recorded_at, actor) = (record.header.recorded_at, record.header.actor.0);
            Stamp { position, version, recorded_at, actor }
        };
        domain::evolve(&mut expected, &registered("Anna"), stamp(&world, 1));
        let mut authors = Authors::default();
        let mut version = 1;
        for group in &groups {
            let events: Vec<Event> = group.iter().filter_map(event).collect();
            if events.len() < group.len() {
                world.reopen();
            }
            if events.is_empty() {
                continue;
            }
            world.file(keys, &events);
            for event in &events {
                version += 1;
                let stamp = stamp(&world, version);
                domain::evolve(&mut expected, event, stamp);
                if let Event::EntryAdded { entry, .. } | Event::EntryAmended { entry, .. } = event {
                    authors.wrote(entry, &stamp);
                }
                authors.forget(version);
            }
        }
        let folded = world.store().reader().fold(keys.subject, u64::MAX - 1).unwrap();
        prop_assert_eq!(&folded.file, &expected);
        prop_assert!(folded.unreadable.is_empty());
        prop_assert_eq!(&shown(world.store(), keys.subject), &expected);
        let wrote = |world: &World| {
            let rows = world.store().reader().file(keys.subject, &[], None, 1).unwrap();
            let mut authors = rows.unwrap().authors;
            authors.forget(version);
            authors
        };
        prop_assert_eq!(&wrote(&world), &authors);
        world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap();
        prop_assert_eq!(&shown(world.store(), keys.subject), &expected);
        prop_assert_eq!(&wrote(&world), &authors);
        let _ = note("");
    }
}
