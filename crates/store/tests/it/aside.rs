//! Foreign messages, last checkpoint.

use crate::world::{RECORDS, World};

#[test]
fn foreign_messages_and_the_checkpoint_are_kept() {
    let mut world = World::new();
    let store = world.store();
    store.set_last_checkpoint(RECORDS, "a note\n").unwrap();
    store.keep_foreign(RECORDS, 7, b"foreign").unwrap();
    store.keep_foreign(RECORDS, 7, b"foreign").unwrap();
    store.keep_foreign(RECORDS, 7, b"another").unwrap();
    store.keep_foreign(RECORDS, 3, b"foreign").unwrap();
    world.reopen();
    let store = world.store();
    assert_eq!(store.last_checkpoint(RECORDS).unwrap().as_deref(), Some("a note\n"));
    let kept = store.foreign(RECORDS).unwrap();
    assert_eq!(kept.iter().map(|(sequence, ..)| *sequence).collect::<Vec<_>>(), [3, 7, 7]);
}
