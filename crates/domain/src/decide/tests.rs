//! Given a history, when a command, then these events or this refusal.

mod requests;

use super::*;
use crate::event::Stamp;
use crate::file::{Change, evolve};
use crate::finding::Severity;
use crate::kind::{
    Component, Condition, Detail, Dosage, Encounter, Immunization, Kind, MedicationRequest, Note,
    Observation, ObservationValue,
};
use crate::limits;
use crate::value::{
    CodeableConcept, Coding, Decimal, Effective, FhirDateTime, HumanName, Identifier, Period,
    Quantity, SourceId,
};

const ID: EntryId = EntryId([7; 16]);

struct Given {
    file: PatientFile,
    history: Vec<Event>,
}

fn given(commands: impl IntoIterator<Item = Command>) -> Given {
    let mut given = Given { file: PatientFile::default(), history: Vec::new() };
    for command in commands {
        for event in decide(&given.file, &command).unwrap() {
            given.file(event);
        }
    }
    given
}

impl Given {
    fn file(&mut self, event: Event) {
        let version = self.history.len() as u64 + 1;
        let stamp =
            Stamp { position: version + 100, version, recorded_at: version * 1000, actor: [1; 16] };
        evolve(&mut self.file, &event, stamp);
        self.history.push(event);
    }

    fn when(&self, command: &Command) -> Result<Vec<Event>, Rejection> {
        decide(&self.file, command)
    }

    fn refuses(&self, command: &Command) -> Rejection {
        self.when(command).unwrap_err()
    }
}

fn text(words: &str) -> CodeableConcept {
    CodeableConcept { coding: Vec::new(), text: Some(words.to_owned()) }
}

fn coded(system: &str, code: &str) -> CodeableConcept {
    let coding = Coding { system: system.to_owned(), code: code.to_owned(), ..Coding::default() };
    CodeableConcept { coding: vec![coding], text: Some("as entered".to_owned()) }
}

fn ada() -> Identity {
    let name = HumanName { family: Some("Lovelace".to_owned()), ..HumanName::default() };
    Identity { names: vec![name], ..Identity::default() }
}

fn register() -> Command {
    Command::Register(ada())
}

fn condition() -> Entry {
    Entry {
        status: Some("active".to_owned()),
        code: text("Hypertension"),
        detail: Detail::Condition(Condition::default()),
        ..Entry::default()
    }
}

fn order() -> Entry {
    Entry {
        status: Some("completed".to_owned()),
        code: text("Ibuprofen"),
        detail: Detail::MedicationRequest(MedicationRequest {
            intent: Some("order".to_owned()),
            ..MedicationRequest::default()
        }),
        ..Entry::default()
    }
}

fn observation(unit: &str) -> Entry {
    let quantity = Quantity {
        value: Decimal::parse("5.0").unwrap(),
        comparator: None,
        unit: Some(unit.to_owned()),
        system: Some("http://unitsofmeasure.org".to_owned()),
        code: Some(unit.to_owned()),
    };
    let value = Some(ObservationValue::Quantity(quantity));
    Entry {
        status: Some("final".to_owned()),
        code: coded("http://loinc.org", "8480-6"),
        detail: Detail::Observation(Observation { value, ..Observation::default() }),
        ..Entry::default()
    }
}

fn note(words: &str) -> Entry {
    let detail = Detail::Note(Note { text: words.to_owned(), ..Note::default() });
    Entry { detail, ..Entry::default() }
}

fn add(entry: Entry) -> Command {
    Command::AddEntry { id: ID, entry }
}

fn amend_as(how: Amendment, entry: Entry, mask: &[&str]) -> Command {
    let mask = mask.iter().map(|name| (*name).to_owned()).collect();
    Command::AmendEntry { id: ID, entry, mask, how, reason: "because".to_owned() }
}

fn amend(entry: Entry, mask: &[&str]) -> Command {
    amend_as(Amendment::Amendment, entry, mask)
}

fn retract() -> Command {
    Command::RetractEntry { id: ID, reason: "wrong patient".to_owned() }
}

fn violations(rejection: Rejection) -> Vec<(String, String)> {
    let Rejection::Invalid(findings) = rejection else { panic!("{rejection:?}") };
    findings
        .into_iter()
        .filter(|finding| finding.severity == Severity::Violation)
        .map(|finding| (finding.field, finding.code))
        .collect()
}

