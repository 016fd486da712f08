//! The key database: RocksDB at `DIR/keys`, apart from the records so that it has a backup of its
//! own with a short life (a key that lives on in an old backup was never destroyed).
//!
//! | column family | key | value |
//! |---|---|---|
//! | `keys` | key id (16) | postcard of [`KeyRow`] |
//! | `subjects` | subject (16) | file key id (16) ‖ audit key id (16) |
//! | `batches` | entry name, UTF-8 | SHA-256 of the entry (32) ‖ 1 when made by this node, else 0 ‖ its subjects (16 each) in order |
//! | `unused` | subject (16) | file key id ‖ audit key id, of this node's batches, not yet taken |
//! | `meta` | `system` | postcard of `SystemKeys` |

use crate::VaultError;
use crate::batch::WrappedKey;
use rocksdb::{
    BottommostLevelCompaction, ColumnFamily, ColumnFamilyDescriptor, CompactOptions, DB,
    DBRecoveryMode, Options, WriteBatch, WriteOptions,
};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

pub(crate) const KEYS: &str = "keys";
pub(crate) const SUBJECTS: &str = "subjects";
pub(crate) const BATCHES: &str = "batches";
pub(crate) const UNUSED: &str = "unused";
pub(crate) const META: &str = "meta";
const TABLES: [&str; 5] = [KEYS, SUBJECTS, BATCHES, UNUSED, META];

/// A row of `unused`: subject, and its two key ids.
pub(crate) type UnusedRow = ([u8; 16], [u8; 32]);

/// A row of `keys`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum KeyRow {
    Wrapped(WrappedKey),
    /// Stays for ever, so that a batch seen again cannot bring the key back.
    Destroyed,
}

#[derive(Debug)]
pub(crate) struct Database {
    db: DB,
    /// Where damage that is met is put down, so that the next start deals with it; none when only looked at.
    mark: Option<PathBuf>,
    /// The first that was met.
    damage: OnceLock<String>,
}

impl Database {
    /// As it lies on the disk, of which nothing is changed: what its log holds is replayed in memory.
    pub(crate) fn open_read_only(dir: &Path) -> Result<Self, VaultError> {
        let mut options = options();
        options.create_if_missing(false);
        let tables = TABLES.map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
        let db = DB::open_cf_descriptors_read_only(&options, dir.join("keys"), tables, false)
            .map_err(|source| VaultError::Database { action: "be opened", source })?;
        Ok(Self { db, mark: None, damage: OnceLock::new() })
    }

    pub(crate) fn open(dir: &Path) -> Result<Self, VaultError> {
        let tables = TABLES.map(|name| ColumnFamilyDescriptor::new(name, Options::default()));
        let db = DB::open_cf_descriptors(&options(), dir.join("keys"), tables)
            .map_err(|source| VaultError::Database { action: "be opened", source })?;
        Ok(Self { db, mark: Some(mark(dir)), damage: OnceLock::new() })
    }

    /// Damage that was met since it was opened.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Passes an error on; damage is put down first.
    pub(crate) fn met(&self, error: VaultError) -> VaultError {
        if error.is_damage() && self.damage.get().is_none() {
            let mut text = error.to_string();
            if let Some(Err(error)) = self.mark.as_ref().map(|mark| fs::write(mark, &text)) {
                text = format!("{text} (and it could not be put down for the next start: {error})");
            }
            // Whoever came first has named it.
            let _ = self.damage.set(text);
        }
        error
    }

    fn listed(&self, source: rocksdb::Error) -> VaultError {
        self.met(VaultError::Database { action: "list rows", source })
    }

    pub(crate) fn table(&self, name: &'static str) -> Result<&ColumnFamily, VaultError> {
        self.db
            .cf_handle(name)
            .ok_or_else(|| VaultError::Damaged { table: name, key: String::new() })
    }

    pub(crate) fn get(
        &self,
        table: &'static str,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, VaultError> {
        self.db.get_cf(self.table(table)?, key).map_err(|source| {
            self.met(if source.kind() == rocksdb::ErrorKind::Corruption {
                damaged(table, key)
            } else {
                VaultError::Database { action: "read a row", source }
            })
        })
    }

    pub(crate) fn key_row(&self, id: &[u8; 16]) -> Result<Option<KeyRow>, VaultError> {
        let Some(bytes) = self.get(KEYS, id)? else { return Ok(None) };
        let row = postcard::from_bytes(&bytes).map_err(|_| self.met(damaged(KEYS, id)))?;
        Ok(Some(row))
    }

