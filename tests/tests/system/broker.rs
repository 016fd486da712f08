//! The broker goes away: reads go on, writes say at once what they know, nothing is lost.

use std::time::{Duration, Instant};

use anyhow::ensure;
use api::v1;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use testkit::nats::Settings;
use testkit::wait::eventually;
use tonic::Code;

use crate::access::far_away;
use crate::tools::{PATIENCE, alarm, reason};

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

#[tokio::test]
async fn invariant_4_what_cannot_be_settled_now_is_not_surely_unfiled() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it notices");
    let settle = v1::SettleRequestRequest { request_id: request_id(), purpose: purpose("TREAT") };
    let refused = manager.file().settle_request(settle).await.expect_err("no broker");
    let told = (refused.code(), reason(&refused));
    assert_eq!(told, (Code::Unavailable, "OUTCOME_UNKNOWN".to_owned()));
}

/// So many blocks have left for the broker.
async fn has_left(blocks: &mut tokio::sync::watch::Receiver<usize>, count: usize) {
    // What it returns holds a lock that the relay's own tasks, on this very thread, wait for.
    let there = async { drop(blocks.wait_for(|left| *left >= count).await) };
    tokio::time::timeout(PATIENCE, there).await.expect("it leaves");
}

/// Two attempts at one registration are under way at once, and apply takes the first.
#[tokio::test]
async fn invariant_4_a_registration_that_is_repeated_while_it_is_in_doubt_makes_the_patient_of_the_first()
 {
    let (cluster, relay, _) = far_away().await;
    let manager = cluster.client(0, "case-manager").unwrap();
    let request = Client::registration("MRN-1", "Ames");
    let mut blocks = relay.blocks();
    let before = *blocks.borrow();
    relay.takes(PATIENCE);
    let mut first = tonic::Request::new(request.clone());
    // A connection that is silent for longer is given up.
    first.set_timeout(Duration::from_secs(1));
    let once = cluster.client(0, "case-manager").unwrap();
    let unknown = tokio::spawn(async move { once.file().register_patient(first).await });
    has_left(&mut blocks, before + 1).await;
    let unknown = unknown.await.expect("it ends").expect_err("no answer from the broker");
    assert!(
        reason(&unknown) == "OUTCOME_UNKNOWN" || unknown.code() == Code::DeadlineExceeded,
        "{unknown}"
    );
    let repeat = cluster.client(0, "case-manager").unwrap();
    let again = tokio::spawn(async move { repeat.file().register_patient(request).await });
    has_left(&mut blocks, before + 2).await;
    relay.takes(Duration::ZERO);
    let registered = again.await.expect("it ends").expect("registered").into_inner();
    let find = v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: "MRN-1".to_owned(),
        purpose: purpose("TREAT"),
    };
    let found = manager.file().find_patient(find).await.expect("found").into_inner();
    assert_eq!(registered.patient_id, found.patient_id);
    manager.read_file(&registered.patient_id, None).await.expect("it is on file");
}

#[tokio::test]
async fn invariant_3_nothing_is_filed_with_a_broker_that_came_back_with_weaker_settings() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it notices");
    let weaker = Settings { sync_interval: "2m".to_owned(), ..Settings::default() };
    cluster.nats.restart_with(weaker).await.expect("back");
    let told = eventually(PATIENCE, "an alarm", async || {
        let written = manager.file_note(&patient, "not now", &request_id(), None).await;
        assert!(written.is_err(), "nothing is acknowledged, however early");
        let alarms = operator.status().await?.alarms;
        let told = alarms.iter().find(|alarm| alarm.code == "BROKER_WEAKER");
        told.cloned().ok_or_else(|| anyhow::anyhow!("alarms are {alarms:?}"))
    });
    let told = told.await.expect("it is told");
    assert!(told.text.contains("sync_interval must be always but is 120s"), "{told:?}");
    manager.read_file(&patient, None).await.expect("reads go on");
    let refused =
        manager.file_note(&patient, "not now", &request_id(), None).await.expect_err("no write");
    assert_eq!(reason(&refused), "NOT_FILED");

    cluster.nats.stop().expect("stopped");
    cluster.nats.restart_with(Settings::default()).await.expect("as it must be");
    cluster.node(0).serving().await.expect("serving again");
    manager.file_note(&patient, "again", &request_id(), None).await.expect("filed");
    let alarms = operator.status().await.expect("a status").alarms;
    assert!(alarms.iter().all(|alarm| alarm.code != "BROKER_WEAKER"), "{alarms:?}");
}

#[tokio::test]
async fn a_broker_that_takes_nothing_is_told_of() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.nats.stop().expect("stopped");
    let full = Settings { max_file_store: "1KB".to_owned(), ..Settings::default() };
    cluster.nats.restart_with(full).await.expect("back");
    cluster.node(0).serving().await.expect("it is connected");
    let told = eventually(PATIENCE, "an alarm", async || {
        let refused = manager.file_note(&patient, "full", &request_id(), None).await;
        ensure!(refused.is_err(), "the broker took it");
        manager.read_file(&patient, None).await?;
        let v1::GetNodeStatusResponse { alarms, ledgers, .. } = operator.status().await?;
        let told = alarms.iter().find(|alarm| alarm.code == "BROKER_REFUSES");
        let told = told.cloned().ok_or_else(|| anyhow::anyhow!("alarms are {alarms:?}"))?;
        let reads = |ledger: &v1::LedgerStatus| ledger.condition() == v1::LedgerCondition::ReadOnly;
        ensure!(ledgers.iter().any(reads), "as with a broker that is away: {ledgers:?}");
        Ok(told)
    });
    let told = told.await.expect("it is told");
    assert!(told.text.contains("its disk is full"), "{told:?}");

    cluster.nats.stop().expect("stopped");
    cluster.nats.restart_with(Settings::default()).await.expect("there is room");
    cluster.node(0).serving().await.expect("serving again");
    manager.file_note(&patient, "again", &request_id(), None).await.expect("filed");
    manager.read_file(&patient, None).await.expect("read");
    let over = eventually(PATIENCE, "no alarm", async || {
        let alarms = operator.status().await?.alarms;
        ensure!(alarms.iter().all(|alarm| alarm.code != "BROKER_REFUSES"), "{alarms:?}");
        Ok(())
    });
    over.await.expect("it is over");
}
