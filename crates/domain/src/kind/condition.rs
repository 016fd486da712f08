//! A problem, diagnosis or finding (FHIR R4 `Condition`).

use super::{Rules, line, when};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::finding::code;
use crate::report::{Path, Report};
use crate::value::{CodeableConcept, Effective};

/// The fields that only a condition has. `Entry.status` is `clinicalStatus`, `Entry.effective` the
/// onset.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Condition {
    /// `unconfirmed`, `provisional`, `differential`, `confirmed` or `refuted`.
    pub verification_status: Option<String>,
    /// Problem list item, encounter diagnosis, ….
    pub category: Vec<CodeableConcept>,
    /// How severe.
    pub severity: Option<CodeableConcept>,
    /// Where in the body.
    pub body_site: Vec<CodeableConcept>,
    /// When it ended; then the status is `inactive`, `remission` or `resolved`.
    pub abatement: Option<Effective>,
}

const VERIFICATION: &[&str] =
    &["unconfirmed", "provisional", "differential", "confirmed", "refuted"];

/// Statuses of a condition that is over.
const OVER: &[&str] = &["inactive", "remission", "resolved"];

adds!(Condition { verification_status, category, severity, body_site, abatement });

impl Rules for Condition {
    const STATUSES: &'static [&'static str] =
        &["active", "recurrence", "relapse", "inactive", "remission", "resolved"];
    // A condition can come back.
    const FINAL: &'static [&'static str] = &[];
    const STATUS_REQUIRED: bool = false;
    const CODE_REQUIRED: bool = true;

    fn check(&self, entry: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        let verification = self.verification_status.as_deref();
        report.one_of(&detail.field("verification_status"), verification, VERIFICATION);
        report.concepts(&detail.field("category"), &self.category);
        report.optional_concept(&detail.field("severity"), self.severity.as_ref());
        report.concepts(&detail.field("body_site"), &self.body_site);
        let abatement = detail.field("abatement");
        report.effective(&abatement, self.abatement.as_ref());
        // FHIR R4 con-4.
        let over = entry.status.as_deref().is_some_and(|status| OVER.contains(&status));
        if self.abatement.is_some() && !over {
            let text = "it has ended: the status must be inactive, remission or resolved";
            report.violation(&abatement, code::CONTRADICTION, text);
        }
        if let (Some(Effective::At(onset)), Some(Effective::At(end))) =
            (&entry.effective, &self.abatement)
            && onset.is_after(end)
        {
            report.violation(&abatement, code::PERIOD_REVERSED, "it ends before its onset");
        }
    }

    fn summary(&self, entry: &Entry) -> String {
        let onset = when(entry.effective.as_ref());
        // Confirmed goes without saying.
        let verification = self.verification_status.as_deref().filter(|it| *it != "confirmed");
        let severity = self.severity.as_ref().map(CodeableConcept::words);
        line(
            entry.code.words(),
            [severity, entry.status.as_deref(), verification, onset.as_deref()],
        )
    }
}
