//! Every failure has its row in the table, and no status is too big or says too much.

use super::*;

const CALL: &str = "0192";

/// One of each; the match makes forgetting a new variant a compile error.
fn all() -> Vec<(Failure, Code, &'static str)> {
    fn listed(failure: &Failure) {
        match failure {
            Failure::Invalid(_)
            | Failure::Refused { .. }
            | Failure::VersionConflict { .. }
            | Failure::NotFound
            | Failure::Denied { .. }
            | Failure::EntryMasked { .. }
            | Failure::RequestIdReused
            | Failure::RequestAbandoned
            | Failure::NotFiled { .. }
            | Failure::OutcomeUnknown
            | Failure::Unavailable { .. }
            | Failure::CatchingUp { .. }
            | Failure::Exhausted { .. }
            | Failure::Damaged { .. }
            | Failure::Internal { .. } => {}
        }
    }
    let all = vec![
        (Failure::Invalid(vec![violation("entry.code")]), Code::InvalidArgument, "INVALID_FIELDS"),
        (
            Failure::Refused {
                reason: "ENTRY_RETRACTED",
                subject: "changes[1]".into(),
                message: "no".into(),
            },
            Code::FailedPrecondition,
            "ENTRY_RETRACTED",
        ),
        (Failure::VersionConflict { current: 7 }, Code::Aborted, "VERSION_CONFLICT"),
        (Failure::NotFound, Code::NotFound, "NOT_FOUND"),
        (Failure::Denied { reason: "ROLE", break_glass: true }, Code::PermissionDenied, "ROLE"),
        (Failure::EntryMasked { break_glass: true }, Code::PermissionDenied, "ENTRY_MASKED"),
        (Failure::RequestIdReused, Code::FailedPrecondition, "REQUEST_ID_REUSED"),
        (Failure::RequestAbandoned, Code::FailedPrecondition, "REQUEST_ABANDONED"),
        (Failure::NotFiled { why: "broker".into() }, Code::Unavailable, "NOT_FILED"),
        (Failure::OutcomeUnknown, Code::Unavailable, "OUTCOME_UNKNOWN"),
        (Failure::Unavailable { why: "behind".into() }, Code::Unavailable, "NOT_ANSWERED"),
        (Failure::CatchingUp { why: "1 of 9".into() }, Code::Unavailable, "CATCHING_UP"),
        (
            Failure::Exhausted { retry_after: Duration::from_secs(2), limit: "the limit of x" },
            Code::ResourceExhausted,
            "LIMIT_REACHED",
        ),
        (Failure::Damaged { what: "records/7".into() }, Code::DataLoss, "DAMAGED"),
        (Failure::Internal { cause: "secret cause".into() }, Code::Internal, "INTERNAL"),
    ];
    for (failure, ..) in &all {
        listed(failure);
    }
    all
}

fn violation(field: &str) -> Violation {
    Violation { field: field.into(), code: "required".into(), description: "say what it is".into() }
}

#[test]
fn every_failure_has_its_status_and_reason() {
    for (failure, code, reason) in all() {
        let status = status(&failure, CALL);
        assert_eq!(status.code(), code, "{failure:?}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, DOMAIN));
        let retry = matches!(code, Code::Unavailable | Code::ResourceExhausted);
        assert_eq!(status.get_details_retry_info().is_some(), retry, "{failure:?}");
    }
}

#[test]
fn details_carry_what_a_client_needs() {
    let conflict = status(&Failure::VersionConflict { current: 7 }, CALL);
    assert_eq!(conflict.get_details_error_info().unwrap().metadata["current_version"], "7");
    let denied = status(&Failure::Denied { reason: "ROLE", break_glass: true }, CALL);
    assert_eq!(denied.get_details_error_info().unwrap().metadata["break_glass"], "possible");
    let invalid = status(&Failure::Invalid(vec![violation("entry.code")]), CALL);
    let bad = invalid.get_details_bad_request().unwrap();
    assert_eq!(bad.field_violations[0].field, "entry.code");
    assert_eq!(bad.field_violations[0].reason, "REQUIRED");
    let refused = status(&Failure::RequestIdReused, CALL);
    assert_eq!(refused.get_details_precondition_failure().unwrap().violations[0].subject, "");
    let subject = "changes[1]".to_owned();
    let message = "no".to_owned();
    let refused = status(&Failure::Refused { reason: "ENTRY_RETRACTED", subject, message }, CALL);
    let violation = &refused.get_details_precondition_failure().unwrap().violations[0];
    assert_eq!((violation.subject.as_str(), violation.description.as_str()), ("changes[1]", "no"));
    assert_eq!(refused.message(), "changes[1]: no");
}

#[test]
fn a_reading_that_is_too_long_is_told_its_limit() {
    let long = Violation { code: QUERY_TOO_LARGE.to_owned(), ..violation("") };
    let status = status(&Failure::Invalid(vec![violation("page_token"), long]), CALL);
    assert_eq!(status.code(), Code::InvalidArgument);
    let info = status.get_details_error_info().unwrap();
    let limit = MAX_QUERY.to_string();
    assert_eq!((info.reason.as_str(), &info.metadata["limit"]), ("MESSAGE_TOO_LARGE", &limit));
    assert!(status.message().contains(&limit), "{}", status.message());
}

#[test]
fn an_internal_error_says_nothing_but_its_id() {
    let status = status(&Failure::Internal { cause: "secret cause".into() }, CALL);
    assert_eq!(status.message(), INTERNAL);
    assert_eq!(status.get_details_request_info().unwrap().request_id, CALL);
    assert!(!format!("{status:?}").contains("secret"));
}

#[test]
fn ten_thousand_violations_still_fit_a_trailer() {
    let field = format!("changes[0].{}", "ä".repeat(10_000));
    let status = status(&Failure::Invalid(vec![violation(&field); 10_000]), CALL);
    assert_eq!(status.get_details_bad_request().unwrap().field_violations.len(), LISTED_VIOLATIONS);
    assert_eq!(status.get_details_error_info().unwrap().metadata["violations"], "10000");
    assert!(status.details().len() < 6 * 1024);
    assert!(status.message().len() < 200);
}

#[test]
fn every_refused_credential_is_unauthenticated() {
    for refused in Refused::ALL {
        let status = unauthenticated(refused);
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(status.get_details_error_info().unwrap().reason, refused.code());
    }
}
