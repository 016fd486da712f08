//! The store itself: the database handle, the ledgers' current states, and who may write.

use crate::damage::SetAside;
use crate::error::{damaged, read_error};
use crate::lately::Lately;
use crate::position::{Floor, PositionFile};
use crate::reader::Reader;
use crate::spool::Spool;
use crate::{OpenError, StoreError, keys, rows};
use ledger::{
    Authority, ChainHead, ContributionId, Hash, LedgerId, LedgerKind, Settled, State, SubjectId,
};
use rocksdb::{ColumnFamily, DB, DBPinnableSlice};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, RwLock};
use vault::Vault;

/// A ledger of this node, as configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LedgerPin {
    /// Which one.
    pub ledger: LedgerId,
    /// The hash of its genesis record. A database of another genesis is not opened.
    pub genesis: Hash,
}

/// A ledger at one moment. Cheap to take and to copy; the root is computed when first asked for.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The last sequence applied.
    pub sequence: u64,
    /// The stream hash at that sequence.
    pub stream_hash: Hash,
    /// How many records are accepted; the next one's position.
    pub size: u64,
    /// The ledger's time, µs UTC.
    pub time: u64,
    current: Arc<Current>,
}

impl Snapshot {
    /// Root of the Merkle tree over all accepted records. Up to 255 hashes a tile level the first
    /// time, nothing after.
    #[must_use]
    pub fn root(&self) -> Hash {
        *self.current.root.get_or_init(|| self.current.state.root())
    }

    /// The whole state: membership, rules, name, tree.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.current.state
    }
}

#[derive(Debug)]
struct Current {
    state: State,
    root: OnceLock<Hash>,
}

/// One ledger's place in the store.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Held while applying, rebuilding or refolding: one writer a ledger.
    pub(crate) writer: Mutex<()>,
    /// How far the node was when the database was opened, if it was further than the database.
    pub(crate) floor: Option<Floor>,
    current: RwLock<Arc<Current>>,
}

impl Ledger {
    pub(crate) fn new(state: State, floor: Option<Floor>) -> Self {
        let current = RwLock::new(Arc::new(Current::new(state)));
        Self { writer: Mutex::new(()), floor, current }
    }
}

impl Current {
    fn new(state: State) -> Self {
        Self { state, root: OnceLock::new() }
    }
}

/// The node's database. Shared by reference; any thread may read, and apply to different ledgers.
#[derive(Debug)]
pub struct Store {
    pub(crate) db: DB,
    pub(crate) vault: Arc<Vault>,
    pub(crate) ledgers: BTreeMap<LedgerId, Ledger>,
    pub(crate) position: Mutex<PositionFile>,
    pub(crate) spool: Spool,
    pub(crate) dir: PathBuf,
    pub(crate) set_aside: Vec<SetAside>,
    pub(crate) damage: OnceLock<String>,
    /// See [`Store::views_generation`].
    pub(crate) views: AtomicU64,
    pub(crate) lately: Lately,
}

impl Store {
    /// Opens (or makes) the database at `dir/ledger` and the spool at `dir/spool`, and compares with
    /// `dir/position.json`. The end of every ledger is recomputed: unfinished tiles from headers,
    /// stream hashes from messages.
    ///
    /// A damaged one is set aside ([`Store::set_aside`]) and begun anew. One that is behind
    /// `position.json`, as a new one or an older copy is, has a [`Store::floor`].
    ///
    /// # Errors
    /// When it is of another history or genesis, in use, or cannot be read or set aside.
    pub fn open(dir: &Path, ledgers: &[LedgerPin], vault: Arc<Vault>) -> Result<Self, OpenError> {
        crate::open::open(dir, ledgers, vault)
    }

