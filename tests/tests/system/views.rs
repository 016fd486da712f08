//! A node without views, as a restore leaves it, makes them from the records before it serves.

use api::v1;
use testkit::client::purpose;
use testkit::cluster::Cluster;

use crate::tools::{databases, some_notes};

#[tokio::test]
async fn a_node_without_views_makes_them_and_answers_as_before() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 3).await;
    let file = manager.read_file(&patient, None).await.expect("a file");
    cluster.node_mut(0).stop().await.expect("stopped");

    let (store, _) = databases(cluster.node(0));
    store.drop_views().expect("dropped");
    store.close().expect("closed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("it serves");

    let log = std::fs::read_to_string(cluster.node(0).log()).expect("a log");
    assert!(log.contains("all views are made"), "the log tells");
    let again = manager.read_file(&patient, None).await.expect("a file");
    assert_eq!(again.file, file.file);
    let find = v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: "MRN-1".to_owned(),
        purpose: purpose("TREAT"),
    };
    let found = manager.file().find_patient(find).await.expect("found").into_inner();
    assert_eq!(found.patient_id, patient);
    let trail = v1::ListAccessesRequest {
        patient_id: patient,
        purpose: purpose("HCOMPL"),
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(trail).await.expect("a trail").into_inner();
    assert_eq!(trail.accesses.len(), 3, "two readings and the finding");
}
