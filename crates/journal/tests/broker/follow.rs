//! Every sequence or an error, over outages and restarts.

use futures::{FutureExt, StreamExt};
use journal::{FollowError, Journal};

use crate::helpers::{Broker, PATIENCE, expect, next, settled, spec, text};

#[tokio::test]
async fn what_is_there_comes_first_and_then_what_is_published() {
    let broker = Broker::with_stream().await;
    broker.publish(3).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=3).await;
    assert!(follower.next().now_or_never().is_none());
    broker.publish(2).await;
    expect(&mut follower, 4..=5).await;
}

#[tokio::test]
async fn a_follower_begins_where_it_is_told() {
    let broker = Broker::with_stream().await;
    broker.publish(4).await;
    expect(&mut broker.stream.follow(3), 3..=4).await;
    let mut at_the_end = broker.stream.follow(5);
    assert!(at_the_end.next().now_or_never().is_none());
    broker.publish(1).await;
    expect(&mut at_the_end, 5..=5).await;
    // Before the first is the first.
    expect(&mut broker.stream.follow(0), 1..=5).await;
}

#[tokio::test]
async fn more_than_one_request_holds_comes_without_a_hole() {
    let broker = Broker::with_stream().await;
    let mut follower = broker.stream.follow(1);
    // Several at a time, so that requests end in the middle of what arrives.
    for _ in 0..40 {
        let batch = (0..25).map(|_| broker.stream.publish(bytes::Bytes::from_static(b"x")));
        assert!(futures::future::join_all(batch).await.iter().all(Result::is_ok));
    }
    for sequence in 1..=1000 {
        assert_eq!(settled(&mut follower).await.unwrap().sequence, sequence);
    }
}

#[tokio::test]
async fn a_quiet_follower_outlives_its_requests() {
    let broker = Broker::with_stream().await;
    broker.publish(1).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=1).await;
    // Longer than a request waits at the server; a timeout that must pass, not a pause.
    let quiet = tokio::time::timeout(std::time::Duration::from_secs(4), follower.next()).await;
    assert!(quiet.is_err(), "{quiet:?}");
    broker.publish(1).await;
    expect(&mut follower, 2..=2).await;
}

#[tokio::test]
async fn killed_and_restarted_the_follower_goes_on_where_it_was() {
    let mut broker = Broker::with_stream().await;
    broker.publish(3).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=2).await;
    for round in 0..3 {
        broker.server.kill().unwrap();
        broker.disconnected().await;
        broker.server.restart().await.unwrap();
        broker.journal.connected(PATIENCE).await.unwrap();
        broker.publish(2).await;
        expect(&mut follower, 3 + 2 * round..=4 + 2 * round).await;
    }
}

#[tokio::test]
async fn an_outage_is_told_once_and_waited_out() {
    let mut broker = Broker::with_stream().await;
    broker.publish(1).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=1).await;
    broker.server.kill().unwrap();
    let told = next(&mut follower).await.unwrap().unwrap_err();
    assert!(matches!(told, FollowError::Unavailable(_)) && !told.is_final(), "{told}");
    assert!(follower.next().now_or_never().is_none());
    broker.server.restart().await.unwrap();
    broker.journal.connected(PATIENCE).await.unwrap();
    broker.publish(1).await;
    expect(&mut follower, 2..=2).await;
}

#[tokio::test]
async fn a_follower_may_begin_before_its_broker() {
    let mut broker = Broker::with_stream().await;
    broker.publish(1).await;
    broker.server.kill().unwrap();
    let journal = Journal::connect(broker.server.url(), None).await.unwrap();
    let mut follower = journal.stream(spec(1)).follow(1);
    let told = next(&mut follower).await.unwrap();
    assert!(matches!(told, Err(FollowError::Unavailable(_))), "{told:?}");
    broker.server.restart().await.unwrap();
    expect(&mut follower, 1..=1).await;
}

#[tokio::test]
async fn a_frozen_server_is_waited_for() {
    let broker = Broker::with_stream().await;
    broker.publish(1).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=1).await;
    broker.server.pause().unwrap();
    let told = next(&mut follower).await.unwrap();
    assert!(matches!(told, Err(FollowError::Unavailable(_))), "{told:?}");
    broker.server.resume().unwrap();
    broker.journal.connected(PATIENCE).await.unwrap();
    broker.publish(1).await;
    expect(&mut follower, 2..=2).await;
}

#[tokio::test]
async fn a_stream_that_was_made_anew_is_noticed_though_it_looks_the_same() {
    let broker = Broker::with_stream().await;
    broker.publish(2).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=2).await;
    broker.stream.delete().await.unwrap();
    broker.stream.create().await.unwrap();
    broker.publish(5).await;
    let noticed = settled(&mut follower).await.unwrap_err();
    assert!(matches!(noticed, FollowError::Recreated { .. }) && noticed.is_final(), "{noticed}");
    assert_eq!(next(&mut follower).await, None);
}

#[tokio::test]
async fn a_stream_that_was_made_anew_during_an_outage_is_noticed() {
    let mut broker = Broker::with_stream().await;
    broker.publish(2).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=2).await;
    broker.server.kill().unwrap();
    broker.disconnected().await;
    broker.server.restart().await.unwrap();
    broker.journal.connected(PATIENCE).await.unwrap();
    broker.stream.delete().await.unwrap();
    broker.stream.create().await.unwrap();
    broker.publish(2).await;
    assert_eq!(broker.stream.read(2).await, Ok(Some(text(2))));
    let noticed = settled(&mut follower).await.unwrap_err();
    assert!(matches!(noticed, FollowError::Recreated { .. }), "{noticed}");
}

#[tokio::test]
async fn a_deleted_stream_is_an_error_and_not_silence() {
    let broker = Broker::with_stream().await;
    broker.publish(1).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=1).await;
    broker.stream.delete().await.unwrap();
    let noticed = settled(&mut follower).await;
    assert_eq!(noticed, Err(FollowError::Missing { stream: "LEDGER".to_owned() }));
    assert_eq!(next(&mut follower).await, None);
    let at_first = settled(&mut broker.stream.follow(1)).await;
    assert_eq!(at_first, Err(FollowError::Missing { stream: "LEDGER".to_owned() }));
}
