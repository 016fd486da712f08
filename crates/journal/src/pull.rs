//! One short-lived consumer and the requests that keep messages coming from it.
//!
//! A message reaches the caller as soon as it is stored: a request for more waits at the server at
//! all times. Anything unusual ends the consumer, and whoever uses it opens another by sequence;
//! nothing is mended here, because a consumer that is mended is where messages get lost.

use std::time::Duration;

use async_nats::{HeaderMap, StatusCode, Subscriber};
use bytes::Bytes;
use futures::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;

use crate::Journal;
use crate::api::STREAM_NOT_FOUND;
use crate::stream::Unavailable;

/// Messages asked for at a time; at most one and a half of these are under way, which at 512 KiB
/// each is 48 MiB and stays below the 64 MiB that a server buffers for one connection.
const BATCH: u64 = 64;
/// How long a request waits at the server. Its end is the occasion to look whether the stream is
/// still the same one.
const EXPIRES: Duration = Duration::from_secs(3);
/// How often a server says that a waiting request is alive.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Silence after which the consumer, or the server that runs it, is taken for dead: three
/// heartbeats, so that a busy machine does not look like a dead one.
const SILENCE: Duration = Duration::from_secs(3);
/// When a server forgets a consumer that asks for nothing: above any pause of a follower that is
/// applying what it has in hand, and if it is not, another consumer is opened.
const FORGOTTEN: Duration = Duration::from_secs(30);

/// A message as a consumer delivered it.
#[derive(Debug)]
pub(crate) struct Delivered {
    pub(crate) sequence: u64,
    pub(crate) subject: String,
    pub(crate) headers: Option<HeaderMap>,
    pub(crate) payload: Bytes,
}

/// What a consumer had to say.
#[derive(Debug)]
pub(crate) enum Word {
    Delivered(Delivered),
    /// A whole request went by without a message.
    Idle,
}

/// Why this consumer is of no more use.
#[derive(Debug)]
pub(crate) struct Trouble {
    pub(crate) cause: String,
    /// Whether it ever answered: one that did can be replaced at once, without a pause.
    pub(crate) was_alive: bool,
}

#[derive(Debug)]
pub(crate) enum OpenFailure {
    NoStream,
    Unavailable(Unavailable),
}

impl From<Unavailable> for OpenFailure {
    fn from(unavailable: Unavailable) -> Self {
        OpenFailure::Unavailable(unavailable)
    }
}

#[derive(Deserialize)]
struct ConsumerInfo {
    name: String,
    #[serde(default)]
    num_pending: u64,
}

pub(crate) struct Pull {
    journal: Journal,
    requests: String,
    inbox: String,
    subscriber: Subscriber,
    losses: watch::Receiver<u64>,
    /// Messages asked for and not delivered yet.
    credit: u64,
    alive: bool,
    delivered_since_request: bool,
    /// What the consumer had to deliver when it was made.
    pub(crate) pending_at_first: u64,
}

impl Pull {
    /// Makes a consumer of `stream` that begins at sequence `from`, or at the first after it.
    pub(crate) async fn open(
        journal: &Journal,
        stream: &str,
        from: u64,
    ) -> Result<Pull, OpenFailure> {
        // Before anything is sent: whatever is lost from here on is noticed.
        let mut losses = journal.losses.clone();
        losses.mark_unchanged();
        let config = json!({
            "stream_name": stream,
            "config": {
                "deliver_policy": "by_start_sequence",
                "opt_start_seq": from,
                "ack_policy": "none",
                "replay_policy": "instant",
                "inactive_threshold": nanos(FORGOTTEN),
                "num_replicas": 1,
                "mem_storage": true,
            },
        });
        let subject = format!("CONSUMER.CREATE.{stream}");
        let info = match journal.ask::<ConsumerInfo>(&subject, &config).await? {
            Ok(info) => info,
            Err(error) if error.number == STREAM_NOT_FOUND => {
                return Err(OpenFailure::NoStream);
            }
            Err(error) => return Err(OpenFailure::Unavailable(Unavailable::from(&error))),
        };
        let inbox = journal.client.new_inbox();
        let subscriber = journal
            .client
            .subscribe(inbox.clone())
            .await
            .map_err(|error| Unavailable::new(error.to_string()))?;
        Ok(Pull {
            journal: journal.clone(),
            requests: format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{}", info.name),
            inbox,
            subscriber,
            losses,
            credit: 0,
            alive: false,
            delivered_since_request: false,
            pending_at_first: info.num_pending,
        })
    }

