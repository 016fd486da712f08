//! The kinds of entry and their registry: one file and one line a kind.

mod allergy_intolerance;
mod care_team;
mod condition;
mod consent;
mod encounter;
mod immunization;
mod medication_request;
mod note;
mod observation;
mod procedure;
mod service_request;
mod task;

pub use allergy_intolerance::{AllergyIntolerance, Reaction};
pub use care_team::{CareTeam, CareTeamParticipant};
pub use condition::Condition;
pub use consent::{Consent, Provision};
pub use encounter::Encounter;
pub use immunization::Immunization;
pub use medication_request::{Dosage, MedicationRequest};
pub use note::Note;
pub use observation::{Component, Observation, ObservationValue, ReferenceRange};
pub use procedure::Procedure;
pub use service_request::ServiceRequest;
pub use task::Task;

use crate::augmentation::Adds;
use crate::entry::Entry;
use crate::limits::MAX_SUMMARY_CHARS;
use crate::report::{Path, Report};
use crate::value::{Effective, Period, Quantity};

/// What a kind of entry brings: its statuses, their order, its checks, its summary line; and, by
/// [`adds!`](crate::augmentation), the list of its fields.
pub(crate) trait Rules: Adds {
    /// The statuses that the kind may have.
    const STATUSES: &'static [&'static str];
    /// The statuses that nothing but a correction leaves.
    const FINAL: &'static [&'static str];
    /// Whether a status must be given.
    const STATUS_REQUIRED: bool;
    /// Whether `code` must say something.
    const CODE_REQUIRED: bool;

    /// Checks the kind's own fields, and the common ones against them.
    fn check(&self, entry: &Entry, report: &mut Report);

    /// The entry in one line, for a person.
    fn summary(&self, entry: &Entry) -> String;
}

/// Generates [`Kind`] and [`Detail`] from one line a kind, in the order of the file's sections.
macro_rules! registry {
    ($($(#[$doc:meta])* $tag:literal $kind:ident, $name:literal, $resource:literal;)+) => {
        /// A kind of entry. The order is the order of a file's sections.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            /// Every kind, in the order of a file's sections.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// Stable name, snake_case: `allergy_intolerance`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// Number for stored forms and keys, from 1, given once and for ever.
            #[must_use]
            pub fn tag(self) -> u8 {
                match self { $(Self::$kind => $tag,)+ }
            }

            /// The kind with that [`Kind::tag`].
            #[must_use]
            pub fn from_tag(tag: u8) -> Option<Self> {
                match tag { $($tag => Some(Self::$kind),)+ _ => None }
            }

            /// The FHIR R4 resource that it corresponds to.
            #[must_use]
            pub fn resource(self) -> &'static str {
                match self { $(Self::$kind => $resource,)+ }
            }
        }

        /// The fields that only one kind has.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Detail {
            $($(#[$doc])* $kind($kind),)+
        }

        impl Detail {
            /// Which kind it is.
            #[must_use]
            pub fn kind(&self) -> Kind {
                match self { $(Self::$kind(_) => Kind::$kind,)+ }
            }

            /// The entry in one line, for a person.
            pub(crate) fn summary(&self, entry: &Entry) -> String {
                match self { $(Self::$kind(fields) => fields.summary(entry),)+ }
            }

            pub(crate) fn check(&self, entry: &Entry, report: &mut Report) {
                match self { $(Self::$kind(fields) => {
                    check_common::<$kind>(entry, report);
                    fields.check(entry, report);
                })+ }
            }

            /// Statuses that nothing but a correction leaves.
            pub(crate) fn final_statuses(&self) -> &'static [&'static str] {
                match self { $(Self::$kind(_) => <$kind as Rules>::FINAL,)+ }
            }
        }

        impl Adds for Detail {
            fn adds_to(&self, before: &Self) -> bool {
                match (self, before) {
                    $((Self::$kind(now), Self::$kind(before)) => now.adds_to(before),)+
                    _ => false,
                }
            }
        }
    };
}

