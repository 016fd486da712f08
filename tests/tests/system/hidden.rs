//! Patients of whom some callers may not even know that they are here, and who represents a patient.

use std::time::Duration;

use api::v1;
use api::v1::break_glass_request::Scope;
use api::v1::entry::Detail;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::{Code, Status};

use crate::access_table::rpcs;
use crate::emergency::btg;
use crate::import::{self, item, results};
use crate::policies::{SHIPPED, adopt, propose};
use crate::relationships::{
    add, coding, contribute, entry, label, newest, practitioner, read, stay, words,
};
use crate::tools::reason;

/// Whom the public knows, billing does not even find.
const UNSEEN: &str = r#"
@id("unseen")
forbid (
  principal in Caseledger::Role::"billing",
  action in Caseledger::Action::"Read",
  resource
)
when { context.vip };
"#;

/// Nor does registration.
const UNFOUND: &str = r#"
@id("unfound")
forbid (
  principal in Caseledger::Role::"registrar",
  action == Caseledger::Action::"FindPatient",
  resource
)
when { context.vip };
"#;

/// Nor do nurses break the glass for them.
const UNBROKEN: &str = r#"
@id("unbroken")
forbid (
  principal in Caseledger::Role::"nurse",
  action in [Caseledger::Action::"FindPatient", Caseledger::Action::"BreakGlass"],
  resource
)
when { context.vip };
"#;

/// Nurses and auditors do not know of them at all.
const UNKNOWN: &str = r#"
@id("unknown")
forbid (
  principal,
  action,
  resource
)
when {
  principal in [Caseledger::Role::"nurse", Caseledger::Role::"auditor"] && context.vip
};
"#;

/// A patient whom there is not.
const NOBODY: &str = "00000000000000000000000000000001";

/// Registration, and somebody of public interest whom it has registered as MRN-1.
async fn somebody_known(cluster: &Cluster) -> (Client, String) {
    let registrar = cluster.client(0, "registrar").unwrap();
    let known = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    label(&registrar, &known, "CEL").await;
    (registrar, known)
}

/// The shipped policies and this one are in force.
async fn forbid(cluster: &Cluster, this: &str) {
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let other = cluster.client_of(0, "compliance-officer", "another").unwrap();
    let proposed = propose(&officer, &format!("{SHIPPED}{this}")).await.expect("proposed");
    adopt(&other, &proposed.policy_id).await.expect("adopted");
}

async fn find(client: &Client, value: &str) -> Result<(), Status> {
    let request = v1::FindPatientRequest {
        purpose: purpose("HPAYMT"),
        issuer: "https://hospital.example/mrn".to_owned(),
        value: value.to_owned(),
    };
    client.file().find_patient(request).await.map(drop)
}

/// What a caller can tell an answer by.
fn told(status: &Status) -> (Code, String, String) {
    (status.code(), status.message().to_owned(), reason(status))
}

/// A consent that lets this related person of the patient see the file.
pub(crate) fn permits(references: Vec<String>) -> v1::Entry {
    let actor = |reference| v1::Actor { reference, ..v1::Actor::default() };
    let provision = vec![v1::Provision {
        r#type: "permit".to_owned(),
        actor: references.into_iter().map(actor).collect(),
        ..v1::Provision::default()
    }];
    let scope = words("patient-privacy");
    let policy_rule = words("45 CFR 164.502(g)");
    let detail = v1::Consent { scope, policy_rule, provision, ..v1::Consent::default() };
    entry("active", Detail::Consent(detail))
}

/// For the table of roles: whoever calls there as a representative represents this patient.
pub(crate) async fn represented(manager: &Client, patient: &str) {
    let person = |rpc| format!("RelatedPerson/patient-representative of {rpc}");
    let all: Vec<String> = rpcs().into_iter().map(person).collect();
    for some in all.chunks(16) {
        add(manager, patient, permits(some.to_vec())).await;
    }
}

