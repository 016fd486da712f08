//! A node that is far from the ledger's end does not answer as if it had all of it.

use api::v1;
use testkit::client::{Client, purpose};
use testkit::cluster::Cluster;
use testkit::wait::eventually;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::tools::{
    PATIENCE, Pen, RECORDS, alarm, copy, holds, jetstream, lengthen, messages, publish,
    records_are, some_notes,
};

/// More messages than a node may be behind and still serve.
const FAR: usize = 1_100;

/// Every way to read records and the trail, with what each was answered.
async fn reads(
    manager: &Client,
    officer: &Client,
    patient: &str,
) -> Vec<(&'static str, Result<(), tonic::Status>)> {
    let patient_id = patient.to_owned();
    let treat = || purpose("TREAT");
    let history = v1::GetPatientHistoryRequest {
        patient_id: patient_id.clone(),
        purpose: treat(),
        ..v1::GetPatientHistoryRequest::default()
    };
    let find = v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: "MRN-1".to_owned(),
        purpose: treat(),
    };
    let watch = v1::WatchPatientFileRequest { patient_id, purpose: treat(), from_version: 0 };
    let trail = v1::ListAccessesRequest { purpose: purpose("HCOMPL"), ..Default::default() };
    vec![
        ("file", manager.read_file(patient, None).await.map(drop)),
        ("history", manager.file().get_patient_history(history).await.map(drop)),
        ("find", manager.file().find_patient(find).await.map(drop)),
        ("watch", manager.file().watch_patient_file(watch).await.map(drop)),
        ("trail", officer.audit().list_accesses(trail).await.map(drop)),
    ]
}

fn is_catching_up(status: &tonic::Status) -> bool {
    let reason = status.get_details_error_info().map(|info| info.reason);
    (status.code(), reason.as_deref()) == (Code::Unavailable, Some("CATCHING_UP"))
}

async fn served(client: &Client, wanted: [bool; 3]) {
    let services = ["PatientFileService", "AuditService", "LedgerService"];
    let told = eventually(PATIENCE, "its health says so", async || {
        let mut found = Vec::new();
        for service in services {
            found.push(client.is_serving(service).await?);
        }
        anyhow::ensure!(found == wanted, "{services:?} are serving: {found:?}");
        Ok(())
    });
    told.await.expect("health follows");
}

#[tokio::test]
async fn invariant_10_at_a_start_without_the_broker_only_who_was_near_the_end_reads() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("a head");
    let new = cluster.admit().expect("admitted");
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.nats.kill().expect("killed");
    // The second has its keys, which are a database of their own, and nothing else yet.
    std::fs::create_dir_all(cluster.node(new).data()).expect("made");
    copy(&cluster.node(0).data().join("keys"), &cluster.node(new).data().join("keys"));
    for index in [0, new] {
        cluster.node_mut(index).spawn().expect("started");
    }

    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it cannot know more");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    for (what, read) in reads(&manager, &officer, &patient).await {
        read.unwrap_or_else(|status| panic!("{what} is answered without the broker: {status:?}"));
    }
    served(&manager, [true, true, true]).await;

    let there = cluster.client(new, "case-manager").unwrap();
    let officer = cluster.client(new, "compliance-officer").unwrap();
    cluster.node(new).condition(v1::LedgerCondition::CatchingUp).await.expect("it has nothing");
    for (what, read) in reads(&there, &officer, &patient).await {
        let status = read.expect_err(what);
        assert!(is_catching_up(&status), "{what}: {status:?}");
        assert!(status.message().contains("0 messages"), "it says how far it is: {status:?}");
    }
    served(&there, [false, false, true]).await;

    cluster.nats.restart().await.expect("back");
    for index in [0, new] {
        cluster.node(index).serving().await.expect("serving");
    }
    for (what, read) in reads(&there, &officer, &patient).await {
        read.unwrap_or_else(|status| panic!("{what} is answered: {status:?}"));
    }
    served(&there, [true, true, true]).await;
}

#[tokio::test]
async fn a_node_that_stands_far_from_the_end_does_not_answer_after_a_start_without_the_broker() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 2).await;
    cluster.agreed().await.expect("agreed");
    cluster.node_mut(1).stop().await.expect("stopped");
    let unknown = manager.register("MRN-2", "Bell").await.unwrap().patient_id;
    // Here both stop for good: one near the end as it knew it, the other on its way.
    cluster.agreed().await.expect("at rest");
    let applied = messages(&cluster).await.len();
    publish(&cluster, Pen::of(&cluster.node(0).state).frame(2, b"from a later version")).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    alarm(&operator, "APPLY_STOPPED").await;
    lengthen(&cluster, FAR).await;
    manager.read_file(&patient, None).await.expect("what it has applied stays readable");

    cluster.node_mut(1).spawn().expect("started");
    let operator = cluster.client(1, "hospital-it").unwrap();
    records_are(&operator, v1::LedgerCondition::Stopped).await;
    cluster.node_mut(1).stop().await.expect("stopped");
    cluster.nats.kill().expect("killed");
    cluster.node_mut(1).spawn().expect("started");
    let told = records_are(&operator, v1::LedgerCondition::CatchingUp).await;
    let how_far = format!("{applied} of {} messages", applied + 1 + FAR);
    assert!(told.reason.contains(&how_far), "{}", told.reason);
    let there = cluster.client(1, "case-manager").unwrap();
    let officer = cluster.client(1, "compliance-officer").unwrap();
    // `access` is another ledger, and near its end; but who may read it, policies in `records` say.
    served(&there, [false, false, true]).await;
    for patient in [&patient, &unknown] {
        for (what, read) in reads(&there, &officer, patient).await {
            assert!(is_catching_up(&read.expect_err(what)), "{what}");
        }
    }
}

