//! Whether two nodes have one history.

use ledger::Hash;

use crate::peers::SignedHead;

/// Whether a peer's history is ours, as far as both go; none if it cannot be compared with what the peer
/// has lost. `asked`: our sequence and stream hash when it was asked; `ours`: our stream hash at an
/// earlier sequence.
pub(crate) fn agrees<E>(
    asked: (u64, Hash),
    head: &SignedHead,
    ours: impl Fn(u64) -> Result<Option<Hash>, E>,
) -> Result<Option<bool>, E> {
    let (sequence, stream_hash) = asked;
    if head.sequence < sequence {
        return Ok(Some(ours(head.sequence)? == Some(head.stream_hash)));
    }
    if head.behind && head.sequence > sequence {
        return Ok(None);
    }
    let there = if head.sequence == sequence { Some(head.stream_hash) } else { head.at_asked };
    Ok(Some(there == Some(stream_hash)))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use ledger::NodeId;

    use super::*;

    fn hash(sequence: u64) -> Hash {
        ledger::stream_hash(&Hash::ZERO, sequence, b"ours")
    }

    fn head(sequence: u64, stream_hash: Hash, at_asked: Option<Hash>) -> SignedHead {
        let (node, signature) = (NodeId([2; 16]), [0; 64]);
        SignedHead { node, sequence, stream_hash, at_asked, behind: false, signature }
    }

    /// Asked when this node stood at 5; by now it is at 7.
    fn agree(head: &SignedHead) -> Option<bool> {
        let ours = |sequence| Ok::<_, Infallible>((sequence <= 7).then(|| hash(sequence)));
        let Ok(agree) = agrees((5, hash(5)), head, ours);
        agree
    }

    #[test]
    fn histories_are_compared_where_this_node_stood_when_it_asked() {
        assert_eq!(agree(&head(9, hash(9), Some(hash(5)))), Some(true), "both went on");
        assert_eq!(agree(&head(5, hash(5), Some(hash(5)))), Some(true));
        assert_eq!(agree(&head(3, hash(3), None)), Some(true), "it is not as far yet");
        let other = ledger::stream_hash(&Hash::ZERO, 5, b"theirs");
        assert_eq!(agree(&head(9, hash(9), Some(other))), Some(false));
        assert_eq!(agree(&head(5, other, Some(other))), Some(false));
        assert_eq!(agree(&head(3, other, None)), Some(false));
        assert_eq!(agree(&head(9, hash(9), None)), Some(false), "it does not say what it had");
        let behind = |sequence| SignedHead { behind: true, ..head(sequence, hash(sequence), None) };
        assert_eq!(agree(&behind(9)), None, "it lost what could be compared");
        assert_eq!(agree(&behind(3)), Some(true));
    }
}
