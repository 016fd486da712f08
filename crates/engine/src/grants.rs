//! Who may rebuild a damaged stream: one node a damaged stream, granted by a majority.
//!
//! A grant ends by itself, for the node that holds it may have died. So whoever holds one asks for
//! it again right before it deletes the stream, and does that within [`GOOD_FOR`] of asking, which is
//! earlier than anybody who granted it takes it for over: of two nodes never both may delete.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ledger::{LedgerId, NodeId};

use crate::clock::Clock;
use crate::peers::HealClaim;

/// How long a node that asked for a grant may act on it, in µs: the peers' answers (2 s), a last look
/// at the stream (5 s) and then the deletion, which the broker has in another 5 s.
pub(crate) const GOOD_FOR: u64 = 10_000_000;
/// When a grant ends for those who gave it, in µs: three times as long, for a deletion that was sent
/// in time and is still under way.
const ENDS_AFTER: u64 = 3 * GOOD_FOR;

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

    /// The time by which grants end, in µs.
    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
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
}
