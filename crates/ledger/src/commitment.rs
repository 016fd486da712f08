//! Commitment v1: the leaf that apply itself puts at every 4,096th place of a ledger. It commits to the
//! map of subjects ([`crate::map`]) over all leaves before it.
//!
//! | field | bytes |
//! |---|---|
//! | format (1), as a record header's | 1 |
//! | leaf type: 2 | 1 |
//! | ledger | 5 |
//! | position: how many leaves it covers | n |
//! | how many subjects the map has | n |
//! | root of the map | 32 |
//!
//! `n` is a postcard number (base-128, fewest bytes). No node files it and no block holds it: it
//! follows from the records before it. What makes it true is that every node makes it for itself and
//! signs the tree that has it, and that whoever reads a whole log ([`crate::audit`]) makes it again.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::header::{HEADER_FORMAT, Header, HeaderError, MAX_HEADER};
use crate::id::{Hash, LedgerId, SubjectId};
use crate::map::{Map, SubjectLeaf, Summary};
use crate::wire::{Malformed, Reader, put_number};

/// One leaf of so many is a commitment: as many headers as a proof of completeness has at most
/// (1 MiB), for rows of the map that are written not too often.
pub const EVERY: u64 = 4096;

/// Behind format 1: neither a record nor a control record.
const LEAF_TYPE: u8 = 2;

/// Whether the leaf at a position is a commitment.
#[must_use]
pub const fn is_at(position: u64) -> bool {
    position % EVERY == EVERY - 1
}

/// Position of a contribution's record: the records of one follow each other, but for commitments.
#[must_use]
pub const fn place(first_position: u64, index: u16) -> u64 {
    let plainly = first_position.saturating_add(index as u64);
    // A contribution has fewer records than there are between two commitments.
    plainly.saturating_add((first_position / EVERY != plainly.saturating_add(1) / EVERY) as u64)
}

/// How many leaves there are with the last record of a contribution, which has at least one.
#[must_use]
pub const fn end(first_position: u64, count: u16) -> u64 {
    place(first_position, count.saturating_sub(1)).saturating_add(1)
}

/// A commitment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commitment {
    /// The ledger.
    pub ledger: LedgerId,
    /// Where it stands, from 0, and so how many leaves it covers.
    pub position: u64,
    /// How many subjects these are about.
    pub subjects: u64,
    /// Root of their map.
    pub root: Hash,
}

impl Commitment {
    /// At `position`, to the map of all leaves before it.
    #[must_use]
    pub fn new(ledger: LedgerId, position: u64, map: &Map) -> Self {
        Self { ledger, position, subjects: map.subjects(), root: map.root() }
    }

    /// The leaf's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![HEADER_FORMAT, LEAF_TYPE];
        out.extend_from_slice(&self.ledger.to_bytes());
        put_number(&mut out, self.position);
        put_number(&mut out, self.subjects);
        out.extend_from_slice(&self.root.0);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Reader::new(bytes);
        if from.array()? != [HEADER_FORMAT, LEAF_TYPE] {
            return Err(Malformed);
        }
        let commitment = Self {
            ledger: LedgerId::from_bytes(from.array()?).ok_or(Malformed)?,
            position: from.u64()?,
            subjects: from.u64()?,
            root: Hash(from.array()?),
        };
        from.finish()?;
        Ok(commitment)
    }
}

/// A leaf of a ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// The header of a record that was filed.
    Record(Header),
    /// A commitment.
    Commitment(Commitment),
}

