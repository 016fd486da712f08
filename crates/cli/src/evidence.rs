//! Evidence from a node, checked here: under a checkpoint that the policy accepts, complete, and every
//! body what its header says.

pub(crate) mod body;

use api::v1;
use api::v1::evidence_service_client::EvidenceServiceClient;
use ledger::checkpoint::Checkpoint;
use ledger::completeness::Completeness;
use ledger::map::{End, MapProof};
use ledger::note::SignedNote;
use ledger::policy::Policy;
use ledger::proof::{root_of_range, verify_inclusion};
use ledger::{Hash, Leaf, LeafType, LedgerId, SubjectId, Summary, leaf_hash};

use crate::connection::{connect, timed};
use crate::failure::Failure;
use crate::options::Global;
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

/// Asks the node.
pub(crate) async fn fetch(global: &Global, request: v1::ProveRequest) -> Result<Evidence, Failure> {
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
    let note = proof.note.parse().map_err(|error| Failure::local("read the checkpoint", error))?;
    Ok(Evidence { note, proof, leaves })
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
    /// The checkpoint, and the leaves that were asked for, when everything matches.
    pub(crate) fn check(
        &self,
        policy: &Policy,
        ledger: LedgerId,
        about: About,
    ) -> Result<(Checkpoint, Vec<Checked<'_>>), Found> {
        let damaged = |what: String| Found::Damaged(what);
        let checkpoint = opened(policy, &self.note)?;
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
        if !(first..).zip(since.clone()).all(|(position, leaf)| leaf.position == position) {
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
