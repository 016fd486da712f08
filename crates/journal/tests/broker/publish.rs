//! Stored, not stored, or unknown: never one for the other.

use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{ACK_TIMEOUT, ExpectingFailure, Journal, PublishFailure};

use crate::helpers::{Broker, PATIENCE, text};

#[tokio::test]
async fn during_an_outage_nothing_is_stored_and_nobody_waits() {
    let mut broker = Broker::with_stream().await;
    broker.publish(1).await;
    broker.server.kill().unwrap();
    broker.disconnected().await;

    let began = Instant::now();
    let failed = broker.stream.publish(text(2)).await;
    assert!(matches!(failed, Err(PublishFailure::NotStored(_))), "{failed:?}");
    assert!(began.elapsed() < ACK_TIMEOUT / 10, "it took {:?}", began.elapsed());

    // And it is not stored later either.
    broker.server.restart().await.unwrap();
    broker.journal.connected(PATIENCE).await.unwrap();
    assert_eq!(broker.stream.publish(text(2)).await, Ok(2));
    assert_eq!(broker.last().await, 2);
}

#[tokio::test]
async fn before_the_first_connection_nothing_is_stored_either() {
    let journal = Journal::connect("nats://127.0.0.1:1", None).await.unwrap();
    let stream = journal.stream(crate::helpers::spec(1));
    let failed = stream.publish(text(1)).await;
    assert!(matches!(failed, Err(PublishFailure::NotStored(_))), "{failed:?}");
    assert!(journal.connected(Duration::from_millis(1)).await.is_err());
}

#[tokio::test]
async fn killed_in_flight_is_unknown_as_soon_as_the_connection_is_lost() {
    let mut broker = Broker::with_stream().await;
    broker.publish(1).await;
    // Frozen, the server keeps the connection and answers nothing.
    broker.server.pause().unwrap();
    let stream = broker.stream.clone();
    let began = Instant::now();
    let mut publishing = std::pin::pin!(stream.publish(text(2)));
    assert!(futures::poll!(publishing.as_mut()).is_pending());
    broker.server.kill().unwrap();

    let failed = publishing.await;
    assert!(matches!(failed, Err(PublishFailure::Unknown(_))), "{failed:?}");
    assert!(began.elapsed() < ACK_TIMEOUT, "it took {:?}", began.elapsed());
}

#[tokio::test]
async fn a_message_that_got_no_answer_in_time_may_be_stored_all_the_same() {
    let broker = Broker::with_stream().await;
    broker.publish(1).await;
    broker.server.pause().unwrap();
    let failed = broker.stream.publish(text(2)).await;
    assert!(matches!(failed, Err(PublishFailure::Unknown(_))), "{failed:?}");
    broker.server.resume().unwrap();
    broker.journal.connected(PATIENCE).await.unwrap();
    // What the server had received while frozen, it stores now.
    let mut follower = broker.stream.follow(1);
    crate::helpers::expect(&mut follower, 1..=2).await;
}

#[tokio::test]
async fn a_message_for_no_stream_or_too_large_is_not_stored() {
    let broker = Broker::empty().await;
    let failed = broker.stream.publish(text(1)).await;
    assert!(matches!(failed, Err(PublishFailure::NotStored(_))), "{failed:?}");

    broker.stream.create().await.unwrap();
    let failed = broker.stream.publish(Bytes::from(vec![0; 2 * 1024 * 1024])).await;
    assert!(matches!(failed, Err(PublishFailure::NotStored(_))), "{failed:?}");
    let largest = Bytes::from(vec![7; 512 * 1024]);
    assert_eq!(broker.stream.publish(largest.clone()).await, Ok(1));
    assert_eq!(broker.stream.read(1).await, Ok(Some(largest)));
}

#[tokio::test]
async fn another_stream_that_took_the_subject_gets_nothing() {
    let broker = Broker::empty().await;
    let other = broker.journal.stream(journal::StreamSpec {
        name: "OTHER".to_owned(),
        subject: "ledger".to_owned(),
        replicas: 1,
    });
    other.create().await.unwrap();
    let failed = broker.stream.publish(text(1)).await;
    assert!(matches!(failed, Err(PublishFailure::NotStored(_))), "{failed:?}");
    assert_eq!(other.inspect().await.unwrap().unwrap().last, 0);
}

#[tokio::test]
async fn an_expected_last_sequence_that_is_another_refuses_the_message() {
    let broker = Broker::with_stream().await;
    assert_eq!(broker.stream.publish_expecting(0, text(1)).await, Ok(1));
    let late = broker.stream.publish_expecting(0, text(1)).await;
    assert_eq!(late, Err(ExpectingFailure::WrongLast { expected: 0 }));
    let early = broker.stream.publish_expecting(7, text(8)).await;
    assert_eq!(early, Err(ExpectingFailure::WrongLast { expected: 7 }));
    assert_eq!(broker.stream.publish_expecting(1, text(2)).await, Ok(2));
}
