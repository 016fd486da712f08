//! An order, a referral or a consult (FHIR R4 `ServiceRequest`).

use super::{Rules, check_request, line, when};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::report::{Path, Report};
use crate::value::{Actor, CodeableConcept};

/// The fields that only a request for a service has. `Entry.code` is what is asked for, `Entry.effective` when it is to
/// be done (FHIR `occurrence`), `Entry.recorded_date` when it was authored, `Entry.asserter` the requester.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct ServiceRequest {
    /// `proposal`, `plan`, `directive`, `order`, `original-order`, `reflex-order`, `filler-order`,
    /// `instance-order` or `option`; must be given.
    pub intent: Option<String>,
    /// Laboratory, imaging, counselling, ….
    pub category: Vec<CodeableConcept>,
    /// `routine`, `urgent`, `asap` or `stat`.
    pub priority: Option<String>,
    /// What whoever does it works as.
    pub performer_type: Option<CodeableConcept>,
    /// Who is asked to do it: of a consult, whose advice is asked for.
    pub performer: Vec<Actor>,
    /// Where in the body.
    pub body_site: Vec<CodeableConcept>,
    /// Where it is to be done (FHIR `locationReference`).
    pub location: Vec<Actor>,
    /// Why it is asked for.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`).
    pub reason_reference: Vec<EntryId>,
}

const INTENTS: &[&str] = &[
    "proposal",
    "plan",
    "directive",
    "order",
    "original-order",
    "reflex-order",
    "filler-order",
    "instance-order",
    "option",
];

adds!(ServiceRequest {
    intent,
    category,
    priority,
    performer_type,
    performer,
    body_site,
    location,
    reason,
    reason_reference,
});

impl Rules for ServiceRequest {
    const STATUSES: &'static [&'static str] =
        &["draft", "active", "on-hold", "revoked", "completed", "unknown"];
    // A request that has ended does not begin again: a new one is written.
    const FINAL: &'static [&'static str] = &["revoked", "completed"];
    const STATUS_REQUIRED: bool = true;
    // FHIR R4: code is 0..1. But a request that does not say for what helps nobody.
    const CODE_REQUIRED: bool = true;

    fn check(&self, _: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        check_request(report, self.intent.as_deref(), INTENTS, self.priority.as_deref());
        report.concepts(&detail.field("category"), &self.category);
        report.optional_concept(&detail.field("performer_type"), self.performer_type.as_ref());
        report.actors(&detail.field("performer"), &self.performer);
        report.concepts(&detail.field("body_site"), &self.body_site);
        report.actors(&detail.field("location"), &self.location);
        report.concepts(&detail.field("reason"), &self.reason);
        report.entry_ids(&detail.field("reason_reference"), &self.reason_reference);
    }

    fn summary(&self, entry: &Entry) -> String {
        let whom = self.performer.first();
        let whom = whom.map(|one| one.display.as_deref().unwrap_or(&one.reference));
        let occurrence = when(entry.effective.as_ref());
        line(
            entry.code.words(),
            [self.priority.as_deref(), whom, entry.status.as_deref(), occurrence.as_deref()],
        )
    }
}
