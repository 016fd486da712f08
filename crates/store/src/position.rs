//! `position.json`: how far this node has said that it was, kept outside RocksDB.
//!
//! RocksDB can be put back to an older state by a backup, a snapshot of the disk or a lost log, and
//! is then perfectly consistent. A node that went on from there would answer from the past and sign
//! a second future. So sequence, stream hash, size and root of every ledger also stand in this
//! file. A database that differs from it is refused; one that is behind it has this position as its
//! [`Floor`]: until it is there again, on the same stream hash, the node answers nothing from it.
//!
//! So does the version of this node's newest access record that an answer has relied on while it
//! was only in the spool: a spool that is lost after that shows.
//!
//! Written once a second while anything changes, after the database, when the store is closed, and
//! before an answer leaves on the spool's word alone: it may be about a second behind (or more while it
//! cannot be written, which is an alarm), never ahead.
//! Replaced by renaming a synced file.

use crate::store::Snapshot;
use crate::{OpenError, StoreError};
use ledger::{Authority, Hash, LedgerId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const FILE: &str = "position.json";
/// Two syncs a second at most are spent on it (the file and its directory).
const INTERVAL: Duration = Duration::from_secs(1);
const FORMAT: u16 = 1;

/// The same as it is written. Hashes in hexadecimal, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    sequence: u64,
    stream_hash: String,
    size: u64,
    root: String,
    /// Who belonged to the ledger, in hexadecimal of its stored form: without its database a node
    /// must still know whom to hear.
    authority: String,
}

/// How far this node was in a ledger, as it told others. Its database must come back to just this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Floor {
    /// Stream sequence applied.
    pub sequence: u64,
    /// Stream hash there.
    pub stream_hash: Hash,
    pub(crate) size: u64,
    pub(crate) root: Hash,
    pub(crate) authority: Authority,
}

#[derive(Debug, Serialize, Deserialize)]
struct Content {
    format: u16,
    ledgers: BTreeMap<String, Written>,
    /// Version of the newest access record that an answer relied on while only the spool had it.
    spooled: u64,
    /// Access records of this node that were lost with its spool, ever.
    lost: u64,
}

/// Where the file is in a node's data directory.
#[must_use]
pub fn position_file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// How far a node was in a ledger by the file in its data directory, which may be at work; `None` if it
/// has told of none.
///
/// # Errors
/// [`OpenError::Position`] when the file cannot be read or used.
pub fn kept_position(dir: &Path, ledger: LedgerId) -> Result<Option<Floor>, OpenError> {
    PositionFile::load(dir)?.kept(ledger)
}

/// The file and when it was last written, or that was tried.
#[derive(Debug)]
pub(crate) struct PositionFile {
    dir: PathBuf,
    ledgers: BTreeMap<String, Written>,
    spooled: u64,
    lost: u64,
    tried: Option<Instant>,
    stale: bool,
    /// Set when the database was compared with it: a database that failed must not replace what
    /// it failed against.
    trusted: bool,
}

impl PositionFile {
    /// Reads it; a database that never was has none.
    pub(crate) fn load(dir: &Path) -> Result<Self, OpenError> {
        let path = position_file(dir);
        let fail = |source| OpenError::Position { path: path.clone(), source };
        let (ledgers, spooled, lost) = match std::fs::read(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => (BTreeMap::new(), 0, 0),
            Err(error) => return Err(fail(error)),
            Ok(bytes) => {
                let content: Content = serde_json::from_slice(&bytes)
                    .map_err(|error| fail(std::io::Error::other(error)))?;
                if content.format != FORMAT {
                    return Err(fail(std::io::Error::other("its format is not known")));
                }
                (content.ledgers, content.spooled, content.lost)
            }
        };
        let dir = dir.to_path_buf();
        Ok(Self { dir, ledgers, spooled, lost, tried: None, stale: false, trusted: false })
    }

