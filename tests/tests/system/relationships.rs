//! Who has to do with whom: what files and the staff directory say decides, and never the caller.

use api::v1;
use api::v1::entry::Detail;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::Code;

use crate::emergency::{break_glass, file_of};
use crate::policies::{SHIPPED, adopt, propose};
use crate::tools::reason;

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";
const ACT_REASON: &str = "http://terminology.hl7.org/CodeSystem/v3-ActReason";

pub(crate) fn words(text: &str) -> Option<v1::CodeableConcept> {
    Some(v1::CodeableConcept { text: text.to_owned(), coding: Vec::new() })
}

pub(crate) fn coding(system: &str, code: &str) -> v1::Coding {
    v1::Coding { system: system.to_owned(), code: code.to_owned(), ..v1::Coding::default() }
}

fn actor(reference: &str) -> v1::Actor {
    v1::Actor { reference: reference.to_owned(), ..v1::Actor::default() }
}

pub(crate) fn practitioner(person: &str) -> v1::Actor {
    actor(&format!("Practitioner/{person}"))
}

pub(crate) fn entry(status: &str, detail: Detail) -> v1::Entry {
    v1::Entry { status: status.to_owned(), detail: Some(detail), ..v1::Entry::default() }
}

fn care_team(status: &str, member: v1::Actor) -> v1::Entry {
    let participant = vec![v1::CareTeamParticipant {
        member: Some(member),
        ..v1::CareTeamParticipant::default()
    }];
    entry(status, Detail::CareTeam(v1::CareTeam { participant, ..v1::CareTeam::default() }))
}

pub(crate) fn stay(unit: &str, participant: Vec<v1::Actor>) -> v1::Entry {
    let class = Some(coding(ACT_CODE, "IMP"));
    let detail = v1::Encounter { class, participant, ..v1::Encounter::default() };
    v1::Entry { unit: unit.to_owned(), ..entry("in-progress", Detail::EncounterDetail(detail)) }
}

fn consult(status: &str, performer: v1::Actor) -> v1::Entry {
    let detail = v1::ServiceRequest {
        intent: "order".to_owned(),
        performer: vec![performer],
        ..v1::ServiceRequest::default()
    };
    v1::Entry { code: words("Consult"), ..entry(status, Detail::ServiceRequest(detail)) }
}

fn task(owner: v1::Actor, end: &str) -> v1::Entry {
    let restriction = Some(v1::Period { start: String::new(), end: end.to_owned() });
    let detail = v1::Task {
        intent: "order".to_owned(),
        description: "Arrange transport".to_owned(),
        owner: Some(owner),
        restriction,
        ..v1::Task::default()
    };
    entry("requested", Detail::Task(detail))
}

fn denial(actor: Vec<v1::Actor>, purposes: &[&str]) -> v1::Entry {
    let provision = vec![v1::Provision {
        r#type: "deny".to_owned(),
        period: None,
        actor,
        purpose: purposes.iter().map(|code| coding(ACT_REASON, code)).collect(),
    }];
    let scope = words("patient-privacy");
    let policy_rule = words("45 CFR 164.522(a)");
    let detail = v1::Consent { scope, policy_rule, provision, ..v1::Consent::default() };
    entry("active", Detail::Consent(detail))
}

pub(crate) async fn contribute(
    client: &Client,
    patient_id: &str,
    change: v1::change::Change,
) -> Result<String, tonic::Status> {
    let request = v1::ContributeRequest {
        request_id: request_id(),
        purpose: purpose("TREAT"),
        patient_id: patient_id.to_owned(),
        expected_version: None,
        changes: vec![v1::Change { change: Some(change) }],
    };
    let filed = client.file().contribute(request).await?.into_inner();
    Ok(filed.entry_ids.first().cloned().unwrap_or_default())
}

pub(crate) async fn add(client: &Client, patient: &str, entry: v1::Entry) -> String {
    let added = v1::change::Change::AddEntry(v1::AddEntry { entry: Some(entry) });
    contribute(client, patient, added).await.expect("filed")
}

async fn set_status(client: &Client, patient: &str, entry_id: &str, status: &str) {
    let amended = v1::change::Change::AmendEntry(v1::AmendEntry {
        entry_id: entry_id.to_owned(),
        entry: Some(v1::Entry { status: status.to_owned(), ..v1::Entry::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["status".to_owned()] }),
        how: v1::Amendment::Amendment.into(),
        reason: "it is over".to_owned(),
    });
    contribute(client, patient, amended).await.expect("amended");
}

