//! Encounter.

use api::v1;
use serde::Deserialize;

use super::{Links, actors};
use crate::fields::Fields;
use crate::json::{CodeableConcept, Coding, Period, Reference};
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Participant {
    individual: Option<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Location {
    location: Option<Reference>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Hospitalization {
    discharge_disposition: Option<CodeableConcept>,
}

pub(super) fn entry(fields: &mut Fields<'_>, links: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    let class = fields.take::<Coding>("class")?.map(v1::Coding::from);
    // without a type, the class is what is known of it
    let code = fields.first_concept("type")?.or_else(|| {
        class.clone().map(|class| v1::CodeableConcept { coding: vec![class], text: String::new() })
    });
    if let Some(whole) = fields.take::<Reference>("partOf")? {
        links.encounter(fields, "partOf", &whole);
    }
    let mut reason = fields.concepts("reasonCode")?;
    links.reasons(fields, &mut reason)?;
    let participants = fields.list::<Participant>("participant")?.into_iter();
    let locations = fields.list::<Location>("location")?.into_iter();
    let stay = fields.take::<Hospitalization>("hospitalization")?.unwrap_or_default();
    let period = fields.take::<Period>("period")?;
    Ok(v1::Entry {
        status: fields.text("status")?,
        code,
        effective: period.map(|period| v1::Effective {
            value: Some(v1::effective::Value::During(period.into())),
        }),
        detail: Some(v1::entry::Detail::EncounterDetail(v1::Encounter {
            class,
            priority: fields.concept("priority")?,
            participant: actors(
                fields,
                "participant.individual",
                participants.map(|one| one.individual),
            ),
            reason,
            service_provider: fields.take_actor("serviceProvider")?,
            location: actors(fields, "location.location", locations.map(|one| one.location)),
            discharge_disposition: stay
                .discharge_disposition
                .and_then(|it| fields.whole("hospitalization.dischargeDisposition", it)),
            length: fields.quantity("length")?,
            reason_reference: Vec::new(),
        })),
        ..Default::default()
    })
}
