//! A care team.

use crate::mirror::{Text, mirror_struct};
use crate::v1::value::{Actor, Concept, Id, Period};

mirror_struct! {
    CareTeamParticipant<'a> = domain::CareTeamParticipant {
        member: Actor<'a>,
        role: Option<Concept<'a>>,
        period: Option<Period<'a>>,
    }
}

mirror_struct! {
    CareTeam<'a> = domain::CareTeam {
        name: Option<Text<'a>>,
        participant: Vec<CareTeamParticipant<'a>>,
        reason: Vec<Concept<'a>>,
        reason_reference: Vec<Id>,
        managing_organization: Vec<Actor<'a>>,
    }
}
