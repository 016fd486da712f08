//! What disks do: one flipped bit in a node's files or the broker's, and a spool that is gone.

use std::path::{Path, PathBuf};

use api::v1;
use testkit::client::{Client, purpose};
use testkit::cluster::{Cluster, Node};
use testkit::wait::eventually;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::emergency::{break_glass, entry_of, file_of};
use crate::incidents::{accesses_of, get, incident, open};
use crate::tools::{
    PATIENCE, RECORDS, alarm, copy, filed_since, holds, jetstream, many_notes, messages,
    records_are, some_notes,
};

/// The files of a node's database with this ending.
fn files(node: &Node, database: &str, ending: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(node.data().join(database)).expect("the database");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths.filter(|path| path.extension().is_some_and(|found| found == ending)).collect()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).expect("readable");
    bytes[at] ^= 1;
    std::fs::write(file, bytes).expect("written");
}

/// Flips a bit in the middle of the newest log of this database of a node that does not run.
fn flip_log(node: &Node, database: &str) {
    let logs = files(node, database, "log");
    let log = logs.iter().max_by_key(|log| log.metadata().unwrap().len()).expect("a log");
    flip(log, usize::try_from(log.metadata().unwrap().len() / 2).unwrap());
}

#[tokio::test]
async fn a_database_with_a_flipped_bit_in_its_log_is_made_anew_from_the_stream() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 20).await;
    cluster.agreed().await.expect("agreed");
    cluster.node_mut(1).kill().expect("killed");
    flip_log(cluster.node(1), "ledger");
    some_notes(&manager, &patient, 1).await;

    cluster.node_mut(1).spawn().expect("started");
    cluster.node(1).serving().await.expect("serving");
    let told = alarm(&cluster.client(1, "hospital-it").unwrap(), "DATABASE_SET_ASIDE").await;
    let kept = cluster.node(1).data().join("ledger.damaged-1");
    assert!(told.text.contains(&*kept.to_string_lossy()), "it names the place: {told:?}");
    assert!(kept.join("CURRENT").exists(), "nothing is deleted");
    cluster.agreed().await.expect("the same roots");
    let theirs = cluster.client(1, "case-manager").unwrap();
    let file = theirs.read_file(&patient, None).await.expect("read").file.unwrap();
    assert_eq!(file.entries.len(), 21);
    some_notes(&theirs, &patient, 1).await;
}

#[tokio::test]
async fn a_database_that_was_made_anew_is_not_set_aside_again() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 20).await;
    // What is in the log goes into tables at the next start.
    for _ in 0..2 {
        cluster.node_mut(0).stop().await.expect("stopped");
        cluster.node_mut(0).spawn().expect("started");
        cluster.node(0).serving().await.expect("serving");
    }
    cluster.node_mut(0).stop().await.expect("stopped");
    for table in files(cluster.node(0), "ledger", "sst") {
        flip(&table, 40);
    }
    for start in ["made anew", "as it is"] {
        cluster.node_mut(0).spawn().expect("started");
        cluster.node(0).serving().await.expect(start);
        let data = cluster.node(0).data();
        assert!(data.join("ledger.damaged-1").exists(), "{start}");
        assert!(!data.join("ledger.damaged-2").exists(), "{start}");
        let file = manager.read_file(&patient, None).await.expect("read").file.unwrap();
        assert_eq!(file.entries.len(), 20);
        cluster.node_mut(0).stop().await.expect("stopped");
    }
}

