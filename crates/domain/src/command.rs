//! What can be asked of a patient file.

use crate::entry::Entry;
use crate::id::EntryId;
use crate::identity::Identity;

/// Why something is changed (HL7 EHR-S FM RI.1.3.2-02 asks that they can be told apart).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Amendment {
    /// What was filed was wrong. The kind's life cycle does not bind: any status may follow.
    Correction,
    /// What was filed was right and has changed since.
    Amendment,
    /// Something is added to what was filed: empty fields are filled, lists get more items, and
    /// nothing that is there changes.
    Augmentation,
}

/// One change of one patient file.
///
/// A mask names top-level fields of [`Identity`] or [`Entry`]; what it does not name stays, what
/// it names is replaced, also by nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open the file.
    Register(Identity),
    /// Change who the file is about.
    AmendIdentity {
        /// The new values of the fields in `mask`; the others are not looked at.
        identity: Identity,
        /// The fields to replace, names of [`Identity`]'s fields.
        mask: Vec<String>,
        /// Why it is changed.
        how: Amendment,
        /// Why, in the author's words; obligatory.
        reason: String,
    },
    /// File an entry.
    AddEntry {
        /// The new entry's id.
        id: EntryId,
        /// The entry.
        entry: Entry,
    },
    /// Change an entry. Its kind stays.
    AmendEntry {
        /// Which entry.
        id: EntryId,
        /// The new values of the fields in `mask`; the others are not looked at, `detail`
        /// included.
        entry: Entry,
        /// The fields to replace, names of [`Entry`]'s fields.
        mask: Vec<String>,
        /// Why it is changed.
        how: Amendment,
        /// Why, in the author's words; obligatory.
        reason: String,
    },
    /// Mark an entry as entered in error. It stays in the history.
    RetractEntry {
        /// Which entry.
        id: EntryId,
        /// Why, in the author's words; obligatory.
        reason: String,
    },
}