pub(crate) async fn label(client: &Client, patient: &str, code: &str) {
    let labels = vec![coding(ACT_CODE, code)];
    let amended = v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(v1::Identity { labels, ..v1::Identity::default() }),
        update_mask: Some(prost_types::FieldMask { paths: vec!["labels".to_owned()] }),
        how: v1::Amendment::Augmentation.into(),
        reason: "in the news".to_owned(),
    });
    contribute(client, patient, amended).await.expect("labelled");
}

pub(crate) async fn read(
    client: &Client,
    patient_id: &str,
    code: &str,
) -> Result<v1::GetPatientFileResponse, tonic::Status> {
    let reason = "asked for by the test".to_owned();
    let request = v1::GetPatientFileRequest {
        patient_id: patient_id.to_owned(),
        purpose: Some(v1::Purpose { purpose_of_use: code.to_owned(), reason }),
        ..v1::GetPatientFileRequest::default()
    };
    Ok(client.file().get_patient_file(request).await?.into_inner())
}

/// A person of the staff directory.
pub(crate) fn practitioner_role(person: &str) -> v1::PractitionerRole {
    v1::PractitionerRole {
        person: person.to_owned(),
        name: format!("Name of {person}"),
        ..v1::PractitionerRole::default()
    }
}

pub(crate) async fn put(client: &Client, role: v1::PractitionerRole) -> Result<(), tonic::Status> {
    let reason = "as personnel says".to_owned();
    let request = v1::PutPractitionerRoleRequest {
        request_id: request_id(),
        purpose: Some(v1::Purpose { purpose_of_use: "HOPERAT".to_owned(), reason }),
        practitioner_role: Some(role),
    };
    client.staff().put_practitioner_role(request).await.map(drop)
}

/// The newest access of a person to a patient's file.
pub(crate) async fn newest(officer: &Client, patient_id: &str, person: &str) -> v1::Access {
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient_id.to_owned(),
        person: person.to_owned(),
        page_size: 1,
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    trail.accesses.into_iter().next().expect("an access")
}

fn denied(ended: Result<v1::GetPatientFileResponse, tonic::Status>) -> tonic::Status {
    let status = ended.expect_err("denied");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::PermissionDenied, "FORBIDDEN"));
    status
}

#[tokio::test]
async fn access_records_name_the_strongest_relationship_that_the_file_shows() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let it = cluster.client(0, "hospital-it").unwrap();
    let units = vec!["4-west".to_owned()];
    put(&it, v1::PractitionerRole { units, ..practitioner_role("ann") }).await.expect("listed");
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    let relationship = async || {
        read(&ann, &patient, "TREAT").await.expect("nurses read");
        newest(&officer, &patient, "ann").await.relationship
    };
    assert_eq!(relationship().await, "", "nothing on file names her");
    ann.file_note(&patient, "seen", &request_id(), None).await.unwrap();
    assert_eq!(relationship().await, "author");
    let stayed = add(&manager, &patient, stay("4-west", Vec::new())).await;
    assert_eq!(relationship().await, "unit");
    add(&manager, &patient, stay("", vec![practitioner("ann")])).await;
    assert_eq!(relationship().await, "encounter");
    let team = add(&manager, &patient, care_team("active", practitioner("ann"))).await;
    assert_eq!(relationship().await, "care-team");
    cluster.node_mut(0).kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("it serves");
    assert_eq!(relationship().await, "care-team", "read from the file, not remembered");
    set_status(&manager, &patient, &team, "inactive").await;
    assert_eq!(relationship().await, "encounter", "the team has ended");
    set_status(&manager, &patient, &stayed, "finished").await;
    assert_eq!(relationship().await, "encounter");
    let other = manager.register("MRN-2", "Boone").await.unwrap().patient_id;
    read(&ann, &other, "TREAT").await.unwrap();
    assert_eq!(newest(&officer, &other, "ann").await.relationship, "", "of this patient only");
}

/// A hospital's rule that nurses read the files of those alone with whom they have to do.
const ASKS_FOR_A_RELATIONSHIP: &str = r#"
@id("strangers")
forbid (
  principal in Caseledger::Role::"nurse",
  action == Caseledger::Action::"GetPatientFile",
  resource
)
unless { context has relationship };
"#;

/// From now on this hospital asks nurses for a relationship.
async fn ask_for_a_relationship(cluster: &Cluster) {
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let text = format!("{SHIPPED}{ASKS_FOR_A_RELATIONSHIP}");
    let proposed = propose(&officer, &text).await.expect("proposed");
    let second = cluster.client_of(0, "compliance-officer", "second").unwrap();
    adopt(&second, &proposed.policy_id).await.expect("adopted");
}