#[tokio::test]
async fn whom_one_may_not_know_of_is_answered_like_nobody_and_on_record_as_denied() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (registrar, known) = somebody_known(&cluster).await;
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let usual = registrar.register("MRN-2", "Boone").await.unwrap().patient_id;
    let billing = cluster.client(0, "billing").unwrap();
    let denied = read(&billing, &known, "HPAYMT").await.expect_err("by the shipped policies, too");
    assert_eq!(told(&denied).0, Code::PermissionDenied, "billing finds them, so it may know");
    find(&billing, "MRN-1").await.expect("found");
    forbid(&cluster, UNSEEN).await;
    let hidden = read(&billing, &known, "HPAYMT").await.expect_err("hidden");
    let nobodys = read(&billing, NOBODY, "HPAYMT").await.expect_err("nobody's");
    assert_eq!(told(&hidden), told(&nobodys));
    assert_eq!(hidden.code(), Code::NotFound);
    let unfound = find(&billing, "MRN-1").await.expect_err("hidden");
    let nobodys = find(&billing, "MRN-77").await.expect_err("nobody's");
    assert_eq!((told(&unfound), unfound.code()), (told(&nobodys), Code::NotFound));
    let access = newest(&officer, &known, "billing-1").await;
    assert_eq!(access.outcome, "denied");
    assert_eq!(access.deciding_ids, ["unseen"]);
    // Nor by how often they are told it: denials of one caller are limited to 60 a minute.
    for _ in 0..61 {
        let again = read(&billing, &known, "HPAYMT").await.expect_err("hidden");
        assert_eq!(again.code(), Code::NotFound);
    }
    // Nor does one who may neither find patients nor break the glass hear that this one is protected.
    let operator = cluster.client(0, "hospital-it").unwrap();
    let known_to = read(&operator, &known, "HOPERAT").await.expect_err("not for IT");
    let nobodys = read(&operator, NOBODY, "HOPERAT").await.expect_err("nobody's");
    assert_eq!((told(&known_to), &*reason(&known_to)), (told(&nobodys), "NOT_PERMITTED"));
    assert_eq!(newest(&officer, &known, "hospital-it-1").await.deciding_ids, ["vip"], "on record");
    // Who may break the glass has to know.
    let nurse = cluster.client(0, "nurse").unwrap();
    let status = read(&nurse, &known, "TREAT").await.expect_err("denied");
    assert_eq!(told(&status).0, Code::PermissionDenied);
    read(&billing, &usual, "HPAYMT").await.expect("a patient like any other");
}

#[tokio::test]
async fn whom_one_may_not_find_one_does_not_find_by_registering_their_number() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (registrar, known) = somebody_known(&cluster).await;
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let usual = registrar.register("MRN-2", "Boone").await.unwrap().patient_id;
    let found = registrar.register("MRN-1", "Ames").await.expect("found");
    assert!(found.existed && found.patient_id == known);
    let access = newest(&officer, &known, "registrar-1").await;
    assert_eq!(access.circumstances, ["vip"], "what was known of the patient is on record");
    forbid(&cluster, UNFOUND).await;
    let refused = registrar.register("MRN-1", "Ames").await.expect_err("not to be found");
    assert_eq!(reason(&refused), "IDENTIFIER_TAKEN");
    assert!(!format!("{refused:?}").contains(&known), "whose it is stays untold: {refused:?}");
    let access = newest(&officer, &known, "registrar-1").await;
    assert_eq!((&*access.outcome, access.deciding_ids), ("denied", vec!["unfound".to_owned()]));
    let found = registrar.register("MRN-2", "Boone").await.expect("a patient like any other");
    assert!(found.existed && found.patient_id == usual);
}

#[tokio::test]
async fn what_is_wrong_with_a_call_is_told_the_same_of_whom_one_may_not_know() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (_, known) = somebody_known(&cluster).await;
    let nurse = cluster.client(0, "nurse").unwrap();
    forbid(&cluster, UNBROKEN).await;
    let break_glass = async |value: &str, reason_code: &str| {
        let issuer = "https://hospital.example/mrn".to_owned();
        let number = v1::PatientNumber { issuer, value: value.to_owned() };
        let patient = Some(v1::patient_selector::Patient::Number(number));
        let request = v1::BreakGlassRequest {
            purpose: btg(),
            reason_code: reason_code.to_owned(),
            scope: Some(Scope::Patient(v1::PatientSelector { patient })),
            duration: None,
        };
        nurse.emergency().break_glass(request).await.expect_err("nobody's, or not to be known")
    };
    let (hidden, nobodys) =
        (break_glass("MRN-1", "CURIOUS").await, break_glass("MRN-77", "CURIOUS").await);
    assert_eq!((told(&hidden), hidden.code()), (told(&nobodys), Code::InvalidArgument));
    for patient in [known.as_str(), NOBODY] {
        let noted = nurse.file_note(patient, "stable", "not an id", None).await;
        assert_eq!(noted.expect_err("a request id").code(), Code::InvalidArgument, "{patient}");
    }
}

