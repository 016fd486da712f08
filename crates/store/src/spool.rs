//! The spool: access blocks that wait until they are applied, in a small RocksDB of its own at
//! `DIR/spool`.
//!
//! It is apart from the ledgers' database because its blocks may be the only copy of an access: when
//! that database is damaged, set aside and made anew from the stream, they are still here. (A spool
//! of its own also never waits for the sync of a large applied batch.)
//!
//! | column family | key | value |
//! |---|---|---|
//! | `default` | number 8 | a signed block |
//! | `newest` | nothing | version 8 of the newest record of this node's chain that was ever spooled |

use crate::error::{StoreError, damaged, read_error};
use crate::{options, rows};
use rocksdb::{ColumnFamily, ColumnFamilyDescriptor, DB, Direction, IteratorMode, WriteBatch};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most bytes that wait in the spool (design, section 7): at 1 KB an access record a million
/// disclosures without a broker, after which reads end.
pub const MAX_SPOOL_BYTES: u64 = 1024 * 1024 * 1024;

const NEWEST: &str = "newest";
/// What errors call it.
const TABLE: &str = "spool";

/// The node's spool. Shared by reference; any thread may use it.
#[derive(Debug)]
pub struct Spool {
    db: DB,
    held: Mutex<Held>,
}

/// What is in it: readers and removals need not walk over what was removed before.
#[derive(Debug, Default)]
struct Held {
    /// Bytes of each block, by its number.
    blocks: BTreeMap<u64, u64>,
    /// Bytes of all of them.
    bytes: u64,
}

impl Held {
    fn put(&mut self, number: u64, length: u64) {
        self.bytes += length;
        self.bytes -= self.blocks.insert(number, length).unwrap_or(0);
    }
}

impl Spool {
    /// Opens (or makes) it in this directory.
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let tables =
            ["default", NEWEST].map(|name| ColumnFamilyDescriptor::new(name, options::spool()));
        let db = DB::open_cf_descriptors(&options::spool(), path, tables)
            .map_err(|source| StoreError::Database { action: "open the spool", source })?;
        let spool = Self { db, held: Mutex::default() };
        let mut held = Held::default();
        for block in spool.blocks_from(0) {
            let (number, block) = block?;
            held.put(number, length(&block));
        }
        spool.newest()?;
        *spool.held()? = held;
        Ok(spool)
    }

    /// Puts a block in under a number of the caller's, synced. The same number again replaces it.
    /// `newest` is the version of the newest access record in it: it stays known when the block is
    /// gone, so that a spool that was emptied shows (design, invariant 10).
    ///
    /// # Errors
    /// [`StoreError::SpoolFull`] at [`MAX_SPOOL_BYTES`].
    pub fn put(&self, number: u64, block: &[u8], newest: u64) -> Result<(), StoreError> {
        let more = length(block);
        let used = {
            let held = self.held()?;
            held.bytes - held.blocks.get(&number).copied().unwrap_or(0)
        };
        if used + more > MAX_SPOOL_BYTES {
            return Err(StoreError::SpoolFull { used, limit: MAX_SPOOL_BYTES });
        }
        let mut batch = WriteBatch::default();
        batch.put(number.to_be_bytes(), block);
        batch.put_cf(self.newest_table()?, [], newest.to_be_bytes());
        self.write(batch)?;
        self.held()?.put(number, more);
        Ok(())
    }

    /// The block under a number, if there is one.
    ///
    /// # Errors
    /// When it is damaged or cannot be read.
    pub fn get(&self, number: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let key = number.to_be_bytes();
        self.db.get(key).map_err(|error| read_error(TABLE, &key, error))
    }

    /// Version of the newest access record that was ever spooled here; 0 before the first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not decode.
    pub fn newest(&self) -> Result<u64, StoreError> {
        let row = self.db.get_pinned_cf(self.newest_table()?, []);
        match row.map_err(|error| read_error(NEWEST, &[], error))? {
            Some(row) => rows::decode_number(&row).ok_or_else(|| damaged(NEWEST, &[])),
            None => Ok(0),
        }
    }

    /// The chain goes on from this version: what was spooled beyond it is lost, and known to be.
    pub(crate) fn chain_ends_at(&self, version: u64) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.newest_table()?, [], version.to_be_bytes());
        self.write(batch)
    }

    /// The blocks in order of number.
    ///
    /// # Errors
    /// Each item may be damaged.
    pub fn blocks(&self) -> impl Iterator<Item = Result<(u64, Vec<u8>), StoreError>> + '_ {
        let first = self.held().ok().and_then(|held| held.blocks.keys().next().copied());
        self.blocks_from(first.unwrap_or(0))
    }

    fn blocks_from(
        &self,
        first: u64,
    ) -> impl Iterator<Item = Result<(u64, Vec<u8>), StoreError>> + '_ {
        let first = first.to_be_bytes();
        self.db.iterator(IteratorMode::From(&first, Direction::Forward)).map(|row| {
            let (key, block) = row.map_err(|error| read_error(TABLE, &[], error))?;
            let number = rows::decode_number(&key).ok_or_else(|| damaged(TABLE, &key))?;
            Ok((number, block.into_vec()))
        })
    }

    /// Removes the blocks up to and with `number`: they are applied. Not synced: after a crash some
    /// may be here again.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remove(&self, upto: u64) -> Result<(), StoreError> {
        let mut held = self.held()?;
        let mut batch = WriteBatch::default();
        // One by one: the spool is short, and range tombstones would slow its next reader.
        for number in held.blocks.range(..=upto).map(|(number, _)| number) {
            batch.delete(number.to_be_bytes());
        }
        if batch.is_empty() {
            return Ok(());
        }
        self.db.write(batch).map_err(write_error)?;
        let left = held.blocks.split_off(&upto.saturating_add(1));
        held.bytes -= std::mem::replace(&mut held.blocks, left).values().sum::<u64>();
        Ok(())
    }

    /// Bytes of the blocks in it.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    fn held(&self) -> Result<MutexGuard<'_, Held>, StoreError> {
        self.held.lock().map_err(|_| StoreError::Poisoned)
    }

    fn newest_table(&self) -> Result<&ColumnFamily, StoreError> {
        self.db.cf_handle(NEWEST).ok_or_else(|| damaged(NEWEST, &[]))
    }

    fn write(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.db.write_opt(batch, &options::synced()).map_err(write_error)
    }
}

fn write_error(source: rocksdb::Error) -> StoreError {
    StoreError::Database { action: "write the spool", source }
}

fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
