//! The rules of a patient file: what may be filed, how it may change, what is said about it.
//!
//! A change is a [`Command`]; [`decide`] judges it against the [`PatientFile`] as it stands and
//! answers with [`Event`]s or a [`Rejection`]; [`evolve`] folds events into the file again. All of
//! it is plain functions over plain values: time, ids and actors come in as arguments.
//!
//! Structural faults (a status that the kind does not have, an impossible date, a text over its
//! limit) are violations and refuse the command. Faults of coding (a check digit, a LOINC code
//! filed under SNOMED CT, a unit that is not UCUM) are remarks: the entry is filed as its author
//! wrote it, and the remark with it, because losing an observation is worse than a wrong unit.
//!
//! This crate is deliberately not a storage format (that is `schema`), not a wire format (`api`),
//! and knows no clock, no I/O and no dependency. `schema`, `store`, `engine` and the conversions
//! in `server` build on it.
//!
//! Adding a kind of entry: one file in `kind/` and one line in the registry in `kind.rs`; a kind of
//! document that is about no patient: the same in `document/` and `document.rs`.

mod augmentation;
mod authors;
pub mod check;
mod command;
mod decide;
pub mod document;
mod entry;
mod event;
mod file;
mod finding;
mod id;
mod identity;
pub mod kind;
pub mod limits;
mod mask;
mod rejection;
mod report;
mod value;

pub use authors::{Authors, Last};
pub use command::{Amendment, Command};
pub use decide::decide;
pub use document::{
    AccessPolicy, Authored, BreakGlassReview, Document, DocumentKind, DocumentState, Duty,
    NOTICE_WITHIN, Notice, PractitionerRole, PrivacyIncident, RiskAssessment, RiskFactor,
    decide_document, evolve_document,
};
pub use entry::{Entry, Override};
pub use event::{Event, Stamp};
pub use file::{Change, EntryState, PatientFile, evolve, evolve_entry};
pub use finding::{Finding, Severity, code as finding_code};
pub use id::{DocumentId, EntryId, PatientId};
pub use identity::{Deceased, Identity};
pub use kind::{
    AllergyIntolerance, CareTeam, CareTeamParticipant, Component, Condition, Consent, Detail,
    Dosage, Encounter, Immunization, Kind, MedicationRequest, Note, Observation, ObservationValue,
    Procedure, Provision, Reaction, ReferenceRange, ServiceRequest, Task,
};
pub use rejection::Rejection;
pub use value::{
    Actor, Address, CodeableConcept, Coding, ContactPoint, Decimal, Effective, FhirDateTime,
    HumanName, Identifier, InvalidDateTime, InvalidDecimal, Period, Quantity, SourceId,
};
