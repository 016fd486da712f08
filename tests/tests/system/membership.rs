//! Who belongs to a cluster: founded, admitted, retired, each also when it breaks off or when the
//! majority is lost.

use std::path::Path;

use api::v1;
use ledger::{Control, Frame, Hash, Item, LedgerId, NodeId, Override, SigningKey};
use testkit::client::Client;
use testkit::cluster::{Cluster, Node, program, run};
use testkit::wait::eventually;
use tokio::process::Command;

use crate::relay::Relay;
use crate::tools::{
    PATIENCE, Pen, alarm, databases, jetstream, messages, records_are, refuses, some_notes,
};

fn id(node: &Node) -> NodeId {
    Pen::of(&node.state).node
}

/// Runs `caseledgerd retire` in the name of one node; what it said, or why it refused.
pub(crate) async fn retire(from: &Node, nodes: &[NodeId], more: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program("caseledgerd").expect("built"));
    command.arg("retire").arg("--from").arg(&from.state).args(more);
    for node in nodes {
        command.arg("--node").arg(node.to_string());
    }
    let output = command.output().await.expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}

/// How many members each ledger counts, by the database of a node that does not run; no override is
/// left in it.
fn members(node: &Node) -> [usize; 2] {
    let (store, _) = databases(node);
    [LedgerId::RECORDS, LedgerId::ACCESS].map(|ledger| {
        assert_eq!(store.kept_override(ledger).expect("readable"), None);
        store.state(ledger).expect("a state").state().authority.active_count()
    })
}

async fn notes(client: &Client, patient: &str) -> usize {
    client.read_file(patient, None).await.expect("read").file.expect("a file").entries.len()
}

#[tokio::test]
async fn retired_nodes_are_counted_no_more_and_end() {
    let mut cluster = Cluster::start(3).await.expect("three nodes");
    let ids: Vec<NodeId> = cluster.nodes.iter().map(id).collect();
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.node_mut(2).kill().expect("killed");
    let said = retire(cluster.node(0), &[ids[2]], &[]).await.expect("retired");
    assert!(said.contains("2 node(s) remain; a node serves when it reaches 2"), "{said}");
    some_notes(&manager, &patient, 3).await;
    for index in [0, 1] {
        cluster.node_mut(index).stop().await.expect("stopped");
    }
    for index in [0, 1] {
        cluster.node_mut(index).spawn().expect("started");
    }
    for index in [0, 1] {
        cluster.node(index).serving().await.expect("two of two");
    }
    // What was dead comes back as it was: the others refuse it, and it says so.
    let said = refuses(cluster.node(2)).await;
    assert!(
        said.contains("NODE_RETIRED") && said.contains("retired by the administrators"),
        "{said}"
    );
    let said = refuses(cluster.node(2)).await;
    assert!(said.contains("retired by the administrators"), "{said}");
    // What runs while it is retired ends by itself.
    retire(cluster.node(0), &[ids[1]], &[]).await.expect("retired");
    assert_eq!(cluster.node_mut(1).ended().await.expect("ended"), 1);
    let said = refuses(cluster.node(1)).await;
    assert!(said.contains("retired by the administrators"), "{said}");
    // One of one: it needs nobody else.
    cluster.node_mut(0).stop().await.expect("stopped");
    assert_eq!(members(cluster.node(0)), [1, 1]);
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("alone");
    some_notes(&manager, &patient, 1).await;
    assert_eq!(notes(&manager, &patient).await, 4);

    let from = cluster.node(0);
    let said = retire(from, &[ids[0]], &[]).await.expect_err("itself");
    assert!(said.contains("cannot retire itself"), "{said}");
    let said = retire(from, &[ids[1]], &[]).await.expect_err("again");
    assert!(said.contains("retired already"), "{said}");
    let said = retire(from, &[NodeId([9; 16])], &[]).await.expect_err("unknown");
    assert!(said.contains(&format!("the members are: {}", ids[0])), "{said}");
}

