//! A note.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::Actor;

mirror_struct! {
    Note<'a> = domain::Note {
        title: Option<Text<'a>>,
        author: Option<Actor<'a>>,
        text: Text<'a>,
    }
}
