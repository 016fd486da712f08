//! Ways around what protects a patient, and that they are none.

use api::v1;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::Code;

use crate::emergency::{break_glass, end, file_of};
use crate::import::{entry, item, results};
use crate::relationships::{coding, contribute, label, newest, practitioner_role, put, read};
use crate::staff::{get, link};
use crate::tools::reason;

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

#[tokio::test]
async fn nobody_imports_their_way_into_the_file_of_somebody_known() {
    let cluster = Cluster::start(1).await.expect("a node");
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    label(&registrar, &patient, "CEL").await;
    let manager = cluster.client(0, "case-manager").unwrap();
    let told = results(&manager, vec![item(1, entry("2019"))]).await;
    assert_eq!(
        (told[&1].status(), told[&1].reason.as_str()),
        (v1::ImportStatus::Refused, "FORBIDDEN")
    );
    let denied = read(&manager, &patient, "CAREMGT").await.expect_err("not an author");
    assert_eq!(reason(&denied), "FORBIDDEN");
}

#[tokio::test]
async fn a_source_that_says_nothing_of_it_leaves_what_protects_a_patient() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let telecom = v1::ContactPoint {
        system: "phone".to_owned(),
        value: "555-0199".to_owned(),
        ..v1::ContactPoint::default()
    };
    let labels = vec![coding(ACT_CODE, "PSY")];
    let protects = v1::Identity {
        labels: labels.clone(),
        confidential_telecoms: vec![telecom.clone()],
        ..v1::Identity::default()
    };
    let paths = ["labels", "confidential_telecoms"].map(ToOwned::to_owned).to_vec();
    let amended = v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(protects),
        update_mask: Some(prost_types::FieldMask { paths }),
        how: v1::Amendment::Augmentation.into(),
        reason: "asked for by the patient".to_owned(),
    });
    contribute(&manager, &patient, amended).await.expect("amended");
    let identity = v1::Identity {
        identifiers: vec![v1::Identifier {
            issuer: "https://hospital.example/mrn".to_owned(),
            value: "MRN-1".to_owned(),
            ..v1::Identifier::default()
        }],
        names: vec![v1::HumanName { family: "Adams".to_owned(), ..v1::HumanName::default() }],
        ..v1::Identity::default()
    };
    let imported = v1::import_item::Content::Identity(Box::new(identity));
    let told = results(&manager, vec![item(1, Some(imported))]).await;
    assert_eq!(told[&1].status(), v1::ImportStatus::Amended, "{told:?}");
    let file = read(&manager, &patient, "CAREMGT").await.expect("the file").file.expect("a file");
    let identity = file.identity.expect("an identity");
    assert_eq!(identity.names[0].family, "Adams");
    assert_eq!((identity.labels, identity.confidential_telecoms), (labels, vec![telecom]));
}

#[tokio::test]
async fn what_was_filed_in_an_emergency_opens_nothing_afterwards() {
    let cluster = Cluster::start(1).await.expect("a node");
    let registrar = cluster.client(0, "registrar").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    label(&registrar, &patient, "CEL").await;
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    let access = break_glass(&ann, file_of(&patient), None).await.expect("broken");
    let why =
        Some(v1::Purpose { purpose_of_use: "BTG".to_owned(), reason: "unconscious".to_owned() });
    let noted = v1::ContributeRequest {
        request_id: request_id(),
        purpose: why,
        patient_id: patient.clone(),
        expected_version: None,
        changes: vec![Client::note("seen")],
    };
    ann.file().contribute(noted).await.expect("filed");
    let denied = read(&ann, &patient, "TREAT").await.expect_err("only by breaking the glass");
    assert_eq!(reason(&denied), "FORBIDDEN");
    end(&ann, &access.id).await.expect("ended");
    let denied = read(&ann, &patient, "TREAT").await.expect_err("not for a month");
    assert_eq!(reason(&denied), "FORBIDDEN");
    assert_eq!(newest(&officer, &patient, "ann").await.relationship, "");
}

