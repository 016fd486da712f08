//! A ledger's stream: made, inspected, read, deleted.

use std::fmt;

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{Config, Info, RawMessage};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::api::{BrokerError, NO_MESSAGE_FOUND, STREAM_NAME_IN_USE, STREAM_NOT_FOUND};
use crate::requirement::{ConfigDifference, compare, required};
use crate::{Journal, follow};

/// What a server must let through: a block of 512 KiB and 16 KiB for its frame and headers.
pub const MAX_MESSAGE_BYTES: u64 = (512 + 16) * 1024;

/// The broker, or enough of it, cannot be reached now. Nothing is known to have changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the broker is not available: {cause}")]
pub struct Unavailable {
    /// What happened, for the log.
    pub cause: String,
}

impl Unavailable {
    pub(crate) fn new(cause: impl Into<String>) -> Self {
        Unavailable { cause: cause.into() }
    }
}

impl From<&BrokerError> for Unavailable {
    fn from(error: &BrokerError) -> Self {
        Unavailable::new(error.to_string())
    }
}

/// Which stream a ledger lives in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamSpec {
    /// The stream's name, `CASELEDGER_RECORDS` for instance.
    pub name: String,
    /// The one subject whose messages it takes.
    pub subject: String,
    /// How many servers hold it: 1 or 3 (or 5).
    pub replicas: usize,
}

/// What the stream's leader tells about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamFacts {
    /// When it was created, nanoseconds since 1970 UTC by the broker's clock. With its name, the
    /// stream's identity: a deleted and rebuilt stream has another.
    pub created: i128,
    /// The lowest sequence still there.
    pub first: u64,
    /// The last sequence given out, 0 for none.
    pub last: u64,
    /// How many messages it holds.
    pub messages: u64,
    /// How many sequences between first and last are gone.
    pub deleted: u64,
    /// Name of the server that leads it (a single server names itself). A server without a
    /// `server_name` has another name after each start.
    pub leader: String,
    /// The broker's clock when it told this, nanoseconds since 1970 UTC.
    pub told_at: Option<i128>,
}

impl StreamFacts {
    /// A server that is cut off from the majority answers too once it gave up the lead, and then names no
    /// leader: what it holds may be behind what was acknowledged, so it is no answer.
    fn of(told: &Told) -> Result<StreamFacts, Unavailable> {
        let info = &told.info;
        let Some(leader) = info.cluster.as_ref().and_then(|cluster| cluster.leader.clone()) else {
            return Err(Unavailable::new(format!("stream {} has no leader", info.config.name)));
        };
        Ok(StreamFacts {
            created: info.created.unix_timestamp_nanos(),
            first: info.state.first_sequence,
            last: info.state.last_sequence,
            messages: info.state.messages,
            deleted: info.state.deleted_count.unwrap_or(0),
            leader,
            told_at: told.ts.map(jiff::Timestamp::as_nanosecond),
        })
    }

    /// Whether every sequence from 1 to the last is there, as far as the leader itself knows: some
    /// damage it notices only when it reads.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.messages == self.last && self.deleted == 0 && (self.last == 0 || self.first == 1)
    }
}

/// Why a stream or bucket was not made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CreateError {
    /// There is one of that name: nothing that exists is taken over.
    #[error("stream {name} exists already")]
    Exists {
        /// The stream's name.
        name: String,
    },
    /// The broker will not have it so (too few servers for its replicas, for instance).
    #[error("the broker refuses to create stream {name}: {cause}")]
    Refused {
        /// The stream's name.
        name: String,
        /// The broker's words.
        cause: String,
    },
    /// No answer: it may exist by now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a stream was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// It exists but promises less than required.
    #[error(transparent)]
    Weaker(#[from] ConfigDifference),
    /// No answer.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// A ledger's stream on one connection.
#[derive(Clone)]
pub struct LedgerStream {
    journal: Journal,
    spec: StreamSpec,
}

impl fmt::Debug for LedgerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LedgerStream").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl LedgerStream {
    pub(crate) fn new(journal: Journal, spec: StreamSpec) -> Self {
        LedgerStream { journal, spec }
    }

    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The stream's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// How many servers hold it.
    #[must_use]
    pub fn replicas(&self) -> usize {
        self.spec.replicas
    }

    pub(crate) fn subject(&self) -> &str {
        &self.spec.subject
    }

    fn required(&self) -> Config {
        required(&self.spec.name, &self.spec.subject, self.spec.replicas)
    }

    /// Makes the stream, which must not exist. For `init` and the healer only.
    pub async fn create(&self) -> Result<(), CreateError> {
        create(&self.journal, &self.required()).await
    }

    /// What the stream is now, `None` if there is none; an error if it is set up weaker than
    /// required.
    pub async fn inspect(&self) -> Result<Option<StreamFacts>, InspectError> {
        inspect(&self.journal, &self.required()).await
    }

    /// What the stream is now, however it is set up: for a healer, who has to tell a stream that
    /// holds another history from one that is only set up weaker.
    pub async fn facts(&self) -> Result<Option<StreamFacts>, Unavailable> {
        facts(&self.journal, self.name()).await
    }

    /// The message at `sequence` as the stream's leader holds it, `None` if it holds none there
    /// (or there is no such stream).
    pub async fn read(&self, sequence: u64) -> Result<Option<Bytes>, Unavailable> {
        let message = read(&self.journal, self.name(), &json!({ "seq": sequence })).await?;
        Ok(message.map(|message| message.payload))
    }

    /// Every message from `from` (1 for the first) on, in sequence and without end. Lost
    /// connections, servers and consumers are mended inside; see [`follow::FollowError`] for what
    /// is not. Nothing is asked of the broker before the stream is polled.
    #[must_use]
    pub fn follow(
        &self,
        from: u64,
    ) -> futures::stream::BoxStream<'static, Result<follow::Message, follow::FollowError>> {
        follow::follow(self.clone(), from)
    }

    /// Deletes the stream and all in it; a stream that does not exist is as good as deleted. For a
    /// healer that was granted it only.
    pub async fn delete(&self) -> Result<(), Unavailable> {
        let subject = format!("STREAM.DELETE.{}", self.name());
        match self.journal.ask::<serde::de::IgnoredAny>(&subject, &json!({})).await? {
            Ok(_) => Ok(()),
            Err(error) if error.number == STREAM_NOT_FOUND => Ok(()),
            Err(error) => Err(Unavailable::from(&error)),
        }
    }
}

