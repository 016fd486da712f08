//! Golden bytes, round trips, and what is refused.

use std::path::PathBuf;

use domain::*;
use proptest::prelude::*;

use super::*;

#[path = "../../domain/tests/properties/generate.rs"]
#[expect(dead_code, reason = "shared with the tests of domain, which use the rest")]
mod generate;
mod samples;

use samples::*;

/// Compares with the bytes in `golden/`. A new form is written there by running the tests once
/// with `CASELEDGER_GOLDEN=write`; one that is there is never replaced.
fn golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("golden/{name}.hex"));
    let hex: Vec<String> = bytes
        .chunks(48)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    let hex = hex.join("\n") + "\n";
    if !path.exists() && std::env::var("CASELEDGER_GOLDEN").is_ok_and(|value| value == "write") {
        std::fs::write(&path, &hex).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == hex,
        "the stored form of {name} has changed: a released version is never edited"
    );
}

fn authors(entry: &Entry, stamp: &Stamp) -> Authors {
    let mut authors = Authors::default();
    authors.wrote(entry, stamp);
    authors
}

#[test]
fn stored_forms_are_the_golden_bytes() {
    for (name, event) in events() {
        let bytes = encode_event(&event).unwrap();
        golden(&format!("v1-{name}"), &bytes);
        assert_eq!(decode_event(CURRENT_ENVELOPE, &bytes), Ok(event));
    }
    let row = encode_entry(&state()).unwrap();
    golden("v1-row-entry", &row);
    assert_eq!(decode_entry(&row), Ok(state()));
    let row = encode_identity_row(&identity(), &stamp(9), 11).unwrap();
    golden("v1-row-identity", &row);
    assert_eq!(decode_identity_row(&row), Ok((identity(), stamp(9), 11)));
    let authors = authors(&state().entry, &stamp(9));
    let row = encode_authors(&authors).unwrap();
    golden("v1-row-authors", &row);
    assert_eq!(decode_authors(&row), Ok(authors));
    golden("v1-delivered-entry", &encode_delivered_entry(&state().entry).unwrap());
    golden("v1-delivered-identity", &encode_delivered_identity(&identity()).unwrap());
    let of_both = AccessRecord { trail: 290, answered_at: 1_700_000_000_000_000, ..access() };
    for (name, access) in [("v1-access", access()), ("v1-access-2", of_both)] {
        let record = encode_access(&access).unwrap();
        golden(name, &record);
        assert_eq!(decode_access(CURRENT_ENVELOPE, &record), Ok(access));
    }
}

#[test]
fn a_person_who_was_filed_before_there_were_duties_is_read_and_has_none() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden");
    let first = folder.join("v1-event-document-filed-practitioner-role.hex");
    let hex = std::fs::read_to_string(first).unwrap().replace('\n', "");
    let digits = |pair| std::str::from_utf8(pair).unwrap();
    let byte = |pair| u8::from_str_radix(digits(pair), 16).unwrap();
    let bytes: Vec<u8> = hex.as_bytes().chunks(2).map(byte).collect();
    let (_, mut filed) = events().pop().unwrap();
    let Event::DocumentFiled { document: Document::PractitionerRole(role), .. } = &mut filed else {
        panic!("{filed:?}");
    };
    assert!(!role.duties.is_empty());
    role.duties.clear();
    assert_eq!(decode_event(CURRENT_ENVELOPE, &bytes).as_ref(), Ok(&filed));
    assert_ne!(encode_event(&filed).unwrap(), bytes, "it is written in the present form");
}

#[test]
fn what_is_delivered_is_only_what_the_source_says() {
    let entry_bytes = |entry: &Entry| encode_delivered_entry(entry).unwrap();
    let entry = state().entry;
    let said = Entry { findings: Vec::new(), delivered: None, ..entry.clone() };
    assert_eq!(entry_bytes(&entry), entry_bytes(&said));
    assert_ne!(entry_bytes(&entry), entry_bytes(&Entry { note: None, ..said }));
    let identity_bytes = |identity: &Identity| encode_delivered_identity(identity).unwrap();
    let said = Identity { delivered: None, ..identity() };
    assert_eq!(identity_bytes(&identity()), identity_bytes(&said));
    assert_ne!(identity_bytes(&identity()), identity_bytes(&Identity { alias: None, ..said }));
}

#[test]
fn golden_events_cover_every_kind() {
    let kinds: Vec<Kind> = details().iter().map(Detail::kind).collect();
    assert_eq!(kinds, Kind::ALL);
    let documents: Vec<_> = documents().iter().map(Document::kind).collect();
    assert_eq!(documents, DocumentKind::ALL);
}

