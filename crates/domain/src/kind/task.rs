//! Something to be done about the patient (FHIR R4 `Task`).

use super::{Rules, check_request, line};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::limits::MAX_LONG_TEXT;
use crate::report::{Path, Report};
use crate::value::{Actor, CodeableConcept, Period};

/// The fields that only a task has. `Entry.code` is what kind of task, `Entry.effective` when it was worked on (FHIR
/// `executionPeriod`), `Entry.recorded_date` when it was authored, `Entry.asserter` the requester.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Task {
    /// `unknown`, `proposal`, `plan`, `order`, `original-order`, `reflex-order`, `filler-order`,
    /// `instance-order` or `option`; must be given.
    pub intent: Option<String>,
    /// `routine`, `urgent`, `asap` or `stat`.
    pub priority: Option<String>,
    /// What is to be done, in words; must be given if `Entry.code` says nothing.
    pub description: Option<String>,
    /// The entry of this file that it is about.
    pub focus: Option<EntryId>,
    /// The entries of this file, requests and plans, that it is to carry out.
    pub based_on: Vec<EntryId>,
    /// Who is responsible for it.
    pub owner: Option<Actor>,
    /// When it may be worked on (FHIR `restriction.period`): after its end it is nobody's business any more.
    pub restriction: Option<Period>,
    /// Why it is to be done; FHIR R4 has room for one.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`, which has room for one).
    pub reason_reference: Vec<EntryId>,
}

const INTENTS: &[&str] = &[
    "unknown",
    "proposal",
    "plan",
    "order",
    "original-order",
    "reflex-order",
    "filler-order",
    "instance-order",
    "option",
];

adds!(Task {
    intent,
    priority,
    description,
    focus,
    based_on,
    owner,
    restriction,
    reason,
    reason_reference,
});

impl Rules for Task {
    const STATUSES: &'static [&'static str] = &[
        "draft",
        "requested",
        "received",
        "accepted",
        "rejected",
        "ready",
        "cancelled",
        "in-progress",
        "on-hold",
        "failed",
        "completed",
    ];
    // A task that is over does not begin again: a new one is given.
    const FINAL: &'static [&'static str] = &["rejected", "cancelled", "failed", "completed"];
    const STATUS_REQUIRED: bool = true;
    // FHIR R4: code is 0..1; many tasks are said in words alone.
    const CODE_REQUIRED: bool = false;

    fn check(&self, entry: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        check_request(report, self.intent.as_deref(), INTENTS, self.priority.as_deref());
        let description = detail.field("description");
        if entry.code.is_empty() && self.description.is_none() {
            report.required(&description, "say what is to be done: give a code or a description");
        }
        report.optional_lines(&description, self.description.as_deref(), MAX_LONG_TEXT);
        report.optional_entry_id(&detail.field("focus"), self.focus.as_ref());
        report.entry_ids(&detail.field("based_on"), &self.based_on);
        report.optional_actor(&detail.field("owner"), self.owner.as_ref());
        report.period(&detail.field("restriction"), self.restriction.as_ref());
        report.concepts(&detail.field("reason"), &self.reason);
        report.entry_ids(&detail.field("reason_reference"), &self.reason_reference);
    }

    fn summary(&self, entry: &Entry) -> String {
        let said = self.description.as_deref().unwrap_or_default();
        let what = if entry.code.is_empty() { said } else { entry.code.words() };
        let owner = self.owner.as_ref();
        let owner = owner.map(|owner| owner.display.as_deref().unwrap_or(&owner.reference));
        let end = self.restriction.as_ref().and_then(|period| period.end.as_ref());
        let until = end.map(|end| format!("until {end}"));
        let status = entry.status.as_deref();
        line(what, [self.priority.as_deref(), owner, status, until.as_deref()])
    }
}
