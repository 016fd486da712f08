//! The bucket of wrapped keys is deleted, or an entry of it deleted or overwritten: the nodes put back
//! what they have.

use std::collections::BTreeMap;

use api::v1;
use async_nats::jetstream;
use ledger::{LedgerId, SubjectId};
use rocksdb::{DB, Options};
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::{Cluster, Node};
use testkit::wait::eventually;
use tonic::Code;

use crate::relationships::read;
use crate::tools::{self, PATIENCE, alarm, databases, some_notes};

const BUCKET: &str = "CASELEDGER_KEYS";
const STREAM: &str = "KV_CASELEDGER_KEYS";

/// What the bucket holds, by name.
async fn entries(context: &jetstream::Context) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut stream = context.get_stream(STREAM).await?;
    let last = stream.info().await?.state.last_sequence;
    let mut found = BTreeMap::new();
    for sequence in 1..=last {
        // One that was replaced is gone.
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        if message.headers.get("KV-Operation").is_none() {
            let name = message.subject.rsplit(&format!("{BUCKET}.")).next().map(ToOwned::to_owned);
            found.insert(name.unwrap_or_default(), message.payload.to_vec());
        }
    }
    Ok(found)
}

/// Waits until the bucket holds all of this again, bit for bit, and no node has an alarm about it.
async fn whole(cluster: &Cluster, before: &BTreeMap<String, Vec<u8>>) {
    let context = tools::jetstream(cluster).await;
    let back = eventually(PATIENCE, "every entry is back", async || {
        let now = entries(&context).await?;
        let missing: Vec<_> =
            before.iter().filter(|(name, bytes)| now.get(*name) != Some(*bytes)).collect();
        anyhow::ensure!(missing.is_empty(), "{} of {} are not", missing.len(), before.len());
        Ok(())
    });
    back.await.expect("put back");
    for index in 0..cluster.nodes.len() {
        let operator = cluster.client(index, "hospital-it").unwrap();
        let over = eventually(PATIENCE, "the alarm is over", async || {
            let alarms = operator.status().await?.alarms;
            let raised = alarms.iter().any(|alarm| alarm.code == "KEY_BUCKET_UNREADABLE");
            anyhow::ensure!(!raised, "{alarms:?}");
            Ok(())
        });
        over.await.expect("cleared");
    }
}

/// A database of a stopped node, row by row.
fn rows(node: &Node, database: &str) -> DB {
    let (path, options) = (node.data().join(database), Options::default());
    let tables = DB::list_cf(&options, &path).expect("its tables");
    DB::open_cf(&options, &path, tables).expect("opened")
}

/// Makes what a stopped node keeps of one subject in this entry unreadable.
fn damage_a_row_of(node: &Node, name: &str) {
    let db = rows(node, "keys");
    let [batches, subjects] = ["batches", "subjects"].map(|table| db.cf_handle(table).unwrap());
    // A hash, who made it, and then the subjects.
    let row = db.get_cf(batches, name).expect("read").expect("the batch");
    db.put_cf(subjects, &row[33..49], b"damaged").expect("written");
}

/// Changes a byte of what a stopped node has of this version of a file.
fn damage_a_record_of(node: &Node, patient: SubjectId, version: u64) {
    let (store, vault) = databases(node);
    let found = store.reader().chain(LedgerId::RECORDS, patient, version..=version);
    let position = found.expect("readable")[0];
    drop((store, vault));
    let db = rows(node, "ledger");
    let (table, ledger) = (db.cf_handle("records").expect("the table"), LedgerId::RECORDS);
    let key = [ledger.to_bytes().as_slice(), &position.to_be_bytes()].concat();
    let mut row = db.get_cf(table, &key).expect("read").expect("the record");
    *row.last_mut().expect("a body") ^= 1;
    db.put_cf(table, &key, row).expect("written");
}

/// A patient registered on the one client is read and written on the other.
async fn a_new_patient(number: &str, here: &Client, there: &Client) -> String {
    let registered = here.register(number, "Ames").await.expect("registered");
    let (patient, position) = (registered.patient_id, Some(registered.position));
    let file = there.read_file(&patient, position).await.expect("read").file.expect("a file");
    assert_eq!(file.identity.expect("an identity").names[0].family, "Ames");
    there.file_note(&patient, "seen", &request_id(), None).await.expect("and written");
    patient
}

