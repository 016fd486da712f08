//! A broker, a connection and a stream; what a follower is handed, with an end to waiting.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use journal::{ConnectionState, FollowError, Journal, LedgerStream, Message, StreamSpec};
use serde_json::{Value, json};
use testkit::nats::NatsServer;

/// Longest a test waits for anything, on a machine that also compiles.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Follower = BoxStream<'static, Result<Message, FollowError>>;

pub(crate) fn spec(replicas: usize) -> StreamSpec {
    StreamSpec { name: "LEDGER".to_owned(), subject: "ledger".to_owned(), replicas }
}

pub(crate) async fn connect(urls: &str) -> Journal {
    let journal = Journal::connect(urls, None).await.unwrap();
    journal.connected(PATIENCE).await.unwrap();
    journal
}

pub(crate) struct Broker {
    pub(crate) server: NatsServer,
    pub(crate) journal: Journal,
    pub(crate) stream: LedgerStream,
}

impl Broker {
    /// A server with an empty stream.
    pub(crate) async fn with_stream() -> Broker {
        let broker = Broker::empty().await;
        broker.stream.create().await.unwrap();
        broker
    }

    /// A server without a stream.
    pub(crate) async fn empty() -> Broker {
        let server = NatsServer::start().await.unwrap();
        let journal = connect(server.url()).await;
        let stream = journal.stream(spec(1));
        Broker { server, journal, stream }
    }

    /// A stream of which messages can be deleted, as none of ours can.
    pub(crate) async fn with_deletable(messages: u64) -> Broker {
        let broker = Broker::empty().await;
        broker.create_raw(&json!({ "deny_delete": false })).await;
        broker.publish(messages).await;
        broker
    }

    /// Creates the stream with some settings other than required.
    pub(crate) async fn create_raw(&self, settings: &Value) {
        let mut config = json!({
            "name": "LEDGER", "subjects": ["ledger"], "storage": "file", "retention": "limits",
            "discard": "new", "max_msgs": -1, "max_msgs_per_subject": -1, "max_bytes": -1,
            "max_msg_size": -1, "max_consumers": -1, "max_age": 0, "num_replicas": 1,
            "duplicate_window": 100_000_000, "deny_delete": true, "deny_purge": true,
        });
        let object = config.as_object_mut().unwrap();
        object.extend(settings.as_object().unwrap().clone());
        let created = self.api("STREAM.CREATE.LEDGER", &config).await;
        assert_eq!(created.get("error"), None, "{created}");
    }

    pub(crate) async fn delete_message(&self, sequence: u64) {
        let answer = self.api("STREAM.MSG.DELETE.LEDGER", &json!({ "seq": sequence })).await;
        assert_eq!(answer["success"], true, "{answer}");
    }

    /// A request of the broker's own API, past the journal.
    pub(crate) async fn api(&self, subject: &str, body: &Value) -> Value {
        let client = async_nats::connect(self.server.url()).await.unwrap();
        let subject = format!("$JS.API.{subject}");
        let answer = client.request(subject, body.to_string().into()).await.unwrap();
        serde_json::from_slice(&answer.payload).unwrap()
    }

    /// Publishes so many messages more; each says its own sequence.
    pub(crate) async fn publish(&self, count: u64) {
        for _ in 0..count {
            let next = self.last().await + 1;
            assert_eq!(self.stream.publish(text(next)).await, Ok(next));
        }
    }

    pub(crate) async fn last(&self) -> u64 {
        let client = self.api("STREAM.INFO.LEDGER", &json!({})).await;
        client["state"]["last_seq"].as_u64().unwrap()
    }

    pub(crate) async fn disconnected(&self) {
        let mut state = self.journal.state();
        let lost = state.wait_for(|state| *state == ConnectionState::Disconnected);
        tokio::time::timeout(PATIENCE, lost).await.unwrap().unwrap();
    }
}

/// What the message at this sequence holds.
pub(crate) fn text(sequence: u64) -> Bytes {
    Bytes::from(format!("message {sequence}"))
}

/// The next item of a follower, whatever it is.
pub(crate) async fn next(follower: &mut Follower) -> Option<Result<Message, FollowError>> {
    tokio::time::timeout(PATIENCE, follower.next()).await.expect("an item in time")
}

/// The next item that is not an outage.
pub(crate) async fn settled(follower: &mut Follower) -> Result<Message, FollowError> {
    loop {
        match next(follower).await.expect("the follower goes on") {
            Err(FollowError::Unavailable(_)) => {}
            item => return item,
        }
    }
}

/// Expects these messages, in this order, each with its own text.
pub(crate) async fn expect(follower: &mut Follower, sequences: std::ops::RangeInclusive<u64>) {
    for sequence in sequences {
        let message = settled(follower).await.unwrap();
        assert_eq!(message, Message { sequence, payload: text(sequence) });
    }
}