    /// One consistent moment of the whole database. It keeps old versions of rows alive: take it
    /// for an answer, not for longer.
    #[must_use]
    pub fn reader(&self) -> Reader<'_> {
        Reader::new(self)
    }

    /// The last record of a chain, now: a single row needs no [`Store::reader`].
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn head(
        &self,
        ledger: LedgerId,
        chain: SubjectId,
    ) -> Result<Option<ChainHead>, StoreError> {
        match self.lately.head(ledger, chain) {
            Some(head) => Ok(Some(head)),
            None => self.row(keys::HEADS, &keys::head(ledger, chain), rows::decode_head),
        }
    }

    /// How a contribution was settled, as of now; `None` while it is open.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn settled(
        &self,
        ledger: LedgerId,
        id: &ContributionId,
    ) -> Result<Option<Settled>, StoreError> {
        self.row(keys::SETTLED, &keys::settled(ledger, id), rows::decode_settled)
    }

    fn row<T>(
        &self,
        table: &'static str,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        let row = self.db.get_pinned_cf(self.table(table)?, key);
        let row = row.map_err(|error| self.met(read_error(table, key, error)))?;
        self.decoded(table, key, row, decode)
    }

    /// What a row says; one that does not decode is damage.
    pub(crate) fn decoded<T>(
        &self,
        table: &'static str,
        key: &[u8],
        row: Option<DBPinnableSlice<'_>>,
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        row.map(|row| decode(&row).ok_or_else(|| self.met(damaged(table, key)))).transpose()
    }

    /// Rises whenever rows of views change in another way than by the next record of their subject:
    /// made anew, or erased with their key. What was made of views is as good as new while neither
    /// this nor the subject's version has changed.
    #[must_use]
    pub fn views_generation(&self) -> u64 {
        self.views.load(Ordering::SeqCst)
    }

    pub(crate) fn raise_generation(&self) {
        self.lately.forget_registered();
        self.views.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether the subject's file can be opened: its key is here and was not destroyed.
    ///
    /// # Errors
    /// When the key's row is damaged.
    pub fn opens(&self, subject: SubjectId) -> Result<bool, StoreError> {
        match self.vault.keys_of(subject)? {
            Some(ids) => Ok(self.vault.data_key(ids.file)?.is_some()),
            None => Ok(false),
        }
    }

    /// Where a ledger is.
    ///
    /// # Errors
    /// When the ledger is not configured.
    pub fn state(&self, ledger: LedgerId) -> Result<Snapshot, StoreError> {
        let current = self.ledger(ledger)?.current.read().map_err(|_| StoreError::Poisoned)?;
        Ok(Snapshot {
            sequence: current.state.sequence,
            stream_hash: current.state.stream_hash,
            size: current.state.size(),
            time: current.state.time,
            current: Arc::clone(&current),
        })
    }

    /// Where this node was in a ledger, while its database has not come back to there: nothing may
    /// be answered or told from it before.
    ///
    /// # Errors
    /// When the ledger is not configured.
    pub fn floor(&self, ledger: LedgerId) -> Result<Option<&Floor>, StoreError> {
        let sequence = self.state(ledger)?.sequence;
        Ok(self.ledger(ledger)?.floor.as_ref().filter(|floor| floor.sequence > sequence))
    }

    /// Who belongs to a ledger, as this node knew last: as applied, or as of its floor.
    ///
    /// # Errors
    /// When the ledger is not configured.
    pub fn authority(&self, ledger: LedgerId) -> Result<Authority, StoreError> {
        Ok(match self.floor(ledger)? {
            Some(floor) => floor.authority.clone(),
            None => self.state(ledger)?.state().authority.clone(),
        })
    }

    /// Access blocks that wait for the broker.
    #[must_use]
    pub const fn spool(&self) -> &Spool {
        &self.spool
    }

    /// Version of the newest record of this node's access chain that it knows it has made: spooled,
    /// or relied on by an answer before the broker had it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the spool's row does not decode.
    pub fn spooled_upto(&self) -> Result<u64, StoreError> {
        Ok(self.spool.newest()?.max(self.lock(&self.position)?.spooled()))
    }

    /// An answer is about to leave on the spool's word alone: what is spooled now stays known,
    /// synced, also when the spool is lost.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn rely_on_spool(&self) -> Result<(), StoreError> {
        let mut position = self.lock(&self.position)?;
        position.note_spooled(self.spool.newest()?)
    }

    /// Access records of this node that were lost with its spool, since it was founded.
    ///
    /// # Errors
    /// Only after a panic elsewhere.
    pub fn lost_accesses(&self) -> Result<u64, StoreError> {
        Ok(self.lock(&self.position)?.lost())
    }

    /// Notes, for ever, that so many access records are lost: this node's chain ends at `version`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note_lost_accesses(&self, lost: u64, version: u64) -> Result<(), StoreError> {
        self.lock(&self.position)?.note_lost(lost, version)?;
        self.spool.chain_ends_at(version)
    }

    /// Notes, for ever, that a block with so many access records is lost from the spool while what is
    /// behind it is there.
    ///
    /// # Errors
    /// When the file cannot be written; it is written later then.
    pub fn note_lost_in_spool(&self, lost: u64) -> Result<(), StoreError> {
        self.lock(&self.position)?.note_lost(lost, u64::MAX)
    }

    /// The ledgers of this node.
    pub fn ledger_ids(&self) -> impl Iterator<Item = LedgerId> + '_ {
        self.ledgers.keys().copied()
    }

    /// Closes the store: writes `position.json` up to date. Dropping it does the same, without
    /// telling whether it worked.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn close(self) -> Result<(), StoreError> {
        self.write_position()
    }

    /// Replaces the current state, after it was written.
    pub(crate) fn publish(&self, state: State) -> Result<(), StoreError> {
        let ledger = self.ledger(state.ledger)?;
        *ledger.current.write().map_err(|_| StoreError::Poisoned)? = Arc::new(Current::new(state));
        Ok(())
    }

    pub(crate) fn ledger(&self, id: LedgerId) -> Result<&Ledger, StoreError> {
        self.ledgers.get(&id).ok_or(StoreError::UnknownLedger(id))
    }

    /// The ledger of that kind. One shard and one period until there are more.
    pub(crate) fn only(&self, kind: LedgerKind) -> Result<LedgerId, StoreError> {
        let missing = LedgerId { kind, shard: 0, period: 0 };
        self.ledger_ids().find(|id| id.kind == kind).ok_or(StoreError::UnknownLedger(missing))
    }

    pub(crate) fn table(&self, name: &'static str) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(name).ok_or_else(|| crate::error::damaged(name, &[]))
    }

    pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> Result<MutexGuard<'a, T>, StoreError> {
        mutex.lock().map_err(|_| StoreError::Poisoned)
    }

    /// Writes `position.json` if it is behind. Call it every second: under load `apply` does.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_position(&self) -> Result<(), StoreError> {
        let mut position = self.lock(&self.position)?;
        for ledger in self.ledgers.keys() {
            let snapshot = self.state(*ledger)?;
            if snapshot.sequence > 0 {
                position.set(&snapshot);
            }
        }
        position.write()
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Err(error) = self.write_position() {
            tracing::warn!(error = &error as &dyn std::error::Error, "position not written");
        }
    }
}
