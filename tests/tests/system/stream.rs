//! The stream is deleted, made anew, cut, written on by somebody: no wrong answer, no write lost.

use api::v1;
use testkit::client::{Client, request_id};
use testkit::cluster::Cluster;

const RECORDS: &str = "CASELEDGER_RECORDS";

async fn some_notes(client: &Client, patient: &str, count: usize) -> u64 {
    let mut position = 0;
    for note in 0..count {
        let filed = client.file_note(patient, &format!("note {note}"), &request_id(), None).await;
        position = filed.expect("filed").position;
    }
    position
}

/// What the stream holds, message by message.
async fn messages(cluster: &Cluster) -> Vec<Vec<u8>> {
    let client = async_nats::connect(cluster.nats.url()).await.expect("connected");
    let stream = async_nats::jetstream::new(client).get_stream(RECORDS).await.expect("the stream");
    let last = stream.cached_info().state.last_sequence;
    let mut found = Vec::new();
    for sequence in 1..=last {
        found.push(stream.get_raw_message(sequence).await.expect("a message").payload.to_vec());
    }
    found
}

async fn delete_stream(cluster: &Cluster) {
    let client = async_nats::connect(cluster.nats.url()).await.expect("connected");
    async_nats::jetstream::new(client).delete_stream(RECORDS).await.expect("deleted");
}

#[tokio::test]
async fn invariant_6_a_deleted_stream_is_restored_while_nodes_run() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 10).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    delete_stream(&cluster).await;
    testkit::wait::eventually(
        std::time::Duration::from_secs(60),
        "the stream is back",
        async || {
            let client = async_nats::connect(cluster.nats.url()).await?;
            let mut stream = async_nats::jetstream::new(client).get_stream(RECORDS).await?;
            let last = stream.info().await?.state.last_sequence;
            anyhow::ensure!(last == held.len() as u64, "{last} of {}", held.len());
            Ok(())
        },
    )
    .await
    .expect("restored");
    assert_eq!(messages(&cluster).await, held, "bit for bit, with the same sequences");
    for node in &cluster.nodes {
        node.serving().await.expect("serving again");
    }
    some_notes(&cluster.client(1, "case-manager").unwrap(), &patient, 1).await;
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0].genesis, before[0].genesis);
    assert_eq!(after[0].size, before[0].size + 1, "nothing lost, nothing twice");
}

#[tokio::test]
async fn invariant_5_a_changed_past_is_damage_and_is_mended() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 10).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    for index in 0..2 {
        cluster.node_mut(index).kill().expect("killed");
    }
    // Somebody with access to the broker makes the stream anew and writes on: sequences are reused.
    delete_stream(&cluster).await;
    let client = async_nats::connect(cluster.nats.url()).await.expect("connected");
    let context = async_nats::jetstream::new(client);
    context
        .create_stream(async_nats::jetstream::stream::Config {
            name: RECORDS.to_owned(),
            subjects: vec!["caseledger.records".to_owned()],
            ..Default::default()
        })
        .await
        .expect("created");
    for _ in 0..held.len() + 5 {
        context
            .publish("caseledger.records", "foreign".into())
            .await
            .unwrap()
            .await
            .expect("stored");
    }
    for index in 0..2 {
        cluster.node_mut(index).spawn().expect("started");
    }
    for node in &cluster.nodes {
        node.serving().await.expect("serving again");
    }
    assert_eq!(messages(&cluster).await, held, "rebuilt from the nodes' blocks");
    some_notes(&manager, &patient, 1).await;
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0].size, before[0].size + 1);
    let alarms = cluster.client(0, "hospital-it").unwrap().status().await.unwrap().alarms;
    let alarms = [alarms, cluster.client(1, "hospital-it").unwrap().status().await.unwrap().alarms];
    let kept = alarms.iter().flatten().any(|alarm| alarm.code == "FOREIGN_MESSAGES_KEPT");
    assert!(kept, "the foreign messages are kept aside, and an alarm says so: {alarms:?}");
}

#[tokio::test]
async fn a_block_of_a_stranger_changes_nothing_and_alarms() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let before = cluster.agreed().await.expect("agreed");
    let blocks = messages(&cluster).await;
    let last = blocks.last().expect("a block").clone();
    let mut truncated = last.clone();
    truncated.truncate(last.len() - 1);
    let mut unsigned = last.clone();
    let at = unsigned.len() - 1;
    unsigned[at] ^= 1;
    let client = async_nats::connect(cluster.nats.url()).await.expect("connected");
    let context = async_nats::jetstream::new(client);
    for message in [last, truncated, unsigned, b"junk".to_vec(), vec![0; 513 * 1024]] {
        context.publish("caseledger.records", message.into()).await.unwrap().await.expect("stored");
    }
    some_notes(&manager, &patient, 1).await;
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0].size, before[0].size + 1, "only the note was filed");
    assert_eq!(after[0].sequence, before[0].sequence + 6, "every message is kept");
    let status = cluster.client(0, "hospital-it").unwrap().status().await.unwrap();
    assert!(status.alarms.iter().any(|alarm| alarm.code == "BLOCK_REFUSED"), "{status:?}");
    assert!(status.ledgers.iter().all(|l| l.condition() == v1::LedgerCondition::Serving));
}