#[tokio::test]
async fn a_representative_reads_what_a_consent_on_file_permits_and_nothing_specially_protected() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let other = manager.register("MRN-2", "Boone").await.unwrap().patient_id;
    let mother = cluster.client_of(0, "patient-representative", "mary").unwrap();
    let protected = v1::Entry {
        code: words("Progress note"),
        labels: vec![coding("http://terminology.hl7.org/CodeSystem/v3-ActCode", "PSY")],
        ..entry(
            "",
            Detail::NoteDetail(v1::Note { text: "of the mind".to_owned(), ..v1::Note::default() }),
        )
    };
    add(&manager, &patient, protected).await;
    let denied = read(&mother, &patient, "FAMRQT").await.expect_err("nothing names her");
    assert_eq!(reason(&denied), "NOT_PERMITTED");
    add(&manager, &patient, permits(vec!["RelatedPerson/mary".to_owned()])).await;
    let file = read(&mother, &patient, "FAMRQT").await.expect("she acts for the patient");
    let entries = file.file.expect("a file").entries;
    let masked = entries.iter().filter(|entry| entry.masked).count();
    assert_eq!((entries.len(), masked), (2, 1), "the note is masked");
    for (patient, code) in [(&patient, "TREAT"), (&other, "FAMRQT")] {
        let denied = read(&mother, patient, code).await.expect_err("not hers");
        assert_eq!(reason(&denied), "NOT_PERMITTED");
    }
    let father = cluster.client_of(0, "patient-representative", "marty").unwrap();
    read(&father, &patient, "FAMRQT").await.expect_err("the consent names another");
}

#[tokio::test]
async fn what_is_said_to_be_wrong_with_a_change_of_a_file_is_on_record() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let id = testkit::client::request_id();
    let refused =
        manager.file_note(&patient, "", &id, None).await.expect_err("a note says something");
    assert_eq!(told(&refused).0, Code::InvalidArgument);
    let access = newest(&officer, &patient, "case-manager-1").await;
    assert!(access.operation.ends_with("/Contribute"), "{access:?}");
    assert_eq!(access.outcome, "refused", "it may be so because of what is on file");
}

#[tokio::test]
async fn what_is_known_of_one_patient_stands_in_no_other_patients_trail() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let nurse = cluster.client(0, "nurse").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let other = manager.register("MRN-2", "Boone").await.unwrap().patient_id;
    add(&manager, &patient, stay("4-west", vec![practitioner("nurse-1")])).await;
    let identifier = v1::Identifier {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: "MRN-2".to_owned(),
        ..v1::Identifier::default()
    };
    let identity = v1::Identity { identifiers: vec![identifier], ..v1::Identity::default() };
    let amended = v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(identity),
        update_mask: Some(prost_types::FieldMask { paths: vec!["identifiers".to_owned()] }),
        how: v1::Amendment::Correction.into(),
        reason: "mistyped".to_owned(),
    });
    let refused = contribute(&nurse, &patient, amended).await.expect_err("the other's number");
    assert_eq!(reason(&refused), "IDENTIFIER_TAKEN");
    let own = newest(&officer, &patient, "nurse-1").await;
    assert_eq!((&*own.outcome, &*own.relationship), ("refused", "encounter"));
    assert_eq!(own.circumstances, ["unit:4-west"]);
    let others = newest(&officer, &other, "nurse-1").await;
    assert_eq!((&*others.outcome, &*others.relationship), ("refused", ""));
    assert!(others.circumstances.is_empty(), "{others:?}");
}

#[tokio::test]
async fn whom_one_may_not_know_is_not_found_where_nobody_would_not_be_either() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let (registrar, known) = somebody_known(&cluster).await;
    let usual = registrar.register("MRN-2", "Boone").await.unwrap().patient_id;
    let nurse = cluster.client(0, "nurse").unwrap();
    let used = request_id();
    nurse.file_note(&usual, "stable", &used, None).await.expect("filed");
    forbid(&cluster, UNKNOWN).await;
    for patient in [known.as_str(), NOBODY] {
        let new = nurse.file_note(patient, "stable", &request_id(), None).await;
        assert_eq!(new.expect_err("not found").code(), Code::NotFound, "{patient}");
        let again = nurse.file_note(patient, "stable", &used, None).await.expect_err("reused");
        assert_eq!(reason(&again), "REQUEST_ID_REUSED", "{patient}");
        let ahead = v1::GetPatientFileRequest {
            patient_id: patient.to_owned(),
            purpose: purpose("TREAT"),
            at_least_position: Some(1_000_000),
            ..v1::GetPatientFileRequest::default()
        };
        let mut request = tonic::Request::new(ahead);
        request.set_timeout(Duration::from_millis(500));
        let early = nurse.file().get_patient_file(request).await.expect_err("not written yet");
        assert_eq!(
            (early.code(), &*reason(&early)),
            (Code::Unavailable, "NOT_ANSWERED"),
            "{patient}"
        );
    }
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    for patient in [known.as_str(), NOBODY] {
        let unfiled = nurse.file_note(patient, "stable", &request_id(), None).await;
        assert_eq!(reason(&unfiled.expect_err("no broker")), "NOT_FILED", "{patient}");
    }
}

