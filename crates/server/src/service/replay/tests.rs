use std::path::PathBuf;

use domain::{
    CodeableConcept, Coding, Detail, Entry, EntryId, EntryState, HumanName, Identity, Note,
    PatientId, Stamp,
};
use engine::{FileAnswer, ShownEntry};

use super::*;

fn stamp(version: u64) -> Stamp {
    Stamp { position: 40 + version, version, recorded_at: 1_790_000_000_000_000, actor: [3; 16] }
}

fn state(id: u8, retracted: Option<&str>) -> EntryState {
    let label = Coding {
        system: "http://terminology.hl7.org/CodeSystem/v3-ActCode".to_owned(),
        code: "PSY".to_owned(),
        ..Coding::default()
    };
    let entry = Entry {
        code: CodeableConcept { text: Some("Progress note".to_owned()), coding: Vec::new() },
        labels: vec![label],
        detail: Detail::Note(Note { text: "Slept well.".to_owned(), ..Note::default() }),
        ..Entry::default()
    };
    EntryState {
        id: EntryId([id; 16]),
        entry,
        revision: 2,
        filed: stamp(2),
        changed: stamp(3),
        last_change: None,
        retracted: retracted.map(str::to_owned),
    }
}

fn page(entries: Vec<ShownEntry>) -> Replayed {
    let name = HumanName { family: Some("Ames".to_owned()), ..HumanName::default() };
    Replayed::File(Box::new(FileAnswer {
        patient: PatientId([1; 16]),
        version: 3,
        identity: Identity { names: vec![name], ..Identity::default() },
        identity_stamp: stamp(1),
        entries,
        next: None,
        unreadable: vec![44],
    }))
}

/// A page as a node answered it that knew only form 1: its digest stands in access records.
#[test]
fn an_answer_of_form_1_is_rendered_to_the_same_bytes() {
    let whole = |state| ShownEntry::Whole(Box::new(state));
    let answer = page(vec![whole(state(7, None)), whole(state(8, Some("another patient's")))]);
    let (shown, bytes) = replayed_out(&answer);
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/answer-1-patient-file.hex");
    let golden = std::fs::read_to_string(path).expect("the golden bytes");
    assert_eq!(hex::encode(&bytes), golden.split_whitespace().collect::<String>());
    assert_eq!(shown.unwrap().value, bytes, "they are what is shown");
}

#[test]
fn a_masked_entry_is_its_id_and_that_it_is_masked() {
    let (_, bytes) = replayed_out(&page(vec![ShownEntry::Masked(EntryId([7; 16]))]));
    let file = proto::PatientFile::decode(bytes.as_slice()).unwrap();
    let masked = proto::EntryState {
        entry_id: "07".repeat(16),
        masked: true,
        ..proto::EntryState::default()
    };
    assert_eq!(file.entries, [masked]);
}
