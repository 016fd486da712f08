//! An entry of a file, and how it stands.

use api::v1 as proto;
use domain::{Amendment, Change, Detail, Entry, EntryState, Kind};
use engine::ShownEntry;

use super::kind::{detail_field, detail_in, detail_out};
use super::values::{
    actor_in, actor_out, all, coding_in, coding_out, concept_in, concept_out, date_in, date_out,
    effective_in, effective_out, entry_id_in, finding_out, list, option, override_in, override_out,
    source_in, source_out, stamp_out, text, text_out,
};
use super::{At, Report};

/// An entry to be added: the kind's own fields must be there.
pub fn entry_in(from: proto::Entry, at: &At<'_>, report: &mut Report) -> Option<Entry> {
    if from.detail.is_none() {
        let fields: Vec<&str> = Kind::ALL.iter().map(|kind| detail_field(*kind)).collect();
        let text = format!("set the fields of one kind: {}", fields.join(", "));
        report.fault(at, "required", text);
    }
    partial_in(from, at, report)
}

/// New values of some fields of an entry: what the mask does not name need not be there.
///
/// `findings` and `summary` are output only and not looked at (AIP-203).
pub fn partial_in(from: proto::Entry, at: &At<'_>, report: &mut Report) -> Option<Entry> {
    let code = option(from.code, &at.field("code"), report, concept_in).unwrap_or_default();
    let effective = option(from.effective, &at.field("effective"), report, effective_in);
    let recorded_date = date_in(&from.recorded_date, &at.field("recorded_date"), report);
    let recorder = option(from.recorder, &at.field("recorder"), report, actor_in);
    let asserter = option(from.asserter, &at.field("asserter"), report, actor_in);
    let verifier = option(from.verifier, &at.field("verifier"), report, actor_in);
    let encounter =
        text(from.encounter).and_then(|id| entry_id_in(&id, &at.field("encounter"), report));
    let labels = list(from.labels, &at.field("labels"), report, coding_in);
    let source = option(from.source, &at.field("source"), report, source_in);
    let overrides = list(from.overrides, &at.field("overrides"), report, override_in);
    let detail = match from.detail {
        Some(detail) => detail_in(detail, at, report)?,
        None => Detail::default(),
    };
    Some(Entry {
        status: text(from.status),
        code,
        effective,
        recorded_date,
        recorder,
        asserter,
        verifier,
        encounter,
        unit: text(from.unit),
        labels,
        source,
        delivered: None,
        note: text(from.note),
        detail,
        findings: Vec::new(),
        overrides,
    })
}

/// Out of the domain.
#[must_use]
pub fn entry_out(from: &Entry) -> proto::Entry {
    proto::Entry {
        status: text_out(from.status.as_ref()),
        code: Some(concept_out(&from.code)),
        effective: from.effective.as_ref().map(effective_out),
        recorder: from.recorder.as_ref().map(actor_out),
        asserter: from.asserter.as_ref().map(actor_out),
        verifier: from.verifier.as_ref().map(actor_out),
        encounter: from.encounter.map(|id| id.to_string()).unwrap_or_default(),
        unit: text_out(from.unit.as_ref()),
        labels: all(&from.labels, coding_out),
        source: from.source.as_ref().map(source_out),
        note: text_out(from.note.as_ref()),
        recorded_date: date_out(from.recorded_date.as_ref()),
        findings: all(&from.findings, finding_out),
        overrides: all(&from.overrides, override_out),
        summary: from.summary(),
        detail: Some(detail_out(&from.detail)),
    }
}

/// An entry as its reader may see it.
#[must_use]
pub fn shown_out(from: &ShownEntry) -> proto::EntryState {
    match from {
        ShownEntry::Whole(state) => state_out(state),
        ShownEntry::Masked(id) => proto::EntryState {
            entry_id: id.to_string(),
            masked: true,
            ..proto::EntryState::default()
        },
    }
}

/// How an entry stands.
#[must_use]
pub fn state_out(from: &EntryState) -> proto::EntryState {
    proto::EntryState {
        entry_id: from.id.to_string(),
        entry: Some(entry_out(&from.entry)),
        revision: from.revision,
        filed: Some(stamp_out(&from.filed)),
        changed: Some(stamp_out(&from.changed)),
        retracted: from.retracted.is_some(),
        retraction_reason: text_out(from.retracted.as_ref()),
        last_change: from.last_change.as_ref().map(change_out),
        masked: false,
    }
}

fn change_out(from: &Change) -> proto::LastChange {
    proto::LastChange {
        changed: from.fields.clone(),
        how: amendment_out(from.how).into(),
        reason: from.reason.clone(),
    }
}

/// What a change means; must be said.
pub fn amendment_in(from: i32, at: &At<'_>, report: &mut Report) -> Option<Amendment> {
    match proto::Amendment::try_from(from) {
        Ok(proto::Amendment::Correction) => Some(Amendment::Correction),
        Ok(proto::Amendment::Amendment) => Some(Amendment::Amendment),
        Ok(proto::Amendment::Augmentation) => Some(Amendment::Augmentation),
        Ok(proto::Amendment::Unspecified) => {
            report.missing(at);
            None
        }
        Err(_) => {
            report.fault(at, "enum", "is not a value of Amendment");
            None
        }
    }
}

/// What a change means.
#[must_use]
pub fn amendment_out(from: Amendment) -> proto::Amendment {
    match from {
        Amendment::Correction => proto::Amendment::Correction,
        Amendment::Amendment => proto::Amendment::Amendment,
        Amendment::Augmentation => proto::Amendment::Augmentation,
    }
}

/// Kinds that a query asks for.
pub fn kinds_in(from: &[i32], at: &At<'_>, report: &mut Report) -> Vec<Kind> {
    from.iter()
        .enumerate()
        .filter_map(|(index, number)| kind_in(*number, &at.index(index), report))
        .collect()
}

fn kind_in(from: i32, at: &At<'_>, report: &mut Report) -> Option<Kind> {
    match proto::Kind::try_from(from) {
        Ok(proto::Kind::Condition) => Some(Kind::Condition),
        Ok(proto::Kind::AllergyIntolerance) => Some(Kind::AllergyIntolerance),
        Ok(proto::Kind::MedicationRequest) => Some(Kind::MedicationRequest),
        Ok(proto::Kind::Procedure) => Some(Kind::Procedure),
        Ok(proto::Kind::Observation) => Some(Kind::Observation),
        Ok(proto::Kind::Immunization) => Some(Kind::Immunization),
        Ok(proto::Kind::Encounter) => Some(Kind::Encounter),
        Ok(proto::Kind::Note) => Some(Kind::Note),
        Ok(proto::Kind::CareTeam) => Some(Kind::CareTeam),
        Ok(proto::Kind::Consent) => Some(Kind::Consent),
        Ok(proto::Kind::ServiceRequest) => Some(Kind::ServiceRequest),
        Ok(proto::Kind::Task) => Some(Kind::Task),
        Ok(proto::Kind::Unspecified) => {
            report.missing(at);
            None
        }
        Err(_) => {
            report.fault(at, "enum", "is not a value of Kind");
            None
        }
    }
}
