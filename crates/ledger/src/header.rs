//! Record header v1: the clear, signed-for part of every record and the leaf of the Merkle tree.
//!
//! Canonical postcard, fields in this order; `n` is a postcard number (base-128, fewest bytes):
//!
//! | field | bytes |
//! |---|---|
//! | format (1) | 1 |
//! | leaf type: 0 record, 1 control | 1 |
//! | cipher suite: 1 AES-256-GCM with HKDF-SHA-256, 0 clear (control) | 1 |
//! | ledger | 5 |
//! | record id | 16 |
//! | contribution id | 32 |
//! | index and count within the contribution | n, n |
//! | subject | 16 |
//! | chain version, from 1 | n |
//! | previous: hash of the chain's header before this one, zero at version 1 | 32 |
//! | recorded at, µs UTC | n |
//! | node, actor | 16, 16 |
//! | body envelope version | n |
//! | data key | 16 |
//! | key commitment | 32 |
//! | body length | n |
//! | body hash | 32 |
//!
//! The last three are written at sealing; the bytes before them are the body's associated data.
//! A header never changes: a later version gets another format number and a module of its own.

use sha2::{Digest, Sha256};

use crate::id::{
    ActorId, ContributionId, Hash, KeyId, LedgerId, LedgerKind, NodeId, RecordId, SubjectId,
};
use crate::wire::{Malformed, Reader, put_number};

/// The header format this crate writes and reads.
pub const HEADER_FORMAT: u8 = 1;

/// Cipher suite of an encrypted body: AES-256-GCM, keys from HKDF-SHA-256.
pub const SUITE_SEALED: u8 = 1;

/// Cipher suite of a control record, whose body is clear.
pub const SUITE_CLEAR: u8 = 0;

/// Longest header in bytes. The fixed fields take 216 and the six numbers at most 34, so v1 never
/// comes near it; it leaves room for later versions and bounds what is read before it is understood.
pub const MAX_HEADER: usize = 512;

/// Shortest v1 header in bytes: every number in one byte.
pub const MIN_HEADER: usize = FIXED_BYTES + NUMBERS;

/// Longest body in bytes: the largest size class (256 KiB) with its 32-byte salt and 16-byte tag.
pub const MAX_BODY: usize = 256 * 1024 + 32 + 16;

/// Fields of fixed width: format, leaf, suite, ledger, three hashes and a contribution id, five ids.
const FIXED_BYTES: usize = 3 + LedgerId::SIZE + 4 * Hash::SIZE + 5 * SubjectId::SIZE;
/// Index, count, version, recorded at, envelope version, body length.
const NUMBERS: usize = 6;

const _: () = assert!(FIXED_BYTES == 216 && MIN_HEADER == 222);
/// Three u16 of at most 3 bytes, one u32 of at most 5, two u64 of at most 10.
const _: () = assert!(FIXED_BYTES + 3 * 3 + 5 + 2 * 10 <= MAX_HEADER);

/// What a leaf of the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(test, derive(serde::Serialize))]
pub enum LeafType {
    /// A sealed event.
    Record,
    /// A control record: genesis, membership, rules, key destruction. Its body is clear.
    Control,
}

/// The clear part of a record. See the module for the layout.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(serde::Serialize))]
pub struct Header {
    /// Always [`HEADER_FORMAT`].
    pub format: u8,
    /// Record or control.
    pub leaf: LeafType,
    /// [`SUITE_SEALED`], or [`SUITE_CLEAR`] in control records.
    pub suite: u8,
    /// The ledger this record belongs to.
    pub ledger: LedgerId,
    /// This record.
    pub record_id: RecordId,
    /// The contribution that holds it.
    pub contribution_id: ContributionId,
    /// Place within the contribution, from 0.
    pub index: u16,
    /// How many records the contribution has, at least 1.
    pub count: u16,
    /// What the record is about; zero in control records.
    pub subject: SubjectId,
    /// Place in the chain, from 1.
    pub version: u64,
    /// [`leaf_hash`] of the header before this one in the chain; zero at version 1.
    pub previous: Hash,
    /// When it was decided, microseconds since the Unix epoch, UTC.
    pub recorded_at: u64,
    /// The node that sealed it.
    pub node: NodeId,
    /// Pseudonym of who acted.
    pub actor: ActorId,
    /// Which version of `schema` understands the body.
    pub envelope_version: u16,
    /// The key its body is sealed under; zero in control records.
    pub data_key: KeyId,
    /// What the opener checks before it uses a key; zero in control records. Set by sealing.
    pub key_commitment: Hash,
    /// Length of the body in bytes. Set by sealing.
    pub body_length: u32,
    /// SHA-256 of the body's bytes. Set by sealing.
    pub body_hash: Hash,
}

