//! A stream of some length is rebuilt in order, by one node and by two at once.

use testkit::cluster::Cluster;

use crate::tools::{RECORDS, holds, jetstream, lengthen, messages, some_notes};

/// Enough that two nodes meet on the way.
const MESSAGES: usize = 2_000;

/// Deletes the stream under so many nodes, and sees that it comes back as it was.
async fn rebuilt_by(nodes: usize) {
    let cluster = Cluster::start(nodes).await.expect("the nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    lengthen(&cluster, MESSAGES).await;
    some_notes(&manager, &patient, 3).await;
    let before = cluster.agreed().await.expect("agreed");
    let held = messages(&cluster).await;
    jetstream(&cluster).await.delete_stream(RECORDS).await.expect("deleted");

    holds(&cluster, &held).await;
    for node in &cluster.nodes {
        node.serving().await.expect("serving again");
    }
    some_notes(&manager, &patient, 1).await;
    let after = cluster.agreed().await.expect("agreed");
    assert_eq!(after[0].size, before[0].size + 1, "nothing lost, nothing twice");
}

#[tokio::test]
async fn invariant_6_a_long_stream_is_rebuilt_in_order() {
    rebuilt_by(1).await;
}

#[tokio::test]
async fn invariant_6_a_long_stream_is_rebuilt_in_order_by_two_nodes_at_once() {
    rebuilt_by(2).await;
}