/// Two nodes; the first stops, the second files on, and its machine burns. The first was started and
/// waits. Returns the patient, who has five notes.
async fn majority_lost(cluster: &mut Cluster) -> String {
    let manager = cluster.client(1, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    some_notes(&manager, &patient, 2).await;
    cluster.agreed().await.expect("agreed");
    cluster.node_mut(0).stop().await.expect("stopped");
    some_notes(&manager, &patient, 3).await;
    cluster.node_mut(1).kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    let operator = cluster.client(0, "hospital-it").unwrap();
    let waits = eventually(PATIENCE, "it waits for the other", async || {
        let ledgers = operator.status().await?.ledgers;
        let waits = ledgers.iter().all(|ledger| ledger.reason.contains("2 are needed"));
        anyhow::ensure!(waits && ledgers.len() == 2, "{ledgers:?}");
        Ok(())
    });
    waits.await.expect("1 of 2");
    let told = alarm(&operator, "NO_MAJORITY").await.text;
    let missing = cluster.node(1).listen.to_string();
    assert!(told.contains(&missing), "it names who does not answer: {told}");
    assert!(told.contains("this node answers what it has"), "it was near the end: {told}");
    patient
}

#[tokio::test]
async fn who_cannot_be_asked_is_not_called_silent() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    majority_lost(&mut cluster).await;
    cluster.nats.kill().expect("killed");
    let operator = cluster.client(0, "hospital-it").unwrap();
    alarm(&operator, "BROKER_AWAY").await;
    let over = eventually(PATIENCE, "only the broker is named", async || {
        let alarms = operator.status().await?.alarms;
        anyhow::ensure!(alarms.iter().all(|alarm| alarm.code != "NO_MAJORITY"), "{alarms:?}");
        Ok(())
    });
    over.await.expect("without a broker nobody is asked");
}

#[tokio::test]
async fn invariant_6_an_override_stands_for_a_lost_majority_and_is_filed_first() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let lost = id(cluster.node(1));
    let patient = majority_lost(&mut cluster).await;
    let said =
        retire(cluster.node(0), &[lost], &["--without-majority"]).await.expect_err("it runs");
    assert!(said.contains("needs the node to be stopped"), "{said}");
    cluster.node_mut(0).stop().await.expect("stopped");
    let said =
        retire(cluster.node(0), &[lost], &["--without-majority"]).await.expect("an override");
    assert!(said.contains("history of their own"), "it says what it means: {said}");
    let held = messages(&cluster).await;
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("one of one");

    let manager = cluster.client(0, "case-manager").unwrap();
    assert_eq!(notes(&manager, &patient).await, 5, "what the lost node acknowledged is here");
    some_notes(&manager, &patient, 1).await;
    let now = messages(&cluster).await;
    assert_eq!(now[..held.len()], held, "nothing that was there has changed");
    let first = Frame::parse(&now[held.len()]).expect("a block");
    assert_eq!(first.node, id(cluster.node(0)));
    let content = first.content().expect("a content");
    let [Item::Contribution(filed)] = content.items.as_slice() else { panic!("{content:?}") };
    let control = Control::decode(filed.records[0].body).expect("a control record");
    assert!(matches!(control, Control::NodeRetired { node, .. } if node == lost), "{control:?}");

    let said = refuses(cluster.node(1)).await;
    assert!(
        said.contains("NODE_RETIRED") && said.contains("retired by the administrators"),
        "{said}"
    );
    cluster.node_mut(0).stop().await.expect("stopped");
    assert_eq!(members(cluster.node(0)), [1, 1], "in both ledgers, and the override is gone");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("one of one");
    some_notes(&manager, &patient, 1).await;
}

/// What an administrator's override for the first node would be, but for a point of its history.
fn override_at(cluster: &Cluster, ledger: LedgerId, hash: Option<Hash>) -> Override {
    let node = cluster.node(0);
    let secret = std::fs::read_to_string(node.state.join("keys/admin.key")).expect("the key");
    let key = SigningKey::from_bytes(&secret.trim().parse::<Hash>().expect("32 bytes").0);
    let snapshot = databases(node).0.state(ledger).expect("a state");
    let genesis = snapshot.state().genesis;
    let mut retirement = Control::NodeRetired { node: id(cluster.node(1)), signatures: Vec::new() };
    retirement.sign(&genesis, 0, &key);
    let mut made = Override {
        sequence: snapshot.sequence,
        stream_hash: hash.unwrap_or(snapshot.stream_hash),
        retirements: vec![retirement],
        signatures: Vec::new(),
    };
    made.sign(&genesis, 0, &key);
    made
}

