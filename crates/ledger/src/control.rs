//! Control records v1: genesis, membership, rules and key destruction, in the clear.
//!
//! The body is canonical postcard of [`Control`]: the variant's number (0 genesis, 1 node admitted,
//! 2 node retired, 3 rules raised, 4 key destroyed), then its fields in order. All but the genesis
//! carry administrators' signatures, Ed25519 over "caseledger/membership/v1" ‖ genesis hash ‖ the
//! same body with no signatures. A new kind of control record comes with new rules
//! ([`Control::RulesRaised`]), never into these.

use serde::{Deserialize, Serialize};

use ed25519_dalek::{Signer, SigningKey};

use crate::block::SealedRecord;
use crate::header::{HEADER_FORMAT, Header, LeafType, SUITE_CLEAR};
use crate::id::{Hash, KeyId, LedgerId, NodeId, SubjectId};
use crate::stream::verify;

const MEMBERSHIP_LABEL: &[u8] = b"caseledger/membership/v1";

/// Version of the control bodies, as headers name it.
pub const CONTROL_ENVELOPE: u16 = 1;

/// Most administrators a ledger can have: a signature names its administrator in one byte.
pub const MAX_ADMINISTRATORS: usize = 255;

/// Longest name of a ledger in bytes. It becomes part of the origin, a line of every checkpoint.
pub const MAX_NAME: usize = 128;

/// Longest control body in bytes: 255 administrators' signatures of 65 bytes, or their keys of 32
/// with a name, and the other fields, are below 17 KiB.
pub const MAX_CONTROL: usize = 32 * 1024;

/// What founds a ledger. Its record's hash is pinned by nodes and verifiers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Genesis {
    /// The ledger it founds.
    pub ledger: LedgerId,
    /// Microseconds since the Unix epoch, UTC.
    pub created_at: u64,
    /// Ed25519 public keys of the administrators; a signature names one by its place here.
    pub administrators: Vec<[u8; 32]>,
    /// How many of them must sign a control record.
    pub threshold: u8,
    /// Version of apply's rules to begin with.
    pub rules: u16,
    /// First part of the origin: a schema-less URL such as `ledger.hospital.example`.
    pub name: String,
}

/// One administrator's signature under a control record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminSignature {
    /// Place in [`Genesis::administrators`], from 0.
    pub administrator: u8,
    /// Ed25519 over [`Control::signing_bytes`].
    #[serde(with = "halves")]
    pub signature: [u8; 64],
}

/// A node's Ed25519 public keys. No two are the same, so that nothing signed for one purpose can be
/// shown for another (c2sp.org/tlog-cosignature asks it of a cosigner's key).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeKeys {
    /// Its blocks, heads and calls to peers.
    pub block: [u8; 32],
    /// The log's signature under checkpoints that it computed itself.
    pub checkpoint: [u8; 32],
    /// Its cosignature under checkpoints, which verifiers count.
    pub cosigner: [u8; 32],
}

impl NodeKeys {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> [&[u8; 32]; 3] {
        [&self.block, &self.checkpoint, &self.cosigner]
    }
}

/// A control record's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Control {
    /// Founds the ledger; only ever the first record of block 1.
    Genesis(Genesis),
    /// A node may write from the next block on. An id or key that was ever used cannot come back,
    /// so an old admission published again admits nobody.
    NodeAdmitted {
        /// The new node.
        node: NodeId,
        /// What it signs with.
        keys: NodeKeys,
        /// Administrators.
        signatures: Vec<AdminSignature>,
    },
    /// A node may write no more, from the next block on.
    NodeRetired {
        /// The node; it is never admitted again under this id.
        node: NodeId,
        /// Administrators.
        signatures: Vec<AdminSignature>,
    },
    /// Apply judges by newer rules from the next block on.
    RulesRaised {
        /// Greater than the rules in force.
        rules: u16,
        /// Administrators.
        signatures: Vec<AdminSignature>,
    },
    /// A data key was destroyed: what it sealed is unreadable and nothing new is accepted under it.
    KeyDestroyed {
        /// The key.
        key: KeyId,
        /// Whose key it was.
        subject: SubjectId,
        /// Administrators.
        signatures: Vec<AdminSignature>,
    },
}

/// Bytes that are not a control body in its one canonical form, or of an unknown kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("control record is not canonical or of an unknown kind")]
pub struct ControlError;

