//! An allergy or intolerance (FHIR R4 `AllergyIntolerance`).

use super::{Rules, line};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::limits::{MAX_ITEMS, MAX_LONG_TEXT};
use crate::report::{Path, Report};
use crate::value::{CodeableConcept, FhirDateTime};

/// The fields that only an allergy or intolerance has. `Entry.status` is `clinicalStatus`,
/// `Entry.code` the substance or the statement that none is known.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AllergyIntolerance {
    /// `unconfirmed`, `confirmed` or `refuted`.
    pub verification_status: Option<String>,
    /// `allergy` or `intolerance`.
    pub r#type: Option<String>,
    /// `food`, `medication`, `environment`, `biologic`.
    pub category: Vec<String>,
    /// `low`, `high` or `unable-to-assess`.
    pub criticality: Option<String>,
    /// The last reaction known.
    pub last_occurrence: Option<FhirDateTime>,
    /// Reactions that were seen.
    pub reaction: Vec<Reaction>,
}

/// One reaction that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Reaction {
    /// To what exactly, if narrower than the entry's code.
    pub substance: Option<CodeableConcept>,
    /// Signs and symptoms; at least one.
    pub manifestation: Vec<CodeableConcept>,
    /// `mild`, `moderate` or `severe`.
    pub severity: Option<String>,
    /// When it began.
    pub onset: Option<FhirDateTime>,
    /// The reaction in words.
    pub description: Option<String>,
}

const VERIFICATION: &[&str] = &["unconfirmed", "confirmed", "refuted"];
const TYPES: &[&str] = &["allergy", "intolerance"];
const CATEGORIES: &[&str] = &["food", "medication", "environment", "biologic"];
const CRITICALITY: &[&str] = &["low", "high", "unable-to-assess"];
const SEVERITY: &[&str] = &["mild", "moderate", "severe"];

adds!(AllergyIntolerance {
    verification_status,
    r#type,
    category,
    criticality,
    last_occurrence,
    reaction,
});
adds!(Reaction { substance, manifestation, severity, onset, description });

impl Rules for AllergyIntolerance {
    const STATUSES: &'static [&'static str] = &["active", "inactive", "resolved"];
    // An allergy can come back.
    const FINAL: &'static [&'static str] = &[];
    // Required with one exception: see `check`.
    const STATUS_REQUIRED: bool = false;
    const CODE_REQUIRED: bool = true;

    fn check(&self, entry: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        let verification = self.verification_status.as_deref();
        // FHIR R4 ait-1. What was entered in error has none, and is to be retracted, not given one.
        if entry.status.is_none() && verification != Some("entered-in-error") {
            report.required(&Path::Root("status"), "give the status");
        }
        report.one_of(&detail.field("verification_status"), verification, VERIFICATION);
        report.one_of(&detail.field("type"), self.r#type.as_deref(), TYPES);
        report.each(&detail.field("category"), &self.category, MAX_ITEMS, |report, at, item| {
            report.one_of(at, Some(item), CATEGORIES);
        });
        report.one_of(&detail.field("criticality"), self.criticality.as_deref(), CRITICALITY);
        report.date_time(self.last_occurrence.as_ref());
        report.each(&detail.field("reaction"), &self.reaction, MAX_ITEMS, check_reaction);
    }

    fn summary(&self, entry: &Entry) -> String {
        let criticality = match self.criticality.as_deref() {
            Some("high") => Some("high criticality"),
            Some("low") => Some("low criticality"),
            _ => None,
        };
        let signs = self
            .reaction
            .iter()
            .flat_map(|reaction| &reaction.manifestation)
            .map(CodeableConcept::words)
            .collect::<Vec<_>>()
            .join(", ");
        let kind = self.r#type.as_deref();
        line(entry.code.words(), [kind, criticality, entry.status.as_deref(), Some(&signs)])
    }
}

fn check_reaction(report: &mut Report, at: &Path<'_>, reaction: &Reaction) {
    report.optional_concept(&at.field("substance"), reaction.substance.as_ref());
    let manifestation = at.field("manifestation");
    if reaction.manifestation.is_empty() {
        report.required(&manifestation, "say how the reaction showed itself");
    }
    report.concepts(&manifestation, &reaction.manifestation);
    report.one_of(&at.field("severity"), reaction.severity.as_deref(), SEVERITY);
    report.date_time(reaction.onset.as_ref());
    let description = reaction.description.as_deref();
    report.optional_lines(&at.field("description"), description, MAX_LONG_TEXT);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::code;

    fn faults(verification: &str) -> Vec<(String, String)> {
        let entry = Entry::default();
        let allergy = AllergyIntolerance {
            verification_status: Some(verification.to_owned()),
            ..AllergyIntolerance::default()
        };
        let mut report = Report::default();
        allergy.check(&entry, &mut report);
        let faults = report.finish("entry").into_iter();
        faults.map(|finding| (finding.field, finding.code)).collect()
    }

    #[test]
    fn what_was_entered_in_error_is_to_be_retracted_not_given_a_status() {
        let fault = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        let retract = fault("detail.verification_status", code::RETRACT_INSTEAD);
        assert_eq!(faults("entered-in-error"), retract);
        assert_eq!(faults("confirmed"), fault("status", code::REQUIRED));
    }
}
