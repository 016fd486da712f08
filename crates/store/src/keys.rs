//! Column families and their keys. Numbers are big-endian and fixed in width, so that RocksDB's
//! order is ours; the five bytes of the ledger come first, so that a ledger is one range.
//!
//! | column family | key | bytes | value (see `rows`) |
//! |---|---|---|---|
//! | `records` | ledger 5 ‖ position 8 | 13 | header and body |
//! | `blocks` | ledger ‖ sequence 8 | 13 | stream hash, message without its records |
//! | `chains` | ledger ‖ chain 16 ‖ version 8 | 29 | position 8 ‖ recorded at 8 |
//! | `heads` | ledger ‖ chain 16 | 21 | chain head |
//! | `settled` | ledger ‖ contribution 32 | 37 | how it was settled |
//! | `destroyed` | ledger ‖ key 16 | 21 | nothing |
//! | `tiles` | ledger ‖ level 1 ‖ index 8 | 14 | 256 hashes, as served |
//! | `subjects` | ledger ‖ subject 16 | 21 | what the map of subjects says, as of the last commitment |
//! | `files` | ledger ‖ subject 16 | 21 | sealed identity (view) |
//! | `files` | ledger ‖ subject 16 ‖ 0 | 22 | sealed authors of its last records (view) |
//! | `files` | ledger ‖ subject 16 ‖ section 1 ‖ entry 16 | 38 | sealed entry (view) |
//! | `identifiers` | ledger ‖ term 32 | 37 | sealed patient id (view) |
//! | `terms` | ledger ‖ subject 16 ‖ term 32 | 53 | nothing (view; to find a patient's terms) |
//! | `by_subject` | ledger ‖ subject 16 ‖ position 8 | 29 | nothing (view, access ledger) |
//! | `by_actor` | ledger ‖ actor 16 ‖ position 8 | 29 | nothing (view, access ledger) |
//! | `by_time` | ledger ‖ recorded at 8 ‖ position 8 | 21 | nothing (view, access ledger) |
//! | `unfolded` | ledger ‖ subject 16 ‖ version 8 | 29 | position 8 (view) |
//! | `checkpoints` | ledger ‖ size 8 ‖ node 16 | 29 | a signed note |
//! | `meta` | ledger ‖ tag 1 | 6 | by tag, see [`MetaTag`] |
//! | `foreign` | ledger ‖ sequence 8 ‖ SHA-256 32 | 45 | a message of another history |
//!
//! The section of an entry is its kind's tag, from 1. A file's rows lie together: whoever looks at one looks
//! at the others, and of most files no cache holds any. The spool has a database of its own (see `spool`).

use domain::{EntryId, Kind};
use ledger::{ActorId, ContributionId, Hash, KeyId, LedgerId, NodeId, SubjectId};

pub(crate) const RECORDS: &str = "records";
pub(crate) const BLOCKS: &str = "blocks";
pub(crate) const CHAINS: &str = "chains";
pub(crate) const HEADS: &str = "heads";
pub(crate) const SETTLED: &str = "settled";
pub(crate) const DESTROYED: &str = "destroyed";
pub(crate) const TILES: &str = "tiles";
pub(crate) const SUBJECTS: &str = "subjects";
pub(crate) const FILES: &str = "files";
pub(crate) const IDENTIFIERS: &str = "identifiers";
pub(crate) const TERMS: &str = "terms";
pub(crate) const BY_SUBJECT: &str = "by_subject";
pub(crate) const BY_ACTOR: &str = "by_actor";
pub(crate) const BY_TIME: &str = "by_time";
pub(crate) const UNFOLDED: &str = "unfolded";
pub(crate) const CHECKPOINTS: &str = "checkpoints";
pub(crate) const META: &str = "meta";
pub(crate) const FOREIGN: &str = "foreign";

/// Every column family.
pub(crate) const TABLES: [&str; 18] = [
    RECORDS,
    BLOCKS,
    CHAINS,
    HEADS,
    SETTLED,
    DESTROYED,
    TILES,
    SUBJECTS,
    FILES,
    IDENTIFIERS,
    TERMS,
    BY_SUBJECT,
    BY_ACTOR,
    BY_TIME,
    UNFOLDED,
    CHECKPOINTS,
    META,
    FOREIGN,
];

