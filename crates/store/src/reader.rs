//! Reading at one consistent moment: the snapshot, look-ups and ranges, with damage named.

use crate::error::{StoreError, damaged, read_error};
use crate::rows;
use crate::{keys, store::Store};
use ledger::{ChainHead, ContributionId, Hash, KeyId, LedgerId, Lookup, Settled, SubjectId};
use rocksdb::{
    DB, DBPinnableSlice, DBRawIteratorWithThreadMode, ReadOptions, SnapshotWithThreadMode,
};
use std::ops::ControlFlow;

/// The database as it was when the reader was made: all answers belong together.
pub struct Reader<'a> {
    pub(crate) store: &'a Store,
    snapshot: SnapshotWithThreadMode<'a, DB>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Which row a visit goes on with.
pub(crate) enum Go {
    /// The next.
    On,
    /// The first at or behind this key, which is behind the row's own.
    To(Vec<u8>),
    /// None.
    Out,
}

impl From<ControlFlow<()>> for Go {
    fn from(flow: ControlFlow<()>) -> Self {
        match flow {
            ControlFlow::Continue(()) => Self::On,
            ControlFlow::Break(()) => Self::Out,
        }
    }
}

/// Rows that are passed one by one before a place is looked up, which costs about as much.
const PASSED: usize = 16;

/// Goes on to the first row at or behind `next`.
fn pass(rows: &mut DBRawIteratorWithThreadMode<'_, DB>, next: &[u8]) {
    for _ in 0..PASSED {
        rows.next();
        if rows.key().is_none_or(|key| key >= next) {
            return;
        }
    }
    rows.seek(next);
}

impl<'a> Reader<'a> {
    pub(crate) fn new(store: &'a Store) -> Self {
        Self { store, snapshot: store.db.snapshot() }
    }

    /// Something that was read is not what it has to be: damage, put down for the next start.
    pub(crate) fn damaged(&self, what: &'static str, key: &[u8]) -> StoreError {
        self.store.met(damaged(what, key))
    }

    pub(crate) fn get(
        &self,
        table: &'static str,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, StoreError> {
        self.snapshot
            .get_pinned_cf(self.store.table(table)?, key)
            .map_err(|error| self.store.met(read_error(table, key, error)))
    }

    /// A row, decoded; a row that does not decode is damage.
    pub(crate) fn row<T>(
        &self,
        table: &'static str,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, StoreError> {
        self.store.decoded(table, key, self.get(table, key)?, decode)
    }

    /// Visits the rows from `from` up to, not including, `end`, in order, until `visit` breaks.
    pub(crate) fn range(
        &self,
        table: &'static str,
        from: &[u8],
        end: Option<Vec<u8>>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        self.range_in_parts(table, from, end, |key, row| visit(key, row).map(Go::from))
    }

    /// The same where `visit` says which row is next.
    pub(crate) fn range_in_parts(
        &self,
        table: &'static str,
        from: &[u8],
        end: Option<Vec<u8>>,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<Go, StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        if let Some(end) = end {
            options.set_iterate_upper_bound(end);
        }
        let mut rows = self.snapshot.raw_iterator_cf_opt(self.store.table(table)?, options);
        rows.seek(from);
        while let Some((key, value)) = rows.item() {
            match visit(key, value)? {
                Go::On => rows.next(),
                Go::To(next) => pass(&mut rows, &next),
                Go::Out => return Ok(()),
            }
        }
        // An iterator also ends where a block is damaged.
        rows.status().map_err(|error| self.store.met(read_error(table, from, error)))
    }

    /// Visits the rows before `end` (exclusive) down to `from`, backwards, until `visit` breaks.
    pub(crate) fn range_back(
        &self,
        table: &'static str,
        from: &[u8],
        end: &[u8],
        mut visit: impl FnMut(&[u8]) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(from);
        let mut rows = self.snapshot.raw_iterator_cf_opt(self.store.table(table)?, options);
        rows.seek_for_prev(end);
        while let Some(key) = rows.key() {
            if key < end && visit(key)?.is_break() {
                return Ok(());
            }
            rows.prev();
        }
        rows.status().map_err(|error| self.store.met(read_error(table, from, error)))
    }

    /// The last record of a chain.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn head(
        &self,
        ledger: LedgerId,
        chain: SubjectId,
    ) -> Result<Option<ChainHead>, StoreError> {
        self.row(keys::HEADS, &keys::head(ledger, chain), rows::decode_head)
    }

    /// How a contribution was settled; `None` while it is open.
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

    /// The stream hash at an applied sequence; all zeros at 0, `None` beyond what is applied.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn stream_hash_at(
        &self,
        ledger: LedgerId,
        sequence: u64,
    ) -> Result<Option<Hash>, StoreError> {
        if sequence == 0 {
            return Ok(Some(Hash::ZERO));
        }
        self.row(keys::BLOCKS, &keys::block(ledger, sequence), |row| {
            row.first_chunk::<32>().map(|hash| Hash(*hash))
        })
    }

    /// Whether a control record destroyed the key.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn destroyed(&self, ledger: LedgerId, key: KeyId) -> Result<bool, StoreError> {
        Ok(self.get(keys::DESTROYED, &keys::destroyed(ledger, key))?.is_some())
    }
}

/// What the rules see of the history: one ledger at the reader's moment.
#[derive(Debug)]
pub(crate) struct History<'r, 'a> {
    pub(crate) reader: &'r Reader<'a>,
    pub(crate) ledger: LedgerId,
}

impl Lookup for History<'_, '_> {
    type Error = StoreError;

    /// Only apply moves heads, and it is apply that asks: the newest is the reader's.
    fn head(&self, chain: SubjectId) -> Result<Option<ChainHead>, StoreError> {
        self.reader.store.head(self.ledger, chain)
    }

    fn settled(&self, id: &ContributionId) -> Result<Option<Settled>, StoreError> {
        self.reader.settled(self.ledger, id)
    }

    fn stream_hash_at(&self, sequence: u64) -> Result<Option<Hash>, StoreError> {
        self.reader.stream_hash_at(self.ledger, sequence)
    }

    fn destroyed(&self, key: KeyId) -> Result<bool, StoreError> {
        self.reader.destroyed(self.ledger, key)
    }
}
