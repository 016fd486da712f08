//! A vaccination, given or not (FHIR R4 `Immunization`).

use super::{Rules, line, when};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::finding::code;
use crate::limits::MAX_SHORT_TEXT;
use crate::report::{Path, Report};
use crate::value::{Actor, CodeableConcept, FhirDateTime, Quantity};

/// The fields that only an immunization has. `Entry.code` is the vaccine, `Entry.effective` the
/// occurrence.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Immunization {
    /// Lot of the vaccine.
    pub lot_number: Option<String>,
    /// Until when the vaccine could be used.
    pub expiration_date: Option<FhirDateTime>,
    /// Where in the body.
    pub site: Option<CodeableConcept>,
    /// By which route.
    pub route: Option<CodeableConcept>,
    /// How much.
    pub dose_quantity: Option<Quantity>,
    /// Who gave it.
    pub performer: Vec<Actor>,
    /// Recorded by who gave it (true), or reported by somebody else (false).
    pub primary_source: Option<bool>,
    /// Why it was not given.
    pub status_reason: Option<CodeableConcept>,
    /// Which dose of the series (FHIR `protocolApplied.doseNumber[x]`).
    pub protocol_dose: Option<String>,
}

adds!(Immunization {
    lot_number,
    expiration_date,
    site,
    route,
    dose_quantity,
    performer,
    primary_source,
    status_reason,
    protocol_dose,
});

impl Rules for Immunization {
    const STATUSES: &'static [&'static str] = &["completed", "not-done"];
    const FINAL: &'static [&'static str] = &["completed", "not-done"];
    const STATUS_REQUIRED: bool = true;
    const CODE_REQUIRED: bool = true;

    fn check(&self, entry: &Entry, report: &mut Report) {
        // FHIR R4: occurrence[x] is 1..1.
        if entry.effective.is_none() {
            report.required(&Path::Root("effective"), "say when it was given or refused");
        }
        let detail = Path::Root("detail");
        let lot = self.lot_number.as_deref();
        report.optional_line(&detail.field("lot_number"), lot, MAX_SHORT_TEXT);
        report.date_time(self.expiration_date.as_ref());
        if self.expiration_date.as_ref().is_some_and(|date| !date.is_date()) {
            let text = "an expiration date has no time of day";
            report.violation(&detail.field("expiration_date"), code::DATE_EXPECTED, text);
        }
        report.optional_concept(&detail.field("site"), self.site.as_ref());
        report.optional_concept(&detail.field("route"), self.route.as_ref());
        report.optional_quantity(&detail.field("dose_quantity"), self.dose_quantity.as_ref());
        report.actors(&detail.field("performer"), &self.performer);
        report.optional_concept(&detail.field("status_reason"), self.status_reason.as_ref());
        let dose = self.protocol_dose.as_deref();
        report.optional_line(&detail.field("protocol_dose"), dose, MAX_SHORT_TEXT);
    }

    fn summary(&self, entry: &Entry) -> String {
        let given = when(entry.effective.as_ref());
        let dose = self.protocol_dose.as_ref().map(|dose| format!("dose {dose}"));
        let reason = self.status_reason.as_ref().map(CodeableConcept::words);
        // Completed goes without saying.
        let status = entry.status.as_deref().filter(|status| *status != "completed");
        line(entry.code.words(), [dose.as_deref(), status, reason, given.as_deref()])
    }
}
