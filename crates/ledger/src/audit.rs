//! A whole log, entry by entry, as somebody checks it who trusts nobody: every header is what this
//! ledger writes, was filed by a node that the administrators had admitted, follows the one before it
//! in its chain and in its contribution and is not dated back, every commitment is to the map of what
//! stands before it, and the tree over all of them is the one that was signed.
//!
//! Who may admit stands in the bodies of control records, which are clear: they are asked for as they
//! come ([`Audit::awaits`]).
//!
//! What a header says of its node is a claim: it stands in a block that the node signed, and blocks are
//! not in the log. Nor is it looked for whether a contribution's id comes twice, which would take memory
//! for each. Both are for nodes and for `fsck`.
//!
//! Memory grows with the number of chains (subjects, nodes), not with that of entries.

use std::collections::{HashMap, HashSet};

use crate::block::MAX_CONTRIBUTION_RECORDS;
use crate::commitment::{self, Commitment, Leaf};
use crate::control::{CONTROL_ENVELOPE, Control, Genesis};
use crate::header::{Header, LeafType, MAX_BODY, leaf_hash};
use crate::id::{ContributionId, Hash, KeyId, LedgerId, LedgerKind, NodeId, SubjectId};
use crate::map::{Map, SubjectLeaf};
use crate::rules::{Authority, MAX_AGE, RULES};
use crate::tree::{FullTile, Tree};

/// What is wrong with an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// Not a record header in its one canonical form.
    #[error("is no record header")]
    NotAHeader,
    /// The first entry is not the genesis record that the origin names.
    #[error("is not the genesis record that the origin names")]
    OtherGenesis,
    /// A header of another ledger.
    #[error("is of another ledger")]
    OtherLedger,
    /// A version is missing or comes twice in its chain.
    #[error("is version {found} of its chain, where version {wanted} follows")]
    Version {
        /// The next version of the chain.
        wanted: u64,
        /// What the entry says.
        found: u64,
    },
    /// It does not link to the record before it in its chain.
    #[error("does not link to the record before it in its chain")]
    Link,
    /// It was recorded before the one that it links to.
    #[error("was recorded before the record that it links to")]
    Time,
    /// In `records`: it is dated further back than apply lets any record be.
    #[error("is dated more than two minutes before a record that stands before it")]
    DatedBack,
    /// Where a commitment stands nothing else may, and it nowhere else; it is to the map of the
    /// entries before it.
    #[error("is not the commitment to the subjects of the records before it")]
    Commitment,
    /// A contribution is not whole, or not in one piece.
    #[error("is not the next record of its contribution")]
    Contribution,
    /// Fields that apply accepts of nobody.
    #[error("has fields that cannot stand together")]
    Fields,
    /// It was filed in the name of a node that was not admitted before it, or was retired.
    #[error(
        "was filed in the name of a node that the administrators had not admitted, or had retired"
    )]
    NotAMember,
    /// It is sealed under a key that was destroyed before it.
    #[error("is sealed under a key that was destroyed before")]
    KeyDestroyed,
    /// From here on the ledger is judged by rules that this program does not know.
    #[error("sets the rules to {rules}, which this program does not know: update it")]
    UnknownRules {
        /// The rules from here on.
        rules: u16,
    },
    /// The body of a control record is not the one that its header names.
    #[error("is a control record of another body")]
    OtherBody,
    /// The administrators did not sign it in sufficient number, or it cannot follow what they did before.
    #[error("is a control record that the administrators did not sign, or that cannot be")]
    NotAuthorised,
    /// A control record's body was not looked at before more entries came.
    #[error("follows a control record whose body was not given")]
    BodyNotGiven,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    version: u64,
    hash: Hash,
    recorded_at: u64,
}

