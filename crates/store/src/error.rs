//! What can go wrong in the database. No message holds patient data: keys are ids and hashes.

use ledger::{Hash, LedgerId};
use std::convert::Infallible;
use std::path::PathBuf;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What was read is not what was written. Nothing is answered from it.
    #[error("the database is damaged in {what} at {key}")]
    Damaged {
        /// Column family, and the check that failed where there are several.
        what: &'static str,
        /// The row's key in hexadecimal; empty when RocksDB did not get as far as the row.
        key: String,
    },
    /// RocksDB failed otherwise: disk full, I/O error, too many files.
    #[error("the database could not {action}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What RocksDB said.
        #[source]
        source: rocksdb::Error,
    },
    /// A file beside RocksDB failed.
    #[error("{path} could not be written")]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The node was not configured with this ledger.
    #[error("ledger {0} is not configured on this node")]
    UnknownLedger(LedgerId),
    /// A message cannot be applied: a gap, another genesis, or a format or rules that this version
    /// does not know. Nothing after it may be applied before the cause is gone.
    #[error("{ledger} cannot go on")]
    Apply {
        /// The ledger.
        ledger: LedgerId,
        /// Why.
        #[source]
        source: ledger::ApplyError<Infallible>,
    },
    /// The message was applied before, with the same bytes: skip it.
    #[error("message {sequence} of {ledger} is applied already")]
    AlreadyApplied {
        /// The ledger.
        ledger: LedgerId,
        /// The sequence given.
        sequence: u64,
    },
    /// Another message was applied under that sequence: the stream's past was changed.
    #[error(
        "message {sequence} of {ledger} is not the one that was applied: the stream's past was changed"
    )]
    OtherHistory {
        /// The ledger.
        ledger: LedgerId,
        /// The sequence given.
        sequence: u64,
    },
    /// A proof was asked for a record or size that the ledger does not have.
    #[error("{ledger} has {size} records; there is no proof for what was asked")]
    NoSuchSize {
        /// The ledger.
        ledger: LedgerId,
        /// The size asked for; 0 when it was a record that is not within it.
        asked: u64,
        /// What there is.
        size: u64,
    },
    /// The spool has reached its limit.
    #[error("the spool is full: {used} of {limit} bytes wait for the broker")]
    SpoolFull {
        /// Bytes in it.
        used: u64,
        /// [`crate::MAX_SPOOL_BYTES`].
        limit: u64,
    },
    /// Keys or seals failed.
    #[error("a body or view could not be opened or sealed")]
    Vault(#[from] vault::VaultError),
    /// A row could not be encoded.
    #[error("a row of {0} could not be encoded")]
    Encoding(&'static str),
    /// A lock was poisoned by a thread that panicked.
    #[error("a part of the store stopped after a panic; restart the node")]
    Poisoned,
}

/// Why the database was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// RocksDB refuses: in use, or unreadable. (Damage is dealt with, see `damage`.)
    #[error("the database in {path} cannot be opened; is another process using it?")]
    Database {
        /// Its directory.
        path: PathBuf,
        /// What RocksDB said.
        #[source]
        source: rocksdb::Error,
    },
    /// RocksDB or the operating system fails: disk full, I/O error, too many files.
    #[error(
        "{path} could not be opened or read, which does not mean that it is damaged: remove nothing, see to the disk (is it full?), to the limit of open files and to whether another process uses it, then start again. If a file of it is gone, put it back, or move the folder away where it is lost for good"
    )]
    Unreadable {
        /// Its directory.
        path: PathBuf,
        /// What failed.
        #[source]
        source: Box<StoreError>,
    },
    /// The file that tells how far this node was cannot be read.
    #[error(
        "{path} cannot be read, and nothing else tells how far this node was; put it back, or, if it is lost for good, remove it and the directory `ledger` beside it: the node begins anew from the stream"
    )]
    Position {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: std::io::Error,
    },
    /// What is damaged could not be moved out of the way.
    #[error("{path} is damaged and cannot be set aside; move it away and start again")]
    SetAside {
        /// The database.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The database holds another history than what this node has said that it applied.
    #[error(
        "the database holds another history of {ledger}: at {sequence} its {what} differs from the one in position.json; find out which was exchanged (without the directory `ledger`, the node makes it anew from the stream)"
    )]
    OtherHistory {
        /// The ledger.
        ledger: LedgerId,
        /// Where they differ.
        sequence: u64,
        /// stream hash, size or root.
        what: &'static str,
    },
    /// The database was made for another genesis than the one configured.
    #[error("the database of {ledger} was founded by genesis {found}, configured is {configured}")]
    OtherGenesis {
        /// The ledger.
        ledger: LedgerId,
        /// Of the database.
        found: Hash,
        /// Of the configuration.
        configured: Hash,
    },
    /// A row does not decode or does not match what it should.
    #[error("the database in {path} is damaged")]
    Damaged {
        /// Its directory.
        path: PathBuf,
        /// Which row.
        #[source]
        source: Box<StoreError>,
    },
}

/// A RocksDB error met while reading `table` at `key`: damage is damage, with its place.
pub(crate) fn read_error(table: &'static str, key: &[u8], source: rocksdb::Error) -> StoreError {
    if source.kind() == rocksdb::ErrorKind::Corruption {
        damaged(table, key)
    } else {
        StoreError::Database { action: "read a row", source }
    }
}

pub(crate) fn damaged(what: &'static str, key: &[u8]) -> StoreError {
    StoreError::Damaged { what, key: hex::encode(key) }
}

/// An error with the whole chain of its causes, in one line.
#[must_use]
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
