//! Access blocks in the spool that the ledger refuses for good: what is in them is sealed anew, and
//! what is behind them goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use api::v1;
use ledger::{
    Block, Content, Contribution, ContributionId, Frame, Hash, Header, Item, LedgerId,
    SealedRecord, SubjectId,
};
use store::Store;
use testkit::client::{Client, purpose};
use testkit::cluster::{Cluster, Node};
use testkit::wait::eventually;
use tokio::task::JoinSet;
use tonic::Code;

use crate::tools::{PATIENCE, Pen, alarm, copy, databases, jetstream, records_are};

/// How often somebody read this patient's file, by the trail.
async fn readings(cluster: &Cluster, patient: &str) -> anyhow::Result<usize> {
    let mut request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient.to_owned(),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let officer = cluster.client(0, "compliance-officer")?;
    let read = |access: &&v1::Access| access.operation == "PatientFileService/GetPatientFile";
    let mut count = 0;
    loop {
        let page = officer.audit().list_accesses(request.clone()).await?.into_inner();
        count += page.accesses.iter().filter(read).count();
        if page.next_page_token.is_empty() {
            return Ok(count);
        }
        request.page_token = page.next_page_token;
    }
}

/// Waits until the spool is empty and the trail has so many readings of each patient.
async fn arrived(cluster: &Cluster, wanted: &[(&str, usize)]) {
    let operator = cluster.client(0, "hospital-it").unwrap();
    let all = eventually(PATIENCE, "what waited is on the trail", async || {
        let waiting = operator.status().await?.spool_bytes;
        anyhow::ensure!(waiting == 0, "{waiting} bytes wait in the spool");
        for (patient, count) in wanted {
            let found = readings(cluster, patient).await?;
            anyhow::ensure!(found == *count, "{found} of {count} readings of {patient}");
        }
        Ok(())
    });
    all.await.expect("nothing is lost and nothing twice");
}

async fn read(client: &Client, patient: &str, times: usize) {
    for _ in 0..times {
        client.read_file(patient, None).await.expect("reads go on");
    }
}

/// Stops the broker and starts node 0, which reads only.
async fn alone(cluster: &mut Cluster) {
    cluster.nats.kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
}

#[tokio::test]
async fn what_a_node_put_back_to_an_older_copy_spooled_is_sealed_anew_and_filed() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    read(&manager, &patient, 1).await;
    cluster.agreed().await.expect("a head");
    cluster.node_mut(0).stop().await.expect("stopped");
    let (data, older) = (cluster.node(0).data(), cluster.node(0).state.join("older"));
    copy(&data, &older);
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    read(&manager, &patient, 3).await;
    arrived(&cluster, &[(&patient, 4)]).await;
    cluster.node_mut(0).stop().await.expect("stopped");
    std::fs::rename(&data, cluster.node(0).state.join("newer")).expect("set aside");
    copy(&older, &data);

    // It does not know that its chain went on.
    alone(&mut cluster).await;
    read(&manager, &patient, 5).await;
    cluster.nats.restart().await.expect("back");
    cluster.node(0).serving().await.expect("serving");
    arrived(&cluster, &[(&patient, 9)]).await;
    let raised = alarm(&operator, "ACCESS_RECORDS_SEALED_ANEW").await;
    assert!(raised.text.starts_with("5 access record(s)"), "{raised:?}");
    // From then on it seals on its own chain at once.
    read(&manager, &patient, 3).await;
    arrived(&cluster, &[(&patient, 12)]).await;
    let raised = alarm(&operator, "ACCESS_RECORDS_SEALED_ANEW").await;
    assert!(raised.text.starts_with("5 access record(s)"), "{raised:?}");
}

/// Waits until the node's health says whether it shows files.
async fn shows(client: &Client, wanted: bool) {
    let told = eventually(PATIENCE, "its health says so", async || {
        let serving = client.is_serving("PatientFileService").await?;
        anyhow::ensure!(serving == wanted, "serving is {serving}");
        Ok(())
    });
    told.await.expect("health follows");
}

#[tokio::test]
async fn a_node_that_cannot_note_that_it_relies_on_its_spool_shows_nothing_and_says_so() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("a head");
    cluster.nats.kill().expect("killed");
    records_are(&operator, v1::LedgerCondition::ReadOnly).await;
    read(&manager, &patient, 1).await;
    shows(&manager, true).await;
    // As on a full disk, which the spool may not notice yet.
    let next = cluster.node(0).data().join("position.json.next");
    let made =
        eventually(PATIENCE, "nothing is in its place", async || Ok(std::fs::create_dir(&next)?));
    made.await.expect("made");
    let refused = manager.read_file(&patient, None).await.expect_err("it could be lost unnoticed");
    assert_eq!(refused.code(), Code::Unavailable, "{refused:?}");
    let raised = alarm(&operator, "POSITION_NOT_KEPT").await;
    assert!(raised.text.contains("position.json could not be written"), "{raised:?}");
    shows(&manager, false).await;

    std::fs::remove_dir(&next).expect("removed");
    shows(&manager, true).await;
    read(&manager, &patient, 1).await;
}

