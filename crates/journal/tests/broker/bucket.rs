//! The bucket of wrapped keys: created once, replaced only knowingly.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use journal::{BucketFailure, CreateError, FollowError, KeyBucket, KeyChange};
use serde_json::json;

use crate::helpers::{Broker, PATIENCE};

async fn bucket() -> (Broker, KeyBucket) {
    let broker = Broker::empty().await;
    let bucket = broker.journal.bucket("caseledger-keys", 1);
    bucket.create_bucket().await.unwrap();
    (broker, bucket)
}

fn value(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

async fn next(changes: &mut BoxStream<'static, Result<KeyChange, FollowError>>) -> KeyChange {
    loop {
        let item = tokio::time::timeout(PATIENCE, changes.next()).await.expect("a change in time");
        match item.expect("the watch goes on") {
            Err(FollowError::Unavailable(_)) => {}
            item => return item.unwrap(),
        }
    }
}

#[tokio::test]
async fn an_entry_is_created_once() {
    let (_broker, bucket) = bucket().await;
    let first = bucket.create("node-1.1", value("a")).await.unwrap();
    let taken = bucket.create("node-1.1", value("b")).await;
    assert_eq!(taken, Err(BucketFailure::Exists { name: "node-1.1".to_owned() }));
    // The same bytes are an earlier attempt of the same writer.
    assert_eq!(bucket.create("node-1.1", value("a")).await, Ok(first));
    let held = bucket.get("node-1.1").await.unwrap().unwrap();
    assert_eq!((held.bytes, held.revision), (value("a"), first));
    assert_eq!(bucket.get("node-1.2").await, Ok(None));
    let unnamed = bucket.create("*", value("a")).await;
    assert_eq!(unnamed, Err(BucketFailure::Name { name: "*".to_owned() }));
}

#[tokio::test]
async fn an_entry_is_replaced_only_from_the_revision_it_has() {
    let (_broker, bucket) = bucket().await;
    let first = bucket.create("n", value("a")).await.unwrap();
    let second = bucket.update("n", value("b"), first).await.unwrap();
    assert!(second > first);
    let late = bucket.update("n", value("c"), first).await;
    assert_eq!(late, Err(BucketFailure::Changed { name: "n".to_owned(), expected: first }));
    assert_eq!(bucket.update("n", value("b"), first).await, Ok(second));
    assert_eq!(bucket.get("n").await.unwrap().unwrap().bytes, value("b"));
    // One value an entry: what was replaced cannot be read any more.
    assert_eq!(bucket.inspect().await.unwrap().unwrap().messages, 1);
}

#[tokio::test]
async fn all_entries_are_listed_as_they_are_now() {
    let (_broker, bucket) = bucket().await;
    assert_eq!(bucket.all().await.unwrap(), []);
    let first = bucket.create("b", value("1")).await.unwrap();
    bucket.create("a", value("2")).await.unwrap();
    bucket.update("b", value("3"), first).await.unwrap();
    let all = bucket.all().await.unwrap();
    let all: Vec<_> = all.iter().map(|entry| (entry.name.as_str(), &entry.bytes)).collect();
    assert_eq!(all, [("a", &value("2")), ("b", &value("3"))]);
}

#[tokio::test]
async fn a_watch_shows_what_is_there_then_every_change_over_a_restart() {
    let (mut broker, bucket) = bucket().await;
    bucket.create("a", value("1")).await.unwrap();
    let mut changes = bucket.watch(1);
    assert_eq!(next(&mut changes).await.name, "a");
    let b = bucket.create("b", value("2")).await.unwrap();
    assert_eq!(next(&mut changes).await.revision, b);
    broker.server.kill().unwrap();
    broker.disconnected().await;
    broker.server.restart().await.unwrap();
    broker.journal.connected(PATIENCE).await.unwrap();
    bucket.update("b", value("3"), b).await.unwrap();
    let change = next(&mut changes).await;
    assert_eq!((change.name.as_str(), change.bytes), ("b", Some(value("3"))));
}

#[tokio::test]
async fn a_deletion_shows_and_is_healed_by_creating_again() {
    let (broker, bucket) = bucket().await;
    bucket.create("a", value("1")).await.unwrap();
    let client = async_nats::connect(broker.server.url()).await.unwrap();
    let store = async_nats::jetstream::new(client).get_key_value("caseledger-keys").await.unwrap();
    assert_eq!(store.get("a").await.unwrap(), Some(value("1")));
    store.delete("a").await.unwrap();
    assert_eq!(bucket.get("a").await, Ok(None));
    assert_eq!(bucket.all().await, Ok(Vec::new()));
    let mut changes = bucket.watch(1);
    assert_eq!(next(&mut changes).await.bytes, None);
    let healed = bucket.create("a", value("1")).await.unwrap();
    let change = next(&mut changes).await;
    assert_eq!((change.bytes, change.revision), (Some(value("1")), healed));
}

#[tokio::test]
async fn a_bucket_is_neither_taken_over_nor_accepted_when_weaker() {
    let (broker, bucket) = bucket().await;
    let again = bucket.create_bucket().await;
    assert_eq!(again, Err(CreateError::Exists { name: "KV_caseledger-keys".to_owned() }));
    let mut config =
        broker.api("STREAM.INFO.KV_caseledger-keys", &json!({})).await["config"].take();
    config["max_msgs_per_subject"] = json!(5);
    broker.api("STREAM.UPDATE.KV_caseledger-keys", &config).await;
    let refused = bucket.inspect().await.unwrap_err().to_string();
    assert!(refused.contains("max_msgs_per_subject must be 1 but is 5"), "{refused}");
}
