//! The map of subjects: how many leaves of a ledger are about each subject, which is the last, and a
//! hash over all of them in order. A [`crate::commitment`] carries its root, so that a list of
//! somebody's records, or the answer that there are none, can be checked to be complete.
//!
//! A sparse Merkle tree over the bits of the subject, most significant first. A part that holds no
//! subject has the hash zero, one that holds a single subject has that subject's hash at whatever
//! depth it becomes alone, and any other that of its halves:
//!
//! ```text
//! subject  SHA-256(0x02 ‖ subject 16 ‖ count u64 BE ‖ last position u64 BE ‖ chained 32)
//! halves   SHA-256(0x03 ‖ left ‖ right)
//! chained  SHA-256(0x04 ‖ chained before, zero at first ‖ position u64 BE ‖ leaf hash)
//! ```
//!
//! So a root depends on what the map says alone, not on how it came to that.

use std::sync::Arc;

use crate::id::{Hash, SubjectId};

/// Bits of a subject, and so the most hashes that a [`MapProof`] can have.
pub const MAX_DEPTH: usize = 8 * SubjectId::SIZE;

/// Most subjects that stand in one list instead of a tree of their own: a list takes little memory
/// and is quick to hash.
const FEW: usize = 8;

/// What the map says of a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How many leaves are about it, at least 1 in a map.
    pub count: u64,
    /// Position of the last of them.
    pub last: u64,
    /// The hash over all of them in order, see the module.
    pub chained: Hash,
}

impl Summary {
    /// Before the first leaf.
    pub const NONE: Self = Self { count: 0, last: 0, chained: Hash::ZERO };

    /// Adds the next leaf about the subject.
    pub fn add(&mut self, position: u64, leaf: &Hash) {
        let chained = Hash::labelled::<73>(4, &[&self.chained.0, &position.to_be_bytes(), &leaf.0]);
        *self = Self { count: self.count + 1, last: position, chained };
    }

    fn hash(&self, subject: SubjectId) -> Hash {
        let (count, last) = (self.count.to_be_bytes(), self.last.to_be_bytes());
        Hash::labelled::<65>(2, &[&subject.0, &count, &last, &self.chained.0])
    }
}

/// A leaf of the ledger, as far as the map goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectLeaf {
    /// What it is about.
    pub subject: SubjectId,
    /// Where it is.
    pub position: u64,
    /// Its hash.
    pub leaf: Hash,
}

/// Leaves about one subject that follow each other.
#[derive(Clone, Copy)]
struct Run<'l> {
    subject: SubjectId,
    leaves: &'l [SubjectLeaf],
}

impl<'l> Run<'l> {
    fn of(leaves: &'l [SubjectLeaf]) -> Option<Self> {
        leaves.first().map(|leaf| Self { subject: leaf.subject, leaves })
    }
}

/// The map. Copies share what they have in common, so that a copy costs nothing and a changed copy
/// only what it changed.
#[derive(Clone, Debug)]
pub struct Map {
    root: Part,
    subjects: u64,
}

/// A part of the map: the subjects that begin alike. Its hash stands beside it, so that a change needs
/// to look at nothing beside its way.
#[derive(Clone, Debug)]
struct Part {
    hash: Hash,
    node: Arc<Node>,
}

#[derive(Clone, Debug)]
enum Node {
    /// At most [`FEW`] subjects, in order.
    Few(Vec<Entry>),
    /// More: those whose next bit is 0, and those whose is 1.
    Halves([Part; 2]),
}

/// A subject in a list. Its hash stands beside it: a change to its neighbour asks for it.
#[derive(Clone, Copy, Debug)]
struct Entry {
    subject: SubjectId,
    summary: Summary,
    hash: Hash,
}

impl Entry {
    fn new((subject, summary): (SubjectId, Summary)) -> Self {
        Self { subject, summary, hash: summary.hash(subject) }
    }
}

impl Default for Map {
    fn default() -> Self {
        Self { root: Part::of(&[], 0), subjects: 0 }
    }
}

