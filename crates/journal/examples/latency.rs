//! How long a synced publish takes on this machine, and how long until a follower has the message.
//!
//! `cargo run -p journal --example latency [MESSAGES [BYTES]]`

#![expect(clippy::print_stdout, reason = "it is a program that prints figures")]

use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use futures::StreamExt;
use journal::{Journal, StreamSpec};
use testkit::nats::NatsServer;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default| arguments.next().map_or(Ok(default), |text| text.parse::<usize>());
    let (messages, bytes) = (number(2_000)?, number(500)?);

    let server = NatsServer::start().await?;
    let journal = Journal::connect(server.url(), None).await?;
    journal.connected(Duration::from_secs(10)).await?;
    journal.check_servers(&[server.monitor_url()]).await?;
    let spec = StreamSpec { name: "LEDGER".to_owned(), subject: "ledger".to_owned(), replicas: 1 };
    let stream = journal.stream(spec);
    stream.create().await?;
    let payload = Bytes::from(vec![7; bytes]);

    let mut follower = stream.follow(1);
    let (mut acknowledged, mut followed) = (Vec::new(), Vec::new());
    for _ in 0..messages {
        let began = Instant::now();
        let publishing = async { stream.publish(payload.clone()).await.map(|_| began.elapsed()) };
        let following = async { follower.next().await.map(|item| item.map(|_| began.elapsed())) };
        let (ack, message) = tokio::join!(publishing, following);
        acknowledged.push(ack?);
        followed.push(message.context("the follower ended")??);
    }
    print("publish until acknowledged", acknowledged);
    print("publish until followed", followed);

    let began = Instant::now();
    let all: Vec<_> = stream.follow(1).take(messages).collect().await;
    anyhow::ensure!(all.iter().all(Result::is_ok), "the replay failed");
    let seconds = began.elapsed().as_secs_f64();
    println!("replay of {messages} messages of {bytes} bytes: {:.0}/s", all.len() as f64 / seconds);
    Ok(())
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |share: usize| times.get(times.len() * share / 100).copied().unwrap_or_default();
    println!("{what}: p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99));
}
