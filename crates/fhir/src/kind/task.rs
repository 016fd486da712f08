//! `Task`.

use api::v1;
use serde::Deserialize;

use super::Links;
use crate::fields::Fields;
use crate::json::{Period, Reference};
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Restriction {
    period: Option<Period>,
}

pub(super) fn entry(fields: &mut Fields<'_>, links: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    let mut reason = Vec::from_iter(fields.concept("reasonCode")?);
    if let Some(reference) = fields.take::<Reference>("reasonReference")? {
        links.reason(fields, &reference, &mut reason);
    }
    if let Some(focus) = fields.take::<Reference>("focus")? {
        links.focus = links.entry(fields, "focus", &focus);
    }
    for request in fields.list::<Reference>("basedOn")? {
        let key = links.entry(fields, "basedOn", &request);
        links.based_on.extend(key);
    }
    let execution = fields.take::<Period>("executionPeriod")?;
    let restriction = fields.take::<Restriction>("restriction")?.unwrap_or_default();
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.concept("code")?,
        effective: execution.map(|period| v1::Effective {
            value: Some(v1::effective::Value::During(period.into())),
        }),
        recorded_date: fields.text("authoredOn")?,
        asserter: fields.take_actor("requester")?,
        detail: Some(v1::entry::Detail::Task(v1::Task {
            intent: fields.text("intent")?,
            priority: fields.text("priority")?,
            description: fields.text("description")?,
            focus: String::new(),
            based_on: Vec::new(),
            owner: fields.take_actor("owner")?,
            restriction: restriction.period.map(Into::into),
            reason,
            reason_reference: Vec::new(),
        })),
        ..Default::default()
    })
}
