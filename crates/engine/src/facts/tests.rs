mod consents;
mod units;

use domain::{
    Actor, CareTeam, CareTeamParticipant, Coding, Consent, Detail, Effective, Encounter, Entry,
    EntryId, FhirDateTime, Identity, Note, Period, ServiceRequest, Stamp, Task,
};

use super::*;
use crate::context::Role;

/// 2026-11-26T12:00:00Z, µs.
const NOW: u64 = 1_795_694_400_000_000;
const DAY: u64 = 24 * 3_600 * 1_000_000;
const REGISTRAR: [u8; 16] = [1; 16];
const NURSE: [u8; 16] = [2; 16];

fn caller() -> Caller {
    Caller {
        person: Some("jdoe".to_owned()),
        service: "console".to_owned(),
        roles: vec![Role::Nurse],
        organisation: "St James".to_owned(),
        network: None,
        issuer: None,
    }
}

fn staff() -> PractitionerRole {
    PractitionerRole {
        person: "jdoe".to_owned(),
        references: vec!["Practitioner/1042".to_owned()],
        units: vec!["4-west".to_owned()],
        ..PractitionerRole::default()
    }
}

fn actor(reference: &str) -> Actor {
    Actor { reference: reference.to_owned(), display: None }
}

fn period(start: &str, end: &str) -> Period {
    let at = |text: &str| FhirDateTime::parse(text).ok();
    Period { start: at(start), end: at(end) }
}

fn entry(status: &str, detail: Detail) -> Entry {
    Entry { status: Some(status.to_owned()), detail, ..Entry::default() }
}

fn team(member: &str, during: Option<Period>) -> Detail {
    let participant =
        vec![CareTeamParticipant { member: actor(member), role: None, period: during }];
    Detail::CareTeam(CareTeam { participant, ..CareTeam::default() })
}

fn stay(participant: &str) -> Detail {
    let participant = vec![actor(participant)];
    Detail::Encounter(Encounter { participant, ..Encounter::default() })
}

fn asked_of(performers: &[&str]) -> Detail {
    let performer = performers.iter().copied().map(actor).collect();
    Detail::ServiceRequest(ServiceRequest { performer, ..ServiceRequest::default() })
}

fn task_of(owner: &str, restriction: Option<Period>) -> Detail {
    Detail::Task(Task { owner: Some(actor(owner)), restriction, ..Task::default() })
}

/// The facts of a file in which a registrar filed this entry, long ago.
fn file(entry: &Entry) -> FileFacts {
    by(REGISTRAR, entry)
}

fn by(actor: [u8; 16], entry: &Entry) -> FileFacts {
    let mut file = FileFacts::default();
    file.entry(EntryId([1; 16]), entry, (actor, NOW - DAY));
    file
}

fn stamp(actor: [u8; 16], version: u64, recorded_at: u64) -> Stamp {
    Stamp { position: 0, version, recorded_at, actor }
}

fn related(file: &FileFacts) -> Option<&'static str> {
    related_as(&staff(), file)
}

fn treat() -> Purpose {
    Purpose::parse("TREAT").unwrap()
}

fn related_as(staff: &PractitionerRole, file: &FileFacts) -> Option<&'static str> {
    let (caller, purpose) = (caller(), treat());
    let known = Known {
        caller: &caller,
        purpose: &purpose,
        actor: NURSE,
        staff: Some(staff),
        now: NOW,
        emergencies: Vec::new(),
    };
    known.relationship(file).map(Relationship::name)
}

#[test]
fn members_of_an_active_care_team_are_related_while_they_belong_to_it() {
    let member = |status, who, during| related(&file(&entry(status, team(who, during))));
    assert_eq!(member("active", "Practitioner/jdoe", None), Some("care-team"));
    assert_eq!(member("active", "jdoe", None), Some("care-team"));
    assert_eq!(member("active", "Practitioner/1042", None), Some("care-team"), "by the directory");
    assert_eq!(member("active", "Practitioner/jdoes", None), None);
    assert_eq!(member("inactive", "Practitioner/jdoe", None), None);
    assert_eq!(member("proposed", "Practitioner/jdoe", None), None);
    let during = |start, end| member("active", "jdoe", Some(period(start, end)));
    assert_eq!(during("2026-11", "2026-11-26"), Some("care-team"), "the last day counts");
    assert_eq!(during("2026-11", "2026-11-25"), None);
    assert_eq!(during("2026-11-27", "2026-12"), None);
    let mut over = entry("active", team("jdoe", None));
    over.effective = Some(Effective::During(period("2026-01", "2026-10")));
    assert_eq!(related(&file(&over)), None, "the whole team's period counts, too");
}

