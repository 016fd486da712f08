//! A request for a service.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{Actor, Concept, Id};

mirror_struct! {
    ServiceRequest<'a> = domain::ServiceRequest {
        intent: Option<Text<'a>>,
        category: Vec<Concept<'a>>,
        priority: Option<Text<'a>>,
        performer_type: Option<Concept<'a>>,
        performer: Vec<Actor<'a>>,
        body_site: Vec<Concept<'a>>,
        location: Vec<Actor<'a>>,
        reason: Vec<Concept<'a>>,
        reason_reference: Vec<Id>,
    }
}
