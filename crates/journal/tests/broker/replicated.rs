//! Three servers: what a single one never shows.

use futures::StreamExt;
use journal::{ExpectingFailure, FollowError, Journal, LedgerStream};
use testkit::nats::{NatsServer, cluster};
use testkit::wait::eventually;

use crate::helpers::{Follower, PATIENCE, connect, settled, spec, text};

async fn three() -> (Vec<NatsServer>, Journal, LedgerStream) {
    let servers = cluster(3).await.unwrap();
    let urls: Vec<&str> = servers.iter().map(NatsServer::url).collect();
    let journal = connect(&urls.join(",")).await;
    let stream = journal.stream(spec(3));
    // Until the three have found each other and elected a leader.
    eventually(PATIENCE, "the stream is made", async || Ok(stream.create().await?)).await.unwrap();
    (servers, journal, stream)
}

async fn publish(stream: &LedgerStream, sequence: u64) {
    eventually(PATIENCE, "the message is stored", async || {
        anyhow::ensure!(stream.publish(text(sequence)).await? == sequence);
        Ok(())
    })
    .await
    .unwrap();
}

async fn expect(follower: &mut Follower, sequence: u64) {
    let message = settled(follower).await.unwrap();
    assert_eq!((message.sequence, message.payload), (sequence, text(sequence)));
}

/// The index of the server that leads the stream now.
async fn leading(stream: &LedgerStream) -> usize {
    let leader = stream.inspect().await.unwrap().unwrap().leader;
    leader.trim_start_matches('n').parse().unwrap()
}

#[tokio::test]
async fn the_stream_goes_on_when_its_leader_is_killed() {
    let (mut servers, _journal, stream) = three().await;
    let mut follower = stream.follow(1);
    publish(&stream, 1).await;
    expect(&mut follower, 1).await;

    let index = leading(&stream).await;
    servers[index].kill().unwrap();
    // A leader is elected, and what may or may not have been stored is asked for first.
    eventually(PATIENCE, "another leader answers", async || {
        let facts = stream.inspect().await?.ok_or_else(|| anyhow::anyhow!("no stream"))?;
        anyhow::ensure!(facts.leader != format!("n{index}"), "{facts:?}");
        Ok(())
    })
    .await
    .unwrap();
    publish(&stream, 2).await;
    expect(&mut follower, 2).await;

    servers[index].restart().await.unwrap();
    publish(&stream, 3).await;
    expect(&mut follower, 3).await;
}

#[tokio::test]
async fn publishes_in_flight_each_onto_its_predecessor_keep_their_order() {
    const MESSAGES: u64 = 300;
    let (_servers, _journal, stream) = three().await;
    publish(&stream, 1).await;
    let one = |sequence| stream.publish_expecting(sequence - 1, text(sequence));
    let stored: Vec<_> = futures::stream::iter(2..=MESSAGES).map(one).buffered(64).collect().await;
    // None is refused for what is still in process before it.
    assert_eq!(stored, (2..=MESSAGES).map(Ok).collect::<Vec<_>>());
    let mut follower = stream.follow(1);
    for sequence in 1..=MESSAGES {
        expect(&mut follower, sequence).await;
    }
}

#[tokio::test]
async fn two_healers_at_once_rebuild_one_stream() {
    const MESSAGES: u64 = 40;
    let (servers, _journal, stream) = three().await;
    let urls: Vec<&str> = servers.iter().map(NatsServer::url).collect();
    let other = connect(&urls.join(",")).await.stream(spec(3));
    let heal = async |stream: &LedgerStream| {
        let mut stored = 0_u64;
        let mut last = 0;
        while last < MESSAGES {
            match stream.publish_expecting(last, text(last + 1)).await {
                Ok(sequence) => {
                    assert_eq!(sequence, last + 1);
                    stored += 1;
                    last = sequence;
                }
                Err(ExpectingFailure::WrongLast { .. }) => {
                    last = stream.inspect().await.unwrap().unwrap().last;
                }
                Err(ExpectingFailure::Failed(failure)) => panic!("{failure}"),
            }
        }
        stored
    };
    let (one, two) = tokio::join!(heal(&stream), heal(&other));
    assert_eq!(one + two, MESSAGES);
    let mut follower = stream.follow(1);
    for sequence in 1..=MESSAGES {
        expect(&mut follower, sequence).await;
    }
}

#[tokio::test]
async fn without_a_majority_nothing_is_stored_and_the_follower_says_so() {
    majority_lost(1).await;
}

// It goes on answering, and its consumers keep saying that they live.
#[tokio::test]
async fn a_leader_left_alone_stores_nothing_and_the_follower_says_so() {
    majority_lost(0).await;
}

/// Only the server so many after the leader is left.
async fn majority_lost(after_leader: usize) {
    let (mut servers, _journal, stream) = three().await;
    publish(&stream, 1).await;
    let mut follower = stream.follow(1);
    expect(&mut follower, 1).await;
    let left = (leading(&stream).await + after_leader) % servers.len();
    for lost in (0..servers.len()).filter(|index| *index != left) {
        servers[lost].kill().unwrap();
    }
    let refused = stream.publish(text(2)).await;
    assert!(refused.is_err(), "{refused:?}");
    let told = tokio::time::timeout(PATIENCE, futures::StreamExt::next(&mut follower)).await;
    assert!(matches!(told, Ok(Some(Err(FollowError::Unavailable(_))))), "{told:?}");
    for lost in (0..servers.len()).filter(|index| *index != left) {
        servers[lost].restart().await.unwrap();
    }
    // Whether the refused message was stored is unknown: the next one shows.
    let next = eventually(PATIENCE, "a majority stores again", async || {
        Ok(stream.publish(bytes::Bytes::from_static(b"after")).await?)
    })
    .await
    .unwrap();
    for sequence in 2..=next {
        assert_eq!(settled(&mut follower).await.unwrap().sequence, sequence);
    }
}
