//! A ledger's state and how a message changes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::RULES;
use super::judge::{Judge, Outcome};
use super::lookup::{Lookup, Memory};
use super::verdict::{Applied, ApplyError, BlockVerdict, Committed, ItemVerdict, Refusal};
use crate::block::{BLOCK_FORMAT, Base, Content, Frame, Item, MAX_BLOCK, MAX_BLOCK_RECORDS};
use crate::commitment::{self, Subjects};
use crate::control::NodeKeys;
use crate::header::leaf_hash;
use crate::id::{Hash, LedgerId, NodeId};
use crate::stream::stream_hash;
use crate::tree::{FullTile, Tree};

/// A node that may write, or might once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// What it signs with.
    pub keys: NodeKeys,
    /// Whether it may write no more. A retired node is remembered, so that its id and keys never
    /// come back.
    pub retired: bool,
}

/// Who decides: administrators, nodes and the rules in force. Changed by control records alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    /// Ed25519 public keys of the administrators, as the genesis names them.
    pub administrators: Vec<[u8; 32]>,
    /// How many of them must sign a control record.
    pub threshold: u8,
    /// Version of the rules in force.
    pub rules: u16,
    /// Every node ever admitted.
    pub members: BTreeMap<NodeId, Member>,
}

impl Authority {
    /// The member with this id, unless it is retired.
    #[must_use]
    pub fn active(&self, node: NodeId) -> Option<&Member> {
        self.members.get(&node).filter(|member| !member.retired)
    }

    /// How many members are not retired: what a majority is counted of.
    #[must_use]
    pub fn active_count(&self) -> usize {
        self.members.values().filter(|member| !member.retired).count()
    }
}

/// All of a ledger that apply carries from one message to the next. A copy costs little: at most
/// 33 KiB of the tree's unfinished tiles, and a few of the latest leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The ledger.
    pub ledger: LedgerId,
    /// Hash of the genesis record, pinned in configuration.
    pub genesis: Hash,
    /// First part of the origin, from the genesis record; empty before block 1.
    pub name: String,
    /// The last sequence applied; 0 before block 1.
    pub sequence: u64,
    /// The stream hash at that sequence.
    pub stream_hash: Hash,
    /// The ledger's time in µs UTC: the latest `sealed_at` of a judged block.
    pub time: u64,
    /// Whether any key was ever destroyed: until then no key needs to be looked up.
    pub any_key_destroyed: bool,
    /// Who decides.
    pub authority: Authority,
    /// The Merkle tree over all accepted records and the commitments between them.
    pub tree: Tree,
    /// The map of subjects as of the last commitment, and what the next one adds. Not stored with the
    /// rest: some 160 bytes a subject.
    #[serde(skip)]
    pub subjects: Subjects,
}

/// Why a message is not judged item by item.
enum Unfit<E> {
    Refused(Refusal),
    Stopped(ApplyError<E>),
}

impl<E> From<Refusal> for Unfit<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl State {
    /// Before block 1 of the ledger whose genesis record has the hash `genesis`.
    #[must_use]
    pub fn new(ledger: LedgerId, genesis: Hash) -> Self {
        Self {
            ledger,
            genesis,
            name: String::new(),
            sequence: 0,
            stream_hash: Hash::ZERO,
            time: 0,
            any_key_destroyed: false,
            authority: Authority::default(),
            tree: Tree::default(),
            subjects: Subjects::default(),
        }
    }

    /// How many leaves there are; the next record's position.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Root of the Merkle tree over all leaves. Costs up to 255 hashes a tile level.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// What a block sealed now names as its base.
    #[must_use]
    pub fn base(&self) -> Base {
        Base { sequence: self.sequence, stream_hash: self.stream_hash }
    }

    /// First line of every checkpoint of this ledger, see [`crate::checkpoint::origin`].
    #[must_use]
    pub fn origin(&self) -> String {
        crate::checkpoint::origin(&self.name, self.ledger, &self.genesis)
    }

