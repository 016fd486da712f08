//! What an emergency access does not leave behind.

use api::v1;
use api::v1::change::Change;
use testkit::client::{Client, request_id};
use testkit::cluster::Cluster;
use tonic::{Code, Status};

use super::{break_glass, btg, end, entry_of, file_of};
use crate::hidden::permits;
use crate::relationships::{add, label, newest, read};
use crate::tools::reason;

/// Files changes as in an emergency.
async fn contribute(client: &Client, patient: &str, changes: Vec<Change>) -> Result<(), Status> {
    let request = v1::ContributeRequest {
        request_id: request_id(),
        purpose: btg(),
        patient_id: patient.to_owned(),
        changes: changes.into_iter().map(|change| v1::Change { change: Some(change) }).collect(),
        ..v1::ContributeRequest::default()
    };
    client.file().contribute(request).await.map(drop)
}

fn unlabelled() -> Change {
    Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(v1::Identity::default()),
        update_mask: Some(prost_types::FieldMask { paths: vec!["labels".to_owned()] }),
        how: v1::Amendment::Correction.into(),
        reason: "not in the news".to_owned(),
    })
}

fn note() -> Change {
    Client::note("pulse 40").change.expect("a change")
}

async fn stands(client: &Client, patient: &str, changes: Vec<Change>, which: &str) {
    let refused = contribute(client, patient, changes).await.expect_err("it would last");
    assert_eq!(
        (refused.code(), &*reason(&refused)),
        (Code::FailedPrecondition, "PROTECTION_STANDS"),
        "{refused}"
    );
    assert!(refused.message().starts_with(which), "{refused}");
}

#[tokio::test]
async fn who_may_see_the_file_later_is_not_changed_in_an_emergency() {
    let cluster = Cluster::start(1).await.expect("a node");
    let registrar = cluster.client(0, "registrar").unwrap();
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let nurse = cluster.client(0, "nurse").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let permit = || permits(vec!["RelatedPerson/mary".to_owned()]);
    let consent = add(&manager, &patient, permit()).await;
    label(&registrar, &patient, "CEL").await;
    let emergency = break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    stands(&nurse, &patient, vec![note(), unlabelled()], "changes[1]: ").await;
    let told = newest(&officer, &patient, "nurse-1").await;
    assert_eq!((&*told.outcome, &*told.emergency_id), ("refused", &*emergency.id), "on record");
    let retract = |entry_id: &str| {
        let reason = "void".to_owned();
        Change::RetractEntry(v1::RetractEntry { entry_id: entry_id.to_owned(), reason })
    };
    stands(&nurse, &patient, vec![retract(&consent)], "changes[0]: ").await;
    let added = Change::AddEntry(v1::AddEntry { entry: Some(permit()) });
    stands(&nurse, &patient, vec![added], "changes[0]: ").await;
    contribute(&nurse, &patient, vec![note()]).await.expect("what happened is filed");
    end(&nurse, &emergency.id).await.expect("ended");
    break_glass(&nurse, entry_of(&patient, &consent), None).await.expect("for the consent alone");
    stands(&nurse, &patient, vec![retract(&consent)], "changes[0]: ").await;
    // Nor did what she filed make her somebody who has to do with the patient.
    let denied = read(&nurse, &patient, "TREAT").await.expect_err("the file is as protected");
    assert_eq!(reason(&denied), "FORBIDDEN");
}
