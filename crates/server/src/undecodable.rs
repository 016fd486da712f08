//! Requests that are no messages: bad UTF-8, bad wire format, too long; or to no method that there is.
//!
//! The transport decodes before a handler is called and answers INTERNAL, OUT_OF_RANGE or
//! UNIMPLEMENTED without details. To a caller the first two are the first row of the status table: a
//! malformed request. This is the one place that knows how the transport words them.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use http::Response;
use prost::Message;
use prost_types::FileDescriptorSet;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::status;

/// How `prost` begins what it says about bytes that are not the message.
const NOT_A_MESSAGE: &str = "failed to decode Protobuf message: ";

/// How the transport begins what it says of a message packed as it cannot unpack it.
const PACKED: &str = "Content is compressed with ";

/// What tells a client how it may pack; the transport sets it.
const ACCEPTED: &str = "grpc-accept-encoding";

/// `Message.oneof` of every oneof: `prost` names them as if they were fields.
static ONEOFS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let set = FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap_or_default();
    let messages = set.file.iter().flat_map(|file| &file.message_type);
    let of = |message: &prost_types::DescriptorProto| -> Vec<String> {
        let name = |oneof: &str| format!("{}.{oneof}", message.name());
        message.oneof_decl.iter().map(|oneof| name(oneof.name())).collect()
    };
    messages.flat_map(of).collect()
});

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

/// Our status for the transport's, if it is about an undecodable message or an unknown method.
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
        Code::Unimplemented if transport.message().starts_with(PACKED) => {
            let mut status = status::unknown_compression();
            if let Some(accepted) = transport.metadata().get(ACCEPTED) {
                status.metadata_mut().insert(ACCEPTED, accepted.clone());
            }
            Some(status)
        }
        Code::Unimplemented => Some(status::unknown_method()),
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
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => None,
    }
}

/// The path in "Inner.field: Outer.field: what is wrong".
fn field(said: &str) -> String {
    let mut names: Vec<&str> = said
        .split(": ")
        .map_while(|step| Some((step, step.split_once('.')?.1)))
        // A field whose name is a word of Rust's.
        .map(|(step, field)| (step, field.strip_prefix("r#").unwrap_or(field)))
        .take_while(|(_, field)| field.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .filter(|(step, _)| !ONEOFS.contains(*step))
        .map(|(_, field)| field)
        .collect();
    names.reverse();
    names.join(".")
}

#[cfg(test)]
mod tests {
    use api::v1 as proto;
    use tonic_types::StatusExt;

    use super::*;

    /// What the transport reports of this message with bytes that are not UTF-8 where it has `~`.
    fn transport_status<M: Message + Default + std::fmt::Debug>(request: &M) -> Status {
        let bytes: Vec<u8> = request
            .encode_to_vec()
            .into_iter()
            .map(|byte| if byte == b'~' { 0xff } else { byte })
            .collect();
        Status::internal(M::decode(bytes.as_slice()).unwrap_err().to_string())
    }

    fn named(transport: &Status) -> String {
        let status = malformed(transport).unwrap();
        assert_eq!(status.code(), Code::InvalidArgument);
        let mut bad = status.get_details_bad_request().unwrap();
        bad.field_violations.remove(0).field
    }

    fn registration(name: proto::HumanName) -> proto::RegisterPatientRequest {
        let identity = proto::Identity { names: vec![name], ..Default::default() };
        proto::RegisterPatientRequest { identity: Some(identity), ..Default::default() }
    }

    #[test]
    fn bad_utf8_is_an_invalid_argument_that_names_the_field() {
        let name = proto::HumanName { family: "~~~~".into(), ..Default::default() };
        assert_eq!(named(&transport_status(&registration(name))), "identity.names.family");
        let name = proto::HumanName { r#use: "~~~~".into(), ..Default::default() };
        assert_eq!(named(&transport_status(&registration(name))), "identity.names.use");
    }

    #[test]
    fn a_oneof_is_no_field_of_the_path() {
        let entry = proto::Entry { note: "~~~~".into(), ..Default::default() };
        let content = Some(proto::import_item::Content::Entry(Box::new(entry.clone())));
        let item = proto::ImportItem { content, ..Default::default() };
        let import = proto::ImportRequest { items: vec![item], ..Default::default() };
        assert_eq!(named(&transport_status(&import)), "items.note");
        let add = proto::AddEntry { entry: Some(entry) };
        let change = proto::Change { change: Some(proto::change::Change::AddEntry(add)) };
        let request = proto::ContributeRequest { changes: vec![change], ..Default::default() };
        assert_eq!(named(&transport_status(&request)), "changes.entry.note");
        // A field that is called as a oneof of another message.
        let value = Some(proto::observation_value::Value::Quantity(proto::Quantity {
            value: "~~~~".into(),
            ..Default::default()
        }));
        let value = Some(proto::ObservationValue { value });
        let component = proto::ObservationComponent { value, ..Default::default() };
        assert_eq!(named(&transport_status(&component)), "value.value");
    }

    #[test]
    fn what_there_is_not_is_unimplemented_with_error_info() {
        let reason = |transport: &Status| {
            let status = malformed(transport).unwrap();
            assert_eq!(status.code(), Code::Unimplemented);
            let accepted = status.metadata().get(ACCEPTED).cloned();
            (status.get_details_error_info().unwrap().reason, accepted)
        };
        assert_eq!(reason(&Status::unimplemented("")), ("METHOD_UNKNOWN".to_owned(), None));
        let mut packed =
            Status::unimplemented("Content is compressed with `deflate` which isn't supported");
        packed.metadata_mut().insert(ACCEPTED, "gzip,identity".parse().unwrap());
        let (said, accepted) = reason(&packed);
        assert_eq!(
            (said.as_str(), accepted.unwrap()),
            ("COMPRESSION_UNKNOWN", "gzip,identity".parse().unwrap())
        );
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
