//! Malformed and hostile requests: the right refusal, the field named, and the node goes on.

mod credentials;
mod enumeration;
mod flood;
mod headers;
mod logs;

use api::v1;
use api::v1::change::Change;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use tonic_types::StatusExt;

/// A date that no calendar has.
const NO_DATE: &str = "0000-13-45";

/// The fields that a refusal names.
fn fields(status: &Status) -> Vec<String> {
    let bad = status.get_details_bad_request();
    let violations = bad.map(|bad| bad.field_violations).unwrap_or_default();
    violations.into_iter().map(|violation| violation.field).collect()
}

fn refused(status: &Status, field: &str) {
    assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status:?}");
    assert_eq!(fields(status), [field], "{status:?}");
}

/// Nothing panicked, and a write and a reading succeed.
async fn still_serves(cluster: &Cluster) {
    let log = std::fs::read_to_string(cluster.node(0).log()).expect("the node's log");
    assert!(!log.contains("panic"), "the node panicked:\n{log}");
    let client = cluster.client(0, "case-manager").unwrap();
    let registered = client.register(&request_id(), "Ames").await.expect("registered");
    let filed = client.file_note(&registered.patient_id, "calm", &request_id(), None).await;
    let position = Some(filed.expect("filed").position);
    client.read_file(&registered.patient_id, position).await.expect("read");
}

/// The most memory that the node ever had, in MiB.
fn peak_memory(cluster: &Cluster) -> u64 {
    let pid = cluster.node(0).pid().expect("the node runs");
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    peak.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") / 1024
}

struct Caller {
    client: Client,
    patient: String,
    entry: String,
}

impl Caller {
    async fn at(cluster: &Cluster) -> Self {
        let client = cluster.client(0, "case-manager").unwrap();
        let patient = client.register("MRN-1", "Ames").await.unwrap().patient_id;
        let filed = client.file_note(&patient, "a note", &request_id(), None).await.unwrap();
        let entry = filed.entry_ids.into_iter().next().unwrap();
        Self { client, patient, entry }
    }

    fn contribution(&self, changes: Vec<v1::Change>) -> v1::ContributeRequest {
        v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("TREAT"),
            patient_id: self.patient.clone(),
            expected_version: None,
            changes,
        }
    }

    async fn refuses(&self, request: v1::ContributeRequest, field: &str) {
        let answer = self.client.file().contribute(request).await;
        refused(&answer.expect_err(field), field);
    }

    async fn refuses_change(&self, change: Change, field: &str) {
        let change = v1::Change { change: Some(change) };
        self.refuses(self.contribution(vec![change]), &format!("changes[0].{field}")).await;
    }

    async fn refuses_entry(&self, entry: v1::Entry, field: &str) {
        let add = Change::AddEntry(v1::AddEntry { entry: Some(entry) });
        self.refuses_change(add, &format!("add_entry.entry.{field}")).await;
    }

    async fn refuses_amendment(&self, change: impl FnOnce(&mut v1::AmendEntry), field: &str) {
        let mut amend = v1::AmendEntry {
            entry_id: self.entry.clone(),
            entry: Some(note("another text")),
            update_mask: Some(api::FieldMask { paths: vec!["detail".to_owned()] }),
            how: v1::Amendment::Correction.into(),
            reason: "a slip".to_owned(),
        };
        change(&mut amend);
        self.refuses_change(Change::AmendEntry(amend), &format!("amend_entry.{field}")).await;
    }

    fn reading(&self) -> v1::GetPatientFileRequest {
        v1::GetPatientFileRequest {
            patient_id: self.patient.clone(),
            purpose: purpose("TREAT"),
            ..v1::GetPatientFileRequest::default()
        }
    }

    async fn refuses_reading(&self, request: v1::GetPatientFileRequest, field: &str) {
        let answer = self.client.file().get_patient_file(request).await;
        refused(&answer.expect_err(field), field);
    }

    async fn refuses_identity(&self, identity: v1::Identity, field: &str) {
        let purpose = purpose("TREAT");
        let request_id = request_id();
        let request = v1::RegisterPatientRequest { request_id, purpose, identity: Some(identity) };
        let answer = self.client.file().register_patient(request).await;
        refused(&answer.expect_err(field), field);
    }
}

