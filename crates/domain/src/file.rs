//! The patient file as it stands, folded from its events.

use std::collections::BTreeMap;

use crate::command::Amendment;
use crate::entry::Entry;
use crate::event::{Event, Stamp};
use crate::id::EntryId;
use crate::identity::Identity;

/// The last change of an entry: what, in which manner, why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The fields that differ from the revision before.
    pub fields: Vec<String>,
    /// Why it was changed.
    pub how: Amendment,
    /// Why, in the author's words.
    pub reason: String,
}

/// An entry as it stands. Earlier revisions are in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryState {
    /// Its id.
    pub id: EntryId,
    /// The latest revision; of a retracted entry the one that was retracted.
    pub entry: Entry,
    /// 1 when filed, one more with each amendment and with the retraction.
    pub revision: u32,
    /// When and by whom it was filed.
    pub filed: Stamp,
    /// When and by whom it was last changed; equal to `filed` at first.
    pub changed: Stamp,
    /// What the last amendment changed, if there was one.
    pub last_change: Option<Change>,
    /// Why it was retracted, if it was.
    pub retracted: Option<String>,
}

/// A patient file. For [`crate::decide`] it needs to hold only what the command is about: the entries
/// that it names, the identity when it changes that.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PatientFile {
    /// Whether there is such a patient.
    pub registered: bool,
    /// Who it is about; unset until registered.
    pub identity: Option<Identity>,
    /// When and by whom the identity was last changed.
    pub identity_stamp: Stamp,
    /// The subject's chain version that the file reflects, 0 before the first.
    pub version: u64,
    /// The entries, retracted ones too.
    pub entries: BTreeMap<EntryId, EntryState>,
}

/// Folds one event into the file. Total: never fails, whatever the event.
pub fn evolve(file: &mut PatientFile, event: &Event, stamp: Stamp) {
    file.version = stamp.version;
    match event {
        Event::PatientRegistered { identity } | Event::IdentityAmended { identity, .. } => {
            file.registered = true;
            file.identity = Some(identity.clone());
            file.identity_stamp = stamp;
        }
        Event::EntryAdded { id, .. }
        | Event::EntryAmended { id, .. }
        | Event::EntryRetracted { id, .. } => {
            let before = file.entries.remove(id);
            if let Some(after) = evolve_entry(before, event.clone(), stamp) {
                file.entries.insert(*id, after);
            }
        }
        // Filed in a registry bucket's chain; says nothing about a file.
        Event::IdentifierAssigned { .. }
        | Event::IdentifierReleased { .. }
        | Event::DocumentFiled { .. } => {}
    }
}

/// Folds one event into one entry. Events about something else leave it as it is; an amendment of
/// an entry that is not there yet begins it, because an amendment holds the whole entry.
#[must_use]
pub fn evolve_entry(state: Option<EntryState>, event: Event, stamp: Stamp) -> Option<EntryState> {
    match event {
        Event::EntryAdded { id, entry } => revise(state, id, entry, None, stamp),
        Event::EntryAmended { id, entry, changed, how, reason } => {
            let change = Change { fields: changed, how, reason };
            revise(state, id, entry, Some(change), stamp)
        }
        Event::EntryRetracted { id, reason } => state.map(|state| {
            if state.id != id {
                return state;
            }
            let retracted = Some(reason);
            let revision = state.revision.saturating_add(1);
            EntryState { revision, changed: stamp, retracted, ..state }
        }),
        Event::PatientRegistered { .. }
        | Event::IdentityAmended { .. }
        | Event::IdentifierAssigned { .. }
        | Event::IdentifierReleased { .. }
        | Event::DocumentFiled { .. } => state,
    }
}

fn revise(
    state: Option<EntryState>,
    id: EntryId,
    entry: Entry,
    last_change: Option<Change>,
    stamp: Stamp,
) -> Option<EntryState> {
    match state {
        Some(state) if state.id != id => Some(state),
        Some(state) => Some(EntryState {
            entry,
            revision: state.revision.saturating_add(1),
            changed: stamp,
            last_change,
            ..state
        }),
        None => Some(EntryState {
            id,
            entry,
            revision: 1,
            filed: stamp,
            changed: stamp,
            last_change,
            retracted: None,
        }),
    }
}
