//! Notes, keys and checkpoints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledger::checkpoint::Checkpoint;
use ledger::note::{KeyType, SignedNote, Vkey};
use ledger::{Hash, SigningKey};
use proptest::prelude::*;
use proptest::sample::Index;
use signed_note::{Note, Signer, StandardSigner, StandardVerifier, Verifier, VerifierList};
use tlog_tiles::tlog;

/// Cases of each test: a second in all.
const CASES: u32 = 1_000;

/// A signer in both.
struct Pair {
    name: String,
    key: SigningKey,
    vkey: Vkey,
    signer: StandardSigner,
}

impl Pair {
    fn new(name: &str, seed: [u8; 32]) -> Self {
        let key = SigningKey::from_bytes(&seed);
        let public = key.verifying_key().to_bytes();
        let vkey = Vkey::new(name, KeyType::Signature, public).unwrap();
        let secret = STANDARD.encode([[1].as_slice(), &seed].concat());
        let spelt = format!("PRIVATE+KEY+{name}+{}+{secret}", hex::encode(vkey.id()));
        let signer = StandardSigner::new(&spelt).unwrap();
        Self { name: name.to_owned(), key, vkey, signer }
    }

    /// Their verifier, read from what ours prints.
    fn verifier(&self) -> Box<dyn Verifier> {
        Box::new(StandardVerifier::new(&self.vkey.to_string()).unwrap())
    }
}

/// How many known keys signed: by ours and by `signed_note`, none where the note is refused.
fn signed_by(note: &[u8], known: &[&Pair]) -> (Option<usize>, Option<usize>) {
    let keys: Vec<Vkey> = known.iter().map(|pair| pair.vkey.clone()).collect();
    let by_us = std::str::from_utf8(note)
        .ok()
        .and_then(|text| text.parse::<SignedNote>().ok())
        .and_then(|note| note.verify(&keys).map(|verified| verified.len()).ok());
    let list = VerifierList::new(known.iter().map(|pair| pair.verifier()).collect());
    let by_them = Note::from_bytes(note)
        .ok()
        .and_then(|note| note.verify(&list).map(|(verified, _)| verified.len()).ok());
    (by_us, by_them)
}

fn names() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9.-]{0,20}(/[a-z0-9\u{e9}\u{4e00}]{1,8}){0,3}"
}

