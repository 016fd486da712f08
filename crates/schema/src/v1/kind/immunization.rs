//! An immunization.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{Actor, Concept, Moment, Quantity};

mirror_struct! {
    Immunization<'a> = domain::Immunization {
        lot_number: Option<Text<'a>>,
        expiration_date: Option<Moment<'a>>,
        site: Option<Concept<'a>>,
        route: Option<Concept<'a>>,
        dose_quantity: Option<Quantity<'a>>,
        performer: Vec<Actor<'a>>,
        primary_source: Option<bool>,
        status_reason: Option<Concept<'a>>,
        protocol_dose: Option<Text<'a>>,
    }
}
