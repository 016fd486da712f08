//! Observation.

use api::v1;
use api::v1::observation_value::Value;
use serde::Deserialize;

use super::{Links, first_actor};
use crate::fields::Fields;
use crate::json::{CodeableConcept, Known, Period, Quantity, Reference};
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReferenceRange {
    low: Option<Quantity>,
    high: Option<Quantity>,
    text: Option<String>,
}

impl ReferenceRange {
    /// None if nothing is left of it.
    fn carried(self, fields: &mut Fields<'_>) -> Option<v1::ReferenceRange> {
        let low = self.low.and_then(|it| fields.amount("referenceRange.low", it));
        let high = self.high.and_then(|it| fields.amount("referenceRange.high", it));
        let text = self.text.unwrap_or_default();
        let says = low.is_some() || high.is_some() || !text.is_empty();
        says.then_some(v1::ReferenceRange { low, high, text })
    }
}

/// A part of the result; values of the types that are not here refuse the resource.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Component {
    code: Option<CodeableConcept>,
    value_quantity: Option<Quantity>,
    value_codeable_concept: Option<CodeableConcept>,
    value_string: Option<String>,
    value_boolean: Option<bool>,
    value_integer: Option<i32>,
    value_date_time: Option<String>,
    value_period: Option<Period>,
    data_absent_reason: Option<CodeableConcept>,
    value_range: Option<Known>,
    value_ratio: Option<Known>,
    value_sampled_data: Option<Known>,
    value_time: Option<Known>,
}

impl Component {
    fn has_other_value(&self) -> bool {
        self.value_range.is_some()
            || self.value_ratio.is_some()
            || self.value_sampled_data.is_some()
            || self.value_time.is_some()
    }

    fn carried(self, fields: &mut Fields<'_>) -> Result<v1::ObservationComponent, Refusal> {
        if self.has_other_value() {
            return Err(value_not_supported("component.value[x]"));
        }
        let value = self
            .value_quantity
            .and_then(|quantity| fields.amount("component.valueQuantity", quantity))
            .map(Value::Quantity)
            .or_else(|| {
                let answer = self.value_codeable_concept?;
                fields.whole("component.valueCodeableConcept", answer).map(Value::CodeableConcept)
            })
            .or_else(|| self.value_string.map(Value::String))
            .or_else(|| self.value_boolean.map(Value::Boolean))
            .or_else(|| self.value_integer.map(Value::Integer))
            .or_else(|| self.value_date_time.map(Value::DateTime))
            .or_else(|| self.value_period.map(|period| Value::Period(period.into())));
        Ok(v1::ObservationComponent {
            code: self.code.and_then(|it| fields.whole("component.code", it)),
            value: value.map(|value| v1::ObservationValue { value: Some(value) }),
            data_absent_reason: self
                .data_absent_reason
                .and_then(|it| fields.whole("component.dataAbsentReason", it)),
        })
    }
}

pub(super) fn entry(fields: &mut Fields<'_>, links: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    for focus in fields.list::<Reference>("focus")? {
        // What is on this patient's file is about this patient.
        if links.directory.entry(&focus).is_none() {
            return Err(Refusal::new(
                "FOCUS_NOT_SUPPORTED",
                "focus",
                "the result may be about somebody or something else than the patient, such as a donor \
                 or an unborn child, which an entry cannot say yet; if an earlier import filed it, look \
                 at it and retract it",
            ));
        }
        fields.lose("focus");
    }
    let value = value(fields)?;
    let component = fields.list::<Component>("component")?.into_iter();
    let component = component.map(|one| one.carried(fields)).collect::<Result<_, _>>()?;
    let ranges = fields.list::<ReferenceRange>("referenceRange")?.into_iter();
    let reference_range = ranges.filter_map(|one| one.carried(fields)).collect();
    Ok(v1::Entry {
        status: fields.text("status")?,
        code: fields.concept("code")?,
        effective: fields.effective("effectiveDateTime", "effectivePeriod")?,
        asserter: first_actor(fields, "performer")?,
        detail: Some(v1::entry::Detail::Observation(v1::Observation {
            category: fields.concepts("category")?,
            value,
            data_absent_reason: fields.concept("dataAbsentReason")?,
            interpretation: fields.concepts("interpretation")?,
            body_site: fields.concept("bodySite")?,
            method: fields.concept("method")?,
            reference_range,
            component,
            issued: issued(fields)?,
        })),
        ..Default::default()
    })
}

/// The result. One of a type without counterpart refuses the resource: an observation without its
/// result would say something else.
fn value(fields: &mut Fields<'_>) -> Result<Option<v1::ObservationValue>, Refusal> {
    let value = if let Some(quantity) = fields.quantity("valueQuantity")? {
        Some(Value::Quantity(quantity))
    } else if let Some(concept) = fields.concept("valueCodeableConcept")? {
        Some(Value::CodeableConcept(concept))
    } else if let Some(text) = fields.take("valueString")? {
        Some(Value::String(text))
    } else if let Some(flag) = fields.take("valueBoolean")? {
        Some(Value::Boolean(flag))
    } else if let Some(number) = fields.take("valueInteger")? {
        Some(Value::Integer(number))
    } else if let Some(at) = fields.take("valueDateTime")? {
        Some(Value::DateTime(at))
    } else {
        fields.take::<Period>("valuePeriod")?.map(|period| Value::Period(period.into()))
    };
    match fields.left_with_prefix("value") {
        Some(other) => Err(value_not_supported(other)),
        None => Ok(value.map(|value| v1::ObservationValue { value: Some(value) })),
    }
}

fn value_not_supported(field: &str) -> Refusal {
    Refusal::new(
        "VALUE_NOT_SUPPORTED",
        field,
        format!("a result in `{field}` cannot be carried yet"),
    )
}

/// When it was released: an instant, so that a day alone is none.
fn issued(fields: &mut Fields<'_>) -> Result<String, Refusal> {
    let issued = fields.text("issued")?;
    if issued.is_empty() || issued.contains('T') {
        return Ok(issued);
    }
    fields.lose("issued (no instant)");
    Ok(String::new())
}