/// Text of a note: lines of anything but control characters, empty ones too.
fn texts() -> impl Strategy<Value = String> {
    prop::collection::vec("[^\\x00-\\x1f]{0,30}", 1..6).prop_map(|lines| lines.join("\n") + "\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn notes_are_signed_alike_and_hold_for_both(
        text in texts(),
        names in (names(), names()),
        seeds: [[u8; 32]; 2],
        at: Index,
        bit in 0_u32..8,
    ) {
        let (one, two) = (Pair::new(&names.0, seeds[0]), Pair::new(&names.1, seeds[1]));
        let mut by_us = SignedNote::new(text.clone()).unwrap();
        by_us.sign(&one.name, &one.key);
        by_us.sign(&two.name, &two.key);
        let mut by_them = Note::new(text.as_bytes(), &[]).unwrap();
        by_them.add_sigs(&[&one.signer as &dyn Signer, &two.signer]).unwrap();
        let note = by_them.to_bytes();
        let signed = by_us.to_string().into_bytes();
        prop_assert_eq!(&signed, &note);
        prop_assert_eq!(signed_by(&note, &[&one, &two]), (Some(2), Some(2)));
        prop_assert_eq!(signed_by(&note, &[&two]), (Some(1), Some(1)));
        let stranger = Pair::new(&names.0, [7; 32]);
        prop_assert_eq!(signed_by(&note, &[&stranger]), (None, None));

        // Signed by one key alone, no bit of it can change.
        let mut by_us = SignedNote::new(text).unwrap();
        by_us.sign(&one.name, &one.key);
        let mut note = by_us.to_string().into_bytes();
        let at = at.index(note.len());
        note[at] ^= 1 << bit;
        prop_assert_eq!(signed_by(&note, &[&one]), (None, None), "bit {} of byte {}", bit, at);
    }

    /// Whatever is done to a note: both understand it or both refuse it.
    #[test]
    fn changed_notes_are_understood_by_both_or_by_none(
        text in texts(),
        name in names(),
        seed: [u8; 32],
        changes in prop::collection::vec((any::<Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let one = Pair::new(&name, seed);
        let mut note = SignedNote::new(text).unwrap();
        note.sign(&one.name, &one.key);
        note.sign("stranger.example", &SigningKey::from_bytes(&[9; 32]));
        let mut bytes = note.to_string().into_bytes();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes.insert(at, byte),
                1 => bytes.insert(at, b'\n'),
                2 => drop(bytes.remove(at)),
                _ => bytes[at] = byte,
            }
        }
        let text = std::str::from_utf8(&bytes).ok();
        let ours = text.and_then(|text| text.parse::<SignedNote>().ok());
        let theirs = Note::from_bytes(&bytes).ok();
        let seen = ours.as_ref().map(|note| note.text().as_bytes().to_vec());
        prop_assert_eq!(seen, theirs.as_ref().map(|note| note.text().to_vec()));
        prop_assert_eq!(ours.map(|note| note.to_string().into_bytes()), theirs.map(|note| note.to_bytes()));
        let (by_us, by_them) = signed_by(&bytes, &[&one]);
        prop_assert_eq!(by_us, by_them);
    }

    #[test]
    fn keys_are_spelt_alike(name in names(), seed: [u8; 32], at: Index, bit in 0_u32..8) {
        let one = Pair::new(&name, seed);
        let spelt = one.vkey.to_string();
        let theirs = StandardVerifier::new(&spelt).unwrap();
        prop_assert_eq!(theirs.name(), one.vkey.name());
        prop_assert_eq!(theirs.key_id().to_be_bytes(), one.vkey.id());
        let mut bytes = spelt.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(changed) = std::str::from_utf8(&bytes) {
            prop_assert!(changed.parse::<Vkey>().is_err(), "{}", changed);
            // They also read the id in capitals, which is the same key spelt another way.
            let same = changed.eq_ignore_ascii_case(&spelt) && changed.starts_with(&name);
            prop_assert!(same || StandardVerifier::new(changed).is_err(), "{}", changed);
        }
    }

    #[test]
    fn checkpoints_say_the_same(
        origin in names(),
        size: u64,
        root: [u8; 32],
        extension in prop::collection::vec("[^\\x00-\\x1f]{1,20}", 0..3),
        change in prop::option::of((any::<Index>(), any::<bool>(), "[0+= \n]|[ -~]")),
    ) {
        let checkpoint = Checkpoint { origin: origin.clone(), size, root: Hash(root) };
        let theirs = tlog_tiles::checkpoint::Checkpoint::new(&origin, size, tlog::Hash(root), "");
        prop_assert_eq!(checkpoint.to_string().into_bytes(), theirs.unwrap().to_bytes());
        let mut text = checkpoint.to_string();
        text.extend(extension.iter().map(|line| format!("{line}\n")));
        if let Some((at, starts, put)) = change {
            // Anywhere, or where a line starts: another spelling of a number begins there.
            let lines = text.match_indices('\n').map(|(at, _)| at + 1);
            let anywhere = text.char_indices().map(|(at, _)| at);
            let places: Vec<usize> = if starts { lines.collect() } else { anywhere.collect() };
            text.insert_str(places[at.index(places.len())], &put);
        }
        let ours = text.parse::<Checkpoint>().ok();
        let theirs = tlog_tiles::checkpoint::Checkpoint::from_bytes(text.as_bytes()).ok();
        let theirs = theirs.map(|theirs| Checkpoint {
            origin: theirs.origin().to_owned(),
            size: theirs.size(),
            root: Hash(theirs.hash().0),
        });
        prop_assert_eq!(ours, theirs, "{:?}", text);
    }
}