#[test]
fn an_encounter_that_is_not_over_relates_whoever_takes_part_and_whoever_works_in_its_unit() {
    for (status, found) in [
        ("planned", Some("encounter")),
        ("in-progress", Some("encounter")),
        ("finished", None),
        ("cancelled", None),
    ] {
        assert_eq!(related(&file(&entry(status, stay("Practitioner/jdoe")))), found, "{status}");
    }
    let recorded = Entry { recorder: Some(actor("jdoe")), ..entry("arrived", stay("x")) };
    assert_eq!(related(&file(&recorded)), Some("encounter"));
    let here = |unit: &str| Entry { unit: Some(unit.to_owned()), ..entry("arrived", stay("x")) };
    assert_eq!(related(&file(&here("4-west"))), Some("unit"));
    assert_eq!(related(&file(&here("4-east"))), None);
    let left = Some(Effective::During(period("2026-11-20", "2026-11-25")));
    assert_eq!(related(&file(&Entry { effective: left, ..here("4-west") })), None);
}

#[test]
fn whoever_is_on_call_is_related_to_the_patients_of_the_unit_for_the_time_of_the_duty() {
    let on_call = |unit: &str, (start, end), entry: &Entry| {
        let duty = Duty { unit: unit.to_owned(), period: period(start, end) };
        let on_duty = PractitionerRole { duties: vec![duty], ..staff() };
        related_as(&on_duty, &file(entry))
    };
    let here = |status: &str| Entry { unit: Some("4-east".to_owned()), ..entry(status, stay("x")) };
    let night = ("2026-11-26T11:00:00Z", "2026-11-26T13:00:00Z");
    assert_eq!(on_call("4-east", night, &here("in-progress")), Some("on-call"));
    assert_eq!(on_call("4-west", night, &here("in-progress")), None, "of another unit");
    assert_eq!(on_call("4-east", night, &here("finished")), None, "the stay is over");
    assert_eq!(on_call("4-east", night, &entry("arrived", stay("x"))), None, "in no unit");
    let during = |start, end| on_call("4-east", (start, end), &here("in-progress"));
    assert_eq!(during("2026-11-26T14:00:00+02:00", "2026-11-26T15:00:00+02:00"), Some("on-call"));
    assert_eq!(during("2026-11-26T12:00:01Z", "2026-11-26T13:00:00Z"), None, "not yet");
    assert_eq!(
        during("2026-11-26T11:00:00Z", "2026-11-26T12:00:00Z"),
        Some("on-call"),
        "to its end"
    );
    assert_eq!(
        during("2026-11-26T11:00:00Z", "2026-11-26T11:59:59.999999Z"),
        None,
        "and no longer"
    );
    let home = Entry { unit: Some("4-west".to_owned()), ..entry("arrived", stay("x")) };
    assert_eq!(on_call("4-west", night, &home), Some("unit"), "who works there does anyway");
    let admitted = by(NURSE, &here("in-progress"));
    let duty = Duty { unit: "4-east".to_owned(), period: period(night.0, night.1) };
    let on_duty = PractitionerRole { duties: vec![duty], ..staff() };
    assert_eq!(related_as(&on_duty, &admitted), Some("author"), "who put the patient there");
}

#[test]
fn the_owner_of_a_task_is_related_until_it_is_over_or_its_time_is() {
    let owned = |status, who| related(&file(&entry(status, task_of(who, None))));
    for status in ["requested", "received", "accepted", "ready", "in-progress", "on-hold"] {
        assert_eq!(owned(status, "Practitioner/jdoe"), Some("task"), "{status}");
    }
    for status in ["draft", "rejected", "cancelled", "failed", "completed"] {
        assert_eq!(owned(status, "jdoe"), None, "{status}");
    }
    assert_eq!(owned("requested", "Practitioner/1042"), Some("task"), "by the directory");
    assert_eq!(owned("requested", "Practitioner/jdoes"), None);
    assert_eq!(owned("requested", ""), None, "known by name alone");
    assert_eq!(
        related(&file(&entry("requested", Detail::Task(Task::default())))),
        None,
        "nobody's"
    );
    let during =
        |start, end| related(&file(&entry("requested", task_of("jdoe", Some(period(start, end))))));
    assert_eq!(during("2026-11-01", "2026-11-26"), Some("task"), "the last day counts");
    assert_eq!(during("2026-11-01", "2026-11-26T12:00:00Z"), Some("task"), "to its end");
    assert_eq!(during("2026-11-01", "2026-11-26T11:59:59.999999Z"), None);
    assert_eq!(during("2026-11-01", ""), Some("task"), "without an end");
    assert_eq!(during("2026-12-01", "2026-12-24"), Some("task"), "from its filing on");
    let asking = Entry { asserter: Some(actor("jdoe")), ..entry("requested", task_of("x", None)) };
    assert_eq!(related(&file(&asking)), None, "who gives it is an author, lately");
    assert_eq!(related(&by(NURSE, &entry("requested", task_of("jdoe", None)))), Some("author"));
    let mut done = file(&entry("requested", task_of("jdoe", None)));
    done.entry(EntryId([1; 16]), &entry("completed", task_of("jdoe", None)), (REGISTRAR, NOW));
    assert_eq!(related(&done), None);
}

