//! An order or prescription of a medication (FHIR R4 `MedicationRequest`).

use super::{Rules, amount, check_request, line};
use crate::augmentation::adds;
use crate::check;
use crate::entry::Entry;
use crate::finding::code;
use crate::id::EntryId;
use crate::limits::{MAX_ITEMS, MAX_LONG_TEXT};
use crate::report::{Path, Report};
use crate::value::{CodeableConcept, Quantity};

/// The fields that only an order of a medication has. `Entry.code` is the medication,
/// `Entry.effective` when it was authored, `Entry.asserter` the requester.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct MedicationRequest {
    /// `proposal`, `plan`, `order`, `original-order`, `reflex-order`, `filler-order`,
    /// `instance-order` or `option`; must be given.
    pub intent: Option<String>,
    /// `routine`, `urgent`, `asap` or `stat`.
    pub priority: Option<String>,
    /// Why it was ordered.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`).
    pub reason_reference: Vec<EntryId>,
    /// How to take it.
    pub dosage_instruction: Vec<Dosage>,
    /// How much to hand out.
    pub dispense_quantity: Option<Quantity>,
}

/// How to take a medication (FHIR R4 `Dosage`, timing as text).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Dosage {
    /// The whole instruction in words.
    pub text: Option<String>,
    /// When and how often, in words.
    pub timing_text: Option<String>,
    /// Only when needed.
    pub as_needed: Option<bool>,
    /// By which route.
    pub route: Option<CodeableConcept>,
    /// How much at a time.
    pub dose: Option<Quantity>,
    /// What the patient is told.
    pub patient_instruction: Option<String>,
}

const INTENTS: &[&str] = &[
    "proposal",
    "plan",
    "order",
    "original-order",
    "reflex-order",
    "filler-order",
    "instance-order",
    "option",
];

adds!(MedicationRequest {
    intent,
    priority,
    reason,
    reason_reference,
    dosage_instruction,
    dispense_quantity,
});
adds!(Dosage { text, timing_text, as_needed, route, dose, patient_instruction });

impl Rules for MedicationRequest {
    const STATUSES: &'static [&'static str] =
        &["active", "on-hold", "cancelled", "completed", "stopped", "draft", "unknown"];
    // An order that has ended does not begin again: a new one is written.
    const FINAL: &'static [&'static str] = &["cancelled", "completed", "stopped"];
    const STATUS_REQUIRED: bool = true;
    const CODE_REQUIRED: bool = true;

    fn check(&self, _: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        check_request(report, self.intent.as_deref(), INTENTS, self.priority.as_deref());
        report.concepts(&detail.field("reason"), &self.reason);
        report.entry_ids(&detail.field("reason_reference"), &self.reason_reference);
        let dosage = detail.field("dosage_instruction");
        report.each(&dosage, &self.dosage_instruction, MAX_ITEMS, check_dosage);
        let dispense = self.dispense_quantity.as_ref();
        report.optional_quantity(&detail.field("dispense_quantity"), dispense);
    }

    fn summary(&self, entry: &Entry) -> String {
        let dosage = self.dosage_instruction.first();
        let dose = dosage.and_then(|dosage| dosage.dose.as_ref()).map(amount);
        let text = dosage.and_then(|dosage| dosage.text.as_deref()).or(dose.as_deref());
        let needed = dosage.and_then(|dosage| dosage.as_needed).unwrap_or(false);
        line(entry.code.words(), [text, needed.then_some("as needed"), entry.status.as_deref()])
    }
}

fn check_dosage(report: &mut Report, at: &Path<'_>, dosage: &Dosage) {
    for (name, text) in [
        ("text", &dosage.text),
        ("timing_text", &dosage.timing_text),
        ("patient_instruction", &dosage.patient_instruction),
    ] {
        let Some(text) = text else { continue };
        let at = at.field(name);
        report.lines(&at, text, MAX_LONG_TEXT);
        // A text over its limit is refused anyway and not worth reading through.
        if text.len() <= MAX_LONG_TEXT {
            for advice in check::banned_abbreviations(text) {
                report.remark(&at, code::BANNED_ABBREVIATION, advice);
            }
        }
    }
    report.optional_concept(&at.field("route"), dosage.route.as_ref());
    report.optional_quantity(&at.field("dose"), dosage.dose.as_ref());
}
