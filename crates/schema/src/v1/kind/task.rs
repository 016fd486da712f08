//! A task.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{Actor, Concept, Id, Period};

mirror_struct! {
    Task<'a> = domain::Task {
        intent: Option<Text<'a>>,
        priority: Option<Text<'a>>,
        description: Option<Text<'a>>,
        focus: Option<Id>,
        based_on: Vec<Id>,
        owner: Option<Actor<'a>>,
        restriction: Option<Period<'a>>,
        reason: Vec<Concept<'a>>,
        reason_reference: Vec<Id>,
    }
}
