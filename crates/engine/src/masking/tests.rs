use domain::{Coding, Detail, Note};

use super::*;
use crate::AsOf;

fn class(labels: &[&str]) -> Class {
    Class { kind: Kind::Note, labels: labels.iter().map(|label| (*label).to_owned()).collect() }
}

#[test]
fn a_class_is_named_by_plain_codes_and_by_a_digest_of_anything_else() {
    assert_eq!(class(&[]).name(), "note:");
    assert_eq!(class(&["R", "PSY", "42CFRPart2"]).name(), "note:42CFRPart2,PSY,R");
    let (long, words) = ("x".repeat(MAX_SPELLED + 1), "seen by Dr. Cole");
    for odd in [&["A,B"][..], &[words], &[&long], &["#"], &["ü"]] {
        let name = class(odd).name();
        assert!(name.starts_with("note:#") && name.len() == "note:#".len() + 64, "{name}");
        assert!(!name.contains("Cole"));
    }
}

#[test]
fn a_protected_label_protects_in_whatever_letters() {
    let of = |code: &str| Class::of(&state(1, &[code], false).entry).name();
    assert_eq!(of("psy"), "note:PSY,psy");
    assert_eq!(of("42cfrpart2"), "note:42CFRPart2,42cfrpart2");
    assert_eq!(of("HIPAAPsyNotes"), "note:HIPAAPsyNotes");
}

#[test]
fn two_classes_have_two_names() {
    let sets: [&[&str]; 8] =
        [&[], &["A"], &["B"], &["A", "B"], &["A,B"], &["A,", "B"], &["AB"], &["A", "B,"]];
    let names: BTreeSet<_> = sets.iter().map(|set| class(set).name()).collect();
    assert_eq!(names.len(), sets.len());
    let other = Class { kind: Kind::Condition, ..class(&["A"]) };
    assert!(!Masked::of([&other]).hides(EntryId([1; 16]), &[class(&["A"])]));
}

fn state(id: u8, labels: &[&str], retracted: bool) -> EntryState {
    let label = |code: &&str| Coding { code: (*code).to_owned(), ..Coding::default() };
    let entry = Entry {
        labels: labels.iter().map(label).collect(),
        detail: Detail::Note(Note::default()),
        ..Entry::default()
    };
    EntryState {
        id: EntryId([id; 16]),
        entry,
        revision: 1,
        filed: Stamp::default(),
        changed: Stamp::default(),
        last_change: None,
        retracted: retracted.then(|| "slip".to_owned()),
    }
}

fn page() -> WholePage {
    let entries = vec![
        state(3, &["PSY"], true),
        state(1, &[], true),
        state(2, &["PSY"], false),
        state(4, &[], false),
    ];
    WholePage {
        patient: PatientId([9; 16]),
        version: 5,
        identity: Identity::default(),
        identity_stamp: Stamp::default(),
        entries: as_shown(entries),
        next: None,
        unreadable: Vec::new(),
    }
}

fn shown(include_retracted: bool, kinds: Vec<Kind>, masked: &[&str]) -> Vec<(u8, bool)> {
    assert_eq!(page().classes().len(), 2);
    let masked: Vec<_> = masked.iter().map(|label| class(&[label])).collect();
    masking(include_retracted, kinds, &Masked::of(&masked))
}

/// What is shown of the page, and what is there and masked.
fn masking(include_retracted: bool, kinds: Vec<Kind>, masked: &Masked) -> Vec<(u8, bool)> {
    let page = page();
    let query = FileQuery {
        patient: page.patient,
        as_of: AsOf::Now,
        at_least: None,
        kinds,
        page_size: 50,
        after: None,
        include_retracted,
    };
    let shown = page.shown(&query, masked).entries.into_iter();
    shown
        .map(|entry| match entry {
            ShownEntry::Whole(state) => (state.id.0[0], false),
            ShownEntry::Masked(id) => (id.0[0], true),
        })
        .collect()
}

#[test]
fn masked_entries_tell_neither_their_place_nor_whether_they_were_taken_back_nor_their_kind() {
    for include_retracted in [false, true] {
        let shown = shown(include_retracted, Vec::new(), &["PSY"]);
        let masked: Vec<_> = shown.iter().skip_while(|(_, masked)| !masked).collect();
        assert_eq!(masked, [&(2, true), &(3, true)], "{include_retracted}");
    }
    assert_eq!(shown(false, vec![Kind::Note], &["PSY"]), [(4, false)]);
    assert_eq!(shown(true, vec![Kind::Note], &["PSY"]), [(1, false), (4, false)]);
}

#[test]
fn where_nothing_is_masked_a_page_is_as_it_was_before_there_were_masks() {
    assert_eq!(shown(false, Vec::new(), &[]), [(2, false), (4, false)]);
    assert_eq!(shown(true, Vec::new(), &["HIV"]), [3, 1, 2, 4].map(|id| (id, false)));
}

#[test]
fn where_one_entry_is_open_alone_all_others_are_masked_whatever_their_class() {
    let open = EntryId([2; 16]);
    let alone = Masked::default().all_but(open, page().entries());
    assert_eq!(alone.names(), ["other note:", "other note:PSY"], "that one is of this class, too");
    assert_eq!(
        masking(true, Vec::new(), &alone),
        [(2, false), (1, true), (3, true), (4, true)],
        "one of its own class and those that anybody sees, too"
    );
    assert_eq!(masking(false, vec![Kind::Note], &alone), [(2, false)]);
    // What the policies hide stays hidden, and is told from what others have.
    let hidden = Masked::of([&class(&["PSY"])]).all_but(open, page().entries());
    assert_eq!(hidden.names(), ["note:PSY", "other note:"]);
    let all = masking(true, Vec::new(), &hidden);
    assert_eq!(all, [1, 2, 3, 4].map(|id| (id, true)));
    assert!(Masked::default().all_but(open, std::iter::empty()).is_empty());
}