impl Leaf {
    /// The ledger that it says it is of.
    #[must_use]
    pub fn ledger(&self) -> LedgerId {
        match self {
            Self::Record(header) => header.ledger,
            Self::Commitment(commitment) => commitment.ledger,
        }
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// As [`Header::decode`].
    pub fn decode(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > MAX_HEADER {
            return Err(HeaderError::TooLong);
        }
        match bytes {
            [HEADER_FORMAT, LEAF_TYPE, ..] => Ok(Self::Commitment(Commitment::decode(bytes)?)),
            _ => Header::decode(bytes).map(Self::Record),
        }
    }
}

/// Leaves that are worth adding to the map before the next commitment asks for it: few enough that a
/// copy of [`Subjects`], which shares all but them, costs little.
const TOGETHER: usize = 64;

/// The map as of the last commitment, and what the next one adds.
#[derive(Clone, Debug, Default)]
pub struct Subjects {
    map: Map,
    /// The same with what came since, but for the newest: else a commitment would take as long as
    /// thousands of leaves take, and whoever waits for the block it stands in with it.
    ahead: Map,
    /// What `ahead` says anew, as it came.
    changed: Vec<Arc<Vec<(SubjectId, Summary)>>>,
    newest: Vec<SubjectLeaf>,
}

impl PartialEq for Subjects {
    /// Whether both are at the same commitment and would come to the same next one.
    fn eq(&self, other: &Self) -> bool {
        let next = |subjects: &Self| {
            let mut ahead = subjects.ahead.clone();
            ahead.add(&subjects.newest);
            ahead
        };
        self.map == other.map && next(self) == next(other)
    }
}

impl Eq for Subjects {}

impl Subjects {
    /// Right behind a commitment to this map, or at the beginning.
    #[must_use]
    pub fn new(map: Map) -> Self {
        Self { ahead: map.clone(), map, changed: Vec::new(), newest: Vec::new() }
    }

    /// The map as of the last commitment; empty before the first.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// Takes the next leaf that is not a commitment.
    pub fn add(&mut self, position: u64, subject: SubjectId, leaf: Hash) {
        self.newest.push(SubjectLeaf { subject, position, leaf });
    }

    /// Does now what the next commitment would have to do else, if that is worth while. Called after
    /// each block: a step is 64 leaves, or as many as the block has.
    pub fn advance(&mut self) {
        if self.newest.len() >= TOGETHER {
            self.take_newest();
        }
    }

    fn take_newest(&mut self) {
        self.changed.push(Arc::new(self.ahead.add(&self.newest)));
        self.newest.clear();
    }

    /// The commitment at `position`, which is the next, and what it changes in the map.
    pub fn commit(
        &mut self,
        ledger: LedgerId,
        position: u64,
    ) -> (Commitment, BTreeMap<SubjectId, Summary>) {
        self.take_newest();
        self.map = self.ahead.clone();
        // Of what a subject has more than one of, the later stays.
        let changed = self.changed.drain(..).flat_map(Arc::unwrap_or_clone).collect();
        (Commitment::new(ledger, position, &self.map), changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::assert_golden;

    #[test]
    fn records_of_a_contribution_stand_beside_commitments() {
        assert!(!is_at(0) && is_at(4095) && !is_at(4096) && is_at(8191));
        for (first, index, at) in
            [(0, 0, 0), (4094, 0, 4094), (4094, 1, 4096), (4000, 94, 4094), (4000, 255, 4256)]
        {
            assert_eq!(place(first, index), at, "{first}, {index}");
        }
        for first in (3800..4300).filter(|first| !is_at(*first)) {
            let mut next = first;
            for index in 0..256 {
                assert_eq!(place(first, index), next);
                next += 1 + u64::from(is_at(next + 1));
            }
        }
    }

    #[test]
    fn the_leaf_comes_back_from_its_bytes_and_is_no_header() {
        let commitment = Commitment {
            ledger: LedgerId::ACCESS,
            position: 4095,
            subjects: 200,
            root: Hash([7; 32]),
        };
        let bytes = commitment.encode();
        assert_golden("commitment_v1", &bytes);
        assert_eq!(Leaf::decode(&bytes), Ok(Leaf::Commitment(commitment)));
        assert!(Header::decode(&bytes).is_err());
        for cut in 0..bytes.len() {
            assert!(Leaf::decode(&bytes[..cut]).is_err());
        }
        assert!(Leaf::decode(&[bytes.as_slice(), &[0]].concat()).is_err());
    }
}
