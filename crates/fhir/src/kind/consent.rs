//! `Consent`: the rule and one level of exceptions to it.

use api::v1;
use serde::Deserialize;

use super::Links;
use crate::fields::Fields;
use crate::json::{Coding, Known, Period, Reference};
use crate::refusal::Refusal;

#[derive(Debug, Deserialize)]
struct Actor {
    reference: Option<Reference>,
}

/// What would narrow a provision and has no place in ours is refused rather than left out: a denial
/// of one note would become one of the whole file, and a permit likewise.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Provision {
    r#type: Option<String>,
    period: Option<Period>,
    actor: Vec<Actor>,
    purpose: Vec<Coding>,
    action: Option<Known>,
    security_label: Option<Known>,
    class: Option<Known>,
    code: Option<Known>,
    data_period: Option<Known>,
    data: Option<Known>,
    provision: Vec<Provision>,
}

pub(super) fn entry(fields: &mut Fields<'_>, _: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    let provision = match fields.take::<Provision>("provision")? {
        Some(root) => rules(fields, root)?,
        None => Vec::new(),
    };
    let given = fields.text("dateTime")?;
    let at = v1::Effective { value: Some(v1::effective::Value::At(given.clone())) };
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.first_concept("category")?,
        effective: (!given.is_empty()).then_some(at),
        detail: Some(v1::entry::Detail::Consent(v1::Consent {
            scope: fields.concept("scope")?,
            performer: fields.actors("performer")?,
            organization: fields.actors("organization")?,
            policy_rule: fields.concept("policyRule")?,
            provision,
        })),
        ..Default::default()
    })
}

/// The rule, then the exceptions to it. In FHIR R4 the root has no type: then it only says within what
/// its exceptions hold.
fn rules(fields: &mut Fields<'_>, mut root: Provision) -> Result<Vec<v1::Provision>, Refusal> {
    let exceptions = std::mem::take(&mut root.provision);
    let root = rule(fields, root)?;
    let mut rules = Vec::with_capacity(exceptions.len() + 1);
    for exception in exceptions {
        rules.push(within(&root, rule(fields, exception)?)?);
    }
    if !root.r#type.is_empty() {
        rules.insert(0, root);
    } else if rules.is_empty() && root != v1::Provision::default() {
        let text = "`provision` limits what it neither permits nor denies: give it a type, or a \
                    provision of its own that has one";
        return Err(not_understood(text));
    }
    Ok(rules)
}

/// A provision by itself.
fn rule(fields: &mut Fields<'_>, from: Provision) -> Result<v1::Provision, Refusal> {
    let named =
        |actor: Actor| actor.reference.and_then(|it| fields.actor("provision.actor.reference", it));
    let actor: Vec<_> = from.actor.into_iter().map(named).collect();
    let narrower = [
        ("action", from.action.is_some()),
        ("securityLabel", from.security_label.is_some()),
        ("class", from.class.is_some()),
        ("code", from.code.is_some()),
        ("dataPeriod", from.data_period.is_some()),
        ("data", from.data.is_some()),
        ("provision", !from.provision.is_empty()),
        // Without a reference, or by a name alone, nobody is meant who could be let in or kept out.
        ("actor", actor.iter().any(|actor| actor.as_ref().is_none_or(is_nobody))),
    ];
    if let Some((name, _)) = narrower.into_iter().find(|(_, there)| *there) {
        return Err(not_understood(format!(
            "`provision.{name}` narrows what is permitted or denied in a way that is not kept"
        )));
    }
    Ok(v1::Provision {
        r#type: from.r#type.unwrap_or_default(),
        period: from.period.map(Into::into),
        actor: actor.into_iter().flatten().collect(),
        purpose: from.purpose.into_iter().map(Into::into).collect(),
    })
}

/// An exception as it holds by itself: within what its rule is limited to.
fn within(root: &v1::Provision, from: v1::Provision) -> Result<v1::Provision, Refusal> {
    if from.r#type.is_empty() {
        return Err(not_understood("`provision.provision.type` is missing: give permit or deny"));
    }
    let one = v1::Provision {
        period: from.period.or_else(|| root.period.clone()),
        actor: if from.actor.is_empty() { root.actor.clone() } else { from.actor },
        purpose: if from.purpose.is_empty() { root.purpose.clone() } else { from.purpose },
        r#type: from.r#type,
    };
    // What is denied beyond the limit is the patient's wish too, as far as anybody can tell.
    if one.r#type == "deny" {
        return Ok(one);
    }
    // Who is not denied anything needs no permit, so one that goes beyond its denial changes nothing.
    // Only a related person is let in by it.
    let related = |actor: &v1::Actor| actor.reference.contains("RelatedPerson/");
    if root.r#type == "deny" && !one.actor.iter().any(related) {
        return Ok(one);
    }
    let allowed = |actor: &v1::Actor| root.actor.iter().any(|it| it.reference == actor.reference);
    let meant = |purpose: &v1::Coding| {
        root.purpose.iter().any(|it| it.system == purpose.system && it.code == purpose.code)
    };
    let beyond = [
        ("period", root.period.is_some() && one.period != root.period),
        ("actor", !root.actor.is_empty() && !one.actor.iter().all(allowed)),
        ("purpose", !root.purpose.is_empty() && !one.purpose.iter().all(meant)),
    ];
    match beyond.into_iter().find(|(_, beyond)| *beyond) {
        None => Ok(one),
        Some((name, _)) => Err(not_understood(format!(
            "`provision.provision.{name}` is not known to lie within `provision.{name}`: repeat it \
             as it is there, or leave it out"
        ))),
    }
}

fn not_understood(text: impl Into<String>) -> Refusal {
    Refusal::new("PROVISION_NOT_UNDERSTOOD", "provision", text)
}

fn is_nobody(actor: &v1::Actor) -> bool {
    actor.reference.is_empty()
}