#[tokio::test]
async fn the_directory_tells_nobody_that_or_why_somebodys_own_file_was_linked() {
    let cluster = Cluster::start(1).await.expect("a node");
    let it = cluster.client(0, "hospital-it").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = cluster.client(0, "registrar").unwrap();
    let patient = patient.register("MRN-1", "Ames").await.unwrap().patient_id;
    put(&it, practitioner_role("ann")).await.expect("listed");
    let before = get(&it, "ann").await.expect("shown");
    link(&officer, "ann", &patient).await.expect("linked");
    assert_eq!(get(&it, "ann").await.expect("shown"), before);
    let units = vec!["4-west".to_owned()];
    put(&it, v1::PractitionerRole { units, ..practitioner_role("ann") }).await.expect("filed");
    assert_eq!(get(&it, "ann").await.expect("shown").revision, 2);
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    read(&ann, &patient, "TREAT").await.expect_err("it is her own file all the same");
}

#[tokio::test]
async fn a_record_of_ones_own_file_is_not_proved_to_one_who_asks_before_it_is_there() {
    let cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = cluster.client(0, "registrar").unwrap();
    let patient = patient.register("MRN-1", "Ames").await.unwrap().patient_id;
    let it = cluster.client(0, "hospital-it").unwrap();
    put(&it, practitioner_role("carol")).await.expect("listed");
    let carol = cluster.client_of(0, "compliance-officer", "carol").unwrap();
    link(&officer, "carol", &patient).await.expect("linked");
    let nurse = cluster.client(0, "case-manager").unwrap();
    for _ in 0..8 {
        let next = officer.heads().await.expect("both").pop().expect("of the trail").size;
        read(&nurse, &patient, "CAREMGT").await.expect("shown");
        let kind = v1::LedgerKind::Access.into();
        let request = v1::ProveRequest {
            purpose: purpose("HCOMPL"),
            ledger: Some(v1::LedgerId { kind, shard: 0, period: 0 }),
            about: Some(v1::prove_request::About::Position(next)),
            contents: true,
        };
        let refused = carol.evidence().prove(request).await.expect_err("her own file's trail");
        assert_eq!(reason(&refused), "FORBIDDEN", "{refused:?}");
    }
}

#[tokio::test]
async fn an_employment_counts_from_its_first_day() {
    let cluster = Cluster::start(1).await.expect("a node");
    let it = cluster.client(0, "hospital-it").unwrap();
    let patient = cluster.client(0, "registrar").unwrap();
    let patient = patient.register("MRN-1", "Ames").await.unwrap().patient_id;
    let period = |start: &str| Some(v1::Period { start: start.to_owned(), end: String::new() });
    put(&it, v1::PractitionerRole { period: period("2999"), ..practitioner_role("ann") })
        .await
        .expect("listed");
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    let denied = read(&ann, &patient, "TREAT").await.expect_err("not yet");
    assert_eq!(denied.code(), Code::PermissionDenied);
    put(&it, v1::PractitionerRole { period: period("2020"), ..practitioner_role("ann") })
        .await
        .expect("listed");
    read(&ann, &patient, "TREAT").await.expect("now");
}

#[tokio::test]
async fn a_refused_write_is_on_the_trail_as_refused_and_its_author_may_ask_what_became_of_it() {
    let cluster = Cluster::start(1).await.expect("a node");
    let it = cluster.client(0, "hospital-it").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    put(&it, practitioner_role("ann")).await.expect("listed");
    put(&it, practitioner_role("ann")).await.expect_err("the directory says so already");
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        outcome: "refused".to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let operations: Vec<_> = trail.accesses.iter().map(|one| one.operation.as_str()).collect();
    assert_eq!(operations, ["StaffService/PutPractitionerRole"]);
    let request_id = request_id();
    let role = practitioner_role("ben");
    let filed = v1::PutPractitionerRoleRequest {
        request_id: request_id.clone(),
        purpose: purpose("HOPERAT"),
        practitioner_role: Some(role),
    };
    it.staff().put_practitioner_role(filed).await.expect("filed");
    let asked = v1::SettleRequestRequest { request_id, purpose: purpose("HOPERAT") };
    let settled = it.file().settle_request(asked).await.expect("settled").into_inner();
    assert_eq!(settled.outcome(), v1::SettlementOutcome::Filed);
}
