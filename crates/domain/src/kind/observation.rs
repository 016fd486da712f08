//! A measurement or simple statement (FHIR R4 `Observation`).

use super::{Rules, amount, line, when};
use crate::augmentation::{Adds, adds};
use crate::entry::Entry;
use crate::finding::code;
use crate::limits::{MAX_ITEMS, MAX_LONG_TEXT};
use crate::report::{Path, Report};
use crate::value::{CodeableConcept, Effective, FhirDateTime, Period, Quantity};

/// The fields that only an observation has. `Entry.effective` is when it was true.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Observation {
    /// Vital signs, laboratory, survey, ….
    pub category: Vec<CodeableConcept>,
    /// The result.
    pub value: Option<ObservationValue>,
    /// Why there is no result; only without `value`.
    pub data_absent_reason: Option<CodeableConcept>,
    /// High, low, normal, ….
    pub interpretation: Vec<CodeableConcept>,
    /// Where in the body.
    pub body_site: Option<CodeableConcept>,
    /// How it was measured.
    pub method: Option<CodeableConcept>,
    /// What is usual.
    pub reference_range: Vec<ReferenceRange>,
    /// Parts of the result, such as systolic and diastolic pressure.
    pub component: Vec<Component>,
    /// When this version of the result was made available.
    pub issued: Option<FhirDateTime>,
}

/// A result (FHIR R4 `Observation.value[x]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObservationValue {
    /// A measured amount.
    Quantity(Quantity),
    /// A coded answer.
    CodeableConcept(CodeableConcept),
    /// An answer in words.
    String(String),
    /// Yes or no.
    Boolean(bool),
    /// A count or score.
    Integer(i32),
    /// A moment or day.
    DateTime(FhirDateTime),
    /// A time from, until.
    Period(Period),
}

/// What is usual; one of the three must be given.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ReferenceRange {
    /// From, inclusive.
    pub low: Option<Quantity>,
    /// To, inclusive.
    pub high: Option<Quantity>,
    /// In words.
    pub text: Option<String>,
}

/// A part of the result.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Component {
    /// What was measured.
    pub code: CodeableConcept,
    /// The result.
    pub value: Option<ObservationValue>,
    /// Why there is no result; only without `value`.
    pub data_absent_reason: Option<CodeableConcept>,
}

adds!(Observation {
    category,
    value,
    data_absent_reason,
    interpretation,
    body_site,
    method,
    reference_range,
    component,
    issued,
});
adds!(ReferenceRange { low, high, text });
adds!(Component { code, value, data_absent_reason });

impl Adds for ObservationValue {
    fn adds_to(&self, before: &Self) -> bool {
        if let (Self::CodeableConcept(now), Self::CodeableConcept(before)) = (self, before) {
            return now.adds_to(before);
        }
        self == before
    }
}

impl Rules for Observation {
    const STATUSES: &'static [&'static str] =
        &["registered", "preliminary", "final", "amended", "corrected", "cancelled", "unknown"];
    // A final result may still become amended or corrected.
    const FINAL: &'static [&'static str] = &["cancelled"];
    const STATUS_REQUIRED: bool = true;
    const CODE_REQUIRED: bool = true;

    fn check(&self, _: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        report.concepts(&detail.field("category"), &self.category);
        check_value(report, &detail, self.value.as_ref(), self.data_absent_reason.as_ref());
        report.concepts(&detail.field("interpretation"), &self.interpretation);
        report.optional_concept(&detail.field("body_site"), self.body_site.as_ref());
        report.optional_concept(&detail.field("method"), self.method.as_ref());
        report.each(
            &detail.field("reference_range"),
            &self.reference_range,
            MAX_ITEMS,
            check_range,
        );
        report.each(&detail.field("component"), &self.component, MAX_ITEMS, |report, at, part| {
            report.concept(&at.field("code"), &part.code);
            check_value(report, at, part.value.as_ref(), part.data_absent_reason.as_ref());
        });
        report.date_time(self.issued.as_ref());
    }

    fn summary(&self, entry: &Entry) -> String {
        let mut first = entry.code.words().to_owned();
        if let Some(value) = &self.value {
            first = format!("{first}: {}", in_words(value));
        } else if let Some(reason) = &self.data_absent_reason {
            first = format!("{first}: {}", reason.words());
        }
        let parts = self.component.iter().filter_map(|part| {
            let value = part.value.as_ref()?;
            Some(format!("{} {}", part.code.words(), in_words(value)))
        });
        let parts = parts.collect::<Vec<_>>().join(", ");
        let effective = when(entry.effective.as_ref());
        let interpretation = self.interpretation.first().map(CodeableConcept::words);
        // Final goes without saying.
        let status = entry.status.as_deref().filter(|status| *status != "final");
        line(&first, [Some(parts.as_str()), interpretation, status, effective.as_deref()])
    }
}

fn check_value(
    report: &mut Report,
    at: &Path<'_>,
    value: Option<&ObservationValue>,
    absent: Option<&CodeableConcept>,
) {
    report.optional_concept(&at.field("data_absent_reason"), absent);
    // FHIR R4 obs-6.
    if value.is_some() && absent.is_some() {
        let text = "there is a value: leave out the reason for its absence";
        report.violation(&at.field("data_absent_reason"), code::CONTRADICTION, text);
    }
    let at = at.field("value");
    match value {
        None => {}
        Some(ObservationValue::Quantity(quantity)) => {
            report.quantity(&at.field("quantity"), quantity);
        }
        Some(ObservationValue::CodeableConcept(concept)) => {
            report.concept(&at.field("codeable_concept"), concept);
        }
        Some(ObservationValue::String(text)) => {
            report.lines(&at.field("string"), text, MAX_LONG_TEXT);
        }
        Some(ObservationValue::Boolean(_) | ObservationValue::Integer(_)) => report.count(0),
        Some(ObservationValue::DateTime(date_time)) => report.date_time(Some(date_time)),
        Some(ObservationValue::Period(period)) => {
            report.period(&at.field("period"), Some(period));
        }
    }
}

fn check_range(report: &mut Report, at: &Path<'_>, range: &ReferenceRange) {
    // FHIR R4 obs-3.
    if range.low.is_none() && range.high.is_none() && range.text.is_none() {
        report.required(at, "give a lower or upper bound or a text");
    }
    report.optional_quantity(&at.field("low"), range.low.as_ref());
    report.optional_quantity(&at.field("high"), range.high.as_ref());
    report.optional_lines(&at.field("text"), range.text.as_deref(), MAX_LONG_TEXT);
}

fn in_words(value: &ObservationValue) -> String {
    match value {
        ObservationValue::Quantity(quantity) => amount(quantity),
        ObservationValue::CodeableConcept(concept) => concept.words().to_owned(),
        ObservationValue::String(text) => text.clone(),
        ObservationValue::Boolean(yes) => if *yes { "yes" } else { "no" }.to_owned(),
        ObservationValue::Integer(number) => number.to_string(),
        ObservationValue::DateTime(at) => at.to_string(),
        ObservationValue::Period(period) => {
            when(Some(&Effective::During(period.clone()))).unwrap_or_default()
        }
    }
}