    /// Waits for the next message.
    pub(crate) async fn next(&mut self) -> Result<Word, Trouble> {
        loop {
            if self.credit <= BATCH / 2 {
                self.request().await?;
            }
            let message = tokio::select! {
                biased;
                message = tokio::time::timeout(SILENCE, self.subscriber.next()) => message,
                _ = self.losses.changed() => return Err(self.trouble("the connection was lost")),
            };
            let message = match message {
                Ok(Some(message)) => message,
                Ok(None) => return Err(self.trouble("the subscription ended")),
                Err(_) => return Err(self.trouble("no heartbeat")),
            };
            match message.status {
                None => return self.delivered(message).map(Word::Delivered),
                Some(StatusCode::IDLE_HEARTBEAT) => self.alive = true,
                Some(StatusCode::TIMEOUT) => {
                    self.alive = true;
                    self.credit = self.credit.saturating_sub(unused(message.headers.as_ref()));
                    if !std::mem::take(&mut self.delivered_since_request) {
                        return Ok(Word::Idle);
                    }
                }
                Some(status) => {
                    let words = message.description.unwrap_or_default();
                    return Err(self.trouble(&format!("the consumer ended: {status} {words}")));
                }
            }
        }
    }

    async fn request(&mut self) -> Result<(), Trouble> {
        let request = json!({
            "batch": BATCH,
            "expires": nanos(EXPIRES),
            "idle_heartbeat": nanos(HEARTBEAT),
        });
        let (subject, reply) = (self.requests.clone(), self.inbox.clone());
        let sent = self.journal.client.publish_with_reply(
            subject,
            reply,
            Bytes::from(request.to_string()),
        );
        sent.await.map_err(|error| self.trouble(&error.to_string()))?;
        self.credit += BATCH;
        Ok(())
    }

    fn delivered(&mut self, message: async_nats::Message) -> Result<Delivered, Trouble> {
        let Some(sequence) = message.reply.as_deref().and_then(sequence) else {
            return Err(self.trouble("a message came without its sequence"));
        };
        self.alive = true;
        self.delivered_since_request = true;
        self.credit = self.credit.saturating_sub(1);
        Ok(Delivered {
            sequence,
            subject: message.subject.into_string(),
            headers: message.headers,
            payload: message.payload,
        })
    }

    fn trouble(&self, cause: &str) -> Trouble {
        Trouble { cause: cause.to_owned(), was_alive: self.alive }
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// How much of a request its end left undelivered.
fn unused(headers: Option<&HeaderMap>) -> u64 {
    headers
        .and_then(|headers| headers.get("Nats-Pending-Messages"))
        .and_then(|value| value.as_str().parse().ok())
        .unwrap_or(BATCH)
}

/// The stream sequence in a delivered message's reply subject. Two forms (ADR-15):
/// `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE.CONSUMERSEQUENCE.TIME.PENDING`, or the same with
/// `DOMAIN.ACCOUNT` before the stream and perhaps more at the end.
fn sequence(reply: &str) -> Option<u64> {
    let tokens: Vec<&str> = reply.strip_prefix("$JS.ACK.")?.split('.').collect();
    let at = match tokens.len() {
        7 => 3,
        9.. => 5,
        _ => return None,
    };
    tokens.get(at)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_is_read_from_both_forms_of_the_reply_subject() {
        assert_eq!(sequence("$JS.ACK.S.c.1.42.7.1700000000.9"), Some(42));
        assert_eq!(sequence("$JS.ACK._.acc.S.c.1.42.7.1700000000.9"), Some(42));
        assert_eq!(sequence("$JS.ACK._.acc.S.c.1.42.7.1700000000.9.token"), Some(42));
        assert_eq!(sequence("$JS.ACK.S.c.1.x.7.1700000000.9"), None);
        assert_eq!(sequence("_INBOX.1"), None);
    }
}
