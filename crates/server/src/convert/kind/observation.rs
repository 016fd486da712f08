//! Observation.

use api::v1 as proto;
use api::v1::observation_value::Value;
use domain::{Component, Observation, ObservationValue, ReferenceRange};

use crate::convert::values::{
    all, concept_in, concept_out, date_in, date_out, instant_in, list, option, period_in,
    period_out, quantity_in, quantity_out, required, text, text_out,
};
use crate::convert::{At, Report};

pub(super) fn fields_in(
    from: proto::Observation,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Observation> {
    Some(Observation {
        category: list(from.category, &at.field("category"), report, concept_in),
        value: option(from.value, &at.field("value"), report, value_in),
        data_absent_reason: option(
            from.data_absent_reason,
            &at.field("data_absent_reason"),
            report,
            concept_in,
        ),
        interpretation: list(from.interpretation, &at.field("interpretation"), report, concept_in),
        body_site: option(from.body_site, &at.field("body_site"), report, concept_in),
        method: option(from.method, &at.field("method"), report, concept_in),
        reference_range: list(from.reference_range, &at.field("reference_range"), report, range_in),
        component: list(from.component, &at.field("component"), report, component_in),
        issued: instant_in(&from.issued, &at.field("issued"), report),
    })
}

pub(super) fn fields_out(from: &Observation) -> proto::Observation {
    proto::Observation {
        category: all(&from.category, concept_out),
        value: from.value.as_ref().map(value_out),
        data_absent_reason: from.data_absent_reason.as_ref().map(concept_out),
        interpretation: all(&from.interpretation, concept_out),
        body_site: from.body_site.as_ref().map(concept_out),
        method: from.method.as_ref().map(concept_out),
        reference_range: all(&from.reference_range, range_out),
        component: all(&from.component, component_out),
        issued: date_out(from.issued.as_ref()),
    }
}

fn value_in(
    from: proto::ObservationValue,
    at: &At<'_>,
    report: &mut Report,
) -> Option<ObservationValue> {
    match from.value {
        Some(Value::Quantity(from)) => {
            quantity_in(from, &at.field("quantity"), report).map(ObservationValue::Quantity)
        }
        Some(Value::CodeableConcept(from)) => {
            concept_in(from, &at.field("codeable_concept"), report)
                .map(ObservationValue::CodeableConcept)
        }
        Some(Value::String(from)) => Some(ObservationValue::String(from)),
        Some(Value::Boolean(from)) => Some(ObservationValue::Boolean(from)),
        Some(Value::Integer(from)) => Some(ObservationValue::Integer(from)),
        Some(Value::DateTime(from)) => {
            let at = at.field("date_time");
            if from.is_empty() {
                report.missing(&at);
            }
            date_in(&from, &at, report).map(ObservationValue::DateTime)
        }
        Some(Value::Period(from)) => {
            period_in(from, &at.field("period"), report).map(ObservationValue::Period)
        }
        None => {
            report.fault(at, "required", "one of its fields must be set");
            None
        }
    }
}

fn value_out(from: &ObservationValue) -> proto::ObservationValue {
    let value = match from {
        ObservationValue::Quantity(from) => Value::Quantity(quantity_out(from)),
        ObservationValue::CodeableConcept(from) => Value::CodeableConcept(concept_out(from)),
        ObservationValue::String(from) => Value::String(from.clone()),
        ObservationValue::Boolean(from) => Value::Boolean(*from),
        ObservationValue::Integer(from) => Value::Integer(*from),
        ObservationValue::DateTime(from) => Value::DateTime(from.as_str().to_owned()),
        ObservationValue::Period(from) => Value::Period(period_out(from)),
    };
    proto::ObservationValue { value: Some(value) }
}

fn range_in(
    from: proto::ReferenceRange,
    at: &At<'_>,
    report: &mut Report,
) -> Option<ReferenceRange> {
    Some(ReferenceRange {
        low: option(from.low, &at.field("low"), report, quantity_in),
        high: option(from.high, &at.field("high"), report, quantity_in),
        text: text(from.text),
    })
}

fn range_out(from: &ReferenceRange) -> proto::ReferenceRange {
    proto::ReferenceRange {
        low: from.low.as_ref().map(quantity_out),
        high: from.high.as_ref().map(quantity_out),
        text: text_out(from.text.as_ref()),
    }
}

fn component_in(
    from: proto::ObservationComponent,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Component> {
    let code = required(from.code, &at.field("code"), report, concept_in);
    let value = option(from.value, &at.field("value"), report, value_in);
    let data_absent_reason =
        option(from.data_absent_reason, &at.field("data_absent_reason"), report, concept_in);
    Some(Component { code: code?, value, data_absent_reason })
}

fn component_out(from: &Component) -> proto::ObservationComponent {
    proto::ObservationComponent {
        code: Some(concept_out(&from.code)),
        value: from.value.as_ref().map(value_out),
        data_absent_reason: from.data_absent_reason.as_ref().map(concept_out),
    }
}
