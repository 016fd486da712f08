//! The one place where what went wrong becomes a gRPC status.
//!
//! | what happened | status | details (`google.rpc`) |
//! |---|---|---|
//! | invalid fields | `INVALID_ARGUMENT` | `BadRequest` with field paths, `ErrorInfo` |
//! | too long a message | `INVALID_ARGUMENT` | `ErrorInfo` with `limit` |
//! | a rule refuses it | `FAILED_PRECONDITION` | `ErrorInfo.reason`, `PreconditionFailure` |
//! | request id reused or abandoned | `FAILED_PRECONDITION` | the same |
//! | expected version differs | `ABORTED` | `ErrorInfo` with `current_version` |
//! | unknown, or not to be known | `NOT_FOUND` | `ErrorInfo` |
//! | not permitted | `PERMISSION_DENIED` | `ErrorInfo` with `break_glass` |
//! | no or bad credentials | `UNAUTHENTICATED` | `ErrorInfo` |
//! | broker or quorum away | `UNAVAILABLE` | `ErrorInfo` `NOT_FILED`, `OUTCOME_UNKNOWN` or `NOT_ANSWERED`, `RetryInfo` |
//! | this node is far from the stream's end, or makes its views | `UNAVAILABLE` | `ErrorInfo` `CATCHING_UP`, `RetryInfo` |
//! | too much in flight | `RESOURCE_EXHAUSTED` | `RetryInfo`, `ErrorInfo` with `limit` |
//! | damage | `DATA_LOSS` | `ErrorInfo` with `damaged` |
//! | no such method or compression | `UNIMPLEMENTED` | `ErrorInfo` |
//! | anything else | `INTERNAL`, fixed text | `RequestInfo` with the call's id |
//!
//! Handlers never build a status themselves.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use engine::{Failure, LISTED_VIOLATIONS, Violation};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::auth::Refused;
use crate::call::MAX_QUERY;

/// `ErrorInfo.domain` of every error of this service.
pub const DOMAIN: &str = "caseledger";

/// The text of every internal error; the cause stands in the log under the call's id.
pub const INTERNAL: &str = "internal error: the server's log has the cause under this call's id";

/// Longest message, in bytes, either way (design limit); compressed ones count unpacked.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;

/// `Violation.code` of a request that only reads and is longer than [`MAX_QUERY`].
pub(crate) const QUERY_TOO_LARGE: &str = "query-too-large";

/// Longest field path in a status, in bytes.
const MAX_FIELD: usize = 120;

/// Longest description of a violation or damage in a status, in bytes.
const MAX_TEXT: usize = 240;

/// When to try again after the broker was away: its reconnect takes about as long.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(1);

const NODE_RETIRED: &str = "NODE_RETIRED";
const RECORD: &str = "record";

/// The status for a failure of the call with this id.
#[must_use]
pub fn status(failure: &Failure, call: &str) -> Status {
    let message = failure.to_string();
    match failure {
        Failure::Invalid(violations) if violations.iter().any(|it| it.code == QUERY_TOO_LARGE) => {
            larger_than(MAX_QUERY, "one that only reads")
        }
        Failure::Invalid(violations) => invalid(violations),
        Failure::Refused { reason, subject, .. } => precondition(reason, subject, message),
        Failure::RequestIdReused => precondition("REQUEST_ID_REUSED", "", message),
        Failure::RequestAbandoned => precondition("REQUEST_ABANDONED", "", message),
        Failure::VersionConflict { current } => {
            let info = [("current_version", current.to_string())];
            build(Code::Aborted, message, details("VERSION_CONFLICT", info))
        }
        Failure::NotFound => build(Code::NotFound, message, details("NOT_FOUND", [])),
        Failure::Denied { reason, break_glass } => denied(reason, *break_glass, message),
        Failure::EntryMasked { break_glass } => denied("ENTRY_MASKED", *break_glass, message),
        Failure::NotFiled { .. } => unavailable("NOT_FILED", message),
        Failure::OutcomeUnknown => unavailable("OUTCOME_UNKNOWN", message),
        Failure::Unavailable { .. } => unavailable("NOT_ANSWERED", message),
        Failure::CatchingUp { .. } => unavailable("CATCHING_UP", message),
        Failure::Exhausted { retry_after, limit } => exhausted(limit, *retry_after),
        Failure::Damaged { what } => {
            tracing::error!(call, what, "damaged data");
            let info = [("damaged", cut(what, MAX_TEXT).to_owned())];
            build(Code::DataLoss, cut(&message, MAX_TEXT), details("DAMAGED", info))
        }
        Failure::Internal { cause } => {
            tracing::error!(call, cause, "internal error");
            internal(call)
        }
    }
}

/// Refused for its credentials.
#[must_use]
pub fn unauthenticated(refused: Refused) -> Status {
    build(Code::Unauthenticated, refused.message(), details(refused.code(), []))
}

/// Refused because `limit` is reached.
#[must_use]
pub fn exhausted(limit: &str, retry_after: Duration) -> Status {
    let mut details = details("LIMIT_REACHED", [("limit", limit.to_owned())]);
    details.set_retry_info(Some(retry_after));
    build(Code::ResourceExhausted, format!("{limit} is reached; try again later"), details)
}

