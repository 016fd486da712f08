//! Who may rebuild a damaged stream: one node a damaged stream, granted by a majority.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ledger::{LedgerId, NodeId};

use crate::peers::HealClaim;

/// The grants this node gave, one a ledger and damaged stream. They are gone with the process:
/// a grant is only good while the stream it names exists.
#[derive(Debug, Default)]
pub(crate) struct Grants {
    given: Mutex<BTreeMap<(LedgerId, i128), NodeId>>,
}

impl Grants {
    /// Grants the claim unless another node has it already.
    pub(crate) fn grant(&self, claim: &HealClaim) -> bool {
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        *given.entry((claim.ledger, claim.damaged_created)).or_insert(claim.node) == claim.node
    }
}

#[cfg(test)]
mod tests {
    use ledger::Hash;

    use super::*;

    fn claim(node: u8, damaged_created: i128) -> HealClaim {
        let node = NodeId([node; 16]);
        let (ledger, stream_hash) = (LedgerId::RECORDS, Hash::ZERO);
        HealClaim { ledger, node, sequence: 7, stream_hash, damaged_created }
    }

    #[test]
    fn one_node_rebuilds_a_damaged_stream() {
        let grants = Grants::default();
        assert!(grants.grant(&claim(1, 10)));
        assert!(!grants.grant(&claim(2, 10)), "another has it");
        assert!(grants.grant(&claim(1, 10)), "asking again changes nothing");
        assert!(grants.grant(&claim(2, 11)), "the next damaged stream is another matter");
    }
}