#[tokio::test]
async fn a_bucket_of_keys_deleted_under_running_nodes_is_put_back_by_them() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let clients = [0, 1].map(|index| cluster.client(index, "case-manager").unwrap());
    let mut patients = vec![
        a_new_patient("MRN-1", &clients[0], &clients[1]).await,
        a_new_patient("MRN-2", &clients[1], &clients[0]).await,
    ];
    let context = tools::jetstream(&cluster).await;
    let before = entries(&context).await.expect("the bucket");
    assert!(before.len() > 2 && before.contains_key("system"), "{:?}", before.keys());
    let config = context.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    context.delete_stream(STREAM).await.expect("deleted");

    whole(&cluster, &before).await;
    let anew = context.get_stream(STREAM).await.unwrap().cached_info().config.clone();
    // All but the mark of who made it.
    let metadata = config.metadata.clone();
    assert_eq!(jetstream::stream::Config { metadata, ..anew }, config, "set up as before");
    patients.push(a_new_patient("MRN-3", &clients[0], &clients[1]).await);
    patients.push(a_new_patient("MRN-4", &clients[1], &clients[0]).await);

    let third = cluster.admit().expect("admitted");
    for index in 0..2 {
        cluster.node_mut(index).stop().await.expect("stopped");
    }
    for index in 0..=third {
        cluster.node_mut(index).spawn().expect("started");
    }
    cluster.node(third).serving().await.expect("it has the system's keys");
    cluster.agreed().await.expect("agreed");
    let there = cluster.client(third, "case-manager").unwrap();
    for patient in &patients {
        let read = eventually(PATIENCE, "the file opens", async || {
            let file = there.read_file(patient, None).await?.file.unwrap_or_default();
            anyhow::ensure!(file.entries.len() == 1, "{file:?}");
            Ok(())
        });
        read.await.expect("it has the patients' keys");
    }
}

#[tokio::test]
async fn only_what_is_missing_in_the_bucket_of_keys_is_told_as_put_back() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let operator = cluster.client(0, "hospital-it").unwrap();
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let context = tools::jetstream(&cluster).await;
    let before = entries(&context).await.expect("the bucket");
    let bucket = context.get_key_value(BUCKET).await.expect("the bucket");
    bucket.delete("system").await.expect("deleted");
    whole(&cluster, &before).await;
    let raised = alarm(&operator, "KEYS_PUT_BACK").await;
    assert!(raised.text.starts_with("1 entry") && raised.count == 1, "{raised:?}");
}

#[tokio::test]
async fn a_bucket_of_keys_deleted_before_a_start_is_put_back() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let clients = [0, 1].map(|index| cluster.client(index, "case-manager").unwrap());
    a_new_patient("MRN-1", &clients[0], &clients[1]).await;
    for index in 0..2 {
        cluster.node_mut(index).stop().await.expect("stopped");
    }
    let context = tools::jetstream(&cluster).await;
    let before = entries(&context).await.expect("the bucket");
    context.delete_stream(STREAM).await.expect("deleted");
    for index in 0..2 {
        cluster.node_mut(index).spawn().expect("started");
    }
    whole(&cluster, &before).await;
    for node in &cluster.nodes {
        node.serving().await.expect("serving");
    }
    a_new_patient("MRN-2", &clients[0], &clients[1]).await;
    a_new_patient("MRN-3", &clients[1], &clients[0]).await;
}

#[tokio::test]
async fn entries_deleted_from_the_bucket_of_keys_are_put_back_bit_for_bit() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    a_new_patient("MRN-1", &manager, &manager).await;
    let context = tools::jetstream(&cluster).await;
    let before = entries(&context).await.expect("the bucket");
    let bucket = context.get_key_value(BUCKET).await.expect("the bucket");
    for name in before.keys() {
        bucket.delete(name).await.expect("deleted");
    }
    whole(&cluster, &before).await;
    let raised = alarm(&operator, "KEYS_PUT_BACK").await;
    assert!(raised.text.contains("put back"), "{raised:?}");
    a_new_patient("MRN-2", &manager, &manager).await;
}

