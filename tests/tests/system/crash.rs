//! kill -9 of a node or of the broker, at random moments under load, again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use api::v1;
use ledger::{Hash, LedgerId, Memory, State};
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use testkit::wait::eventually;
use tokio::sync::Mutex;

/// Rounds of the long test; each kills once.
const ROUNDS: u64 = 50;
const WORKERS: usize = 6;

/// A generator whose seed is printed, so that a failure can be run again (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What a worker asked for and what it was told.
#[derive(Clone, Debug)]
enum Told {
    Filed,
    Nothing,
}

#[derive(Default)]
struct Log {
    asked: Mutex<BTreeMap<String, (String, Told)>>,
    acknowledged: AtomicU64,
    stop: AtomicBool,
}

/// Files note after note until it is stopped; each text is its request id.
async fn work(client: Client, patient: String, log: Arc<Log>) {
    while !log.stop.load(Ordering::SeqCst) {
        let id = request_id();
        let mut request = tonic::Request::new(v1::ContributeRequest {
            request_id: id.clone(),
            purpose: purpose("TREAT"),
            patient_id: patient.clone(),
            expected_version: None,
            changes: vec![Client::note(&id)],
        });
        request.set_timeout(Duration::from_secs(2));
        let told = match client.file().contribute(request).await {
            Ok(_) => {
                log.acknowledged.fetch_add(1, Ordering::SeqCst);
                Told::Filed
            }
            Err(_) => Told::Nothing,
        };
        let refused = matches!(told, Told::Nothing);
        log.asked.lock().await.insert(id, (patient.clone(), told));
        if refused {
            // A dead node answers at once: let others run.
            tokio::task::yield_now().await;
        }
    }
}

async fn kill_something(cluster: &mut Cluster, random: &mut Random) -> String {
    match random.below(3) {
        2 => {
            cluster.nats.kill().expect("killed");
            cluster.nats.restart().await.expect("restarted");
            "the broker".to_owned()
        }
        index => {
            let node = cluster.node_mut(usize::try_from(index).unwrap());
            node.kill().expect("killed");
            node.spawn().expect("started");
            format!("node {index}")
        }
    }
}

/// Every request has one outcome, and the files say the same.
async fn check(cluster: &Cluster, log: &Log) {
    let manager = cluster.client(0, "nurse").unwrap();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (id, (patient, told)) in log.asked.lock().await.iter() {
        let on_file = match told {
            Told::Filed => true,
            Told::Nothing => {
                let settle =
                    v1::SettleRequestRequest { request_id: id.clone(), purpose: purpose("TREAT") };
                let settled =
                    manager.file().settle_request(settle).await.expect("settled").into_inner();
                settled.outcome() == v1::SettlementOutcome::Filed
            }
        };
        if on_file {
            expected.entry(patient.clone()).or_default().push(id.clone());
        }
    }
    for (patient, mut ids) in expected {
        let mut found = notes(&manager, &patient).await;
        ids.sort();
        found.sort();
        assert_eq!(found, ids, "every acknowledged request is on file, exactly once");
    }
}

async fn notes(client: &Client, patient: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::GetPatientFileRequest {
            patient_id: patient.to_owned(),
            purpose: purpose("TREAT"),
            page_size: 200,
            page_token,
            ..v1::GetPatientFileRequest::default()
        };
        let page = client.file().get_patient_file(request).await.expect("a page").into_inner();
        for state in page.file.expect("a file").entries {
            let detail = state.entry.expect("an entry").detail;
            let Some(v1::entry::Detail::NoteDetail(note)) = detail else {
                panic!("only notes were filed");
            };
            found.push(note.text);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

/// Applies the stream from its first message with nothing but the `ledger` crate.
async fn replay(cluster: &Cluster, head: &v1::Head) -> State {
    let client = async_nats::connect(cluster.nats.url()).await.expect("connected");
    let stream = async_nats::jetstream::new(client)
        .get_stream("CASELEDGER_RECORDS")
        .await
        .expect("the stream");
    let genesis = Hash(head.genesis.clone().try_into().expect("32 bytes"));
    let mut state = State::new(LedgerId::RECORDS, genesis);
    let mut memory = Memory::default();
    for sequence in 1..=head.sequence {
        let message = stream.get_raw_message(sequence).await.expect("a message").payload;
        let applied = state.apply(&memory, sequence, &message).expect("applied");
        memory.add(&applied);
    }
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn invariant_3_acknowledged_means_durable_through_fifty_kills() {
    let seed = u64::from(std::process::id());
    println!("seed {seed}");
    let mut random = Random(seed);
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let registrar = cluster.client(0, "registrar").unwrap();
    let mut patients = Vec::new();
    for number in 0..WORKERS / 2 {
        let registered = registrar.register(&format!("MRN-{number}"), "Ames").await.unwrap();
        cluster
            .client(1, "nurse")
            .unwrap()
            .read_file(&registered.patient_id, Some(registered.position))
            .await
            .unwrap();
        patients.push(registered.patient_id);
    }
    let log = Arc::new(Log::default());
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let client = cluster.client(worker % 2, "nurse").unwrap();
        let patient = patients.get(worker / 2).unwrap().clone();
        workers.spawn(work(client, patient, Arc::clone(&log)));
    }
    for round in 0..ROUNDS {
        let due = log.acknowledged.load(Ordering::SeqCst) + 1 + random.below(40);
        eventually(Duration::from_secs(60), "the load goes on", async || {
            anyhow::ensure!(log.acknowledged.load(Ordering::SeqCst) >= due, "too few yet");
            Ok(())
        })
        .await
        .unwrap_or_else(|error| panic!("round {round}, seed {seed}: {error:#}"));
        let killed = kill_something(&mut cluster, &mut random).await;
        println!("round {round}: killed {killed}");
        for node in &cluster.nodes {
            node.serving()
                .await
                .unwrap_or_else(|error| panic!("round {round}, seed {seed}: {error:#}"));
        }
    }
    log.stop.store(true, Ordering::SeqCst);
    while workers.join_next().await.is_some() {}
    check(&cluster, &log).await;
    let heads = cluster.agreed().await.expect("agreed");
    let head = heads.first().expect("records");
    let replayed = replay(&cluster, head).await;
    assert_eq!(replayed.size(), head.size);
    assert_eq!(replayed.root().0.as_slice(), head.root, "the roots equal a replay from the stream");
    assert_eq!(replayed.stream_hash.0.as_slice(), head.stream_hash);
}