#[tokio::test]
async fn a_patient_whose_key_this_node_lacks_is_not_taken_for_nobody() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    cluster.node_mut(0).stop().await.expect("stopped");
    let data = cluster.node(0).data();
    let (keys, older) = (data.join("keys"), data.join("older"));
    copy(&keys, &older);
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    // One more than there are spare keys, which are those of the older copy and perhaps more: whichever are
    // given out, the copy lacks one.
    let operator = cluster.client(0, "hospital-it").unwrap();
    let spare = operator.status().await.expect("status").spare_keys;
    let mut patients = Vec::new();
    let curious = cluster.client_of(0, "nurse", "curious").unwrap();
    for number in 0..=spare {
        let number = format!("MRN-{number}");
        let registered = eventually(PATIENCE, "there are keys", async || {
            Ok(manager.register(&number, "Ames").await?.patient_id)
        });
        let patient = registered.await.expect("registered");
        curious.read_file(&patient, None).await.expect("read");
        patients.push(patient);
    }
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let opened = accesses_of(&officer, "curious").await;
    let opened: Vec<_> = opened.iter().map(|access| access.position).collect();
    let affects = open(&officer, incident(&opened)).await.expect("opened").incident_id;
    let state = get(&officer, &affects).await.expect("shown").incident.expect("an incident");
    assert_eq!(usize::try_from(state.affected_count).unwrap(), patients.len());
    cluster.node_mut(0).stop().await.expect("stopped");
    std::fs::remove_dir_all(&keys).expect("removed");
    std::fs::rename(&older, &keys).expect("put back");
    cluster.nats.kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    let read = eventually(PATIENCE, "it answers without a broker", async || {
        for patient in &patients {
            if let Err(status) = manager.read_file(patient, None).await {
                anyhow::ensure!(status.message().contains("key"), "{status}");
                return Ok((patient, status));
            }
        }
        anyhow::bail!("all can be opened")
    });
    let (patient, read) = read.await.expect("an answer");
    assert_eq!(read.code(), Code::Unavailable, "and not NOT_FOUND");
    let nurse = cluster.client(0, "nurse").unwrap();
    for scope in [file_of(patient), entry_of(patient, &"5f".repeat(16))] {
        let opened = break_glass(&nurse, scope, None).await;
        assert_eq!(opened.expect_err("nor in an emergency").code(), Code::Unavailable);
    }
    // Nor is one fewer affected, while the trail itself is still listed.
    let affected = get(&officer, &affects).await.expect_err("not all are known");
    assert_eq!(affected.code(), Code::Unavailable);
    assert!(affected.message().contains("keys"), "{affected}");
    assert!(!accesses_of(&officer, "curious").await.is_empty());
    alarm(&cluster.client(0, "hospital-it").unwrap(), "KEYS_MISSING").await;

    // That there is such a patient is told by that answer, too, and so it is on record.
    cluster.nats.restart().await.expect("back");
    cluster.node(0).serving().await.expect("serving");
    cluster.agreed().await.expect("what waited is on the trail");
    let told = accesses_of(&officer, "nurse-1").await;
    let refused = told.iter().filter(|access| access.outcome == "refused");
    assert_eq!(refused.filter(|one| one.operation.ends_with("/BreakGlass")).count(), 2);
}

#[tokio::test]
async fn keys_put_back_from_an_older_copy_are_given_to_nobody_twice() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    // All that are made ahead: whichever are given out first are in the copy.
    let made = eventually(PATIENCE, "there are keys", async || {
        anyhow::ensure!(operator.status().await?.spare_keys >= 1_024);
        Ok(())
    });
    made.await.expect("made");
    cluster.node_mut(0).stop().await.expect("stopped");
    let data = cluster.node(0).data();
    let (keys, older) = (data.join("keys"), data.join("older"));
    copy(&keys, &older);
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let first = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    let before = manager.read_file(&first, None).await.expect("read");
    cluster.node_mut(0).stop().await.expect("stopped");
    std::fs::remove_dir_all(&keys).expect("removed");
    std::fs::rename(&older, &keys).expect("put back");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");

    let second = manager.register("MRN-2", "Bell").await.expect("registered").patient_id;
    assert_ne!(first, second);
    let after = manager.read_file(&first, None).await.expect("read");
    assert_eq!(after.file, before.file);
}

