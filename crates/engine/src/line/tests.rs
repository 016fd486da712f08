use futures::FutureExt as _;
use ledger::founding::{Founding, found};
use ledger::{Base, Block, Content, Contribution, Hash, Item, SealedRecord, SigningKey};
use vault::{KeyEncryptionKey, Vault};

use super::reach::{NEAR, ROOM};
use super::*;
use crate::clock::Clock;

/// This node.
const NODE: NodeId = NodeId([7; 16]);
/// What its blocks are signed with.
const KEY: u8 = 2;

/// A new store, the message that founds its ledger, and the hash of the genesis in that.
fn new_store(dir: &std::path::Path) -> (Arc<Store>, Bytes, Hash) {
    let administrator = SigningKey::from_bytes(&[1; 32]);
    let founded = found(&Founding {
        ledger: LedgerId::RECORDS,
        name: "ledger.hospital.example",
        created_at: 1,
        administrators: &[administrator.verifying_key().to_bytes()],
        threshold: 1,
        signers: &[(0, &administrator)],
        node: NODE,
        block_key: &SigningKey::from_bytes(&[KEY; 32]),
        checkpoint_key: SigningKey::from_bytes(&[3; 32]).verifying_key().to_bytes(),
        cosigner_key: SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes(),
    })
    .unwrap();
    let vault = Vault::open(dir, KeyEncryptionKey::from_bytes(1, &[4; 32]).unwrap()).unwrap();
    let pin = |ledger| store::LedgerPin { ledger, genesis: founded.genesis };
    let pins = [pin(LedgerId::RECORDS), pin(LedgerId::ACCESS)];
    let store = Arc::new(Store::open(dir, &pins, Arc::new(vault)).unwrap());
    (store, founded.block.into(), founded.genesis)
}

fn alarms() -> Arc<Alarms> {
    Arc::new(Alarms::new(Clock::system()))
}

/// A line on a new store, and the message that founds its ledger.
fn line(dir: &std::path::Path) -> (Arc<Line>, Bytes) {
    let (store, first, _) = new_store(dir);
    (Line::start(store, LedgerId::RECORDS, NODE, alarms()).unwrap(), first)
}

#[test]
fn nothing_is_read_or_written_while_the_views_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let (line, _) = line(dir.path());
    line.making_views(5, 10);
    let told = line.near_end().unwrap_err().to_string();
    assert!(told.contains("5 of 10 records"), "{told}");
    assert!(line.writable().unwrap_err().contains("5 of 10 records"));
    line.views_made();
    assert_eq!(line.reach(), Reach::Behind { last: 0 }, "as after a start: nothing is applied");
    assert!(line.writable().is_err(), "peers and broker are asked first");
}

#[test]
fn a_stop_is_final_while_the_views_are_made() {
    let dir = tempfile::tempdir().unwrap();
    let (line, _) = line(dir.path());
    line.set_condition(Condition::Stopped("the disk is full".to_owned()));
    line.making_views(5, 10);
    assert_eq!(line.writable().unwrap_err(), "the disk is full");
    line.views_made();
    assert_eq!(line.writable().unwrap_err(), "the disk is full");
}

#[test]
fn a_message_that_comes_twice_in_one_batch_is_applied_once_and_stops_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (line, first) = line(dir.path());
    let junk = Bytes::from_static(b"junk");
    let mut batch =
        vec![(1, first.clone()), (2, junk.clone()), (1, first), (2, junk.clone()), (3, junk)];
    apply_batch(&line, &mut batch);
    assert_eq!(line.progress().sequence, 3);
    assert_eq!(*line.trouble.borrow(), None);
    // Other bytes under a sequence in hand are another history.
    let mut batch = vec![(4, Bytes::from_static(b"four")), (4, Bytes::from_static(b"other"))];
    apply_batch(&line, &mut batch);
    assert!(matches!(&*line.trouble.borrow(), Some(Trouble::Stop(_))));
}

