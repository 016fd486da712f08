//! Input that no honest client sends.

use api::v1 as proto;
use api::v1::change::Change;
use api::v1::entry::Detail;
use domain::{Kind, limits};
use engine::Violation;
use proptest::prelude::*;
use prost::Message;

use crate::convert::command::{Places, changes_in, entry_at, identity_at};
use crate::convert::entry::{amendment_in, entry_in, kinds_in};
use crate::convert::identity::identity_in;
use crate::convert::import::item_in;
use crate::convert::values::{patient_in, time_in, time_out};
use crate::convert::{At, Report};

fn fields(violations: &[Violation]) -> Vec<&str> {
    violations.iter().map(|violation| violation.field.as_str()).collect()
}

fn added(entry: proto::Entry) -> proto::Change {
    let entry = Some(entry);
    proto::Change { change: Some(Change::AddEntry(proto::AddEntry { entry })) }
}

fn note() -> proto::Entry {
    let detail = Some(Detail::NoteDetail(proto::Note::default()));
    proto::Entry { detail, ..proto::Entry::default() }
}

fn convert(changes: Vec<proto::Change>) -> Vec<Violation> {
    let mut report = Report::default();
    changes_in(changes, &At::TOP.field("changes"), &mut report);
    report.into_violations()
}

#[test]
fn every_fault_is_named_by_its_whole_path() {
    let effective = |value| Some(proto::Effective { value });
    let bad = proto::Entry {
        effective: effective(Some(proto::effective::Value::At("0000-13-45".into()))),
        encounter: "ENCOUNTER".into(),
        detail: Some(Detail::Condition(proto::Condition {
            abatement: effective(Some(proto::effective::Value::During(proto::Period {
                start: "2019-02-30".into(),
                end: "soon".into(),
            }))),
            ..proto::Condition::default()
        })),
        ..proto::Entry::default()
    };
    let violations = convert(vec![added(note()), added(bad)]);
    assert_eq!(
        fields(&violations),
        [
            "changes[1].add_entry.entry.effective.at",
            "changes[1].add_entry.entry.encounter",
            "changes[1].add_entry.entry.condition.abatement.during.start",
            "changes[1].add_entry.entry.condition.abatement.during.end",
        ]
    );
    assert!(violations.iter().all(|v| !v.description.contains("0000-13-45")), "no value");
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(fields(&convert(Vec::new())), ["changes"]);
    assert_eq!(fields(&convert(vec![proto::Change::default()])), ["changes[0]"]);
    let bare = added(proto::Entry::default());
    let violations = convert(vec![bare]);
    assert_eq!(fields(&violations), ["changes[0].add_entry.entry"]);
    let described = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap();
    let mut messages = described.file.iter().flat_map(|file| &file.message_type);
    let entry = messages.find(|message| message.name() == "Entry").unwrap();
    for field in entry.field.iter().filter(|field| field.oneof_index.is_some()) {
        assert!(violations[0].description.contains(field.name()), "{}", field.name());
    }
    let amend = proto::AmendEntry::default();
    let amend = proto::Change { change: Some(Change::AmendEntry(amend)) };
    assert_eq!(
        fields(&convert(vec![amend])),
        [
            "changes[0].amend_entry.entry_id",
            "changes[0].amend_entry.update_mask",
            "changes[0].amend_entry.how",
            "changes[0].amend_entry.entry",
        ]
    );
    let observation = Detail::Observation(proto::Observation {
        value: Some(proto::ObservationValue { value: None }),
        component: vec![proto::ObservationComponent::default()],
        ..proto::Observation::default()
    });
    let entry = proto::Entry { detail: Some(observation), ..proto::Entry::default() };
    let mut report = Report::default();
    entry_in(entry, &At::TOP, &mut report);
    let violations = report.into_violations();
    assert_eq!(fields(&violations), ["observation.value", "observation.component[0].code"]);
}

#[test]
fn too_many_changes_are_refused_with_the_limit() {
    let limit = engine::MAX_CHANGES;
    assert_eq!(convert(vec![added(note()); limit]), []);
    let violations = convert(vec![added(note()); limit + 1]);
    assert!(violations[0].description.contains(&limit.to_string()));
}