#[tokio::test]
async fn a_damaged_database_without_a_stream_is_made_anew_from_the_other_node() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 5).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    cluster.node_mut(1).kill().expect("killed");
    cluster.node_mut(0).kill().expect("killed");
    flip_log(cluster.node(1), "ledger");
    jetstream(&cluster).await.delete_stream(RECORDS).await.expect("deleted");

    // Alone, the damaged one has nothing to restore the stream from, and makes no new one.
    cluster.node_mut(1).spawn().expect("started");
    let operator = cluster.client(1, "hospital-it").unwrap();
    let waits = eventually(PATIENCE, "it waits for the other", async || {
        let ledgers = operator.status().await?.ledgers;
        let waits = ledgers.iter().any(|ledger| ledger.reason.contains("2 are needed"));
        anyhow::ensure!(waits, "{ledgers:?}");
        Ok(())
    });
    waits.await.expect("it says what it waits for");
    let told = alarm(&operator, "NO_MAJORITY").await.text;
    assert!(told.contains("too far behind to answer"), "it reads nothing: {told}");
    cluster.node_mut(0).spawn().expect("started");
    for node in &cluster.nodes {
        node.serving().await.expect("serving");
    }
    let alarms = operator.status().await.expect("status").alarms;
    assert!(alarms.iter().all(|alarm| alarm.code != "NO_MAJORITY"), "it is over: {alarms:?}");
    holds(&cluster, &held).await;
    assert_eq!(cluster.agreed().await.expect("agreed"), before);
    let theirs = cluster.client(1, "case-manager").unwrap();
    let file = theirs.read_file(&patient, None).await.expect("read").file.unwrap();
    assert_eq!(file.entries.len(), 5);
}

#[tokio::test]
async fn a_damaged_key_database_is_made_anew_from_the_bucket() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 2).await;
    cluster.node_mut(0).kill().expect("killed");
    flip_log(cluster.node(0), "keys");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    alarm(&cluster.client(0, "hospital-it").unwrap(), "KEYS_SET_ASIDE").await;
    let file = manager.read_file(&patient, None).await.expect("read").file.unwrap();
    assert_eq!(file.entries.len(), 2);
    manager.register("MRN-2", "Bell").await.expect("there are keys for new patients");
}

async fn history(client: &Client, patient: &str) -> Result<usize, tonic::Status> {
    let request = v1::GetPatientHistoryRequest {
        patient_id: patient.to_owned(),
        purpose: purpose("TREAT"),
        page_size: 50,
        ..v1::GetPatientHistoryRequest::default()
    };
    Ok(client.file().get_patient_history(request).await?.into_inner().events.len())
}

#[tokio::test]
async fn a_flipped_bit_in_a_table_is_data_loss_for_what_it_hit_and_for_nothing_else() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let hit = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &hit, 1).await;
    let block = filed_since(&cluster, 0).await.pop().expect("the note's block");
    let other = manager.register("MRN-2", "Bell").await.unwrap().patient_id;
    // More than stands between two commitments and well more than 16 messages, so that what is damaged
    // is not among what every start reads.
    many_notes(&manager, &other, 4_200).await;
    let untouched = manager.register("MRN-3", "Cole").await.unwrap().patient_id;
    // What is in the log goes into tables at the next start.
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let file = manager.read_file(&hit, None).await.expect("read").file;
    cluster.node_mut(0).stop().await.expect("stopped");
    // The end of the body, before the signature.
    let sealed = &block[block.len() - 200..][..32];
    let place = files(cluster.node(0), "ledger", "sst").into_iter().find_map(|table| {
        let bytes = std::fs::read(&table).expect("readable");
        let at = bytes.windows(sealed.len()).position(|window| window == sealed)?;
        Some((table, at))
    });
    let (table, at) = place.expect("the record is in a table");
    flip(&table, at);

    cluster.nats.kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    let refused = history(&manager, &hit).await.expect_err("nothing is made up");
    let info = refused.get_details_error_info().expect("error info");
    assert_eq!((refused.code(), info.reason.as_str()), (Code::DataLoss, "DAMAGED"));
    assert!(info.metadata["damaged"].contains("records"), "the table is named: {info:?}");
    alarm(&cluster.client(0, "hospital-it").unwrap(), "DATABASE_DAMAGED").await;
    cluster.nats.restart().await.expect("back");
    cluster.node(0).serving().await.expect("what is intact is served");
    assert_eq!(manager.read_file(&hit, None).await.expect("its view is intact").file, file);
    let position = some_notes(&manager, &untouched, 1).await;
    assert_eq!(history(&manager, &untouched).await.expect("another patient's history"), 2);
    for patient in [&other, &untouched] {
        manager.read_file(patient, Some(position)).await.expect("and files");
    }

    // The next start makes it anew.
    let before = cluster.agreed().await.expect("a head");
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    assert_eq!(cluster.agreed().await.expect("a head")[0], before[0]);
    assert_eq!(history(&manager, &hit).await.expect("whole again"), 2);
}

