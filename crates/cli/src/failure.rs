//! What went wrong, for a person: what, where, what to do. And the exit code.

mod advice;

use std::fmt::Display;
use std::fmt::Write as _;

use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::output::one_line;
use advice::advice;

/// Refused by the server, or failed here.
const FAILED: u8 = 1;
/// Wrong usage; clap exits with the same.
const USAGE: u8 = 2;
/// The server was not reached, or the connection broke.
const UNREACHABLE: u8 = 3;

/// What is stored is not what was: as of `verify`.
const NOT_AS_IT_WAS: u8 = 10;
/// What the server says then.
const NOT_REPRODUCED: &str = "NOT_REPRODUCED";

/// What the server says when it cannot tell whether something is on file.
const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";

/// Why a command ended early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// What was typed cannot be meant.
    Usage(String),
    /// Something on this machine.
    Local { what: String, cause: String },
    /// The server could not be reached.
    Unreachable { server: String, cause: String },
    /// The server answered with an error.
    Refused { server: String, call: &'static str, status: Box<Status> },
    /// What was to be filed under this request id may be on file.
    PerhapsFiled { request: String, failure: Box<Failure> },
    /// Standard output was closed by who reads it.
    OutputClosed,
}

impl Failure {
    /// Something on this machine: what could not be done, and why.
    pub(crate) fn local(what: impl Display, cause: impl Display) -> Self {
        Self::Local { what: what.to_string(), cause: cause.to_string() }
    }

    /// What a call ended with; a status that the transport made up is not an answer.
    pub(crate) fn of(server: &str, call: &'static str, status: Status) -> Self {
        let server = server.to_owned();
        if is_transport(&status) {
            return Self::Unreachable { server, cause: cause_of(&status) };
        }
        Self::Refused { server, call, status: Box::new(status) }
    }

    /// What a call that files ended with. If that leaves open whether it is on file, its request id is told.
    pub(crate) fn filing(self, request: &str) -> Self {
        let perhaps = match &self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => is_open(status),
            Self::Usage(_)
            | Self::Local { .. }
            | Self::PerhapsFiled { .. }
            | Self::OutputClosed => false,
        };
        if perhaps {
            Self::PerhapsFiled { request: request.to_owned(), failure: Box::new(self) }
        } else {
            self
        }
    }

    /// What the process exits with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Unreachable { .. } => UNREACHABLE,
            Self::Refused { status, .. }
                if status
                    .get_details_error_info()
                    .is_some_and(|info| info.reason == NOT_REPRODUCED) =>
            {
                NOT_AS_IT_WAS
            }
            Self::Local { .. } | Self::Refused { .. } => FAILED,
            Self::PerhapsFiled { failure, .. } => failure.exit_code(),
            Self::OutputClosed => 0,
        }
    }

    /// The same for scripts. `code` is the gRPC status, or what happened without an answer: `USAGE`,
    /// `LOCAL`, `UNREACHABLE`.
    pub(crate) fn json(&self) -> Value {
        let plain = |code: &str, message: String| json!({"code": code, "reason": "", "message": message, "fields": []});
        let error = match self {
            Self::Usage(text) => plain("USAGE", text.clone()),
            Self::Local { what, cause } => plain("LOCAL", format!("cannot {what}: {cause}")),
            Self::Unreachable { server, cause } => {
                plain("UNREACHABLE", format!("{server} cannot be reached: {cause}"))
            }
            Self::Refused { server, call, status } => refused_json(server, call, status),
            Self::PerhapsFiled { request, failure } => {
                let mut told = failure.json();
                if let Some(error) = told.get_mut("error").and_then(Value::as_object_mut) {
                    error.insert("request_id".to_owned(), json!(request));
                }
                return told;
            }
            Self::OutputClosed => plain("LOCAL", "standard output was closed".to_owned()),
        };
        json!({"error": error})
    }

    /// The whole message, with a line end.
    pub(crate) fn report(&self) -> String {
        match self {
            Self::Usage(text) => format!("error: {text}\n  see:   caseledger --help\n"),
            // A file may have any name.
            Self::Local { what, cause } => format!("error: cannot {}: {cause}\n", one_line(what)),
            Self::Unreachable { server, cause } => format!(
                "error: the server cannot be reached\n  where: {server}\n  why:   {}\n  do:    check \
                 --server (or CASELEDGER_SERVER) and that caseledgerd is running\n",
                one_line(cause)
            ),
            Self::Refused { server, call, status } => refused(server, call, status),
            Self::PerhapsFiled { request, failure } => {
                let told = failure.report();
                format!(
                    "{told}  again: the same command with --request-id {request} files nothing twice\n"
                )
            }
            Self::OutputClosed => String::new(),
        }
    }
}

