//! Overrides v1: the administrators' leave for one node to go on although the majority of its
//! ledger's members is lost for good.
//!
//! An override names a point of the node's history (sequence, stream hash) and carries the signed
//! retirements of the members that are lost. It is no record: it is kept by the one node that it is
//! for, and what it brings about is filed ([`Control::NodeRetired`]). Its bytes are canonical postcard
//! of [`Override`]. Administrators sign, with Ed25519, "caseledger/override/v1" ‖ genesis hash ‖
//! sequence as u64 big-endian ‖ stream hash ‖ the retirements' bodies in order, signatures included.
//! The genesis hash names the ledger.

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};

use crate::control::{AdminSignature, Control, signed_by};
use crate::id::{Hash, NodeId};
use crate::rules::Authority;

const LABEL: &[u8] = b"caseledger/override/v1";

/// Administrators' leave to go on without a majority of the members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Override {
    /// A sequence that the node has applied.
    pub sequence: u64,
    /// Its stream hash there.
    pub stream_hash: Hash,
    /// The lost members' signed retirements, each a [`Control::NodeRetired`].
    pub retirements: Vec<Control>,
    /// Administrators.
    pub signatures: Vec<AdminSignature>,
}

impl Override {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // postcard fails only when the output is full (a Vec never is) or for a sequence of unknown
        // length (there is none here).
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads an override; none when the bytes are not exactly what [`Override::encode`] writes.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (read, rest): (Self, _) = postcard::take_from_bytes(bytes).ok()?;
        (rest.is_empty() && read.encode() == bytes).then_some(read)
    }

    /// The members whose retirements it carries.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.retirements.iter().filter_map(|control| match control {
            Control::NodeRetired { node, .. } => Some(*node),
            Control::Genesis(_)
            | Control::NodeAdmitted { .. }
            | Control::RulesRaised { .. }
            | Control::KeyDestroyed { .. } => None,
        })
    }

    /// Adds the signature of the administrator at place `administrator`.
    pub fn sign(&mut self, genesis: &Hash, administrator: u8, key: &SigningKey) {
        let signature = key.sign(&self.signing_bytes(genesis)).to_bytes();
        self.signatures.push(AdminSignature { administrator, signature });
    }

    /// Whether it and every retirement in it are signed as this ledger's control records must be, and
    /// it carries retirements alone.
    #[must_use]
    pub fn is_signed_by(&self, genesis: &Hash, authority: &Authority) -> bool {
        let (by, threshold) = (&authority.administrators, authority.threshold);
        !self.retirements.is_empty()
            && self.nodes().count() == self.retirements.len()
            && self.retirements.iter().all(|control| control.is_signed_by(genesis, by, threshold))
            && signed_by(&self.signing_bytes(genesis), &self.signatures, by, threshold)
    }

    fn signing_bytes(&self, genesis: &Hash) -> Vec<u8> {
        let mut message =
            [LABEL, &genesis.0, &self.sequence.to_be_bytes(), &self.stream_hash.0].concat();
        for control in &self.retirements {
            message.extend_from_slice(&control.encode());
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{admission, assert_golden, key, public};

    const GENESIS: Hash = Hash([1; 32]);

    fn retirement(node: u8) -> Control {
        let mut control = Control::NodeRetired { node: NodeId([node; 16]), signatures: Vec::new() };
        control.sign(&GENESIS, 0, &key(200));
        control.sign(&GENESIS, 1, &key(201));
        control
    }

    /// Two of three administrators sign.
    fn override_of(retirements: Vec<Control>) -> Override {
        let stream_hash = Hash([2; 32]);
        let mut made = Override { sequence: 9, stream_hash, retirements, signatures: Vec::new() };
        made.sign(&GENESIS, 0, &key(200));
        made.sign(&GENESIS, 1, &key(201));
        made
    }

    fn authority() -> Authority {
        let administrators = vec![public(200), public(201), public(202)];
        Authority { administrators, threshold: 2, ..Authority::default() }
    }

    #[test]
    fn golden_bytes() {
        let made = override_of(vec![retirement(3), retirement(4)]);
        let bytes = made.encode();
        assert_golden("override", &bytes);
        assert_eq!(Override::decode(&bytes), Some(made));
        assert_eq!(Override::decode(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Override::decode(&[bytes.as_slice(), &[0]].concat()), None);
    }

    #[test]
    fn it_holds_for_one_ledger_sequence_hash_and_set_of_nodes() {
        let good = override_of(vec![retirement(3), retirement(4)]);
        assert!(good.is_signed_by(&GENESIS, &authority()));
        assert!(!good.is_signed_by(&Hash([9; 32]), &authority()), "another ledger");
        let changes: [fn(&mut Override); 6] = [
            |made| made.sequence += 1,
            |made| made.stream_hash = Hash([3; 32]),
            |made| made.retirements.truncate(1),
            |made| made.retirements.swap(0, 1),
            |made| made.signatures.truncate(1),
            |made| made.signatures[1] = made.signatures[0],
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut changed = good.clone();
            change(&mut changed);
            assert!(!changed.is_signed_by(&GENESIS, &authority()), "change {number}");
        }
    }

    #[test]
    fn it_carries_signed_retirements_and_nothing_else() {
        assert!(!override_of(Vec::new()).is_signed_by(&GENESIS, &authority()));
        let unsigned = Control::NodeRetired { node: NodeId([3; 16]), signatures: Vec::new() };
        assert!(!override_of(vec![unsigned]).is_signed_by(&GENESIS, &authority()));
        let mut admitted = admission(NodeId([3; 16]));
        admitted.sign(&GENESIS, 0, &key(200));
        admitted.sign(&GENESIS, 1, &key(201));
        assert!(!override_of(vec![admitted]).is_signed_by(&GENESIS, &authority()));
    }
}
