//! The broker goes away: reads go on, writes say at once what they know, nothing is lost.

use std::time::{Duration, Instant};

use api::v1;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use testkit::wait::eventually;
use tonic::Code;

use crate::tools::{alarm, reason};

async fn trail_of(officer: &Client, patient: &str) -> Vec<v1::Access> {
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient.to_owned(),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    officer.audit().list_accesses(request).await.expect("the trail").into_inner().accesses
}

#[tokio::test]
async fn invariant_10_reads_survive_the_broker() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient =
        cluster.client(0, "registrar").unwrap().register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it notices");
    alarm(&operator, "BROKER_AWAY").await;

    let mut receipts = Vec::new();
    for _ in 0..20 {
        let read = nurse.read_file(&patient, None).await.expect("reads go on");
        receipts.push(read.receipt);
    }
    let asked = Instant::now();
    let refused =
        nurse.file_note(&patient, "not now", &request_id(), None).await.expect_err("no write");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "NOT_FILED"));
    assert!(asked.elapsed() < Duration::from_secs(1), "a write is refused at once");

    cluster.nats.restart().await.expect("back");
    cluster.node(0).serving().await.expect("serving again");
    let alarms = operator.status().await.expect("a status").alarms;
    assert!(alarms.iter().all(|alarm| alarm.code != "BROKER_AWAY"), "{alarms:?}");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let forwarded = eventually(Duration::from_secs(30), "the spool is forwarded", async || {
        let seen: Vec<Vec<u8>> = trail_of(&officer, &patient)
            .await
            .into_iter()
            .filter(|access| access.person == "nurse-1")
            .map(|access| access.hash)
            .rev()
            .collect();
        anyhow::ensure!(seen.len() == receipts.len(), "{} of {}", seen.len(), receipts.len());
        Ok(seen)
    })
    .await
    .expect("all of them");
    assert_eq!(forwarded, receipts, "each reading is on the trail, in order");
}

#[tokio::test]
async fn spooled_access_records_survive_a_killed_node() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let patient =
        cluster.client(0, "registrar").unwrap().register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it notices");
    let receipt = nurse.read_file(&patient, None).await.expect("reads go on").receipt;
    cluster.node_mut(0).kill().expect("killed");
    cluster.nats.restart().await.expect("back");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving again");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    eventually(Duration::from_secs(30), "the spooled record arrives", async || {
        let trail = trail_of(&officer, &patient).await;
        anyhow::ensure!(trail.iter().any(|access| access.hash == receipt), "not yet");
        Ok(())
    })
    .await
    .expect("it arrives");
}

#[tokio::test]
async fn invariant_4_unknown_is_never_failed() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.nats.pause().expect("paused");
    let id = request_id();
    let mut request = tonic::Request::new(v1::ContributeRequest {
        request_id: id.clone(),
        purpose: purpose("TREAT"),
        patient_id: patient.clone(),
        expected_version: None,
        changes: vec![Client::note("perhaps")],
    });
    request.set_timeout(Duration::from_secs(3));
    let status = manager.file().contribute(request).await.expect_err("no answer from the broker");
    assert!(
        reason(&status) == "OUTCOME_UNKNOWN" || status.code() == Code::DeadlineExceeded,
        "unknown, not failed: {status:?}"
    );
    cluster.nats.resume().expect("resumed");
    cluster.node(0).serving().await.expect("serving again");

    let settle = v1::SettleRequestRequest { request_id: id.clone(), purpose: purpose("TREAT") };
    let settled =
        manager.file().settle_request(settle.clone()).await.expect("settled").into_inner();
    let again = manager.file().settle_request(settle).await.expect("settled").into_inner();
    assert_eq!(settled, again, "final, for ever");
    let repeated = manager.file_note(&patient, "perhaps", &id, None).await;
    let file = manager.read_file(&patient, None).await.unwrap().file.unwrap();
    match settled.outcome() {
        v1::SettlementOutcome::Filed => {
            assert!(repeated.expect("its first outcome").repeated_request);
            assert_eq!(file.entries.len(), 1, "exactly once");
        }
        v1::SettlementOutcome::Abandoned => {
            assert_eq!(reason(&repeated.expect_err("abandoned")), "REQUEST_ABANDONED");
            assert!(file.entries.is_empty());
        }
        v1::SettlementOutcome::Unspecified => panic!("no outcome"),
    }
}
