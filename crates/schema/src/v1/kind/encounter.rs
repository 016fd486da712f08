//! An encounter.

use crate::mirror::mirror_struct;
use crate::v1::value::{Actor, Coding, Concept, Id, Quantity};

mirror_struct! {
    Encounter<'a> = domain::Encounter {
        class: Coding<'a>,
        priority: Option<Concept<'a>>,
        participant: Vec<Actor<'a>>,
        reason: Vec<Concept<'a>>,
        reason_reference: Vec<Id>,
        service_provider: Option<Actor<'a>>,
        location: Vec<Actor<'a>>,
        discharge_disposition: Option<Concept<'a>>,
        length: Option<Quantity<'a>>,
    }
}
