//! Who may rebuild a stream: one node a damaged stream, granted by a majority; any node one that is
//! gone, when a majority sees none either. Nobody grants it who has more than the node that asks.
//!
//! A grant ends by itself, for the node that holds it may have died. So whoever holds one asks for
//! it again right before it deletes the stream, and does that within [`GOOD_FOR`] of asking, which is
//! earlier than anybody who granted it takes it for over: of two nodes never both may delete.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ledger::{LedgerId, NodeId};

use crate::Failure;
use crate::answers::Condition;
use crate::clock::Clock;
use crate::engine::Engine;
use crate::peers::{HealClaim, SignedHead};

/// How long a node that asked for a grant may act on it, in µs: the peers' answers (2 s), a last look
/// at the stream (5 s) and then the deletion, which the broker has in another 5 s.
pub(crate) const GOOD_FOR: u64 = 10_000_000;
/// When a grant ends for those who gave it, in µs: three times as long, for a deletion that was sent
/// in time and is still under way.
const ENDS_AFTER: u64 = 3 * GOOD_FOR;

/// What a claim names as its stream's creation when there is no stream.
pub(crate) const GONE: i128 = 0;
/// Why a node publishes nothing while it is another's to rebuild the stream.
pub(crate) const GRANTED: &str = "another node was granted to rebuild the stream";

/// The grants this node gave, one a ledger and damaged stream. They are gone with the process:
/// a grant is only good while the stream it names exists.
#[derive(Debug)]
pub(crate) struct Grants {
    clock: Clock,
    given: Mutex<BTreeMap<(LedgerId, i128), (NodeId, u64)>>,
}

impl Grants {
    /// None given yet. The clock must not be one that is set: only its distances matter.
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, given: Mutex::default() }
    }

    /// Grants the claim, from now on, unless another node has it.
    pub(crate) fn grant(&self, claim: &HealClaim) -> bool {
        let now = self.now();
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let holder =
            given.entry((claim.ledger, claim.damaged_created)).or_insert((claim.node, now));
        let free = holder.0 == claim.node || now.saturating_sub(holder.1) >= ENDS_AFTER;
        if free {
            *holder = (claim.node, now);
        }
        free
    }

    /// Whether another node than `node` may rebuild the stream that was created then.
    pub(crate) fn is_anothers(&self, ledger: LedgerId, created: i128, node: NodeId) -> bool {
        let now = self.now();
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given
            .get(&(ledger, created))
            .is_some_and(|(holder, at)| *holder != node && now.saturating_sub(*at) < ENDS_AFTER)
    }

    /// The time by which grants end, in µs.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }
}

/// Whether what is rebuilt for this claim holds all that a node with this head has applied.
fn has_all(claim: &HealClaim, head: &SignedHead) -> bool {
    head.sequence <= claim.sequence
        && head.at_asked.is_none_or(|stream_hash| stream_hash == claim.stream_hash)
}

impl Engine {
    /// Grants a peer the rebuilding of a stream that is damaged or gone, or not: it must have all that
    /// this node has, and this node must not serve another stream. The one that is to be rebuilt is
    /// served no longer.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not, [`Failure::Unavailable`] when it does
    /// not serve and does not see what the claim names: that is neither leave nor refusal.
    pub async fn grant(&self, claim: &HealClaim) -> Result<bool, Failure> {
        let side = self.side_of(claim.ledger)?;
        let line = &side.line;
        let serves = || line.writable().is_ok();
        // It looks itself, whatever else it does now: also one that has stopped, or makes its views.
        let facts = side.press.stream.facts().await;
        let sees = facts.ok().map(|facts| facts.map_or(GONE, |facts| facts.created));
        if sees != Some(claim.damaged_created) {
            if serves() {
                return Ok(false);
            }
            let why =
                "this node does not see the stream so; see whether it reaches the same broker";
            return Err(Failure::Unavailable { why: why.to_owned() });
        }
        let has_all = async || -> Result<bool, Failure> {
            Ok(has_all(claim, &self.peer_head(claim.ledger, claim.sequence).await?))
        };
        if !has_all().await? {
            return Ok(false);
        }
        if claim.damaged_created == GONE {
            return Ok(!serves());
        }
        if !self.grants.grant(claim) {
            return Ok(false);
        }
        if serves() {
            line.set_condition(Condition::ReadOnly(GRANTED.to_owned()));
        }
        // What was applied until then counts too.
        has_all().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use ledger::Hash;

    use super::*;

    fn claim(node: u8, damaged_created: i128) -> HealClaim {
        let node = NodeId([node; 16]);
        let (ledger, stream_hash) = (LedgerId::RECORDS, Hash::ZERO);
        HealClaim { ledger, node, sequence: 7, stream_hash, damaged_created }
    }

    /// Grants, and the hand of their clock.
    fn grants() -> (Grants, Arc<AtomicU64>) {
        let hand = Arc::new(AtomicU64::new(5));
        let read = Arc::clone(&hand);
        (Grants::new(Clock::new(move || read.load(Ordering::SeqCst))), hand)
    }

    #[test]
    fn one_node_rebuilds_a_damaged_stream() {
        let (grants, _) = grants();
        assert!(grants.grant(&claim(1, 10)));
        assert!(!grants.grant(&claim(2, 10)), "another has it");
        assert!(grants.grant(&claim(1, 10)), "asking again changes nothing");
        assert!(grants.grant(&claim(2, 11)), "the next damaged stream is another matter");
    }

    #[test]
    fn a_dead_healer_s_grant_ends_and_a_living_one_s_does_not() {
        let (grants, hand) = grants();
        let pass = |time| hand.fetch_add(time, Ordering::SeqCst);
        assert!(grants.grant(&claim(1, 10)));
        pass(ENDS_AFTER - 1);
        assert!(!grants.grant(&claim(2, 10)), "it may still be under way");
        assert!(grants.grant(&claim(1, 10)), "it lives, and asked again");
        pass(ENDS_AFTER - 1);
        assert!(!grants.grant(&claim(2, 10)), "counted from its last asking");
        pass(1);
        assert!(grants.grant(&claim(2, 10)), "another takes over");
        assert!(!grants.grant(&claim(1, 10)), "and the first, should it come back, hears no");
    }

    #[test]
    fn while_it_is_another_s_to_rebuild_a_stream_a_node_does_not_serve_it() {
        let (grants, hand) = grants();
        let (holder, other) = (NodeId([1; 16]), NodeId([2; 16]));
        let is_anothers = |created, node| grants.is_anothers(LedgerId::RECORDS, created, node);
        assert!(!is_anothers(10, other));
        assert!(grants.grant(&claim(1, 10)));
        assert!(is_anothers(10, other) && !is_anothers(10, holder));
        assert!(!is_anothers(11, other), "it was made anew");
        hand.fetch_add(ENDS_AFTER, Ordering::SeqCst);
        assert!(!is_anothers(10, other), "the holder may have died");
    }

    #[test]
    fn whoever_rebuilds_must_have_all_that_another_has_applied() {
        let head = |sequence, at_asked| SignedHead {
            node: NodeId([2; 16]),
            sequence,
            stream_hash: Hash::ZERO,
            at_asked,
            behind: false,
            signature: [0; 64],
        };
        assert!(has_all(&claim(1, 10), &head(7, Some(Hash::ZERO))));
        assert!(has_all(&claim(1, 10), &head(6, None)), "it has less");
        assert!(!has_all(&claim(1, 10), &head(8, Some(Hash::ZERO))), "it has one more");
        let other = Hash::of(b"another past");
        assert!(!has_all(&claim(1, 10), &head(7, Some(other))), "it has another history");
    }
}
