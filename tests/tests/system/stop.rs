//! A node that is asked to stop does so soon, under load too, and leaves nobody without a word.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use api::v1;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use testkit::wait::eventually;
use tokio::task::JoinSet;
use tonic::Code;

use crate::tools::{PATIENCE, reason};

/// Longest a node may take to end. Measured on two cores that also compiled: below 0.1 s under load,
/// 1.05 s when the broker says nothing.
const SOON: Duration = Duration::from_secs(5);

/// Stops the first node, in time.
async fn stopped(cluster: &mut Cluster) {
    let asked = Instant::now();
    let code = cluster.node_mut(0).stop().await.expect("it ends");
    let took = asked.elapsed();
    assert_eq!(code, 0, "as asked");
    assert!(took < SOON, "it took {took:?}");
}

/// What a writer was told before it was told no, and then.
struct Told {
    client: Client,
    patient: String,
    acknowledged: Vec<String>,
    last: String,
}

/// Files notes, each under its own id and saying it, until it is told no.
async fn write(client: Client, patient: String, filed: Arc<AtomicU64>) -> Told {
    let mut acknowledged = Vec::new();
    loop {
        let id = request_id();
        match client.file_note(&patient, &id, &id, None).await {
            Ok(_) => {
                filed.fetch_add(1, Ordering::SeqCst);
                acknowledged.push(id);
            }
            Err(status) => return Told { client, patient, acknowledged, last: reason(&status) },
        }
    }
}

/// Follows a file until the watch ends.
async fn follow(client: Client, patient_id: String, open: Arc<AtomicU64>) -> String {
    let request =
        v1::WatchPatientFileRequest { patient_id, purpose: purpose("TREAT"), from_version: 0 };
    let mut watch = client.file().watch_patient_file(request).await.expect("a watch").into_inner();
    open.fetch_add(1, Ordering::SeqCst);
    loop {
        match watch.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return "no word".to_owned(),
            Err(status) => return reason(&status),
        }
    }
}

/// Imports item after item of one patient until the stream ends.
async fn import(client: Client, patient: String, filed: Arc<AtomicU64>) -> String {
    let of = v1::PatientSelector {
        patient: Some(v1::patient_selector::Patient::PatientId(patient.clone())),
    };
    let item = move |number: u64| {
        let Some(v1::change::Change::AddEntry(added)) = Client::note("imported").change else {
            unreachable!("a note is an added entry")
        };
        let source = v1::SourceId { system: format!("urn:{patient}"), value: number.to_string() };
        v1::ImportItem {
            number,
            source: Some(source),
            patient: Some(of.clone()),
            content: added.entry.map(Box::new).map(v1::import_item::Content::Entry),
            ..v1::ImportItem::default()
        }
    };
    // There is always more: what is sent is what the node takes.
    let requests = (0..).map(move |request: u64| v1::ImportRequest {
        purpose: purpose("RECORDMGT"),
        items: (request * 32..(request + 1) * 32).map(&item).collect(),
    });
    let answers = client.import().import(tokio_stream::iter(requests)).await;
    let mut results = answers.expect("begun").into_inner();
    loop {
        match results.message().await {
            Ok(Some(answer)) => {
                for result in answer.results {
                    let now = result.status() == v1::ImportStatus::Filed;
                    assert!(now || result.retryable, "{result:?}");
                    filed.fetch_add(u64::from(now), Ordering::SeqCst);
                }
            }
            Ok(None) => return "no word".to_owned(),
            Err(status) => return reason(&status),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_under_load_stops_soon_and_nobody_is_left_without_a_word() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let (filed, imported, open) =
        (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
    let (mut writers, mut watches, mut imports) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    for number in 0..4 {
        let mrn = format!("MRN-{number}");
        let patient = manager.register(&mrn, "Ames").await.unwrap().patient_id;
        for role in ["case-manager", "nurse"] {
            // A connection each: one that is full must not hold up the others.
            let client = || cluster.client(0, role).unwrap();
            writers.spawn(write(client(), patient.clone(), Arc::clone(&filed)));
            watches.spawn(follow(client(), patient.clone(), Arc::clone(&open)));
        }
        let client = cluster.client(0, "case-manager").unwrap();
        imports.spawn(import(client, patient, Arc::clone(&imported)));
    }
    let loaded = eventually(PATIENCE, "everybody is at work", async || {
        let at_work = [&filed, &imported, &open].map(|count| count.load(Ordering::SeqCst));
        anyhow::ensure!(at_work[0] > 100 && at_work[1] > 500 && at_work[2] == 8, "{at_work:?}");
        Ok(())
    });
    loaded.await.expect("a node under load");
    stopped(&mut cluster).await;

    while let Some(ended) = watches.join_next().await {
        assert_eq!(ended.expect("no panic"), "NOT_ANSWERED", "a watch is resumed elsewhere");
    }
    while let Some(ended) = imports.join_next().await {
        assert_eq!(ended.expect("no panic"), "NOT_ANSWERED", "an import is repeated");
    }
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving again");
    while let Some(ended) = writers.join_next().await {
        let told = ended.expect("no panic");
        // A call that was made when the connection was closed already is told by nobody.
        assert!(
            ["NOT_FILED", "OUTCOME_UNKNOWN", ""].contains(&told.last.as_str()),
            "{}",
            told.last
        );
        for id in &told.acknowledged {
            let again = told.client.file_note(&told.patient, id, id, None).await.expect("filed");
            assert!(again.repeated_request, "what was acknowledged is on file");
        }
    }
}

/// The broker takes a block and says nothing; another change of the same file waits for that.
#[tokio::test]
async fn invariant_4_unknown_is_never_failed_also_when_the_node_stops() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let nurse = cluster.client(0, "nurse").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.nats.pause().expect("paused");
    let mut waiting = JoinSet::new();
    let ids = [request_id(), request_id()];
    for id in ids.clone() {
        let (manager, patient) = (manager.clone(), patient.clone());
        waiting.spawn(async move { manager.file_note(&patient, &id, &id, None).await });
    }
    // Answered from the spool after a while: the writes, which came before, wait by then.
    let receipt = nurse.read_file(&patient, None).await.expect("reads go on").receipt;
    stopped(&mut cluster).await;
    let mut told = Vec::new();
    while let Some(ended) = waiting.join_next().await {
        let status = ended.expect("no panic").expect_err("no answer from the broker");
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        told.push(reason(&status));
    }
    told.sort();
    assert_eq!(told, ["NOT_FILED", "OUTCOME_UNKNOWN"], "what each of them knows");

    cluster.nats.resume().expect("resumed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving again");
    for id in &ids {
        manager.file_note(&patient, id, id, None).await.expect("repeated, and filed at last");
    }
    let file = manager.read_file(&patient, None).await.expect("read").file.unwrap();
    assert_eq!(file.entries.len(), 2, "each once");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let forwarded = eventually(PATIENCE, "the spooled access arrives", async || {
        let request = v1::ListAccessesRequest {
            purpose: purpose("HCOMPL"),
            patient_id: patient.clone(),
            ..v1::ListAccessesRequest::default()
        };
        let trail = officer.audit().list_accesses(request).await?.into_inner().accesses;
        anyhow::ensure!(trail.iter().any(|access| access.hash == receipt), "not yet");
        Ok(())
    });
    forwarded.await.expect("what was shown before the stop is on the trail");
}