fn note(text: &str) -> v1::Entry {
    let Some(Change::AddEntry(add)) = Client::note(text).change else {
        unreachable!("a note is an added entry")
    };
    add.entry.expect("an entry")
}

fn condition() -> v1::Entry {
    let text = "High blood pressure".to_owned();
    v1::Entry {
        status: "active".to_owned(),
        code: Some(v1::CodeableConcept { text, coding: Vec::new() }),
        detail: Some(v1::entry::Detail::Condition(v1::Condition::default())),
        ..v1::Entry::default()
    }
}

fn at(date: &str) -> Option<v1::Effective> {
    Some(v1::Effective { value: Some(v1::effective::Value::At(date.to_owned())) })
}

#[tokio::test]
async fn a_malformed_contribution_is_refused_with_its_field() {
    let cluster = Cluster::start(1).await.expect("a node");
    let caller = Caller::at(&cluster).await;
    let before = caller.client.heads().await.unwrap()[0].size;

    caller.refuses_entry(v1::Entry { effective: at(NO_DATE), ..condition() }, "effective.at").await;
    let status = "aktiv".to_owned();
    caller.refuses_entry(v1::Entry { status, ..condition() }, "status").await;
    caller.refuses_entry(v1::Entry { code: None, ..condition() }, "code").await;
    caller.refuses_entry(note(&"a".repeat(100 * 1024)), "note_detail.text").await;
    caller.refuses_entry(note("bell \u{7}"), "note_detail.text").await;
    caller.refuses_amendment(|amend| amend.how = 99, "how").await;
    caller.refuses_amendment(|amend| amend.entry_id = "zz".to_owned(), "entry_id").await;
    let unknown = |amend: &mut v1::AmendEntry| {
        amend.update_mask = Some(api::FieldMask { paths: vec!["no.such".to_owned()] });
    };
    caller.refuses_amendment(unknown, "update_mask").await;
    // An import would not find the entry any more.
    let from_elsewhere = |amend: &mut v1::AmendEntry| {
        let source = v1::SourceId { system: "urn:a".to_owned(), value: "1".to_owned() };
        amend.entry = Some(v1::Entry { source: Some(source), ..v1::Entry::default() });
        amend.update_mask = Some(api::FieldMask { paths: vec!["source".to_owned()] });
    };
    caller.refuses_amendment(from_elsewhere, "update_mask").await;

    caller.refuses(caller.contribution(vec![]), "changes").await;
    caller.refuses(caller.contribution(vec![Client::note("one too many"); 257]), "changes").await;
    caller.refuses(caller.contribution(vec![v1::Change::default()]), "changes[0]").await;
    let valid = || caller.contribution(vec![Client::note("a note")]);
    let request = v1::ContributeRequest { patient_id: "none".to_owned(), ..valid() };
    caller.refuses(request, "patient_id").await;
    for id in [String::new(), "a".repeat(129)] {
        caller.refuses(v1::ContributeRequest { request_id: id, ..valid() }, "request_id").await;
    }
    for purpose in [None, purpose("CURIOSITY")] {
        let request = v1::ContributeRequest { purpose, ..valid() };
        caller.refuses(request, "purpose.purpose_of_use").await;
    }
    for reason in ["", " \n", "nul \0", "\u{1b}[2Kwiped"] {
        let purpose = purpose("BTG").map(|btg| v1::Purpose { reason: reason.to_owned(), ..btg });
        let request = v1::ContributeRequest { purpose, ..valid() };
        caller.refuses(request, "purpose.reason").await;
    }
    let nobody = "0123456789abcdef0123456789abcdef".to_owned();
    let request = v1::ContributeRequest { patient_id: nobody, ..valid() };
    let unknown = caller.client.file().contribute(request).await.expect_err("nobody");
    assert_eq!(unknown.code(), Code::NotFound);

    assert_eq!(caller.client.heads().await.unwrap()[0].size, before, "nothing was filed");
    still_serves(&cluster).await;
}