fn refused_json(server: &str, call: &str, status: &Status) -> Value {
    let details = status.get_error_details();
    let info = details.error_info();
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice());
    let fields: Vec<_> = violations
        .unwrap_or_default()
        .iter()
        .map(|one| json!({"field": one.field, "reason": one.reason, "message": one.description}))
        .collect();
    let delay = details.retry_info().and_then(|retry| retry.retry_delay);
    json!({
        "code": name(status.code()),
        "reason": info.map(|info| info.reason.as_str()).unwrap_or_default(),
        "message": status.message(),
        "fields": fields,
        "metadata": info.map(|info| json!(info.metadata)).unwrap_or_else(|| json!({})),
        "retry_after_ms": delay.and_then(|delay| u64::try_from(delay.as_millis()).ok()),
        "server": server,
        "call": call,
    })
}

/// Whether no server said this: connections refused, broken, timed out before an answer.
fn is_transport(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if error.is::<tonic::transport::Error>() || error.is::<std::io::Error>() {
            return true;
        }
        source = error.source();
    }
    // what a server said comes without a cause; a stream that is cut off is said to be of a code unknown
    if status.code() == Code::Unknown && std::error::Error::source(status).is_some() {
        return true;
    }
    // the server explains every UNAVAILABLE of its own (NOT_FILED, OUTCOME_UNKNOWN, NOT_ANSWERED, CATCHING_UP)
    status.code() == Code::Unavailable && status.get_error_details().error_info().is_none()
}

/// Whether the server may have filed what was asked, although it says something else.
fn is_open(status: &Status) -> bool {
    let cut_off = [Code::DeadlineExceeded, Code::Cancelled, Code::Unknown, Code::Internal];
    let unknown = |info: tonic_types::ErrorInfo| info.reason == OUTCOME_UNKNOWN;
    cut_off.contains(&status.code()) || status.get_details_error_info().is_some_and(unknown)
}

/// The innermost cause: the outer ones only say "transport error".
fn cause_of(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        text = error.to_string();
        source = error.source();
    }
    text
}

fn refused(server: &str, call: &str, status: &Status) -> String {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let mut text = format!("error: {}\n  where: {call} at {server}\n", one_line(status.message()));
    if let Some(bad) = details.bad_request() {
        for violation in &bad.field_violations {
            let (field, why) = (one_line(&violation.field), one_line(&violation.description));
            let _ = writeln!(text, "  field: {field}: {why}");
        }
    }
    let code = name(status.code());
    let _ = match reason.as_str() {
        "" => writeln!(text, "  why:   {code}"),
        same if same == code => writeln!(text, "  why:   {code}"),
        reason => writeln!(text, "  why:   {code}, {}", one_line(reason)),
    };
    if let Some(info) = details.error_info() {
        let mut known: Vec<_> = info.metadata.iter().collect();
        known.sort();
        for (key, value) in known {
            let _ = writeln!(text, "         {}: {}", one_line(key), one_line(value));
        }
    }
    if let Some(delay) = details.retry_info().and_then(|retry| retry.retry_delay) {
        let _ = writeln!(text, "  wait:  {} ms", delay.as_millis());
    }
    if let Some(request) = details.request_info().filter(|info| !info.request_id.is_empty()) {
        let _ = writeln!(
            text,
            "  id:    {} (the server's log has more)",
            one_line(&request.request_id)
        );
    }
    let possible = |info: &tonic_types::ErrorInfo| {
        info.metadata.get("break_glass").is_some_and(|break_glass| break_glass == "possible")
    };
    let glass = details.error_info().is_some_and(possible);
    let _ = writeln!(text, "  do:    {}", advice(call, status.code(), &reason, glass));
    text
}