impl Control {
    /// The canonical body.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // postcard fails only when the output is full (a Vec never is) or for a sequence of unknown
        // length (there is none here).
        postcard::to_allocvec(self).unwrap_or_default()
    }

    /// Reads a body.
    ///
    /// # Errors
    /// When the bytes are not exactly what [`Control::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, ControlError> {
        if bytes.len() > MAX_CONTROL {
            return Err(ControlError);
        }
        let (control, rest): (Self, _) =
            postcard::take_from_bytes(bytes).map_err(|_| ControlError)?;
        if rest.is_empty() && control.encode() == bytes { Ok(control) } else { Err(ControlError) }
    }

    /// The signatures it carries; none for a genesis.
    #[must_use]
    pub fn signatures(&self) -> &[AdminSignature] {
        match self {
            Self::Genesis(_) => &[],
            Self::NodeAdmitted { signatures, .. }
            | Self::NodeRetired { signatures, .. }
            | Self::RulesRaised { signatures, .. }
            | Self::KeyDestroyed { signatures, .. } => signatures,
        }
    }

    /// What administrators sign: label ‖ genesis hash ‖ the body without signatures.
    #[must_use]
    pub fn signing_bytes(&self, genesis: &Hash) -> Vec<u8> {
        let mut bare = self.clone();
        if let Some(signatures) = bare.signatures_mut() {
            signatures.clear();
        }
        [MEMBERSHIP_LABEL, &genesis.0, &bare.encode()].concat()
    }

    /// Adds the signature of the administrator at place `administrator`. A genesis takes none.
    pub fn sign(&mut self, genesis: &Hash, administrator: u8, key: &SigningKey) {
        let signature = key.sign(&self.signing_bytes(genesis)).to_bytes();
        if let Some(signatures) = self.signatures_mut() {
            signatures.push(AdminSignature { administrator, signature });
        }
    }

    /// Whether at least `threshold` different administrators signed, and every signature is good.
    /// One bad signature spoils the rest, so that a record cannot carry unexamined bytes.
    #[must_use]
    pub fn is_signed_by(&self, genesis: &Hash, administrators: &[[u8; 32]], threshold: u8) -> bool {
        signed_by(&self.signing_bytes(genesis), self.signatures(), administrators, threshold)
    }

    /// Files this body under `header`, whose sealing fields, leaf type, suite, subject, envelope
    /// version and data key are set as control records have them.
    #[must_use]
    pub fn into_record(&self, mut header: Header) -> SealedRecord {
        let body = self.encode();
        header.format = HEADER_FORMAT;
        header.leaf = LeafType::Control;
        header.suite = SUITE_CLEAR;
        header.subject = SubjectId::ZERO;
        header.envelope_version = CONTROL_ENVELOPE;
        header.data_key = KeyId::ZERO;
        header.key_commitment = Hash::ZERO;
        // Control bodies are far below 4 GiB, see MAX_CONTROL; apply refuses a length that is wrong.
        header.body_length = u32::try_from(body.len()).unwrap_or(u32::MAX);
        header.body_hash = Hash::of(&body);
        SealedRecord { header: header.encode(), body }
    }

    fn signatures_mut(&mut self) -> Option<&mut Vec<AdminSignature>> {
        match self {
            Self::Genesis(_) => None,
            Self::NodeAdmitted { signatures, .. }
            | Self::NodeRetired { signatures, .. }
            | Self::RulesRaised { signatures, .. }
            | Self::KeyDestroyed { signatures, .. } => Some(signatures),
        }
    }
}

/// Whether at least `threshold` different administrators signed this message, and all signatures are
/// good.
pub(crate) fn signed_by(
    message: &[u8],
    signatures: &[AdminSignature],
    administrators: &[[u8; 32]],
    threshold: u8,
) -> bool {
    let mut seen = [false; 256];
    let good = signatures.iter().all(|by| {
        let place = usize::from(by.administrator);
        let first = seen.get_mut(place).is_some_and(|seen| !core::mem::replace(seen, true));
        first && administrators.get(place).is_some_and(|key| verify(key, message, &by.signature))
    });
    good && threshold > 0 && signatures.len() >= usize::from(threshold)
}

/// The first part of an origin: it stands in a line of its own in checkpoints and as a key name,
/// where the signed-note format allows no white space and no plus sign.
#[must_use]
pub fn is_valid_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// serde knows fixed arrays up to 32: a signature is written as two of them, 64 bytes in all.
mod halves {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(bytes: &[u8; 64], to: S) -> Result<S::Ok, S::Error> {
        let (r, s) = bytes.split_at(32);
        let half = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).map_err(serde::ser::Error::custom);
        (half(r)?, half(s)?).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 64], D::Error> {
        let halves = <([u8; 32], [u8; 32])>::deserialize(from)?;
        let mut bytes = [0; 64];
        for (to, from) in bytes.iter_mut().zip(halves.0.iter().chain(&halves.1)) {
            *to = *from;
        }
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests;
