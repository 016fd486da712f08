//! Texts: notes, keys, checkpoints, proofs, paths of tiles, policies and what a witness is asked.

use std::fmt::Debug;
use std::str::FromStr;

use ledger::TilePath;
use ledger::checkpoint::{Checkpoint, TlogProof};
use ledger::note::{KeyType, SignedNote, Vkey};
use ledger::policy::Policy;
use ledger::tree::TileKind;
use ledger::witness::AddCheckpoint;

use crate::seeds::{self, Log};

/// Parses a text of which there is one spelling: it must be printed as it stood.
fn one_spelling<T: FromStr + ToString>(bytes: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(bytes).ok()?;
    let parsed: T = text.parse().ok()?;
    assert_eq!(parsed.to_string(), text, "one spelling");
    Some(parsed)
}

/// What was printed reads as what was printed.
fn reads_again<T: FromStr<Err: Debug> + ToString + PartialEq + Debug>(parsed: &T) {
    let again = parsed.to_string().parse::<T>();
    assert!(again.as_ref().is_ok_and(|again| again == parsed), "{parsed:?} became {again:?}");
}

/// A note is printed as it stood, and a text that a known key signed is the one that it did sign.
pub(crate) fn note(bytes: &[u8]) -> bool {
    let Some(note) = one_spelling::<SignedNote>(bytes) else { return false };
    assert!(note.text().ends_with('\n') && !note.signatures.is_empty());
    let log = Log::get();
    if let Ok(verified) = note.verify(&log.keys) {
        assert_eq!(note.text(), log.note.text(), "nobody signed this");
        assert!((1..=log.keys.len()).contains(&verified.len()), "one a key");
    }
    let _ = note.text().parse::<Checkpoint>();
    true
}

/// What a witness is asked is printed as it stood, and names the log of its note.
pub(crate) fn add_checkpoint(bytes: &[u8]) -> bool {
    let Some(asked) = one_spelling::<AddCheckpoint>(bytes) else { return false };
    let named = asked.note.text().parse().ok().map(|checkpoint: Checkpoint| checkpoint.origin);
    assert_eq!(asked.origin(), named);
    true
}

/// A checkpoint begins as it is printed; extension lines, which are passed over, may follow.
pub(crate) fn checkpoint(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(checkpoint) = text.parse::<Checkpoint>() else { return false };
    let rest = text.strip_prefix(&checkpoint.to_string());
    assert!(rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('\n')), "one spelling");
    reads_again(&checkpoint);
    if let Ok(note) = checkpoint.to_note() {
        assert_eq!(note.text(), checkpoint.to_string());
    }
    true
}

/// A proof is printed as it stood but for its `extra` line, and no other proof holds for the leaf.
pub(crate) fn proof(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(proof) = text.parse::<TlogProof>() else { return false };
    let extra = text.split_inclusive('\n').nth(1).filter(|line| line.starts_with("extra "));
    let bare = extra.map_or_else(|| text.to_owned(), |line| text.replacen(line, "", 1));
    assert_eq!(proof.to_string(), bare, "one spelling");
    reads_again(&proof);
    let log = Log::get();
    if proof.verify(&log.leaf, &log.checkpoint.origin, &log.keys).is_ok() {
        assert_eq!(
            (proof.index, &proof.proof),
            (log.proof.index, &log.proof.proof),
            "another proof"
        );
    }
    true
}

/// A key is printed as it stood and is what its parts make.
pub(crate) fn vkey(bytes: &[u8]) -> bool {
    let Some(key) = one_spelling::<Vkey>(bytes) else { return false };
    assert!(matches!(key.kind(), KeyType::Signature | KeyType::Cosignature));
    assert_eq!(Vkey::new(key.name(), key.kind(), *key.public_key()).as_ref(), Ok(&key));
    true
}

/// A path is printed as it stood.
pub(crate) fn path(bytes: &[u8]) -> bool {
    let Some(path) = one_spelling::<TilePath>(bytes) else { return false };
    assert!((1..=256).contains(&path.width) && path.is_full() == (path.width == 256));
    assert!(matches!(path.kind, TileKind::Entries | TileKind::Hashes(..64)));
    true
}

/// A policy is its words: comments and white space say nothing. Without the log nobody is enough,
/// and whoever signs more is accepted by no fewer policies.
pub(crate) fn policy(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let Ok(policy) = text.parse::<Policy>() else { return false };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let words = |line: &str| line.split_whitespace().collect::<Vec<&str>>().join(" ");
    let bare: Vec<String> = lines.map(words).filter(|line| !line.is_empty()).collect();
    assert_eq!(bare.join("\n").parse::<Policy>().as_ref(), Ok(&policy), "its words say it all");
    let mut accepted = false;
    for note in seeds::signed_by_more_and_more() {
        let now = policy.open(&note);
        assert!(now.is_ok() || !accepted, "one signature more is too many");
        accepted = now.is_ok();
    }
    let mut others = Log::get().note.clone();
    others.signatures.remove(0);
    assert!(policy.open(&others).is_err(), "without the log");
    true
}
