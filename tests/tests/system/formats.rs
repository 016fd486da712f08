//! Messages that no node of this version would write: what each of them does, and that it does no
//! more than that.

use api::v1;
use ledger::{Base, Block, Content, ContributionId, Hash, Item, LedgerId, NodeId, SigningKey};
use testkit::client::{Client, request_id};
use testkit::cluster::Cluster;
use tonic::Code;

use crate::tools::{
    Pen, alarm, filed_since, messages, publish, reason, records_are, some_notes, with_notes,
};

async fn records(cluster: &Cluster) -> v1::Head {
    cluster.agreed().await.expect("agreed").swap_remove(0)
}

/// A block of format 1 in which the pen's owner abandons `request_id` of testkit's case manager.
fn abandonment(pen: &Pen, base: Base, sealed_at: u64, request_id: &str) -> Vec<u8> {
    let id = ContributionId::of_request("testkit", "case-manager-1", request_id);
    let content: Content = Content { sealed_at, base, items: vec![Item::Abandonment(id)] };
    Block::seal(LedgerId::RECORDS, pen.node, &content, &pen.key, &pen.genesis).expect("sealed")
}

fn base_of(head: &v1::Head) -> Base {
    let hash: [u8; 32] = head.stream_hash.as_slice().try_into().expect("32 bytes");
    Base { sequence: head.sequence, stream_hash: Hash(hash) }
}

fn micros(head: &v1::Head) -> u64 {
    let time = head.time.as_ref().expect("the ledger's time");
    u64::try_from(time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000).expect("since 1970")
}

#[tokio::test]
async fn a_block_published_again_changes_nothing_however_late() {
    let (cluster, manager, patient) = with_notes(2, 0).await;
    let id = request_id();
    let first = manager.file_note(&patient, "once", &id, None).await.expect("filed");
    let block = filed_since(&cluster, 0).await.pop().expect("a block");
    publish(&cluster, block.clone()).await;
    some_notes(&manager, &patient, 10).await;
    let before = records(&cluster).await;
    // Much later: that block again, then all there ever were, the genesis block too.
    publish(&cluster, block).await;
    let everything = messages(&cluster).await;
    let filed = filed_since(&cluster, 0).await.len();
    for message in &everything {
        publish(&cluster, message.clone()).await;
    }
    let position = some_notes(&manager, &patient, 1).await;
    let after = records(&cluster).await;
    assert_eq!(after.size, before.size + 1, "only the last note was filed");
    let kept = filed_since(&cluster, before.sequence).await.len();
    assert_eq!(kept, 1 + filed + 1, "every message is kept");
    let again = manager.file_note(&patient, "once", &id, None).await.expect("its first outcome");
    assert!(again.repeated_request);
    assert_eq!((again.position, again.version), (first.position, first.version));
    for index in 0..2 {
        let client = cluster.client(index, "case-manager").unwrap();
        let file = client.read_file(&patient, Some(position)).await.unwrap().file.unwrap();
        assert_eq!((file.version, file.entries.len()), (13, 12));
        let operator = cluster.client(index, "hospital-it").unwrap();
        records_are(&operator, v1::LedgerCondition::Serving).await;
    }
}

#[tokio::test]
async fn who_is_no_member_is_refused_whatever_format_they_claim() {
    let (cluster, manager, patient) = with_notes(1, 0).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    let before = records(&cluster).await;
    let member = Pen::of(&cluster.node(0).state);
    let own_key = SigningKey::from_bytes(&[7; 32]);
    let pen = |node, key: &SigningKey, genesis| Pen {
        node,
        key: key.clone(),
        genesis,
        access: member.access,
    };
    let stranger = pen(NodeId([7; 16]), &own_key, member.genesis);
    let forger = pen(member.node, &own_key, member.genesis);
    let elsewhere = pen(member.node, &member.key, Hash::of(b"another world"));
    let id = request_id();
    let (base, at) = (base_of(&before), micros(&before));
    let mut sent = 0;
    for pen in [&stranger, &forger, &elsewhere] {
        for message in [abandonment(pen, base, at, &id), pen.frame(2, b"from the future")] {
            publish(&cluster, message).await;
            sent += 1;
        }
    }
    manager.file_note(&patient, "not abandoned", &id, None).await.expect("nothing was abandoned");
    let after = records(&cluster).await;
    let filed = filed_since(&cluster, before.sequence).await.len() as u64;
    assert_eq!((after.size, filed), (before.size + 1, sent + 1));
    let raised = alarm(&operator, "BLOCK_REFUSED").await;
    assert_eq!(raised.count, sent, "each is told of: {raised:?}");
    cluster.node(0).serving().await.expect("service goes on");
}

