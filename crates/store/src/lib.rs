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
//! | `checkpoints` | what nodes signed, and what this one signed last |
//! | `aside` | foreign messages, known end, override |
//! | `spool` | access blocks that wait for the broker, in a database of their own |
//! | `fsck` | the whole folder of a stopped node against itself |
//! | `damage` | what is done about a database that cannot be trusted |

mod access;
mod apply;
mod aside;
mod background;
mod checkpoints;
mod damage;
mod error;
mod fold;
mod fsck;
mod history;
mod keys;
mod lately;
mod message;
mod open;
mod options;
mod position;
mod proofs;
mod reader;
mod rebuild;
mod rows;
mod spool;
mod store;
mod views;

pub use access::{AccessFilter, AccessItem, AccessPage};
pub use apply::MAX_BATCH_BYTES;
pub use background::lower_priority;
pub use checkpoints::FiledCheckpoint;
pub use damage::{SetAside, set_aside};
pub use error::{OpenError, StoreError, causes};
pub use fsck::{Finding, Fsck, FsckProgress, Intact, LedgerSeen, Place, Verdict, fsck};
pub use history::{Folded, HistoryItem, HistoryPage, StoredRecord};
pub use position::{Floor, kept_position, position_file};
pub use reader::Reader;
pub use rebuild::VIEW_VERSION;
pub use spool::{MAX_SPOOL_BYTES, Spool};
pub use store::{LedgerPin, Snapshot, Store};
pub use views::{EntriesPage, FileHeader, FileRows, PAGE_BYTES};
