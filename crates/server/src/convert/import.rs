//! Items of an import and their results.

use api::v1 as proto;
use api::v1::import_item::Content;
use api::v1::patient_selector::Patient;
use domain::{Detail, Entry, EntryId, Identity, Kind, PatientId, SourceId};
use engine::{ImportOutcome, Violation};

use super::command::{entry_at, identity_at};
use super::entry::entry_in;
use super::identity::identity_in;
use super::values::{finding_out, list, option, patient_in, required, source_key_in};
use super::{At, Report};

/// Entries of the same patient that one item may name as its reasons, or as what it is based on: FHIR bundles name one
/// or two.
const MAX_NAMED: usize = 64;

/// Whose file an item belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// This patient's.
    Id(PatientId),
    /// The patient's to whom this number was issued.
    Number {
        /// URI of the number range.
        issuer: String,
        /// The number.
        value: String,
    },
}

/// An item that can be filed.
#[derive(Debug)]
pub enum Item {
    /// Who the patient is.
    Identity(Box<Identity>),
    /// An entry, and the keys of other entries that it names.
    Entry {
        /// The entry, its source set.
        entry: Box<Entry>,
        /// What it names by their keys.
        named: Named<SourceId>,
    },
}

/// Other entries of the file that an item names, by their keys in the sending system or by their ids.
#[derive(Debug)]
pub struct Named<K> {
    /// The encounter it belongs to.
    encounter: Option<K>,
    /// The entries that are its reason.
    reasons: Vec<K>,
    /// What a task is about.
    focus: Option<K>,
    /// What a task is to carry out.
    based_on: Vec<K>,
}

impl Named<SourceId> {
    /// The same by their ids.
    ///
    /// # Errors
    /// The first that `id_of` tells.
    pub fn by_id<E>(
        self,
        id_of: impl Fn(SourceId) -> Result<EntryId, E>,
    ) -> Result<Named<EntryId>, E> {
        let all = |keys: Vec<SourceId>| keys.into_iter().map(&id_of).collect::<Result<_, E>>();
        Ok(Named {
            encounter: self.encounter.map(&id_of).transpose()?,
            reasons: all(self.reasons)?,
            focus: self.focus.map(&id_of).transpose()?,
            based_on: all(self.based_on)?,
        })
    }

    /// Notes what an entry of this kind does not name.
    fn check(&self, entry: &mut Entry, report: &mut Report) {
        let of_a_task = matches!(entry.detail, Detail::Task(_));
        let has_reasons = reason_reference(&mut entry.detail).is_some();
        for (name, given, fits) in [
            ("reason_references", !self.reasons.is_empty(), has_reasons),
            ("focus", self.focus.is_some(), of_a_task),
            ("based_on", !self.based_on.is_empty(), of_a_task),
        ] {
            if given && !fits {
                let text = "the kind has no such field";
                report.fault(&At::TOP.field(name), "not-of-this-kind", text);
            }
        }
    }
}

/// An item's selector, read before anything else of it: items of one patient go together.
pub fn selector_in(
    from: Option<&proto::PatientSelector>,
    at: &At<'_>,
    report: &mut Report,
) -> Option<Selector> {
    match from.and_then(|selector| selector.patient.as_ref()) {
        Some(Patient::PatientId(id)) => {
            patient_in(id, &at.field("patient_id"), report).map(Selector::Id)
        }
        Some(Patient::Number(number)) => {
            let at = at.field("number");
            for (part, name) in [(&number.issuer, "issuer"), (&number.value, "value")] {
                if part.is_empty() {
                    report.missing(&at.field(name));
                }
            }
            let (issuer, value) = (number.issuer.clone(), number.value.clone());
            Some(Selector::Number { issuer, value })
        }
        None => {
            report.fault(at, "required", "one of patient_id, number must be set");
            None
        }
    }
}

/// An item, or what is wrong with it.
///
/// # Errors
/// Its violations.
pub fn item_in(from: proto::ImportItem) -> Result<(Selector, Item), Vec<Violation>> {
    let at = At::TOP;
    let mut report = Report::default();
    let source = required(from.source, &at.field("source"), &mut report, source_key_in);
    let selector = selector_in(from.patient.as_ref(), &at.field("patient"), &mut report);
    let named = Named {
        encounter: option(from.encounter, &at.field("encounter"), &mut report, source_key_in),
        reasons: keys_in(from.reason_references, &at.field("reason_references"), &mut report),
        focus: option(from.focus, &at.field("focus"), &mut report, source_key_in),
        based_on: keys_in(from.based_on, &at.field("based_on"), &mut report),
    };
    let item = match from.content {
        Some(Content::Identity(identity)) => {
            let at = at.field("identity");
            identity_in(*identity, &at, &mut report).map(|mut identity| {
                identity.source = source.clone();
                if let Some(Selector::Id(_)) = &selector {
                    let patient = At::TOP.field("patient");
                    let at = patient.field("patient_id");
                    report.fault(&at, "selector", "an identity is looked up by patient.number");
                }
                if let Some(Selector::Number { issuer, value }) = &selector {
                    let has = |number: &domain::Identifier| {
                        number.system == *issuer && number.value == *value
                    };
                    if !identity.identifiers.iter().any(has) {
                        let at = at.field("identifiers");
                        report.fault(&at, "selector", "must hold the item's patient.number");
                    }
                }
                Item::Identity(Box::new(identity))
            })
        }
        Some(Content::Entry(entry)) => {
            let at = at.field("entry");
            entry_in(*entry, &at, &mut report).map(|mut entry| {
                entry.source = source.clone();
                named.check(&mut entry, &mut report);
                Item::Entry { entry: Box::new(entry), named }
            })
        }
        None => {
            report.fault(&at, "required", "one of identity, entry must be set");
            None
        }
    };
    let violations = report.into_violations();
    match selector.zip(item) {
        Some(item) if violations.is_empty() => Ok(item),
        _ => Err(violations),
    }
}

