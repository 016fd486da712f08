//! The commitments that apply puts into a ledger, across restarts.

use crate::world::{RECORDS, World, added, registered};
use ledger::commitment::{self, EVERY, Leaf};
use ledger::{Item, leaf_hash};
use std::ops::ControlFlow;

/// Files until the ledger has so many leaves, in blocks of contributions that commitments may cut.
pub(crate) fn grow(world: &mut World, size: u64) {
    let patients: Vec<_> = (0..5).map(|_| world.patient()).collect();
    for keys in &patients {
        world.file(*keys, &[registered("Anna")]);
    }
    let mut entry = 0_u8;
    for keys in patients.iter().cycle() {
        if world.store().state(RECORDS).unwrap().size >= size {
            return;
        }
        let events: Vec<_> = (0..201)
            .map(|_| {
                entry = entry % 250 + 1;
                added(entry, "cough")
            })
            .collect();
        world.file(*keys, &events);
    }
}

#[test]
fn commitments_and_their_map_are_the_same_after_every_restart() {
    let mut world = World::new();
    grow(&mut world, EVERY - 100);
    for size in [EVERY + 50, EVERY + 400, 2 * EVERY + 700] {
        grow(&mut world, size);
        let before = world.store().state(RECORDS).unwrap().state().clone();
        world.reopen();
        let after = world.store().state(RECORDS).unwrap().state().clone();
        assert_eq!(after, before, "at {}", before.size());
    }
    let state = world.store().state(RECORDS).unwrap();
    let map = state.state().subjects.map().clone();
    for position in [EVERY - 1, 2 * EVERY - 1] {
        let bundle = world.store().reader().entry_bundle(RECORDS, position / 256, 256).unwrap();
        let bundle = bundle.unwrap();
        let proof = world.store().reader().inclusion_proof(RECORDS, position, state.size).unwrap();
        let leaf = (38..46)
            .map(|length| &bundle[bundle.len() - length..])
            .find(|bytes| matches!(Leaf::decode(bytes), Ok(Leaf::Commitment(_))))
            .unwrap();
        let Ok(Leaf::Commitment(found)) = Leaf::decode(leaf) else { panic!("a commitment") };
        let (leaf, root) = (leaf_hash(leaf), state.root());
        assert!(ledger::proof::verify_inclusion(position, state.size, &leaf, &proof, &root));
        assert_eq!(found.position, position);
        assert_eq!(found.root == map.root(), position == 2 * EVERY - 1);
    }
}

#[test]
fn views_are_made_anew_and_messages_come_back_around_commitments() {
    let mut world = World::new();
    grow(&mut world, EVERY + 300);
    let (mut done, mut total) = (0, 0);
    let whole = world.store().rebuild_views(|now, all| {
        (done, total) = (now, all);
        ControlFlow::Continue(())
    });
    assert!(whole.unwrap());
    assert_eq!(done, total, "progress ends at the end");
    for (sequence, message) in (1..).zip(&world.messages[0]) {
        assert_eq!(
            world.store().reader().message(RECORDS, sequence).unwrap().as_ref(),
            Some(message)
        );
    }
}

#[test]
fn a_position_of_a_commitment_is_no_record_and_others_around_it_are() {
    let mut world = World::new();
    grow(&mut world, EVERY + 300);
    let reader = world.store().reader();
    assert!(commitment::is_at(EVERY - 1));
    assert_eq!(reader.record(RECORDS, EVERY - 1).unwrap(), None);
    for position in [EVERY - 2, EVERY] {
        assert!(reader.record(RECORDS, position).unwrap().is_some());
    }
}

#[test]
fn a_commitment_is_there_with_the_record_before_it() {
    let mut world = World::new();
    grow(&mut world, EVERY - 250);
    let keys = world.patient();
    world.file(keys, &[registered("Anna")]);
    let missing = EVERY - 1 - world.store().state(RECORDS).unwrap().size;
    let mut files = Vec::new();
    for number in 0..missing {
        let event = added(u8::try_from(number % 250).unwrap(), "cough");
        let contribution = world.contribution(RECORDS, &[crate::world::draft(keys, &event)]);
        let block = world.block(RECORDS, vec![Item::Contribution(contribution)]);
        files.push(world.give(RECORDS, block));
    }
    let last = files.pop().unwrap();
    let due = last.committed.unwrap();
    assert_eq!((due.position, last.records[0].position), (EVERY - 1, EVERY - 2));
    assert!(files.iter().all(|before| before.committed.is_none()));
    assert_eq!(world.store().state(RECORDS).unwrap().size, EVERY);
}
