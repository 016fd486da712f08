//! Block v1: one JetStream message, sealed and signed by one node.
//!
//! The frame never changes, in any format, so that every node can tell who sent a message and that
//! it is of a format still unknown:
//!
//! | field | bytes |
//! |---|---|
//! | magic "CSLB" | 4 |
//! | format, u16 big-endian | 2 |
//! | ledger | 5 |
//! | node | 16 |
//! | length of the content, u32 big-endian | 4 |
//! | content | |
//! | signature | 64 |
//!
//! The signature is Ed25519 (verified strictly) over "caseledger/block/v1" ‖ genesis hash ‖
//! SHA-256(all bytes before the signature).
//!
//! Content of format 1, canonical postcard (`n` a base-128 number in the fewest bytes): sealed at
//! n (µs), base sequence n, base stream hash 32, number of items n, items. An item is its number and
//! then: 0 contribution: id 32, request digest 32, number of pairs read n, pairs (subject 16,
//! version n), number of records n, records (header: length n and bytes; body: length n and bytes);
//! 1 abandonment: contribution id 32; 2 checkpoint: length n and a signed note.

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::header::{MAX_BODY, MAX_HEADER};
use crate::id::{ContributionId, Hash, LedgerId, NodeId, SubjectId};
use crate::stream::verify;
use crate::wire::{Malformed, Reader, bytes_len, number_len, put_bytes, put_number};

/// The block format this crate writes and judges.
pub const BLOCK_FORMAT: u16 = 1;

/// Longest block in bytes, frame included. Half of what nats-server takes by default (1 MiB), and
/// room for the largest body (256 KiB) with others.
pub const MAX_BLOCK: usize = 512 * 1024;

/// Most records in a block: bounds what one message can make apply do.
pub const MAX_BLOCK_RECORDS: usize = 1024;

/// Most records in a contribution. A larger FHIR bundle is filed in parts.
pub const MAX_CONTRIBUTION_RECORDS: usize = 256;

/// Most pairs read of a contribution: four for each record it may have, each a look-up in apply.
pub const MAX_CONTRIBUTION_READS: usize = 4 * MAX_CONTRIBUTION_RECORDS;

/// Bytes of the frame before the content.
pub const FRAME_HEAD: usize = MAGIC.len() + 2 + LedgerId::SIZE + NodeId::SIZE + 4;
/// Bytes of the frame after the content.
pub const SIGNATURE: usize = 64;
/// Most bytes a block takes beside its items: frame, sealed at, base, number of items.
pub const BLOCK_OVERHEAD: usize = FRAME_HEAD + SIGNATURE + 10 + 10 + Hash::SIZE + 3;

const MAGIC: [u8; 4] = *b"CSLB";
const BLOCK_LABEL: &[u8] = b"caseledger/block/v1";

const _: () = assert!(FRAME_HEAD == 31);
const _: () = assert!(BLOCK_OVERHEAD + 80 + MAX_HEADER + MAX_BODY < MAX_BLOCK);

/// Where the writer stood: what it had applied when it sealed the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The last sequence applied; 0 before block 1.
    pub sequence: u64,
    /// The stream hash at that sequence.
    pub stream_hash: Hash,
}

impl Base {
    /// Before block 1.
    pub const START: Self = Self { sequence: 0, stream_hash: Hash::ZERO };
}

/// A record as it is stored: header and body bytes. `B` is `Vec<u8>` where records are made and a
/// slice of the message where they are judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRecord<B = Vec<u8>> {
    /// Canonical bytes of a [`crate::Header`].
    pub header: B,
    /// The sealed body, or the clear one of a control record.
    pub body: B,
}