#[tokio::test]
async fn an_override_of_another_history_is_ignored_with_an_alarm() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let lost = id(cluster.node(1));
    let patient = majority_lost(&mut cluster).await;
    cluster.node_mut(0).stop().await.expect("stopped");
    let elsewhere = override_at(&cluster, LedgerId::RECORDS, Some(Hash([7; 32])));
    let mut forged = override_at(&cluster, LedgerId::ACCESS, None);
    forged.signatures[0].signature[9] ^= 1;
    {
        let (store, _) = databases(cluster.node(0));
        store.set_override(LedgerId::RECORDS, &elsewhere).expect("kept");
        store.set_override(LedgerId::ACCESS, &forged).expect("kept");
    }
    let held = messages(&cluster).await;
    cluster.node_mut(0).spawn().expect("started");
    let operator = cluster.client(0, "hospital-it").unwrap();
    let told = eventually(PATIENCE, "both overrides are ignored", async || {
        let alarms = operator.status().await?.alarms;
        let text = |part: &str| {
            let ignored = alarms.iter().filter(|alarm| alarm.code == "OVERRIDE_IGNORED");
            ignored.clone().any(|alarm| alarm.text.contains(part))
        };
        let told = text("names a point that is not in this node's history")
            && text("is not signed by the administrators")
            && text("caseledgerd retire --without-majority");
        anyhow::ensure!(told, "{alarms:?}");
        Ok(())
    });
    told.await.expect("it says what to do");
    records_are(&operator, v1::LedgerCondition::ReadOnly).await;
    assert_eq!(messages(&cluster).await, held, "nothing is filed");
    // What the alarm says to do.
    cluster.node_mut(0).stop().await.expect("stopped");
    retire(cluster.node(0), &[lost], &["--without-majority"]).await.expect("an override");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("one of one");
    some_notes(&cluster.client(0, "case-manager").unwrap(), &patient, 1).await;
}

/// The command that founds, by way of the relay.
fn init(cluster: &Cluster, relay: &Relay) -> Command {
    let node = cluster.node(0);
    let mut command = Command::new(program("caseledgerd").expect("built"));
    command
        .arg("init")
        .args(["--nats", &relay.url, "--monitor", cluster.nats.monitor_url()])
        .arg("--state")
        .arg(&node.state)
        .arg("--listen")
        .arg(node.listen.to_string());
    command
}

async fn succeeds(mut command: Command) {
    let output = command.output().await.expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
}

/// What a command that must fail said.
async fn fails(mut command: Command) -> String {
    let output = command.output().await.expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    String::from_utf8(output.stderr).expect("text")
}

/// How many messages the streams hold; none for one that does not exist.
async fn streams(cluster: &Cluster) -> [Option<u64>; 2] {
    let context = jetstream(cluster).await;
    let mut found = [None; 2];
    for (name, found) in ["CASELEDGER_RECORDS", "CASELEDGER_ACCESS"].iter().zip(&mut found) {
        if let Ok(stream) = context.get_stream(*name).await {
            *found = Some(stream.cached_info().state.messages);
        }
    }
    found
}

/// As if it had been killed a little earlier, between two of its keys.
fn forget_some_keys(state: &Path) {
    for name in ["checkpoint.key", "issuer.pub.pem"] {
        std::fs::remove_file(state.join("keys").join(name)).expect("removed");
    }
}

#[tokio::test]
async fn a_founding_killed_at_any_request_is_run_again_and_serves() {
    let mut seen = Vec::new();
    for requests in 1.. {
        let mut cluster = Cluster::found(0).await.expect("a broker");
        let first = cluster.add();
        let relay = Relay::to(&cluster).await;
        let killed = relay.killed_at(requests, &mut init(&cluster, &relay)).await;
        let held = streams(&cluster).await;
        if killed {
            let state = cluster.node(first).state.clone();
            if held == [None, None] && state.join("keys/issuer.pub.pem").exists() {
                forget_some_keys(&state);
            }
            succeeds(init(&cluster, &relay)).await;
        }
        seen.push(held);
        assert_eq!(streams(&cluster).await, [Some(1), Some(1)], "after {requests} requests");
        let said = fails(init(&cluster, &relay)).await;
        assert!(said.contains("not empty"), "it is founded once: {said}");
        cluster.node_mut(first).spawn().expect("started");
        cluster.node(first).serving().await.expect("serving");
        let manager = cluster.client(first, "case-manager").unwrap();
        manager.register("MRN-1", "Ames").await.expect("registered");
        if !killed {
            break;
        }
    }
    seen.dedup();
    let step = |records, access| [records, access];
    let steps = [
        step(None, None),
        step(Some(0), None),
        step(Some(0), Some(0)),
        step(Some(1), Some(0)),
        step(Some(1), Some(1)),
    ];
    assert_eq!(seen, steps, "it was killed at every step");
}

