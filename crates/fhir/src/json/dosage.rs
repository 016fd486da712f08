//! Dosage: the parts that an entry carries, and the schedule in words.

use serde::Deserialize;

use super::{CodeableConcept, Known, Number, Quantity};
use crate::fields::Fields;
use api::v1;

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Dosage {
    text: Option<String>,
    patient_instruction: Option<String>,
    timing: Option<Timing>,
    as_needed_boolean: Option<bool>,
    as_needed_codeable_concept: Option<CodeableConcept>,
    route: Option<CodeableConcept>,
    dose_and_rate: Vec<DoseAndRate>,
    #[serde(rename = "sequence")]
    _sequence: Known, // the order of the list says the same
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct DoseAndRate {
    dose_quantity: Option<Quantity>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Timing {
    code: Option<CodeableConcept>,
    repeat: Option<Repeat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Repeat {
    frequency: Option<Number>,
    frequency_max: Option<Number>,
    period: Option<Number>,
    period_max: Option<Number>,
    period_unit: Option<String>,
    duration: Option<Number>,
    duration_max: Option<Number>,
    duration_unit: Option<String>,
    count: Option<Number>,
    day_of_week: Vec<String>,
    time_of_day: Vec<String>,
    when: Vec<String>,
}

impl Dosage {
    /// How many alternatives of dose and rate are given beyond the first.
    pub(crate) fn has_further_doses(&self) -> bool {
        self.dose_and_rate.len() > 1
    }

    /// As an entry has it.
    pub(crate) fn carried(self, fields: &mut Fields<'_>) -> v1::Dosage {
        let dose = self.dose_and_rate.into_iter().next().and_then(|dose| dose.dose_quantity);
        let mut timing_text = self.timing.map(words).unwrap_or_default();
        let needed = self.as_needed_codeable_concept;
        let as_needed = self.as_needed_boolean.or(needed.as_ref().map(|_| true));
        if let Some(reason) = needed.and_then(in_words) {
            let comma = if timing_text.is_empty() { "" } else { ", " };
            timing_text = format!("{timing_text}{comma}as needed: {reason}");
        }
        v1::Dosage {
            text: self.text.unwrap_or_default(),
            timing_text,
            as_needed,
            route: self.route.and_then(|it| fields.whole("dosageInstruction.route", it)),
            dose: dose
                .and_then(|it| fields.amount("dosageInstruction.doseAndRate.doseQuantity", it)),
            patient_instruction: self.patient_instruction.unwrap_or_default(),
        }
    }
}

/// The schedule in words: the source's own if it has any, else its numbers spelled out. Units and
/// numbers are written in full, because abbreviated schedules are misread (Joint Commission's
/// "do not use" list).
fn words(timing: Timing) -> String {
    let own = timing.code.and_then(in_words);
    let numbers = timing.repeat.map(|repeat| spelled_out(&repeat)).filter(|text| !text.is_empty());
    match (own, numbers) {
        (Some(own), Some(numbers)) => format!("{own} ({numbers})"),
        (own, numbers) => own.or(numbers).unwrap_or_default(),
    }
}

/// What a concept says, in the source's words if it has any.
fn in_words(concept: CodeableConcept) -> Option<String> {
    let coding = concept.coding.into_iter().next();
    concept.text.or_else(|| coding.and_then(|coding| coding.display.or(coding.code)))
}

fn spelled_out(repeat: &Repeat) -> String {
    let mut parts = Vec::new();
    let range = |from: &Option<Number>, to: &Option<Number>| match (from, to) {
        (Some(from), Some(to)) => Some(format!("{} to {}", from.0, to.0)),
        (Some(one), None) | (None, Some(one)) => Some(one.0.clone()),
        (None, None) => None,
    };
    if let Some(frequency) = range(&repeat.frequency, &repeat.frequency_max) {
        let times = if frequency == "1" { "time" } else { "times" };
        parts.push(format!("{frequency} {times}"));
    }
    if let Some(period) = range(&repeat.period, &repeat.period_max) {
        let every = amount(&period, repeat.period_unit.as_deref());
        // of "1 to 2 hours" the 1 says how soon
        let one = if period == "1" { "1 " } else { "" };
        parts.push(format!("every {}", every.strip_prefix(one).unwrap_or(&every)));
    }
    if let Some(duration) = range(&repeat.duration, &repeat.duration_max) {
        parts.push(format!("over {}", amount(&duration, repeat.duration_unit.as_deref())));
    }
    if !repeat.day_of_week.is_empty() {
        parts.push(format!("on {}", repeat.day_of_week.join(", ")));
    }
    if !repeat.time_of_day.is_empty() {
        parts.push(format!("at {}", repeat.time_of_day.join(", ")));
    }
    if !repeat.when.is_empty() {
        parts.push(format!("at event {}", repeat.when.join(", ")));
    }
    if let Some(count) = &repeat.count {
        parts.push(format!("{} in all", count.0));
    }
    parts.join(" ")
}

/// "6", "h" → "6 hours".
fn amount(number: &str, unit: Option<&str>) -> String {
    let unit = match unit {
        Some("s") => "second",
        Some("min") => "minute",
        Some("h") => "hour",
        Some("d") => "day",
        Some("wk") => "week",
        Some("mo") => "month",
        Some("a") => "year",
        other => return format!("{number} {}", other.unwrap_or("(unit not given)")),
    };
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn said(timing: &str) -> String {
        words(serde_json::from_str(timing).unwrap())
    }

    #[test]
    fn what_is_taken_when_needed_says_for_what() {
        let timing = r#""timing":{"repeat":{"frequency":1,"period":6,"periodUnit":"h"}}"#;
        let cases = [
            (
                format!(r#"{{{timing},"asNeededCodeableConcept":{{"text":"pain"}}}}"#),
                "1 time every 6 hours, as needed: pain",
            ),
            (
                r#"{"asNeededCodeableConcept":{"coding":[{"code":"1","display":"pain"}]}}"#
                    .to_owned(),
                "as needed: pain",
            ),
            (format!(r#"{{{timing},"asNeededCodeableConcept":{{}}}}"#), "1 time every 6 hours"),
        ];
        for (dosage, expected) in cases {
            let nothing = RawValue::from_string("{}".to_owned()).unwrap();
            let mut fields = Fields::of(&nothing).unwrap();
            let dosage = serde_json::from_str::<Dosage>(&dosage).unwrap().carried(&mut fields);
            assert_eq!((dosage.timing_text.as_str(), dosage.as_needed), (expected, Some(true)));
        }
    }

    #[test]
    fn schedules_are_spelled_out() {
        let cases = [
            (r#"{"repeat":{"frequency":1,"period":1,"periodUnit":"d"}}"#, "1 time every day"),
            (r#"{"repeat":{"frequency":2,"period":1,"periodUnit":"d"}}"#, "2 times every day"),
            (
                r#"{"repeat":{"frequency":1,"period":4,"periodMax":6,"periodUnit":"h"}}"#,
                "1 time every 4 to 6 hours",
            ),
            (
                r#"{"repeat":{"frequency":1,"period":1,"periodMax":2,"periodUnit":"h"}}"#,
                "1 time every 1 to 2 hours",
            ),
            (
                r#"{"repeat":{"frequency":1,"period":1,"periodUnit":"wk","dayOfWeek":["tue"]}}"#,
                "1 time every week on tue",
            ),
            (r#"{"repeat":{"duration":30,"durationUnit":"min"}}"#, "over 30 minutes"),
            (r#"{"code":{"text":"at night"}}"#, "at night"),
            (r#"{}"#, ""),
        ];
        for (timing, expected) in cases {
            assert_eq!(said(timing), expected, "{timing}");
        }
    }
}
