//! What is told of the first thing that does not match.

use crate::StoreError;
use ledger::LedgerId;
use std::fmt;
use vault::VaultError;

/// What a finding means for whoever ran the check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Rows do not match each other: tampered with or damaged.
    Damaged,
    /// What is there matches, but it is behind, or other than, `position.json` or a kept checkpoint.
    Other,
    /// Something could not be read, so nothing can be said of it.
    Unread,
}

/// Where in a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// A message of the stream, from 1.
    Sequence(u64),
    /// A leaf of the tree, from 0.
    Position(u64),
}

/// The first thing that does not match. It holds no patient data: keys are ids and hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it means.
    pub verdict: Verdict,
    /// Whose rows; none for what belongs to no ledger.
    pub ledger: Option<LedgerId>,
    /// The table, or the file.
    pub table: &'static str,
    /// The row's key in hexadecimal; empty when it is about more than a row.
    pub key: String,
    /// Where in the ledger, if it is known.
    pub place: Option<Place>,
    /// What is wrong, in plain words.
    pub what: String,
}

impl std::error::Error for Finding {}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ledger) = self.ledger {
            write!(f, "{ledger}: ")?;
        }
        f.write_str(self.table)?;
        match self.place {
            Some(Place::Sequence(sequence)) => write!(f, ", message {sequence}")?,
            Some(Place::Position(position)) => write!(f, ", position {position}")?,
            None => {}
        }
        if !self.key.is_empty() {
            write!(f, ", row {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

impl Finding {
    /// A row is not what it has to be.
    pub(super) fn row(table: &'static str, key: &[u8], what: impl Into<String>) -> Self {
        let ledger = key.first_chunk().and_then(|id| LedgerId::from_bytes(*id));
        let (key, what) = (hex::encode(key), what.into());
        Self { verdict: Verdict::Damaged, ledger, table, key, place: None, what }
    }

    /// A row that has to be there is not.
    pub(super) fn missing(table: &'static str, key: &[u8]) -> Self {
        Self::row(table, key, "the row is missing")
    }

    /// A row that nothing makes.
    pub(super) fn too_many(table: &'static str, key: &[u8]) -> Self {
        Self::row(table, key, "no message makes this row")
    }

    /// A row is there, with other bytes.
    pub(super) fn differs(table: &'static str, key: &[u8]) -> Self {
        Self::row(table, key, "the row is not what the messages make")
    }

    /// A file is not what it has to be.
    pub(super) fn file(name: &'static str, what: impl Into<String>) -> Self {
        Self::row(name, &[], what)
    }

    /// Something cannot be read.
    pub(super) fn unread(name: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Unread, ..Self::row(name, &[], what) }
    }

    /// The ledger is whole, but behind or another than somebody knows it.
    pub(super) fn other(ledger: LedgerId, by: &'static str, what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Other, ledger: Some(ledger), ..Self::row(by, &[], what) }
    }

    pub(super) fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// What RocksDB said while a table was read.
    pub(super) fn rocksdb(table: &'static str, key: &[u8], error: &rocksdb::Error) -> Self {
        let found = Self::row(table, key, format!("RocksDB: {error}"));
        let damaged = error.kind() == rocksdb::ErrorKind::Corruption;
        Self { verdict: if damaged { Verdict::Damaged } else { Verdict::Unread }, ..found }
    }
}

impl From<StoreError> for Finding {
    /// Only of rows that cannot be encoded: none are, of messages that were applied.
    fn from(error: StoreError) -> Self {
        Self::file("ledger", crate::error::causes(&error))
    }
}

impl From<VaultError> for Finding {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the others have no key of a row")]
    fn from(error: VaultError) -> Self {
        let what = crate::error::causes(&error);
        match error {
            VaultError::Damaged { table, key } => Self {
                verdict: Verdict::Damaged,
                ledger: None,
                table: keys_table(table),
                key,
                place: None,
                what: "the row does not decode, or is not what the rows of other tables say"
                    .to_owned(),
            },
            error if error.is_damage() => Self::file("keys", what),
            VaultError::MalformedBatch { .. } => Self::file("keys: batches", what),
            _ => Self::unread("keys", what),
        }
    }
}

/// The names of the key database's tables beside those of the ledgers.
fn keys_table(table: &str) -> &'static str {
    match table {
        "keys" => "keys: keys",
        "subjects" => "keys: subjects",
        "batches" => "keys: batches",
        "unused" => "keys: unused",
        _ => "keys: meta",
    }
}