/// A log as far as it was read.
#[derive(Clone, Debug)]
pub struct Audit {
    genesis: Hash,
    ledger: Option<LedgerId>,
    latest: u64,
    tree: Tree,
    /// As of the last commitment, and the leaves since.
    map: Map,
    since: Vec<SubjectLeaf>,
    chains: HashMap<SubjectId, Last>,
    /// Who may write and who decides that; none before the genesis record's body.
    authority: Option<Authority>,
    /// A control record whose body was not given yet: its position, the body's hash, and who filed it.
    awaits: Option<(u64, Hash, NodeId)>,
    /// A node that filed its own retirement: what follows directly may be of the same block.
    leaving: Option<NodeId>,
    /// Data keys that were destroyed.
    destroyed: HashSet<KeyId>,
    /// A contribution of which more must follow: its id, the next index, how many there are.
    open: Option<(ContributionId, u16, u16)>,
}

impl Audit {
    /// Before the first entry of the ledger whose genesis record has this hash: the end of its origin.
    #[must_use]
    pub fn new(genesis: Hash) -> Self {
        Self {
            genesis,
            ledger: None,
            latest: 0,
            tree: Tree::default(),
            map: Map::default(),
            since: Vec::new(),
            chains: HashMap::new(),
            authority: None,
            awaits: None,
            leaving: None,
            destroyed: HashSet::new(),
            open: None,
        }
    }

    /// Takes the next entry and returns its leaf hash. Tiles that it fills are added to `full`.
    ///
    /// # Errors
    /// What is wrong with it; the audit is over then.
    pub fn add(&mut self, entry: &[u8], full: &mut Vec<FullTile>) -> Result<Hash, EntryFault> {
        let (position, hash) = (self.tree.size(), leaf_hash(entry));
        if self.awaits.is_some() {
            return Err(EntryFault::BodyNotGiven);
        }
        if let Some(ledger) = self.ledger.filter(|_| commitment::is_at(position)) {
            self.map.add(&self.since);
            self.since.clear();
            let due = Commitment::new(ledger, position, &self.map);
            if due.encode() != entry {
                return Err(EntryFault::Commitment);
            }
            self.tree.append(hash, full);
            return Ok(hash);
        }
        let header = Header::decode(entry).map_err(|_| match Leaf::decode(entry) {
            Ok(Leaf::Commitment(_)) => EntryFault::Commitment,
            Ok(Leaf::Record(_)) | Err(_) => EntryFault::NotAHeader,
        })?;
        match self.ledger {
            None if hash != self.genesis => return Err(EntryFault::OtherGenesis),
            None => self.ledger = Some(header.ledger),
            Some(ledger) if ledger != header.ledger => return Err(EntryFault::OtherLedger),
            Some(_) => {}
        }
        self.fields(&header)?;
        self.member(&header)?;
        self.contribution(&header)?;
        self.link(&header, hash)?;
        if header.leaf == LeafType::Control {
            self.awaits = Some((position, header.body_hash, header.node));
        }
        self.since.push(SubjectLeaf { subject: header.subject, position, leaf: hash });
        self.latest = self.latest.max(header.recorded_at);
        self.tree.append(hash, full);
        Ok(hash)
    }

    /// Position of the control record just taken, whose body must be given before more is taken.
    #[must_use]
    pub fn awaits(&self) -> Option<u64> {
        self.awaits.map(|(position, ..)| position)
    }

    /// Takes the body of the control record just taken.
    ///
    /// # Errors
    /// What is wrong with it; the audit is over then.
    pub fn control(&mut self, body: &[u8]) -> Result<(), EntryFault> {
        let by = match self.awaits.take() {
            Some((_, hash, by)) if hash == Hash::of(body) => by,
            Some(_) | None => return Err(EntryFault::OtherBody),
        };
        let control = Control::decode(body).map_err(|_| EntryFault::NotAuthorised)?;
        let after = match (&self.authority, &control, self.ledger) {
            (None, Control::Genesis(genesis), Some(ledger)) => Authority::founded(genesis, ledger),
            (Some(authority), control, _) => authority.after(&self.genesis, control),
            (None, _, _) => None,
        };
        self.authority = Some(after.ok_or(EntryFault::NotAuthorised)?);
        match control {
            Control::Genesis(Genesis { rules, .. }) | Control::RulesRaised { rules, .. }
                if rules > RULES =>
            {
                return Err(EntryFault::UnknownRules { rules });
            }
            Control::Genesis(_) | Control::RulesRaised { .. } | Control::NodeAdmitted { .. } => {}
            // Whom it retires after itself changes nothing for it.
            Control::NodeRetired { node, .. } if node == by => self.leaving = Some(node),
            Control::NodeRetired { .. } => {}
            Control::KeyDestroyed { key, .. } => {
                if !self.destroyed.insert(key) {
                    return Err(EntryFault::NotAuthorised);
                }
            }
        }
        Ok(())
    }