#[tokio::test]
async fn a_flipped_bit_in_the_stream_is_mended_from_the_nodes_blocks() {
    for from_end in [40, 3_000] {
        let mut cluster = Cluster::start(2).await.expect("two nodes");
        let manager = cluster.client(0, "case-manager").unwrap();
        let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
        some_notes(&manager, &patient, 10).await;
        let before = cluster.agreed().await.expect("agreed");
        let held = messages(&cluster).await;
        cluster.nats.kill().expect("killed");
        cluster.nats.flip_bit(RECORDS, from_end).expect("flipped");
        cluster.nats.restart().await.expect("started");
        holds(&cluster, &held).await;
        for node in &cluster.nodes {
            node.serving().await.expect("serving");
        }
        let after = cluster.agreed().await.expect("agreed");
        assert_eq!(after[0], before[0], "the same sequence, hash and root");
        let position = some_notes(&manager, &patient, 1).await;
        let file = manager.read_file(&patient, Some(position)).await.unwrap().file.unwrap();
        assert_eq!(file.entries.len(), 11);
    }
}

#[tokio::test]
async fn invariant_10_a_dropped_spool_is_noticed() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    manager.read_file(&patient, None).await.expect("read");
    cluster.agreed().await.expect("a head");
    cluster.nats.kill().expect("killed");
    records_are(&operator, v1::LedgerCondition::ReadOnly).await;
    for _ in 0..3 {
        manager.read_file(&patient, None).await.expect("reads go on");
    }
    cluster.node_mut(0).stop().await.expect("stopped");
    std::fs::remove_dir_all(cluster.node(0).data().join("spool")).expect("dropped");
    cluster.nats.restart().await.expect("started");
    cluster.node_mut(0).spawn().expect("started");
    let raised = alarm(&operator, "SPOOL_DROPPED").await;
    assert!(raised.text.starts_with("3 access record(s)"), "{raised:?}");
    // The gap stays known; what is read from now on is recorded again.
    cluster.node(0).serving().await.expect("serving");
    let before = cluster.agreed().await.expect("a head")[1].size;
    manager.read_file(&patient, None).await.expect("read");
    assert_eq!(cluster.agreed().await.expect("a head")[1].size, before + 1);
}

#[tokio::test]
async fn invariant_10_what_is_spooled_outlives_the_database() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    manager.read_file(&patient, None).await.expect("read");
    let before = cluster.agreed().await.expect("a head")[1].size;
    cluster.nats.kill().expect("killed");
    records_are(&operator, v1::LedgerCondition::ReadOnly).await;
    for _ in 0..3 {
        manager.read_file(&patient, None).await.expect("reads go on");
    }
    cluster.node_mut(0).kill().expect("killed");
    std::fs::remove_dir_all(cluster.node(0).data().join("ledger")).expect("lost");

    // Until it is back where it was it answers nothing: it does not know what it does not know.
    cluster.node_mut(0).spawn().expect("started");
    let refused = eventually(PATIENCE, "it refuses to answer", async || {
        match manager.read_file(&patient, None).await {
            Err(status) if status.message().contains("catching up") => Ok(()),
            other => anyhow::bail!("{other:?}"),
        }
    });
    refused.await.expect("refused");
    cluster.nats.restart().await.expect("started");
    cluster.node(0).serving().await.expect("serving");
    let arrived = eventually(PATIENCE, "the spooled records arrive", async || {
        let size = cluster.agreed().await?[1].size;
        anyhow::ensure!(size == before + 3, "{size} after {before}");
        Ok(())
    });
    arrived.await.expect("none is lost");
    let alarms = operator.status().await.expect("status").alarms;
    assert!(alarms.iter().all(|alarm| alarm.code != "SPOOL_DROPPED"), "{alarms:?}");
    manager.read_file(&patient, None).await.expect("read");
    assert_eq!(cluster.agreed().await.expect("a head")[1].size, before + 4);
}