/// The status as gRPC writes it.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use tonic_types::ErrorDetails;

    fn of(status: Status) -> Failure {
        Failure::of("http://node", "PatientFileService/Contribute", status)
    }

    #[test]
    fn a_file_writes_no_lines_of_its_own_by_its_name() {
        let told = Failure::local("read a\nerror: \u{1b}[31mowned.json", "denied").report();
        assert_eq!(told, "error: cannot read a error:  [31mowned.json: denied\n");
    }

    #[test]
    fn a_denial_that_an_emergency_lifts_says_how() {
        let told = |break_glass: &str| {
            let metadata = [("break_glass".to_owned(), break_glass.to_owned())];
            let details = ErrorDetails::with_error_info("FORBIDDEN", "caseledger", metadata);
            of(Status::with_error_details(Code::PermissionDenied, "no", details)).report()
        };
        assert!(told("possible").contains("(caseledger emergency start)"), "{}", told("possible"));
        assert!(told("impossible").contains("do:    ask the privacy office"));
    }

    #[test]
    fn fields_and_reasons_are_shown() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("changes[0].add_entry.entry.status", "not a status");
        let status = Status::with_error_details(Code::InvalidArgument, "1 invalid field", details);
        let failure = of(status);
        assert_eq!(failure.exit_code(), 1);
        assert_eq!(
            failure.report(),
            "error: 1 invalid field\n  where: PatientFileService/Contribute at http://node\n  \
             field: changes[0].add_entry.entry.status: not a status\n  why:   INVALID_ARGUMENT\n  \
             do:    correct the fields named above\n"
        );
    }

    #[test]
    fn scripts_get_code_reason_and_fields() {
        let mut details = ErrorDetails::with_error_info("INVALID_FIELDS", "caseledger", []);
        details.add_bad_request_violation("outcome", "not an outcome");
        let status = Status::with_error_details(Code::InvalidArgument, "1 invalid field", details);
        let json = of(status).json();
        assert_eq!(json["error"]["code"], "INVALID_ARGUMENT");
        assert_eq!(json["error"]["reason"], "INVALID_FIELDS");
        assert_eq!(json["error"]["message"], "1 invalid field");
        assert_eq!(json["error"]["fields"][0]["field"], "outcome");
        let usage = Failure::Usage("no".to_owned()).json();
        assert_eq!(usage["error"]["code"], "USAGE");
    }

    #[test]
    fn a_broker_that_is_away_is_not_a_server_that_is_away() {
        let details = ErrorDetails::with_error_info("NOT_FILED", "caseledger", []);
        let status = Status::with_error_details(Code::Unavailable, "the broker is away", details);
        assert_eq!(of(status).exit_code(), 1);
        assert_eq!(of(Status::unavailable("tcp connect error")).exit_code(), 3);
    }

    #[test]
    fn what_cannot_be_shown_as_it_was_has_an_exit_code_of_its_own() {
        let ended = |reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "caseledger", []);
            let code = Code::FailedPrecondition;
            of(Status::with_error_details(code, "it is another", details)).exit_code()
        };
        assert_eq!((ended(NOT_REPRODUCED), ended("NOT_REPLAYED")), (10, 1));
    }

    #[test]
    fn who_cannot_know_whether_it_is_on_file_is_told_the_request_id() {
        let ended = |code, reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "caseledger", []);
            of(Status::with_error_details(code, "no", details)).filing("5f3a")
        };
        let unknown = ended(Code::Unavailable, OUTCOME_UNKNOWN);
        assert_eq!(unknown.exit_code(), 1);
        assert!(unknown.report().ends_with(
            "do:    repeat with the same request id, or use `caseledger settle`\n  \
             again: the same command with --request-id 5f3a files nothing twice\n"
        ));
        assert_eq!(unknown.json()["error"]["request_id"], "5f3a");
        assert_eq!(unknown.json()["error"]["reason"], OUTCOME_UNKNOWN);
        let lost = of(Status::unavailable("tcp connect error")).filing("5f3a");
        assert!(lost.report().contains("--request-id 5f3a") && lost.exit_code() == 3);
        let not_filed = ended(Code::Unavailable, "NOT_FILED");
        assert!(!not_filed.report().contains("5f3a"), "it is known");
    }

    #[test]
    fn every_reason_to_wait_is_told() {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(250)));
        let status = Status::with_error_details(Code::ResourceExhausted, "too much", details);
        assert!(of(status).report().contains("wait:  250 ms"));
    }

    #[test]
    fn a_server_cannot_paint_the_screen() {
        let report = of(Status::not_found("\u{1b}[2J\nerror: all is well")).report();
        assert!(!report.contains('\u{1b}') && !report.contains("\nerror"));
    }
}