#[test]
fn unknown_versions_are_told() {
    let bytes = encode_event(&events()[0].1).unwrap();
    for version in [0, 2, 65_535] {
        let unknown = DecodeError::UnknownVersion { version };
        assert_eq!(decode_event(version, &bytes), Err(unknown));
        assert_eq!(summary_of_entry(version, &bytes), Err(unknown));
        assert_eq!(decode_access(version, &bytes), Err(unknown));
    }
    assert_eq!(decode_entry(&[2]), Err(DecodeError::UnknownVersion { version: 2 }));
    assert_eq!(decode_identity_row(&[]), Err(DecodeError::Malformed));
}

#[test]
fn an_entry_of_an_unknown_kind_still_tells_its_summary() {
    let id = EntryId([2; 16]);
    let note = details().into_iter().find(|detail| detail.kind() == Kind::Note).unwrap();
    let entry = entry(note);
    let summary = entry.summary();
    let mut bytes = encode_event(&Event::EntryAdded { id, entry }).unwrap();
    // Variant, id, then the kind's tag.
    let tag = &mut bytes[1 + 16];
    assert_eq!(*tag, Kind::Note.tag());
    *tag = 200;
    assert_eq!(decode_event(1, &bytes), Err(DecodeError::UnknownKind { tag: 200 }));
    assert_eq!(summary_of_entry(1, &bytes), Ok(Some((200, summary))));
}

#[test]
fn truncated_and_lengthened_bytes_are_refused() {
    for (_, event) in events() {
        let mut bytes = encode_event(&event).unwrap();
        for length in 0..bytes.len() {
            assert!(decode_event(1, &bytes[..length]).is_err());
        }
        bytes.push(0);
        assert_eq!(decode_event(1, &bytes), Err(DecodeError::Malformed));
    }
}

#[test]
fn the_largest_entry_fits_a_body() {
    // The clear text of the largest size class, less its length prefix.
    const MOST: usize = 256 * 1024 - 4;
    // Empty list items cost the most beside their text: as many of them as are let through.
    let wrong = CodeableConcept {
        coding: vec![
            Coding {
                system: "http://loinc.org".to_owned(),
                code: "1".to_owned(),
                ..Coding::default()
            };
            limits::MAX_CODINGS
        ],
        text: None,
    };
    let reaction =
        Reaction { manifestation: vec![wrong; limits::MAX_ITEMS], ..Reaction::default() };
    let file = {
        let mut file = PatientFile::default();
        let identity = Identity { unidentified: true, ..Identity::default() };
        evolve(&mut file, &Event::PatientRegistered { identity }, stamp(1));
        file
    };
    let mut largest = 0;
    for reactions in 1..=limits::MAX_ITEMS {
        for note in [0, limits::MAX_LONG_TEXT] {
            let command = Command::AddEntry {
                id: EntryId([2; 16]),
                entry: Entry {
                    status: words("active"),
                    code: concept(),
                    note: (note > 0).then(|| "n".repeat(note)),
                    detail: Detail::AllergyIntolerance(AllergyIntolerance {
                        reaction: vec![reaction.clone(); reactions],
                        ..AllergyIntolerance::default()
                    }),
                    ..Entry::default()
                },
            };
            if let Ok(events) = decide(&file, &command) {
                largest = largest.max(encode_event(&events[0]).unwrap().len());
            }
        }
    }
    assert!(largest > 100 * 1024, "{largest}: the test does not reach the limit");
    assert!(largest <= MOST, "{largest}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn every_event_comes_back(event in generate::event()) {
        let bytes = encode_event(&event).unwrap();
        let back = decode_event(CURRENT_ENVELOPE, &bytes);
        prop_assert_eq!(back.as_ref(), Ok(&event));
        prop_assert_eq!(encode_event(&back.unwrap()).unwrap(), bytes);
    }

    #[test]
    fn every_row_comes_back(
        entry in generate::entry(),
        identity in generate::identity(),
        stamp in generate::stamp(),
    ) {
        let event = Event::EntryAdded { id: EntryId([1; 16]), entry };
        let state = evolve_entry(None, event, stamp).unwrap();
        let authors = authors(&state.entry, &stamp);
        prop_assert_eq!(decode_authors(&encode_authors(&authors).unwrap()), Ok(authors));
        prop_assert_eq!(decode_entry(&encode_entry(&state).unwrap()), Ok(state));
        let row = encode_identity_row(&identity, &stamp, stamp.version).unwrap();
        prop_assert_eq!(decode_identity_row(&row), Ok((identity, stamp, stamp.version)));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_event(1, &bytes);
        let _ = decode_access(1, &bytes);
        let _ = decode_entry(&bytes);
        let _ = decode_identity_row(&bytes);
        let _ = decode_authors(&bytes);
        let _ = summary_of_entry(1, &bytes);
    }

    #[test]
    fn a_flipped_bit_never_panics(which in 0usize..14, at in any::<usize>(), bit in 0u8..8) {
        let event = &events()[which].1;
        let mut bytes = encode_event(event).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = decode_event(1, &bytes);
    }
}
