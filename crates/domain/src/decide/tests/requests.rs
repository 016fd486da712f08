//! Requests and what comes of them.

use super::*;
use crate::kind::{ServiceRequest, Task};
use crate::value::Actor;

fn consult() -> Entry {
    let performer = Actor { reference: "Practitioner/8".to_owned(), display: None };
    Entry {
        status: Some("active".to_owned()),
        code: text("Cardiology consult"),
        detail: Detail::ServiceRequest(ServiceRequest {
            intent: Some("order".to_owned()),
            priority: Some("urgent".to_owned()),
            performer: vec![performer],
            ..ServiceRequest::default()
        }),
        ..Entry::default()
    }
}

fn status(entry: Entry, status: &str) -> Entry {
    Entry { status: Some(status.to_owned()), ..entry }
}

#[test]
fn a_request_for_a_service_says_what_is_asked_for_and_how_firmly() {
    assert_eq!(consult().summary(), "Cardiology consult, urgent, Practitioner/8, active");
    assert!(given([register()]).when(&add(consult())).is_ok());
    let nothing = Entry { code: CodeableConcept::default(), ..consult() };
    assert_eq!(violation(nothing), pair("code", "required"));
    let asked = |change: fn(&mut ServiceRequest)| {
        let mut entry = consult();
        let Detail::ServiceRequest(fields) = &mut entry.detail else { unreachable!() };
        change(fields);
        violation(entry)
    };
    assert_eq!(asked(|fields| fields.intent = None), pair("detail.intent", "required"));
    let wish = asked(|fields| fields.intent = Some("wish".to_owned()));
    assert_eq!(wish, pair("detail.intent", "value-not-allowed"));
    let soon = asked(|fields| fields.priority = Some("soon".to_owned()));
    assert_eq!(soon, pair("detail.priority", "value-not-allowed"));
    let nobody = asked(|fields| fields.performer = vec![Actor::default()]);
    assert_eq!(nobody, pair("detail.performer[0].reference", "required"));
    assert_eq!(violation(status(consult(), "cancelled")), pair("status", "value-not-allowed"));
    let error = violation(status(consult(), "entered-in-error"));
    assert_eq!(error, pair("status", "retract-instead"));
}

#[test]
fn a_request_that_has_ended_does_not_begin_again() {
    for last in ["revoked", "completed"] {
        let ended =
            given([register(), add(consult()), amend(status(consult(), last), &["status"])]);
        let again = ended.refuses(&amend(consult(), &["status"]));
        assert_eq!(again.code(), "STATUS_STEP_NOT_ALLOWED", "{last}");
    }
    let held = given([register(), add(status(consult(), "on-hold"))]);
    assert!(held.when(&amend(consult(), &["status"])).is_ok());
}

fn task() -> Entry {
    Entry {
        status: Some("requested".to_owned()),
        detail: Detail::Task(Task {
            intent: Some("order".to_owned()),
            description: Some("Arrange transport".to_owned()),
            owner: Some(Actor { reference: "Practitioner/8".to_owned(), display: None }),
            restriction: Some(Period { start: None, end: FhirDateTime::parse("2026-12-24").ok() }),
            ..Task::default()
        }),
        ..Entry::default()
    }
}

#[test]
fn a_task_says_what_is_to_be_done_in_a_code_or_in_words() {
    let said = "Arrange transport, Practitioner/8, requested, until 2026-12-24";
    assert_eq!(task().summary(), said);
    let coded = Entry { code: text("Transport"), ..task() };
    assert!(coded.summary().starts_with("Transport, Practitioner/8"));
    for entry in [task(), coded] {
        assert!(given([register()]).when(&add(entry)).is_ok());
    }
    let given_as = |change: fn(&mut Task)| {
        let mut entry = task();
        let Detail::Task(fields) = &mut entry.detail else { unreachable!() };
        change(fields);
        violation(entry)
    };
    let nothing = given_as(|fields| fields.description = None);
    assert_eq!(nothing, pair("detail.description", "required"));
    assert_eq!(given_as(|fields| fields.intent = None), pair("detail.intent", "required"));
    let directive = given_as(|fields| fields.intent = Some("directive".to_owned()));
    assert_eq!(directive, pair("detail.intent", "value-not-allowed"));
    let about = given_as(|fields| fields.focus = Some(EntryId::ZERO));
    assert_eq!(about, pair("detail.focus", "required"));
    let unfounded = given_as(|fields| fields.based_on = vec![EntryId::ZERO]);
    assert_eq!(unfounded, pair("detail.based_on[0]", "required"));
    let endless = given_as(|fields| fields.restriction = Some(Period::default()));
    assert_eq!(endless, pair("detail.restriction", "required"));
    assert_eq!(violation(status(task(), "active")), pair("status", "value-not-allowed"));
}

#[test]
fn a_task_that_is_over_does_not_begin_again() {
    for last in ["rejected", "cancelled", "failed", "completed"] {
        let over = given([register(), add(task()), amend(status(task(), last), &["status"])]);
        let again = over.refuses(&amend(status(task(), "in-progress"), &["status"]));
        assert_eq!(again.code(), "STATUS_STEP_NOT_ALLOWED", "{last}");
    }
    let held = given([register(), add(task()), amend(status(task(), "on-hold"), &["status"])]);
    assert!(held.when(&amend(status(task(), "in-progress"), &["status"])).is_ok());
}