/// One atomic set of changes: accepted whole or void whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contribution<B = Vec<u8>> {
    /// What a retry repeats, see [`ContributionId::of_request`].
    pub id: ContributionId,
    /// Keyed digest of the request, so that an id used again for something else is noticed.
    pub request_digest: Hash,
    /// Chains the decision read beside those it links to, with the version found (0 for none).
    pub reads: Vec<(SubjectId, u64)>,
    /// 1 to [`MAX_CONTRIBUTION_RECORDS`] records.
    pub records: Vec<SealedRecord<B>>,
}

/// One item of a block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Item<B = Vec<u8>> {
    /// Records to accept.
    Contribution(Contribution<B>),
    /// This id shall never be accepted, unless it already was.
    Abandonment(ContributionId),
    /// A signed checkpoint; takes no position.
    Checkpoint(B),
}

/// What the node signed for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content<B = Vec<u8>> {
    /// When it was sealed, microseconds since the Unix epoch, UTC; never below the ledger's time.
    pub sealed_at: u64,
    /// Where the writer stood.
    pub base: Base,
    /// In order.
    pub items: Vec<Item<B>>,
}

/// A block in its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block<B = Vec<u8>> {
    /// The ledger it is for.
    pub ledger: LedgerId,
    /// The node that sealed it.
    pub node: NodeId,
    /// What it holds.
    pub content: Content<B>,
}

/// Why a block cannot be sealed. Every limit is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// Longer than [`MAX_BLOCK`].
    #[error("block would take {bytes} bytes, the limit is {MAX_BLOCK}")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// More than [`MAX_BLOCK_RECORDS`].
    #[error("block would hold {records} records, the limit is {MAX_BLOCK_RECORDS}")]
    TooManyRecords {
        /// How many.
        records: usize,
    },
    /// None, or more than [`MAX_CONTRIBUTION_RECORDS`].
    #[error(
        "contribution holds {records} records, it must be between 1 and {MAX_CONTRIBUTION_RECORDS}"
    )]
    ContributionRecords {
        /// How many.
        records: usize,
    },
    /// More than [`MAX_CONTRIBUTION_READS`].
    #[error("contribution names {reads} pairs read, the limit is {MAX_CONTRIBUTION_READS}")]
    TooManyReads {
        /// How many.
        reads: usize,
    },
    /// A header longer than [`MAX_HEADER`] or a body longer than [`MAX_BODY`].
    #[error(
        "record has a header of {header} and a body of {body} bytes, the limits are {MAX_HEADER} \
         and {MAX_BODY}"
    )]
    RecordTooLong {
        /// Length of the header in bytes.
        header: usize,
        /// Length of the body in bytes.
        body: usize,
    },
}

impl<B: AsRef<[u8]>> Block<B> {
    /// Encodes, frames and signs a block with the node's block key. `genesis` is the hash of the
    /// ledger's genesis record.
    ///
    /// # Errors
    /// When the content breaks a limit; nothing else.
    pub fn seal(
        ledger: LedgerId,
        node: NodeId,
        content: &Content<B>,
        key: &SigningKey,
        genesis: &Hash,
    ) -> Result<Vec<u8>, BlockError> {
        content.check_limits()?;
        let length = content.encoded_len();
        let bytes = FRAME_HEAD + length + SIGNATURE;
        let (true, Ok(length)) = (bytes <= MAX_BLOCK, u32::try_from(length)) else {
            return Err(BlockError::TooLong { bytes });
        };
        let mut out = Vec::with_capacity(bytes);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&BLOCK_FORMAT.to_be_bytes());
        out.extend_from_slice(&ledger.to_bytes());
        out.extend_from_slice(&node.0);
        out.extend_from_slice(&length.to_be_bytes());
        content.encode(&mut out);
        let signature = key.sign(&signed_message(genesis, &out)).to_bytes();
        out.extend_from_slice(&signature);
        Ok(out)
    }
}

