//! `CareTeam`.

use api::v1;
use serde::Deserialize;

use super::Links;
use crate::fields::Fields;
use crate::json::{CodeableConcept, Period, Reference};
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Participant {
    member: Option<Reference>,
    role: Vec<CodeableConcept>,
    period: Option<Period>,
}

pub(super) fn entry(fields: &mut Fields<'_>, links: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    let mut reason = fields.concepts("reasonCode")?;
    links.reasons(fields, &mut reason)?;
    let participant = participants(fields)?;
    let period = fields.take::<Period>("period")?;
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.first_concept("category")?,
        effective: period.map(|period| v1::Effective {
            value: Some(v1::effective::Value::During(period.into())),
        }),
        detail: Some(v1::entry::Detail::CareTeam(v1::CareTeam {
            name: fields.text("name")?,
            participant,
            reason,
            reason_reference: Vec::new(),
            managing_organization: fields.actors("managingOrganization")?,
        })),
        ..Default::default()
    })
}

fn participants(fields: &mut Fields<'_>) -> Result<Vec<v1::CareTeamParticipant>, Refusal> {
    let mut kept = Vec::new();
    for one in fields.list::<Participant>("participant")? {
        let Some(member) = one.member.and_then(|it| fields.actor("participant.member", it)) else {
            fields.lose("participant (without member)");
            continue;
        };
        let mut roles = one.role.into_iter();
        let role = roles.next().and_then(|it| fields.whole("participant.role", it));
        if roles.next().is_some() {
            fields.lose("participant.role (second and later)");
        }
        let period = one.period.map(Into::into);
        kept.push(v1::CareTeamParticipant { member: Some(member), role, period });
    }
    Ok(kept)
}
