//! Views anew: of one subject when its key arrives, of all after a restore or when the views'
//! version changes.

use crate::background::lower_priority;
use crate::error::damaged;
use crate::fold::Fold;
use crate::keys::{self, MetaTag};
use crate::{Store, StoreError, options, rows};
use ledger::{Header, Leaf, LeafType, LedgerId, LedgerKind, SubjectId};
use rocksdb::{ColumnFamily, FlushOptions, WriteBatch};
use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread;

/// The version of all view rows together. Raise it when the meaning or form of any of them changes:
/// a node with older views rebuilds them before it is ready.
pub const VIEW_VERSION: u32 = 3;

/// Bytes of records that a worker folds at once: with two workers as much as one applied batch.
const CHUNK_BYTES: usize = crate::MAX_BATCH_BYTES / 2;

/// A worker's share of the subjects.
#[derive(Clone, Copy)]
struct Share {
    share: usize,
    workers: usize,
}

impl Share {
    /// A subject's records are all in one share.
    fn has(self, header: &Header) -> bool {
        let [first, second, ..] = header.subject.0;
        usize::from(u16::from_be_bytes([first, second])) % self.workers == self.share
    }
}

impl Store {
    /// Whether the views of all ledgers are there, in this version. If not, answer nothing from
    /// them and call [`Store::rebuild_views`].
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not decode.
    pub fn views_ready(&self) -> Result<bool, StoreError> {
        let reader = self.reader();
        for ledger in self.ledger_ids() {
            let found =
                reader.row(keys::META, &keys::meta(ledger, MetaTag::ViewVersion), |row| {
                    row.try_into().ok().map(u32::from_be_bytes)
                })?;
            if found != Some(VIEW_VERSION) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Makes all views anew from records and keys, on all processors but one. `progress` hears how many records of
    /// how many are done, and may break off; false when it did. Nothing is applied meanwhile; an
    /// interrupted rebuild begins again.
    ///
    /// # Errors
    /// When a record is damaged or the database cannot be written. The views are not ready then.
    pub fn rebuild_views(
        &self,
        progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<bool, StoreError> {
        self.rebuild_all(progress).map_err(|error| self.met(error))
    }

    fn rebuild_all(
        &self,
        mut progress: impl FnMut(u64, u64) -> ControlFlow<()>,
    ) -> Result<bool, StoreError> {
        let mut writers = Vec::with_capacity(self.ledgers.len());
        for place in self.ledgers.values() {
            writers.push(self.lock(&place.writer)?);
        }
        let mut total = 0;
        for ledger in self.ledger_ids() {
            total += self.state(ledger)?.size;
        }
        for ledger in self.ledger_ids() {
            if progress(0, total).is_break() {
                return Ok(false);
            }
            self.clear_views(ledger)?;
        }
        let mut done = 0;
        for ledger in self.ledger_ids() {
            let ended = self.fold_all(ledger, |records| {
                done += records;
                progress(done, total)
            })?;
            if ended.is_break() {
                return Ok(false);
            }
        }
        self.flush()?;
        self.raise_generation();
        self.mark_views_ready()?;
        Ok(true)
    }

    /// Removes all views: for a copy that holds none, and to have them made anew at the next start.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn drop_views(&self) -> Result<(), StoreError> {
        for (ledger, place) in &self.ledgers {
            let _writer = self.lock(&place.writer)?;
            self.clear_views(*ledger)?;
        }
        self.raise_generation();
        Ok(())
    }

    /// Makes the views of one subject anew, when it has records that could not be folded; true
    /// when there were some. For when a key arrives.
    ///
    /// # Errors
    /// When a record is damaged or the database cannot be written.
    pub fn refold(&self, subject: SubjectId) -> Result<bool, StoreError> {
        let ledger = self.only(LedgerKind::Records)?;
        let place = self.ledger(ledger)?;
        // First: what is being folded without the key at this moment is noted when it is written.
        let _writer = self.lock(&place.writer)?;
        if self.reader().unfolded(subject)?.is_empty() {
            return Ok(false);
        }
        let reader = self.reader();
        let genesis = self.state(ledger)?.state().genesis;
        let mut fold = Fold::anew(self, &reader, ledger, genesis);
        fold.erase_rows(subject)?;
        reader.walk(ledger, subject, 1..=u64::MAX - 1, |record| {
            fold.record(record.position, &record.header, &record.body)?;
            Ok(ControlFlow::Continue(()))
        })?;
        let batch = fold.finish()?;
        self.db
            .write_opt(batch, &options::synced())
            .map_err(|source| StoreError::Database { action: "write views", source })?;
        self.raise_generation();
        Ok(true)
    }

    /// Subjects with records that are not in the views: what to refold when
    /// several keys, or the system's, have arrived.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not decode.
    pub fn unfolded_subjects(&self) -> Result<Vec<SubjectId>, StoreError> {
        let ledger = self.only(LedgerKind::Records)?;
        let prefix = ledger.to_bytes();
        let mut subjects: Vec<SubjectId> = Vec::new();
        self.reader().range(keys::UNFOLDED, &prefix, keys::after_prefix(&prefix), |key, _| {
            let subject = keys::subject(key).ok_or_else(|| damaged(keys::UNFOLDED, key))?;
            if subjects.last() != Some(&subject) {
                subjects.push(subject);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(subjects)
    }

    /// Says that all views are there, in this version; synced.
    pub(crate) fn mark_views_ready(&self) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        for ledger in self.ledger_ids() {
            let key = keys::meta(ledger, MetaTag::ViewVersion);
            batch.put_cf(self.table(keys::META)?, key, VIEW_VERSION.to_be_bytes());
        }
        self.db
            .write_opt(batch, &options::synced())
            .map_err(|source| StoreError::Database { action: "write", source })
    }

    fn clear_views(&self, ledger: LedgerId) -> Result<(), StoreError> {
        let from = ledger.to_bytes();
        let end = keys::after_prefix(&from).unwrap_or_default();
        let database = |source| StoreError::Database { action: "remove views", source };
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.table(keys::META)?, keys::meta(ledger, MetaTag::ViewVersion));
        for name in keys::VIEWS {
            batch.delete_range_cf(self.table(name)?, from.as_slice(), end.as_slice());
        }
        self.db.write_opt(batch, &options::synced()).map_err(database)?;
        for name in keys::VIEWS {
            // Whole files go at once.
            self.db
                .delete_file_in_range_cf(self.table(name)?, from.as_slice(), &end)
                .map_err(database)?;
            // Otherwise every row folded now would be looked for under the old ones first.
            self.db.compact_range_cf(self.table(name)?, Some(from), Some(&end));
        }
        Ok(())
    }

    /// Folds a ledger's records on all processors but one, each its share of the subjects, in order. `progress`
    /// hears how many more are folded, and may break off.
    fn fold_all(
        &self,
        ledger: LedgerId,
        progress: impl FnMut(u64) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, StoreError> {
        // One processor is left to the broker on this machine, whose quorum other nodes' commands wait
        // for, and to whatever else answers there: with all of them at work every wake-up waits for one.
        let workers = thread::available_parallelism().map_or(1, |all| all.get().max(2) - 1);
        let (tell, told) = mpsc::channel();
        let (ended, erased) = thread::scope(|scope| {
            let started: Vec<_> = (0..workers)
                .map(|share| {
                    let tell = tell.clone();
                    scope.spawn(move || self.fold_share(ledger, Share { share, workers }, &tell))
                })
                .collect();
            // The workers hold the others: hearing ends with the last of them.
            drop(tell);
            let ended = told.iter().try_for_each(progress);
            // A worker that is not heard any more stops.
            drop(told);
            let erased: Result<Vec<_>, _> = started
                .into_iter()
                .map(|worker| worker.join().unwrap_or(Err(StoreError::Poisoned)))
                .collect();
            erased.map(|erased| (ended, erased))
        })?;
        if ended.is_break() {
            return Ok(ended);
        }
        // Last, when everybody's numbers are there: a share knows nothing of the others.
        for subject in erased.into_iter().flatten() {
            let (reader, genesis) = (self.reader(), self.state(ledger)?.state().genesis);
            let mut fold = Fold::new(self, &reader, ledger, genesis);
            fold.erase(subject)?;
            self.write_unlogged(fold.finish()?)?;
        }
        Ok(ended)
    }

    /// Folds one share; answers whose keys were destroyed, as far as this share's records say.
    fn fold_share(
        &self,
        ledger: LedgerId,
        share: Share,
        tell: &mpsc::Sender<u64>,
    ) -> Result<Vec<SubjectId>, StoreError> {
        if let Err(error) = lower_priority() {
            tracing::warn!(%error, "a thread that makes views keeps the usual priority");
        }
        let genesis = self.state(ledger)?.state().genesis;
        let mut erased = Vec::new();
        let mut next = Some(0);
        while let Some(from) = next.take() {
            let reader = self.reader();
            let mut fold = Fold::new(self, &reader, ledger, genesis);
            let (mut position, mut bytes, mut folded) = (from, 0, 0);
            let end = keys::after_prefix(&ledger.to_bytes());
            reader.range(keys::RECORDS, &keys::record(ledger, from), end, |key, row| {
                if bytes > CHUNK_BYTES {
                    next = Some(position);
                    return Ok(ControlFlow::Break(()));
                }
                let (leaf, body) = rows::split_record(row)
                    .and_then(|(leaf, body)| Some((Leaf::decode(leaf).ok()?, body)))
                    .filter(|_| keys::last_number(key) == Some(position))
                    .ok_or_else(|| damaged(keys::RECORDS, key))?;
                let header = match leaf {
                    Leaf::Record(header) => header,
                    Leaf::Commitment(_) => {
                        folded += u64::from(share.share == 0);
                        position += 1;
                        return Ok(ControlFlow::Continue(()));
                    }
                };
                if share.has(&header) {
                    bytes += row.len();
                    folded += 1;
                    match (header.leaf, ledger.kind) {
                        (LeafType::Control, LedgerKind::Records) => {
                            erased.extend(fold.erased(body)?);
                        }
                        (LeafType::Control, LedgerKind::Access) | (LeafType::Record, _) => {
                            fold.record(position, &header, body)?;
                        }
                    }
                }
                position += 1;
                Ok(ControlFlow::Continue(()))
            })?;
            if next.is_none() && position != self.state(ledger)?.size {
                return Err(damaged(keys::RECORDS, &keys::record(ledger, position)));
            }
            self.write_unlogged(fold.finish()?)?;
            if tell.send(folded).is_err() {
                break;
            }
        }
        Ok(erased)
    }

    fn write_unlogged(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.db
            .write_opt(batch, &options::unlogged())
            .map_err(|source| StoreError::Database { action: "write views", source })
    }

    /// What was written without a log is on the disk when this returns.
    fn flush(&self) -> Result<(), StoreError> {
        let tables: Vec<&ColumnFamily> =
            keys::TABLES.iter().map(|name| self.table(name)).collect::<Result<_, _>>()?;
        let mut wait = FlushOptions::default();
        wait.set_wait(true);
        self.db
            .flush_cfs_opt(&tables, &wait)
            .map_err(|source| StoreError::Database { action: "flush", source })
    }
}