/// Who made a stream: the broker answers the creation of one that exists exactly so with a plain yes,
/// so each attempt carries a mark of its own, and a mark that differs is another configuration.
const MAKER: &str = "caseledger-maker";

pub(crate) async fn create(journal: &Journal, config: &Config) -> Result<(), CreateError> {
    let name = config.name.clone();
    let mut config = config.clone();
    config.metadata.insert(MAKER.to_owned(), journal.client.new_inbox());
    let request = match serde_json::to_value(&config) {
        Ok(request) => request,
        Err(error) => return Err(CreateError::Refused { name, cause: error.to_string() }),
    };
    match journal.ask::<Info>(&format!("STREAM.CREATE.{name}"), &request).await? {
        Ok(made) if made.config.metadata.get(MAKER) == config.metadata.get(MAKER) => Ok(()),
        Ok(_) => Err(CreateError::Exists { name }),
        Err(error) if error.number == STREAM_NAME_IN_USE => Err(CreateError::Exists { name }),
        Err(error) if error.is_transient() => {
            Err(CreateError::Unavailable(Unavailable::from(&error)))
        }
        Err(error) => Err(CreateError::Refused { name, cause: error.to_string() }),
    }
}

pub(crate) async fn inspect(
    journal: &Journal,
    required: &Config,
) -> Result<Option<StreamFacts>, InspectError> {
    let Some(told) = info(journal, &required.name).await? else { return Ok(None) };
    compare(required, &told.info.config)?;
    Ok(Some(StreamFacts::of(&told)?))
}

/// What the stream is, whatever its configuration.
pub(crate) async fn facts(
    journal: &Journal,
    name: &str,
) -> Result<Option<StreamFacts>, Unavailable> {
    info(journal, name).await?.as_ref().map(StreamFacts::of).transpose()
}

/// What STREAM.INFO answers, with the server's clock, which the client's type leaves out.
#[derive(Deserialize)]
struct Told {
    #[serde(flatten)]
    info: Info,
    ts: Option<jiff::Timestamp>,
}

async fn info(journal: &Journal, name: &str) -> Result<Option<Told>, Unavailable> {
    match journal.ask::<Told>(&format!("STREAM.INFO.{name}"), &json!({})).await? {
        Ok(info) => Ok(Some(info)),
        Err(error) if error.number == STREAM_NOT_FOUND => Ok(None),
        Err(error) => Err(Unavailable::from(&error)),
    }
}

#[derive(Deserialize)]
struct Held {
    message: RawMessage,
}

/// Only a stream's leader answers this, so what was acknowledged is seen.
pub(crate) async fn read(
    journal: &Journal,
    stream: &str,
    which: &serde_json::Value,
) -> Result<Option<StreamMessage>, Unavailable> {
    match journal.ask::<Held>(&format!("STREAM.MSG.GET.{stream}"), which).await? {
        Ok(held) => StreamMessage::try_from(held.message).map(Some).map_err(|error| {
            Unavailable::new(format!("the broker's copy of a message cannot be decoded: {error}"))
        }),
        Err(error) if [NO_MESSAGE_FOUND, STREAM_NOT_FOUND].contains(&error.number) => Ok(None),
        Err(error) => Err(Unavailable::from(&error)),
    }
}