/// Those that can be made anew from the others and the keys.
pub(crate) const VIEWS: [&str; 7] =
    [FILES, IDENTIFIERS, TERMS, BY_SUBJECT, BY_ACTOR, BY_TIME, UNFOLDED];

/// Views of earlier versions, whose rows are in others now.
pub(crate) const FORMER_VIEWS: [&str; 2] = ["authors", "entries"];

/// Rows of `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetaTag {
    /// `ledger::State` without the tree's hashes.
    State = 1,
    /// Version of the views, u32; absent while they are being rebuilt.
    ViewVersion = 2,
    /// The text of the largest checkpoint that this node signed.
    LastCheckpoint = 3,
    /// `ledger::Override` that this node was given and that is not yet filed.
    Override = 4,
    /// Last sequence of the stream when this node last heard of an end far beyond what it had
    /// applied, u64.
    KnownEnd = 5,
    /// The newest size whose checkpoint a majority had signed when this node last knew, u64.
    NewestCheckpoint = 6,
    /// The note of the newest checkpoint that the quorum of witnesses had cosigned, with their
    /// signatures; absent without any.
    Witnessed = 7,
}

/// Fills an array from parts whose lengths sum to `N`.
fn join<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    debug_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), N, "key width");
    let mut key = [0; N];
    for (to, from) in key.iter_mut().zip(parts.iter().copied().flatten()) {
        *to = *from;
    }
    key
}

pub(crate) fn record(ledger: LedgerId, position: u64) -> [u8; 13] {
    join(&[&ledger.to_bytes(), &position.to_be_bytes()])
}

pub(crate) fn block(ledger: LedgerId, sequence: u64) -> [u8; 13] {
    join(&[&ledger.to_bytes(), &sequence.to_be_bytes()])
}

pub(crate) fn chain(ledger: LedgerId, chain: SubjectId, version: u64) -> [u8; 29] {
    join(&[&ledger.to_bytes(), &chain.0, &version.to_be_bytes()])
}

pub(crate) fn head(ledger: LedgerId, chain: SubjectId) -> [u8; 21] {
    join(&[&ledger.to_bytes(), &chain.0])
}

pub(crate) fn settled(ledger: LedgerId, contribution: &ContributionId) -> [u8; 37] {
    join(&[&ledger.to_bytes(), &contribution.0])
}

pub(crate) fn destroyed(ledger: LedgerId, key: KeyId) -> [u8; 21] {
    join(&[&ledger.to_bytes(), &key.0])
}

pub(crate) fn tile(ledger: LedgerId, level: u8, index: u64) -> [u8; 14] {
    join(&[&ledger.to_bytes(), &[level], &index.to_be_bytes()])
}

/// Also the key in `subjects`, and the prefix of the subject's rows in `files`, `terms`, `by_subject` and
/// `unfolded`.
pub(crate) fn file(ledger: LedgerId, subject: SubjectId) -> [u8; 21] {
    join(&[&ledger.to_bytes(), &subject.0])
}

pub(crate) fn authors(ledger: LedgerId, subject: SubjectId) -> [u8; 22] {
    join(&[&ledger.to_bytes(), &subject.0, &[0]])
}

/// Where a file's entries begin.
pub(crate) fn entries(ledger: LedgerId, subject: SubjectId) -> [u8; 22] {
    join(&[&ledger.to_bytes(), &subject.0, &[1]])
}

pub(crate) fn entry(ledger: LedgerId, subject: SubjectId, kind: Kind, id: EntryId) -> [u8; 38] {
    join(&[&ledger.to_bytes(), &subject.0, &[kind.tag()], &id.0])
}

pub(crate) fn section(ledger: LedgerId, subject: SubjectId, kind: Kind) -> [u8; 22] {
    join(&[&ledger.to_bytes(), &subject.0, &[kind.tag()]])
}

