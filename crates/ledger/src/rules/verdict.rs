//! What apply says about a message.

use core::ops::Range;
use std::collections::BTreeMap;

use crate::block::Base;
use crate::header::Header;
use crate::id::{ContributionId, Hash, KeyId, NodeId, SubjectId};
use crate::map::Summary;
use crate::tree::FullTile;

/// The last record of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ChainHead {
    /// Its place in the chain, from 1.
    pub version: u64,
    /// [`crate::leaf_hash`] of its header: what the next record's `previous` must be.
    pub hash: Hash,
    /// Its time, µs UTC: the next record's is not before it.
    pub recorded_at: u64,
    /// Its leaf index in the ledger.
    pub position: u64,
}

/// How a contribution's id was settled, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Settled {
    /// Its records were accepted.
    Accepted {
        /// Position of its first record; for the others see [`crate::commitment::place`].
        first_position: u64,
        /// How many records.
        count: u16,
        /// Sequence of the block that held it.
        sequence: u64,
        /// Keyed digest of the request it answered.
        request_digest: Hash,
    },
    /// It was given up before it was accepted.
    Abandoned {
        /// Sequence of the block that said so.
        sequence: u64,
    },
}

/// Everything one message changed, for the caller to store in one batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The message's sequence in the stream.
    pub sequence: u64,
    /// The stream hash at that sequence.
    pub stream_hash: Hash,
    /// The node the frame names, none for junk. Proven unless the verdict is a refusal as
    /// [`Refusal::WrongLedger`], [`Refusal::NotAMember`] or [`Refusal::BadSignature`].
    pub node: Option<NodeId>,
    /// Judged item by item, or refused whole.
    pub verdict: BlockVerdict,
    /// Accepted records in order of position.
    pub records: Vec<AppliedRecord>,
    /// The new head of every chain that grew, by chain.
    pub heads: Vec<(SubjectId, ChainHead)>,
    /// Ids settled by this message, by id.
    pub settled: Vec<(ContributionId, Settled)>,
    /// Keys destroyed by this message, by key.
    pub destroyed: Vec<KeyId>,
    /// Tiles that became full, to be stored as they are served.
    pub tiles: Vec<FullTile>,
    /// The commitment that became due among the records.
    pub committed: Option<Committed>,
}

/// A commitment that apply put into the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its leaf index.
    pub position: u64,
    /// The leaf, see [`crate::commitment`].
    pub bytes: Vec<u8>,
    /// What the map says now of every subject that leaves since the last commitment are about.
    pub changed: BTreeMap<SubjectId, Summary>,
}

/// The verdict on a whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BlockVerdict {
    /// One verdict an item, in order.
    Judged(Vec<ItemVerdict>),
    /// Nothing in it counts. The message is kept and advances the stream hash; it is alarmed.
    Refused(Refusal),
}

/// An accepted record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedRecord {
    /// Its leaf index in the ledger.
    pub position: u64,
    /// Its header.
    pub header: Header,
    /// [`crate::leaf_hash`] of the header.
    pub leaf: Hash,
    /// Place of its contribution among the block's items, from 0.
    pub item: u32,
    /// Its place in the contribution, from 0.
    pub index: u16,
    /// Where the header's bytes stand in the message.
    pub header_at: Range<usize>,
    /// Where the body's bytes stand in the message.
    pub body_at: Range<usize>,
}

impl AppliedRecord {
    /// The header's bytes; empty for another message than the one that was applied.
    #[must_use]
    pub fn header_bytes<'m>(&self, message: &'m [u8]) -> &'m [u8] {
        message.get(self.header_at.clone()).unwrap_or_default()
    }

    /// The body's bytes; empty for another message than the one that was applied.
    #[must_use]
    pub fn body<'m>(&self, message: &'m [u8]) -> &'m [u8] {
        message.get(self.body_at.clone()).unwrap_or_default()
    }
}

/// The verdict on one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemVerdict {
    /// All of the contribution's records have positions now.
    Accepted {
        /// Its id.
        contribution: ContributionId,
        /// Position of its first record.
        first_position: u64,
        /// How many records.
        count: u16,
    },
    /// None of it counts.
    Void {
        /// Its id.
        contribution: ContributionId,
        /// Why.
        reason: VoidReason,
    },
    /// The id is settled as abandoned.
    Abandoned {
        /// The id.
        contribution: ContributionId,
    },
    /// A checkpoint, kept but not judged here.
    Checkpoint,
    /// An abandonment of an id that was already settled.
    Ignored {
        /// The id.
        contribution: ContributionId,
    },
}

