//! One item of a patient file: what all kinds have in common.

use crate::finding::Finding;
use crate::id::EntryId;
use crate::kind::Detail;
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
/// for all fields of the kind, `findings` cannot be named.
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
    /// Where it was imported from.
    pub source: Option<SourceId>,
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

impl Entry {
    /// Every field that a mask may name.
    pub const FIELDS: &'static [&'static str] = &[
        "status",
        "code",
        "effective",
        "recorded_date",
        "recorder",
        "asserter",
        "verifier",
        "encounter",
        "unit",
        "labels",
        "source",
        "note",
        "detail",
        "overrides",
    ];

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> crate::kind::Kind {
        self.detail.kind()
    }

    /// What the checks say: violations refuse it, remarks are filed with it.
    #[must_use]
    pub fn validate(&self) -> Vec<Finding> {
        Vec::new()
    }

    /// The entry in one line, for a person. Holds patient data.
    #[must_use]
    pub fn summary(&self) -> String {
        self.detail.summary(self)
    }
}