registry! {
    /// A problem, diagnosis or finding (FHIR R4 `Condition`).
    1 Condition, "condition", "Condition";
    /// An allergy, intolerance, or the statement that none is known (FHIR R4 `AllergyIntolerance`).
    2 AllergyIntolerance, "allergy_intolerance", "AllergyIntolerance";
    /// An order or prescription of a medication (FHIR R4 `MedicationRequest`).
    3 MedicationRequest, "medication_request", "MedicationRequest";
    /// Something done to or for the patient (FHIR R4 `Procedure`).
    4 Procedure, "procedure", "Procedure";
    /// A measurement or simple statement (FHIR R4 `Observation`).
    5 Observation, "observation", "Observation";
    /// A vaccination, given or not (FHIR R4 `Immunization`).
    6 Immunization, "immunization", "Immunization";
    /// A visit or stay (FHIR R4 `Encounter`).
    7 Encounter, "encounter", "Encounter";
    /// A text (FHIR R4 `DocumentReference`).
    8 Note, "note", "DocumentReference";
    /// Who cares for the patient together (FHIR R4 `CareTeam`).
    9 CareTeam, "care_team", "CareTeam";
    /// What the patient agreed to or restricted (FHIR R4 `Consent`).
    10 Consent, "consent", "Consent";
    /// An order, a referral or a consult (FHIR R4 `ServiceRequest`).
    11 ServiceRequest, "service_request", "ServiceRequest";
    /// Something to be done about the patient (FHIR R4 `Task`).
    12 Task, "task", "Task";
}

impl Kind {
    /// The kind with that [`Kind::name`].
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Default for Detail {
    /// A blank note: something to begin with, refused if filed as it is.
    fn default() -> Self {
        Self::Note(Note::default())
    }
}

/// Status and code, as far as the kinds differ only in what they allow.
fn check_common<K: Rules>(entry: &Entry, report: &mut Report) {
    let status = Path::Root("status");
    if K::STATUS_REQUIRED && entry.status.is_none() {
        report.required(&status, "give the status");
    }
    report.one_of(&status, entry.status.as_deref(), K::STATUSES);
    if K::CODE_REQUIRED && entry.code.is_empty() {
        report.required(&Path::Root("code"), "say what it is: give a code or a text");
    }
}

/// How firmly something is asked for and how urgently (FHIR R4 `intent`, of which each kind of request
/// has its own codes, and `request-priority`).
fn check_request(
    report: &mut Report,
    intent: Option<&str>,
    intents: &[&str],
    priority: Option<&str>,
) {
    let detail = Path::Root("detail");
    let at = detail.field("intent");
    if intent.is_none() {
        report.required(&at, "say whether it is a proposal, a plan or an order");
    }
    report.one_of(&at, intent, intents);
    report.one_of(&detail.field("priority"), priority, &["routine", "urgent", "asap", "stat"]);
}

/// When it was, in words: a date, "from … to …".
fn when(effective: Option<&Effective>) -> Option<String> {
    match effective? {
        Effective::At(at) => Some(at.to_string()),
        Effective::During(Period { start: Some(start), end: Some(end) }) => {
            Some(format!("{start} to {end}"))
        }
        Effective::During(Period { start: Some(start), end: None }) => {
            Some(format!("from {start}"))
        }
        Effective::During(Period { start: None, end: Some(end) }) => Some(format!("until {end}")),
        Effective::During(Period { start: None, end: None }) => None,
    }
}

/// An amount in words: `< 5.0 mg/dL`.
fn amount(quantity: &Quantity) -> String {
    let unit = quantity.unit.as_deref().or(quantity.code.as_deref());
    [quantity.comparator.as_deref(), Some(quantity.value.as_str()), unit]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

/// A first part and details after commas, in one line that fits a list.
fn line<'a>(first: &str, details: impl IntoIterator<Item = Option<&'a str>>) -> String {
    let mut line = first.to_owned();
    for detail in details.into_iter().flatten().filter(|detail| !detail.is_empty()) {
        if !line.is_empty() {
            line.push_str(", ");
        }
        line.push_str(detail);
    }
    let shorter = line.char_indices().nth(MAX_SUMMARY_CHARS - 1).map(|(at, _)| at);
    if let Some(at) = shorter.filter(|_| line.chars().count() > MAX_SUMMARY_CHARS) {
        line.truncate(at);
        line.push('…');
    }
    if line.contains(char::is_control) { line.replace(char::is_control, " ") } else { line }
}