/// Why a contribution is void. Only [`VoidReason::Duplicate`] and [`VoidReason::Abandoned`] are
/// final; after any other the same id may still be accepted in a later block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VoidReason {
    /// A record does not link to the head of its chain.
    #[error("a record does not link to the head of its chain")]
    Stale,
    /// A chain that the decision read has another version now.
    #[error("a chain that was read has changed")]
    ReadChanged,
    /// The id was accepted before.
    #[error("the contribution was already accepted")]
    Duplicate {
        /// Position of the first record then accepted.
        first_position: u64,
    },
    /// The id was abandoned before.
    #[error("the contribution was abandoned")]
    Abandoned,
    /// A record's time is before that of the record it links to.
    #[error("a record's time is before that of the record it follows")]
    TimeBackwards,
    /// In `records`: a record's time is more than [`super::MAX_AGE`] behind the ledger's.
    #[error("a record's time is too far behind the ledger's")]
    TooOld,
    /// In `records`: a record's time is more than [`super::MAX_AGE`] ahead of the ledger's.
    #[error("a record's time is too far ahead of the ledger's")]
    TooNew,
    /// In `records`: a record is sealed under a destroyed key. Anywhere: the key was destroyed
    /// before.
    #[error("a key that it uses was destroyed")]
    KeyDestroyed,
    /// A control record that administrators did not sign in sufficient number, or that the
    /// membership does not allow (an id or key used before, an unknown node, the last node, rules
    /// that are not newer, a second genesis).
    #[error("a control record is not authorised")]
    NotAuthorised,
    /// Headers, body hashes, counts or names do not agree with each other or with the block.
    #[error("the contribution does not agree with itself")]
    Malformed,
}

/// Why a message is refused whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a framed block at all.
    #[error("not a block")]
    Junk,
    /// A frame for another ledger.
    #[error("a block of another ledger")]
    WrongLedger,
    /// The node was never admitted.
    #[error("from a node that is not a member")]
    NotAMember,
    /// The signature is not the node's.
    #[error("with a bad signature")]
    BadSignature,
    /// The node was a member once.
    #[error("from a retired node")]
    RetiredNode,
    /// Longer than [`crate::block::MAX_BLOCK`] or more than
    /// [`crate::block::MAX_BLOCK_RECORDS`] records.
    #[error("larger than a block may be")]
    TooLarge,
    /// Signed by a member but not readable as the format it names.
    #[error("with a content that cannot be read")]
    BadContent,
    /// The writer stood on another history: its sequence is not before this message's, or its
    /// stream hash is unlike ours. The alarm names it.
    #[error("on a history unlike ours at sequence {}", .0.sequence)]
    BadBase(Base),
}

/// Why a message cannot be applied. Nothing has changed; apply must stop here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError<E> {
    /// The message is not the next one.
    #[error("expected sequence {expected}, got {got}")]
    Gap {
        /// The next sequence to apply.
        expected: u64,
        /// The sequence offered.
        got: u64,
    },
    /// Block 1 is not the genesis that is pinned: this is another ledger's stream.
    #[error("block 1 does not hold the genesis {pinned} that is pinned")]
    NotOurGenesis {
        /// The hash that is pinned.
        pinned: Hash,
    },
    /// A member signed a block of a format that this program does not know: update the program.
    #[error(
        "sequence {sequence} is of block format {format}, signed by member {node}, which this program does not know: update it"
    )]
    UnknownFormat {
        /// Sequence of the message.
        sequence: u64,
        /// The member.
        node: NodeId,
        /// The format it names.
        format: u16,
    },
    /// Administrators raised the rules beyond what this program knows: update the program.
    #[error("the ledger is judged by rules {rules}, which this program does not know: update it")]
    UnknownRules {
        /// The rules in force.
        rules: u16,
    },
    /// The stream hash of an applied sequence is not to be found: the caller's store is damaged.
    #[error("the stream hash at applied sequence {sequence} is missing from the store")]
    HistoryMissing {
        /// The sequence.
        sequence: u64,
    },
    /// Earlier history could not be read.
    #[error("earlier history could not be read")]
    Lookup(#[source] E),
}

impl Applied {
    /// Nothing has happened but that the stream is one message longer.
    pub(super) fn nothing(
        sequence: u64,
        stream_hash: Hash,
        node: Option<NodeId>,
        refusal: Refusal,
    ) -> Self {
        Self {
            sequence,
            stream_hash,
            node,
            verdict: BlockVerdict::Refused(refusal),
            records: Vec::new(),
            heads: Vec::new(),
            settled: Vec::new(),
            destroyed: Vec::new(),
            tiles: Vec::new(),
            committed: None,
        }
    }
}
