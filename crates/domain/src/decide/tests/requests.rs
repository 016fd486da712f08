//! Requests and what comes of them.

use super::*;
use crate::kind::ServiceRequest;
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
