//! Reading a stopped node's database as it lies on the disk.

use super::finding::Finding;
use crate::{keys, options};
use ledger::LedgerId;
use rocksdb::{ColumnFamily, DB, DBPinnableSlice, DBRawIterator, ReadOptions};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::path::Path;

/// The folders in which RocksDB keeps a lock while the node runs.
const FOLDERS: [&str; 3] = ["ledger", "spool", "keys"];

/// Held while the check runs: the node does not start meanwhile.
#[derive(Debug)]
pub(super) struct Locks {
    _held: Vec<File>,
}

impl Locks {
    /// The locks of a node that is stopped; of a copy that has none, none. Shared ones: two checks may
    /// run at once, and nothing is written.
    pub(super) fn take(dir: &Path) -> Result<Self, Finding> {
        let mut held = Vec::new();
        for folder in FOLDERS {
            let file = match File::open(dir.join(folder).join("LOCK")) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Finding::unread(folder, format!("its lock: {error}"))),
                Ok(file) => file,
            };
            match rustix::fs::fcntl_lock(&file, FlockOperation::NonBlockingLockShared) {
                Ok(()) => held.push(file),
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::ACCESS) => {
                    let what = "it is in use: stop the node first, nothing was checked";
                    return Err(Finding::unread(folder, what));
                }
                Err(error) => return Err(Finding::unread(folder, format!("its lock: {error}"))),
            }
        }
        Ok(Self { _held: held })
    }
}

/// The ledgers' database, for reading only.
#[derive(Debug)]
pub(super) struct Tables {
    db: DB,
}

impl Tables {
    pub(super) fn open(dir: &Path) -> Result<Self, Finding> {
        let path = dir.join("ledger");
        if !path.join("CURRENT").exists() {
            return Err(Finding::unread("ledger", format!("there is none in {}", dir.display())));
        }
        let options = options::database(false);
        let db = DB::list_cf(&options, &path).and_then(|found| {
            let mut tables = options::tables()?;
            // A version before this one had fewer views. The node makes them when it starts.
            tables.retain(|table| {
                let name = table.name();
                found.iter().any(|one| one == name) || !keys::VIEWS.contains(&name)
            });
            DB::open_cf_descriptors_read_only(&options, &path, tables, false)
        });
        Ok(Self { db: db.map_err(|error| Finding::rocksdb("ledger", &[], &error))? })
    }

    /// Whether it is a view that the database does not have yet.
    pub(super) fn is_to_come(&self, name: &str) -> bool {
        keys::VIEWS.contains(&name) && self.db.cf_handle(name).is_none()
    }

    fn table(&self, name: &'static str) -> Result<&ColumnFamily, Finding> {
        self.db.cf_handle(name).ok_or_else(|| Finding::file(name, "the table is missing"))
    }

    pub(super) fn get(
        &self,
        table: &'static str,
        key: &[u8],
    ) -> Result<Option<DBPinnableSlice<'_>>, Finding> {
        self.db
            .get_pinned_cf(self.table(table)?, key)
            .map_err(|error| Finding::rocksdb(table, key, &error))
    }

    /// The rows of a ledger, in order.
    pub(super) fn rows(&self, table: &'static str, ledger: LedgerId) -> Result<Rows<'_>, Finding> {
        let prefix = ledger.to_bytes();
        let mut options = ReadOptions::default();
        // The cache is for what is looked up.
        options.fill_cache(false);
        options.set_readahead_size(2 * 1024 * 1024);
        if let Some(end) = keys::after_prefix(&prefix) {
            options.set_iterate_upper_bound(end);
        }
        let mut rows = self.db.raw_iterator_cf_opt(self.table(table)?, options);
        rows.seek(prefix);
        Ok(Rows { table, rows })
    }

    /// Visits the rows of a ledger, in order.
    pub(super) fn each(
        &self,
        table: &'static str,
        ledger: LedgerId,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), Finding>,
    ) -> Result<(), Finding> {
        if self.is_to_come(table) {
            return Ok(());
        }
        let mut rows = self.rows(table, ledger)?;
        while let Some((key, row)) = rows.item()? {
            visit(key, row)?;
            rows.step();
        }
        Ok(())
    }

    /// No table has rows of other ledgers than these.
    pub(super) fn no_strays(&self, ledgers: &[LedgerId]) -> Result<(), Finding> {
        for table in keys::TABLES.into_iter().filter(|table| !self.is_to_come(table)) {
            let mut rows = self.db.raw_iterator_cf(self.table(table)?);
            rows.seek_to_first();
            while let Some(key) = rows.key() {
                let known = ledgers.iter().map(|id| id.to_bytes()).find(|id| key.starts_with(id));
                let prefix = known.ok_or_else(|| Finding::too_many(table, key))?;
                let Some(end) = keys::after_prefix(&prefix) else { break };
                rows.seek(end);
            }
            rows.status().map_err(|error| Finding::rocksdb(table, &[], &error))?;
        }
        Ok(())
    }
}

/// Key and value.
type Row<'a> = (&'a [u8], &'a [u8]);

/// The rows of a ledger in a table, one after another.
pub(super) struct Rows<'a> {
    table: &'static str,
    rows: DBRawIterator<'a>,
}

impl Rows<'_> {
    /// The row at hand; none behind the last.
    pub(super) fn item(&self) -> Result<Option<Row<'_>>, Finding> {
        match self.rows.item() {
            Some(row) => Ok(Some(row)),
            // An iterator also ends where a block is damaged.
            None => match self.rows.status() {
                Ok(()) => Ok(None),
                Err(error) => Err(Finding::rocksdb(self.table, &[], &error)),
            },
        }
    }

    pub(super) fn step(&mut self) {
        self.rows.next();
    }

    /// The row at hand has to be this one; goes on to the next.
    pub(super) fn expect(&mut self, key: &[u8], row: &[u8]) -> Result<(), Finding> {
        match self.item()? {
            Some((found, stored)) if found == key => {
                if stored != row {
                    return Err(Finding::differs(self.table, key));
                }
            }
            Some((found, _)) if found < key => return Err(Finding::too_many(self.table, found)),
            Some(_) | None => return Err(Finding::missing(self.table, key)),
        }
        self.step();
        Ok(())
    }

    /// There has to be no more.
    pub(super) fn end(&self) -> Result<(), Finding> {
        match self.item()? {
            Some((key, _)) => Err(Finding::too_many(self.table, key)),
            None => Ok(()),
        }
    }
}
