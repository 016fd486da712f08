//! The stream is deleted, made anew, cut, written on by somebody: no wrong answer, no write lost.

use api::v1;
use testkit::client::{Client, request_id};
use testkit::cluster::Cluster;
use testkit::nats::{NatsServer, Settings};
use tonic::Code;

use crate::tools::{
    PATIENCE, RECORDS, SUBJECT, filed_since, holds, jetstream, messages, publish, reason,
    records_are, some_notes, with_notes,
};

async fn delete_stream(cluster: &Cluster) {
    jetstream(cluster).await.delete_stream(RECORDS).await.expect("deleted");
}

#[tokio::test]
async fn invariant_6_a_deleted_stream_is_restored_while_nodes_run() {
    let (cluster, _, patient) = with_notes(2, 10).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    delete_stream(&cluster).await;
    holds(&cluster, &held).await;
    for node in &cluster.nodes {
        node.serving().await.expect("serving again");
    }
    some_notes(&cluster.client(1, "case-manager").unwrap(), &patient, 1).await;
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0].genesis, before[0].genesis);
    assert_eq!(after[0].size, before[0].size + 1, "nothing lost, nothing twice");
}

#[tokio::test]
async fn invariant_6_a_node_at_an_empty_broker_of_another_makes_no_second_stream() {
    let (mut cluster, _, patient) = with_notes(2, 4).await;
    cluster.agreed().await.expect("agreed");
    let other = NatsServer::start().await.expect("another broker");
    cluster.node_mut(0).stop().await.expect("stopped");
    let config = cluster.node(0).state.join("config.toml");
    let theirs = std::fs::read_to_string(&config).expect("configuration");
    let elsewhere = theirs
        .replace(cluster.nats.url(), other.url())
        .replace(cluster.nats.monitor_url(), other.monitor_url());
    std::fs::write(&config, elsewhere).expect("written");
    cluster.node_mut(0).spawn().expect("started");

    let operator = cluster.client(0, "hospital-it").unwrap();
    let told = testkit::wait::eventually(PATIENCE, "it says what it waits for", async || {
        let status = records_are(&operator, v1::LedgerCondition::ReadOnly).await;
        anyhow::ensure!(status.reason.contains("does not grant"), "{}", status.reason);
        Ok(())
    });
    told.await.expect("the other serves the stream");
    let there = async_nats::connect(other.url()).await.expect("connected");
    let there = async_nats::jetstream::new(there).get_stream(RECORDS).await;
    assert!(there.is_err(), "there is one stream");
    some_notes(&cluster.client(1, "case-manager").unwrap(), &patient, 1).await;

    std::fs::write(&config, theirs).expect("written");
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    cluster.agreed().await.expect("one history");
}

#[tokio::test]
async fn invariant_5_a_changed_past_is_damage_and_is_mended() {
    let (mut cluster, manager, patient) = with_notes(2, 10).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    for index in 0..2 {
        cluster.node_mut(index).kill().expect("killed");
    }
    // Somebody with access to the broker makes the stream anew and writes on: sequences are reused.
    delete_stream(&cluster).await;
    let anew = async_nats::jetstream::stream::Config {
        name: RECORDS.to_owned(),
        subjects: vec![SUBJECT.to_owned()],
        ..Default::default()
    };
    jetstream(&cluster).await.create_stream(anew).await.expect("created");
    for _ in 0..held.len() + 5 {
        publish(&cluster, b"foreign".to_vec()).await;
    }
    for index in 0..2 {
        cluster.node_mut(index).spawn().expect("started");
    }
    for node in &cluster.nodes {
        node.serving().await.expect("serving again");
    }
    holds(&cluster, &held).await;
    some_notes(&manager, &patient, 1).await;
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0].size, before[0].size + 1);
    assert!(raised_somewhere(&cluster, "FOREIGN_MESSAGES_KEPT").await, "an operator is told");
}

#[tokio::test]
async fn a_block_of_a_stranger_changes_nothing_and_alarms() {
    let (cluster, manager, patient) = with_notes(1, 0).await;
    let before = cluster.agreed().await.expect("agreed");
    let blocks = filed_since(&cluster, 0).await;
    let last = blocks.last().expect("a block").clone();
    let mut truncated = last.clone();
    truncated.truncate(last.len() - 1);
    let mut unsigned = last.clone();
    let at = unsigned.len() - 1;
    unsigned[at] ^= 1;
    for message in [last, truncated, unsigned, b"junk".to_vec(), vec![0; 513 * 1024]] {
        publish(&cluster, message).await;
    }
    some_notes(&manager, &patient, 1).await;
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0].size, before[0].size + 1, "only the note was filed");
    assert_eq!(filed_since(&cluster, before[0].sequence).await.len(), 6, "every message is kept");
    let status = cluster.client(0, "hospital-it").unwrap().status().await.unwrap();
    assert!(status.alarms.iter().any(|alarm| alarm.code == "BLOCK_REFUSED"), "{status:?}");
    assert!(status.ledgers.iter().all(|l| l.condition() == v1::LedgerCondition::Serving));
}

