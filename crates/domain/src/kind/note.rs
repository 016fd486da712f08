//! A text in the file (FHIR R4 `DocumentReference`).

use super::{Rules, line, when};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::limits::{MAX_NOTE_TEXT, MAX_SHORT_TEXT};
use crate::report::{Path, Report};
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

adds!(Note { title, author, text });

impl Rules for Note {
    const STATUSES: &'static [&'static str] = &["current", "superseded"];
    const FINAL: &'static [&'static str] = &["superseded"];
    const STATUS_REQUIRED: bool = false;
    // A title or the text itself says what it is.
    const CODE_REQUIRED: bool = false;

    fn check(&self, _: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        report.optional_line(&detail.field("title"), self.title.as_deref(), MAX_SHORT_TEXT);
        report.optional_actor(&detail.field("author"), self.author.as_ref());
        report.lines(&detail.field("text"), &self.text, MAX_NOTE_TEXT);
    }

    fn summary(&self, entry: &Entry) -> String {
        let first_line = self.text.lines().find(|line| !line.trim().is_empty());
        let written = when(entry.effective.as_ref());
        let title = self.title.as_deref().or(first_line.map(str::trim));
        line(entry.code.words(), [title, written.as_deref()])
    }
}