    /// Applies the next message of the stream.
    ///
    /// `lookup` must answer for exactly the messages applied so far; use [`super::Overlay`] while
    /// some of them are not stored yet. The state changes only when the result is `Ok`, and an
    /// error means that nothing after this message may be applied before its cause is gone.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply<L: Lookup>(
        &mut self,
        lookup: &L,
        sequence: u64,
        message: &[u8],
    ) -> Result<Applied, ApplyError<L::Error>> {
        let expected = self.sequence.saturating_add(1);
        if sequence != expected {
            return Err(ApplyError::Gap { expected, got: sequence });
        }
        let hash = stream_hash(&self.stream_hash, sequence, message);
        let applied = if self.sequence == 0 {
            self.first(hash, message).ok_or(ApplyError::NotOurGenesis { pinned: self.genesis })?
        } else if self.authority.rules == RULES {
            self.next(lookup, sequence, hash, message)?
        } else {
            return Err(ApplyError::UnknownRules { rules: self.authority.rules });
        };
        self.sequence = sequence;
        self.stream_hash = hash;
        Ok(applied)
    }

    /// Block 1 is the pinned genesis and its first node's admission, signed by that node, and
    /// nothing else; none when it is not.
    fn first(&mut self, hash: Hash, message: &[u8]) -> Option<Applied> {
        let frame = Frame::parse(message).ok()?;
        if frame.format != BLOCK_FORMAT || frame.ledger != self.ledger {
            return None;
        }
        let content = frame.content().ok()?;
        if content.base != Base::START || content.items.len() != 1 || message.len() > MAX_BLOCK {
            return None;
        }
        let nothing = Memory::default();
        let judge = Judge::new(self, &nothing, message, frame.node, &content);
        let Ok(outcome) = judge.block(1, &content);
        let admitted = outcome.authority.as_ref()?.active(frame.node)?;
        let founded = matches!(outcome.verdicts.as_slice(), [ItemVerdict::Accepted { .. }])
            && outcome.records.first()?.leaf == self.genesis
            && frame.verify(&admitted.keys.block, &self.genesis);
        founded.then(|| self.commit(1, hash, &frame, &content, outcome))
    }

    fn next<L: Lookup>(
        &mut self,
        lookup: &L,
        sequence: u64,
        hash: Hash,
        message: &[u8],
    ) -> Result<Applied, ApplyError<L::Error>> {
        let Ok(frame) = Frame::parse(message) else {
            return Ok(Applied::nothing(sequence, hash, None, Refusal::Junk));
        };
        match self.examine(lookup, sequence, message.len(), &frame) {
            Err(Unfit::Stopped(error)) => Err(error),
            Err(Unfit::Refused(refusal)) => {
                Ok(Applied::nothing(sequence, hash, Some(frame.node), refusal))
            }
            Ok(content) => {
                let judge = Judge::new(self, lookup, message, frame.node, &content);
                let outcome = judge.block(sequence, &content).map_err(ApplyError::Lookup)?;
                Ok(self.commit(sequence, hash, &frame, &content, outcome))
            }
        }
    }

    /// Who sent it, may they, can it be read, and did they stand on our history.
    fn examine<'m, L: Lookup>(
        &self,
        lookup: &L,
        sequence: u64,
        length: usize,
        frame: &Frame<'m>,
    ) -> Result<Content<&'m [u8]>, Unfit<L::Error>> {
        if frame.ledger != self.ledger {
            return Err(Refusal::WrongLedger.into());
        }
        let Some(member) = self.authority.members.get(&frame.node) else {
            return Err(Refusal::NotAMember.into());
        };
        if !frame.verify(&member.keys.block, &self.genesis) {
            return Err(Refusal::BadSignature.into());
        }
        if member.retired {
            return Err(Refusal::RetiredNode.into());
        }
        if frame.format != BLOCK_FORMAT {
            let (node, format) = (frame.node, frame.format);
            return Err(Unfit::Stopped(ApplyError::UnknownFormat { sequence, node, format }));
        }
        if length > MAX_BLOCK {
            return Err(Refusal::TooLarge.into());
        }
        let content = frame.content().map_err(|_| Refusal::BadContent)?;
        if record_count(&content) > MAX_BLOCK_RECORDS {
            return Err(Refusal::TooLarge.into());
        }
        if self.holds(lookup, content.base).map_err(Unfit::Stopped)? {
            Ok(content)
        } else {
            Err(Refusal::BadBase(content.base).into())
        }
    }

    /// Whether the writer's base is a point of our history.
    fn holds<L: Lookup>(&self, lookup: &L, base: Base) -> Result<bool, ApplyError<L::Error>> {
        let ours = match base.sequence {
            0 => Hash::ZERO,
            sequence if sequence == self.sequence => self.stream_hash,
            sequence if sequence > self.sequence => return Ok(false),
            sequence => lookup
                .stream_hash_at(sequence)
                .map_err(ApplyError::Lookup)?
                .ok_or(ApplyError::HistoryMissing { sequence })?,
        };
        Ok(ours == base.stream_hash)
    }

    /// Takes over what a judged block changed. Cannot fail.
    fn commit(
        &mut self,
        sequence: u64,
        stream_hash: Hash,
        frame: &Frame<'_>,
        content: &Content<&[u8]>,
        outcome: Outcome,
    ) -> Applied {
        let (mut tiles, mut committed) = (Vec::new(), None);
        for record in &outcome.records {
            self.tree.append(record.leaf, &mut tiles);
            self.subjects.add(record.position, record.header.subject, record.leaf);
            if commitment::is_at(self.tree.size()) {
                committed = Some(self.commit_to_subjects(&mut tiles));
            }
        }
        self.subjects.advance();
        self.time = self.time.max(content.sealed_at);
        self.any_key_destroyed |= !outcome.destroyed.is_empty();
        if let Some(authority) = outcome.authority {
            self.authority = authority;
        }
        if let Some(name) = outcome.name {
            self.name = name;
        }
        Applied {
            sequence,
            stream_hash,
            node: Some(frame.node),
            verdict: BlockVerdict::Judged(outcome.verdicts),
            records: outcome.records,
            heads: outcome.heads.into_iter().collect(),
            settled: outcome.settled.into_iter().collect(),
            destroyed: outcome.destroyed.into_iter().collect(),
            tiles,
            committed,
        }
    }

    /// Appends the commitment that is due. (A block has fewer records than there are between two.)
    fn commit_to_subjects(&mut self, tiles: &mut Vec<FullTile>) -> Committed {
        let (commitment, changed) = self.subjects.commit(self.ledger, self.tree.size());
        let bytes = commitment.encode();
        self.tree.append(leaf_hash(&bytes), tiles);
        Committed { position: commitment.position, bytes, changed }
    }
}

fn record_count(content: &Content<&[u8]>) -> usize {
    let records = |item: &Item<&[u8]>| match item {
        Item::Contribution(contribution) => contribution.records.len(),
        Item::Abandonment(_) | Item::Checkpoint(_) => 0,
    };
    content.items.iter().map(records).sum()
}
