//! What is wrong with a request, as its caller hears it.

use domain::{Command, Finding, Rejection, Severity};

use super::MAX_CHANGES;
use crate::failure::{Failure, Violation};

pub(crate) fn rejected(rejection: &Rejection, prefix: &str) -> Failure {
    use Rejection as R;
    match rejection {
        R::Invalid(findings) => Failure::Invalid(violations(findings, prefix)),
        R::NoSuchPatient | R::NoSuchEntry => Failure::NotFound,
        R::ReasonMissing => Failure::Invalid(vec![Violation {
            field: format!("{prefix}reason"),
            code: "required".to_owned(),
            description: rejection.to_string(),
        }]),
        R::AlreadyExists
        | R::EntryRetracted
        | R::KindChanged
        | R::StatusStepNotAllowed
        | R::DocumentStepNotAllowed(_)
        | R::AugmentationReplaces
        | R::NothingChanged
        | R::SamePerson
        | R::TextIsFixed => {
            let subject = prefix.trim_end_matches('.').to_owned();
            Failure::Refused { reason: rejection.code(), subject, message: rejection.to_string() }
        }
    }
}

pub(crate) fn violations(findings: &[Finding], prefix: &str) -> Vec<Violation> {
    findings
        .iter()
        .filter(|finding| finding.severity == Severity::Violation)
        .map(|finding| Violation {
            field: format!("{prefix}{}", finding.field),
            code: finding.code.clone(),
            description: finding.text.clone(),
        })
        .collect()
}

/// Request ids a client may choose: 1 to 128 printable ASCII characters.
pub(crate) fn check_request_id(request_id: &str) -> Result<(), Failure> {
    let fine =
        (1..=128).contains(&request_id.len()) && request_id.bytes().all(|b| b.is_ascii_graphic());
    if fine {
        return Ok(());
    }
    Err(Failure::Invalid(vec![Violation {
        field: "request_id".to_owned(),
        code: "bad-request-id".to_owned(),
        description: "a request id is 1 to 128 visible ASCII characters; a UUID is best".to_owned(),
    }]))
}

pub(super) fn check_commands(commands: &[Command]) -> Result<(), Failure> {
    if (1..=MAX_CHANGES).contains(&commands.len()) {
        return Ok(());
    }
    Err(Failure::Invalid(vec![Violation {
        field: "changes".to_owned(),
        code: "too-many".to_owned(),
        description: format!("a contribution holds 1 to {MAX_CHANGES} changes; file it in parts"),
    }]))
}
