//! Something done to or for the patient (FHIR R4 `Procedure`).

use super::{Rules, line, when};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::report::{Path, Report};
use crate::value::{Actor, CodeableConcept};

/// The fields that only a procedure has. `Entry.effective` is when it was performed.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Procedure {
    /// Surgical, diagnostic, counselling, ….
    pub category: Option<CodeableConcept>,
    /// Where in the body.
    pub body_site: Vec<CodeableConcept>,
    /// Who did it.
    pub performer: Vec<Actor>,
    /// Why it was done.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`).
    pub reason_reference: Vec<EntryId>,
    /// How it ended.
    pub outcome: Option<CodeableConcept>,
}

adds!(Procedure { category, body_site, performer, reason, reason_reference, outcome });

impl Rules for Procedure {
    const STATUSES: &'static [&'static str] =
        &["preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "unknown"];
    const FINAL: &'static [&'static str] = &["not-done", "stopped", "completed"];
    const STATUS_REQUIRED: bool = true;
    const CODE_REQUIRED: bool = true;

    fn check(&self, _: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        report.optional_concept(&detail.field("category"), self.category.as_ref());
        report.concepts(&detail.field("body_site"), &self.body_site);
        report.actors(&detail.field("performer"), &self.performer);
        report.concepts(&detail.field("reason"), &self.reason);
        report.entry_ids(&detail.field("reason_reference"), &self.reason_reference);
        report.optional_concept(&detail.field("outcome"), self.outcome.as_ref());
    }

    fn summary(&self, entry: &Entry) -> String {
        let performed = when(entry.effective.as_ref());
        let outcome = self.outcome.as_ref().map(CodeableConcept::words);
        line(entry.code.words(), [entry.status.as_deref(), outcome, performed.as_deref()])
    }
}