#[tokio::test]
async fn a_members_block_beyond_the_limit_is_refused() {
    let (cluster, manager, patient) = with_notes(1, 0).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    let before = records(&cluster).await;
    let pen = Pen::of(&cluster.node(0).state);
    let too_large = pen.frame(1, &vec![0; ledger::block::MAX_BLOCK]);
    publish(&cluster, too_large).await;
    let raised = alarm(&operator, "BLOCK_REFUSED").await;
    assert!(raised.text.contains("larger than a block may be"), "{raised:?}");
    // Signed and short enough, but no content of format 1.
    publish(&cluster, pen.frame(1, b"nonsense")).await;
    some_notes(&manager, &patient, 1).await;
    let after = records(&cluster).await;
    let filed = filed_since(&cluster, before.sequence).await.len();
    assert_eq!((after.size, filed), (before.size + 1, 3));
    assert_eq!(alarm(&operator, "BLOCK_REFUSED").await.count, 2);
    cluster.node(0).serving().await.expect("service goes on");
}

#[tokio::test]
async fn invariant_5_a_block_on_another_history_is_refused() {
    let (cluster, manager, patient) = with_notes(1, 3).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    let before = records(&cluster).await;
    let pen = Pen::of(&cluster.node(0).state);
    let (base, at) = (base_of(&before), micros(&before));
    let id = request_id();
    let changed = Base { stream_hash: Hash::of(b"another past"), ..base };
    let earlier = Base { sequence: base.sequence - 1, ..base };
    let future = Base { sequence: base.sequence + 100, ..base };
    for base in [changed, earlier, future] {
        publish(&cluster, abandonment(&pen, base, at, &id)).await;
    }
    manager.file_note(&patient, "not abandoned", &id, None).await.expect("nothing was abandoned");
    let after = records(&cluster).await;
    let filed = filed_since(&cluster, before.sequence).await.len();
    assert_eq!((after.size, filed), (before.size + 1, 4));
    let raised = alarm(&operator, "BLOCK_REFUSED").await;
    assert_eq!(raised.count, 3);
    assert!(raised.text.contains("base") || raised.text.contains("history"), "{raised:?}");
    // The same block on the true history, however old, does what it says: the base alone decided.
    let id = request_id();
    publish(&cluster, abandonment(&pen, base, micros(&after), &id)).await;
    let refused = manager.file_note(&patient, "abandoned", &id, None).await.expect_err("abandoned");
    assert_eq!(reason(&refused), "REQUEST_ABANDONED");
    cluster.node(0).serving().await.expect("service goes on");
}

/// Reads go on, writes are refused and say so.
async fn stands_still(cluster: &Cluster, index: usize, patient: &str) {
    let operator = cluster.client(index, "hospital-it").unwrap();
    let stopped = records_are(&operator, v1::LedgerCondition::Stopped).await;
    assert!(stopped.reason.contains("format 2"), "it says why: {}", stopped.reason);
    let raised = alarm(&operator, "APPLY_STOPPED").await;
    assert!(raised.text.contains("records.0.0"), "{raised:?}");
    let manager: Client = cluster.client(index, "case-manager").unwrap();
    let file = manager.read_file(patient, None).await.expect("reads go on").file.unwrap();
    assert_eq!(file.entries.len(), 3);
    let refused = manager.file_note(patient, "not now", &request_id(), None).await;
    let refused = refused.expect_err("no writes");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "NOT_FILED"));
}

#[tokio::test]
async fn invariant_1_apply_stops_before_a_format_it_does_not_know() {
    let (mut cluster, _, patient) = with_notes(2, 3).await;
    let before = records(&cluster).await;
    let newer = Pen::of(&cluster.node(1).state).frame(2, b"what a later version has to say");
    publish(&cluster, newer).await;
    for index in 0..2 {
        stands_still(&cluster, index, &patient).await;
    }
    // What follows is not applied either, and a new start changes nothing.
    publish(&cluster, b"junk".to_vec()).await;
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.node_mut(0).spawn().expect("started");
    stands_still(&cluster, 0, &patient).await;
    let after = records(&cluster).await;
    assert_eq!((after.size, after.sequence), (before.size, before.sequence));
}
