//! Missing messages: an error that names them, never the next message instead.

use journal::{FollowError, Message};

use crate::helpers::{Broker, PATIENCE, expect, next, settled, text};

fn gap(expected: u64, got: u64) -> FollowError {
    FollowError::Gap { stream: "LEDGER".to_owned(), expected, got }
}

#[tokio::test]
async fn a_hole_in_the_middle_is_an_error_and_the_end() {
    let broker = Broker::with_deletable(6).await;
    broker.delete_message(3).await;
    broker.delete_message(4).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=2).await;
    assert_eq!(settled(&mut follower).await, Err(gap(3, 5)));
    assert_eq!(next(&mut follower).await, None);
    // Beyond the hole all is well.
    expect(&mut broker.stream.follow(5), 5..=6).await;
}

#[tokio::test]
async fn a_missing_beginning_is_an_error() {
    let broker = Broker::with_deletable(3).await;
    broker.delete_message(1).await;
    assert_eq!(settled(&mut broker.stream.follow(1)).await, Err(gap(1, 2)));
}

#[tokio::test]
async fn a_missing_end_is_an_error_and_not_silence() {
    let broker = Broker::with_deletable(4).await;
    broker.delete_message(4).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=3).await;
    assert_eq!(settled(&mut follower).await, Err(gap(4, 5)));
}

#[tokio::test]
async fn everything_missing_is_an_error_and_not_silence() {
    let broker = Broker::with_deletable(2).await;
    broker.delete_message(1).await;
    broker.delete_message(2).await;
    assert_eq!(settled(&mut broker.stream.follow(1)).await, Err(gap(1, 3)));
}

#[tokio::test]
async fn a_follower_told_to_begin_beyond_the_end_is_told_so() {
    let broker = Broker::with_deletable(2).await;
    let noticed = settled(&mut broker.stream.follow(4)).await;
    let stream = "LEDGER".to_owned();
    assert_eq!(noticed, Err(FollowError::Truncated { stream, last: 2, expected: 4 }));
}

#[tokio::test]
async fn a_stream_that_lost_its_end_is_noticed_by_who_had_read_it() {
    let mut broker = Broker::with_stream().await;
    broker.publish(10).await;
    let mut follower = broker.stream.follow(1);
    expect(&mut follower, 1..=10).await;
    broker.server.kill().unwrap();
    broker.server.truncate_tail("LEDGER", 10).unwrap();
    broker.server.restart().await.unwrap();
    broker.journal.connected(PATIENCE).await.unwrap();
    let noticed = settled(&mut follower).await.unwrap_err();
    let stream = "LEDGER".to_owned();
    assert_eq!(noticed, FollowError::Truncated { stream, last: 9, expected: 11 });
}

#[tokio::test]
async fn one_flipped_bit_never_makes_a_follower_skip() {
    let mut broker = Broker::with_stream().await;
    broker.publish(10).await;
    let bytes = broker.server.block_bytes("LEDGER").unwrap();
    broker.server.kill().unwrap();
    // In the middle of what ten messages of equal length take.
    broker.server.flip_bit("LEDGER", usize::try_from(bytes / 2).unwrap()).unwrap();
    broker.server.forget_index("LEDGER").unwrap();
    broker.server.restart().await.unwrap();
    broker.journal.connected(PATIENCE).await.unwrap();
    // Something new, so that a follower that skips would have somewhere to skip to.
    let newest = broker.stream.publish(text(99)).await.unwrap();

    let mut follower = broker.stream.follow(1);
    for sequence in 1..=newest {
        match settled(&mut follower).await {
            Ok(message) if sequence < newest => {
                assert_eq!(message, Message { sequence, payload: text(sequence) });
            }
            Ok(message) => {
                // The server cut the stream at the damage and gave the sequence out again, which
                // only a stream hash can notice.
                assert!(newest < 11, "nothing was noticed, up to {message:?}");
            }
            Err(error) => {
                assert!(matches!(error, FollowError::Gap { .. }), "{error}");
                return;
            }
        }
    }
}