#[tokio::test]
async fn entries_overwritten_in_the_bucket_of_keys_are_put_back_bit_for_bit() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let clients = [0, 1].map(|index| cluster.client(index, "case-manager").unwrap());
    let operators = [0, 1].map(|index| cluster.client(index, "hospital-it").unwrap());
    let patient = a_new_patient("MRN-1", &clients[0], &clients[1]).await;
    let context = tools::jetstream(&cluster).await;
    let before = entries(&context).await.expect("the bucket");
    let bucket = context.get_key_value(BUCKET).await.expect("the bucket");
    let batches: Vec<_> = before.iter().filter(|(name, _)| name.starts_with("batch.")).collect();
    // With another batch, with nothing, and with one that lacks its last bytes.
    let (first, second) = (batches[0], batches[1]);
    bucket.put(first.0, second.1.clone().into()).await.expect("overwritten");
    bucket.put(second.0, "".into()).await.expect("overwritten");
    let system = &before["system"];
    bucket.put("system", system[..system.len() - 1].to_vec().into()).await.expect("overwritten");
    whole(&cluster, &before).await;
    // Whoever of the two was quicker tells it.
    let told = eventually(PATIENCE, "it is told", async || {
        let mut alarms = operators[0].status().await?.alarms;
        alarms.extend(operators[1].status().await?.alarms);
        let told = alarms.iter().any(|alarm| alarm.code == "KEYS_PUT_BACK");
        anyhow::ensure!(told, "{alarms:?}");
        Ok(())
    });
    told.await.expect("an alarm");
    clients[1].read_file(&patient, None).await.expect("read").file.expect("a file");
    a_new_patient("MRN-2", &clients[1], &clients[0]).await;
}

#[tokio::test]
async fn a_damaged_row_keeps_no_other_entry_out_of_the_bucket_of_keys() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let operator = cluster.client(0, "hospital-it").unwrap();
    let made = eventually(PATIENCE, "there are keys", async || {
        anyhow::ensure!(operator.status().await?.spare_keys >= 1_024);
        Ok(())
    });
    made.await.expect("made");
    cluster.node_mut(0).stop().await.expect("stopped");
    let context = tools::jetstream(&cluster).await;
    let mut before = entries(&context).await.expect("the bucket");
    let batches: Vec<_> = before.keys().filter(|name| name.starts_with("batch.")).collect();
    assert!(batches.len() > 2, "{batches:?}");
    let first = batches[0].clone();
    damage_a_row_of(cluster.node(0), &first);
    before.remove(&first);
    context.delete_stream(STREAM).await.expect("deleted");
    cluster.node_mut(0).spawn().expect("started");
    let back = eventually(PATIENCE, "every intact entry is back", async || {
        let now = entries(&context).await?;
        let missing = before.iter().filter(|(name, bytes)| now.get(*name) != Some(*bytes)).count();
        anyhow::ensure!(missing == 0, "{missing} of {} are not", before.len());
        Ok(())
    });
    back.await.expect("put back");
    let told = eventually(PATIENCE, "the damaged one is named", async || {
        let alarms = operator.status().await?.alarms;
        let mut texts = alarms.iter().filter(|alarm| alarm.code == "KEY_BUCKET_UNREADABLE");
        anyhow::ensure!(texts.any(|alarm| alarm.text.contains(&first)), "{alarms:?}");
        Ok(())
    });
    told.await.expect("an alarm");
    alarm(&operator, "KEYS_PUT_BACK").await;
}

