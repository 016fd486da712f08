//! Messages that are refused whole, and messages before which apply stops.

use super::*;
use crate::block::{Contribution, MAX_BLOCK, SIGNATURE};
use crate::control::Control;

/// Refused, kept in the stream hash, and nothing else changed; the ledger goes on.
fn is_refused(world: &World, message: &[u8], expected: Refusal) {
    let mut world = world.clone();
    let before = world.state.clone();
    let applied = world.apply(message);
    assert_eq!(refusal(&applied), expected);
    let next = before.sequence + 1;
    let mut after = before.clone();
    after.sequence = next;
    after.stream_hash = stream_hash(&before.stream_hash, next, message);
    assert_eq!(world.state, after);
    assert!(applied.records.is_empty() && applied.settled.is_empty() && applied.heads.is_empty());
    let draft = world.draft(999, &[subject(1)]);
    assert!(is_accepted(&world.file(draft)), "service goes on");
}

/// Signs a frame around any content in any format.
fn framed(world: &World, node: NodeId, format: u16, content: &[u8]) -> Vec<u8> {
    use ed25519_dalek::Signer as _;
    let mut message = b"CSLB".to_vec();
    message.extend_from_slice(&format.to_be_bytes());
    message.extend_from_slice(&world.state.ledger.to_bytes());
    message.extend_from_slice(&node.0);
    message.extend_from_slice(&u32::try_from(content.len()).unwrap().to_be_bytes());
    message.extend_from_slice(content);
    let genesis = &world.state.genesis.0;
    let signed = [b"caseledger/block/v1".as_slice(), genesis, &Hash::of(&message).0].concat();
    message.extend_from_slice(&key(block_seed(node)).sign(&signed).to_bytes());
    message
}

/// The verdict on a contribution that sealing would refuse, from a node that does not check.
pub(super) fn unchecked(world: &World, contribution: Contribution) -> ItemVerdict {
    let items = vec![Item::Contribution(contribution)];
    let content = Content { sealed_at: START, base: world.state.base(), items };
    let message = framed(world, NODE, 1, &postcard::to_allocvec(&content).unwrap());
    judged(&world.clone().apply(&message))[0]
}

#[test]
fn junk_is_kept_and_counts_for_nothing() {
    let world = World::records();
    let block = world.seal_by(NODE, vec![Item::Contribution(world.draft(1, &[subject(1)]))]);
    for junk in [&b""[..], b"hello", &block[..block.len() - 1], &vec![7; MAX_BLOCK + 1]] {
        is_refused(&world, junk, Refusal::Junk);
    }
    let unsigned = [&block[..block.len() - SIGNATURE], &[0; SIGNATURE]].concat();
    is_refused(&world, &unsigned, Refusal::BadSignature);
}

#[test]
fn strangers_and_wrong_ledgers_are_refused() {
    let world = World::records();
    let draft = world.draft_by(OTHER, 1, &[subject(1)]);
    let message = world.seal_by(OTHER, vec![Item::Contribution(draft)]);
    is_refused(&world, &message, Refusal::NotAMember);

    let access = World::new(LedgerId::ACCESS);
    let message = access.seal_by(NODE, Vec::new());
    is_refused(&world, &message, Refusal::WrongLedger);

    // A member's name with a stranger's key.
    let content: Content =
        Content { sealed_at: START, base: world.state.base(), items: Vec::new() };
    let (ledger, genesis) = (world.state.ledger, &world.state.genesis);
    let seal = |key| crate::Block::seal(ledger, NODE, &content, &key, genesis).unwrap();
    is_refused(&world, &seal(key(99)), Refusal::BadSignature);
}