#[tokio::test]
async fn whoever_is_asked_for_a_consult_is_let_in_until_it_is_given() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    ask_for_a_relationship(&cluster).await;
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    denied(read(&ann, &patient, "TREAT").await);
    let asked = add(&manager, &patient, consult("active", practitioner("ann"))).await;
    read(&ann, &patient, "TREAT").await.expect("her advice is asked for");
    assert_eq!(newest(&officer, &patient, "ann").await.relationship, "consult");
    set_status(&manager, &patient, &asked, "completed").await;
    denied(read(&ann, &patient, "TREAT").await);
}

#[tokio::test]
async fn the_owner_of_a_task_is_let_in_until_it_is_done() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    ask_for_a_relationship(&cluster).await;
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    add(&manager, &patient, task(practitioner("ann"), "2021-12-31")).await;
    denied(read(&ann, &patient, "TREAT").await);
    let given = add(&manager, &patient, task(practitioner("ann"), "2999-12-31")).await;
    read(&ann, &patient, "TREAT").await.expect("it is hers to do");
    assert_eq!(newest(&officer, &patient, "ann").await.relationship, "task");
    set_status(&manager, &patient, &given, "completed").await;
    denied(read(&ann, &patient, "TREAT").await);
}

#[tokio::test]
async fn whoever_is_on_call_for_the_unit_is_let_in_and_not_after_the_dutys_end() {
    let cluster = Cluster::start(1).await.expect("a node");
    let registrar = cluster.client(0, "registrar").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let it = cluster.client(0, "hospital-it").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let stayed = add(&registrar, &patient, stay("4-west", Vec::new())).await;
    ask_for_a_relationship(&cluster).await;
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    denied(read(&ann, &patient, "TREAT").await);
    let on_call = async |unit: &str, start: &str, end: &str| {
        let period = Some(v1::Period { start: start.to_owned(), end: end.to_owned() });
        let duties = vec![v1::Duty { unit: unit.to_owned(), period }];
        put(&it, v1::PractitionerRole { duties, ..practitioner_role("ann") }).await.expect("filed");
    };
    let (began, ended, later) =
        ("2020-01-01T20:00:00+01:00", "2020-01-02T08:00:00+01:00", "2999-01-01T08:00:00+01:00");
    on_call("4-west", began, later).await;
    read(&ann, &patient, "TREAT").await.expect("she is on call");
    assert_eq!(newest(&officer, &patient, "ann").await.relationship, "on-call");
    on_call("4-east", began, later).await;
    denied(read(&ann, &patient, "TREAT").await);
    on_call("4-west", began, ended).await;
    denied(read(&ann, &patient, "TREAT").await);
    assert_eq!(newest(&officer, &patient, "ann").await.deciding_ids, ["strangers"]);
    on_call("4-west", began, later).await;
    set_status(&registrar, &patient, &stayed, "finished").await;
    denied(read(&ann, &patient, "TREAT").await);
}

#[tokio::test]
async fn the_file_of_somebody_known_opens_to_who_has_to_do_with_them() {
    let cluster = Cluster::start(1).await.expect("a node");
    let registrar = cluster.client(0, "registrar").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    read(&ann, &patient, "TREAT").await.expect("a patient like any other");
    label(&registrar, &patient, "CEL").await;
    let status = denied(read(&ann, &patient, "TREAT").await);
    assert!(format!("{status:?}").contains("possible"), "the glass can be broken: {status:?}");
    let access = newest(&officer, &patient, "ann").await;
    assert_eq!(
        (access.outcome.as_str(), access.deciding_ids.as_slice()),
        ("denied", &["vip".to_owned()][..])
    );
    assert_eq!(access.circumstances, ["vip"]);
    let own_team = v1::change::Change::AddEntry(v1::AddEntry {
        entry: Some(care_team("active", practitioner("ann"))),
    });
    let refused =
        contribute(&ann, &patient, own_team).await.expect_err("nobody lets themselves in");
    assert_eq!(refused.code(), Code::PermissionDenied);
    read(&officer, &patient, "HCOMPL").await.expect("compliance judges accesses");
    // Whoever registers is not related either, so the ward's own team is filed by who is.
    let manager = cluster.client(0, "case-manager").unwrap();
    contribute(
        &manager,
        &patient,
        v1::change::Change::AddEntry(v1::AddEntry {
            entry: Some(care_team("active", practitioner("ann"))),
        }),
    )
    .await
    .expect_err("nor do they let others in");
}