    /// Writes and syncs.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<(), VaultError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db
            .write_opt(batch, &options)
            .map_err(|source| self.met(VaultError::Database { action: "write", source }))
    }

    /// Up to `limit` rows of `unused` after `after` (exclusive), in key order.
    pub(crate) fn unused_after(
        &self,
        after: Option<[u8; 16]>,
        limit: usize,
    ) -> Result<Vec<UnusedRow>, VaultError> {
        let mode = match &after {
            Some(key) => rocksdb::IteratorMode::From(key, rocksdb::Direction::Forward),
            None => rocksdb::IteratorMode::Start,
        };
        let mut rows = Vec::new();
        for row in self.db.iterator_cf(self.table(UNUSED)?, mode) {
            if rows.len() == limit {
                break;
            }
            let (key, value) = row.map_err(|source| self.listed(source))?;
            let subject: [u8; 16] = (*key).try_into().map_err(|_| damaged(UNUSED, &key))?;
            if after == Some(subject) {
                continue;
            }
            let ids: [u8; 32] = (*value).try_into().map_err(|_| damaged(UNUSED, &key))?;
            rows.push((subject, ids));
        }
        Ok(rows)
    }

    /// Every key of a table, in order.
    pub(crate) fn keys_in(&self, table: &'static str) -> Result<Vec<Vec<u8>>, VaultError> {
        let rows = self.db.iterator_cf(self.table(table)?, rocksdb::IteratorMode::Start);
        rows.map(|row| row.map(|(key, _)| key.into_vec()).map_err(|source| self.listed(source)))
            .collect()
    }

    /// Visits every row of a table, in order.
    pub(crate) fn each(
        &self,
        table: &'static str,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        for row in self.db.iterator_cf(self.table(table)?, rocksdb::IteratorMode::Start) {
            let (key, value) = row.map_err(|source| self.listed(source))?;
            visit(&key, &value)?;
        }
        Ok(())
    }

    /// Makes what a row of `keys` held before leave the disk, or, without a row, what any row did:
    /// RocksDB keeps old versions in its log and tables until they are compacted away.
    pub(crate) fn purge_old_versions(&self, row: Option<&[u8]>) -> Result<(), VaultError> {
        let fail = |source| VaultError::Database { action: "be compacted", source };
        let tables: Vec<&ColumnFamily> =
            TABLES.iter().filter_map(|name| self.db.cf_handle(name)).collect();
        let mut flush = rocksdb::FlushOptions::default();
        flush.set_wait(true);
        self.db.flush_cfs_opt(&tables, &flush).map_err(fail)?;
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_cf_opt(self.table(KEYS)?, row, row, &options);
        if row.is_none() {
            // The system's keys lie there once more.
            self.db.compact_range_cf_opt(self.table(META)?, row, row, &options);
        }
        Ok(())
    }
}

fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // a damaged file is an error at open and at read, never an empty answer
    options.set_paranoid_checks(true);
    // a torn last write (power loss before its sync) opens, a damaged middle does not
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    // a recycled log would make a damaged middle look like an old tail
    options.set_recycle_log_file_num(0);
    // column families never disagree after a lost tail
    options.set_atomic_flush(true);
    // 1,000,000 patients are 300 MB of rows: keep few files open and few memtables
    options.set_max_open_files(64);
    options.set_write_buffer_size(8 * 1024 * 1024);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1024 * 1024);
    options
}

fn mark(dir: &Path) -> PathBuf {
    dir.join("keys.damage")
}

/// The damage of the key database at `dir/keys` that was met and put down when it was open last.
#[must_use]
pub fn damage_met(dir: &Path) -> Option<String> {
    fs::read_to_string(mark(dir)).ok()
}

/// What was put down is dealt with.
///
/// # Errors
/// The operating system's.
pub fn damage_dealt_with(dir: &Path) -> io::Result<()> {
    match fs::remove_file(mark(dir)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(crate) fn damaged(table: &'static str, key: &[u8]) -> VaultError {
    VaultError::Damaged { table, key: hex::encode(key) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_that_is_met_is_put_down_for_the_next_start() {
        let dir = tempfile::tempdir().unwrap();
        let database = Database::open(dir.path()).unwrap();
        let mut batch = WriteBatch::default();
        let row = postcard::to_stdvec(&KeyRow::Destroyed).unwrap();
        let ids = (0..2_000_u128).map(u128::to_be_bytes);
        for id in ids.clone() {
            batch.put_cf(database.table(KEYS).unwrap(), id, &row);
        }
        database.write(batch).unwrap();
        database.purge_old_versions(None).unwrap();
        drop(database);
        let files = fs::read_dir(dir.path().join("keys")).unwrap();
        let files = files.map(|file| file.unwrap().path());
        let tables = files.filter(|file| file.extension().is_some_and(|end| end == "sst"));
        let table = tables.max_by_key(|table| table.metadata().unwrap().len()).unwrap();
        let mut bytes = fs::read(&table).unwrap();
        let middle = bytes.len() / 2;
        *bytes.get_mut(middle).unwrap() ^= 1;
        fs::write(&table, bytes).unwrap();

        let database = Database::open(dir.path()).unwrap();
        assert_eq!((database.damage(), damage_met(dir.path())), (None, None));
        let read: Vec<_> = ids.map(|id| database.key_row(&id)).collect();
        assert!(read.iter().any(Result::is_ok), "what is intact is still read");
        let met = read.iter().find_map(|row| row.as_ref().err()).expect("damage");
        assert!(met.is_damage(), "{met}");
        assert_eq!(database.damage(), Some(met.to_string().as_str()), "the first that was met");
        assert_eq!(damage_met(dir.path()), Some(met.to_string()));
        damage_dealt_with(dir.path()).unwrap();
        assert_eq!(damage_met(dir.path()), None);
    }
}