#[tokio::test]
async fn a_node_put_back_to_an_older_copy_catches_up_and_its_trail_goes_on() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(1, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.node_mut(1).stop().await.expect("stopped");
    let (data, older) = (cluster.node(1).data(), cluster.node(1).state.join("older"));
    copy(&data, &older);
    cluster.node_mut(1).spawn().expect("started");
    cluster.node(1).serving().await.expect("serving");
    some_notes(&manager, &patient, 5).await;
    for _ in 0..3 {
        manager.read_file(&patient, None).await.expect("read");
    }
    let before = cluster.agreed().await.expect("agreed");
    cluster.node_mut(1).stop().await.expect("stopped");
    std::fs::rename(&data, cluster.node(1).state.join("newer")).expect("set aside");
    copy(&older, &data);

    cluster.node_mut(1).spawn().expect("started");
    cluster.node(1).serving().await.expect("serving");
    assert_eq!(cluster.agreed().await.expect("agreed"), before, "it comes to where it was");
    let file = manager.read_file(&patient, None).await.expect("read").file.unwrap();
    assert_eq!(file.entries.len(), 5);
    let recorded = testkit::wait::eventually(PATIENCE, "the reading is on the trail", async || {
        let size = cluster.agreed().await?[1].size;
        anyhow::ensure!(size == before[1].size + 1, "{size} after {}", before[1].size);
        Ok(())
    });
    recorded.await.expect("what it shows is recorded again");
}

/// Damage that is met while the node runs is put down in this file (`vault::damage_met`).
#[tokio::test]
async fn a_key_database_in_which_damage_was_met_is_made_anew_at_the_next_start() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.node_mut(0).stop().await.expect("stopped");
    let data = cluster.node(0).data();
    let met = "the key database is damaged in keys at 00";
    std::fs::write(data.join("keys.damage"), met).expect("written");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let told = alarm(&operator, "KEYS_SET_ASIDE").await;
    assert!(told.text.contains(met), "{told:?}");
    assert!(data.join("keys.damaged-1").join("CURRENT").exists(), "nothing is deleted");
    manager.read_file(&patient, None).await.expect("its keys are there again");
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    assert!(!data.join("keys.damaged-2").exists(), "it was dealt with");
    // Damaged, and then taken away: what was met is not looked for in the one made anew.
    cluster.node_mut(0).stop().await.expect("stopped");
    std::fs::write(data.join("keys.damage"), met).expect("written");
    std::fs::remove_dir_all(data.join("keys")).expect("removed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let told = alarm(&operator, "KEYS_SET_ASIDE").await;
    assert!(told.text.contains("it is gone"), "{told:?}");
    assert!(!data.join("keys.damage").exists(), "nothing is left to be dealt with");
}

#[tokio::test]
async fn a_message_that_nobody_has_any_more_is_told_of_and_looked_for_in_peace() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 30).await;
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.nats.stop().expect("stopped");
    let block = cluster.nats.store_dir().join(format!("jetstream/$G/streams/{RECORDS}/msgs/1.blk"));
    flip(&block, usize::try_from(block.metadata().expect("a file").len() / 2).unwrap());
    std::fs::remove_dir_all(cluster.node(0).data().join("ledger")).expect("removed");
    cluster.nats.restart().await.expect("back");
    cluster.node_mut(0).spawn().expect("started");
    let told = alarm(&operator, "STREAM_GAP").await;
    assert!(told.text.contains("is missing") && told.text.contains("put back"), "{told:?}");
    let stream = jetstream(&cluster).await.get_stream(RECORDS).await.expect("the stream");
    let consumers = stream.get_info().await.expect("its state").state.consumer_count;
    assert!(consumers < 20, "{consumers} consumers");
    let status = records_are(&operator, v1::LedgerCondition::CatchingUp).await;
    assert!(status.reason.contains("is missing"), "it says why it does not get on: {status:?}");
}

#[tokio::test]
async fn a_node_without_peers_asks_its_operator_for_what_it_lost() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    manager.register("MRN-1", "Ames").await.unwrap();
    cluster.node_mut(0).stop().await.expect("stopped");
    jetstream(&cluster).await.delete_stream(RECORDS).await.expect("deleted");
    std::fs::remove_dir_all(cluster.node(0).data().join("ledger")).expect("removed");
    cluster.node_mut(0).spawn().expect("started");
    let told = alarm(&operator, "STREAM_GAP").await;
    assert!(told.text.contains("no peers") && told.text.contains("put back"), "{told:?}");
    let status = records_are(&operator, v1::LedgerCondition::CatchingUp).await;
    assert!(status.reason.contains("the stream is gone"), "{status:?}");
}
