//! Evidence from a node, checked here: under a checkpoint that the policy accepts, complete, and every
//! body what its header says.

pub(crate) mod body;

use api::v1;
use api::v1::event::Event;
use api::v1::evidence_service_client::EvidenceServiceClient;
use ledger::checkpoint::Checkpoint;
use ledger::completeness::Completeness;
use ledger::map::{End, MapProof};
use ledger::note::SignedNote;
use ledger::policy::Policy;
use ledger::proof::{root_of_range, verify_inclusion};
use ledger::{Hash, Leaf, LeafType, LedgerId, LedgerKind, SubjectId, Summary, leaf_hash};

use crate::connection::{connect, timed};
use crate::failure::Failure;
use crate::options::Global;
use crate::patient::Named;
use crate::verify::{Found, dated, opened};

/// Evidence as a node gave it.
#[derive(Debug)]
pub(crate) struct Evidence {
    /// The checkpoint of the proof.
    pub(crate) note: SignedNote,
    pub(crate) proof: v1::EvidenceProof,
    pub(crate) leaves: Vec<v1::EvidenceLeaf>,
}

/// A leaf that was asked for, after everything about it was checked.
#[derive(Debug)]
pub(crate) struct Checked<'e> {
    pub(crate) leaf: &'e v1::EvidenceLeaf,
    /// Version of its chain, as its header says; 0 of a commitment.
    pub(crate) version: u64,
    /// Whether its body was opened here, with the record key.
    pub(crate) opened: bool,
}

/// Asks the node; the inner error is an answer that is no evidence.
pub(crate) async fn fetch(
    global: &Global,
    request: v1::ProveRequest,
) -> Result<Result<Evidence, Found>, Failure> {
    let failed = |status| Failure::of(&global.server, "EvidenceService/Prove", status);
    let mut client = EvidenceServiceClient::new(connect(global).await?);
    let mut parts = client.prove(timed(request)).await.map_err(failed)?.into_inner();
    let (mut proof, mut leaves) = (v1::EvidenceProof::default(), Vec::new());
    while let Some(part) = parts.message().await.map_err(failed)? {
        match part.part {
            Some(v1::prove_response::Part::Proof(first)) => proof = first,
            Some(v1::prove_response::Part::Leaves(more)) => leaves.extend(more.leaves),
            // Of a later version.
            None => {}
        }
    }
    Ok(Evidence::of(proof, leaves))
}

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum About {
    Patient(SubjectId),
    Position(u64),
    /// Every leaf from the first position up to the second.
    Range(u64, u64),
}

impl Evidence {
    fn of(proof: v1::EvidenceProof, leaves: Vec<v1::EvidenceLeaf>) -> Result<Self, Found> {
        let note = proof.note.parse();
        let note = note.map_err(|error| Found::Damaged(format!("checkpoint: {error}")))?;
        Ok(Self { note, proof, leaves })
    }

