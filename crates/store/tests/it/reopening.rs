//! What opening compares: nothing may have gone back, nothing may be of another world.

use crate::world::{RECORDS, World, added, copy, registered};
use std::fs;
use store::{LedgerPin, OpenError, Store, StoreError};

#[test]
fn what_was_applied_is_there_after_opening_again() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    let before = world.store().state(RECORDS).unwrap();
    world.reopen();
    let after = world.store().state(RECORDS).unwrap();
    assert_eq!(after.state(), before.state());
    assert_eq!(after.root(), before.root());
    world.file(keys, &[added(9, "later")]);
    assert_eq!(world.store().state(RECORDS).unwrap().size, before.size + 1);
}

/// An older copy of the whole database opens well in RocksDB: it is behind where this node was.
#[test]
fn invariant_6_rocksdb_never_goes_back() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    world.close();
    let older = world.dir.path().join("older");
    copy(&world.database(), &older);
    world.reopen();
    world.file(keys, &[added(9, "later")]);
    let state = world.store().state(RECORDS).unwrap();
    world.close();
    fs::remove_dir_all(world.database()).unwrap();
    copy(&older, &world.database());
    for _ in 0..2 {
        // opening and closing it must not forget
        world.reopen();
        let floor = world.store().floor(RECORDS).unwrap().expect("it is behind");
        assert_eq!((floor.sequence, floor.stream_hash), (3, state.stream_hash));
    }
    // another future than the one that was told is not taken
    let error = world.store().apply(RECORDS, &[(3, b"junk")]).unwrap_err();
    assert!(matches!(error, StoreError::OtherHistory { sequence: 3, .. }), "{error}");
    let message = world.messages[0][2].clone();
    world.store().apply(RECORDS, &[(3, message)]).unwrap();
    assert_eq!(world.store().floor(RECORDS).unwrap(), None);
    assert_eq!(world.store().state(RECORDS).unwrap().root(), state.root());
}

#[test]
fn invariant_6_a_database_that_is_gone_is_missed() {
    let mut world = World::new();
    world.patient_with_file();
    world.close();
    fs::remove_dir_all(world.database()).unwrap();
    world.reopen();
    let [gone] = world.store().set_aside() else { panic!("it is told") };
    assert_eq!((gone.name, &gone.kept), ("ledger", &None));
    assert_eq!(world.store().state(RECORDS).unwrap().sequence, 0);
    assert_eq!(world.store().floor(RECORDS).unwrap().unwrap().sequence, 2);
}

/// Ledgers take turns, and what comes last may be followed by nothing.
#[test]
fn invariant_6_where_each_ledger_is_stays_known_without_a_clean_end() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    world.file(keys, &[added(9, "the last before a crash")]);
    world.store().write_position().unwrap();
    // what a killed process leaves: no closing, so nothing written after this
    let kept = fs::read_to_string(world.dir.path().join("position.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["ledgers"]["records.0.0"]["sequence"], 3);
    assert_eq!(kept["ledgers"]["access.0.0"]["sequence"], 1);
}

/// The disk may take the database and not the small file beside it.
#[test]
fn a_position_that_cannot_be_written_stops_no_apply() {
    let mut world = World::new();
    let keys = world.patient();
    // After a start the position is written with the first message.
    world.reopen();
    let in_its_way = world.dir.path().join("position.json.next");
    fs::create_dir(&in_its_way).unwrap();
    world.file(keys, &[registered("Anna")]);
    assert_eq!(world.sequence(RECORDS), 2, "it is applied");
    assert!(world.store().write_position().is_err(), "and the position is still to be written");
    fs::remove_dir(&in_its_way).unwrap();
    world.store().write_position().unwrap();
    let kept = fs::read_to_string(world.dir.path().join("position.json")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(kept["ledgers"]["records.0.0"]["sequence"], 2);
}

#[test]
fn a_position_that_is_gone_is_told() {
    let mut world = World::new();
    world.close();
    fs::remove_file(world.dir.path().join("position.json")).unwrap();
    world.reopen();
    let [told] = world.store().set_aside() else { panic!("it is told") };
    assert_eq!(told.name, "position");
}

#[test]
fn invariant_6_a_database_of_another_branch_is_refused() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    world.close();
    let common = world.dir.path().join("common");
    copy(&world.database(), &common);
    world.reopen();
    world.file(keys, &[added(9, "this branch")]);
    world.close();
    let position = fs::read(world.dir.path().join("position.json")).unwrap();
    // the other branch: the same length, another message
    fs::remove_dir_all(world.database()).unwrap();
    copy(&common, &world.database());
    fs::remove_file(world.dir.path().join("position.json")).unwrap();
    world.reopen();
    world.file(keys, &[added(9, "that branch")]);
    world.close();
    fs::write(world.dir.path().join("position.json"), position).unwrap();
    let error = world.open().unwrap_err();
    assert!(
        matches!(error, OpenError::OtherHistory { sequence: 3, what: "stream hash", .. }),
        "{error}"
    );
}

#[test]
fn a_database_of_another_genesis_is_refused() {
    let mut world = World::new();
    world.close();
    let pins = [LedgerPin { genesis: ledger::Hash([1; 32]), ..world.pins[0] }, world.pins[1]];
    let opened = Store::open(world.dir.path(), &pins, std::sync::Arc::clone(&world.vault));
    assert!(matches!(opened, Err(OpenError::OtherGenesis { .. })), "{opened:?}");
}

#[test]
fn a_position_file_that_cannot_be_read_is_named() {
    let mut world = World::new();
    world.close();
    let path = world.dir.path().join("position.json");
    for content in ["", "{}", "{\"format\":2,\"ledgers\":{}}"] {
        fs::write(&path, content).unwrap();
        let error = world.open().unwrap_err();
        assert!(matches!(error, OpenError::Position { .. }), "{error}");
        assert!(error.to_string().contains("position.json"), "{error}");
    }
}

#[test]
fn a_new_directory_opens_empty() {
    let world = World::empty();
    let state = world.store().state(RECORDS).unwrap();
    assert_eq!((state.sequence, state.size), (0, 0));
    assert!(world.store().views_ready().unwrap());
}
