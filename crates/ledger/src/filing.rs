//! Filing control records in a ledger that exists: the block that carries them.
//!
//! Ids come from the control records themselves, so sealing one again (because another came first, or
//! because nobody knows whether it arrived) makes the same contribution, which is accepted once.

use ed25519_dalek::SigningKey;

use crate::block::{Block, BlockError, Content, Contribution, Item};
use crate::control::Control;
use crate::header::{HEADER_FORMAT, Header, LeafType, SUITE_CLEAR, leaf_hash};
use crate::id::{ActorId, ContributionId, Hash, KeyId, NodeId, RecordId, SubjectId};
use crate::rules::{ChainHead, State};

const LABEL: &[u8] = b"caseledger/control/v1";

/// Who files control records, and onto what.
#[derive(Clone, Copy, Debug)]
pub struct Filing<'a> {
    /// The ledger as the filing node has applied it.
    pub state: &'a State,
    /// Head of the control records' chain ([`SubjectId::ZERO`]) there.
    pub head: Option<ChainHead>,
    /// The filing node.
    pub node: NodeId,
    /// Its block key.
    pub key: &'a SigningKey,
    /// Now, microseconds since the Unix epoch, UTC. The ledger's time is taken when it is later.
    pub now: u64,
}

impl Filing<'_> {
    /// Seals a block of these control records, each a contribution of its own, linked in this order.
    ///
    /// # Errors
    /// When they do not fit into a block, which only hundreds of signatures can bring about.
    pub fn block(&self, controls: &[Control]) -> Result<Vec<u8>, BlockError> {
        let (mut version, mut previous, newest) = self
            .head
            .map_or((0, Hash::ZERO, 0), |head| (head.version, head.hash, head.recorded_at));
        let at = self.now.max(self.state.time).max(newest);
        let mut items = Vec::with_capacity(controls.len());
        for control in controls {
            version += 1;
            let id = self.id(control);
            let record = control.into_record(self.header(id, version, previous, at));
            previous = leaf_hash(&record.header);
            items.push(Item::Contribution(Contribution {
                id,
                request_digest: Hash::ZERO,
                reads: Vec::new(),
                records: vec![record],
            }));
        }
        let content = Content { sealed_at: at, base: self.state.base(), items };
        Block::seal(self.state.ledger, self.node, &content, self.key, &self.state.genesis)
    }

    /// SHA-256("caseledger/control/v1" ‖ genesis hash ‖ body).
    fn id(&self, control: &Control) -> ContributionId {
        let body = control.encode();
        ContributionId(Hash::of(&[LABEL, &self.state.genesis.0, &body].concat()).0)
    }

    fn header(&self, id: ContributionId, version: u64, previous: Hash, at: u64) -> Header {
        let digest = Hash::of(&[id.0.as_slice(), &version.to_be_bytes()].concat());
        let random = digest.0.first_chunk().copied().unwrap_or_default();
        Header {
            format: HEADER_FORMAT,
            leaf: LeafType::Control,
            suite: SUITE_CLEAR,
            ledger: self.state.ledger,
            record_id: RecordId::new(at / 1_000, random),
            contribution_id: id,
            index: 0,
            count: 1,
            subject: SubjectId::ZERO,
            version,
            previous,
            recorded_at: at,
            node: self.node,
            actor: ActorId::ZERO,
            envelope_version: 0,
            data_key: KeyId::ZERO,
            key_commitment: Hash::ZERO,
            body_length: 0,
            body_hash: Hash::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ADMINISTRATOR, NODE, SECOND, World, is_accepted, judged, key, void};
    use crate::{Base, VoidReason};

    fn retirement(world: &World, node: NodeId) -> Control {
        let mut control = Control::NodeRetired { node, signatures: Vec::new() };
        control.sign(&world.state.genesis, 0, &key(ADMINISTRATOR));
        control
    }

    fn block(world: &World, controls: &[Control]) -> Vec<u8> {
        let head = world.head(SubjectId::ZERO);
        let key = key(crate::testing::block_seed(NODE));
        let now = world.state.time.saturating_sub(SECOND);
        Filing { state: &world.state, head, node: NODE, key: &key, now }.block(controls).unwrap()
    }

    #[test]
    fn two_retirements_in_one_block_are_accepted_and_a_second_time_neither() {
        let mut world = World::records();
        let nodes = [NodeId([2; 16]), NodeId([3; 16])];
        nodes.iter().for_each(|node| world.admit(*node));
        let controls = nodes.map(|node| retirement(&world, node));
        let first = block(&world, &controls);
        let verdicts = judged(&world.apply(&first));
        assert!(verdicts.iter().all(is_accepted) && verdicts.len() == 2, "{verdicts:?}");
        assert_eq!(world.state.authority.active_count(), 1);
        let again = block(&world, &controls);
        for verdict in judged(&world.apply(&again)) {
            assert!(matches!(void(&verdict), VoidReason::Duplicate { .. }), "{verdict:?}");
        }
    }

    #[test]
    fn what_another_control_record_overtook_is_accepted_when_it_is_sealed_anew() {
        let mut world = World::records();
        world.admit(NodeId([2; 16]));
        let control = retirement(&world, NodeId([2; 16]));
        let overtaken = block(&world, std::slice::from_ref(&control));
        assert_ne!(world.state.base(), Base::START);
        world.admit(NodeId([3; 16]));
        assert_eq!(void(&judged(&world.apply(&overtaken))[0]), VoidReason::Stale);
        let anew = block(&world, &[control]);
        assert!(is_accepted(&judged(&world.apply(&anew))[0]));
    }
}
