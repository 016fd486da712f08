//! Dosage: the parts that an entry carries, and the schedule in words.

use serde::Deserialize;

use super::{CodeableConcept, Number, Quantity};
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
    sequence: Option<Number>,
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

    /// As an entry has it; of several, each says which step it is, because those with the same
    /// number are taken together and others one after another.
    pub(crate) fn carried(self, fields: &mut Fields<'_>, several: bool) -> v1::Dosage {
        let dose = self.dose_and_rate.into_iter().next().and_then(|dose| dose.dose_quantity);
        let needed = self.as_needed_codeable_concept;
        let as_needed = self.as_needed_boolean.or(needed.as_ref().map(|_| true));
        let step = self.sequence.filter(|_| several).map(|number| format!("step {}", number.0));
        let timing = self.timing.map(|timing| words(fields, timing));
        let needed = needed
            .and_then(|it| in_words(fields, "dosageInstruction.asNeededCodeableConcept", it))
            .map(|reason| format!("as needed: {reason}"));
        let parts = [step, timing, needed].into_iter().flatten().filter(|part| !part.is_empty());
        v1::Dosage {
            text: self.text.unwrap_or_default(),
            timing_text: parts.collect::<Vec<_>>().join(", "),
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
fn words(fields: &mut Fields<'_>, timing: Timing) -> String {
    let own = timing.code.and_then(|it| in_words(fields, "dosageInstruction.timing.code", it));
    let numbers = timing.repeat.map(|repeat| spelled_out(&repeat)).filter(|text| !text.is_empty());
    match (own, numbers) {
        (Some(own), Some(numbers)) => format!("{own} ({numbers})"),
        (own, numbers) => own.or(numbers).unwrap_or_default(),
    }
}

/// What a concept says, in the source's words if it has any. For its codings there is no place.
fn in_words(fields: &mut Fields<'_>, at: &str, concept: CodeableConcept) -> Option<String> {
    if !concept.coding.is_empty() {
        fields.lose(&format!("{at}.coding"));
    }
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

    /// What becomes of a dosage, of several or not, and what is not carried of it.
    fn carried(dosage: &str, several: bool) -> (v1::Dosage, Vec<String>) {
        let nothing = RawValue::from_string("{}".to_owned()).unwrap();
        let mut fields = Fields::of(&nothing).unwrap();
        let dosage: Dosage = serde_json::from_str(dosage).unwrap();
        (dosage.carried(&mut fields, several), fields.not_carried())
    }

    #[test]
    fn of_several_each_says_which_step_it_is() {
        let dosage =
            |number: u32| format!(r#"{{"sequence":{number},"timing":{{"repeat":{{"count":3}}}}}}"#);
        let said = |dosage: &str, several| carried(dosage, several).0.timing_text;
        assert_eq!(said(&dosage(1), true), "step 1, 3 in all");
        assert_eq!(said(&dosage(2), true), "step 2, 3 in all");
        assert_eq!(said(&dosage(1), false), "3 in all");
        assert_eq!(said(r#"{"sequence":2}"#, true), "step 2");
        assert_eq!(said("{}", true), "");
    }

    #[test]
    fn codings_of_what_is_put_in_words_are_named() {
        let (dosage, lost) = carried(
            r#"{"timing":{"code":{"text":"at night","coding":[{"system":"s","code":"HS"}]}},
                "asNeededCodeableConcept":{"coding":[{"system":"s","code":"1","display":"pain"}]}}"#,
            false,
        );
        assert_eq!(dosage.timing_text, "at night, as needed: pain");
        assert_eq!(
            lost,
            [
                "dosageInstruction.asNeededCodeableConcept.coding",
                "dosageInstruction.timing.code.coding",
            ]
        );
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
            let (dosage, _) = carried(&dosage, false);
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
            let (dosage, _) = carried(&format!(r#"{{"timing":{timing}}}"#), false);
            assert_eq!(dosage.timing_text, expected, "{timing}");
        }
    }
}