#[tokio::test]
async fn a_founding_goes_on_with_its_own_arguments_and_takes_nothing_of_another() {
    let mut cluster = Cluster::found(0).await.expect("a broker");
    cluster.add();
    let other = cluster.add();
    let relay = Relay::to(&cluster).await;
    let mut requests = 1;
    while !cluster.node(0).state.join("unfinished.toml").exists() {
        assert!(relay.killed_at(requests, &mut init(&cluster, &relay)).await, "killed");
        requests += 1;
    }
    let mut renamed = init(&cluster, &relay);
    renamed.args(["--name", "other.example"]);
    let said = fails(renamed).await;
    assert!(said.contains("run exactly that again") && said.contains(&relay.url), "{said}");
    // Meanwhile somebody else founds on the same broker.
    let node = cluster.node(other);
    let mut founding = std::process::Command::new(program("caseledgerd").expect("built"));
    founding
        .arg("init")
        .args(["--nats", cluster.nats.url(), "--monitor", cluster.nats.monitor_url()])
        .arg("--state")
        .arg(&node.state)
        .arg("--listen")
        .arg(node.listen.to_string());
    run(&mut founding).expect("founded");
    let said = fails(init(&cluster, &relay)).await;
    assert!(said.contains("CASELEDGER_RECORDS already"), "{said}");
    assert_eq!(streams(&cluster).await, [Some(1), Some(1)], "the other's ledgers are as they were");
}

/// The command that admits a second node, in the name of the first.
fn admit(cluster: &Cluster, index: usize) -> Command {
    let node = cluster.node(index);
    let mut command = Command::new(program("caseledgerd").expect("built"));
    command.arg("admit").arg("--from").arg(&cluster.node(0).state).arg("--state").arg(&node.state);
    command.arg("--listen").arg(node.listen.to_string());
    command
}

/// Has the first node, and whoever is admitted by it, go by way of the relay.
fn by_way_of(cluster: &Cluster, relay: &Relay) {
    let file = cluster.node(0).state.join("config.toml");
    let config = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(file, config.replace(cluster.nats.url(), &relay.url)).expect("written");
}

#[tokio::test]
async fn an_admission_killed_at_any_request_is_run_again_or_taken_back() {
    for requests in 1.. {
        let mut cluster = Cluster::found(1).await.expect("a first node");
        let mut second = cluster.add();
        let relay = Relay::to(&cluster).await;
        by_way_of(&cluster, &relay);
        let killed = relay.killed_at(requests, &mut admit(&cluster, second)).await;
        if killed && streams(&cluster).await == [Some(2), Some(1)] {
            // A second run with a new directory admits another node; the half of the first has to
            // be taken back, or it counts for ever.
            let mark = cluster.node(second).state.join("unfinished.toml");
            let text = std::fs::read_to_string(mark).expect("what was begun");
            let id = text.lines().find_map(|line| line.strip_prefix("node = ")).expect("its id");
            let half: NodeId = id.trim_matches('"').parse().expect("an id");
            let first = std::mem::replace(&mut second, cluster.add());
            succeeds(admit(&cluster, second)).await;
            retire(cluster.node(0), &[half], &[]).await.expect("taken back");
            let said = fails(admit(&cluster, first)).await;
            assert!(said.contains("was retired meanwhile"), "{said}");
        } else if killed {
            succeeds(admit(&cluster, second)).await;
        }
        for index in [0, second] {
            cluster.node_mut(index).spawn().expect("started");
        }
        for index in [0, second] {
            cluster.node(index).serving().await.expect("each needs the other, and nobody else");
        }
        cluster.node_mut(second).stop().await.expect("stopped");
        assert_eq!(members(cluster.node(second)), [2, 2], "after {requests} requests");
        if !killed {
            return;
        }
    }
}

#[tokio::test]
async fn nothing_is_filed_in_a_stream_that_is_behind_what_the_node_had() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let second = id(cluster.node(1));
    cluster.node_mut(0).stop().await.expect("stopped");
    let held = messages(&cluster).await;
    let file = cluster.node(0).state.join("data/position.json");
    let true_text = std::fs::read_to_string(&file).expect("readable");
    let position = || serde_json::from_str::<serde_json::Value>(&true_text).expect("JSON");
    let ledger = LedgerId::RECORDS.to_string();
    // As if the broker had come back without its last block, and as if with another in its place.
    let mut ahead = position();
    let sequence = ahead["ledgers"][&ledger]["sequence"].as_u64().expect("a number");
    ahead["ledgers"][&ledger]["sequence"] = (sequence + 1).into();
    let mut other = position();
    other["ledgers"][&ledger]["stream_hash"] = Hash([7; 32]).to_string().into();
    for changed in [ahead, other] {
        std::fs::write(&file, changed.to_string()).expect("written");
        let said = retire(cluster.node(0), &[second], &[]).await.expect_err("behind");
        assert!(said.contains("let the nodes restore it first"), "{said}");
        assert_eq!(messages(&cluster).await, held, "nothing is filed");
    }
    std::fs::write(&file, true_text).expect("written");
    retire(cluster.node(0), &[second], &[]).await.expect("retired");
}