/// Kills the broker, cuts the end of what it stored, starts it again and has somebody write on:
/// sequences are given out a second time.
async fn cut_and_written_on(cluster: &mut Cluster, held: &[Vec<u8>], foreign_beyond: u64) {
    cluster.nats.kill().expect("killed");
    let cut: usize = held.iter().rev().take(3).map(Vec::len).sum();
    cluster.nats.truncate_tail(RECORDS, cut as u64).expect("cut");
    cluster.nats.restart().await.expect("started");
    let mut stream = jetstream(cluster).await.get_stream(RECORDS).await.expect("the stream");
    let last = stream.info().await.expect("its state").state.last_sequence;
    let before = held.len() as u64;
    assert!(last + 2 <= before && last > 1, "something is lost, not all: {last} of {before}");
    while publish(cluster, b"foreign".to_vec()).await < before + foreign_beyond {}
}

/// Files notes through a node that may be read only for a while: each attempt is accepted or refused
/// as unavailable, and each note is filed once.
async fn insist(client: &Client, patient: &str, count: usize) -> u64 {
    let mut position = 0;
    for note in 0..count {
        let id = request_id();
        let filed = testkit::wait::eventually(PATIENCE, "the note is filed", async || match client
            .file_note(patient, &format!("late {note}"), &id, None)
            .await
        {
            Ok(filed) => Ok(filed.position),
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                Err(status.into())
            }
        });
        position = filed.await.expect("filed in the end");
    }
    position
}

/// Every node serves, has what it had, and shows the same file with so many entries.
async fn nothing_was_lost(
    cluster: &Cluster,
    before: &[v1::Head],
    patient: &str,
    position: u64,
    entries: usize,
) {
    let mut files = Vec::new();
    for index in 0..cluster.nodes.len() {
        cluster.node(index).serving().await.expect("serving again");
        let client = cluster.client(index, "case-manager").unwrap();
        let file = client.read_file(patient, Some(position)).await.expect("read").file.unwrap();
        assert_eq!(file.entries.len(), entries, "each note once, on node {index}");
        files.push(file);
    }
    assert!(files.iter().all(|file| *file == files[0]), "all show the same file");
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0].genesis, before[0].genesis);
    assert_eq!(after[0].size, position, "the last note is the last record");
}

/// Which of these alarms some node has raised.
async fn raised_somewhere(cluster: &Cluster, code: &str) -> bool {
    let mut raised = false;
    for index in 0..cluster.nodes.len() {
        let status = cluster.client(index, "hospital-it").unwrap().status().await.unwrap();
        raised |= status.alarms.iter().any(|alarm| alarm.code == code && alarm.count > 0);
    }
    raised
}

#[tokio::test]
async fn invariant_5_a_cut_stream_written_on_is_noticed_under_running_nodes() {
    let (mut cluster, _, patient) = with_notes(2, 10).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    // The nodes stand still meanwhile: to them it is one lost connection, mended at once, and a
    // stream that goes on without a gap where they were.
    cluster.nodes.iter().for_each(|node| node.pause().expect("paused"));
    cut_and_written_on(&mut cluster, &held, 20).await;
    cluster.nodes.iter().for_each(|node| node.resume().expect("resumed"));
    let late = cluster.client(1, "case-manager").unwrap();
    let position = insist(&late, &patient, 3).await;
    nothing_was_lost(&cluster, &before, &patient, position, 13).await;
    let now = messages(&cluster).await;
    assert_eq!(now[..held.len()], held, "bit for bit, under the same sequences");
    assert!(!now.iter().any(|message| message == b"foreign"), "nothing foreign is in the ledger");
    assert!(raised_somewhere(&cluster, "FOREIGN_MESSAGES_KEPT").await, "an operator is told");
}

#[tokio::test]
async fn invariant_5_a_cut_stream_written_on_before_a_start_is_mended() {
    let (mut cluster, manager, patient) = with_notes(2, 10).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    for node in &mut cluster.nodes {
        node.kill().expect("killed");
    }
    cut_and_written_on(&mut cluster, &held, 20).await;
    for node in &mut cluster.nodes {
        node.spawn().expect("started");
    }
    holds(&cluster, &held).await;
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0], before[0], "the same sequence, hash and root");
    let position = insist(&manager, &patient, 1).await;
    nothing_was_lost(&cluster, &before, &patient, position, 11).await;
    assert!(raised_somewhere(&cluster, "FOREIGN_MESSAGES_KEPT").await, "an operator is told");
}

