//! Which steps a set takes, and what is told to those who try others.

use testkit::cluster::Cluster;
use tonic::{Code, Status};

use super::command_line::{run, said};
use super::{SHIPPED, adopt, ours, propose, withdraw};
use crate::tools::reason;

/// There is no such step, and what to do instead is told.
fn is_no_step<T: std::fmt::Debug>(answer: Result<T, Status>, told: &str) {
    let refused = answer.expect_err(told);
    assert_eq!(reason(&refused), "STATUS_STEP_NOT_ALLOWED", "{refused}");
    assert!(refused.message().contains(told), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_takes_each_step_once_and_the_list_says_what_became_of_it() {
    let cluster = Cluster::start(1).await.expect("a node");
    let ada = cluster.client_of(0, "compliance-officer", "ada").unwrap();
    let ben = cluster.client_of(0, "compliance-officer", "ben").unwrap();
    let first = propose(&ada, &ours()).await.expect("proposed").policy_id;
    let second = propose(&ada, SHIPPED).await.expect("proposed").policy_id;
    let third = propose(&ada, SHIPPED).await.expect("proposed").policy_id;
    adopt(&ben, &first).await.expect("adopted");
    adopt(&ben, &second).await.expect("adopted in its place");
    is_no_step(adopt(&ben, &first).await, "propose its text again");
    is_no_step(withdraw(&ben, &first).await, "adopt another set");
    withdraw(&ada, &third).await.expect("withdrawn");
    is_no_step(withdraw(&ada, &third).await, "withdrawn before");
    is_no_step(adopt(&ben, &third).await, "propose its text");
    let shipped = adopt(&ben, "default").await.expect_err("nobody proposed it");
    assert_eq!(shipped.code(), Code::InvalidArgument, "{shipped}");
    assert!(shipped.message().contains("propose its text"), "{shipped}");

    let list = said(&run(&cluster, "ben", &["policy", "list"]));
    for (id, status) in [
        (&*first, "superseded"),
        (&second, "in force"),
        (&third, "withdrawn"),
        ("default", "superseded"),
    ] {
        let line = list.lines().find(|line| line.starts_with(id)).expect("listed");
        assert!(line.contains(status), "{status}: {line}");
    }
}

#[tokio::test]
async fn a_misspelt_role_is_refused_before_it_forbids_nobody() {
    let cluster = Cluster::start(1).await.expect("a node");
    let ada = cluster.client_of(0, "compliance-officer", "ada").unwrap();
    let misspelt =
        "@id(\"x\") forbid (principal in Caseledger::Role::\"nurze\", action, resource);";
    let refused = propose(&ada, &format!("{SHIPPED}{misspelt}")).await.expect_err("no such role");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    let line = SHIPPED.lines().count() + 1;
    assert!(
        refused.message().contains(&format!("line {line}: there is no role nurze")),
        "{refused}"
    );
}
