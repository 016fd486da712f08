//! The registry of kinds: one file and one line in each table a kind.

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

use api::v1::entry::Detail as Proto;
use domain::{Detail, Kind};

use super::{At, Report};

/// The field of an entry that holds the kind's own fields.
#[must_use]
pub fn detail_field(kind: Kind) -> &'static str {
    match kind {
        Kind::Encounter => "encounter_detail",
        Kind::Note => "note_detail",
        Kind::Condition
        | Kind::AllergyIntolerance
        | Kind::MedicationRequest
        | Kind::Procedure
        | Kind::Observation
        | Kind::Immunization
        | Kind::CareTeam
        | Kind::Consent
        | Kind::ServiceRequest
        | Kind::Task => kind.name(),
    }
}

/// The kind's own fields, into the domain. `at` is the entry's place.
pub fn detail_in(from: Proto, at: &At<'_>, report: &mut Report) -> Option<Detail> {
    macro_rules! kind {
        ($from:expr, $module:ident, $field:literal, $kind:ident) => {
            $module::fields_in($from, &at.field($field), report).map(Detail::$kind)
        };
    }
    match from {
        Proto::Condition(from) => kind!(from, condition, "condition", Condition),
        Proto::AllergyIntolerance(from) => {
            kind!(from, allergy_intolerance, "allergy_intolerance", AllergyIntolerance)
        }
        Proto::MedicationRequest(from) => {
            kind!(from, medication_request, "medication_request", MedicationRequest)
        }
        Proto::Procedure(from) => kind!(from, procedure, "procedure", Procedure),
        Proto::Observation(from) => kind!(from, observation, "observation", Observation),
        Proto::Immunization(from) => kind!(from, immunization, "immunization", Immunization),
        Proto::EncounterDetail(from) => kind!(from, encounter, "encounter_detail", Encounter),
        Proto::NoteDetail(from) => kind!(from, note, "note_detail", Note),
        Proto::CareTeam(from) => kind!(from, care_team, "care_team", CareTeam),
        Proto::Consent(from) => kind!(from, consent, "consent", Consent),
        Proto::ServiceRequest(from) => {
            kind!(from, service_request, "service_request", ServiceRequest)
        }
        Proto::Task(from) => kind!(from, task, "task", Task),
    }
}

/// The kind's own fields, out of the domain.
#[must_use]
pub fn detail_out(from: &Detail) -> Proto {
    match from {
        Detail::Condition(from) => Proto::Condition(condition::fields_out(from)),
        Detail::AllergyIntolerance(from) => {
            Proto::AllergyIntolerance(allergy_intolerance::fields_out(from))
        }
        Detail::MedicationRequest(from) => {
            Proto::MedicationRequest(medication_request::fields_out(from))
        }
        Detail::Procedure(from) => Proto::Procedure(procedure::fields_out(from)),
        Detail::Observation(from) => Proto::Observation(observation::fields_out(from)),
        Detail::Immunization(from) => Proto::Immunization(immunization::fields_out(from)),
        Detail::Encounter(from) => Proto::EncounterDetail(encounter::fields_out(from)),
        Detail::Note(from) => Proto::NoteDetail(note::fields_out(from)),
        Detail::CareTeam(from) => Proto::CareTeam(care_team::fields_out(from)),
        Detail::Consent(from) => Proto::Consent(consent::fields_out(from)),
        Detail::ServiceRequest(from) => Proto::ServiceRequest(service_request::fields_out(from)),
        Detail::Task(from) => Proto::Task(task::fields_out(from)),
    }
}
