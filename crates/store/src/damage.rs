//! What is done about a database that cannot be trusted: it is set aside, never deleted and never
//! repaired, and made anew from the stream, as a new node's would be. Until it has come back to where
//! this node was (`position`), nothing is answered from it.
//!
//! Damage that is met at open is dealt with there and then. Damage that is met later (a flipped bit
//! in a table that no start reads) is put down in a file beside the database, and the next start
//! deals with it: until then what is intact stays readable.

use crate::{OpenError, Store, StoreError};
use rocksdb::ErrorKind;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Names the damage that was met while the node ran.
const MARK: &str = "ledger.damage";

/// A database that was set aside at open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// Which: `ledger`, `spool` or `keys`, the name of its directory, or `position`.
    pub name: &'static str,
    /// Where it is now; none when it was gone.
    pub kept: Option<PathBuf>,
    /// What was wrong with it.
    pub why: String,
}

/// Renames what is at `path` to the first free `path.damaged-N` and returns that name.
///
/// # Errors
/// The operating system's.
pub fn set_aside(path: &Path) -> io::Result<PathBuf> {
    for number in 1_u32.. {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{number}"));
        let kept = PathBuf::from(name);
        if !kept.exists() {
            fs::rename(path, &kept)?;
            if let Some(dir) = path.parent() {
                fs::File::open(dir)?.sync_all()?;
            }
            return Ok(kept);
        }
    }
    Err(io::Error::other("every name is taken"))
}

/// The damage that was put down when it was met, if any.
pub(crate) fn marked(dir: &Path) -> Option<String> {
    fs::read_to_string(dir.join(MARK)).ok()
}

/// The damage that was put down is dealt with.
pub(crate) fn unmark(dir: &Path) -> io::Result<()> {
    match fs::remove_file(dir.join(MARK)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl OpenError {
    /// Whether the bytes on disk are wrong: then the database is set aside. Not when it is in use,
    /// cannot be read, or belongs to another history: then somebody has to look.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Database { source, .. } => source.kind() == ErrorKind::Corruption,
            Self::Damaged { .. } => true,
            Self::Unreadable { .. }
            | Self::Position { .. }
            | Self::SetAside { .. }
            | Self::OtherHistory { .. }
            | Self::OtherGenesis { .. } => false,
        }
    }
}

impl StoreError {
    /// Whether the bytes on disk are wrong.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "nothing else is about bytes on disk")]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Database { source, .. } => source.kind() == ErrorKind::Corruption,
            _ => false,
        }
    }
}

impl Store {
    /// What was set aside when this store was opened.
    #[must_use]
    pub fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// Damage that was met since, and that the next open deals with.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// The same of the key database, with which the store opens what it reads.
    #[must_use]
    pub fn keys_damage(&self) -> Option<&str> {
        self.vault.damage()
    }

    /// Passes an error on; damage is put down first, so that the next start makes the database anew.
    pub(crate) fn met(&self, error: StoreError) -> StoreError {
        if error.is_damage() && self.damage.get().is_none() {
            let text = error.to_string();
            tracing::error!(error = text, "damage in the database");
            if let Err(error) = fs::write(self.dir.join(MARK), &text) {
                tracing::error!(%error, "the damage could not be put down");
            }
            // Whoever came first has named it.
            let _ = self.damage.set(text);
        }
        error
    }
}
