//! The registry of hospital numbers: an issuer's numbers hash into 65,536 buckets, each a subject
//! with a chain, so that two registrations of one number link to one chain and cannot both win.

use std::collections::BTreeSet;

use domain::{Event, Identifier, Identity, PatientId};
use ledger::SubjectId;

use crate::Failure;
use crate::engine::Engine;
use crate::filing::{draft, first_half};
use crate::seal::Draft;

/// HL7 v2 table 0203, the types of identifiers, as FHIR names it.
const IDENTIFIER_TYPES: &str = "http://terminology.hl7.org/CodeSystem/v2-0203";
/// Its code of a medical record number.
const MEDICAL_RECORD: &str = "MR";

/// The hospital numbers: identifiers of which no code of v2-0203 says that they are something else
/// than a medical record number; without any, the first identifier. Each belongs to one patient, who
/// is found by it. Other numbers (a family's insurance, a passport) are shared or mistyped too often
/// to decide who somebody is.
pub(crate) fn numbers(identity: &Identity) -> Vec<Identifier> {
    let hospital = |identifier: &&Identifier| {
        let codings = identifier.kind.iter().flat_map(|kind| &kind.coding);
        let mut types = codings.filter(|coding| coding.system == IDENTIFIER_TYPES).peekable();
        types.peek().is_none() || types.any(|coding| coding.code == MEDICAL_RECORD)
    };
    let known =
        |identifier: &&Identifier| !identifier.system.is_empty() && !identifier.value.is_empty();
    let mut numbers: Vec<Identifier> =
        identity.identifiers.iter().filter(known).filter(hospital).cloned().collect();
    if numbers.is_empty() {
        numbers.extend(identity.identifiers.iter().find(known).cloned());
    }
    numbers.dedup_by(|a, b| a.system == b.system && a.value == b.value);
    numbers
}

/// What registering these numbers for a patient comes to.
pub(crate) enum Claim {
    /// Records that assign the numbers which nobody has yet; none when they are all the patient's.
    Free(Vec<Draft>),
    /// They belong to this patient, who is on file.
    Taken(PatientId),
}

impl Engine {
    /// Claims numbers for `patient`. All of one patient's numbers are that patient's alone: numbers
    /// of two patients on one identity are a mistake that somebody has to look at.
    pub(crate) fn claim(
        &self,
        numbers: &[Identifier],
        patient: PatientId,
    ) -> Result<Claim, Failure> {
        let store = self.shelf.never_to_be_shown();
        let system = self.system()?;
        let mut drafts = Vec::new();
        let mut others = BTreeSet::new();
        for number in numbers {
            match store.reader().find_identifier(&number.system, &number.value)? {
                Some(holder) if holder == patient => {}
                Some(holder) => {
                    others.insert(holder);
                }
                None => {
                    let assigned = Event::IdentifierAssigned {
                        identifier_system: number.system.clone(),
                        identifier_value: number.value.clone(),
                        patient,
                    };
                    drafts.push(draft(self.bucket(number)?, system.registry, &assigned)?);
                }
            }
        }
        match (others.pop_first(), others.is_empty()) {
            (None, _) => Ok(Claim::Free(drafts)),
            (Some(holder), true) => Ok(Claim::Taken(holder)),
            (Some(_), false) => Err(Failure::Refused {
                reason: "IDENTIFIERS_DISAGREE",
                message:
                    "these identifiers belong to more than one patient on file; find out which \
                          is right before filing"
                        .to_owned(),
            }),
        }
    }

    /// The buckets of numbers, to be held while they are claimed.
    pub(crate) fn buckets(&self, numbers: &[Identifier]) -> Result<Vec<SubjectId>, Failure> {
        numbers.iter().map(|number| self.bucket(number)).collect()
    }

    /// The bucket that a number is registered in.
    pub(crate) fn bucket(&self, number: &Identifier) -> Result<SubjectId, Failure> {
        let issuer = number.system.as_bytes();
        let term = self.vault.index_term("registry/number", &[issuer, number.value.as_bytes()])?;
        let bucket = [term.first().copied().unwrap_or(0), term.get(1).copied().unwrap_or(0)];
        Ok(SubjectId(first_half(&self.vault.index_term("registry/bucket", &[issuer, &bucket])?)))
    }
}

#[cfg(test)]
mod tests {
    use domain::{CodeableConcept, Coding};

    use super::*;

    fn identifier(system: &str, value: &str, kind: Option<&str>) -> Identifier {
        let kind = kind.map(|code| CodeableConcept {
            coding: vec![Coding {
                system: IDENTIFIER_TYPES.to_owned(),
                code: code.to_owned(),
                ..Coding::default()
            }],
            text: None,
        });
        Identifier {
            system: system.to_owned(),
            value: value.to_owned(),
            kind,
            ..Identifier::default()
        }
    }

    fn values(identifiers: Vec<Identifier>) -> Vec<String> {
        let identity = Identity { identifiers, ..Identity::default() };
        numbers(&identity).into_iter().map(|number| number.value).collect()
    }

    #[test]
    fn medical_record_numbers_name_a_patient_and_insurance_numbers_do_not() {
        let passport = identifier("urn:passport", "P1", Some("PPN"));
        let number = identifier("urn:hospital", "77", Some("MR"));
        assert_eq!(values(vec![passport, number]), ["77"]);
    }

    #[test]
    fn a_number_of_no_known_type_is_a_hospital_number_too() {
        let one = identifier("urn:a", "1", None);
        let shared = identifier("urn:insurance", "F1", Some("MB"));
        let other = identifier("urn:b", "2", None);
        assert_eq!(values(vec![one, shared, other]), ["1", "2"]);
    }

    #[test]
    fn without_a_hospital_number_the_first_identifier_counts() {
        let one = identifier("urn:passport", "P1", Some("PPN"));
        let other = identifier("urn:insurance", "F1", Some("MB"));
        assert_eq!(values(vec![one, other]), ["P1"]);
        assert!(values(Vec::new()).is_empty());
    }
}
