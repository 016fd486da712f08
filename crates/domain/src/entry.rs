//! One item of a patient file: what all kinds have in common.

use crate::finding::{Finding, code};
use crate::id::EntryId;
use crate::kind::{Detail, Kind};
use crate::limits::{MAX_CODE, MAX_ITEMS, MAX_LONG_TEXT, MAX_REASON, MAX_SHORT_TEXT};
use crate::mask::masked;
use crate::report::{Path, Report};
use crate::value::{Actor, CodeableConcept, Coding, Effective, FhirDateTime, SourceId};

/// Why a remark does not stop this author: "yes, I mean it, because …".
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Override {
    /// Which finding, one of [`crate::finding_code`].
    pub finding_code: String,
    /// Why, in the author's words.
    pub reason: String,
}

/// One entry of a patient file. Field names are also the paths of the field mask; `detail` stands
/// for all fields of the kind, `findings` and `delivered` cannot be named.
///
/// The default is a blank [`crate::Note`], to be filled.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Entry {
    /// The kind's own FHIR status: `clinicalStatus` of a condition, `status` of most others.
    pub status: Option<String>,
    /// What: the condition, substance, medication, procedure, observable, vaccine, type of
    /// encounter or type of note.
    pub code: CodeableConcept,
    /// When it was true: onset, performed, effective, occurrence, authored, period.
    pub effective: Option<Effective>,
    /// When the source system says that it was recorded (FHIR `recordedDate`, `recorded`). The
    /// ledger's own time of filing is another matter and cannot be given.
    pub recorded_date: Option<FhirDateTime>,
    /// Who wrote it down.
    pub recorder: Option<Actor>,
    /// Who says so; the requester of an order.
    pub asserter: Option<Actor>,
    /// Who else has checked it.
    pub verifier: Option<Actor>,
    /// During which encounter of this file.
    pub encounter: Option<EntryId>,
    /// In which unit of the hospital.
    pub unit: Option<String>,
    /// Sensitivity and confidentiality labels (FHIR `meta.security`).
    pub labels: Vec<Coding>,
    /// Where it was imported from. Imports find the entry by it, so only a delivery changes it.
    pub source: Option<SourceId>,
    /// Digest of what the source delivered last, SHA-256. Set by who files a delivery, never by a
    /// mask: while the source delivers the same, nothing changes, whatever was changed by hand.
    pub delivered: Option<[u8; 32]>,
    /// A remark of the author, in plain language.
    pub note: Option<String>,
    /// The kind, with the fields that only it has.
    pub detail: Detail,
    /// What the checks said when it was filed. Filled by `decide`; what a caller puts here is
    /// replaced.
    pub findings: Vec<Finding>,
    /// Findings that the author has seen and stands by.
    pub overrides: Vec<Override>,
}

masked! {
    Entry {
        status, code, effective, recorded_date, recorder, asserter, verifier, encounter, unit,
        labels, source, note, detail, overrides,
    } fixed { findings, delivered }
}

impl Entry {
    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.detail.kind()
    }

    /// What the checks say: violations refuse it, remarks are filed with it.
    #[must_use]
    pub fn validate(&self) -> Vec<Finding> {
        let mut report = Report::default();
        self.check_words(&mut report);
        self.check_people(&mut report);
        self.detail.check(self, &mut report);
        report.finish("entry")
    }

    /// The entry in one line, for a person. Holds patient data.
    #[must_use]
    pub fn summary(&self) -> String {
        self.detail.summary(self)
    }

    fn check_words(&self, report: &mut Report) {
        if !self.code.is_empty() {
            let at = Path::Root("code");
            report.concept(&at, &self.code);
            let spoken = self.code.text.is_some()
                || self.code.coding.iter().any(|coding| coding.display.is_some());
            if !spoken {
                let text = "a code alone: add its text, so that everyone can read it";
                report.remark(&at, code::NO_PLAIN_TEXT, text);
            }
        }
        report.effective(&Path::Root("effective"), self.effective.as_ref());
        report.date_time(self.recorded_date.as_ref());
        report.optional_line(&Path::Root("unit"), self.unit.as_deref(), MAX_SHORT_TEXT);
        report.each(&Path::Root("labels"), &self.labels, MAX_ITEMS, Report::coding);
        report.source(&Path::Root("source"), self.source.as_ref());
        report.optional_lines(&Path::Root("note"), self.note.as_deref(), MAX_LONG_TEXT);
        report.each(&Path::Root("overrides"), &self.overrides, MAX_ITEMS, |report, at, item| {
            report.line(&at.field("finding_code"), &item.finding_code, MAX_CODE);
            report.lines(&at.field("reason"), &item.reason, MAX_REASON);
        });
    }

    fn check_people(&self, report: &mut Report) {
        report.optional_actor(&Path::Root("recorder"), self.recorder.as_ref());
        report.optional_actor(&Path::Root("asserter"), self.asserter.as_ref());
        let verifier = Path::Root("verifier");
        report.optional_actor(&verifier, self.verifier.as_ref());
        if let (Some(by), Some(recorder)) = (&self.verifier, &self.recorder)
            && by.reference == recorder.reference
        {
            let text = "somebody other than the recorder should verify it";
            report.remark(&verifier, code::VERIFIER_IS_RECORDER, text);
        }
        if self.encounter == Some(EntryId::ZERO) {
            let text = "name an encounter of this file, or leave it out";
            report.required(&Path::Root("encounter"), text);
        }
    }
}
