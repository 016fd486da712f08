//! Foreign messages, last checkpoint.

use ledger::Hash;
use ledger::checkpoint::Checkpoint;

use crate::world::{RECORDS, World};

#[test]
fn foreign_messages_and_the_checkpoint_are_kept() {
    let mut world = World::new();
    let store = world.store();
    let checkpoint =
        Checkpoint { origin: "ledger.hospital.example".to_owned(), size: 7, root: Hash([1; 32]) };
    store.set_last_checkpoint(RECORDS, &checkpoint).unwrap();
    store.keep_foreign(RECORDS, 7, b"foreign").unwrap();
    store.keep_foreign(RECORDS, 7, b"foreign").unwrap();
    store.keep_foreign(RECORDS, 7, b"another").unwrap();
    store.keep_foreign(RECORDS, 3, b"foreign").unwrap();
    world.reopen();
    let store = world.store();
    assert_eq!(store.last_checkpoint(RECORDS).unwrap(), Some(checkpoint));
    let kept = store.foreign(RECORDS).unwrap();
    assert_eq!(kept.iter().map(|(sequence, ..)| *sequence).collect::<Vec<_>>(), [3, 7, 7]);
}