    /// How far a ledger was; an error when what stands there is not a position.
    pub(crate) fn kept(&self, ledger: LedgerId) -> Result<Option<Floor>, OpenError> {
        let Some(kept) = self.ledgers.get(&ledger.to_string()) else { return Ok(None) };
        let bad = |why| OpenError::Position {
            path: self.dir.join(FILE),
            source: std::io::Error::other(why),
        };
        let hash = |text: &str| {
            text.parse::<Hash>().map_err(|_| bad("it holds something else than a hash"))
        };
        let authority = hex::decode(&kept.authority).ok();
        let authority = authority.and_then(|bytes| postcard::from_bytes(&bytes).ok());
        Ok(Some(Floor {
            sequence: kept.sequence,
            stream_hash: hash(&kept.stream_hash)?,
            size: kept.size,
            root: hash(&kept.root)?,
            authority: authority.ok_or_else(|| bad("it does not tell the ledger's members"))?,
        }))
    }

    /// Whether there ever was a database.
    pub(crate) fn tells_of_any(&self) -> bool {
        !self.ledgers.is_empty()
    }

    /// From now on it may be written.
    pub(crate) fn trust(&mut self) {
        self.trusted = true;
    }

    /// Whether the last writing is long enough ago for another one under load, also after one that
    /// failed.
    pub(crate) fn is_due(&self) -> bool {
        self.tried.is_none_or(|at| at.elapsed() >= INTERVAL)
    }

    /// Sets without writing. A node that has not come back to where it was stays where it was.
    pub(crate) fn set(&mut self, snapshot: &Snapshot) {
        let state = snapshot.state();
        let before = self.ledgers.get(&state.ledger.to_string());
        if before.is_some_and(|before| before.sequence > state.sequence) {
            return;
        }
        let written = Written {
            sequence: state.sequence,
            stream_hash: state.stream_hash.to_string(),
            size: state.size(),
            root: snapshot.root().to_string(),
            authority: hex::encode(postcard::to_stdvec(&state.authority).unwrap_or_default()),
        };
        let before = self.ledgers.insert(state.ledger.to_string(), written.clone());
        self.stale |= before.as_ref() != Some(&written);
    }

    /// Version of the newest access record that an answer relied on while only the spool had it.
    pub(crate) const fn spooled(&self) -> u64 {
        self.spooled
    }

    /// Notes, and writes at once, that answers rely on the spool up to this version.
    pub(crate) fn note_spooled(&mut self, version: u64) -> Result<(), StoreError> {
        if version > self.spooled {
            self.spooled = version;
            self.stale = true;
        }
        // Also what an earlier call could not write.
        if self.stale { self.write() } else { Ok(()) }
    }

    /// Access records that were lost with a spool, ever.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// So many more are lost: the chain goes on from `version`, and what was promised beyond is gone.
    pub(crate) fn note_lost(&mut self, lost: u64, version: u64) -> Result<(), StoreError> {
        self.lost += lost;
        self.spooled = self.spooled.min(version);
        self.stale = true;
        self.write()
    }

    /// Writes what was set, if anything was.
    pub(crate) fn write(&mut self) -> Result<(), StoreError> {
        if !self.stale || !self.trusted {
            return Ok(());
        }
        self.tried = Some(Instant::now());
        let path = self.dir.join(FILE);
        let fail = |source| StoreError::File { path: path.clone(), source };
        let (ledgers, spooled, lost) = (self.ledgers.clone(), self.spooled, self.lost);
        let content = Content { format: FORMAT, ledgers, spooled, lost };
        let bytes =
            serde_json::to_vec_pretty(&content).map_err(|e| fail(std::io::Error::other(e)))?;
        let next = self.dir.join("position.json.next");
        let mut file = std::fs::File::create(&next).map_err(fail)?;
        file.write_all(&bytes).map_err(fail)?;
        file.sync_all().map_err(fail)?;
        std::fs::rename(&next, &path).map_err(fail)?;
        std::fs::File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(fail)?;
        self.stale = false;
        Ok(())
    }
}
