//! Condition.

use api::v1;

use super::Links;
use crate::fields::Fields;
use crate::refusal::Refusal;

pub(super) fn entry(fields: &mut Fields<'_>, _: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    Ok(v1::Entry {
        status: fields.status_concept("clinicalStatus")?,
        code: fields.concept("code")?,
        effective: fields.effective("onsetDateTime", "onsetPeriod")?,
        recorded_date: fields.text("recordedDate")?,
        detail: Some(v1::entry::Detail::Condition(v1::Condition {
            verification_status: fields.status_concept("verificationStatus")?,
            category: fields.concepts("category")?,
            severity: fields.concept("severity")?,
            body_site: fields.concepts("bodySite")?,
            abatement: fields.effective("abatementDateTime", "abatementPeriod")?,
        })),
        ..Default::default()
    })
}