    /// The checkpoint, and the leaves that were asked for, when everything matches.
    pub(crate) fn check(
        &self,
        policy: &Policy,
        ledger: LedgerId,
        about: About,
    ) -> Result<(Checkpoint, Vec<Checked<'_>>), Found> {
        let damaged = |what: String| Found::Damaged(what);
        let checkpoint = opened(policy, &self.note)?;
        // A policy may name both ledgers.
        let told = checkpoint.origin.rsplit('/').nth(1).unwrap_or_default();
        if told != ledger.to_string() {
            return Err(damaged(format!("the evidence is about {told}, not {ledger}")));
        }
        let wanted = match about {
            About::Patient(subject) => self.complete(subject, ledger, &checkpoint)?,
            About::Position(position) => self.included(position, &checkpoint)?,
            About::Range(first, end) => self.between(first, end, &checkpoint)?,
        };
        let recorded = self.leaves.iter().filter_map(|leaf| match Leaf::decode(&leaf.leaf) {
            Ok(Leaf::Record(header)) => Some(header.recorded_at),
            Ok(Leaf::Commitment(_)) | Err(_) => None,
        });
        dated(policy, &self.note, recorded.max().unwrap_or_default())?;
        let checked = self
            .leaves
            .iter()
            .filter(|leaf| wanted.binary_search(&leaf.position).is_ok())
            .map(|leaf| {
                checked(leaf).map_err(|why| damaged(format!("record {}: {why}", leaf.position)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if checked.len() != wanted.len() {
            return Err(damaged("its leaves do not stand in order of position".to_owned()));
        }
        Ok((checkpoint, checked))
    }

    /// Positions of everything about the patient.
    fn complete(
        &self,
        subject: SubjectId,
        ledger: LedgerId,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<u64>, Found> {
        let damaged = |what: &str| Found::Damaged(what.to_owned());
        let first = self.proof.first;
        let map = match &self.proof.map {
            Some(map) => {
                Some(map_in(map).ok_or_else(|| damaged("what the map says is malformed"))?)
            }
            None => None,
        };
        let before = self.leaves.iter().take_while(|leaf| leaf.position < first);
        let before: Vec<_> = before.map(|leaf| (leaf.position, leaf.leaf.clone())).collect();
        let since = self.leaves.iter().skip(before.len());
        // Who answers may say any number, also one behind which there is none.
        let position = |at: usize| first.checked_add(at as u64);
        if !since.clone().enumerate().all(|(at, leaf)| position(at) == Some(leaf.position)) {
            return Err(damaged("its leaves are not in order of position"));
        }
        let completeness = Completeness {
            map,
            before,
            first,
            since: since.map(|leaf| leaf.leaf.clone()).collect(),
            hashes: hashes_in(&self.proof.hashes)
                .ok_or_else(|| damaged("its range proof is malformed"))?,
        };
        let found = completeness
            .verify(subject, ledger, checkpoint)
            .map_err(|not_shown| damaged(&not_shown.to_string()))?;
        Ok(found.into_iter().map(|(position, _)| position).collect())
    }

    fn between(&self, first: u64, end: u64, checkpoint: &Checkpoint) -> Result<Vec<u64>, Found> {
        let positions: Vec<u64> = self.leaves.iter().map(|leaf| leaf.position).collect();
        let leaves: Vec<Hash> = self.leaves.iter().map(|leaf| leaf_hash(&leaf.leaf)).collect();
        let root = hashes_in(&self.proof.hashes)
            .and_then(|hashes| root_of_range(first, &leaves, checkpoint.size, &hashes));
        if positions.iter().copied().eq(first..end) && root == Some(checkpoint.root) {
            return Ok(positions);
        }
        Err(Found::Damaged(format!(
            "the proof does not show that these are all leaves from {first} up to {end}"
        )))
    }

    fn included(&self, position: u64, checkpoint: &Checkpoint) -> Result<Vec<u64>, Found> {
        let hashes = hashes_in(&self.proof.hashes);
        let included = match (self.leaves.as_slice(), hashes) {
            ([leaf], Some(hashes)) if leaf.position == position => {
                let (hash, Checkpoint { size, root, .. }) = (leaf_hash(&leaf.leaf), checkpoint);
                verify_inclusion(position, *size, &hash, &hashes, root)
            }
            _ => false,
        };
        if included {
            return Ok(vec![position]);
        }
        Err(Found::Damaged(format!("the proof does not show that record {position} is on file")))
    }
}

/// A leaf's body is what its header says, and opens with the key that came with it.
fn checked(leaf: &v1::EvidenceLeaf) -> Result<Checked<'_>, String> {
    let header = match Leaf::decode(&leaf.leaf).map_err(|error| error.to_string())? {
        Leaf::Record(header) => header,
        Leaf::Commitment(_) => return Ok(Checked { leaf, version: 0, opened: false }),
    };
    let version = header.version;
    if leaf.body.is_empty() {
        return Ok(Checked { leaf, version, opened: false });
    }
    let length = u32::try_from(leaf.body.len());
    if length != Ok(header.body_length) || Hash::of(&leaf.body) != header.body_hash {
        return Err("its body is not the one that its header names".to_owned());
    }
    let opened = header.leaf == LeafType::Control || !leaf.record_key.is_empty();
    if header.leaf == LeafType::Record && opened {
        body::open(&header, &leaf.body, &leaf.record_key)?;
    }
    Ok(Checked { leaf, version, opened })
}

/// Whether what was opened shows that the patient has the number they were named by: which patient has
/// it, only the node has said. None when they were named by id.
pub(crate) fn bears(
    named: Option<&Named>,
    ledger: LedgerId,
    checked: &[Checked<'_>],
) -> Result<Option<bool>, Found> {
    let Some(Named::Number { issuer, value }) = named else { return Ok(None) };
    let shown = has_number(checked, issuer, value);
    let all_said = checked.iter().all(|one| one.opened && event_in(one).is_some());
    if ledger.kind == LedgerKind::Records && all_said && !shown {
        return Err(Found::Damaged(
            "the number that was typed does not stand in the records of the patient whom the node named \
             by it: they are another's"
                .to_owned(),
        ));
    }
    Ok(Some(shown))
}

/// A number that the patient once had still names them; one that a correction took off does not.
fn has_number(checked: &[Checked<'_>], issuer: &str, value: &str) -> bool {
    let stands_in = |identity: &Option<v1::Identity>| {
        let mut identifiers = identity.iter().flat_map(|identity| &identity.identifiers);
        identifiers.any(|one| one.issuer == issuer && one.value == value)
    };
    let (mut before, mut theirs) = (false, false);
    for one in checked {
        let (now, corrected) = match event_in(one) {
            Some(Event::PatientRegistered(event)) => (stands_in(&event.identity), false),
            Some(Event::IdentityAmended(event)) => {
                (stands_in(&event.identity), event.how() == v1::Amendment::Correction)
            }
            Some(
                Event::EntryAdded(_)
                | Event::EntryAmended(_)
                | Event::EntryRetracted(_)
                | Event::EntryMasked(_),
            )
            | None => continue,
        };
        theirs = now || (theirs && !(before && corrected));
        before = now;
    }
    theirs
}

/// What a record of a patient file says, when it was opened and is known.
fn event_in<'e>(checked: &Checked<'e>) -> Option<&'e Event> {
    match &checked.leaf.content {
        Some(v1::evidence_leaf::Content::Event(filed)) => filed.event.as_ref()?.event.as_ref(),
        Some(v1::evidence_leaf::Content::Access(_)) | None => None,
    }
}

fn map_in(from: &v1::MapProof) -> Option<MapProof> {
    let end = match &from.end {
        None => End::Nobody,
        Some(found) => {
            let chained = Hash::from_slice(&found.chained)?;
            let summary = Summary { count: found.count, last: found.last, chained };
            End::Subject(SubjectId::from_slice(&found.subject)?, summary)
        }
    };
    Some(MapProof { siblings: hashes_in(&from.siblings)?, end })
}

fn hashes_in(from: &[Vec<u8>]) -> Option<Vec<Hash>> {
    from.iter().map(|hash| Hash::from_slice(hash)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use ledger::note::{KeyType, Vkey};
    use ledger::{Commitment, SigningKey};

    use super::*;

    /// A record that says this, as a node gives it.
    pub(crate) fn saying(event: Event) -> v1::EvidenceLeaf {
        let event = Some(v1::Event { event: Some(event) });
        let filed = v1::FiledEvent { event, ..v1::FiledEvent::default() };
        let content = Some(v1::evidence_leaf::Content::Event(Box::new(filed)));
        v1::EvidenceLeaf { content, ..v1::EvidenceLeaf::default() }
    }

    pub(crate) fn identity(numbers: &[&str]) -> v1::Identity {
        let number = |value: &&str| v1::Identifier {
            issuer: "urn:mrn".to_owned(),
            value: (*value).to_owned(),
            ..v1::Identifier::default()
        };
        let identifiers = numbers.iter().map(number).collect();
        v1::Identity { identifiers, ..v1::Identity::default() }
    }

    pub(crate) fn registered(numbers: &[&str]) -> v1::EvidenceLeaf {
        let identity = Some(identity(numbers));
        saying(Event::PatientRegistered(v1::PatientRegistered { identity }))
    }

    fn amended(numbers: &[&str], how: v1::Amendment) -> v1::EvidenceLeaf {
        let identity = Some(identity(numbers));
        let (how, more) = (how.into(), v1::IdentityAmended::default());
        saying(Event::IdentityAmended(v1::IdentityAmended { identity, how, ..more }))
    }

    /// What the number `7` is found to be, when so many of these are opened.
    fn found(leaves: &[v1::EvidenceLeaf], opened: usize, ledger: LedgerId) -> Option<bool> {
        let checked = leaves.iter().enumerate();
        let checked: Vec<Checked<'_>> = checked
            .map(|(place, leaf)| Checked { leaf, version: 1, opened: place < opened })
            .collect();
        let named = Named::Number { issuer: "urn:mrn".to_owned(), value: "7".to_owned() };
        match bears(Some(&named), ledger, &checked) {
            Ok(shown) => Some(shown.expect("named by number")),
            Err(Found::Damaged(_)) => None,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_patient_named_by_number_has_it_in_their_records() {
        let amendment = |how| [registered(&["6", "7"]), amended(&["6"], how)];
        let records = LedgerId::RECORDS;
        assert_eq!(found(&[registered(&["6", "7"])], 1, records), Some(true));
        assert_eq!(found(&[registered(&["6"])], 1, records), None, "another patient's file");
        assert_eq!(found(&[], 0, records), None, "an id that nobody has");
        // What the patient once had still names them, what was filed by mistake does not.
        assert_eq!(found(&amendment(v1::Amendment::Amendment), 2, records), Some(true));
        assert_eq!(found(&amendment(v1::Amendment::Correction), 2, records), None);
        // Where not all is said, it is the node's word.
        assert_eq!(found(&[registered(&["6"])], 0, records), Some(false));
        assert_eq!(found(&[], 0, LedgerId::ACCESS), Some(false));
        assert!(matches!(bears(Some(&Named::Id(String::new())), records, &[]), Ok(None)));
    }

    /// A policy that names both ledgers, and a checkpoint of one of them: of this leaf alone.
    fn signed(ledger: LedgerId, leaf: &[u8]) -> (Policy, String) {
        let key = SigningKey::from_bytes(&[1; 32]);
        let origin = |ledger| format!("hospital.example/east/{ledger}/{}", Hash([9; 32]));
        let log = |ledger| {
            let public = key.verifying_key().to_bytes();
            format!("log {}\n", Vkey::new(&origin(ledger), KeyType::Signature, public).unwrap())
        };
        let policy = [LedgerId::RECORDS, LedgerId::ACCESS].map(log).concat() + "quorum none\n";
        let checkpoint = Checkpoint { origin: origin(ledger), size: 1, root: leaf_hash(leaf) };
        let mut note = checkpoint.to_note().unwrap();
        note.sign(&checkpoint.origin, &key);
        (policy.parse().unwrap(), note.to_string())
    }

    #[test]
    fn evidence_about_the_other_ledger_is_none() {
        for (of, asked) in [
            (LedgerId::RECORDS, LedgerId::RECORDS),
            (LedgerId::ACCESS, LedgerId::ACCESS),
            (LedgerId::RECORDS, LedgerId::ACCESS),
            (LedgerId::ACCESS, LedgerId::RECORDS),
        ] {
            let commitment =
                Commitment { ledger: of, position: 0, subjects: 0, root: Hash([5; 32]) };
            let leaf =
                v1::EvidenceLeaf { leaf: commitment.encode(), ..v1::EvidenceLeaf::default() };
            let (policy, note) = signed(of, &leaf.leaf);
            let proof = v1::EvidenceProof { note, ..v1::EvidenceProof::default() };
            let evidence = Evidence::of(proof, vec![leaf]).unwrap();
            for about in [About::Position(0), About::Range(0, 1)] {
                match evidence.check(&policy, asked, about) {
                    Ok(_) => assert_eq!(of, asked),
                    Err(Found::Damaged(what)) => {
                        assert!(of != asked && what.contains(&format!("not {asked}")), "{what}");
                    }
                    Err(other) => panic!("{other:?}"),
                }
            }
        }
    }

    #[test]
    fn whatever_a_node_answers_is_found_and_stops_nobody() {
        let last = v1::EvidenceLeaf { position: u64::MAX, ..v1::EvidenceLeaf::default() };
        let (policy, note) = signed(LedgerId::RECORDS, &last.leaf);
        let about = About::Patient(SubjectId([7; 16]));
        for leaves in [vec![], vec![last.clone()], vec![last.clone(), last]] {
            let (note, first) = (note.clone(), u64::MAX);
            let proof = v1::EvidenceProof { note, first, ..v1::EvidenceProof::default() };
            let evidence = Evidence::of(proof, leaves).unwrap();
            let found = evidence.check(&policy, LedgerId::RECORDS, about);
            assert!(matches!(found, Err(Found::Damaged(_))), "{found:?}");
        }
        let found = Evidence::of(v1::EvidenceProof::default(), Vec::new());
        assert!(matches!(found, Err(Found::Damaged(_))), "no checkpoint: {found:?}");
    }
}
