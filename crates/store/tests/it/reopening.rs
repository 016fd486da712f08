//! What opening compares: nothing may have gone back, nothing may be of another world.

use crate::world::{RECORDS, World, added, copy};
use std::fs;
use store::{LedgerPin, OpenError, Store};

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

/// An older copy of the whole database opens well in RocksDB, and is refused here.
#[test]
fn invariant_6_rocksdb_never_goes_back() {
    let mut world = World::new();
    let keys = world.patient_with_file();
    world.close();
    let older = world.dir.path().join("older");
    copy(&world.database(), &older);
    world.reopen();
    world.file(keys, &[added(9, "later")]);
    world.close();
    fs::remove_dir_all(world.database()).unwrap();
    copy(&older, &world.database());
    let error = world.open().unwrap_err();
    assert!(matches!(error, OpenError::WentBack { kept: 3, found: 2, .. }), "{error}");
    // refusing must not forget: it is refused again
    assert!(matches!(world.open(), Err(OpenError::WentBack { .. })));
}

#[test]
fn invariant_6_a_database_that_is_gone_is_not_begun_anew() {
    let mut world = World::new();
    world.patient_with_file();
    world.close();
    fs::remove_dir_all(world.database()).unwrap();
    let error = world.open().unwrap_err();
    assert!(matches!(error, OpenError::Gone { .. }), "{error}");
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
