//! Following a ledger's stream: every sequence, or an error.

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;

use crate::LedgerStream;
use crate::pull::Delivered;
use crate::source::{Sighting, Source};
use crate::stream::Unavailable;

/// One message of a ledger's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its sequence in the stream, from 1.
    pub sequence: u64,
    /// Its bytes as they were published.
    pub payload: Bytes,
}

/// Why a follower is handed nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Messages are missing, in the leader's copy too: the stream is damaged. Final.
    #[error(
        "stream {stream} is damaged: sequence {expected} is missing, the next one there is {got}"
    )]
    Gap {
        /// The stream's name.
        stream: String,
        /// The first sequence that is missing.
        expected: u64,
        /// The sequence found instead (one past the stream's last where its end is missing).
        got: u64,
    },
    /// The stream was deleted and made anew: its sequences mean something else now. Final.
    #[error(
        "stream {stream} is another one now: it was created at {was} ns, now at {now} ns since 1970"
    )]
    Recreated {
        /// The stream's name.
        stream: String,
        /// When the followed one was created, nanoseconds since 1970.
        was: i128,
        /// When the present one was.
        now: i128,
    },
    /// The stream ends before what was already read: it lost its end or was restored. Final.
    #[error("stream {stream} ends at {last}, before the sequence to go on with ({expected})")]
    Truncated {
        /// The stream's name.
        stream: String,
        /// The last sequence that it claims.
        last: u64,
        /// The sequence that was to come next.
        expected: u64,
    },
    /// There is no such stream. Final.
    #[error("stream {stream} does not exist")]
    Missing {
        /// The stream's name.
        stream: String,
    },
    /// The broker cannot be reached, or has no leader for the stream. Told once an outage; polling
    /// on waits it out and continues where it stopped.
    #[error(transparent)]
    Unavailable(Unavailable),
}

impl FollowError {
    /// Whether the follower has ended with this error.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            FollowError::Gap { .. }
            | FollowError::Recreated { .. }
            | FollowError::Truncated { .. }
            | FollowError::Missing { .. } => true,
            FollowError::Unavailable(_) => false,
        }
    }
}

/// How often the leader is asked for a missing message before it counts as lost, each time after it
/// has confirmed that the stream goes beyond it: a leader elected in between may still be reading in.
const LEADER_READS: usize = 3;

pub(crate) fn follow(
    stream: LedgerStream,
    from: u64,
) -> BoxStream<'static, Result<Message, FollowError>> {
    let source = Source::new(stream.journal().clone(), stream.name().to_owned());
    let follower = Follower {
        stream,
        source,
        // Sequences begin at 1; a consumer asked for 0 would begin there as well.
        expected: from.max(1),
        suspected: 0,
        ahead: None,
        fill_to: 0,
        ended: false,
    };
    futures::stream::unfold(follower, |mut follower| async move {
        let item = follower.next().await?;
        Some((item, follower))
    })
    .boxed()
}

struct Follower {
    stream: LedgerStream,
    source: Source,
    expected: u64,
    /// The sequence that one consumer already skipped; a second consumer must skip it too before
    /// the leader is asked, since a consumer can lose messages that the stream still has.
    suspected: u64,
    /// A message beyond a hole, kept until the hole is filled.
    ahead: Option<Delivered>,
    /// Sequences below this are read from the leader one by one.
    fill_to: u64,
    ended: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<Message, FollowError>> {
        loop {
            if self.ended {
                return None;
            }
            if self.expected < self.fill_to {
                match self.fill().await {
                    Err(FollowError::Unavailable(unavailable)) => {
                        if let Some(told) = self.source.outage(unavailable).await {
                            return Some(Err(told));
                        }
                        continue;
                    }
                    filled => return Some(self.handed(filled)),
                }
            }
            if let Some(ahead) = self.ahead.take_if(|ahead| ahead.sequence == self.expected) {
                return Some(self.handed(Ok(ahead.payload)));
            }
            match self.source.next(self.expected).await? {
                Ok(Sighting::Delivered(delivered)) if delivered.sequence == self.expected => {
                    return Some(self.handed(Ok(delivered.payload)));
                }
                Ok(Sighting::Delivered(delivered)) => self.skipped(delivered),
                Ok(Sighting::Withheld { last }) => self.fill_to = last.saturating_add(1),
                Err(error) => return Some(self.handed(Err(error))),
            }
        }
    }

    /// Counts what is handed out.
    fn handed(&mut self, item: Result<Bytes, FollowError>) -> Result<Message, FollowError> {
        match item {
            Ok(payload) => {
                let sequence = self.expected;
                self.expected += 1;
                Ok(Message { sequence, payload })
            }
            Err(error) => {
                self.ended = error.is_final();
                Err(error)
            }
        }
    }

    fn skipped(&mut self, delivered: Delivered) {
        let (expected, got) = (self.expected, delivered.sequence);
        tracing::warn!(stream = self.stream.name(), expected, got, "a consumer skipped messages");
        if self.suspected == expected {
            self.fill_to = got;
            self.ahead = Some(delivered);
        } else {
            self.suspected = expected;
            self.source.reopen();
        }
    }

    /// Reads the expected message from the leader, or establishes that it is lost.
    async fn fill(&mut self) -> Result<Bytes, FollowError> {
        for _ in 0..LEADER_READS {
            let held = self.stream.read(self.expected).await.map_err(FollowError::Unavailable)?;
            self.source.answered();
            if let Some(payload) = held {
                return Ok(payload);
            }
            // Still the same stream, and still reaching beyond the message it does not have?
            self.source.verify(self.expected.saturating_add(1)).await?;
        }
        Err(FollowError::Gap {
            stream: self.stream.name().to_owned(),
            expected: self.expected,
            got: self.fill_to,
        })
    }
}
