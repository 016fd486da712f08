//! A consent.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{Actor, Coding, Concept, Period};

mirror_struct! {
    Provision<'a> = domain::Provision {
        r#type: Text<'a>,
        period: Option<Period<'a>>,
        actor: Vec<Actor<'a>>,
        purpose: Vec<Coding<'a>>,
    }
}

mirror_struct! {
    Consent<'a> = domain::Consent {
        scope: Concept<'a>,
        performer: Vec<Actor<'a>>,
        organization: Vec<Actor<'a>>,
        policy_rule: Option<Concept<'a>>,
        provision: Vec<Provision<'a>>,
    }
}