/// Why bytes are not a record header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Longer than [`MAX_HEADER`].
    #[error("record header is longer than {MAX_HEADER} bytes")]
    TooLong,
    /// A format that this program does not know.
    #[error("record header has format {0}, this program knows {HEADER_FORMAT}")]
    UnknownFormat(u8),
    /// Truncated, followed by more bytes, or not written in the one canonical way.
    #[error("record header is truncated or not canonical")]
    Malformed,
}

impl From<Malformed> for HeaderError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}

impl Header {
    /// The canonical bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = self.sealed_prefix();
        out.extend_from_slice(&self.key_commitment.0);
        put_number(&mut out, u64::from(self.body_length));
        out.extend_from_slice(&self.body_hash.0);
        out
    }

    /// The bytes before the three sealing fields: what the body is bound to as associated data.
    #[must_use]
    pub fn sealed_prefix(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(FIXED_BYTES + 40);
        let leaf = match self.leaf {
            LeafType::Record => 0,
            LeafType::Control => 1,
        };
        out.extend_from_slice(&[self.format, leaf, self.suite]);
        out.extend_from_slice(&self.ledger.to_bytes());
        out.extend_from_slice(&self.record_id.0);
        out.extend_from_slice(&self.contribution_id.0);
        put_number(&mut out, u64::from(self.index));
        put_number(&mut out, u64::from(self.count));
        out.extend_from_slice(&self.subject.0);
        put_number(&mut out, self.version);
        out.extend_from_slice(&self.previous.0);
        put_number(&mut out, self.recorded_at);
        out.extend_from_slice(&self.node.0);
        out.extend_from_slice(&self.actor.0);
        put_number(&mut out, u64::from(self.envelope_version));
        out.extend_from_slice(&self.data_key.0);
        out
    }

    /// Reads a header.
    ///
    /// # Errors
    /// When the bytes are too long, of another format, or not exactly what [`Header::encode`]
    /// writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > MAX_HEADER {
            return Err(HeaderError::TooLong);
        }
        let mut from = Reader::new(bytes);
        let format = from.byte()?;
        if format != HEADER_FORMAT {
            return Err(HeaderError::UnknownFormat(format));
        }
        let leaf = match from.byte()? {
            0 => LeafType::Record,
            1 => LeafType::Control,
            _ => return Err(HeaderError::Malformed),
        };
        let header = Self {
            format,
            leaf,
            suite: from.byte()?,
            ledger: LedgerId::from_bytes(from.array()?).ok_or(HeaderError::Malformed)?,
            record_id: RecordId(from.array()?),
            contribution_id: ContributionId(from.array()?),
            index: from.u16()?,
            count: from.u16()?,
            subject: SubjectId(from.array()?),
            version: from.u64()?,
            previous: Hash(from.array()?),
            recorded_at: from.u64()?,
            node: NodeId(from.array()?),
            actor: ActorId(from.array()?),
            envelope_version: from.u16()?,
            data_key: KeyId(from.array()?),
            key_commitment: Hash(from.array()?),
            body_length: from.u32()?,
            body_hash: Hash(from.array()?),
        };
        from.finish()?;
        Ok(header)
    }

    /// The chain this record continues: its subject's in `records`, its node's in `access`. Control
    /// records have one chain of their own in every ledger, [`SubjectId::ZERO`].
    #[must_use]
    pub fn chain(&self) -> SubjectId {
        match (self.leaf, self.ledger.kind) {
            (LeafType::Control, _) => SubjectId::ZERO,
            (LeafType::Record, LedgerKind::Records) => self.subject,
            (LeafType::Record, LedgerKind::Access) => SubjectId(self.node.0),
        }
    }

    /// Sealed records name a suite and are not in the control records' chain. Control records are clear
    /// and name neither subject nor key.
    pub(crate) fn is_of_its_type(&self) -> bool {
        match self.leaf {
            LeafType::Record => self.suite == SUITE_SEALED && self.chain() != SubjectId::ZERO,
            LeafType::Control => {
                self.suite == SUITE_CLEAR
                    && self.subject == SubjectId::ZERO
                    && self.data_key == KeyId::ZERO
                    && self.key_commitment == Hash::ZERO
            }
        }
    }
}

/// SHA-256(0x00 ‖ header bytes): RFC 6962's leaf hash and, at once, the link of the chain.
#[must_use]
pub fn leaf_hash(header_bytes: &[u8]) -> Hash {
    let mut digest = Sha256::new();
    digest.update([0]);
    digest.update(header_bytes);
    Hash(digest.finalize().into())
}

#[cfg(test)]
mod tests;
