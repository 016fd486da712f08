//! Requests that are no messages: bad UTF-8, bad wire format, too long.
//!
//! The transport decodes before a handler is called and answers INTERNAL or OUT_OF_RANGE without
//! details. To a caller both are the first row of the status table: a malformed request. This is
//! the one place that knows how the transport words them.

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::status;

/// How `prost` begins what it says about bytes that are not the message.
const NOT_A_MESSAGE: &str = "failed to decode Protobuf message: ";

/// Turns the transport's answer to an undecodable request into ours; others pass.
pub(crate) fn refine(response: Response<Body>) -> Response<Body> {
    if !response.headers().contains_key("grpc-status") {
        return response;
    }
    match Status::from_header_map(response.headers()).as_ref().and_then(malformed) {
        Some(status) => status.into_http(),
        None => response,
    }
}

/// Our status for the transport's, if it is about an undecodable message.
pub(crate) fn malformed(transport: &Status) -> Option<Status> {
    if !transport.details().is_empty() {
        return None;
    }
    match transport.code() {
        // The first for a message too long as it comes, the second for one too long unpacked.
        Code::OutOfRange | Code::ResourceExhausted => Some(status::too_large()),
        Code::Internal => {
            let said = transport.message().strip_prefix(NOT_A_MESSAGE)?;
            Some(status::not_a_message(&field(said)))
        }
        Code::Ok
        | Code::Cancelled
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unimplemented
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => None,
    }
}

/// The path in "Inner.field: Outer.field: what is wrong".
fn field(said: &str) -> String {
    let mut names: Vec<&str> = said
        .split(": ")
        .map_while(|step| step.split_once('.'))
        .map(|(_, field)| field)
        .take_while(|field| field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .collect();
    names.reverse();
    names.join(".")
}

#[cfg(test)]
mod tests {
    use api::v1 as proto;
    use prost::Message;
    use tonic_types::StatusExt;

    use super::*;

    /// A request whose `identity.names.family` is not UTF-8, as the transport reports it.
    fn transport_status() -> Status {
        let name = proto::HumanName { family: "~~~~".into(), ..Default::default() };
        let identity = proto::Identity { names: vec![name], ..Default::default() };
        let request =
            proto::RegisterPatientRequest { identity: Some(identity), ..Default::default() };
        let bytes: Vec<u8> = request
            .encode_to_vec()
            .into_iter()
            .map(|byte| if byte == b'~' { 0xff } else { byte })
            .collect();
        let error = proto::RegisterPatientRequest::decode(bytes.as_slice()).unwrap_err();
        Status::internal(error.to_string())
    }

    #[test]
    fn bad_utf8_is_an_invalid_argument_that_names_the_field() {
        let status = malformed(&transport_status()).unwrap();
        assert_eq!(status.code(), Code::InvalidArgument);
        let bad = status.get_details_bad_request().unwrap();
        assert_eq!(bad.field_violations[0].field, "identity.names.family");
    }

    #[test]
    fn our_own_errors_pass() {
        assert!(malformed(&status::internal("1")).is_none());
        let exhausted = status::exhausted("the limit of x", std::time::Duration::ZERO);
        assert!(malformed(&exhausted).is_none());
        assert!(malformed(&Status::not_found("")).is_none());
        assert!(malformed(&Status::internal("something else")).is_none());
    }
}