#[tokio::test]
async fn that_an_entry_of_keys_is_refused_is_over_when_it_is_deleted() {
    let cluster = Cluster::start(1).await.expect("a node");
    let operator = cluster.client(0, "hospital-it").unwrap();
    let bucket = tools::jetstream(&cluster).await.get_key_value(BUCKET).await.expect("the bucket");
    for name in ["junk", "rubbish"] {
        bucket.put(name, "no keys".into()).await.expect("put");
    }
    let refused = async || -> anyhow::Result<Option<String>> {
        let alarms = operator.status().await?.alarms;
        let found = alarms.into_iter().find(|alarm| alarm.code == "KEYS_REFUSED");
        Ok(found.map(|alarm| alarm.text))
    };
    let told = eventually(PATIENCE, "the second is told", async || {
        let told = refused().await?;
        anyhow::ensure!(told.as_ref().is_some_and(|text| text.contains("rubbish")), "{told:?}");
        Ok(())
    });
    told.await.expect("an alarm");
    bucket.delete("rubbish").await.expect("deleted");
    // What is shown behind it is taken in, and the first stands still.
    let manager = cluster.client(0, "case-manager").unwrap();
    a_new_patient("MRN-1", &manager, &manager).await;
    assert!(refused().await.expect("status").is_some(), "the first is still there");
    bucket.delete("junk").await.expect("deleted");
    let over = eventually(PATIENCE, "the alarm is over", async || {
        let told = refused().await?;
        anyhow::ensure!(told.is_none(), "{told:?}");
        Ok(())
    });
    over.await.expect("cleared");
}

#[tokio::test]
async fn a_file_whose_key_came_is_neither_taken_for_nobody_nor_changed_before_it_is_made() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = a_new_patient("MRN-1", &manager, &manager).await;
    // More than a start looks through again.
    some_notes(&manager, &patient, 20).await;
    cluster.node_mut(0).stop().await.expect("stopped");
    // The keys are away while the views are made anew, and a record is damaged before they are back: the
    // file stays as it is between a key's arrival and the folding.
    let context = tools::jetstream(&cluster).await;
    let before = entries(&context).await.expect("the bucket");
    let batches: Vec<_> = before.iter().filter(|(name, _)| name.starts_with("batch.")).collect();
    let bucket = context.get_key_value(BUCKET).await.expect("the bucket");
    for (name, _) in &batches {
        bucket.delete(name).await.expect("deleted");
    }
    databases(cluster.node(0)).0.drop_views().expect("dropped");
    std::fs::remove_dir_all(cluster.node(0).data().join("keys")).expect("removed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    cluster.node_mut(0).stop().await.expect("stopped");
    damage_a_record_of(cluster.node(0), patient.parse().expect("an id"), 4);
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let lacks = manager.read_file(&patient, None).await.expect_err("no key");
    assert!(lacks.message().contains("does not have the file's key"), "{lacks}");

    for (name, bytes) in batches {
        bucket.put(name, bytes.clone().into()).await.expect("put");
    }
    let heard = eventually(PATIENCE, "the key is here", async || {
        let status = manager.read_file(&patient, None).await.expect_err("a record is damaged");
        anyhow::ensure!(!status.message().contains("does not have the file's key"), "{status}");
        Ok(status)
    });
    let heard = heard.await.expect("an answer");
    assert_eq!(heard.code(), Code::Unavailable, "and not NOT_FOUND: {heard}");
    let filed = manager.file_note(&patient, "late", &request_id(), None).await;
    assert_eq!(filed.expect_err("nothing is decided on it").code(), Code::Unavailable);
    // A consent in it might let her in: she hears that there is such a file, and that is on record.
    let mother = cluster.client_of(0, "patient-representative", "mary").unwrap();
    for _ in 0..60 {
        let heard = read(&mother, &patient, "PATRQT").await.expect_err("it does not open");
        assert_eq!(heard.code(), Code::Unavailable, "{heard}");
    }
    let limited = read(&mother, &patient, "PATRQT").await.expect_err("too often");
    assert_eq!(limited.code(), Code::ResourceExhausted, "as denials are: {limited}");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let hers = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "mary".to_owned(),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(hers).await.expect("the trail").into_inner();
    assert_eq!(trail.accesses.len(), 60);
    assert!(trail.accesses.iter().all(|access| access.outcome == "refused"));
    assert!(trail.accesses.iter().all(|access| access.patient_id == patient));
    alarm(&operator, "VIEW_NOT_FOLDED").await;
}
