//! What tests of damage share: the broker's side of a ledger, a member's pen, and alarms.

use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use api::v1;
use ed25519_dalek::Signer as _;
use ledger::{Frame, Hash, Item, LedgerId, NodeId, SigningKey};
use store::{LedgerPin, Store};
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::{Cluster, Node, program};
use testkit::wait::eventually;
use tonic_types::StatusExt as _;
use vault::{KeyEncryptionKey, Vault};

/// The stream of the ledger of changes.
pub(crate) const RECORDS: &str = "CASELEDGER_RECORDS";
/// Its subject.
pub(crate) const SUBJECT: &str = "caseledger.records";
/// Longest anything here may take, on a machine that also compiles.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// So many nodes that serve, a case manager at the first, and a patient with so many notes.
pub(crate) async fn with_notes(nodes: usize, notes: usize) -> (Cluster, Client, String) {
    let cluster = Cluster::start(nodes).await.expect("nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, notes).await;
    (cluster, manager, patient)
}

/// The stable reason of an error; empty if it has none.
pub(crate) fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// Files so many notes and returns the last one's position.
pub(crate) async fn some_notes(client: &Client, patient: &str, count: usize) -> u64 {
    let mut position = 0;
    for note in 0..count {
        let filed = client.file_note(patient, &format!("note {note}"), &request_id(), None).await;
        position = filed.expect("filed").position;
    }
    position
}

/// Files so many notes, twenty a contribution.
pub(crate) async fn many_notes(client: &Client, patient: &str, count: usize) {
    for _ in 0..count / 20 {
        let request = v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("TREAT"),
            patient_id: patient.to_owned(),
            expected_version: None,
            changes: (0..20).map(|note| Client::note(&format!("note {note}"))).collect(),
        };
        client.file().contribute(request).await.expect("filed");
    }
}

/// The broker as anybody with access to it sees it.
pub(crate) async fn jetstream(cluster: &Cluster) -> async_nats::jetstream::Context {
    let client = async_nats::connect(cluster.nats.url()).await.expect("connected");
    async_nats::jetstream::new(client)
}

/// What the stream of records holds, message by message.
pub(crate) async fn messages(cluster: &Cluster) -> Vec<Vec<u8>> {
    let stream = jetstream(cluster).await.get_stream(RECORDS).await.expect("the stream");
    let last = stream.cached_info().state.last_sequence;
    let mut found = Vec::new();
    for sequence in 1..=last {
        found.push(stream.get_raw_message(sequence).await.expect("a message").payload.to_vec());
    }
    found
}

/// Publishes to the ledger of changes past every node; returns the sequence.
pub(crate) async fn publish(cluster: &Cluster, message: Vec<u8>) -> u64 {
    let context = jetstream(cluster).await;
    let acknowledged = context.publish(SUBJECT, message.into()).await;
    acknowledged.expect("sent").await.expect("stored").sequence
}

/// Publishes so many messages of 400 bytes to the ledger of changes that change nothing.
pub(crate) async fn lengthen(cluster: &Cluster, count: usize) {
    let context = jetstream(cluster).await;
    let mut stored = Vec::new();
    for _ in 0..count {
        stored.push(context.publish(SUBJECT, vec![0; 400].into()).await.expect("sent"));
    }
    for one in stored {
        one.await.expect("stored");
    }
}

/// Whether a message does nothing but sign a checkpoint, which nodes do in their own time.
fn only_signs(message: &[u8]) -> bool {
    let content = Frame::parse(message).ok().and_then(|frame| frame.content().ok());
    content
        .is_some_and(|content| content.items.iter().all(|item| matches!(item, Item::Checkpoint(_))))
}

/// What the stream of records holds after a sequence beside checkpoints.
pub(crate) async fn filed_since(cluster: &Cluster, sequence: u64) -> Vec<Vec<u8>> {
    let skipped = usize::try_from(sequence).expect("few");
    let mut messages = messages(cluster).await.split_off(skipped);
    messages.retain(|message| !only_signs(message));
    messages
}

/// Waits until the stream holds these messages, from sequence 1, and nothing else but checkpoints
/// that were signed since.
pub(crate) async fn holds(cluster: &Cluster, wanted: &[Vec<u8>]) {
    let context = jetstream(cluster).await;
    let checked = eventually(PATIENCE, "the stream holds what was filed", async || {
        let mut stream = context.get_stream(RECORDS).await?;
        let last = stream.info().await?.state.last_sequence;
        anyhow::ensure!(last >= wanted.len() as u64, "{last} of {} messages", wanted.len());
        for sequence in wanted.len() as u64 + 1..=last {
            let further = stream.get_raw_message(sequence).await?.payload;
            anyhow::ensure!(only_signs(&further), "message {sequence} is more than was held");
        }
        for (message, sequence) in wanted.iter().zip(1..) {
            let there = stream.get_raw_message(sequence).await?.payload;
            anyhow::ensure!(there == message.as_slice(), "message {sequence} is another one");
        }
        Ok(())
    });
    checked.await.expect("restored bit for bit, under the same sequences");
}