#[tokio::test]
async fn invariant_6_a_cut_end_is_restored_by_two_nodes_at_once() {
    let (mut cluster, manager, patient) = with_notes(2, 30).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    cluster.nodes.iter().for_each(|node| node.pause().expect("paused"));
    cluster.nats.kill().expect("killed");
    let cut: usize = held.iter().rev().take(25).map(Vec::len).sum();
    cluster.nats.truncate_tail(RECORDS, cut as u64).expect("cut");
    cluster.nats.restart().await.expect("started");
    cluster.nodes.iter().for_each(|node| node.resume().expect("resumed"));
    holds(&cluster, &held).await;
    let position = insist(&manager, &patient, 1).await;
    nothing_was_lost(&cluster, &before, &patient, position, 31).await;
    let filed = filed_since(&cluster, held.len() as u64).await;
    assert_eq!(filed.len(), 1, "nothing was stored twice");
    assert!(raised_somewhere(&cluster, "STREAM_RESTORED").await, "an operator is told");
}

#[tokio::test]
async fn invariant_6_writes_wait_for_a_majority_and_who_had_applied_less_comes_along() {
    let (mut cluster, manager, patient) = with_notes(2, 4).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    cluster.agreed().await.expect("agreed");
    cluster.node_mut(1).kill().expect("killed");
    some_notes(&manager, &patient, 6).await;
    let before = cluster.agreed().await.expect("the head");
    let held = messages(&cluster).await;
    cut_and_written_on(&mut cluster, &held, 0).await;

    // One node of two cannot know what the other has: it reads, and waits.
    let told = testkit::wait::eventually(PATIENCE, "it says what it waits for", async || {
        let status = records_are(&operator, v1::LedgerCondition::ReadOnly).await;
        anyhow::ensure!(status.reason.contains("1 of 2 nodes"), "{}", status.reason);
        Ok(())
    });
    told.await.expect("a clear reason");
    let refused = manager.file_note(&patient, "not now", &request_id(), None).await;
    let refused = refused.expect_err("no writes");
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::Unavailable, "NOT_FILED"));
    let file = manager.read_file(&patient, None).await.expect("reads go on").file.unwrap();
    assert_eq!(file.entries.len(), 10, "and show what was filed");

    cluster.node_mut(1).spawn().expect("started");
    holds(&cluster, &held).await;
    for index in 0..2 {
        let client = cluster.client(index, "auditor").unwrap();
        let caught_up = testkit::wait::eventually(PATIENCE, "the same head", async || {
            let head = client.heads().await?.swap_remove(0);
            anyhow::ensure!(head == before[0], "{head:?}");
            Ok(())
        });
        caught_up.await.expect("the same sequence, hash and root");
    }
    let position = insist(&manager, &patient, 1).await;
    nothing_was_lost(&cluster, &before, &patient, position, 11).await;
    assert!(raised_somewhere(&cluster, "FOREIGN_MESSAGES_KEPT").await, "an operator is told");
}

#[tokio::test]
async fn a_stream_that_the_broker_will_not_make_is_waited_for_with_its_words() {
    let (mut cluster, _, _) = with_notes(1, 1).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    cluster.node_mut(0).stop().await.expect("stopped");
    delete_stream(&cluster).await;
    let config = cluster.node(0).state.join("config.toml");
    let one = std::fs::read_to_string(&config).expect("configuration");
    let three = one.replace("replicas = 1", "replicas = 3");
    assert_ne!(one, three);
    std::fs::write(&config, three).expect("written");
    cluster.node_mut(0).spawn().expect("started");
    let told = testkit::wait::eventually(PATIENCE, "it says what it waits for", async || {
        let status = records_are(&operator, v1::LedgerCondition::ReadOnly).await;
        anyhow::ensure!(status.reason.contains("refuses to create"), "{}", status.reason);
        Ok(())
    });
    told.await.expect("one server holds no three copies");
}

#[tokio::test]
async fn nothing_is_called_restored_before_it_is() {
    let (mut cluster, _, _) = with_notes(1, 2).await;
    let operator = cluster.client(0, "hospital-it").unwrap();
    cluster.agreed().await.expect("a head");
    let held = messages(&cluster).await;
    cluster.node(0).pause().expect("paused");
    delete_stream(&cluster).await;
    cluster.nats.stop().expect("stopped");
    let full = Settings { max_file_store: "1KB".to_owned(), ..Settings::default() };
    cluster.nats.restart_with(full).await.expect("back");
    cluster.node(0).resume().expect("resumed");
    let told = testkit::wait::eventually(PATIENCE, "it says what it waits for", async || {
        let status = records_are(&operator, v1::LedgerCondition::ReadOnly).await;
        anyhow::ensure!(status.reason.contains("cannot be restored"), "{}", status.reason);
        Ok(())
    });
    told.await.expect("the broker takes nothing");
    assert!(!raised_somewhere(&cluster, "STREAM_RESTORED").await);

    cluster.nats.stop().expect("stopped");
    cluster.nats.restart_with(Settings::default()).await.expect("there is room");
    holds(&cluster, &held).await;
    cluster.node(0).serving().await.expect("serving");
    assert!(raised_somewhere(&cluster, "STREAM_RESTORED").await, "an operator is told");
}
