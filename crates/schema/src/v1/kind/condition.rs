//! A condition.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{Concept, Effective};

mirror_struct! {
    Condition<'a> = domain::Condition {
        verification_status: Option<Text<'a>>,
        category: Vec<Concept<'a>>,
        severity: Option<Concept<'a>>,
        body_site: Vec<Concept<'a>>,
        abatement: Option<Effective<'a>>,
    }
}
