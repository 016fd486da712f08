use super::*;
use crate::id::Hash;
use crate::testing::{assert_golden, key, public};

const EXAMPLE: &str = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
const TEXT: &str = "ledger.example/one\n3\nq6q6q6o=\n";

fn vkey(name: &str, kind: KeyType, seed: u8) -> Vkey {
    Vkey::new(name, kind, public(seed)).unwrap()
}

fn signed() -> SignedNote {
    let mut note = SignedNote::new(TEXT.to_owned()).unwrap();
    note.sign("ledger.example/one", &key(1));
    note.cosign("witness.example", &key(2), 1_767_000_000);
    note
}

#[test]
fn golden_bytes_and_sizes() {
    let note = signed();
    assert_eq!(note.signatures[0].signature.len(), 64);
    assert_eq!(note.signatures[1].signature.len(), 8 + 64);
    assert_golden("note", note.to_string().as_bytes());
    assert_eq!(note.to_string().parse(), Ok(note));
}

#[test]
fn the_example_key_of_the_specification_is_read() {
    let vkey: Vkey = EXAMPLE.parse().unwrap();
    assert_eq!((vkey.name(), vkey.kind()), ("example.com/foo", KeyType::Signature));
    assert_eq!(hex::encode(vkey.id()), "530d903a");
    assert_eq!(vkey.to_string(), EXAMPLE);
    let wrong = EXAMPLE.replace("530d903a", "530d903b");
    assert_eq!(wrong.parse::<Vkey>(), Err(VkeyError::WrongId));
    assert_eq!("foo".parse::<Vkey>(), Err(VkeyError::Form));
    assert_eq!("foo+00000000+AgAA".parse::<Vkey>(), Err(VkeyError::NotEd25519));
    for name in ["", "a b", "a+b", "a\u{1}b", "a\u{3000}b"] {
        assert_eq!(
            Vkey::new(name, KeyType::Signature, public(1)),
            Err(VkeyError::Form),
            "{name:?}"
        );
    }
    assert_eq!(Vkey::new("a", KeyType::Signature, [0; 32]), Err(VkeyError::NotEd25519));
}

#[test]
fn known_keys_verify_and_unknown_ones_are_passed_over() {
    let log = vkey("ledger.example/one", KeyType::Signature, 1);
    let witness = vkey("witness.example", KeyType::Cosignature, 2);
    let stranger = vkey("stranger.example", KeyType::Signature, 3);
    let both = [log, stranger.clone(), witness];
    let note = signed();
    let verified: Vec<_> =
        note.verify(&both).unwrap().iter().map(|by| (by.key.name(), by.time)).collect();
    assert_eq!(verified, [("ledger.example/one", 0), ("witness.example", 1_767_000_000)]);
    assert_eq!(note.verify(&[stranger]), Err(NoteError::NotSigned));
    assert_eq!(note.verify(&[]), Err(NoteError::NotSigned));

    let mut twice = note.clone();
    twice.signatures.push(note.signatures[0].clone());
    assert_eq!(twice.verify(&both[..1]).unwrap().len(), 1, "one a key");
}

#[test]
fn a_known_keys_bad_signature_spoils_the_note() {
    let keys = [
        vkey("ledger.example/one", KeyType::Signature, 1),
        vkey("witness.example", KeyType::Cosignature, 2),
    ];
    for (line, place) in [(0, 0), (0, 63), (1, 0), (1, 7), (1, 8), (1, 71)] {
        let mut note = signed();
        note.signatures[line].signature[place] ^= 1;
        assert_eq!(note.verify(&keys), Err(NoteError::BadSignature), "{line} {place}");
    }
    let mut other: SignedNote = signed().to_string().replace("\n3\n", "\n4\n").parse().unwrap();
    assert_eq!(other.verify(&keys), Err(NoteError::BadSignature));
    other.signatures[0].signature.truncate(63);
    assert_eq!(other.verify(&keys[..1]), Err(NoteError::BadSignature));
}

#[test]
fn what_is_no_note_is_refused() {
    let good = signed().to_string();
    let bad = [
        String::new(),
        TEXT.to_owned(),
        good.trim_end().to_owned(),
        good.replace('\u{2014}', "-"),
        good.replace("\u{2014} witness.example ", "\u{2014} a+b "),
        good.replace("\u{2014} witness.example ", "\u{2014} a\u{1}b "),
        good.replace("one\n", "one\r\n"),
        format!("{good}\n"),
        good.replace("=\n\n", "=\n"),
    ];
    for text in bad {
        assert_eq!(text.parse::<SignedNote>(), Err(NoteError::Form), "{text:?}");
    }
    let line = good.lines().last().unwrap();
    let many = |count| format!("{TEXT}\n{}", format!("{line}\n").repeat(count));
    assert!(many(MAX_SIGNATURES).parse::<SignedNote>().is_ok());
    assert_eq!(many(MAX_SIGNATURES + 1).parse::<SignedNote>(), Err(NoteError::Form));
    assert_eq!(SignedNote::new("no end".to_owned()), Err(NoteError::Form));
    assert_eq!(SignedNote::new("a\tb\n".to_owned()), Err(NoteError::Form));
}

#[test]
fn the_last_empty_line_separates() {
    let mut note = SignedNote::new("a\n\nb\n".to_owned()).unwrap();
    note.sign("n", &key(1));
    assert_eq!(note.to_string().parse::<SignedNote>().unwrap().text(), "a\n\nb\n");
}

/// A log and a witness that four unrelated verifiers accepted, made from the seeds SHA-256("log")
/// and SHA-256("wit").
#[test]
fn signatures_are_those_other_verifiers_accepted() {
    let text =
        "ledger.hospital.example/log1\n70000\nrrcsJMg8f5Van4afhRM7zA3q8G1RjrUyMn2TAIYVMYk=\n";
    let seed = |name: &str| SigningKey::from_bytes(&Hash::of(name.as_bytes()).0);
    let mut note = SignedNote::new(text.to_owned()).unwrap();
    note.sign("ledger.hospital.example/log1", &seed("log"));
    note.cosign("witness.example/w1", &seed("wit"), 1_767_000_000);
    let expected = format!(
        "{text}\n\
        \u{2014} ledger.hospital.example/log1 g2Q26EhuXoOWZknP52t+7UqTrhRPGdGA7irvn0+zQ56F9YtVwbn\
        UegXHhzPh9SuFQ+77SXKDtLK4F5XtbXSrjhYEIQQ=\n\
        \u{2014} witness.example/w1 JML9ygAAAABpUkfA1gjCcSz8IASCCm/JujMoXzINoJUvb7rH6TPPmIj3hj9K7v\
        gAcJOD+9H+OASsuHkYZWLsuISd2TymVXhoqxrGAA==\n"
    );
    assert_eq!(note.to_string(), expected);
    let keys: Vec<Vkey> = [
        "ledger.hospital.example/log1+836436e8+AZsfhHkc/HZjBFhU04netcqVRJ2HXydqg4QLBgqznPxx",
        "witness.example/w1+24c2fdca+BHun0VNAaOinILs4fYx9M8U2nh2Uos9enWj6iwn0agfE",
    ]
    .iter()
    .map(|key| key.parse().unwrap())
    .collect();
    assert_eq!(note.verify(&keys).unwrap().len(), 2);
}
