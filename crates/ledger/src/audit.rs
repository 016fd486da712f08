//! A whole log, entry by entry, as somebody checks it who trusts nobody: every header is what this
//! ledger writes, follows the one before it in its chain and in its contribution, every commitment is
//! to the map of what stands before it, and the tree over all of them is the one that was signed.
//!
//! Memory grows with the number of chains (subjects, nodes), not with that of entries.

use std::collections::HashMap;

use crate::commitment::{self, Leaf, Subjects};
use crate::header::{Header, leaf_hash};
use crate::id::{ContributionId, Hash, LedgerId, SubjectId};
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
    /// Where a commitment stands nothing else may, and it nowhere else; it is to the map of the
    /// entries before it.
    #[error("is not the commitment to the subjects of the records before it")]
    Commitment,
    /// A contribution is not whole, or not in one piece.
    #[error("is not the next record of its contribution")]
    Contribution,
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
    subjects: Subjects,
    chains: HashMap<SubjectId, Last>,
    /// A contribution of which more must follow: its id, the next index, how many there are.
    open: Option<(ContributionId, u16, u16)>,
}

impl Audit {
    /// Before the first entry of the ledger whose genesis record has this hash: the end of its origin.
    #[must_use]
    pub fn new(genesis: Hash) -> Self {
        let (tree, subjects, chains) = (Tree::default(), Subjects::default(), HashMap::new());
        Self { genesis, ledger: None, latest: 0, tree, subjects, chains, open: None }
    }

    /// Takes the next entry and returns its leaf hash. Tiles that it fills are added to `full`.
    ///
    /// # Errors
    /// What is wrong with it; the audit is over then.
    pub fn add(&mut self, entry: &[u8], full: &mut Vec<FullTile>) -> Result<Hash, EntryFault> {
        let (position, hash) = (self.tree.size(), leaf_hash(entry));
        if let Some(ledger) = self.ledger.filter(|_| commitment::is_at(position)) {
            let (due, _) = self.subjects.commit(ledger, position);
            if due.encode() != entry {
                return Err(EntryFault::Commitment);
            }
            self.tree.append(hash, full);
            return Ok(hash);
        }
        let header = match Leaf::decode(entry).map_err(|_| EntryFault::NotAHeader)? {
            Leaf::Record(header) => header,
            Leaf::Commitment(_) => return Err(EntryFault::Commitment),
        };
        match self.ledger {
            None if hash != self.genesis => return Err(EntryFault::OtherGenesis),
            None => self.ledger = Some(header.ledger),
            Some(ledger) if ledger != header.ledger => return Err(EntryFault::OtherLedger),
            Some(_) => {}
        }
        self.contribution(&header)?;
        self.link(&header, hash)?;
        self.subjects.add(position, header.subject, hash);
        self.latest = self.latest.max(header.recorded_at);
        self.tree.append(hash, full);
        Ok(hash)
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
        let last = self.chains.get(&header.chain()).copied().unwrap_or(start);
        if header.version != last.version + 1 {
            return Err(EntryFault::Version { wanted: last.version + 1, found: header.version });
        }
        if header.previous != last.hash {
            return Err(EntryFault::Link);
        }
        if header.recorded_at < last.recorded_at {
            return Err(EntryFault::Time);
        }
        let now = Last { version: header.version, hash, recorded_at: header.recorded_at };
        self.chains.insert(header.chain(), now);
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

    /// Whether the last contribution is whole. A checkpoint never ends within one.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.open.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Item;
    use crate::testing::{NODE, World, founding_block, subject};

    /// The headers of a ledger of some chains and contributions, and its root.
    fn entries() -> (Hash, Vec<Vec<u8>>, Hash) {
        let founded = founding_block(LedgerId::RECORDS);
        let frame = crate::Frame::parse(&founded.block).unwrap();
        let content = frame.content().unwrap();
        let Item::Contribution(first) = &content.items[0] else { panic!("a contribution") };
        let mut entries: Vec<Vec<u8>> =
            first.records.iter().map(|record| record.header.to_vec()).collect();
        let mut world = World::records();
        for (number, chains) in (1..).zip([[1, 2].as_slice(), &[2], &[1, 3, 2], &[1], &[3]]) {
            let subjects: Vec<SubjectId> = chains.iter().map(|chain| subject(*chain)).collect();
            let draft = world.draft(number, &subjects);
            let message = world.seal_by(NODE, vec![Item::Contribution(draft)]);
            let applied = world.apply(&message);
            assert_eq!(applied.records.len(), subjects.len());
            entries.extend(applied.records.iter().map(|one| one.header_bytes(&message).to_vec()));
        }
        (founded.genesis, entries, world.state.tree.root())
    }

    fn audited(genesis: Hash, entries: &[Vec<u8>]) -> Result<Audit, (usize, EntryFault)> {
        let (mut audit, mut full) = (Audit::new(genesis), Vec::new());
        for (at, entry) in entries.iter().enumerate() {
            audit.add(entry, &mut full).map_err(|fault| (at, fault))?;
        }
        Ok(audit)
    }

    #[test]
    fn a_log_as_it_was_written_has_the_root_that_apply_has() {
        let (genesis, entries, root) = entries();
        let audit = audited(genesis, &entries).unwrap();
        assert_eq!(
            (audit.root(), audit.size(), audit.is_whole()),
            (root, entries.len() as u64, true)
        );
    }

    #[test]
    fn what_was_taken_out_swapped_or_put_in_shows_where_it_is() {
        let (genesis, entries, root) = entries();
        for at in 0..entries.len() - 1 {
            let mut without = entries.clone();
            without.remove(at);
            // The end of a chain that nothing follows does not show by itself: the root does.
            let shows = audited(genesis, &without).map(|audit| audit.root() != root);
            assert!(shows.is_err() || shows == Ok(true), "{at} removed");
            let mut twice = entries.clone();
            twice.insert(at, entries[at].clone());
            assert!(audited(genesis, &twice).is_err(), "{at} twice");
            let mut cut = entries.clone();
            cut[at].pop();
            assert_eq!(audited(genesis, &cut).unwrap_err(), (at, EntryFault::NotAHeader));
        }
        assert_eq!(audited(Hash([1; 32]), &entries).unwrap_err(), (0, EntryFault::OtherGenesis));
    }
}
