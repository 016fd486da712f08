//! The registry of hospital numbers: an issuer's numbers hash into 65,536 buckets, each a subject
//! with a chain, so that two registrations of one number link to one chain and cannot both win.
//! A number that a correction takes off a patient is released there; an amendment keeps it.

use std::collections::BTreeSet;

use domain::{Amendment, Command, Event, Identifier, Identity, PatientId};
use ledger::SubjectId;

use crate::Failure;
use crate::access::Pass;
use crate::answers::Filed;
use crate::commands::filed;
use crate::context::{Context, Operation};
use crate::engine::Engine;
use crate::filing::{draft, first_half};
use crate::seal::Draft;
use crate::showing::Saw;

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

/// The medical record numbers: of one issuer, a person has one of their own.
pub(crate) fn medical_records(identity: &Identity) -> impl Iterator<Item = &Identifier> {
    let is_record = |identifier: &&Identifier| {
        let mut codings = identifier.kind.iter().flat_map(|kind| &kind.coding);
        codings.any(|coding| coding.system == IDENTIFIER_TYPES && coding.code == MEDICAL_RECORD)
    };
    identity.identifiers.iter().filter(is_record)
}

/// Whether both have medical record numbers of one issuer, and none is the same.
pub(crate) fn records_differ(one: &Identity, other: &Identity) -> bool {
    let records: Vec<Identifier> = medical_records(one).cloned().collect();
    let of_one_issuer = |number: &Identifier| records.iter().any(|it| it.system == number.system);
    medical_records(other).any(of_one_issuer)
        && !medical_records(other).any(|number| is_in(&records, number))
}

/// What registering these numbers for a patient comes to.
pub(crate) enum Claim {
    /// Records that assign the numbers which nobody has yet; none when they are all the patient's.
    Free(Vec<Draft>),
    /// They belong to these patients, who are on file.
    Taken(BTreeSet<PatientId>),
}

/// Why numbers that belong to these patients are not given to another one. All of one patient's numbers
/// are that patient's alone: numbers of two patients on one identity are a mistake that somebody has to
/// look at.
pub(crate) fn taken(holders: &BTreeSet<PatientId>) -> Failure {
    if holders.len() > 1 {
        return Failure::refused(
            "IDENTIFIERS_DISAGREE",
            "these identifiers belong to more than one patient on file; find out which is right \
             before filing",
        );
    }
    let why = "one of these identifiers belongs to another patient on file";
    Failure::refused("IDENTIFIER_TAKEN", why)
}

/// What a decision about a file's identity looks at.
pub(crate) struct Ground {
    /// The file's chain and the buckets of every number that is claimed or released.
    pub(crate) chains: Vec<SubjectId>,
    /// The version at which the identity was last changed, when that decides which numbers are
    /// released; 0 when there is none.
    pub(crate) identity: Option<u64>,
}

fn is_in(list: &[Identifier], number: &Identifier) -> bool {
    list.iter().any(|other| other.system == number.system && other.value == number.value)
}

/// The numbers that amendments give to the patient, and those that corrections take off: a number
/// filed by mistake goes back to whoever has it, one that the patient once had still names them.
fn given_and_taken(before: &Identity, events: &[Event]) -> (Vec<Identifier>, Vec<Identifier>) {
    let (mut given, mut taken): (Vec<Identifier>, Vec<Identifier>) = Default::default();
    let mut before = before;
    for event in events {
        let Event::IdentityAmended { identity, how, .. } = event else { continue };
        let now = &identity.identifiers;
        if *how == Amendment::Correction {
            // All, not only those that count now: others may have counted when they were claimed.
            taken.extend(before.identifiers.iter().filter(|old| !is_in(now, old)).cloned());
            given.retain(|number| !is_in(&taken, number));
        }
        taken.retain(|number| !is_in(now, number));
        for number in numbers(identity) {
            if !is_in(&given, &number) {
                given.push(number);
            }
        }
        before = identity;
    }
    (given, taken)
}