impl PartialEq for Map {
    /// Two maps of one root say the same.
    fn eq(&self, other: &Self) -> bool {
        self.root() == other.root()
    }
}

impl Eq for Map {}

impl Map {
    /// The map of these subjects; of one that comes twice only one counts.
    #[must_use]
    pub fn new(mut subjects: Vec<(SubjectId, Summary)>) -> Self {
        subjects.sort_by_key(|(subject, _)| *subject);
        // Two of one subject never part, however deep.
        subjects.dedup_by_key(|(subject, _)| *subject);
        let count = subjects.len() as u64;
        let entries: Vec<Entry> = subjects.into_iter().map(Entry::new).collect();
        Self { root: Part::of(&entries, 0), subjects: count }
    }

    /// Its root; zero when it is empty.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.root.hash
    }

    /// How many subjects it has.
    #[must_use]
    pub fn subjects(&self) -> u64 {
        self.subjects
    }

    /// What it says of a subject.
    #[must_use]
    pub fn get(&self, subject: SubjectId) -> Option<Summary> {
        match self.prove(subject).end {
            End::Subject(found, summary) if found == subject => Some(summary),
            End::Subject(..) | End::Nobody => None,
        }
    }

    /// Adds leaves, which are in order of position, and returns what it says now of their subjects,
    /// in order of subject.
    pub fn add(&mut self, leaves: &[SubjectLeaf]) -> Vec<(SubjectId, Summary)> {
        // What follows each other is mostly about one subject: an import's records, a patient's reads.
        let mut runs: Vec<Run<'_>> =
            leaves.chunk_by(|one, next| one.subject == next.subject).filter_map(Run::of).collect();
        // Keeps the order of position within a subject.
        runs.sort_by_key(|run| run.subject);
        let mut changed = Vec::new();
        self.subjects += self.root.add(0, &runs, &mut changed);
        changed
    }

    /// What shows to whoever knows the root what the map says of a subject, or that it does not
    /// know it.
    #[must_use]
    pub fn prove(&self, subject: SubjectId) -> MapProof {
        let (mut node, mut depth, mut siblings) = (&*self.root.node, 0, Vec::new());
        let subjects = loop {
            match node {
                Node::Few(subjects) => break subjects,
                Node::Halves([left, right]) => {
                    let (next, other) =
                        if bit(subject, depth) { (right, left) } else { (left, right) };
                    siblings.push(other.hash);
                    (node, depth) = (&*next.node, depth + 1);
                }
            }
        };
        let mut part = subjects.as_slice();
        while part.len() > 1 {
            let (left, right) = halves(part, depth);
            let (next, other) = if bit(subject, depth) { (right, left) } else { (left, right) };
            siblings.push(root_of(other, depth + 1));
            (part, depth) = (next, depth + 1);
        }
        let end =
            part.first().map_or(End::Nobody, |entry| End::Subject(entry.subject, entry.summary));
        MapProof { siblings, end }
    }
}

impl Part {
    fn of(subjects: &[Entry], depth: usize) -> Self {
        if subjects.len() <= FEW {
            let hash = root_of(subjects, depth);
            return Self { hash, node: Arc::new(Node::Few(subjects.to_vec())) };
        }
        let (left, right) = halves(subjects, depth);
        let halves = [left, right].map(|half| Self::of(half, depth + 1));
        let hash = joined(&halves);
        Self { hash, node: Arc::new(Node::Halves(halves)) }
    }

