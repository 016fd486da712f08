//! Procedure.

use api::v1;
use serde::Deserialize;

use super::{Links, actors};
use crate::fields::Fields;
use crate::json::Reference;
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Performer {
    actor: Option<Reference>,
}

pub(super) fn entry(fields: &mut Fields<'_>, links: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    let mut reason = fields.concepts("reasonCode")?;
    links.reasons(fields, &mut reason)?;
    let performers = fields.list::<Performer>("performer")?.into_iter();
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.concept("code")?,
        effective: fields.effective("performedDateTime", "performedPeriod")?,
        detail: Some(v1::entry::Detail::Procedure(v1::Procedure {
            category: fields.concept("category")?,
            body_site: fields.concepts("bodySite")?,
            performer: actors(
                fields,
                "performer.actor",
                performers.map(|performer| performer.actor),
            ),
            reason,
            outcome: fields.concept("outcome")?,
            reason_reference: Vec::new(),
        })),
        ..Default::default()
    })
}