/// A fault of ours, whose cause was logged under this call's id.
#[must_use]
pub fn internal(call: &str) -> Status {
    let mut details = details("INTERNAL", [("call", call.to_owned())]);
    details.set_request_info(call, "");
    build(Code::Internal, INTERNAL, details)
}

/// The request is longer than a message may be.
#[must_use]
pub fn too_large() -> Status {
    larger_than(MAX_MESSAGE, "a message")
}

fn larger_than(limit: usize, of: &str) -> Status {
    let text = format!("the request has more than {limit} bytes, the limit of {of}");
    let info = [("limit", limit.to_string())];
    build(Code::InvalidArgument, text, details("MESSAGE_TOO_LARGE", info))
}

/// This node has no such method.
#[must_use]
pub fn unknown_method() -> Status {
    let text = "this node has no such service or method: nothing was filed or shown; check the name, \
                or call a node of a newer version";
    build(Code::Unimplemented, text, details("METHOD_UNKNOWN", []))
}

/// The request is packed as this node cannot unpack it.
#[must_use]
pub fn unknown_compression() -> Status {
    let text = "the request is compressed in another way than gzip, and nothing was filed or shown: \
                send it with gzip, or as it is";
    build(Code::Unimplemented, text, details("COMPRESSION_UNKNOWN", []))
}

/// The request's bytes are not the message; `field` is where that showed, empty if nowhere.
#[must_use]
pub fn not_a_message(field: &str) -> Status {
    invalid(&[Violation {
        field: field.to_owned(),
        code: "not-decodable".to_owned(),
        description: "is not encoded as its type; text must be UTF-8".to_owned(),
    }])
}

/// This node is stopping; another one, or this one later, goes on with the stream.
#[must_use]
pub fn stopping() -> Status {
    unavailable("NOT_ANSWERED", "this node is stopping; resume on another node or later")
}

/// A call without credentials whose request did not come, or that took too long.
#[must_use]
pub fn too_slow() -> Status {
    unavailable("NOT_ANSWERED", "the request or its answer took too long; send it again")
}

/// A retired node is told so, with the control record that says it.
#[must_use]
pub fn retired(record: &[u8]) -> Status {
    let info = [(RECORD, hex::encode(record))];
    build(Code::PermissionDenied, "this node was retired", details(NODE_RETIRED, info))
}

/// The control record in a [`retired`] status; none in any other.
#[must_use]
pub fn retirement_in(status: &Status) -> Option<Vec<u8>> {
    let info = status.get_details_error_info().filter(|info| info.reason == NODE_RETIRED)?;
    hex::decode(info.metadata.get(RECORD)?).ok()
}

fn invalid(violations: &[Violation]) -> Status {
    let mut details = details("INVALID_FIELDS", [("violations", violations.len().to_string())]);
    let listed: Vec<FieldViolation> = violations
        .iter()
        .take(LISTED_VIOLATIONS)
        .map(|violation| {
            let field = cut(&violation.field, MAX_FIELD);
            let mut listed = FieldViolation::new(field, cut(&violation.description, MAX_TEXT));
            listed.reason = violation.code.to_ascii_uppercase().replace('-', "_");
            listed
        })
        .collect();
    details.set_bad_request(listed);
    let message = match violations {
        [only] if only.field.is_empty() => {
            format!("the request {}", cut(&only.description, MAX_TEXT))
        }
        [only] => {
            format!("{}: {}", cut(&only.field, MAX_FIELD), cut(&only.description, MAX_TEXT))
        }
        all if all.len() > LISTED_VIOLATIONS => format!(
            "the request has {} invalid fields; the first {LISTED_VIOLATIONS} are listed",
            all.len()
        ),
        all => format!("the request has {} invalid fields", all.len()),
    };
    build(Code::InvalidArgument, message, details)
}

fn precondition(reason: &str, subject: &str, message: String) -> Status {
    let subject = cut(subject, MAX_FIELD);
    let mut details = details(reason, []);
    details.add_precondition_failure_violation(reason, subject, message.clone());
    let message = if subject.is_empty() { message } else { format!("{subject}: {message}") };
    build(Code::FailedPrecondition, message, details)
}

fn denied(reason: &str, break_glass: bool, message: String) -> Status {
    let info = [("break_glass", if break_glass { "possible" } else { "impossible" }.into())];
    build(Code::PermissionDenied, message, details(reason, info))
}

fn unavailable(reason: &str, message: impl Into<String>) -> Status {
    let mut details = details(reason, []);
    details.set_retry_info(Some(RETRY_UNAVAILABLE));
    build(Code::Unavailable, message, details)
}

fn details<const N: usize>(reason: &str, metadata: [(&str, String); N]) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        metadata.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

fn build(code: Code, message: impl Into<String>, details: ErrorDetails) -> Status {
    Status::with_error_details(code, message, details)
}

/// At most `limit` bytes of a text, ending at a character.
fn cut(text: &str, limit: usize) -> &str {
    text.get(..text.floor_char_boundary(limit)).unwrap_or_default()
}