#[test]
fn whoever_is_asked_for_a_consult_is_related_while_it_is_active() {
    let asked = |status, whom: &[&str]| related(&file(&entry(status, asked_of(whom))));
    assert_eq!(asked("active", &["Practitioner/jdoe"]), Some("consult"));
    assert_eq!(asked("active", &["Organization/7", "jdoe"]), Some("consult"), "one of several");
    assert_eq!(asked("active", &["Practitioner/1042"]), Some("consult"), "by the directory");
    assert_eq!(asked("active", &["Practitioner/jdoes"]), None);
    assert_eq!(asked("active", &[]), None);
    for status in ["draft", "on-hold", "revoked", "completed", "unknown"] {
        assert_eq!(asked(status, &["jdoe"]), None, "{status}");
    }
    let asking = Entry { asserter: Some(actor("jdoe")), ..entry("active", asked_of(&["x"])) };
    assert_eq!(related(&file(&asking)), None, "who asks is an author, lately");
    let mut lately = file(&asking);
    lately.authors.wrote(&asking, &stamp(REGISTRAR, 2, NOW - 30 * DAY));
    assert_eq!(related(&lately), Some("author"));
    assert_eq!(related(&by(NURSE, &entry("active", asked_of(&["jdoe"])))), Some("author"));
    let mut ended = file(&entry("active", asked_of(&["jdoe"])));
    ended.entry(EntryId([1; 16]), &entry("completed", asked_of(&["jdoe"])), (REGISTRAR, NOW));
    assert_eq!(related(&ended), None, "it was given");
}

#[test]
fn what_one_filed_oneself_makes_one_an_author_and_no_more() {
    for filed in [entry("active", team("jdoe", None)), entry("arrived", stay("jdoe"))] {
        assert_eq!(related(&by(NURSE, &filed)), Some("author"));
    }
    let mut both = by(NURSE, &entry("active", team("jdoe", None)));
    both.entry(EntryId([2; 16]), &entry("arrived", stay("jdoe")), (REGISTRAR, NOW - DAY));
    assert_eq!(related(&both), Some("encounter"), "the strongest of them");
}

#[test]
fn authors_are_related_for_thirty_days() {
    let note = || entry("current", Detail::Note(Note::default()));
    let authored = |entry: &Entry, by, at| {
        let mut file = FileFacts::default();
        file.authors.wrote(entry, &stamp(by, 2, at));
        related(&file)
    };
    assert_eq!(authored(&note(), NURSE, NOW - 30 * DAY), Some("author"));
    assert_eq!(authored(&note(), NURSE, NOW - 31 * DAY), None);
    assert_eq!(authored(&note(), REGISTRAR, NOW), None);
    let ordered = Entry { asserter: Some(actor("Practitioner/jdoe")), ..note() };
    assert_eq!(authored(&ordered, REGISTRAR, NOW - DAY), Some("author"));
    assert_eq!(authored(&ordered, REGISTRAR, NOW - 31 * DAY), None);
}

#[test]
fn a_service_that_acts_alone_is_related_to_nobody() {
    let caller = Caller { person: None, ..caller() };
    let purpose = treat();
    let known = Known {
        caller: &caller,
        purpose: &purpose,
        actor: NURSE,
        staff: None,
        now: NOW,
        emergencies: Vec::new(),
    };
    let mut file = FileFacts::default();
    file.authors.wrote(&Entry::default(), &stamp(NURSE, 2, NOW));
    assert_eq!(known.relationship(&file), None);
}

#[test]
fn a_file_is_protected_by_its_label() {
    let labelled = |system: &str, code: &str| {
        let labels =
            vec![Coding { system: system.to_owned(), code: code.to_owned(), ..Coding::default() }];
        let mut file = FileFacts::default();
        file.identity(&Identity { labels, ..Identity::default() });
        file.vip
    };
    assert!(labelled("http://terminology.hl7.org/CodeSystem/v3-ActCode", "CEL"));
    assert!(labelled("http://terminology.hl7.org/CodeSystem/v3-ActCode", "cel"));
    assert!(!labelled("http://terminology.hl7.org/CodeSystem/v3-ActCode", "PSY"));
    assert!(!labelled("urn:other", "CEL"));
}

