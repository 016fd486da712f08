//! One request and its answer: what is certain when there is none.

use std::time::Duration;

use async_nats::{HeaderMap, Request, RequestErrorKind};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::Journal;
use crate::stream::Unavailable;

/// Longest wait for the answer to a request of the JetStream API. Above the two seconds in which a
/// cluster elects a leader, so that an election is waited out rather than reported.
pub(crate) const API_TIMEOUT: Duration = Duration::from_secs(5);

/// JetStream's error for a stream that does not exist.
pub(crate) const STREAM_NOT_FOUND: u64 = 10_059;
/// … for a sequence that holds no message.
pub(crate) const NO_MESSAGE_FOUND: u64 = 10_037;
/// … for creating a stream whose name is taken by one with another configuration.
pub(crate) const STREAM_NAME_IN_USE: u64 = 10_058;

/// An error of JetStream's own (the client's type of it is not public).
#[derive(Debug, Clone, Deserialize, thiserror::Error)]
#[error("{description} (error {number})")]
pub(crate) struct BrokerError {
    /// As in HTTP.
    pub(crate) code: u16,
    /// JetStream's own number, which tells errors apart.
    #[serde(default, rename = "err_code")]
    pub(crate) number: u64,
    #[serde(default)]
    description: String,
}

impl BrokerError {
    /// Whether it says "ask later", not "no": no leader, no quorum, still starting, overloaded.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.code, 408 | 429 | 503)
    }
}

/// Any answer of JetStream.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer<T> {
    Err { error: BrokerError },
    Ok(T),
}

/// A request that got no answer.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// It surely reached nobody.
    NotSent(String),
    /// It may have been carried out.
    Unknown(String),
}

impl NoAnswer {
    pub(crate) fn cause(self) -> String {
        match self {
            NoAnswer::NotSent(cause) | NoAnswer::Unknown(cause) => cause,
        }
    }
}

impl Journal {
    /// Sends and waits for the answer, no longer than the connection lasts: an answer does not
    /// follow a client to its next connection.
    pub(crate) async fn call(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
        within: Duration,
    ) -> Result<async_nats::Message, NoAnswer> {
        // Before the state is looked at: a loss between the two must be noticed.
        let mut losses = self.losses.clone();
        losses.mark_unchanged();
        if !self.is_connected() {
            return Err(NoAnswer::NotSent("no connection to the broker".to_owned()));
        }
        let mut request = Request::new().payload(payload).timeout(Some(within));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        tokio::select! {
            // An answer that is here counts, also when the connection is gone by now.
            biased;
            answer = self.client.send_request(subject, request) => answer.map_err(|error| {
                match error.kind() {
                    RequestErrorKind::NoResponders => NoAnswer::NotSent(
                        "no stream takes this subject (it was deleted, or has no leader now)"
                            .to_owned(),
                    ),
                    RequestErrorKind::MaxPayloadExceeded => NoAnswer::NotSent(format!(
                        "it exceeds the broker's max_payload: {error}"
                    )),
                    RequestErrorKind::InvalidSubject => NoAnswer::NotSent(error.to_string()),
                    RequestErrorKind::TimedOut => NoAnswer::Unknown(format!(
                        "no answer within {} ms", within.as_millis()
                    )),
                    RequestErrorKind::Other => NoAnswer::Unknown(error.to_string()),
                }
            }),
            _ = losses.changed() => Err(NoAnswer::Unknown(
                "the connection to the broker was lost before its answer".to_owned(),
            )),
        }
    }

    /// A request of the JetStream API: `$JS.API.` is put before `subject`.
    pub(crate) async fn ask<T: DeserializeOwned>(
        &self,
        subject: &str,
        payload: &serde_json::Value,
    ) -> Result<Result<T, BrokerError>, Unavailable> {
        let payload = Bytes::from(payload.to_string());
        let answer = self
            .call(format!("$JS.API.{subject}"), None, payload, API_TIMEOUT)
            .await
            .map_err(|no_answer| Unavailable::new(no_answer.cause()))?;
        match serde_json::from_slice(&answer.payload) {
            Ok(Answer::Ok(value)) => Ok(Ok(value)),
            Ok(Answer::Err { error }) => Ok(Err(error)),
            Err(error) => Err(Unavailable::new(format!(
                "the broker's answer to {subject} is no JSON that is known: {error}"
            ))),
        }
    }
}