#[test]
fn a_members_unreadable_content_is_refused() {
    let world = World::records();
    is_refused(&world, &framed(&world, NODE, 1, b""), Refusal::BadContent);
    is_refused(&world, &framed(&world, NODE, 1, &[0xff; 300]), Refusal::BadContent);
    let content = Content { sealed_at: START, base: world.state.base(), items: Vec::new() };
    let mut bytes = postcard::to_allocvec::<Content>(&content).unwrap();
    let good = framed(&world, NODE, 1, &bytes);
    assert_eq!(judged(&world.clone().apply(&good)), []);
    bytes.push(0);
    is_refused(&world, &framed(&world, NODE, 1, &bytes), Refusal::BadContent);
}

#[test]
fn blocks_beyond_the_limits_are_refused() {
    let world = World::records();
    let note = |len: usize| {
        let items: Vec<Item> = vec![Item::Checkpoint(vec![0; len])];
        let content = Content { sealed_at: START, base: world.state.base(), items };
        framed(&world, NODE, 1, &postcard::to_allocvec(&content).unwrap())
    };
    let fits = note(MAX_BLOCK - 200);
    let exact = note(MAX_BLOCK - 200 + (MAX_BLOCK - fits.len()));
    assert_eq!(exact.len(), MAX_BLOCK);
    assert_eq!(judged(&world.clone().apply(&exact)), [ItemVerdict::Checkpoint]);
    is_refused(&world, &note(MAX_BLOCK - 199 + (MAX_BLOCK - fits.len())), Refusal::TooLarge);

    let empty = || crate::SealedRecord { header: Vec::new(), body: Vec::new() };
    let crowd = |count: usize| {
        let mut draft = world.draft(5, &[subject(1)]);
        draft.records = (0..count).map(|_| empty()).collect();
        let items = vec![Item::Contribution(draft)];
        let content = Content { sealed_at: START, base: world.state.base(), items };
        framed(&world, NODE, 1, &postcard::to_allocvec(&content).unwrap())
    };
    is_refused(&world, &crowd(1025), Refusal::TooLarge);
    let judged = judged(&world.clone().apply(&crowd(1024)));
    assert_eq!(void(&judged[0]), VoidReason::Malformed);
}

/// A future format signed by a member stops apply; junk that only claims it is junk.
#[test]
fn invariant_1_an_unknown_format_stops_apply_only_when_a_member_signed_it() {
    let mut world = World::records();
    world.admit(OTHER);
    let sequence = world.state.sequence + 1;
    for format in [0, 2, u16::MAX] {
        let message = framed(&world, OTHER, format, b"from the future");
        let before = world.state.clone();
        let stopped = world.try_apply(&message);
        assert_eq!(stopped, Err(ApplyError::UnknownFormat { sequence, node: OTHER, format }));
        assert_eq!(world.state, before);
    }
    let mut claimed = framed(&world, OTHER, 2, b"from the future");
    *claimed.last_mut().unwrap() ^= 1;
    is_refused(&world, &claimed, Refusal::BadSignature);
    let stranger = framed(&world, NodeId([3; 16]), 2, b"from the future");
    is_refused(&world, &stranger, Refusal::NotAMember);

    let retirement = Control::NodeRetired { node: OTHER, signatures: Vec::new() };
    let retirement = world.control(1, retirement);
    assert!(is_accepted(&world.file(retirement)));
    let retired = framed(&world, OTHER, 2, b"from the future");
    is_refused(&world, &retired, Refusal::RetiredNode);
}

#[test]
fn the_ledgers_time_is_the_latest_of_judged_blocks() {
    let mut world = World::records();
    let at = |world: &World, sealed_at, base| {
        world.seal_content(NODE, &Content { sealed_at, base, items: Vec::new() })
    };
    let later = at(&world, START + 5 * SECOND, world.state.base());
    world.apply(&later);
    assert_eq!(world.state.time, START + 5 * SECOND);
    let earlier = at(&world, START, world.state.base());
    assert_eq!(judged(&world.apply(&earlier)), [], "judged, and time stays");
    assert_eq!(world.state.time, START + 5 * SECOND);
    let refused = at(&world, START + 9 * SECOND, base(1, Hash::ZERO));
    world.apply(&refused);
    assert_eq!(world.state.time, START + 5 * SECOND, "a refused block has no say");
}
