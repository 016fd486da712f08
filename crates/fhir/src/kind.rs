//! Resources that become entries: one file a kind, one line in [`mapping`].

mod allergy_intolerance;
mod care_team;
mod condition;
mod consent;
mod document_reference;
mod encounter;
mod immunization;
mod medication_request;
mod observation;
mod procedure;
mod service_request;
mod task;

use api::v1;
use serde_json::value::RawValue;

use crate::directory::{Directory, Target, Whose};
use crate::fields::Fields;
use crate::json::{Annotation, Meta, Reference};
use crate::read::Phase;
use crate::refusal::Refusal;

/// An entry and what it refers to.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) patient: Whose,
    pub(crate) encounter: Option<String>,
    pub(crate) reasons: Vec<String>,
    pub(crate) focus: Option<String>,
    pub(crate) based_on: Vec<String>,
    pub(crate) entry: v1::Entry,
}

/// What a mapping needs besides the elements, and what it finds besides the entry.
#[derive(Debug)]
struct Links<'a> {
    directory: &'a Directory,
    encounter: Option<String>,
    reasons: Vec<String>,
    focus: Option<String>,
    based_on: Vec<String>,
}

/// All that is sent of a resource that its source takes back, of whichever kind: that it was entered in
/// error. What else it has, if anything, says nothing any more; the rest is what some kinds must have to
/// be judged at all, and is never filed.
const IN_ERROR: &str = r#"{
    "status": "entered-in-error", "clinicalStatus": {"coding": [{"code": "entered-in-error"}]},
    "class": {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown",
        "display": "Unknown"},
    "scope": {"text": "unknown"}, "medicationCodeableConcept": {"text": "unknown"},
    "content": [{"attachment": {"contentType": "text/plain", "data": "LQ=="}}]}"#;

type Mapping = fn(&mut Fields<'_>, &mut Links<'_>) -> Result<v1::Entry, Refusal>;

/// The element that names the patient, and the mapping of the rest.
fn mapping(resource_type: &str) -> Option<(&'static str, Mapping)> {
    Some(match resource_type {
        "AllergyIntolerance" => ("patient", allergy_intolerance::entry),
        "CareTeam" => ("subject", care_team::entry),
        "Condition" => ("subject", condition::entry),
        "Consent" => ("patient", consent::entry),
        "DocumentReference" => ("subject", document_reference::entry),
        "Encounter" => ("subject", encounter::entry),
        "Immunization" => ("patient", immunization::entry),
        "MedicationRequest" => ("subject", medication_request::entry),
        "Observation" => ("subject", observation::entry),
        "Procedure" => ("subject", procedure::entry),
        "ServiceRequest" => ("subject", service_request::entry),
        "Task" => ("for", task::entry),
        _ => return None,
    })
}

/// Whether resources of this type become entries.
pub(crate) fn is_mapped(resource_type: &str) -> bool {
    mapping(resource_type).is_some()
}

