//! Publishing one message: stored at this sequence, surely not stored, or unknown.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::header::{NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_STREAM};
use bytes::Bytes;
use serde::Deserialize;

use crate::api::{Answer, BrokerError, NoAnswer};
use crate::{Journal, LedgerStream};

/// Longest wait for a quorum's acknowledgement. Above a leader election of about two seconds and
/// the slowest sync seen on a busy disk; after it the outcome is unknown.
pub const ACK_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishFailure {
    /// The message surely is in no stream and never will be.
    #[error("the broker has not stored the message: {0}")]
    NotStored(String),
    /// The message may be stored, now or later (seen: after a reconnect).
    #[error("whether the broker stored the message is unknown: {0}")]
    Unknown(String),
}

/// Why a message with an expected last sequence was not acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpectingFailure {
    /// Surely not stored: the stream's last sequence is, or was a moment ago about to be, another.
    /// A replicated stream also says so to a writer who is right, while an earlier message is still
    /// in process: look at the stream again before concluding anything.
    #[error("the stream's last sequence is not {expected}")]
    WrongLast {
        /// The last sequence that the caller expected.
        expected: u64,
    },
    /// As for any publish.
    #[error(transparent)]
    Failed(#[from] PublishFailure),
}

impl LedgerStream {
    /// Publishes `message` and waits until a quorum has it on disk; answers its sequence. Without a
    /// connection it fails at once, and nothing is kept to be sent later.
    pub async fn publish(&self, message: Bytes) -> Result<u64, PublishFailure> {
        let sent =
            send(self.journal(), self.name(), self.subject().to_owned(), None, message).await;
        sent.map_err(|refusal| match refusal {
            Refusal::Failed(failure) => failure,
            Refusal::WrongLast(text) => PublishFailure::NotStored(text),
        })
    }

    /// The same, only if the stream's last sequence is `last`. For healing: two healers that
    /// rebuild a stream at once cannot interleave.
    pub async fn publish_expecting(
        &self,
        last: u64,
        message: Bytes,
    ) -> Result<u64, ExpectingFailure> {
        let expectation = (NATS_EXPECTED_LAST_SEQUENCE, last);
        let subject = self.subject().to_owned();
        let sent = send(self.journal(), self.name(), subject, Some(expectation), message).await;
        sent.map_err(|refusal| match refusal {
            Refusal::Failed(failure) => ExpectingFailure::Failed(failure),
            Refusal::WrongLast(_) => ExpectingFailure::WrongLast { expected: last },
        })
    }
}

/// What the broker or the way to it said instead of an acknowledgement.
pub(crate) enum Refusal {
    WrongLast(String),
    Failed(PublishFailure),
}

#[derive(Deserialize)]
struct Ack {
    stream: String,
    seq: u64,
}

/// `expectation`: header and number. The stream is expected by name in any case, so that a message
/// never lands in another stream that has taken the subject.
pub(crate) async fn send(
    journal: &Journal,
    stream: &str,
    subject: String,
    expectation: Option<(async_nats::HeaderName, u64)>,
    message: Bytes,
) -> Result<u64, Refusal> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_STREAM, stream);
    if let Some((name, number)) = expectation {
        headers.insert(name, number.to_string());
    }
    let answer = journal.call(subject, Some(headers), message, ACK_TIMEOUT).await;
    let answer = answer.map_err(|no_answer| {
        Refusal::Failed(match no_answer {
            NoAnswer::NotSent(cause) => PublishFailure::NotStored(cause),
            NoAnswer::Unknown(cause) => PublishFailure::Unknown(cause),
        })
    })?;
    match serde_json::from_slice::<Answer<Ack>>(&answer.payload) {
        Ok(Answer::Ok(ack)) if ack.stream == stream => Ok(ack.seq),
        Ok(Answer::Ok(ack)) => Err(Refusal::Failed(PublishFailure::NotStored(format!(
            "the subject belongs to stream {}, not to {stream}",
            ack.stream
        )))),
        Ok(Answer::Err { error }) => Err(judge(&error)),
        Err(error) => Err(Refusal::Failed(PublishFailure::Unknown(format!(
            "the broker's answer is no acknowledgement: {error}"
        )))),
    }
}

/// The refusals that a server makes before anything is stored or proposed to its peers. Any other
/// error may come after: `Unknown`.
fn judge(error: &BrokerError) -> Refusal {
    let text = error.to_string();
    match error.number {
        // Wrong last sequence: of a single server (10071), of a replicated stream (10164).
        10_071 | 10_164 => Refusal::WrongLast(text),
        // Account limits (10002), no cluster leader (10008, 10009), insufficient resources (10023,
        // 10028, 10047), no JetStream (10039, 10076), too long (10054), another stream's name
        // expected (10060), sealed (10109).
        10_002 | 10_008 | 10_009 | 10_023 | 10_028 | 10_039 | 10_047 | 10_054 | 10_060 | 10_076
        | 10_109 => Refusal::Failed(PublishFailure::NotStored(text)),
        _ => Refusal::Failed(PublishFailure::Unknown(text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(code: u64) -> BrokerError {
        let json = serde_json::json!({ "code": 400, "err_code": code, "description": "no" });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn both_codes_of_a_wrong_last_sequence_are_one() {
        for code in [10_071, 10_164] {
            assert!(matches!(judge(&error(code)), Refusal::WrongLast(_)), "{code}");
        }
    }

    #[test]
    fn an_error_that_may_come_after_storing_is_unknown() {
        for code in [10_052, 10_077, 10_999] {
            let refusal = judge(&error(code));
            assert!(matches!(refusal, Refusal::Failed(PublishFailure::Unknown(_))), "{code}");
        }
        for code in [10_060, 10_054] {
            let refusal = judge(&error(code));
            assert!(matches!(refusal, Refusal::Failed(PublishFailure::NotStored(_))), "{code}");
        }
    }
}
