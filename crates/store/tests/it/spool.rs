//! The spool: in order, counted, and known to have been there.

use crate::world::World;
use rocksdb::{DB, Options};
use std::fs;
use store::OpenError;

#[test]
fn the_spool_keeps_order_and_counts_its_bytes() {
    let mut world = World::new();
    for number in [3, 1, 300, 2] {
        world.store().spool().put(number, &[7; 100], number).unwrap();
    }
    world.store().spool().put(2, &[7; 50], 301).unwrap();
    assert_eq!(world.store().spool().bytes(), 350);
    world.reopen();
    let spool = world.store().spool();
    assert_eq!(spool.bytes(), 350);
    spool.remove(2).unwrap();
    let left: Vec<_> = spool.blocks().map(|item| item.unwrap().0).collect();
    assert_eq!(left, [3, 300]);
    assert_eq!(spool.bytes(), 200);
    spool.put(1, &[7; 10], 302).unwrap();
    let left: Vec<_> = spool.blocks().map(|item| item.unwrap().0).collect();
    assert_eq!(left, [1, 3, 300], "one that comes below the others is found");
    spool.remove(u64::MAX).unwrap();
    assert_eq!(spool.bytes(), 0);
    assert_eq!(spool.newest().unwrap(), 302, "it stays known");
}

#[test]
fn what_answers_relied_on_stays_known_when_the_spool_is_gone() {
    let mut world = World::new();
    world.store().spool().put(1, &[7; 100], 5).unwrap();
    world.store().rely_on_spool().unwrap();
    world.store().spool().put(2, &[7; 100], 9).unwrap();
    assert_eq!(world.store().spooled_upto().unwrap(), 9);
    world.close();
    fs::remove_dir_all(world.dir.path().join("spool")).unwrap();
    world.reopen();
    assert_eq!(world.store().spool().bytes(), 0);
    assert_eq!(world.store().spooled_upto().unwrap(), 5, "nothing left on the word of the others");
}

#[test]
fn what_was_lost_stays_known_and_is_counted_once() {
    let mut world = World::new();
    world.store().spool().put(1, &[7; 100], 5).unwrap();
    world.store().rely_on_spool().unwrap();
    world.store().spool().remove(1).unwrap();
    world.store().note_lost_accesses(3, 2).unwrap();
    assert_eq!(world.store().spooled_upto().unwrap(), 2, "the chain goes on from here");
    world.reopen();
    assert_eq!(world.store().lost_accesses().unwrap(), 3);
    assert_eq!(world.store().spooled_upto().unwrap(), 2);
}

#[test]
fn a_block_is_found_by_its_number_and_one_that_is_lost_takes_nothing_else_along() {
    let mut world = World::new();
    for (number, newest) in [(1_u64, 5), (3, 9)] {
        world.store().spool().put(number, &number.to_be_bytes(), newest).unwrap();
    }
    let spool = world.store().spool();
    assert_eq!(spool.get(3).unwrap(), Some(3_u64.to_be_bytes().to_vec()));
    assert_eq!(spool.get(2).unwrap(), None);
    world.store().rely_on_spool().unwrap();
    world.store().note_lost_in_spool(4).unwrap();
    world.reopen();
    assert_eq!(world.store().lost_accesses().unwrap(), 4);
    assert_eq!(world.store().spooled_upto().unwrap(), 9, "what is behind it is still expected");
}

#[test]
fn a_damaged_spool_is_set_aside_alone() {
    let mut world = World::new();
    world.patient_with_file();
    for number in 1..40 {
        world.store().spool().put(number, &[7; 1_000], number).unwrap();
    }
    let size = world.store().state(crate::world::RECORDS).unwrap().size;
    world.close();
    let spool = world.dir.path().join("spool");
    let logs = crate::world::files(&spool).into_iter();
    let log = logs.filter(|file| file.extension().is_some_and(|found| found == "log"));
    let log = log.max_by_key(|log| fs::metadata(log).unwrap().len()).unwrap();
    let mut bytes = fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&log, bytes).unwrap();
    world.reopen();
    let [set_aside] = world.store().set_aside() else { panic!("one is set aside") };
    assert_eq!(set_aside.name, "spool");
    assert!(set_aside.kept.as_ref().unwrap().join("CURRENT").exists(), "it is kept");
    assert_eq!(world.store().state(crate::world::RECORDS).unwrap().size, size, "records are not");
    assert_eq!(world.store().spool().bytes(), 0);
}

#[test]
fn a_spool_that_cannot_be_opened_is_not_called_damaged_and_stays_where_it_is() {
    let mut world = World::new();
    world.store().spool().put(1, &[7; 100], 5).unwrap();
    world.close();
    let path = world.dir.path().join("spool");
    let held = DB::open_cf(&Options::default(), &path, ["default", "newest"]).unwrap();
    let error = world.open().unwrap_err();
    assert!(matches!(&error, OpenError::Unreadable { path: at, .. } if *at == path), "{error:?}");
    assert!(error.to_string().contains("does not mean that it is damaged"), "{error}");
    drop(held);
    world.reopen();
    assert!(world.store().set_aside().is_empty());
    assert_eq!(world.store().spool().bytes(), 100);
}

#[test]
fn blocks_that_are_removed_at_once_are_counted_once() {
    let world = World::new();
    let spool = world.store().spool();
    for round in 0..50 {
        for number in 1..=8 {
            spool.put(round * 8 + number, &[7; 1000], 1).unwrap();
        }
        std::thread::scope(|scope| {
            for number in 1..=8 {
                scope.spawn(move || spool.remove(round * 8 + number).unwrap());
            }
        });
        assert_eq!(spool.bytes(), 0, "in round {round}");
    }
}