/// Maps a resource: what its kind has of its own, then what all entries have.
pub(crate) fn draft(
    resource_type: &str,
    fields: &mut Fields<'_>,
    directory: &Directory,
) -> Result<Draft, Refusal> {
    let Some((subject, map)) = mapping(resource_type) else {
        return Err(Refusal::new("KIND_NOT_SUPPORTED", "resourceType", "kind not supported"));
    };
    let patient = fields.take::<Reference>(subject)?;
    let in_error = fields.is_in_error();
    let patient = directory.patient(subject, patient).map_err(|refusal| match in_error {
        true => Refusal::taken_back(subject),
        false => refusal,
    })?;
    let (reasons, based_on) = (Vec::new(), Vec::new());
    let mut links = Links { directory, encounter: None, reasons, focus: None, based_on };
    if in_error {
        fields.forget();
        let in_error: &RawValue = serde_json::from_str(IN_ERROR)
            .map_err(|_| Refusal::not_json("the program's own resource is not JSON"))?;
        let entry = map(&mut Fields::of(in_error)?, &mut links)?;
        let Links { encounter, reasons, focus, based_on, .. } = links;
        return Ok(Draft { patient, encounter, reasons, focus, based_on, entry });
    }
    let mut entry = map(fields, &mut links)?;
    if let Some(encounter) = fields.take::<Reference>("encounter")? {
        links.encounter(fields, "encounter", &encounter);
    }
    entry.recorder = fields.take_actor("recorder")?;
    entry.asserter = fields.take_actor("asserter")?.or(entry.asserter.take());
    let notes = fields.list::<Annotation>("note")?;
    entry.note = notes.into_iter().map(|note| note.text).collect::<Vec<_>>().join("\n");
    if let Some(meta) = fields.take::<Meta>("meta")? {
        entry.labels.extend(meta.labels()?);
    }
    let Links { encounter, reasons, focus, based_on, .. } = links;
    Ok(Draft { patient, encounter, reasons, focus, based_on, entry })
}

impl Links<'_> {
    /// The encounter that the entry belongs to.
    fn encounter(&mut self, fields: &mut Fields<'_>, field: &str, reference: &Reference) {
        match self.directory.entry(reference) {
            Some(target) if target.phase == Phase::Encounters => {
                lose_words(fields, field, reference, &target);
                self.encounter = Some(target.key);
            }
            _ => fields.lose(&format!("{field} (not in this import)")),
        }
    }

    /// Reasons given as references: to entries of the file, and in words where they lead to none.
    fn reasons(
        &mut self,
        fields: &mut Fields<'_>,
        in_words: &mut Vec<v1::CodeableConcept>,
    ) -> Result<(), Refusal> {
        for reference in fields.list::<Reference>("reasonReference")? {
            self.reason(fields, &reference, in_words);
        }
        Ok(())
    }

    /// One of them.
    fn reason(
        &mut self,
        fields: &mut Fields<'_>,
        reference: &Reference,
        in_words: &mut Vec<v1::CodeableConcept>,
    ) {
        // The item is the same whatever else is imported with it, or the next import would amend it.
        match (self.directory.entry(reference), reference.display.as_ref()) {
            (Some(target), _) => {
                lose_words(fields, "reasonReference", reference, &target);
                self.reasons.push(target.key);
            }
            (None, Some(display)) => {
                in_words.push(v1::CodeableConcept { text: display.clone(), coding: Vec::new() });
            }
            (None, None) => fields.lose("reasonReference (not in this import)"),
        }
    }

    /// An entry of the file that an element names.
    fn entry(&self, fields: &mut Fields<'_>, field: &str, reference: &Reference) -> Option<String> {
        let found = self.directory.entry(reference);
        match &found {
            Some(target) => lose_words(fields, field, reference, target),
            None => fields.lose(&format!("{field} (not in this import)")),
        }
        found.map(|target| target.key)
    }
}

/// Notes the words of a reference to what this import does not have, and perhaps nobody.
fn lose_words(fields: &mut Fields<'_>, field: &str, reference: &Reference, target: &Target) {
    if reference.display.is_some() && !target.is_here {
        fields.lose(&format!("{field}.display"));
    }
}

/// Actors in a backbone element, `performer[].actor` and the like.
fn actors(
    fields: &mut Fields<'_>,
    at: &str,
    references: impl Iterator<Item = Option<Reference>>,
) -> Vec<v1::Actor> {
    references.flatten().filter_map(|reference| fields.actor(at, reference)).collect()
}

/// The first of several actors, for fields that have room for one.
fn first_actor(fields: &mut Fields<'_>, name: &str) -> Result<Option<v1::Actor>, Refusal> {
    let mut all = fields.actors(name)?.into_iter();
    let first = all.next();
    if all.next().is_some() {
        fields.lose(&format!("{name} (second and later)"));
    }
    Ok(first)
}