#[tokio::test]
async fn where_nobody_would_be_answered_who_may_not_is_denied() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (_, known) = somebody_known(&cluster).await;
    forbid(&cluster, UNKNOWN).await;
    let auditor = cluster.client(0, "auditor").unwrap();
    let trail = async |patient: &str| {
        let request = v1::ListAccessesRequest {
            purpose: purpose("HOPERAT"),
            patient_id: patient.to_owned(),
            ..v1::ListAccessesRequest::default()
        };
        auditor.audit().list_accesses(request).await
    };
    assert!(trail(NOBODY).await.expect("a page").into_inner().accesses.is_empty());
    let denied = trail(&known).await.expect_err("not for them");
    assert_eq!((denied.code(), &*reason(&denied)), (Code::PermissionDenied, "FORBIDDEN"));
}

#[tokio::test]
async fn a_replay_tells_in_no_trail_what_is_known_of_another_patient() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (registrar, known) = somebody_known(&cluster).await;
    let usual = registrar.register("MRN-2", "Boone").await.unwrap().patient_id;
    let officer = cluster.client(0, "compliance-officer").unwrap();
    for patient in [&known, &usual] {
        read(&officer, patient, "HCOMPL").await.expect("read");
    }
    let reviewer = cluster.client_of(0, "compliance-officer", "reviewer").unwrap();
    let all = v1::ListAccessesRequest { purpose: purpose("HCOMPL"), ..<_>::default() };
    reviewer.audit().list_accesses(all).await.expect("the trail");
    let position = newest(&officer, &known, "reviewer").await.position;
    let again = v1::ReplayRequest { purpose: purpose("HCOMPL"), position };
    reviewer.audit().replay(again).await.expect("shown again");
    for (patient, circumstances) in [(&known, vec!["vip"]), (&usual, Vec::new())] {
        let access = newest(&officer, patient, "reviewer").await;
        assert!(access.operation.ends_with("/Replay"), "{access:?}");
        assert_eq!(access.circumstances, circumstances);
    }
}

#[tokio::test]
async fn whom_one_may_not_find_one_does_not_find_by_importing_their_number() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (_, known) = somebody_known(&cluster).await;
    forbid(&cluster, UNFOUND).await;
    let other = cluster.client_of(0, "registrar", "other").unwrap();
    let identity = Client::registration("MRN-1", "Ames").identity.expect("an identity");
    let imported = v1::import_item::Content::Identity(Box::new(identity));
    let told = results(&other, vec![item(1, Some(imported))]).await;
    assert_eq!(
        (told[&1].status(), told[&1].reason.as_str()),
        (v1::ImportStatus::Refused, "IDENTIFIER_TAKEN")
    );
    let officer = cluster.client(0, "compliance-officer").unwrap();
    assert_eq!(newest(&officer, &known, "other").await.outcome, "denied", "on record");
}

#[tokio::test]
async fn into_the_file_of_whom_one_may_not_know_is_imported_as_into_nobodys() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let (_, known) = somebody_known(&cluster).await;
    forbid(&cluster, UNFOUND).await;
    let other = cluster.client_of(0, "registrar", "other").unwrap();
    let import = async |patient: &str| {
        let patient = Some(v1::patient_selector::Patient::PatientId(patient.to_owned()));
        let patient = Some(v1::PatientSelector { patient });
        let items = vec![v1::ImportItem { patient, ..item(1, import::entry("2026-11-01")) }];
        let request = v1::ImportRequest { purpose: purpose("RECORDMGT"), items };
        let answers = other.import().import(tokio_stream::iter([request])).await.expect("begun");
        let mut answers = answers.into_inner();
        let answer = answers.message().await.expect("no item ends the stream");
        answer.expect("an answer").results.remove(0)
    };
    let (hidden, nobodys) = (import(&known).await, import(NOBODY).await);
    assert_eq!(hidden.reason, "NOT_FOUND");
    let told = |result: &v1::ImportResult| (result.reason.clone(), result.message.clone());
    assert_eq!(told(&hidden), told(&nobodys));
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: known.clone(),
        person: "other".to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let outcomes: Vec<_> = trail.accesses.iter().map(|access| access.outcome.as_str()).collect();
    assert_eq!(outcomes, ["denied"], "one import is one denial");
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    for patient in [known.as_str(), NOBODY] {
        assert_eq!(import(patient).await.reason, "NOT_FILED", "{patient}");
    }
}