/// A block of one contribution that stands on another history, in this node's name or another's.
fn elsewhere(node: NodeId, key: u8, id: ContributionId, genesis: &Hash) -> Bytes {
    let records = vec![SealedRecord { header: vec![1], body: Vec::new() }];
    let one = Contribution { id, request_digest: Hash::ZERO, reads: Vec::new(), records };
    let base = Base { sequence: 1, stream_hash: Hash::of(b"another past") };
    let content = Content { sealed_at: 2, base, items: vec![Item::Contribution(one)] };
    let key = SigningKey::from_bytes(&[key; 32]);
    Block::seal(LedgerId::RECORDS, node, &content, &key, genesis).unwrap().into()
}

#[test]
fn whoever_waits_is_told_of_a_refusal_by_this_node_s_own_block_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first, genesis) = new_store(dir.path());
    let line = Line::start(store, LedgerId::RECORDS, NODE, alarms()).unwrap();
    let id = ContributionId([9; 32]);
    let mut told = line.expect(id);
    let stranger = elsewhere(NodeId([8; 16]), 8, id, &genesis);
    let in_our_name = elsewhere(NODE, 8, id, &genesis);
    apply_batch(&line, &mut vec![(1, first), (2, stranger), (3, in_our_name)]);
    assert_eq!(line.progress().sequence, 3);
    assert_eq!(told.try_recv(), Err(oneshot::error::TryRecvError::Empty), "its own is to come");
    apply_batch(&line, &mut vec![(4, elsewhere(NODE, KEY, id, &genesis))]);
    assert!(matches!(told.try_recv(), Ok(Outcome::Refused(Refusal::BadBase(_)))));
}

#[tokio::test]
async fn a_node_whose_apply_has_ended_says_so_at_the_next_message() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first, _) = new_store(dir.path());
    let (line, work) = Line::idle(store, LedgerId::RECORDS, NODE, alarms()).unwrap();
    assert!(line.feed(1, first.clone()).await, "it waits to be applied");
    drop(work);
    assert!(!line.feed(1, first).await);
    assert!(line.alarms.is_raised(APPLY_STOPPED, Some(LedgerId::RECORDS)));
    assert!(matches!(&*line.condition.borrow(), Condition::Stopped(_)));
}

#[tokio::test]
async fn where_a_node_is_is_told_when_all_that_was_handed_over_is_dealt_with() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first, _) = new_store(dir.path());
    let (line, work) = Line::idle(store, LedgerId::RECORDS, NODE, alarms()).unwrap();
    assert_eq!(line.drained().now_or_never(), Some(true), "nothing waits");
    // What comes behind a gap is dropped, and waited for no longer.
    for sequence in [1, 3, 4] {
        assert!(line.feed(sequence, first.clone()).await);
    }
    assert_eq!(line.drained().now_or_never(), None, "it is yet to be applied");
    let weak = Arc::downgrade(&line);
    let applying = std::thread::spawn(move || apply_loop(&weak, work));
    assert!(line.drained().await);
    assert_eq!(line.progress().sequence, 1);
    assert!(matches!(&*line.trouble.borrow(), Some(Trouble::Gap { .. })));
    drop(line);
    applying.join().unwrap();
}

#[tokio::test]
async fn what_will_never_be_applied_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let (store, first, _) = new_store(dir.path());
    let (line, work) = Line::idle(store, LedgerId::RECORDS, NODE, alarms()).unwrap();
    assert!(line.feed(1, first).await);
    drop(work);
    assert!(!line.drained().await);
    assert!(matches!(&*line.condition.borrow(), Condition::Stopped(_)));
}

#[test]
fn a_node_that_serves_has_more_room_than_one_that_is_to_serve() {
    assert!(is_behind(7, 7 + NEAR + 1) && !has_fallen_behind(7, 7 + NEAR + 1));
    assert!(!has_fallen_behind(7, 7 + ROOM) && has_fallen_behind(7, 7 + ROOM + 1));
}
