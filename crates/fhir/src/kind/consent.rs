//! `Consent`: the rule and one level of exceptions to it.

use api::v1;
use serde::Deserialize;

use super::{Links, actors};
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
    let performers = fields.list::<Reference>("performer")?;
    let organizations = fields.list::<Reference>("organization")?;
    let mut provision = Vec::new();
    if let Some(root) = fields.take::<Provision>("provision")? {
        flatten(root, true, &mut provision)?;
    }
    let given = fields.text("dateTime")?;
    let at = v1::Effective { value: Some(v1::effective::Value::At(given.clone())) };
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.first_concept("category")?,
        effective: (!given.is_empty()).then_some(at),
        detail: Some(v1::entry::Detail::Consent(v1::Consent {
            scope: fields.concept("scope")?,
            performer: actors(performers.into_iter().map(Some)),
            organization: actors(organizations.into_iter().map(Some)),
            policy_rule: fields.concept("policyRule")?,
            provision,
        })),
        ..Default::default()
    })
}

/// A rule, then the exceptions to it.
fn flatten(from: Provision, root: bool, into: &mut Vec<v1::Provision>) -> Result<(), Refusal> {
    let actor: Vec<_> =
        from.actor.into_iter().map(|actor| actor.reference.and_then(Reference::actor)).collect();
    let narrower = [
        ("action", from.action.is_some()),
        ("securityLabel", from.security_label.is_some()),
        ("class", from.class.is_some()),
        ("code", from.code.is_some()),
        ("dataPeriod", from.data_period.is_some()),
        ("data", from.data.is_some()),
        ("provision", !root && !from.provision.is_empty()),
        // Without a reference, or by a name alone, nobody is meant who could be let in or kept out.
        ("actor", actor.iter().any(|actor| actor.as_ref().is_none_or(is_nobody))),
    ];
    if let Some((name, _)) = narrower.into_iter().find(|(_, there)| *there) {
        return Err(Refusal::new(
            "PROVISION_NOT_UNDERSTOOD",
            "provision",
            format!(
                "`provision.{name}` narrows what is permitted or denied in a way that is not kept"
            ),
        ));
    }
    // A rule without a type only holds exceptions (FHIR: not applicable at the root).
    if let Some(r#type) = from.r#type {
        into.push(v1::Provision {
            r#type,
            period: from.period.map(Into::into),
            actor: actor.into_iter().flatten().collect(),
            purpose: from.purpose.into_iter().map(Into::into).collect(),
        });
    }
    from.provision.into_iter().try_for_each(|exception| flatten(exception, false, into))
}

fn is_nobody(actor: &v1::Actor) -> bool {
    actor.reference.is_empty()
}
