//! Spool, foreign messages, stream identity, last checkpoint.

use crate::world::{RECORDS, World};

#[test]
fn the_spool_keeps_order_and_counts_its_bytes() {
    let mut world = World::new();
    for number in [3, 1, 300, 2] {
        world.store().spool_put(number, &[7; 100], number).unwrap();
    }
    world.store().spool_put(2, &[7; 50], 301).unwrap();
    assert_eq!(world.store().spool_bytes(), 350);
    world.reopen();
    assert_eq!(world.store().spool_bytes(), 350);
    world.store().spool_remove(2).unwrap();
    let left: Vec<_> = world.store().spool_iter().unwrap().map(|item| item.unwrap().0).collect();
    assert_eq!(left, [3, 300]);
    assert_eq!(world.store().spool_bytes(), 200);
    world.store().spool_remove(u64::MAX).unwrap();
    assert_eq!(world.store().spool_bytes(), 0);
    assert_eq!(world.store().spool_newest().unwrap(), Some(301), "it stays known");
}

#[test]
fn foreign_messages_identity_and_checkpoint_are_kept() {
    let mut world = World::new();
    let store = world.store();
    assert_eq!(store.stream_identity(RECORDS).unwrap(), None);
    store.set_stream_identity(RECORDS, -5).unwrap();
    store.set_last_checkpoint(RECORDS, "a note\n").unwrap();
    store.keep_foreign(RECORDS, 7, b"foreign").unwrap();
    store.keep_foreign(RECORDS, 7, b"foreign").unwrap();
    store.keep_foreign(RECORDS, 7, b"another").unwrap();
    store.keep_foreign(RECORDS, 3, b"foreign").unwrap();
    world.reopen();
    let store = world.store();
    assert_eq!(store.stream_identity(RECORDS).unwrap(), Some(-5));
    assert_eq!(store.last_checkpoint(RECORDS).unwrap().as_deref(), Some("a note\n"));
    let kept = store.foreign(RECORDS).unwrap();
    assert_eq!(kept.iter().map(|(sequence, ..)| *sequence).collect::<Vec<_>>(), [3, 7, 7]);
}
