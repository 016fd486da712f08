//! Consent.

use api::v1 as proto;
use domain::{Consent, Provision};

use crate::convert::values::{
    actor_in, actor_out, all, coding_in, coding_out, concept_in, concept_out, list, option,
    period_in, period_out, required,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(from: proto::Consent, at: &At<'_>, report: &mut Report) -> Option<Consent> {
    let scope = required(from.scope, &at.field("scope"), report, concept_in);
    let performer = list(from.performer, &at.field("performer"), report, actor_in);
    let organization = list(from.organization, &at.field("organization"), report, actor_in);
    let policy_rule = option(from.policy_rule, &at.field("policy_rule"), report, concept_in);
    let provision = list(from.provision, &at.field("provision"), report, provision_in);
    Some(Consent { scope: scope?, performer, organization, policy_rule, provision })
}

fn provision_in(from: proto::Provision, at: &At<'_>, report: &mut Report) -> Option<Provision> {
    if from.r#type.is_empty() {
        report.missing(&at.field("type"));
    }
    Some(Provision {
        r#type: from.r#type,
        period: option(from.period, &at.field("period"), report, period_in),
        actor: list(from.actor, &at.field("actor"), report, actor_in),
        purpose: list(from.purpose, &at.field("purpose"), report, coding_in),
    })
}

pub(super) fn fields_out(from: &Consent) -> proto::Consent {
    proto::Consent {
        scope: Some(concept_out(&from.scope)),
        performer: all(&from.performer, actor_out),
        organization: all(&from.organization, actor_out),
        policy_rule: from.policy_rule.as_ref().map(concept_out),
        provision: all(&from.provision, |one| proto::Provision {
            r#type: one.r#type.clone(),
            period: one.period.as_ref().map(period_out),
            actor: all(&one.actor, actor_out),
            purpose: all(&one.purpose, coding_out),
        }),
    }
}