fn violation(entry: Entry) -> (String, String) {
    let mut all = violations(given([register()]).refuses(&add(entry)));
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

fn remarks(entry: Entry) -> Vec<(String, String)> {
    let events = given([register()]).when(&add(entry)).unwrap();
    let remarks = events[0].remarks();
    remarks.into_iter().map(|finding| (finding.field, finding.code)).collect()
}

fn pair(field: &str, code: &str) -> (String, String) {
    (field.to_owned(), code.to_owned())
}

#[test]
fn a_file_is_registered_once() {
    let events = given([]).when(&register()).unwrap();
    assert_eq!(events, [Event::PatientRegistered { identity: ada() }]);
    assert_eq!(given([register()]).refuses(&register()), Rejection::AlreadyExists);
    assert_eq!(given([]).refuses(&add(condition())), Rejection::NoSuchPatient);
    assert_eq!(given([]).refuses(&retract()), Rejection::NoSuchPatient);
}

#[test]
fn a_patient_has_a_name_or_is_unidentified() {
    let nameless = Identity::default();
    let found = violations(given([]).refuses(&Command::Register(nameless.clone())));
    assert_eq!(found, [pair("names", "required")]);
    let unknown = Identity { unidentified: true, ..nameless };
    assert!(given([]).when(&Command::Register(unknown)).is_ok());
}

#[test]
fn faults_of_an_identity_name_their_field() {
    let day = |text| FhirDateTime::parse(text).ok();
    let identity = Identity {
        names: vec![HumanName::default()],
        birth_date: day("2000-01-01T00:00:00Z"),
        deceased: Some(crate::Deceased::At(day("1998").unwrap())),
        sex: Some("m".to_owned()),
        identifiers: vec![Identifier { system: "urn:mrn".to_owned(), ..Identifier::default() }],
        ..Identity::default()
    };
    let found = violations(given([]).refuses(&Command::Register(identity)));
    assert_eq!(
        found,
        [
            pair("names[0]", "required"),
            pair("identifiers[0].value", "required"),
            pair("sex", "value-not-allowed"),
            pair("birth_date", "date-expected"),
            pair("deceased", "contradiction"),
        ]
    );
}

#[test]
fn a_mask_replaces_what_it_names_and_nothing_else() {
    let given = given([register()]);
    let new = Identity {
        sex: Some("female".to_owned()),
        alias: Some("not named".to_owned()),
        ..Identity::default()
    };
    let command = |mask: &[&str]| Command::AmendIdentity {
        identity: new.clone(),
        mask: mask.iter().map(|name| (*name).to_owned()).collect(),
        how: Amendment::Augmentation,
        reason: "asked".to_owned(),
    };
    let events = given.when(&command(&["sex", "birth_date"])).unwrap();
    assert_eq!(
        events,
        [Event::IdentityAmended {
            identity: Identity { sex: Some("female".to_owned()), ..ada() },
            changed: vec!["sex".to_owned()],
            how: Amendment::Augmentation,
            reason: "asked".to_owned(),
        }]
    );
    assert_eq!(given.refuses(&command(&["birth_date"])), Rejection::NothingChanged);
    for mask in [&[][..], &["shoe_size"], &["sex", "Sex"]] {
        assert_eq!(violations(given.refuses(&command(mask))), [pair("mask", "bad-mask")]);
    }
    // The name may be replaced by nothing only if the patient is unidentified.
    assert_eq!(violations(given.refuses(&command(&["names"]))), [pair("names", "required")]);
}

#[test]
fn an_identical_entry_changes_nothing() {
    let given = given([register(), add(observation("IU/L"))]);
    let again = observation("IU/L");
    assert_eq!(given.refuses(&add(again.clone())), Rejection::NothingChanged);
    assert_eq!(given.refuses(&add(condition())), Rejection::AlreadyExists);
    assert_eq!(given.refuses(&amend(again, Entry::FIELDS)), Rejection::NothingChanged);
}

#[test]
fn an_amendment_keeps_kind_and_unnamed_fields() {
    let given = given([register(), add(condition())]);
    let resolved = Entry { status: Some("resolved".to_owned()), ..note("not looked at") };
    let events = given.when(&amend(resolved.clone(), &["status"])).unwrap();
    let after = Entry { status: Some("resolved".to_owned()), ..condition() };
    assert_eq!(
        events,
        [Event::EntryAmended {
            id: ID,
            entry: after,
            changed: vec!["status".to_owned()],
            how: Amendment::Amendment,
            reason: "because".to_owned(),
        }]
    );
    assert_eq!(given.refuses(&amend(resolved, &["detail"])), Rejection::KindChanged);
    let other = Command::RetractEntry { id: EntryId([8; 16]), reason: "r".to_owned() };
    assert_eq!(given.refuses(&other), Rejection::NoSuchEntry);
}

#[test]
fn nobody_but_a_delivery_changes_the_source_of_an_entry() {
    let source = |value: &str| SourceId { system: "urn:a".to_owned(), value: value.to_owned() };
    let from = |value: &str| Entry { source: Some(source(value)), ..condition() };
    for (filed, new) in [(from("1"), from("2")), (from("1"), condition()), (condition(), from("2"))]
    {
        let given = given([register(), add(filed)]);
        for how in [Amendment::Correction, Amendment::Amendment, Amendment::Augmentation] {
            let refused = violations(given.refuses(&amend_as(how, new.clone(), &["source"])));
            assert_eq!(refused, [pair("mask", "bad-mask")], "{how:?}");
        }
    }
    let given = given([register(), add(from("1"))]);
    // Whoever names it and gives it as it is changes nothing of it.
    let noted = Entry { note: Some("seen".to_owned()), ..from("1") };
    assert!(given.when(&amend(noted, &["source", "note"])).is_ok());
    let delivered = Entry { delivered: Some([1; 32]), ..from("2") };
    let events = given.when(&amend(delivered, Entry::FIELDS)).unwrap();
    let [Event::EntryAmended { entry, changed, .. }] = events.as_slice() else { panic!() };
    assert_eq!(
        (entry.source.as_ref(), changed.as_slice()),
        (Some(&source("2")), &["source".to_owned()][..])
    );
}

#[test]
fn nothing_follows_a_retraction() {
    let given = given([register(), add(condition()), retract()]);
    for command in [retract(), add(condition()), amend(note("x"), &["note"])] {
        assert_eq!(given.refuses(&command), Rejection::EntryRetracted);
    }
}

#[test]
fn amending_and_retracting_need_a_reason() {
    let given = given([register(), add(condition())]);
    let blank = |reason: &str| Command::RetractEntry { id: ID, reason: reason.to_owned() };
    assert_eq!(given.refuses(&blank("")), Rejection::ReasonMissing);
    assert_eq!(given.refuses(&blank(" \n")), Rejection::ReasonMissing);
    let limit = limits::MAX_REASON;
    assert!(given.when(&blank(&"x".repeat(limit))).is_ok());
    let long = given.refuses(&blank(&"x".repeat(limit + 1)));
    assert_eq!(violations(long), [pair("reason", "too-long")]);
}

#[test]
fn a_final_status_is_left_only_by_correction() {
    let given = given([register(), add(order())]);
    let active = Entry { status: Some("active".to_owned()), ..order() };
    let step = amend(active.clone(), &["status"]);
    assert_eq!(given.refuses(&step), Rejection::StatusStepNotAllowed);
    let correction = amend_as(Amendment::Correction, active, &["status"]);
    assert!(given.when(&correction).is_ok());
    let annotated = Entry { note: Some("with food".to_owned()), ..order() };
    assert!(given.when(&amend(annotated, &["note"])).is_ok());
}

#[test]
fn an_augmentation_adds_and_changes_nothing() {
    let label =
        |code: &str| Coding { system: "s".to_owned(), code: code.to_owned(), ..Coding::default() };
    let filed = Entry { labels: vec![label("R"), label("V")], ..condition() };
    let given = given([register(), add(filed.clone())]);
    let tried = |change: &dyn Fn(&mut Entry)| {
        let mut entry = filed.clone();
        change(&mut entry);
        given
            .when(&amend_as(Amendment::Augmentation, entry, Entry::FIELDS))
            .map(|events| events.len())
    };
    // Empty fields are filled, at any depth, and lists get more items.
    assert_eq!(tried(&|entry| entry.note = Some("since childhood".to_owned())), Ok(1));
    assert_eq!(tried(&|entry| entry.code.coding = vec![label("38341003")]), Ok(1));
    assert_eq!(tried(&|entry| entry.labels.insert(1, label("N"))), Ok(1));
    assert_eq!(tried(&|entry| entry.labels[0].display = Some("restricted".to_owned())), Ok(1));
    let severity = Some(text("severe"));
    let detail = Detail::Condition(Condition { severity, ..Condition::default() });
    assert_eq!(tried(&|entry| entry.detail = detail.clone()), Ok(1));
    // What is there is neither replaced nor taken away, nor is its order.
    let refused = Err(Rejection::AugmentationReplaces);
    assert_eq!(tried(&|entry| entry.status = Some("resolved".to_owned())), refused);
    assert_eq!(tried(&|entry| entry.code = text("Hypotension")), refused);
    assert_eq!(tried(&|entry| entry.status = None), refused);
    assert_eq!(tried(&|entry| drop(entry.labels.pop())), refused);
    assert_eq!(tried(&|entry| entry.labels.swap(0, 1)), refused);
    assert_eq!(tried(&|entry| entry.labels[0].code = "N".to_owned()), refused);
    let added_and_removed = |entry: &mut Entry| {
        entry.note = Some("since childhood".to_owned());
        entry.labels.clear();
    };
    assert_eq!(tried(&added_and_removed), refused);
    let replaced = Entry { labels: Vec::new(), ..condition() };
    assert!(given.when(&amend(replaced, &["labels"])).is_ok(), "an amendment may");
    assert_eq!(Rejection::AugmentationReplaces.code(), "AUGMENTATION_REPLACES");
}

#[test]
fn an_augmentation_keeps_a_measured_amount_and_who_the_patient_is() {
    let given = given([register(), add(observation("mm[Hg]"))]);
    let mut measured = observation("mm[Hg]");
    let Detail::Observation(fields) = &mut measured.detail else { unreachable!() };
    fields.method = Some(text("auscultation"));
    let augment = |entry: &Entry| amend_as(Amendment::Augmentation, entry.clone(), &["detail"]);
    assert!(given.when(&augment(&measured)).is_ok());
    let Detail::Observation(fields) = &mut measured.detail else { unreachable!() };
    let Some(ObservationValue::Quantity(amount)) = &mut fields.value else { unreachable!() };
    amount.comparator = Some("<".to_owned());
    assert_eq!(given.refuses(&augment(&measured)), Rejection::AugmentationReplaces);
    let renamed = |given_names: &[&str], family: &str| {
        let names = vec![HumanName {
            family: Some(family.to_owned()),
            given: given_names.iter().map(|name| (*name).to_owned()).collect(),
            ..HumanName::default()
        }];
        Command::AmendIdentity {
            identity: Identity { names, ..Identity::default() },
            mask: vec!["names".to_owned()],
            how: Amendment::Augmentation,
            reason: "asked".to_owned(),
        }
    };
    assert!(given.when(&renamed(&["Ada"], "Lovelace")).is_ok());
    assert_eq!(given.refuses(&renamed(&["Ada"], "King")), Rejection::AugmentationReplaces);
}

#[test]
fn an_override_answers_a_remark_of_its_entry() {
    let answer = |code: &str| Override { finding_code: code.to_owned(), reason: "r".to_owned() };
    let overridden = |entry: Entry, code: &str| Entry { overrides: vec![answer(code)], ..entry };
    let answered = overridden(observation("IU/L"), "ucum-unit");
    assert_eq!(remarks(answered.clone()), [pair("detail.value.quantity.code", "ucum-unit")]);
    let nothing = pair("overrides[0].finding_code", "no-such-finding");
    assert_eq!(violation(overridden(observation("mm[Hg]"), "ucum-unit")), nothing);
    assert_eq!(violation(overridden(observation("IU/L"), "snomed-code")), nothing);
    // A violation refuses whatever is said of it.
    let faulty = Entry { status: Some("aktiv".to_owned()), ..condition() };
    let stubborn = overridden(faulty, "value-not-allowed");
    let found = violations(given([register()]).refuses(&add(stubborn)));
    assert_eq!(found, [pair("status", "value-not-allowed"), nothing.clone()]);
    // Whoever mends the fault need not name the override, nor may it come back for nothing.
    let given = given([register(), add(answered)]);
    let events = given.when(&amend(observation("mm[Hg]"), &["detail"])).unwrap();
    assert_eq!(events[0].remarks(), []);
    let again = overridden(observation("mm[Hg]"), "loinc-code");
    let found = violations(given.refuses(&amend(again, &["detail", "overrides"])));
    assert_eq!(found, [nothing]);
}

#[test]
fn faults_of_a_result_are_named_with_the_type_of_the_result() {
    let unknown = CodeableConcept { coding: vec![Coding::default()], text: None };
    let (start, end) = (FhirDateTime::parse("2020").unwrap(), FhirDateTime::parse("2019").unwrap());
    let Detail::Observation(Observation {
        value: Some(ObservationValue::Quantity(mut amount)),
        ..
    }) = observation("mm[Hg]").detail
    else {
        unreachable!()
    };
    amount.comparator = Some("~".to_owned());
    for (value, field) in [
        (ObservationValue::Quantity(amount), "quantity.comparator"),
        (ObservationValue::CodeableConcept(unknown), "codeable_concept.coding[0].system"),
        (ObservationValue::String(" ".to_owned()), "string"),
        (ObservationValue::Period(Period { start: Some(start), end: Some(end) }), "period"),
    ] {
        let value = Some(value);
        let component =
            Component { code: text("systolic"), value: value.clone(), ..Component::default() };
        let fields = Observation { value, component: vec![component], ..Observation::default() };
        let entry = Entry { detail: Detail::Observation(fields), ..observation("mm[Hg]") };
        let found = violations(given([register()]).refuses(&add(entry)));
        for at in ["detail.value", "detail.component[0].value"] {
            let path = format!("{at}.{field}");
            assert!(found.iter().any(|(field, _)| *field == path), "{path}: {found:?}");
        }
    }
}

#[test]
fn invariant_9_nothing_is_overwritten() {
    let mut given = given([register(), add(condition())]);
    let filed = given.history[1].clone();
    let corrected = Entry { code: text("Hypotension"), ..condition() };
    let command = amend_as(Amendment::Correction, corrected.clone(), &["code"]);
    for event in given.when(&command).unwrap() {
        given.file(event);
    }
    for event in given.when(&retract()).unwrap() {
        given.file(event);
    }
    // The earlier text is where it was, and each later event points at the same entry.
    assert_eq!(given.history[1], filed);
    assert_eq!(filed, Event::EntryAdded { id: ID, entry: condition() });
    assert!(matches!(&given.history[2], Event::EntryAmended { id: ID, .. }));
    assert!(matches!(&given.history[3], Event::EntryRetracted { id: ID, .. }));
    // The file says what changed, when, in which manner and why; a retracted entry stays readable.
    let state = &given.file.entries[&ID];
    assert_eq!(state.revision, 3);
    assert_eq!((state.filed.version, state.changed.version), (2, 4));
    let change = Change {
        fields: vec!["code".to_owned()],
        how: Amendment::Correction,
        reason: "because".to_owned(),
    };
    assert_eq!(state.last_change.as_ref(), Some(&change));
    assert_eq!(state.retracted.as_deref(), Some("wrong patient"));
    assert_eq!(state.entry, corrected);
    // Folded up to any earlier version, the file is as it was.
    let mut earlier = PatientFile::default();
    for (version, event) in (1..).zip(&given.history[..2]) {
        evolve(&mut earlier, event, Stamp { version, ..Stamp::default() });
    }
    assert_eq!(earlier.entries[&ID].entry, condition());
}

#[test]
fn faulty_codes_are_filed_with_a_remark() {
    assert_eq!(remarks(observation("mm[Hg]")), []);
    for (unit, code) in
        [("IU/L", "ucum-unit"), ("(score)", "ucum-unit"), ("K/uL", "ucum-look-alike")]
    {
        assert_eq!(
            remarks(observation(unit)),
            [pair("detail.value.quantity.code", code)],
            "{unit}"
        );
    }
    let echo = Entry { code: coded("http://snomed.info/sct", "34552-0"), ..condition() };
    assert_eq!(remarks(echo), [pair("code.coding[0].code", "loinc-under-snomed")]);
    let mut bare = condition();
    bare.code = CodeableConcept { text: None, ..coded("http://snomed.info/sct", "38341003") };
    assert_eq!(remarks(bare), [pair("code", "no-plain-text")]);
    let mut unsafe_order = order();
    let Detail::MedicationRequest(fields) = &mut unsafe_order.detail else { unreachable!() };
    let dosage = Dosage { text: Some("10U QD".to_owned()), ..Dosage::default() };
    fields.dosage_instruction = vec![dosage];
    let found = remarks(unsafe_order);
    let expected = pair("detail.dosage_instruction[0].text", "banned-abbreviation");
    assert_eq!(found, [expected.clone(), expected]);
}

#[test]
fn findings_of_the_caller_are_replaced() {
    let made_up = fault("status", "made-up", "made up");
    let entry = Entry { findings: made_up, ..condition() };
    assert_eq!(remarks(entry), []);
}

#[test]
fn structural_faults_are_refused() {
    let status = |status: &str| Entry { status: Some(status.to_owned()), ..condition() };
    assert_eq!(violation(status("aktiv")), pair("status", "value-not-allowed"));
    assert_eq!(violation(status("entered-in-error")), pair("status", "retract-instead"));
    assert_eq!(violation(status("")), pair("status", "value-not-allowed"));
    let nothing = Entry { code: CodeableConcept::default(), ..condition() };
    assert_eq!(violation(nothing), pair("code", "required"));
    let mut ended = condition();
    let at = |text| FhirDateTime::parse(text).ok();
    let abatement = at("2020").map(Effective::At);
    ended.detail = Detail::Condition(Condition { abatement, ..Condition::default() });
    assert_eq!(violation(ended), pair("detail.abatement", "contradiction"));
    let period = Period { start: at("2020-02-01"), end: at("2020-01") };
    let reversed = Entry { effective: Some(Effective::During(period)), ..condition() };
    assert_eq!(violation(reversed), pair("effective", "period-reversed"));
    let vaccine = Entry {
        status: Some("completed".to_owned()),
        detail: Detail::Immunization(Immunization::default()),
        ..condition()
    };
    assert_eq!(violation(vaccine), pair("effective", "required"));
    let visit = Entry {
        status: Some("finished".to_owned()),
        detail: Detail::Encounter(Encounter {
            class: Coding { system: "urn:s".to_owned(), ..Coding::default() },
            ..Encounter::default()
        }),
        ..Entry::default()
    };
    assert_eq!(violation(visit), pair("detail.class.code", "required"));
    assert_eq!(violation(note("\u{0}")), pair("detail.text", "control-character"));
    assert_eq!(violation(note("")), pair("detail.text", "required"));
    let unnamed =
        given([register()]).refuses(&Command::AddEntry { id: EntryId::ZERO, entry: condition() });
    assert_eq!(violations(unnamed), [pair("id", "required")]);
}

#[test]
fn limits_hold_at_their_edge() {
    let given = given([register()]);
    let accepts = |entry: Entry| given.when(&add(entry)).is_ok();
    assert!(accepts(note(&"x".repeat(limits::MAX_NOTE_TEXT))));
    let long = note(&"x".repeat(limits::MAX_NOTE_TEXT + 1));
    assert_eq!(violation(long), pair("detail.text", "too-long"));
    let labels = |count| {
        let label = Coding { system: "s".to_owned(), code: "R".to_owned(), ..Coding::default() };
        Entry { labels: vec![label; count], ..condition() }
    };
    assert!(accepts(labels(limits::MAX_ITEMS)));
    assert_eq!(violation(labels(limits::MAX_ITEMS + 1)), pair("labels", "too-many"));
    // Every field within its own limit, all together not.
    let mut large = condition();
    let wordy = CodeableConcept {
        coding: vec![
            Coding {
                system: "s".repeat(limits::MAX_URI),
                code: "c".repeat(limits::MAX_CODE),
                ..Coding::default()
            };
            limits::MAX_CODINGS
        ],
        text: None,
    };
    let category = vec![wordy; limits::MAX_ITEMS];
    large.detail = Detail::Condition(Condition { category, ..Condition::default() });
    assert_eq!(violation(large), pair("entry", "too-large"));
}

#[test]
fn remarks_and_violations_are_bounded() {
    let wrong = coded("http://loinc.org", "8480-7");
    let mut entry = condition();
    let category = vec![wrong; limits::MAX_ITEMS];
    entry.detail = Detail::Condition(Condition { category, ..Condition::default() });
    let found = remarks(entry);
    assert_eq!(found.len(), limits::MAX_REMARKS);
    assert_eq!(found.last().unwrap().1, "more-remarks");
    let empty = vec![CodeableConcept::default(); limits::MAX_ITEMS];
    let mut entry = condition();
    entry.detail = Detail::Condition(Condition { category: empty, ..Condition::default() });
    let refused = violations(given([register()]).refuses(&add(entry)));
    assert_eq!(refused.len(), limits::MAX_VIOLATIONS);
}

#[test]
fn kinds_are_known_by_name_and_tag() {
    for (tag, kind) in (1..).zip(Kind::ALL.iter().copied()) {
        assert_eq!(Kind::from_name(kind.name()), Some(kind));
        assert_eq!(Kind::from_tag(kind.tag()), Some(kind));
        assert_eq!(kind.tag(), tag);
    }
    assert_eq!(Kind::from_name("care_plan"), None);
    assert_eq!(Kind::from_tag(0), None);
}

#[test]
fn summaries_are_one_line_for_a_person() {
    assert_eq!(condition().summary(), "Hypertension, active");
    assert_eq!(observation("mm[Hg]").summary(), "as entered: 5.0 mm[Hg]");
    assert_eq!(order().summary(), "Ibuprofen, completed");
    assert_eq!(note("\n Fell out of bed.\nNo injury.").summary(), "Fell out of bed.");
    let long = note(&"ä".repeat(500)).summary();
    assert_eq!(long.chars().count(), limits::MAX_SUMMARY_CHARS);
    assert!(long.ends_with('…'));
    assert_eq!(note(&"ä".repeat(160)).summary(), "ä".repeat(160));
}

#[test]
fn the_default_entry_is_refused() {
    assert_eq!(violation(Entry::default()), pair("detail.text", "required"));
}

#[test]
fn what_a_source_delivered_last_changes_nothing_when_it_comes_again() {
    let delivered = |entry: Entry, digest: u8| Entry { delivered: Some([digest; 32]), ..entry };
    let one = || delivered(condition(), 1);
    let resolved = || Entry { status: Some("resolved".to_owned()), ..condition() };
    let by_hand = amend(resolved(), &["status"]);
    let file = given([register(), add(one()), by_hand.clone()]);
    assert_eq!(file.file.entries[&ID].entry.delivered, Some([1; 32]), "kept");
    assert_eq!(file.refuses(&amend(one(), Entry::FIELDS)), Rejection::NothingChanged);
    let retracted = given([register(), add(one()), by_hand, retract()]);
    assert_eq!(retracted.refuses(&amend(one(), Entry::FIELDS)), Rejection::NothingChanged);
    let two = || delivered(resolved(), 2);
    assert_eq!(retracted.refuses(&amend(two(), Entry::FIELDS)), Rejection::EntryRetracted);
    // The source has caught up: nothing is changed but what it delivered last.
    let events = file.when(&amend(two(), Entry::FIELDS)).unwrap();
    let [Event::EntryAmended { entry, changed, .. }] = events.as_slice() else { panic!() };
    assert_eq!((entry.delivered, changed.len()), (Some([2; 32]), 0));
}

#[test]
fn an_identity_delivered_again_changes_nothing() {
    let amend = |identity: Identity, mask: &[&str]| Command::AmendIdentity {
        identity,
        mask: mask.iter().map(|name| (*name).to_owned()).collect(),
        how: Amendment::Amendment,
        reason: "because".to_owned(),
    };
    let delivered = |digest: u8| Identity { delivered: Some([digest; 32]), ..ada() };
    let by_hand = Identity { alias: Some("Ada".to_owned()), ..Identity::default() };
    let file = given([Command::Register(delivered(1)), amend(by_hand, &["alias"])]);
    let again = amend(delivered(1), Identity::FIELDS);
    assert_eq!(file.refuses(&again), Rejection::NothingChanged);
    let events = file.when(&amend(delivered(2), Identity::FIELDS)).unwrap();
    let [Event::IdentityAmended { identity, changed, .. }] = events.as_slice() else { panic!() };
    assert_eq!(
        (identity.delivered, changed.as_slice()),
        (Some([2; 32]), &["alias".to_owned()][..])
    );
}