impl<B: AsRef<[u8]>> Content<B> {
    /// Length of the content in a block, in bytes.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let items: usize = self.items.iter().map(Item::encoded_len).sum();
        number_len(self.sealed_at)
            + number_len(self.base.sequence)
            + Hash::SIZE
            + number_len(self.items.len() as u64)
            + items
    }

    fn check_limits(&self) -> Result<(), BlockError> {
        let mut records = 0;
        for item in &self.items {
            if let Item::Contribution(contribution) = item {
                contribution.check_limits()?;
                records += contribution.records.len();
            }
        }
        if records > MAX_BLOCK_RECORDS {
            return Err(BlockError::TooManyRecords { records });
        }
        Ok(())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_number(out, self.sealed_at);
        put_number(out, self.base.sequence);
        out.extend_from_slice(&self.base.stream_hash.0);
        put_number(out, self.items.len() as u64);
        for item in &self.items {
            item.encode(out);
        }
    }
}

impl<B: AsRef<[u8]>> Item<B> {
    /// Length of the item in a block, in bytes. A writer gathers items while their sum and
    /// [`BLOCK_OVERHEAD`] stay within [`MAX_BLOCK`].
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        match self {
            Self::Contribution(contribution) => 1 + contribution.encoded_len(),
            Self::Abandonment(_) => 1 + ContributionId::SIZE,
            Self::Checkpoint(note) => 1 + bytes_len(note.as_ref().len()),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Contribution(contribution) => {
                out.push(0);
                contribution.encode(out);
            }
            Self::Abandonment(id) => {
                out.push(1);
                out.extend_from_slice(&id.0);
            }
            Self::Checkpoint(note) => {
                out.push(2);
                put_bytes(out, note.as_ref());
            }
        }
    }
}

impl<B: AsRef<[u8]>> Contribution<B> {
    /// Whether a block could hold this contribution, alone.
    ///
    /// # Errors
    /// Names the limit that it breaks.
    pub fn check_limits(&self) -> Result<(), BlockError> {
        let (records, reads) = (self.records.len(), self.reads.len());
        if records == 0 || records > MAX_CONTRIBUTION_RECORDS {
            return Err(BlockError::ContributionRecords { records });
        }
        if reads > MAX_CONTRIBUTION_READS {
            return Err(BlockError::TooManyReads { reads });
        }
        for record in &self.records {
            let (header, body) = (record.header.as_ref().len(), record.body.as_ref().len());
            if header > MAX_HEADER || body > MAX_BODY {
                return Err(BlockError::RecordTooLong { header, body });
            }
        }
        let bytes = BLOCK_OVERHEAD + 1 + self.encoded_len();
        if bytes > MAX_BLOCK { Err(BlockError::TooLong { bytes }) } else { Ok(()) }
    }

    fn encoded_len(&self) -> usize {
        let reads: usize =
            self.reads.iter().map(|(_, version)| SubjectId::SIZE + number_len(*version)).sum();
        let records: usize = self.records.iter().map(SealedRecord::encoded_len).sum();
        ContributionId::SIZE
            + Hash::SIZE
            + number_len(self.reads.len() as u64)
            + reads
            + number_len(self.records.len() as u64)
            + records
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        out.extend_from_slice(&self.request_digest.0);
        put_number(out, self.reads.len() as u64);
        for (subject, version) in &self.reads {
            out.extend_from_slice(&subject.0);
            put_number(out, *version);
        }
        put_number(out, self.records.len() as u64);
        for record in &self.records {
            put_bytes(out, record.header.as_ref());
            put_bytes(out, record.body.as_ref());
        }
    }
}

impl<B: AsRef<[u8]>> SealedRecord<B> {
    fn encoded_len(&self) -> usize {
        bytes_len(self.header.as_ref().len()) + bytes_len(self.body.as_ref().len())
    }
}

mod frame;
pub use frame::{ContentError, Frame, Junk};

fn signed_message(genesis: &Hash, unsigned: &[u8]) -> Vec<u8> {
    [BLOCK_LABEL, &genesis.0, &Sha256::digest(unsigned)].concat()
}

#[cfg(test)]
mod tests;
