//! Policies of a hospital's own by the command line.

use std::process::{Command, Output};

use testkit::client::Token;
use testkit::cluster::{Cluster, program};

use super::{SHIPPED, ours};

/// The command line, by this compliance officer.
pub(super) fn run(cluster: &Cluster, person: &str, what: &[&str]) -> Output {
    let state = &cluster.node(0).state;
    let token = Token::signed(state, "compliance-officer", person).expect("a token").0;
    let mut command = Command::new(program("caseledger").expect("built"));
    command
        .env("CASELEDGER_SERVER", format!("http://{}", cluster.node(0).listen))
        .env("CASELEDGER_TOKEN", token);
    command.args(what).output().expect("it runs")
}

pub(super) fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_goes_from_a_file_to_what_is_in_force() {
    let cluster = Cluster::start(1).await.expect("a node");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("ours.cedar");
    let path = file.to_str().expect("text");
    let shipped = said(&run(&cluster, "ada", &["policy", "show", "default", "--text"]));
    assert_eq!(shipped.trim_end(), SHIPPED.trim_end(), "to begin with");
    std::fs::write(&file, format!("{SHIPPED}permit")).expect("written");
    let refused = run(&cluster, "ada", &["policy", "propose", path, "--reason", "so"]);
    let why = String::from_utf8(refused.stderr).expect("text");
    let line = format!("line {}: ", SHIPPED.lines().count() + 1);
    assert!(refused.status.code() == Some(1) && why.contains(&line), "{why}");
    std::fs::write(&file, ours()).expect("written");
    let silent = run(&cluster, "ada", &["policy", "propose", path]);
    assert_eq!(silent.status.code(), Some(2), "every step says why");
    let proposed = run(&cluster, "ada", &["policy", "propose", path, "--reason", "so", "--json"]);
    let proposed: serde_json::Value = serde_json::from_str(&said(&proposed)).expect("JSON");
    let id = proposed["policy_id"].as_str().expect("an id");
    let from = ["--from", "2026-01-01"];
    // The first calls were before the trail is read: what the command line itself did.
    let tried = run(&cluster, "ben", &[&["policy", "try", id, "--json"], &from[..]].concat());
    let tried: serde_json::Value = serde_json::from_str(&said(&tried)).expect("JSON");
    assert_eq!(tried["ended"]["would_be_denied"], 0);
    assert_eq!(tried["started"]["version"], proposed["version"]);
    let text = said(&run(&cluster, "ben", &[&["policy", "try", path], &from[..]].concat()));
    assert!(text.contains("0 would be denied that were let in, 0 let in"), "{text}");
    let own = run(&cluster, "ada", &["policy", "adopt", id, "--reason", "mine"]);
    assert_eq!(own.status.code(), Some(1));
    said(&run(&cluster, "ben", &["policy", "adopt", id, "--reason", "agreed"]));
    let list = said(&run(&cluster, "ben", &["policy", "list"]));
    assert!(list.lines().nth(1).is_some_and(|line| line.contains("in force")), "{list}");
    let show = said(&run(&cluster, "ben", &["policy", "show"]));
    assert!(show.contains("by ada: so\n") && show.contains("by ben: agreed\n"), "{show}");
    let late = run(&cluster, "ben", &["policy", "withdraw", id, "--reason", "no"]);
    assert_eq!(late.status.code(), Some(1), "what is adopted is replaced by another");
    let shipped = list.lines().find(|line| line.contains("default")).expect("the shipped set");
    assert!(shipped.contains("superseded"), "{list}");
}