#[test]
fn unknown_enum_values_are_refused() {
    for (number, code) in [(0, "required"), (4, "enum"), (-1, "enum"), (i32::MAX, "enum")] {
        let mut report = Report::default();
        assert!(amendment_in(number, &At::TOP.field("how"), &mut report).is_none());
        assert_eq!(report.into_violations()[0].code, code);
    }
    let mut report = Report::default();
    let asked = [proto::Kind::Condition.into(), 99, proto::Kind::Note.into()];
    let kinds = kinds_in(&asked, &At::TOP.field("kinds"), &mut report);
    assert_eq!(kinds, [Kind::Condition, Kind::Note]);
    assert_eq!(fields(&report.into_violations()), ["kinds[1]"]);
}

#[test]
fn ids_have_one_spelling() {
    for odd in ["", "0", "zz", &"0".repeat(32), &"A".repeat(32), &"a".repeat(33), "ä"] {
        let mut report = Report::default();
        assert!(patient_in(odd, &At::TOP.field("patient_id"), &mut report).is_none(), "{odd}");
        assert_eq!(fields(&report.into_violations()), ["patient_id"]);
    }
}

#[test]
fn times_outside_the_ledgers_range_are_refused() {
    for (seconds, nanos, wrong) in [
        (-1, 0, "negative"),
        (i64::MAX, 0, "too many"),
        (0, -1, "nanos"),
        (0, 1_999_999_999, "nanos"),
    ] {
        let mut report = Report::default();
        let time = prost_types::Timestamp { seconds, nanos };
        assert!(time_in(time, &At::TOP, &mut report).is_none());
        let description = report.into_violations().remove(0).description;
        assert!(description.contains(wrong), "{description}");
    }
    let mut report = Report::default();
    assert_eq!(time_in(time_out(1_234_567_891), &At::TOP, &mut report), Some(1_234_567_891));
}

#[test]
fn a_result_was_released_at_an_instant() {
    for (issued, fine) in [("2019", false), ("2019-05-30", false), ("2019-05-30T10:02:03Z", true)] {
        let observation = proto::Observation { issued: issued.into(), ..Default::default() };
        let detail = Some(Detail::Observation(observation));
        let mut report = Report::default();
        entry_in(proto::Entry { detail, ..Default::default() }, &At::TOP, &mut report);
        let expected: &[&str] = if fine { &[] } else { &["observation.issued"] };
        assert_eq!(fields(&report.into_violations()), expected, "{issued}");
    }
}

#[test]
fn an_address_that_says_nothing_is_refused() {
    let home = proto::Address { r#use: "home".into(), ..Default::default() };
    let town = proto::Address { city: "Springfield".into(), ..Default::default() };
    let identity = proto::Identity {
        addresses: vec![proto::Address::default(), town],
        confidential_addresses: vec![home],
        ..Default::default()
    };
    let mut report = Report::default();
    identity_in(identity, &At::TOP, &mut report);
    assert_eq!(fields(&report.into_violations()), ["addresses[0]", "confidential_addresses[0]"]);
}

#[test]
fn the_interface_tells_how_much_is_filed() {
    let set = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.name() == "caseledger/v1/values.proto").unwrap();
    let locations = &file.source_code_info.as_ref().unwrap().location;
    // Above `syntax`.
    let head = locations.iter().find(|location| location.path == [12]).unwrap();
    let words = head.leading_comments().split_whitespace().collect::<Vec<_>>().join(" ");
    for (limit, told) in [
        (limits::MAX_SHORT_TEXT, "has at most 1,024"),
        (limits::MAX_CODE, "status 256"),
        (limits::MAX_URI, "source key 512"),
        (limits::MAX_LONG_TEXT / 1024, "16 KiB"),
        (limits::MAX_REASON / 1024, "a reason 4 KiB"),
        (limits::MAX_NOTE_TEXT / 1024, "of a note 64 KiB"),
        (limits::MAX_CODINGS, "at most 16 codings"),
        (limits::MAX_ITEMS, "list 64 items"),
        (limits::MAX_ENTRY_BYTES / 1024, "at most 192 KiB"),
        (limits::BYTES_A_VALUE, "counts 8 bytes"),
    ] {
        assert!(words.contains(told), "{told}: {words}");
        assert!(told.replace(',', "").contains(&limit.to_string()), "{limit}: {told}");
    }
}

#[test]
fn a_hundred_thousand_faults_cost_little() {
    let identity = proto::Identity {
        names: vec![
            proto::HumanName {
                period: Some(proto::Period { start: "x".into(), end: "x".into() }),
                ..proto::HumanName::default()
            };
            50_000
        ],
        ..proto::Identity::default()
    };
    let mut report = Report::default();
    identity_in(identity, &At::TOP.field("identity"), &mut report);
    assert!(report.into_violations().len() <= 101);
}