fn keys_in(from: Vec<proto::SourceId>, at: &At<'_>, report: &mut Report) -> Vec<SourceId> {
    if from.len() > MAX_NAMED {
        report.fault(at, "too-many", format!("has more than {MAX_NAMED} keys"));
    }
    list(from, at, report, source_key_in)
}

/// Names in an entry the others that its item names.
pub fn set_named(entry: &mut Entry, named: Named<EntryId>) {
    entry.encounter = named.encounter.or(entry.encounter);
    if let Some(reasons) = reason_reference(&mut entry.detail) {
        reasons.extend(named.reasons);
    }
    if let Detail::Task(task) = &mut entry.detail {
        task.focus = named.focus.or(task.focus);
        task.based_on.extend(named.based_on);
    }
}

/// The entries that are an entry's reason; none when its kind has no such field.
fn reason_reference(detail: &mut Detail) -> Option<&mut Vec<EntryId>> {
    match detail {
        Detail::CareTeam(fields) => Some(&mut fields.reason_reference),
        Detail::Encounter(fields) => Some(&mut fields.reason_reference),
        Detail::MedicationRequest(fields) => Some(&mut fields.reason_reference),
        Detail::Procedure(fields) => Some(&mut fields.reason_reference),
        Detail::ServiceRequest(fields) => Some(&mut fields.reason_reference),
        Detail::Task(fields) => Some(&mut fields.reason_reference),
        Detail::Condition(_)
        | Detail::AllergyIntolerance(_)
        | Detail::Observation(_)
        | Detail::Immunization(_)
        | Detail::Note(_)
        | Detail::Consent(_) => None,
    }
}

/// Where an item's own paths begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Root {
    /// In its identity.
    Identity,
    /// In its entry, of this kind.
    Entry(Kind),
}

impl Root {
    fn path(self, field: &str) -> String {
        match self {
            Self::Identity => identity_at("identity", field),
            Self::Entry(kind) => entry_at("entry", kind, field),
        }
    }
}

/// What became of an item; also the position it is on file at, 0 if that did not change.
#[must_use]
pub fn outcome_out(from: &ImportOutcome, root: Root) -> (proto::ImportResult, u64) {
    let remarked = |remarks: &[domain::Finding]| {
        let remarks = remarks.iter().map(|remark| {
            let mut finding = finding_out(remark);
            finding.field = root.path(&finding.field);
            finding
        });
        remarks.collect()
    };
    let id = |entry: &Option<EntryId>| entry.map(|id| id.to_string()).unwrap_or_default();
    let result = proto::ImportResult::default();
    match from {
        ImportOutcome::Filed { entry, position, remarks, withheld }
        | ImportOutcome::Amended { entry, position, remarks, withheld } => {
            let status = if matches!(from, ImportOutcome::Amended { .. }) {
                proto::ImportStatus::Amended
            } else {
                proto::ImportStatus::Filed
            };
            let result = proto::ImportResult {
                status: status.into(),
                remarks: remarked(remarks),
                remarks_withheld: *withheld,
                entry_id: id(entry),
                ..result
            };
            (result, *position)
        }
        ImportOutcome::Unchanged { entry } => {
            let status = proto::ImportStatus::Unchanged.into();
            (proto::ImportResult { status, entry_id: id(entry), ..result }, 0)
        }
        ImportOutcome::Invalid { violations } => {
            let placed = violations.iter().map(|violation| Violation {
                field: root.path(&violation.field),
                ..violation.clone()
            });
            (invalid_out(placed.collect()), 0)
        }
        ImportOutcome::Refused { reason, message } => (refused_out(reason, message), 0),
        ImportOutcome::Masked => {
            let message = "the access policies do not show the entry that this item became to these \
                           roles for this purpose, and who may not see it may not change it";
            (refused_out("ENTRY_MASKED", message), 0)
        }
        ImportOutcome::Untold => {
            let message = "the audit trail cannot be written, so nothing is shown of this item; \
                           import it again later";
            let refused = refused_out("NOT_ANSWERED", message);
            (proto::ImportResult { retryable: true, ..refused }, 0)
        }
    }
}

/// The result of an item that is refused for this.
#[must_use]
pub fn refused_out(reason: &str, message: &str) -> proto::ImportResult {
    proto::ImportResult {
        status: proto::ImportStatus::Refused.into(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        ..proto::ImportResult::default()
    }
}

/// The result of an item with these faults.
#[must_use]
pub fn invalid_out(violations: Vec<Violation>) -> proto::ImportResult {
    let violations = violations.into_iter().map(|violation| proto::Finding {
        code: violation.code,
        severity: proto::FindingSeverity::Violation.into(),
        field: violation.field,
        text: violation.description,
    });
    let message = "correct the fields that are named and import the item again";
    let refused = refused_out("INVALID_ARGUMENT", message);
    proto::ImportResult { violations: violations.collect(), ..refused }
}
