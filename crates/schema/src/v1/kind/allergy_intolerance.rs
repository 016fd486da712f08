//! An allergy or intolerance.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{Concept, Moment};

mirror_struct! {
    AllergyIntolerance<'a> = domain::AllergyIntolerance {
        verification_status: Option<Text<'a>>,
        r#type: Option<Text<'a>>,
        category: Vec<Text<'a>>,
        criticality: Option<Text<'a>>,
        last_occurrence: Option<Moment<'a>>,
        reaction: Vec<Reaction<'a>>,
    }
}

mirror_struct! {
    Reaction<'a> = domain::Reaction {
        substance: Option<Concept<'a>>,
        manifestation: Vec<Concept<'a>>,
        severity: Option<Text<'a>>,
        onset: Option<Moment<'a>>,
        description: Option<Text<'a>>,
    }
}