#[tokio::test]
async fn a_node_that_was_away_never_says_that_there_is_no_such_file() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let there = cluster.client(1, "case-manager").unwrap();
    for (number, more) in [("MRN-1", 0), ("MRN-2", FAR)] {
        cluster.node_mut(1).stop().await.expect("stopped");
        let patient = manager.register(number, "Ames").await.unwrap().patient_id;
        lengthen(&cluster, more).await;
        cluster.node_mut(1).spawn().expect("started");
        let read = eventually(PATIENCE, "the file is read", async || {
            let read = there.read_file(&patient, None).await;
            if let Err(status) = &read {
                assert_eq!(status.code(), Code::Unavailable, "{more} more: {status:?}");
            }
            Ok(read?)
        });
        read.await.expect("in the end");
        cluster.node(1).serving().await.expect("serving");
    }
}

#[tokio::test]
async fn what_the_stream_does_not_have_is_fetched_from_a_node_that_does_nothing_more_itself() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("agreed");
    cluster.node_mut(1).stop().await.expect("stopped");
    lengthen(&cluster, FAR).await;
    some_notes(&manager, &patient, 2).await;
    cluster.agreed().await.expect("at rest");
    let held = messages(&cluster).await;
    publish(&cluster, Pen::of(&cluster.node(0).state).frame(2, b"from a later version")).await;
    // It restores no stream any more, but it still has all that it applied.
    alarm(&cluster.client(0, "hospital-it").unwrap(), "APPLY_STOPPED").await;
    jetstream(&cluster).await.delete_stream(RECORDS).await.expect("deleted");

    cluster.node_mut(1).spawn().expect("started");
    cluster.node(1).serving().await.expect("it has made the stream anew");
    holds(&cluster, &held).await;
    let there = cluster.client(1, "case-manager").unwrap();
    let file = there.read_file(&patient, None).await.expect("read").file.unwrap();
    assert_eq!(file.entries.len(), 2);
}

#[tokio::test]
async fn who_knows_from_a_peer_alone_that_it_is_far_behind_reads_nothing() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(1, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("agreed");
    cluster.node_mut(0).stop().await.expect("stopped");
    lengthen(&cluster, FAR).await;
    some_notes(&manager, &patient, 1).await;
    cluster.agreed().await.expect("a head");
    cluster.node_mut(1).stop().await.expect("stopped");
    std::fs::remove_dir_all(cluster.node(1).data().join("ledger")).expect("lost");
    jetstream(&cluster).await.delete_stream(RECORDS).await.expect("deleted");
    for index in 0..2 {
        cluster.node_mut(index).spawn().expect("started");
    }
    let operator = cluster.client(0, "hospital-it").unwrap();
    let told = eventually(PATIENCE, "it says what it waits for", async || {
        let status = records_are(&operator, v1::LedgerCondition::CatchingUp).await;
        anyhow::ensure!(status.reason.contains("lost its database"), "{}", status.reason);
        Ok(())
    });
    told.await.expect("nobody has the rest");
    let theirs = cluster.client(0, "case-manager").unwrap();
    let refused = theirs.read_file(&patient, None).await.expect_err("not as if it had all");
    assert!(is_catching_up(&refused), "{refused:?}");
}

#[tokio::test]
async fn the_trail_does_not_go_on_behind_a_page_that_a_node_has_not_come_to() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let page = |page_token: &str| v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        page_size: 2,
        page_token: page_token.to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    officer.audit().list_accesses(page("")).await.expect("a page");
    cluster.agreed().await.expect("agreed");
    cluster.node_mut(1).stop().await.expect("stopped");
    for _ in 0..4 {
        officer.audit().list_accesses(page("")).await.expect("a page");
    }
    cluster.agreed().await.expect("at rest");
    let first = officer.audit().list_accesses(page("")).await.expect("a page").into_inner();
    let [_, last] = &first.accesses[..] else { panic!("two: {first:?}") };

    cluster.nats.kill().expect("killed");
    cluster.node_mut(1).spawn().expect("started");
    cluster.node(1).condition(v1::LedgerCondition::ReadOnly).await.expect("it cannot know more");
    let there = cluster.client(1, "compliance-officer").unwrap();
    there.audit().list_accesses(page("")).await.expect("what it has");
    let refused = there.audit().list_accesses(page(&first.next_page_token)).await;
    let refused = refused.expect_err("what it lacks would be on no page");
    assert!(is_catching_up(&refused), "{refused:?}");

    cluster.nats.restart().await.expect("back");
    cluster.node(1).serving().await.expect("serving");
    let rest = there.audit().list_accesses(page(&first.next_page_token)).await;
    let rest = rest.expect("it has come there").into_inner();
    let next = rest.accesses.first().expect("two more were made");
    assert_eq!(next.position + 1, last.position, "none is on no page");
}
