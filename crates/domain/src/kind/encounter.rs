//! A visit or stay (FHIR R4 `Encounter`).

use super::{Rules, line, when};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::report::{Path, Report};
use crate::value::{Actor, CodeableConcept, Coding, Quantity};

/// The fields that only an encounter has. `Entry.code` is its type, `Entry.effective` its period.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Encounter {
    /// Ambulatory, emergency, inpatient, … (v3 ActCode); must be given.
    pub class: Coding,
    /// How urgent.
    pub priority: Option<CodeableConcept>,
    /// Who took part.
    pub participant: Vec<Actor>,
    /// Why the patient came.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`).
    pub reason_reference: Vec<EntryId>,
    /// Which organisation is responsible.
    pub service_provider: Option<Actor>,
    /// Where the patient was, in order.
    pub location: Vec<Actor>,
    /// Where the patient went afterwards.
    pub discharge_disposition: Option<CodeableConcept>,
    /// How long it lasted, less leave.
    pub length: Option<Quantity>,
}

adds!(Encounter {
    class,
    priority,
    participant,
    reason,
    reason_reference,
    service_provider,
    location,
    discharge_disposition,
    length,
});

impl Rules for Encounter {
    const STATUSES: &'static [&'static str] = &[
        "planned",
        "arrived",
        "triaged",
        "in-progress",
        "onleave",
        "finished",
        "cancelled",
        "unknown",
    ];
    const FINAL: &'static [&'static str] = &["finished", "cancelled"];
    const STATUS_REQUIRED: bool = true;
    // The class says what it is; FHIR R4: type is 0..*.
    const CODE_REQUIRED: bool = false;

    fn check(&self, _: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        report.coding(&detail.field("class"), &self.class);
        report.optional_concept(&detail.field("priority"), self.priority.as_ref());
        report.actors(&detail.field("participant"), &self.participant);
        report.concepts(&detail.field("reason"), &self.reason);
        report.entry_ids(&detail.field("reason_reference"), &self.reason_reference);
        report.optional_actor(&detail.field("service_provider"), self.service_provider.as_ref());
        report.actors(&detail.field("location"), &self.location);
        let disposition = self.discharge_disposition.as_ref();
        report.optional_concept(&detail.field("discharge_disposition"), disposition);
        report.optional_quantity(&detail.field("length"), self.length.as_ref());
    }

    fn summary(&self, entry: &Entry) -> String {
        let class = self.class.display.as_deref().unwrap_or(&self.class.code);
        let period = when(entry.effective.as_ref());
        let reason = self.reason.first().map(CodeableConcept::words);
        line(entry.code.words(), [Some(class), reason, entry.status.as_deref(), period.as_deref()])
    }
}
