//! Note.

use api::v1 as proto;
use domain::Note;

use crate::convert::values::{actor_in, actor_out, option, text, text_out};
use crate::convert::{At, Report};

pub(super) fn fields_in(from: proto::Note, at: &At<'_>, report: &mut Report) -> Option<Note> {
    Some(Note {
        title: text(from.title),
        author: option(from.author, &at.field("author"), report, actor_in),
        text: from.text,
    })
}

pub(super) fn fields_out(from: &Note) -> proto::Note {
    proto::Note {
        title: text_out(from.title.as_ref()),
        author: from.author.as_ref().map(actor_out),
        text: from.text.clone(),
    }
}
