//! How the verdict sees earlier history.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;

use super::verdict::{Applied, ChainHead, Settled};
use crate::id::{ContributionId, Hash, KeyId, SubjectId};

/// Earlier history of one ledger, as of the last message applied. The implementations, RocksDB in
/// `store` and [`Memory`] here, MUST answer from applied messages alone (never from keys, views or
/// the broker), and MUST answer an error, never "none", when they cannot tell.
pub trait Lookup {
    /// Why history could not be read.
    type Error;

    /// The last record of a chain; none when the chain is empty.
    ///
    /// # Errors
    /// When it could not be read.
    fn head(&self, chain: SubjectId) -> Result<Option<ChainHead>, Self::Error>;

    /// How an id was settled; none while it is open.
    ///
    /// # Errors
    /// When it could not be read.
    fn settled(&self, id: &ContributionId) -> Result<Option<Settled>, Self::Error>;

    /// The stream hash at an applied sequence from 1. None stops apply, since the caller applied
    /// that sequence and must know it.
    ///
    /// # Errors
    /// When it could not be read.
    fn stream_hash_at(&self, sequence: u64) -> Result<Option<Hash>, Self::Error>;

    /// Whether a key was destroyed by an accepted control record.
    ///
    /// # Errors
    /// When it could not be read.
    fn destroyed(&self, key: KeyId) -> Result<bool, Self::Error>;
}

/// History in memory: for tests, offline verification, and the recent part of an [`Overlay`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    heads: HashMap<SubjectId, ChainHead>,
    settled: HashMap<ContributionId, Settled>,
    stream_hashes: HashMap<u64, Hash>,
    destroyed: HashSet<KeyId>,
}

impl Memory {
    /// Takes in what a message changed.
    pub fn add(&mut self, applied: &Applied) {
        self.heads.extend(applied.heads.iter().copied());
        self.settled.extend(applied.settled.iter().copied());
        self.stream_hashes.insert(applied.sequence, applied.stream_hash);
        self.destroyed.extend(applied.destroyed.iter().copied());
    }
}

impl Lookup for Memory {
    type Error = Infallible;

    fn head(&self, chain: SubjectId) -> Result<Option<ChainHead>, Infallible> {
        Ok(self.heads.get(&chain).copied())
    }

    fn settled(&self, id: &ContributionId) -> Result<Option<Settled>, Infallible> {
        Ok(self.settled.get(id).copied())
    }

    fn stream_hash_at(&self, sequence: u64) -> Result<Option<Hash>, Infallible> {
        Ok(self.stream_hashes.get(&sequence).copied())
    }

    fn destroyed(&self, key: KeyId) -> Result<bool, Infallible> {
        Ok(self.destroyed.contains(&key))
    }
}

/// Stored history with messages on top that are applied but not stored yet, so that a caller can
/// apply many and write them in one batch.
#[derive(Debug)]
pub struct Overlay<'a, L> {
    stored: &'a L,
    recent: Memory,
}

impl<'a, L> Overlay<'a, L> {
    /// Nothing on top of `stored` yet.
    pub fn new(stored: &'a L) -> Self {
        Self { stored, recent: Memory::default() }
    }

    /// Puts what a message changed on top.
    pub fn add(&mut self, applied: &Applied) {
        self.recent.add(applied);
    }
}

impl<L: Lookup> Lookup for Overlay<'_, L> {
    type Error = L::Error;

    fn head(&self, chain: SubjectId) -> Result<Option<ChainHead>, L::Error> {
        match self.recent.heads.get(&chain) {
            Some(head) => Ok(Some(*head)),
            None => self.stored.head(chain),
        }
    }

    fn settled(&self, id: &ContributionId) -> Result<Option<Settled>, L::Error> {
        match self.recent.settled.get(id) {
            Some(settled) => Ok(Some(*settled)),
            None => self.stored.settled(id),
        }
    }

    fn stream_hash_at(&self, sequence: u64) -> Result<Option<Hash>, L::Error> {
        match self.recent.stream_hashes.get(&sequence) {
            Some(hash) => Ok(Some(*hash)),
            None => self.stored.stream_hash_at(sequence),
        }
    }

    fn destroyed(&self, key: KeyId) -> Result<bool, L::Error> {
        if self.recent.destroyed.contains(&key) { Ok(true) } else { self.stored.destroyed(key) }
    }
}
