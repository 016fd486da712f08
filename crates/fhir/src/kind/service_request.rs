//! `ServiceRequest`.

use api::v1;

use super::Links;
use crate::fields::Fields;
use crate::refusal::Refusal;

pub(super) fn entry(fields: &mut Fields<'_>, links: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    if fields.take::<bool>("doNotPerform")? == Some(true) {
        return Err(Refusal::new(
            "DO_NOT_PERFORM",
            "doNotPerform",
            "a request not to do something has no counterpart; file it as a note",
        ));
    }
    let mut reason = fields.concepts("reasonCode")?;
    links.reasons(fields, &mut reason)?;
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.concept("code")?,
        effective: fields.effective("occurrenceDateTime", "occurrencePeriod")?,
        recorded_date: fields.text("authoredOn")?,
        asserter: fields.take_actor("requester")?,
        detail: Some(v1::entry::Detail::ServiceRequest(v1::ServiceRequest {
            intent: fields.text("intent")?,
            category: fields.concepts("category")?,
            priority: fields.text("priority")?,
            performer_type: fields.concept("performerType")?,
            performer: fields.actors("performer")?,
            body_site: fields.concepts("bodySite")?,
            location: fields.actors("locationReference")?,
            reason,
            reason_reference: Vec::new(),
        })),
        ..Default::default()
    })
}
