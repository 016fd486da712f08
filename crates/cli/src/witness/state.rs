//! What a witness has cosigned, on disk.
//!
//! ```text
//! <folder>/lock                          held by the one process that may write
//! <folder>/<hex SHA-256 of origin>/
//!     checkpoint                         the newest note that was cosigned
//!     <size>.checkpoint                  each that `follow` cosigned
//!     fork                               the first note that forks from them, as evidence
//! ```
//!
//! A file is written aside, synced, renamed over the old one, and its folder synced: whoever is killed
//! meanwhile leaves the old or the new.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use ledger::Hash;
use ledger::note::{SignedNote, Vkey};
use ledger::witness::Known;

use crate::failure::Failure;

const NEWEST: &str = "checkpoint";
const EACH: &str = ".checkpoint";
const FORK: &str = "fork";

/// The folder of a witness, while this process is the only one to use it.
#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    /// Held until this process ends, however it does.
    _lock: File,
}

impl State {
    /// Takes the folder, and makes it if it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, Failure> {
        let failed = |error: &dyn std::fmt::Display| {
            Failure::local(format!("use --state {}", folder.display()), error)
        };
        make_folder(folder).map_err(|error| failed(&error))?;
        let lock = File::create(folder.join("lock")).map_err(|error| failed(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { folder: folder.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                Err(failed(&"another witness runs on it; end that one, or name another folder"))
            }
            Err(TryLockError::Error(error)) => Err(failed(&error)),
        }
    }

    /// What is on record of one log. The error is a sentence that names the file: a record that cannot
    /// be read is never taken for none.
    pub(crate) fn log(&self, origin: &str, own: &Vkey) -> Result<Log, String> {
        let folder = self.folder.join(name(origin));
        let unread = |file: &Path, error: &dyn std::fmt::Display| {
            format!(
                "{} cannot be read: {error}; nothing is cosigned for {origin} until it is as this \
                 witness wrote it",
                file.display()
            )
        };
        make_folder(&folder).map_err(|error| unread(&folder, &error))?;
        let newest = folder.join(NEWEST);
        let known = match fs::read_to_string(&newest) {
            Ok(text) => {
                let known = Known::open(&text, origin, own).map_err(|error| {
                    unread(&newest, &format!("{error}, or not one by {}", own.name()))
                })?;
                Some(known)
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if has_history(&folder).map_err(|error| unread(&folder, &error))? {
                    return Err(unread(&newest, &"it is gone, and others beside it are not"));
                }
                None
            }
            Err(error) => return Err(unread(&newest, &error)),
        };
        Ok(Log { folder, known })
    }
}

/// The name under which a log is kept and served: its origin may hold any character.
pub(crate) fn name(origin: &str) -> String {
    Hash::of(origin.as_bytes()).to_string()
}

/// One log.
#[derive(Debug)]
pub(crate) struct Log {
    folder: PathBuf,
    known: Option<Known>,
}

impl Log {
    /// The newest that was cosigned.
    pub(crate) fn known(&self) -> Option<&Known> {
        self.known.as_ref()
    }

    /// Keeps what was cosigned: it is on disk when this returns, and may leave.
    ///
    /// After an error nobody knows which of the two is on disk; the log must be opened anew.
    pub(crate) fn keep(&mut self, known: Known) -> io::Result<&Known> {
        write(&self.folder, NEWEST, &known.note().to_string())?;
        Ok(self.known.insert(known))
    }

    /// Sees to it that the newest is kept under its size, too. Only after it is the newest: what was
    /// cosigned and is not on record could be followed by another of the same size.
    pub(crate) fn keep_each(&self) -> io::Result<()> {
        let Some(known) = &self.known else { return Ok(()) };
        let name = format!("{}{EACH}", known.checkpoint().size);
        if self.folder.join(&name).try_exists()? {
            return Ok(());
        }
        write(&self.folder, &name, &known.note().to_string())
    }

    /// Keeps the first note that forks from what was cosigned.
    pub(crate) fn keep_fork(&self, note: &SignedNote) -> io::Result<()> {
        if self.folder.join(FORK).try_exists()? {
            return Ok(());
        }
        write(&self.folder, FORK, &note.to_string())
    }

    /// Where the note of an earlier fork is, if there was one.
    pub(crate) fn fork(&self) -> Option<PathBuf> {
        Some(self.folder.join(FORK)).filter(|file| file.exists())
    }
}

fn has_history(folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        if name.to_string_lossy().ends_with(EACH) || name == FORK {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A folder that is there after a crash, too: also when a crash came between making and syncing it.
fn make_folder(folder: &Path) -> io::Result<()> {
    let levels = if folder.is_dir() { 1 } else { usize::MAX };
    fs::create_dir_all(folder)?;
    for above in folder.ancestors().skip(1).take(levels) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        // One that may not be read was there before.
        match File::open(above) {
            Ok(above) => above.sync_all()?,
            Err(_) => break,
        }
    }
    Ok(())
}

fn write(folder: &Path, name: &str, content: &str) -> io::Result<()> {
    let part = folder.join(format!("{name}.part"));
    let mut file = File::create(&part)?;
    file.write_all(content.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, folder.join(name))?;
    File::open(folder)?.sync_all()
}
