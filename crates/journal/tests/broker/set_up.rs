//! What is refused before anything is published: streams and servers that promise less.

use journal::{CreateError, InspectError, ServerCheckError};
use serde_json::json;
use testkit::nats::{NatsServer, Settings};

use crate::helpers::{Broker, connect, text};

#[tokio::test]
async fn a_new_stream_is_whole_and_is_never_taken_over() {
    let broker = Broker::empty().await;
    assert_eq!(broker.stream.inspect().await, Ok(None));
    broker.stream.create().await.unwrap();
    let facts = broker.stream.inspect().await.unwrap().unwrap();
    assert!(facts.is_whole() && facts.last == 0 && facts.created > 0, "{facts:?}");
    let again = broker.stream.create().await;
    assert_eq!(again, Err(CreateError::Exists { name: "LEDGER".to_owned() }));

    broker.publish(3).await;
    let facts = broker.stream.inspect().await.unwrap().unwrap();
    assert!(facts.is_whole(), "{facts:?}");
    assert_eq!((facts.first, facts.last, facts.messages, facts.deleted), (1, 3, 3, 0));
    assert_eq!(broker.stream.read(2).await, Ok(Some(text(2))));
    assert_eq!(broker.stream.read(4).await, Ok(None));
}

#[tokio::test]
async fn creating_over_a_stream_of_another_set_up_is_refused_too() {
    let broker = Broker::empty().await;
    broker.create_raw(&json!({ "max_age": 3_600_000_000_000_u64 })).await;
    let refused = broker.stream.create().await;
    assert_eq!(refused, Err(CreateError::Exists { name: "LEDGER".to_owned() }));
}

#[tokio::test]
async fn a_weaker_stream_is_refused_with_the_exact_difference() {
    let broker = Broker::empty().await;
    broker
        .create_raw(&json!({
            "deny_delete": false, "storage": "memory", "max_msgs": 1000,
            "duplicate_window": 120_000_000_000_u64,
        }))
        .await;
    let Err(InspectError::Weaker(difference)) = broker.stream.inspect().await else {
        panic!("the stream was accepted");
    };
    assert_eq!(
        difference.to_string(),
        "stream LEDGER is not set up as required: storage must be File but is Memory; max_msgs \
         must be -1 but is 1000; duplicate_window must be 100ms but is 120s; deny_delete must be \
         true but is false"
    );
}

#[tokio::test]
async fn more_replicas_than_servers_are_refused_by_the_broker() {
    let broker = Broker::empty().await;
    let stream = broker.journal.stream(crate::helpers::spec(3));
    let refused = stream.create().await.unwrap_err();
    assert!(matches!(refused, CreateError::Refused { .. }), "{refused}");
    assert!(refused.to_string().contains("replicas > 1 not supported"), "{refused}");
}

#[tokio::test]
async fn a_deleted_stream_is_gone_and_may_be_made_anew() {
    let broker = Broker::with_stream().await;
    broker.publish(2).await;
    let before = broker.stream.inspect().await.unwrap().unwrap();
    broker.stream.delete().await.unwrap();
    broker.stream.delete().await.unwrap();
    assert_eq!(broker.stream.inspect().await, Ok(None));
    broker.stream.create().await.unwrap();
    let after = broker.stream.inspect().await.unwrap().unwrap();
    assert!(after.created > before.created && after.last == 0, "{before:?} {after:?}");
}

#[tokio::test]
async fn a_careful_server_is_accepted_and_a_careless_one_named() {
    let careful = NatsServer::start().await.unwrap();
    let settings =
        Settings { sync_interval: "2m".to_owned(), max_payload: 65_536, ..Settings::default() };
    let careless = NatsServer::with(settings).await.unwrap();
    let journal = connect(careful.url()).await;

    journal.check_servers(&[careful.monitor_url()]).await.unwrap();
    let monitors = [careful.monitor_url(), careless.monitor_url()];
    let refused = journal.check_servers(&monitors).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!(
            "server {} is not set up as required: max_payload must be at least 540672 but is \
             65536; sync_interval must be always but is 120s",
            careless.monitor_url()
        )
    );
}

#[tokio::test]
async fn a_server_that_cannot_be_asked_is_not_accepted() {
    let mut server = NatsServer::start().await.unwrap();
    let journal = connect(server.url()).await;
    let none: [&str; 0] = [];
    let unasked = journal.check_servers(&none).await;
    assert!(matches!(unasked, Err(ServerCheckError::NoMonitors)), "{unasked:?}");
    // The client port talks, but not HTTP.
    let wrong_port = server.url().replace("nats://", "http://");
    let refused = journal.check_servers(&[wrong_port]).await;
    assert!(matches!(refused, Err(ServerCheckError::Unreachable { .. })), "{refused:?}");
    server.kill().unwrap();
    let refused = journal.check_servers(&[server.monitor_url()]).await;
    assert!(matches!(refused, Err(ServerCheckError::Unreachable { .. })), "{refused:?}");
}