/// The node's alarm of this code, as soon as it is raised.
pub(crate) async fn alarm(operator: &Client, code: &str) -> v1::Alarm {
    let raised = eventually(PATIENCE, code, async || {
        let alarms = operator.status().await?.alarms;
        let found = alarms.iter().find(|alarm| alarm.code == code).cloned();
        found.ok_or_else(|| anyhow::anyhow!("alarms are {alarms:?}"))
    });
    raised.await.expect("the alarm")
}

/// The state of `records` on this node, as soon as it is in this condition.
pub(crate) async fn records_are(
    operator: &Client,
    wanted: v1::LedgerCondition,
) -> v1::LedgerStatus {
    let reached = eventually(PATIENCE, "the condition of records", async || {
        let ledgers = operator.status().await?.ledgers;
        let found = ledgers.iter().find(|ledger| {
            let kind = ledger.head.as_ref().and_then(|head| head.ledger.as_ref());
            ledger.condition() == wanted
                && kind.is_some_and(|id| id.kind() == v1::LedgerKind::Records)
        });
        found.cloned().ok_or_else(|| anyhow::anyhow!("{ledgers:?}"))
    });
    reached.await.expect("the condition")
}

/// Copies a folder.
pub(crate) fn copy(from: &Path, to: &Path) {
    let mut command = std::process::Command::new("cp");
    testkit::cluster::run(command.arg("-a").arg(from).arg(to)).expect("copied");
}

/// Runs a node that is expected to refuse, and returns what it said.
pub(crate) async fn refuses(node: &Node) -> String {
    let mut command = tokio::process::Command::new(program("caseledgerd").expect("built"));
    command.arg("run").arg("--config").arg(node.state.join("config.toml")).kill_on_drop(true);
    command.envs(node.environment.iter().cloned());
    let ended = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends");
    let Output { status, stderr, .. } = ended.expect("it runs");
    let said = String::from_utf8(stderr).expect("text");
    assert_eq!(status.code(), Some(1), "it refuses: {said}");
    said
}

/// The databases of a node that does not run.
pub(crate) fn databases(node: &Node) -> (Store, Arc<Vault>) {
    let pen = Pen::of(&node.state);
    let kek = KeyEncryptionKey::from_file(&node.state.join("keys/kek"), 1).expect("the key");
    let vault = Arc::new(Vault::open(&node.data(), kek).expect("the key database"));
    let pins = [
        LedgerPin { ledger: LedgerId::RECORDS, genesis: pen.genesis },
        LedgerPin { ledger: LedgerId::ACCESS, genesis: pen.access },
    ];
    let store = Store::open(&node.data(), &pins, Arc::clone(&vault)).expect("the database");
    (store, vault)
}

/// Somebody who signs as a node: with its key, or with one of their own.
pub(crate) struct Pen {
    pub(crate) node: NodeId,
    pub(crate) key: SigningKey,
    /// Genesis of `records`.
    pub(crate) genesis: Hash,
    /// Genesis of `access`.
    pub(crate) access: Hash,
}

impl Pen {
    /// What the node with this state directory signs with, for `records`.
    pub(crate) fn of(state: &Path) -> Self {
        let config = std::fs::read_to_string(state.join("config.toml")).expect("configuration");
        let value = |key: &str| {
            let line = config.lines().find_map(|line| line.strip_prefix(key));
            line.expect("the key").trim_start_matches([' ', '=']).trim_matches('"').to_owned()
        };
        let secret = std::fs::read_to_string(state.join("keys/block.key")).expect("a key");
        let secret: Hash = secret.trim().parse().expect("32 bytes");
        Self {
            node: value("id").parse().expect("a node's id"),
            key: SigningKey::from_bytes(&secret.0),
            genesis: value("records").parse().expect("a hash"),
            access: value("access").parse().expect("a hash"),
        }
    }

    /// A frame of any format and size around any content, as `ledger::block` lays it out.
    pub(crate) fn frame(&self, format: u16, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).expect("a short content");
        let mut frame = b"CSLB".to_vec();
        frame.extend_from_slice(&format.to_be_bytes());
        frame.extend_from_slice(&LedgerId::RECORDS.to_bytes());
        frame.extend_from_slice(&self.node.0);
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(content);
        let label = b"caseledger/block/v1".as_slice();
        let signed = [label, &self.genesis.0, &Hash::of(&frame).0].concat();
        frame.extend_from_slice(&self.key.sign(&signed).to_bytes());
        frame
    }
}
