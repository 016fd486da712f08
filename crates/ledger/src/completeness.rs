//! That a list of leaves about a subject is complete: all records of a patient, all accesses to one,
//! or that there are none.
//!
//! Up to the last commitment before the checkpoint, the map says how many leaves there are about the
//! subject and a hash over them all ([`crate::map`]); from there on every leaf is shown, whoever it is
//! about. A ledger without a commitment shows all of its leaves.
//!
//! It is as sound as the commitment: its map was made by every node that signed the checkpoint, and by
//! every verifier that read the whole log ([`crate::audit`]) and cosigned.

use crate::checkpoint::Checkpoint;
use crate::commitment::{self, Leaf};
use crate::header::leaf_hash;
use crate::id::{Hash, LedgerId, SubjectId};
use crate::map::{MapProof, Summary};
use crate::proof::root_of_range;

/// What shows that a list is complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completeness {
    /// What the map of the last commitment says of the subject; none before the first commitment.
    pub map: Option<MapProof>,
    /// Leaves about the subject before that commitment, in order: where they are, and their bytes.
    pub before: Vec<(u64, Vec<u8>)>,
    /// Position of the last commitment, 0 before the first.
    pub first: u64,
    /// Every leaf from there to the checkpoint.
    pub since: Vec<Vec<u8>>,
    /// The range proof of these.
    pub hashes: Vec<Hash>,
}

/// Why a list is not shown to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotShown {
    /// The leaves since the last commitment are not those under the checkpoint, or not all.
    #[error("the leaves since the last commitment are not those that the checkpoint covers")]
    Since,
    /// A leaf in it is not one, of another ledger, or not where it could be.
    #[error("leaf {0} is none, of another ledger, or not where it could be")]
    Leaf(u64),
    /// No commitment where it has to begin.
    #[error("it does not begin with the last commitment")]
    Commitment,
    /// What is said of the map does not lead to the commitment.
    #[error("what the map says of the subject does not lead to the commitment")]
    Map,
    /// The leaves before the commitment are not all that the map counts, or others.
    #[error(
        "the map counts {counted} leaves about the subject up to the commitment, not these {given}"
    )]
    NotAll {
        /// As the map says.
        counted: u64,
        /// As given.
        given: u64,
    },
}

impl Completeness {
    /// Every leaf about `subject` under the checkpoint of this ledger, in order: where it is, and its
    /// bytes.
    ///
    /// # Errors
    /// [`NotShown`].
    pub fn verify(
        &self,
        subject: SubjectId,
        ledger: LedgerId,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<(u64, &[u8])>, NotShown> {
        let leaves: Vec<Hash> = self.since.iter().map(|leaf| leaf_hash(leaf)).collect();
        let all = self.first.checked_add(leaves.len() as u64) == Some(checkpoint.size);
        let root = root_of_range(self.first, &leaves, checkpoint.size, &self.hashes);
        if !all || root != Some(checkpoint.root) {
            return Err(NotShown::Since);
        }
        let mut found = self.counted(subject)?;
        // In this order: the count behind the last leaf is not taken, there may be none.
        for (bytes, position) in self.since.iter().zip(self.first..) {
            let leaf = Leaf::decode(bytes).map_err(|_| NotShown::Leaf(position))?;
            if leaf.ledger() != ledger {
                return Err(NotShown::Leaf(position));
            }
            match leaf {
                Leaf::Record(header) if header.subject == subject => found.push((position, bytes)),
                Leaf::Record(_) | Leaf::Commitment(_) => {}
            }
        }
        Ok(found)
    }

    /// The leaves before the commitment, which are all that its map counts.
    fn counted(&self, subject: SubjectId) -> Result<Vec<(u64, &[u8])>, NotShown> {
        let Some(map) = &self.map else {
            // Without a commitment everything is shown from the first leaf on.
            let from_the_start = self.first == 0 && self.before.is_empty();
            return if from_the_start { Ok(Vec::new()) } else { Err(NotShown::Commitment) };
        };
        let commitment = match self.since.first().map(|leaf| Leaf::decode(leaf)) {
            Some(Ok(Leaf::Commitment(commitment)))
                if commitment.position == self.first && commitment::is_at(self.first) =>
            {
                commitment
            }
            Some(_) | None => return Err(NotShown::Commitment),
        };
        let says = map.verify(subject, &commitment.root).map_err(|_| NotShown::Map)?;
        let says = says.unwrap_or(Summary::NONE);
        let (mut given, mut found) = (Summary::NONE, Vec::with_capacity(self.before.len()));
        for (position, bytes) in &self.before {
            match Leaf::decode(bytes) {
                Ok(Leaf::Record(header))
                    if header.subject == subject
                        && header.ledger == commitment.ledger
                        && *position < self.first
                        && (given.count == 0 || given.last < *position) => {}
                Ok(_) | Err(_) => return Err(NotShown::Leaf(*position)),
            }
            given.add(*position, &leaf_hash(bytes));
            found.push((*position, bytes.as_slice()));
        }
        if given == says {
            Ok(found)
        } else {
            Err(NotShown::NotAll { counted: says.count, given: given.count })
        }
    }
}
