use super::*;

/// What the stream hashes begin with.
const START: Hash = Hash::ZERO;

fn head(peer: &Peer, sequence: u64, behind: bool) -> SignedHead {
    let stream_hash = ledger::stream_hash(&START, sequence, b"message");
    let (node, signature) = (peer.node, [0; 64]);
    SignedHead { node, sequence, stream_hash, at_asked: None, behind, signature }
}

#[test]
fn a_node_on_a_losing_branch_is_neither_come_to_nor_waited_for() {
    let (first, third) = (Peer::silent(1), Peer::silent(3));
    let heads = [(&first, head(&first, 90, false)), (&third, head(&third, 9, false))];
    let of = |differing: &[NodeId]| {
        Furthest::of(NodeId([2; 16]), (7, START), &heads, differing.to_vec())
    };
    let furthest = of(&[first.node]);
    assert_eq!((furthest.sequence, furthest.peer.map(|peer| peer.node)), (9, Some(third.node)));
    assert_eq!(furthest.stream_hash, heads[1].1.stream_hash);
    assert!(furthest.first.is_none(), "the first will never rebuild the stream");
    let furthest = of(&[]);
    let who = furthest.first.map(|peer| peer.node);
    assert_eq!((furthest.sequence, who), (90, Some(first.node)), "with one history it would");
}

#[test]
fn a_node_that_lost_its_database_gives_nothing() {
    let first = Peer::silent(1);
    let heads = [(&first, head(&first, 90, true))];
    let furthest = Furthest::of(NodeId([2; 16]), (7, START), &heads, Vec::new());
    assert_eq!((furthest.sequence, furthest.first.is_none()), (7, true));
    assert!(furthest.peer.is_none(), "this node is the furthest");
}

#[test]
fn one_who_refuses_outweighs_a_majority_that_grants() {
    let yes = |address| (address, Some(true));
    assert!(may_rebuild(&[], 1).is_ok(), "it is alone");
    assert!(may_rebuild(&[yes("b"), ("c", None)], 2).is_ok());
    let said = may_rebuild(&[yes("b"), ("c", Some(false))], 2).unwrap_err();
    assert!(said.starts_with("c does not grant"), "{said}");
    assert!(may_rebuild(&[("b", None), ("c", None)], 2).unwrap_err().contains("a majority"));
}
