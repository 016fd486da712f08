//! The node's database: every record, message and verdict of its ledgers, and the views that
//! answers are read from, in RocksDB.
//!
//! [`Store::apply`] is the only way in: it judges messages with `ledger`'s rules and writes records,
//! chain heads, tiles, views and the new state in one synced batch, so that all of it is there
//! after a crash or none. [`Store::reader`] is the way out: one consistent moment. Whatever is read
//! is checked (hashes, seals, order), and what does not match is [`StoreError::Damaged`] with the
//! table and key, never an answer.
//!
//! Deliberately not here: who may read what (`engine` has the access check), where messages come
//! from (`journal`), waiting for a position (`engine`), keys (`vault`, whose database is apart so
//! that a backup of the records holds no keys), and any storage trait: this is RocksDB.
//!
//! `engine` builds on it; `server` opens it and hands it over.
//!
//! | module | owns |
//! |---|---|
//! | `keys`, `rows` | every key and value layout |
//! | `options` | every RocksDB option, with its reason |
//! | `open`, `position` | start-up checks: nothing damaged, nothing gone back |
//! | `apply`, `fold`, `message` | writing: verdicts, views, messages without their records |
//! | `reader`, `history`, `views`, `access`, `proofs` | reading |
//! | `rebuild` | views anew, of one subject or of all |
//! | `aside` | spool, foreign messages, stream identity, last checkpoint, override |

mod access;
mod apply;
mod aside;
mod error;
mod fold;
mod history;
mod keys;
mod message;
mod open;
mod options;
mod position;
mod proofs;
mod reader;
mod rebuild;
mod rows;
mod store;
mod views;

pub use access::{AccessFilter, AccessItem, AccessPage};
pub use apply::MAX_BATCH_BYTES;
pub use aside::MAX_SPOOL_BYTES;
pub use error::{OpenError, StoreError};
pub use history::{Folded, HistoryItem, HistoryPage, StoredRecord};
pub use reader::Reader;
pub use rebuild::VIEW_VERSION;
pub use store::{LedgerPin, Snapshot, Store};
pub use views::{EntriesPage, FileHeader, PAGE_BYTES};