impl Engine {
    /// What deciding about these commands looks at.
    pub(crate) fn ground(
        &self,
        patient: PatientId,
        commands: &[Command],
    ) -> Result<Ground, Failure> {
        let subject = SubjectId(patient.0);
        let mut ground = Ground { chains: vec![subject], identity: None };
        let mut there: Vec<Identifier> = Vec::new();
        for command in commands {
            let Command::AmendIdentity { identity, mask, how, .. } = command else { continue };
            ground.chains.extend(self.buckets(&numbers(identity))?);
            if *how == Amendment::Correction && ground.identity.is_none() {
                let header = self.shelf.never_to_be_shown().reader().file_header(subject)?;
                ground.identity = Some(header.as_ref().map_or(0, |header| header.stamp.version));
                there.extend(header.into_iter().flat_map(|header| header.identity.identifiers));
            }
            if mask.iter().any(|field| field == "identifiers") {
                let now = &identity.identifiers;
                if *how == Amendment::Correction {
                    let gone: Vec<Identifier> =
                        there.iter().filter(|old| !is_in(now, old)).cloned().collect();
                    ground.chains.extend(self.buckets(&gone)?);
                }
                there.extend(now.iter().cloned());
            }
        }
        Ok(ground)
    }

    /// What amendments of the identity `before` do to the registry: new numbers are claimed as a
    /// registration claims them, and mistaken ones released.
    pub(crate) fn registry_drafts(
        &self,
        before: &Identity,
        events: &[Event],
        patient: PatientId,
    ) -> Result<Claim, Failure> {
        let (given, taken) = given_and_taken(before, events);
        let mut drafts = match self.claim(&given, patient)? {
            Claim::Free(drafts) => drafts,
            taken @ Claim::Taken(_) => return Ok(taken),
        };
        let store = self.shelf.never_to_be_shown();
        for number in taken {
            if store.reader().find_identifier(&number.system, &number.value)? == Some(patient) {
                let released = Event::IdentifierReleased {
                    identifier_system: number.system.clone(),
                    identifier_value: number.value.clone(),
                    patient,
                };
                drafts.push(draft(self.bucket(&number)?, self.system()?.registry, &released)?);
            }
        }
        Ok(Claim::Free(drafts))
    }