#[tokio::test]
async fn a_malformed_identity_or_reading_is_refused_with_its_field() {
    let cluster = Cluster::start(1).await.expect("a node");
    let caller = Caller::at(&cluster).await;
    let names = || vec![v1::HumanName { family: "Ames".to_owned(), ..v1::HumanName::default() }];
    let identity = || v1::Identity { names: names(), ..v1::Identity::default() };
    let birth_date = NO_DATE.to_owned();
    caller.refuses_identity(v1::Identity { birth_date, ..identity() }, "identity.birth_date").await;
    let numberless = v1::Identifier { issuer: "urn:x".to_owned(), ..v1::Identifier::default() };
    let numbered = v1::Identity { identifiers: vec![numberless], ..identity() };
    caller.refuses_identity(numbered, "identity.identifiers[0].value").await;
    caller.refuses_identity(v1::Identity::default(), "identity.names").await;

    let reading = || caller.reading();
    let kinds = vec![99];
    caller.refuses_reading(v1::GetPatientFileRequest { kinds, ..reading() }, "kinds[0]").await;
    let page_token = "AQAA_forged".to_owned();
    let forged = v1::GetPatientFileRequest { page_token, ..reading() };
    caller.refuses_reading(forged, "page_token").await;
    let version = Some(v1::get_patient_file_request::AsOf::Version(0));
    caller
        .refuses_reading(v1::GetPatientFileRequest { as_of: version, ..reading() }, "version")
        .await;
    let time = api::Timestamp { seconds: i64::MAX, nanos: -1 };
    let as_of = Some(v1::get_patient_file_request::AsOf::Time(time));
    caller.refuses_reading(v1::GetPatientFileRequest { as_of, ..reading() }, "time").await;
    let long = v1::GetPatientFileRequest { page_token: "A".repeat(17 * 1024), ..reading() };
    let long = caller.client.file().get_patient_file(long).await.expect_err("17 KiB");
    assert_eq!(long.code(), Code::InvalidArgument);
    let info = long.get_details_error_info().expect("error info");
    let limit = info.metadata.get("limit").map(String::as_str);
    assert_eq!((info.reason.as_str(), limit), ("MESSAGE_TOO_LARGE", Some("16384")));
    let all = v1::GetPatientFileRequest { page_size: u32::MAX, ..reading() };
    refused(&caller.client.file().get_patient_file(all).await.expect_err("a page"), "page_size");
    still_serves(&cluster).await;
}

/// Requests with bytes where the interface has text.
#[derive(Clone, PartialEq, prost::Message)]
struct Bytes {
    #[prost(bytes = "vec", tag = "1")]
    first: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    third: Vec<u8>,
}

async fn sends(caller: &Caller, method: &'static str, request: Bytes) -> Status {
    let mut raw = caller.client.raw();
    raw.ready().await.expect("connected");
    let path = http::uri::PathAndQuery::from_static(method);
    let codec = ProstCodec::<Bytes, Bytes>::default();
    raw.unary(tonic::Request::new(request), path, codec).await.expect_err("malformed")
}

#[tokio::test]
async fn bytes_that_are_no_message_are_refused_with_their_field() {
    const CONTRIBUTE: &str = "/caseledger.v1.PatientFileService/Contribute";
    let cluster = Cluster::start(1).await.expect("a node");
    let caller = Caller::at(&cluster).await;
    let not_utf8 = Bytes { first: vec![0xff, 0xfe, 0xc0], ..Bytes::default() };
    refused(&sends(&caller, CONTRIBUTE, not_utf8).await, "request_id");
    let not_utf8 = Bytes { third: vec![0xed, 0xa0, 0x80], ..Bytes::default() };
    refused(&sends(&caller, CONTRIBUTE, not_utf8).await, "patient_id");
    // The field that is a message here is text there: what it holds is no message.
    const REGISTER: &str = "/caseledger.v1.PatientFileService/RegisterPatient";
    let not_a_message = Bytes { third: vec![0xff; 40], ..Bytes::default() };
    refused(&sends(&caller, REGISTER, not_a_message).await, "identity");
    for unknown in ["/caseledger.v1.PatientFileService/Erase", "/caseledger.v1.NoService/Erase"] {
        let status = sends(&caller, unknown, Bytes::default()).await;
        assert_eq!(status.code(), Code::Unimplemented);
        let info = status.get_details_error_info().expect("error info");
        assert_eq!(info.reason, "METHOD_UNKNOWN");
    }
    still_serves(&cluster).await;
}
