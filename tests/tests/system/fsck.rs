//! `caseledgerd fsck` on what a real node wrote.

use std::path::Path;
use std::process::Command;

use testkit::client::{Token, request_id};
use testkit::cluster::{Cluster, Node, program};

use crate::tools::{copy, with_notes};
use crate::verifier::{Verifier, covering};

/// Exit code, and what was said.
fn fsck(data: &Path, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(program("caseledgerd").expect("built"));
    let ended = command.arg("fsck").arg("--data").arg(data).args(more).output().expect("ran");
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.code(), String::from_utf8(said).expect("text"))
}

/// What `caseledger ledger` prints, in a file.
fn told(cluster: &Cluster, what: &str) -> String {
    let node: &Node = cluster.node(0);
    let token = Token::signed(&node.state, "auditor", "auditor-1").expect("a token").0;
    let mut command = Command::new(program("caseledger").expect("built"));
    let server = format!("http://{}", node.listen);
    command.env("CASELEDGER_SERVER", server).env("CASELEDGER_TOKEN", &token);
    let text = testkit::cluster::run(command.args(["ledger", what])).expect("answered");
    let file = node.state.join(what);
    std::fs::write(&file, text).expect("written");
    file.to_str().expect("a path").to_owned()
}

#[tokio::test]
async fn a_stopped_nodes_folder_is_intact_and_a_running_ones_is_left_alone() {
    let (mut cluster, client, patient) = with_notes(1, 40).await;
    client.read_file(&patient, None).await.expect("shown");
    let head = cluster.agreed().await.expect("at rest").swap_remove(0);
    let verifier = Verifier::of(&cluster, &head);
    covering(&client, &verifier, head.size).await;
    let checkpoint = told(&cluster, "checkpoint");
    let data = cluster.node(0).data();
    let (code, said) = fsck(&data, &[]);
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("stop the node first"), "{said}");
    let older = cluster.node(0).state.join("older");
    assert_eq!(cluster.node_mut(0).stop().await.expect("it ends"), 0);
    let kept = ["--checkpoint", &checkpoint];
    let (code, said) = fsck(&data, &kept);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("intact: records.0.0") && said.contains("intact: access.0.0"), "{said}");
    // A file that was spoilt says nothing of the ledger.
    let text = std::fs::read_to_string(&checkpoint).expect("readable");
    let root = text.lines().nth(2).expect("a root");
    let first = if root.starts_with('A') { 'B' } else { 'A' };
    let other: String = std::iter::once(first).chain(root.chars().skip(1)).collect();
    let spoilt = cluster.node(0).state.join("spoilt");
    std::fs::write(&spoilt, text.replacen(root, &other, 1)).expect("written");
    let (code, said) = fsck(&data, &["--checkpoint", spoilt.to_str().expect("a path")]);
    assert_eq!(code, Some(12), "{said}");
    assert!(said.contains("not what was signed"), "{said}");
    copy(&data.join("ledger"), &older);

    // killed, not stopped: what is in the log alone is seen
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    client.file_note(&patient, "late", &request_id(), None).await.expect("filed");
    client.read_file(&patient, None).await.expect("shown");
    cluster.node_mut(0).kill().expect("killed");
    let (code, said) = fsck(&data, &["--json"]);
    assert_eq!(code, Some(0), "{said}");
    let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(json["verdict"], "intact");
    assert!(json["ledgers"][0]["records"].as_u64() > Some(head.size), "{said}");

    // Stopped, it tells in position.json how far it was.
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    assert_eq!(cluster.node_mut(0).stop().await.expect("it ends"), 0);
    let (code, said) = fsck(&data, &["--genesis", &format!("records={}", "07".repeat(32))]);
    assert_eq!(code, Some(10), "{said}");
    assert!(said.contains("\ndo: check --genesis first"), "{said}");
    std::fs::remove_dir_all(data.join("ledger")).expect("removed");
    copy(&older, &data.join("ledger"));
    let (code, said) = fsck(&data, &[]);
    assert_eq!(code, Some(11), "{said}");
    assert!(said.contains("position.json"), "{said}");
    std::fs::remove_dir_all(data.join("keys")).expect("removed");
    assert_eq!(fsck(&data, &[]).0, Some(12));
    let (code, said) = fsck(&older, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--genesis"), "{said}");
}

#[tokio::test]
async fn two_nodes_folders_are_intact_also_with_accesses_that_wait_in_the_spool() {
    let (mut cluster, _, patient) = with_notes(2, 20).await;
    for node in [0, 1] {
        let nurse = cluster.client(node, "nurse").unwrap();
        nurse.read_file(&patient, None).await.expect("shown");
        nurse.file_note(&patient, "slept well", &request_id(), None).await.expect("filed");
    }
    let head = cluster.agreed().await.expect("at rest").swap_remove(0);
    let verifier = Verifier::of(&cluster, &head);
    let nurse = cluster.client(0, "nurse").unwrap();
    covering(&nurse, &verifier, head.size).await;
    cluster.nats.kill().expect("killed");
    nurse.read_file(&patient, None).await.expect("shown without the broker");
    for node in [0, 1] {
        cluster.node_mut(node).stop().await.expect("it ends");
        let (code, said) = fsck(&cluster.node(node).data(), &["--json"]);
        assert_eq!(code, Some(0), "{said}");
        let json: serde_json::Value = serde_json::from_str(&said).expect("JSON");
        assert!(node == 1 || json["spooled"].as_u64() > Some(0), "{said}");
    }
    std::fs::remove_dir_all(cluster.node(0).data().join("spool")).expect("removed");
    assert_eq!(fsck(&cluster.node(0).data(), &[]).0, Some(12));
}