    /// What apply asks of a header by itself. A control record is alone in its contribution, but for the
    /// two that found a ledger.
    fn fields(&self, header: &Header) -> Result<(), EntryFault> {
        let founds = self.authority.as_ref().is_none_or(|authority| authority.members.is_empty());
        let alone = header.count == if founds { 2 } else { 1 };
        let of_its_type = match header.leaf {
            LeafType::Record => !founds,
            LeafType::Control => header.envelope_version == CONTROL_ENVELOPE && alone,
        };
        let short = usize::from(header.count) <= MAX_CONTRIBUTION_RECORDS
            && usize::try_from(header.body_length).is_ok_and(|length| length <= MAX_BODY);
        if !(header.is_of_its_type() && of_its_type && short) {
            return Err(EntryFault::Fields);
        }
        let changes = header.ledger.kind == LedgerKind::Records && header.leaf == LeafType::Record;
        match changes && self.destroyed.contains(&header.data_key) {
            true => Err(EntryFault::KeyDestroyed),
            false => Ok(()),
        }
    }

    /// The founding records come before any member. A block is one node's, so a node that files its own
    /// retirement may have filed what follows directly.
    fn member(&mut self, header: &Header) -> Result<(), EntryFault> {
        let Some(authority) = &self.authority else { return Ok(()) };
        let by = header.node;
        self.leaving = self.leaving.filter(|node| *node == by);
        let founds = authority.members.is_empty();
        let admitted = founds || authority.active(by).is_some() || self.leaving == Some(by);
        if admitted { Ok(()) } else { Err(EntryFault::NotAMember) }
    }

    fn contribution(&mut self, header: &Header) -> Result<(), EntryFault> {
        let expected = match self.open {
            Some((id, index, count)) => {
                header.contribution_id == id && header.index == index && header.count == count
            }
            None => header.index == 0,
        };
        if !expected || header.index >= header.count {
            return Err(EntryFault::Contribution);
        }
        let next = header.index + 1;
        self.open = (next < header.count).then_some((header.contribution_id, next, header.count));
        Ok(())
    }

    fn link(&mut self, header: &Header, hash: Hash) -> Result<(), EntryFault> {
        let start = Last { version: 0, hash: Hash::ZERO, recorded_at: 0 };
        let last = self.chains.entry(header.chain()).or_insert(start);
        if last.version.checked_add(1) != Some(header.version) {
            let wanted = last.version.saturating_add(1);
            return Err(EntryFault::Version { wanted, found: header.version });
        }
        if header.previous != last.hash {
            return Err(EntryFault::Link);
        }
        if header.recorded_at < last.recorded_at {
            return Err(EntryFault::Time);
        }
        // Apply takes what is within MAX_AGE of the ledger's time, which never goes back: one record may
        // be that far ahead of it, and one behind that far behind.
        let closed = self.latest.saturating_sub(2 * MAX_AGE);
        if header.ledger.kind == LedgerKind::Records && header.recorded_at < closed {
            return Err(EntryFault::DatedBack);
        }
        *last = Last { version: header.version, hash, recorded_at: header.recorded_at };
        Ok(())
    }

    /// The latest time at which one of them was recorded, µs UTC.
    #[must_use]
    pub fn latest(&self) -> u64 {
        self.latest
    }

    /// How many entries were taken.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// The root over them.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.tree.root()
    }

    /// The tree over them.
    #[must_use]
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Who may write, and who decides that; none before the genesis record's body was given.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        self.authority.as_ref()
    }

    /// Whether the last contribution is whole. A checkpoint never ends within one.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.open.is_none() && self.awaits.is_none()
    }
}

#[cfg(test)]
mod tests;