pub(crate) fn identifier(ledger: LedgerId, term: &[u8; 32]) -> [u8; 37] {
    join(&[&ledger.to_bytes(), term])
}

pub(crate) fn term(ledger: LedgerId, subject: SubjectId, term: &[u8; 32]) -> [u8; 53] {
    join(&[&ledger.to_bytes(), &subject.0, term])
}

pub(crate) fn by_subject(ledger: LedgerId, subject: SubjectId, position: u64) -> [u8; 29] {
    join(&[&ledger.to_bytes(), &subject.0, &position.to_be_bytes()])
}

pub(crate) fn by_actor(ledger: LedgerId, actor: ActorId, position: u64) -> [u8; 29] {
    join(&[&ledger.to_bytes(), &actor.0, &position.to_be_bytes()])
}

pub(crate) fn by_time(ledger: LedgerId, recorded_at: u64, position: u64) -> [u8; 21] {
    join(&[&ledger.to_bytes(), &recorded_at.to_be_bytes(), &position.to_be_bytes()])
}

pub(crate) fn unfolded(ledger: LedgerId, subject: SubjectId, version: u64) -> [u8; 29] {
    join(&[&ledger.to_bytes(), &subject.0, &version.to_be_bytes()])
}

/// The prefix of what nodes signed of a size.
pub(crate) fn checkpoints(ledger: LedgerId, size: u64) -> [u8; 13] {
    join(&[&ledger.to_bytes(), &size.to_be_bytes()])
}

pub(crate) fn checkpoint(ledger: LedgerId, size: u64, node: NodeId) -> [u8; 29] {
    join(&[&checkpoints(ledger, size), &node.0])
}

pub(crate) fn meta(ledger: LedgerId, tag: MetaTag) -> [u8; 6] {
    join(&[&ledger.to_bytes(), &[tag as u8]])
}

pub(crate) fn foreign(ledger: LedgerId, sequence: u64, hash: &Hash) -> [u8; 45] {
    join(&[&ledger.to_bytes(), &sequence.to_be_bytes(), &hash.0])
}

/// The first key after all that begin with `prefix`; `None` when there is none (all bytes 0xff).
pub(crate) fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// The subject behind the ledger in a key.
pub(crate) fn subject(key: &[u8]) -> Option<SubjectId> {
    let (_, rest) = key.split_at_checked(LedgerId::SIZE)?;
    rest.first_chunk().copied().map(SubjectId)
}

/// The number in the last eight bytes of a key: position, sequence, version.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    key.last_chunk::<8>().map(|bytes| u64::from_be_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_their_numbers_and_begin_with_the_ledger() {
        let ledger = LedgerId::RECORDS;
        assert!(record(ledger, 255) < record(ledger, 256));
        assert!(record(ledger, u64::MAX) < record(LedgerId::ACCESS, 0));
        let subject = SubjectId([7; 16]);
        assert!(chain(ledger, subject, 1) < chain(ledger, subject, 1 << 40));
        assert!(chain(ledger, subject, 9).starts_with(&head(ledger, subject)));
        assert_eq!(last_number(&chain(ledger, subject, 9)), Some(9));
        let entry = entry(ledger, subject, Kind::Note, EntryId([1; 16]));
        assert!(entry.starts_with(&file(ledger, subject)));
        assert!(entry.starts_with(&section(ledger, subject, Kind::Note)));
        let (file, authors) = (file(ledger, subject), authors(ledger, subject));
        let first = Kind::ALL.iter().map(|kind| section(ledger, subject, *kind)).min();
        assert!(authors.starts_with(&file) && Some(entries(ledger, subject)) <= first);
        assert!(authors < entries(ledger, subject));
    }

    #[test]
    fn the_end_of_a_prefix_is_after_all_its_keys() {
        assert_eq!(after_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after_prefix(&[1, 0xff]), Some(vec![2]));
        assert_eq!(after_prefix(&[0xff, 0xff]), None);
    }

    #[test]
    fn every_view_is_a_table() {
        assert!(VIEWS.iter().all(|view| TABLES.contains(view)));
    }
}