    /// Adds leaves, in order of subject, and those of one subject in order of position; how many subjects
    /// are new.
    fn add(
        &mut self,
        depth: usize,
        runs: &[Run<'_>],
        changed: &mut Vec<(SubjectId, Summary)>,
    ) -> u64 {
        match Arc::make_mut(&mut self.node) {
            Node::Halves(halves) => {
                let (to_left, to_right) =
                    runs.split_at(runs.partition_point(|run| !bit(run.subject, depth)));
                let mut new = 0;
                for (half, runs) in halves.iter_mut().zip([to_left, to_right]) {
                    if !runs.is_empty() {
                        new += half.add(depth + 1, runs, changed);
                    }
                }
                self.hash = joined(halves);
                new
            }
            Node::Few(subjects) => {
                let before = subjects.len();
                for about_one in runs.chunk_by(|one, next| one.subject == next.subject) {
                    changed.extend(add_to(subjects, about_one));
                }
                let new = (subjects.len() - before) as u64;
                if subjects.len() > FEW {
                    let subjects = core::mem::take(subjects);
                    *self = Self::of(&subjects, depth);
                } else {
                    self.hash = root_of(subjects, depth);
                }
                new
            }
        }
    }
}

fn joined([left, right]: &[Part; 2]) -> Hash {
    both(&left.hash, &right.hash)
}

/// Adds leaves of one subject to a list.
fn add_to(subjects: &mut Vec<Entry>, runs: &[Run<'_>]) -> Option<(SubjectId, Summary)> {
    let subject = runs.first()?.subject;
    let found = subjects.binary_search_by_key(&subject, |entry| entry.subject);
    let known = found.ok().and_then(|place| subjects.get(place));
    let mut summary = known.map_or(Summary::NONE, |entry| entry.summary);
    for leaf in runs.iter().flat_map(|run| run.leaves) {
        summary.add(leaf.position, &leaf.leaf);
    }
    let entry = Entry::new((subject, summary));
    match found {
        Ok(place) => *subjects.get_mut(place)? = entry,
        Err(place) => {
            subjects.reserve_exact(1);
            subjects.insert(place, entry);
        }
    }
    Some((subject, summary))
}

/// What ends the way to where a subject would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// No subject begins like it.
    Nobody,
    /// The only subject that begins like it, or it itself.
    Subject(SubjectId, Summary),
}

/// What the map says of a subject, for whoever knows its root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapProof {
    /// The hashes beside the way, from the root's child on; at most [`MAX_DEPTH`].
    pub siblings: Vec<Hash>,
    /// Where the way ends.
    pub end: End,
}

/// A proof that does not lead to the root.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not lead to the root of the map")]
pub struct NotTheRoot;

impl MapProof {
    /// What the map with this root says of `subject`: none when it does not know it.
    ///
    /// # Errors
    /// [`NotTheRoot`].
    pub fn verify(&self, subject: SubjectId, root: &Hash) -> Result<Option<Summary>, NotTheRoot> {
        let depth = self.siblings.len();
        if depth > MAX_DEPTH {
            return Err(NotTheRoot);
        }
        let (mut hash, said) = match self.end {
            End::Nobody => (Hash::ZERO, None),
            End::Subject(found, summary) => {
                // Elsewhere it would say nothing about this place.
                if (0..depth).any(|depth| bit(found, depth) != bit(subject, depth)) {
                    return Err(NotTheRoot);
                }
                (summary.hash(found), (found == subject).then_some(summary))
            }
        };
        for (depth, sibling) in self.siblings.iter().enumerate().rev() {
            hash = if bit(subject, depth) { both(sibling, &hash) } else { both(&hash, sibling) };
        }
        if hash == *root { Ok(said) } else { Err(NotTheRoot) }
    }
}

/// The hash of the part of the map that holds these subjects, which begin alike to this depth.
fn root_of(subjects: &[Entry], depth: usize) -> Hash {
    match subjects {
        [] => Hash::ZERO,
        [entry] => entry.hash,
        more => {
            let (left, right) = halves(more, depth);
            both(&root_of(left, depth + 1), &root_of(right, depth + 1))
        }
    }
}

fn halves(subjects: &[Entry], depth: usize) -> (&[Entry], &[Entry]) {
    subjects.split_at(subjects.partition_point(|entry| !bit(entry.subject, depth)))
}

/// Bit `depth` of a subject, most significant first; false behind the last.
fn bit(subject: SubjectId, depth: usize) -> bool {
    subject.0.get(depth / 8).is_some_and(|byte| byte & (0x80 >> (depth % 8)) != 0)
}

fn both(left: &Hash, right: &Hash) -> Hash {
    Hash::labelled::<65>(3, &[&left.0, &right.0])
}

#[cfg(test)]
mod tests;