#[test]
fn the_domains_faults_are_told_in_the_callers_words() {
    let change = |detail| added(proto::Entry { detail: Some(detail), ..proto::Entry::default() });
    let mut report = Report::default();
    let changes = vec![
        change(Detail::NoteDetail(proto::Note::default())),
        change(Detail::Condition(proto::Condition::default())),
    ];
    let commands = changes_in(changes, &At::TOP, &mut report).unwrap();
    let places = Places::of(&commands);
    for (found, told) in [
        ("changes[0].detail.text", "changes[0].add_entry.entry.note_detail.text"),
        ("changes[1].code.coding[0].code", "changes[1].add_entry.entry.code.coding[0].code"),
        ("changes[1].detail.severity", "changes[1].add_entry.entry.condition.severity"),
        ("changes[7].code", "changes[7].code"),
        ("changes", "changes"),
    ] {
        assert_eq!(places.path(found), told);
    }
    assert_eq!(identity_at("it", "identifiers[3].system"), "it.identifiers[3].issuer");
    assert_eq!(identity_at("it", "identifiers[3].value"), "it.identifiers[3].value");
    assert_eq!(identity_at("it", "identity"), "it");
    assert_eq!(entry_at("it", Kind::Encounter, "detail.class"), "it.encounter_detail.class");
    assert_eq!(entry_at("it", Kind::Note, "entry"), "it");
}

#[test]
fn an_import_item_without_key_patient_or_content_is_refused() {
    let violations = item_in(proto::ImportItem::default()).unwrap_err();
    assert_eq!(fields(&violations), ["source", "patient", ""]);
    let source = Some(proto::SourceId { system: "urn:x".into(), value: String::new() });
    let number = proto::PatientNumber { issuer: "urn:h".into(), value: "1".into() };
    let patient = Some(proto::PatientSelector {
        patient: Some(proto::patient_selector::Patient::Number(number)),
    });
    let content = Some(proto::import_item::Content::Identity(Box::default()));
    let item = proto::ImportItem { source, patient, content, ..proto::ImportItem::default() };
    let violations = item_in(item).unwrap_err();
    assert_eq!(fields(&violations), ["source.value", "identity.identifiers"]);
}

#[test]
fn an_import_item_that_says_what_its_content_cannot_take_is_refused() {
    let key = |value: &str| proto::SourceId { system: "urn:x".into(), value: value.into() };
    let patient = Some(proto::PatientSelector {
        patient: Some(proto::patient_selector::Patient::PatientId("0a".repeat(16))),
    });
    let item = proto::ImportItem { source: Some(key("1")), patient, ..Default::default() };
    let identity = proto::Identity { unidentified: true, ..Default::default() };
    let content = proto::import_item::Content::Identity(Box::new(identity));
    let by_id = proto::ImportItem { content: Some(content), ..item.clone() };
    assert_eq!(fields(&item_in(by_id).unwrap_err()), ["patient.patient_id"]);
    let entry = proto::Entry {
        detail: Some(proto::entry::Detail::Condition(proto::Condition::default())),
        ..Default::default()
    };
    let content = Some(proto::import_item::Content::Entry(Box::new(entry)));
    let reasons = vec![key("2")];
    let with_reasons = proto::ImportItem {
        content,
        reason_references: reasons,
        focus: Some(key("3")),
        based_on: vec![key("4")],
        ..item
    };
    let violations = item_in(with_reasons).unwrap_err();
    for field in ["reason_references", "focus", "based_on"] {
        assert!(fields(&violations).contains(&field), "{violations:?}");
    }
}

proptest! {
    /// Whatever bytes decode as a message convert without a panic, or are refused.
    #[test]
    fn any_decodable_bytes_convert_or_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(identity) = proto::Identity::decode(bytes.as_slice()) {
            identity_in(identity, &At::TOP, &mut Report::default());
        }
        if let Ok(entry) = proto::Entry::decode(bytes.as_slice()) {
            entry_in(entry, &At::TOP, &mut Report::default());
        }
        if let Ok(item) = proto::ImportItem::decode(bytes.as_slice()) {
            let _ = item_in(item);
        }
        if let Ok(request) = proto::ContributeRequest::decode(bytes.as_slice()) {
            changes_in(request.changes, &At::TOP, &mut Report::default());
        }
    }
}