#[tokio::test]
async fn a_member_of_the_care_team_opens_the_file_of_somebody_known() {
    let cluster = Cluster::start(1).await.expect("a node");
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    add(&registrar, &patient, care_team("active", practitioner("ann"))).await;
    label(&registrar, &patient, "CEL").await;
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    read(&ann, &patient, "TREAT").await.expect("she cares for the patient");
    let ben = cluster.client_of(0, "nurse", "ben").unwrap();
    denied(read(&ben, &patient, "TREAT").await);
    let bob = Client::note("seen");
    let Some(note) = bob.change else { unreachable!() };
    contribute(&ann, &patient, note).await.expect("and files");
}

#[tokio::test]
async fn what_a_patient_restricted_is_not_shown() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    let ben = cluster.client_of(0, "nurse", "ben").unwrap();
    let consent = add(&manager, &patient, denial(vec![practitioner("ann")], &[])).await;
    denied(read(&ann, &patient, "TREAT").await);
    let access = newest(&officer, &patient, "ann").await;
    assert_eq!(access.deciding_ids, ["restriction"]);
    denied(read(&ann, &patient, "ETREAT").await);
    break_glass(&ann, file_of(&patient), None).await.expect("45 CFR 164.522(a)(1)(iii)");
    read(&ann, &patient, "BTG").await.expect("and is reviewed");
    read(&ben, &patient, "TREAT").await.expect("it is not about him");
    set_status(&manager, &patient, &consent, "inactive").await;
    read(&ann, &patient, "TREAT").await.expect("the patient took it back");
}

#[tokio::test]
async fn what_is_filed_with_a_restriction_is_never_shown_to_whom_it_restricts() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    for number in 0..40 {
        let patient = manager.register(&format!("MRN-{number}"), "Ames").await.unwrap().patient_id;
        let person = format!("nurse-{number}");
        let nurse = cluster.client_of(0, "nurse", &person).unwrap();
        // They read all the while, until they are denied.
        let mut reading = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let (nurse, patient) = (nurse.clone(), patient.clone());
            reading.spawn(async move {
                loop {
                    let shown = match read(&nurse, &patient, "TREAT").await {
                        Ok(shown) => shown,
                        Err(status) => break status,
                    };
                    let entries = shown.file.expect("the file").entries;
                    assert!(entries.is_empty(), "shown beside the restriction: {}", entries.len());
                }
            });
        }
        let added = v1::AddEntry { entry: Some(denial(vec![practitioner(&person)], &[])) };
        let restricted = v1::Change { change: Some(v1::change::Change::AddEntry(added)) };
        let request = v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("TREAT"),
            patient_id: patient,
            expected_version: None,
            changes: vec![restricted, Client::note("not for that nurse")],
        };
        manager.file().contribute(request).await.expect("filed");
        while let Some(status) = reading.join_next().await {
            denied(Err(status.expect("nothing of it was shown")));
        }
    }
}

#[tokio::test]
async fn what_was_paid_in_full_is_not_shown_for_payment() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    read(&manager, &patient, "HPAYMT").await.expect("case managers plan what care costs");
    add(&manager, &patient, denial(Vec::new(), &["HPAYMT"])).await;
    for code in ["HPAYMT", "COVAUTH", "ELIGVER"] {
        denied(read(&manager, &patient, code).await);
    }
    read(&manager, &patient, "CAREMGT").await.expect("care goes on");
}

#[tokio::test]
async fn how_a_patient_wants_to_be_reached_stands_on_every_page() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let telecom = v1::ContactPoint {
        system: "phone".to_owned(),
        value: "555-0199".to_owned(),
        ..v1::ContactPoint::default()
    };
    let amended = v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(v1::Identity {
            confidential_telecoms: vec![telecom.clone()],
            ..v1::Identity::default()
        }),
        update_mask: Some(prost_types::FieldMask {
            paths: vec!["confidential_telecoms".to_owned()],
        }),
        how: v1::Amendment::Augmentation.into(),
        reason: "asked for by the patient".to_owned(),
    });
    contribute(&manager, &patient, amended).await.expect("amended");
    let file = read(&manager, &patient, "CAREMGT").await.expect("the file").file.expect("a file");
    assert_eq!(file.identity.expect("an identity").confidential_telecoms, [telecom]);
}

#[tokio::test]
async fn what_is_filed_while_a_change_waits_keeps_its_caller_out() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let nurse = cluster.client(0, "nurse").unwrap();
    for number in 0..8 {
        let registered = manager.register(&format!("MRN-{number}"), "Ames").await.unwrap();
        let (patient, id) = (registered.patient_id, request_id());
        let note = nurse.file_note(&patient, "stable", &id, None);
        let ((), noted) = tokio::join!(label(&manager, &patient, "CEL"), note);
        match noted {
            Ok(filed) => assert_eq!(filed.version, 2, "before the file was a protected one"),
            Err(status) => assert_eq!(reason(&status), "FORBIDDEN", "{status}"),
        }
    }
}
