//! A text in the file (FHIR R4 `DocumentReference`).

use crate::value::Actor;

/// The fields that only a note has. `Entry.code` is the type of note.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Note {
    /// A heading.
    pub title: Option<String>,
    /// Who wrote it, if not the recorder.
    pub author: Option<Actor>,
    /// The text; at most [`crate::limits::MAX_NOTE_TEXT`] bytes.
    pub text: String,
}