/// Signs the first spooled block again as if this node had stood on another history.
fn on_another_history(node: &Node, store: &Store) {
    let pen = Pen::of(&node.state);
    let (number, block) = store.spool().blocks().next().expect("a block").unwrap();
    let mut content = Frame::parse(&block).expect("a frame").content().expect("its content");
    content.base.stream_hash = Hash::of(b"another past");
    let content: Content<&[u8]> = content;
    assert!(matches!(content.items.as_slice(), [Item::Contribution(_)]), "one reading");
    let block = Block::seal(LedgerId::ACCESS, pen.node, &content, &pen.key, &pen.access);
    let newest = store.spool().newest().expect("readable");
    store.spool().put(number, &block.expect("sealed"), newest).expect("spooled");
}

#[tokio::test]
async fn a_spooled_block_on_another_history_does_not_hold_up_the_trail() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("a head");
    cluster.node_mut(0).stop().await.expect("stopped");
    alone(&mut cluster).await;
    read(&manager, &patient, 4).await;
    cluster.node_mut(0).stop().await.expect("stopped");
    on_another_history(cluster.node(0), &databases(cluster.node(0)).0);

    cluster.nats.restart().await.expect("back");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    arrived(&cluster, &[(&patient, 4)]).await;
    let raised = alarm(&operator, "ACCESS_RECORDS_SEALED_ANEW").await;
    assert!(raised.text.starts_with("4 access record(s)"), "{raised:?}");
}

#[tokio::test]
async fn what_cannot_be_sealed_anew_is_kept_aside_and_what_is_behind_it_goes_on() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let lost = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let other = manager.register("MRN-2", "Bell").await.unwrap().patient_id;
    cluster.agreed().await.expect("a head");
    cluster.node_mut(0).stop().await.expect("stopped");
    alone(&mut cluster).await;
    read(&manager, &lost, 1).await;
    read(&manager, &other, 3).await;
    cluster.node_mut(0).stop().await.expect("stopped");
    {
        let (store, vault) = databases(cluster.node(0));
        on_another_history(cluster.node(0), &store);
        let subject: SubjectId = lost.parse().expect("an id");
        let keys = vault.keys_of(subject).expect("readable").expect("its keys");
        vault.destroy(keys.audit).expect("destroyed");
    }

    cluster.nats.restart().await.expect("back");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    arrived(&cluster, &[(&other, 3), (&lost, 0)]).await;
    let raised = alarm(&operator, "ACCESS_RECORDS_KEPT_ASIDE").await;
    assert!(raised.text.starts_with("1 access record(s)"), "{raised:?}");
    cluster.node_mut(0).stop().await.expect("stopped");
    let (store, _) = databases(cluster.node(0));
    assert_eq!(store.foreign(LedgerId::ACCESS).expect("readable").len(), 1, "it is kept");
}

/// A block with one record more for the chain that this block ends on, signed as the node would.
fn in_its_name(pen: &Pen, block: &[u8], id: u8) -> Option<Vec<u8>> {
    let content = Frame::parse(block).ok()?.content().ok()?;
    let Some(Item::Contribution(last)) = content.items.last() else { return None };
    let record = last.records.last()?;
    let newest = Header::decode(record.header).ok()?;
    let id = ContributionId([id; 32]);
    let header = Header {
        contribution_id: id,
        index: 0,
        count: 1,
        version: newest.version + 1,
        previous: ledger::leaf_hash(record.header),
        ..newest
    };
    let record = SealedRecord { header: header.encode(), body: record.body.to_vec() };
    let one =
        Contribution { id, request_digest: Hash::ZERO, reads: Vec::new(), records: vec![record] };
    let content = Content {
        sealed_at: content.sealed_at,
        base: content.base,
        items: vec![Item::Contribution(one)],
    };
    Block::seal(LedgerId::ACCESS, pen.node, &content, &pen.key, &pen.access).ok()
}

#[tokio::test]
async fn blocks_under_way_behind_a_refused_one_are_sealed_anew_while_people_read() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let mut readers = JoinSet::new();
    for _ in 0..16 {
        let (client, patient) = (cluster.client(0, "case-manager").unwrap(), patient.clone());
        let (stop, count) = (Arc::clone(&stop), Arc::clone(&count));
        readers.spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                read(&client, &patient, 1).await;
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // Somebody with the node's key extends its chain: what the node has under way links to nothing.
    let pen = Pen::of(&cluster.node(0).state);
    let context = jetstream(&cluster).await;
    let mut stream = context.get_stream("CASELEDGER_ACCESS").await.expect("the stream");
    for id in 0..=u8::MAX {
        let last = stream.info().await.expect("its state").state.last_sequence;
        let newest = stream.get_raw_message(last).await.expect("a message").payload;
        if let Some(block) = in_its_name(&pen, &newest, id) {
            let sent = context.publish("caseledger.access", block.into()).await;
            sent.expect("sent").await.expect("stored");
        }
        let alarms = operator.status().await.expect("a status").alarms;
        if alarms.iter().any(|alarm| alarm.code == "ACCESS_RECORDS_SEALED_ANEW") {
            break;
        }
    }
    alarm(&operator, "ACCESS_RECORDS_SEALED_ANEW").await;
    stop.store(true, Ordering::Relaxed);
    while let Some(reader) = readers.join_next().await {
        reader.expect("every reading is answered");
    }
    let read = usize::try_from(count.load(Ordering::Relaxed)).expect("few");
    arrived(&cluster, &[(&patient, read)]).await;
}