    /// Claims numbers for `patient`.
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
        Ok(if others.is_empty() { Claim::Free(drafts) } else { Claim::Taken(others) })
    }

    /// That a number belongs to a patient on file is a showing, to whoever may find that patient.
    pub(crate) async fn found(&self, ctx: &Context, patient: PatientId) -> Result<Filed, Failure> {
        let pass = self.may_find(ctx, patient).await?;
        let store = self.shelf.never_to_be_shown();
        let version =
            store.reader().file_header(SubjectId(patient.0))?.map_or(0, |header| header.version);
        let position = self.records.line.progress().size;
        let digest = Some(self.answer_digest(&patient.0)?);
        let saw = Saw { version, position, count: 1, digest, ..Saw::default() };
        let receipt = self.showed(ctx, &pass, patient, &saw).await?;
        let mut filed = filed(patient, version, position, 0);
        filed.position = position;
        filed.existed = true;
        filed.receipt = Some(receipt);
        Ok(filed)
    }

    /// Whether the caller may find the patient whose number they register. Else they hear that it is
    /// somebody's, which nothing can hide from them, and not whose.
    async fn may_find(&self, ctx: &Context, patient: PatientId) -> Result<Pass, Failure> {
        // Items of an import find their patient by what may be imported.
        if ctx.operation == Operation::Import {
            return match self.admit(ctx, Some(patient)).await {
                Err(Failure::NotFound) => Err(taken(&[patient].into())),
                admitted => admitted,
            };
        }
        let finding = Context { operation: Operation::FindPatient, ..ctx.asker() };
        let admitted = self.admit_or_record(&finding, patient).await?;
        admitted.ok_or_else(|| taken(&[patient].into()))
    }

    /// The buckets of numbers, to be held while they are claimed.
    pub(crate) fn buckets(&self, numbers: &[Identifier]) -> Result<Vec<SubjectId>, Failure> {
        numbers.iter().map(|number| self.bucket(number)).collect()
    }

    /// The bucket that a number is registered in.
    pub(crate) fn bucket(&self, number: &Identifier) -> Result<SubjectId, Failure> {
        self.bucket_of(&number.system, &number.value)
    }

    /// The version of the registry where this number stands: another one as soon as the number is given
    /// to somebody or released, or one beside it is.
    ///
    /// # Errors
    /// When the system's keys have not arrived yet, or the store cannot be read.
    pub fn number_version(&self, issuer: &str, value: &str) -> Result<u64, Failure> {
        let (line, bucket) = (&self.records.line, self.bucket_of(issuer, value)?);
        Ok(line.store.head(line.ledger, bucket)?.map_or(0, |head| head.version))
    }

    fn bucket_of(&self, issuer: &str, value: &str) -> Result<SubjectId, Failure> {
        let issuer = issuer.as_bytes();
        let term = self.vault.index_term("registry/number", &[issuer, value.as_bytes()])?;
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
    fn two_who_share_a_number_have_medical_record_numbers_of_their_own() {
        let person = |numbers: &[(&str, &str)]| {
            let number = |(system, value): &(&str, &str)| identifier(system, value, Some("MR"));
            let mut identifiers: Vec<_> = numbers.iter().map(number).collect();
            identifiers.push(identifier("urn:account", "7", None));
            Identity { identifiers, ..Identity::default() }
        };
        let spouse = person(&[("urn:a", "1")]);
        for (other, differ) in [
            (person(&[("urn:a", "2")]), true),
            (person(&[("urn:a", "1")]), false),
            (person(&[("urn:a", "2"), ("urn:a", "1")]), false),
            (person(&[("urn:b", "2")]), false),
            (person(&[]), false),
        ] {
            assert_eq!(records_differ(&spouse, &other), differ, "{other:?}");
            assert_eq!(records_differ(&other, &spouse), differ, "{other:?}");
        }
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

    #[test]
    fn only_a_correction_takes_a_number_off_and_only_if_it_stays_off() {
        use Amendment::{Amendment as Amend, Correction as Correct};
        let of = |list: &[&str]| Identity {
            identifiers: list.iter().map(|value| identifier("urn:h", value, Some("MR"))).collect(),
            ..Identity::default()
        };
        let taken = |steps: &[(Amendment, &[&str])]| {
            let amended = |(how, list): &(Amendment, &[&str])| Event::IdentityAmended {
                identity: of(list),
                changed: Vec::new(),
                how: *how,
                reason: String::new(),
            };
            let events: Vec<Event> = steps.iter().map(amended).collect();
            let (given, taken) = given_and_taken(&of(&["1", "2"]), &events);
            let values = |list: Vec<Identifier>| -> Vec<String> {
                list.into_iter().map(|number| number.value).collect()
            };
            (values(given).concat(), values(taken).concat())
        };
        let is = |given: &str, taken: &str| (given.to_owned(), taken.to_owned());
        assert_eq!(taken(&[(Correct, &["1", "3"])]), is("13", "2"));
        assert_eq!(taken(&[(Amend, &["1", "3"])]), is("13", ""));
        assert_eq!(taken(&[(Amend, &["1"]), (Correct, &["1", "3"])]), is("13", ""));
        assert_eq!(taken(&[(Correct, &["3"]), (Correct, &["1"])]), is("1", "23"));
        assert_eq!(taken(&[(Correct, &[]), (Amend, &["2"])]), is("2", "1"));
    }
}
