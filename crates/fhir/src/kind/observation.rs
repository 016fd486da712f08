//! Observation.

use api::v1;
use api::v1::observation_value::Value;
use serde::Deserialize;

use super::{Links, first_actor};
use crate::fields::Fields;
use crate::json::{CodeableConcept, Known, Period, Quantity};
use crate::refusal::Refusal;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ReferenceRange {
    low: Option<Quantity>,
    high: Option<Quantity>,
    text: Option<String>,
}

impl From<ReferenceRange> for v1::ReferenceRange {
    fn from(from: ReferenceRange) -> Self {
        Self {
            low: from.low.map(Into::into),
            high: from.high.map(Into::into),
            text: from.text.unwrap_or_default(),
        }
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

    fn into_api(self) -> Result<v1::ObservationComponent, Refusal> {
        if self.has_other_value() {
            return Err(value_not_supported("component.value[x]"));
        }
        let value = self
            .value_quantity
            .map(|quantity| Value::Quantity(quantity.into()))
            .or_else(|| self.value_codeable_concept.map(|code| Value::CodeableConcept(code.into())))
            .or_else(|| self.value_string.map(Value::String))
            .or_else(|| self.value_boolean.map(Value::Boolean))
            .or_else(|| self.value_integer.map(Value::Integer))
            .or_else(|| self.value_date_time.map(Value::DateTime))
            .or_else(|| self.value_period.map(|period| Value::Period(period.into())));
        Ok(v1::ObservationComponent {
            code: self.code.map(Into::into),
            value: value.map(|value| v1::ObservationValue { value: Some(value) }),
            data_absent_reason: self.data_absent_reason.map(Into::into),
        })
    }
}

pub(super) fn entry(fields: &mut Fields<'_>, _: &mut Links<'_>) -> Result<v1::Entry, Refusal> {
    let value = value(fields)?;
    let component = fields.list::<Component>("component")?;
    let component = component.into_iter().map(Component::into_api).collect::<Result<_, _>>()?;
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
            reference_range: fields
                .list::<ReferenceRange>("referenceRange")?
                .into_iter()
                .map(Into::into)
                .collect(),
            component,
            issued: fields.text("issued")?,
        })),
        ..Default::default()
    })
}

/// The result. One of a type without counterpart refuses the resource: an observation without its
/// result would say something else.
fn value(fields: &mut Fields<'_>) -> Result<Option<v1::ObservationValue>, Refusal> {
    let value = if let Some(quantity) = fields.take::<Quantity>("valueQuantity")? {
        Some(Value::Quantity(quantity.into()))
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