#[test]
fn an_employment_is_from_its_first_day_to_its_last() {
    let employed = |start: &str, end: &str| {
        let role = PractitionerRole { period: Some(period(start, end)), ..staff() };
        is_employed(&role, NOW)
    };
    assert!(!employed("2024-01-01", "2026-11-25"));
    assert!(employed("2024-01-01", "2026-11-26"));
    assert!(employed("2024-01-01", ""), "which is no date: it has no end");
    assert!(employed("2026-11-26", "2027"));
    assert!(!employed("2026-11-27", "2027"), "not yet");
}

#[test]
fn what_one_filed_while_the_glass_was_broken_makes_one_no_author() {
    let mut file = FileFacts::default();
    let noted = entry("", Detail::Note(Note::default()));
    file.authors.wrote(&noted, &stamp(NURSE, 1, NOW - DAY));
    let (caller, staff, purpose) = (caller(), staff(), treat());
    let with = |emergencies: Vec<(u64, u64)>| {
        let staff = Some(&staff);
        let (caller, purpose) = (&caller, &purpose);
        let known = Known { caller, purpose, actor: NURSE, staff, now: NOW, emergencies };
        known.relationship(&file)
    };
    assert_eq!(with(Vec::new()), Some(Relationship::Author));
    assert_eq!(with(vec![(NOW - 2 * DAY, NOW)]), None);
    assert_eq!(with(vec![(NOW - DAY / 2, NOW)]), Some(Relationship::Author), "before it");
    // Nor does an entry that names oneself, as its recorder or as a member of the team.
    let recorder = Some(actor("jdoe"));
    let recorded = Entry { recorder, ..entry("", Detail::Note(Note::default())) };
    let mut named = FileFacts::default();
    named.authors.wrote(&recorded, &stamp(REGISTRAR, 1, NOW - DAY));
    for file in [named, by(NURSE, &entry("active", team("jdoe", None)))] {
        let with = |emergencies| {
            let staff = Some(&staff);
            let (caller, purpose) = (&caller, &purpose);
            let known = Known { caller, purpose, actor: NURSE, staff, now: NOW, emergencies };
            known.relationship(&file)
        };
        assert_eq!(with(Vec::new()), Some(Relationship::Author));
        assert_eq!(with(vec![(NOW - 2 * DAY, NOW)]), None);
    }
}

#[test]
fn an_access_record_tells_the_facts_again() {
    let all = Facts {
        relationship: Some("unit".to_owned()),
        emergency: Some([7; 16]),
        alone: Some(EntryId([5; 16])),
        employed: Some(false),
        own_file: true,
        vip: true,
        restricted: true,
        staff_units: ["4-west", "unit:x"].map(ToOwned::to_owned).into(),
        units: ["4-east", "4-west"].map(ToOwned::to_owned).into(),
        time: LocalTime::parse("fri 14:03"),
    };
    let entry = format!("entry:{}", "05".repeat(16));
    let told = ["not-employed", "own-file", "vip", "restricted", &entry];
    let units = ["staff-unit:4-west", "staff-unit:unit:x", "unit:4-east", "unit:4-west"];
    assert_eq!(all.circumstances(), [&told[..], &units, &["time:fri 14:03"]].concat());
    let of_nobody = all.of_nobody();
    assert_eq!(of_nobody.circumstances(), [&told[..1], &units[..2], &["time:fri 14:03"]].concat());
    let employed = Facts { employed: Some(true), ..Facts::default() };
    for facts in [all, of_nobody, employed, Facts::default()] {
        assert_eq!(Facts::recorded(&record(&facts)), facts);
    }
}

fn record(facts: &Facts) -> schema::AccessRecord {
    schema::AccessRecord {
        kind: schema::AccessKind::Shown,
        person: None,
        service: String::new(),
        roles: Vec::new(),
        organisation: String::new(),
        purpose: "TREAT".to_owned(),
        reason: None,
        relationship: facts.relationship.clone(),
        operation: String::new(),
        outcome: schema::Outcome::Shown,
        request: Vec::new(),
        position: 0,
        trail: 0,
        answered_at: 0,
        first_version: 0,
        version: 0,
        policy_version: String::new(),
        deciding: Vec::new(),
        masked: Vec::new(),
        answer_format: 1,
        count: 0,
        answer_digest: [0; 32],
        told: None,
        network: None,
        issuer: None,
        emergency: facts.emergency,
        circumstances: facts.circumstances(),
    }
}
