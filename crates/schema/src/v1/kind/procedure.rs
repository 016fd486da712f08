//! A procedure.

use crate::mirror::mirror_struct;
use crate::v1::value::{Actor, Concept, Id};

mirror_struct! {
    Procedure<'a> = domain::Procedure {
        category: Option<Concept<'a>>,
        body_site: Vec<Concept<'a>>,
        performer: Vec<Actor<'a>>,
        reason: Vec<Concept<'a>>,
        reason_reference: Vec<Id>,
        outcome: Option<Concept<'a>>,
    }
}
