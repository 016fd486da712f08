//! The bucket of wrapped keys: a JetStream key-value bucket whose entries are created once and
//! replaced only by whoever has seen what they replace.

use std::collections::BTreeMap;
use std::fmt;

use async_nats::HeaderMap;
use async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE;
use async_nats::jetstream::stream::Config;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::json;

use crate::api::API_TIMEOUT;
use crate::publish::{Refusal, send};
use crate::pull::{OpenFailure, Pull, Word};
use crate::requirement::required;
use crate::source::{Sighting, Source};
use crate::stream::{Unavailable, create, facts, inspect, read};
use crate::{CreateError, FollowError, InspectError, Journal, PublishFailure, StreamFacts};

/// How often a refusal is checked against the entry itself. A replicated bucket also refuses a
/// writer who is right, for as long as an earlier write to the same name is in process.
const CLAIMS: usize = 10;

/// One entry that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its name in the bucket.
    pub name: String,
    /// What was stored.
    pub bytes: Bytes,
    /// The bucket's sequence of this value: what an update must name.
    pub revision: u64,
}

/// An entry as it was created, replaced or deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyChange {
    /// Its name in the bucket.
    pub name: String,
    /// What it holds now; `None` if somebody deleted it, which Caseledger itself never does.
    pub bytes: Option<Bytes>,
    /// The bucket's sequence of this change.
    pub revision: u64,
}

/// Why an entry was not written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BucketFailure {
    /// Another value is there already.
    #[error("entry {name} of the key bucket exists already")]
    Exists {
        /// The entry's name.
        name: String,
    },
    /// The entry is not at the revision that the update was made from.
    #[error("entry {name} of the key bucket is no longer at revision {expected}")]
    Changed {
        /// The entry's name.
        name: String,
        /// The revision that the caller named.
        expected: u64,
    },
    /// Only letters, digits, `-`, `_`, `=`, `/` and inner dots make a name.
    #[error("'{name}' is no name for an entry of the key bucket")]
    Name {
        /// The name as given.
        name: String,
    },
    /// As for any publish.
    #[error(transparent)]
    Failed(#[from] PublishFailure),
}

impl From<Unavailable> for BucketFailure {
    /// For a look at the entry after a refusal: the refused write itself is not stored.
    fn from(unavailable: Unavailable) -> Self {
        BucketFailure::Failed(PublishFailure::NotStored(unavailable.cause))
    }
}

/// The bucket on one connection. Reads are answered by its leader, so they see every acknowledged
/// write.
#[derive(Clone)]
pub struct KeyBucket {
    journal: Journal,
    config: Config,
    prefix: String,
}

impl fmt::Debug for KeyBucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyBucket").field("stream", &self.config.name).finish_non_exhaustive()
    }
}

impl KeyBucket {
    pub(crate) fn new(journal: Journal, name: &str, replicas: usize) -> Self {
        let prefix = format!("$KV.{name}.");
        // Named as JetStream's key-value layer names them, so that its tools can list the bucket.
        let mut config = required(&format!("KV_{name}"), &format!("{prefix}>"), replicas);
        config.max_messages_per_subject = 1;
        KeyBucket { journal, config, prefix }
    }

    /// Makes the bucket, which must not exist. For `init`, and for a node that has what was in it.
    pub async fn create_bucket(&self) -> Result<(), CreateError> {
        create(&self.journal, &self.config).await
    }

    /// What the bucket is now, `None` if there is none; an error if it is set up weaker than
    /// required.
    pub async fn inspect(&self) -> Result<Option<StreamFacts>, InspectError> {
        inspect(&self.journal, &self.config).await
    }

    /// Creates an entry and answers its revision. Never replaces one; an entry that holds exactly
    /// these bytes was created by an earlier attempt and counts as this one. A deleted entry counts
    /// as none: deletions are not ours.
    pub async fn create(&self, name: &str, bytes: Bytes) -> Result<u64, BucketFailure> {
        let mut expected = 0;
        for _ in 0..CLAIMS {
            match self.put(name, bytes.clone(), expected).await? {
                Ok(revision) => return Ok(revision),
                Err(_) => match self.latest(name).await? {
                    Some(KeyChange { bytes: Some(held), revision, .. }) => {
                        return if held == bytes {
                            Ok(revision)
                        } else {
                            Err(BucketFailure::Exists { name: name.to_owned() })
                        };
                    }
                    Some(KeyChange { bytes: None, revision, .. }) => expected = revision,
                    None => expected = 0,
                },
            }
        }
        Err(still_in_process(name))
    }

    /// Replaces an entry that is still at `revision` and answers the new revision. An entry that
    /// holds exactly these bytes was replaced by an earlier attempt and counts as this one.
    pub async fn update(
        &self,
        name: &str,
        bytes: Bytes,
        revision: u64,
    ) -> Result<u64, BucketFailure> {
        for _ in 0..CLAIMS {
            if let Ok(replaced) = self.put(name, bytes.clone(), revision).await? {
                return Ok(replaced);
            }
            match self.latest(name).await? {
                Some(latest) if latest.bytes.as_ref() == Some(&bytes) => {
                    return Ok(latest.revision);
                }
                Some(latest) if latest.revision == revision => {}
                Some(_) | None => {
                    let name = name.to_owned();
                    return Err(BucketFailure::Changed { name, expected: revision });
                }
            }
        }
        Err(still_in_process(name))
    }

    /// One entry, `None` if there is none or it was deleted.
    pub async fn get(&self, name: &str) -> Result<Option<KeyEntry>, Unavailable> {
        Ok(self.latest(name).await?.and_then(entry))
    }

    /// Every entry, by name, as of now or later.
    pub async fn all(&self) -> Result<Vec<KeyEntry>, Unavailable> {
        match tokio::time::timeout(API_TIMEOUT * 6, self.collect()).await {
            Ok(entries) => entries,
            Err(_) => Err(Unavailable::new("the key bucket could not be listed in time")),
        }
    }

    /// Every entry from revision `from` on (1 for all), then every change, without end. An entry
    /// that was replaced shows only as what replaced it. Errors are as for a ledger's stream, but
    /// there are no gaps.
    #[must_use]
    pub fn watch(&self, from: u64) -> BoxStream<'static, Result<KeyChange, FollowError>> {
        let watcher = Watcher {
            source: Source::new(self.journal.clone(), self.config.name.clone()),
            prefix: self.prefix.clone(),
            wanted: from.max(1),
        };
        futures::stream::unfold(watcher, |mut watcher| async move {
            let item = watcher.next().await?;
            Some((item, watcher))
        })
        .boxed()
    }

    async fn put(
        &self,
        name: &str,
        bytes: Bytes,
        expected: u64,
    ) -> Result<Result<u64, String>, BucketFailure> {
        if !is_name(name) {
            return Err(BucketFailure::Name { name: name.to_owned() });
        }
        let subject = format!("{}{name}", self.prefix);
        let expectation = Some((NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected));
        match send(&self.journal, &self.config.name, subject, expectation, bytes).await {
            Ok(revision) => Ok(Ok(revision)),
            Err(Refusal::WrongLast(text)) => Ok(Err(text)),
            Err(Refusal::Failed(failure)) => Err(failure.into()),
        }
    }

    async fn latest(&self, name: &str) -> Result<Option<KeyChange>, Unavailable> {
        let which = json!({ "last_by_subj": format!("{}{name}", self.prefix) });
        let held = read(&self.journal, &self.config.name, &which).await?;
        Ok(held.map(|held| KeyChange {
            name: name.to_owned(),
            bytes: (!is_deletion(Some(&held.headers))).then_some(held.payload),
            revision: held.sequence,
        }))
    }

    async fn collect(&self) -> Result<Vec<KeyEntry>, Unavailable> {
        let name = &self.config.name;
        let missing = || Unavailable::new(format!("there is no stream {name}"));
        let last = facts(&self.journal, name).await?.ok_or_else(missing)?.last;
        let mut pull =
            Pull::open(&self.journal, name, 1).await.map_err(|failure| match failure {
                OpenFailure::NoStream => missing(),
                OpenFailure::Unavailable(unavailable) => unavailable,
            })?;
        let mut entries = BTreeMap::new();
        let mut seen = 0;
        // To the leader's end, whichever replica the consumer was placed on.
        while seen < last {
            match pull.next().await {
                Ok(Word::Delivered(delivered)) => {
                    seen = delivered.sequence;
                    let change = change(&self.prefix, delivered);
                    match entry(change.clone()) {
                        Some(entry) => entries.insert(change.name, entry),
                        None => entries.remove(&change.name),
                    };
                }
                Ok(Word::Idle) => {}
                Err(trouble) => return Err(Unavailable::new(trouble.cause)),
            }
        }
        Ok(entries.into_values().collect())
    }
}

struct Watcher {
    source: Source,
    prefix: String,
    wanted: u64,
}

impl Watcher {
    async fn next(&mut self) -> Option<Result<KeyChange, FollowError>> {
        loop {
            match self.source.next(self.wanted).await? {
                Ok(Sighting::Delivered(delivered)) => {
                    self.wanted = delivered.sequence.saturating_add(1);
                    return Some(Ok(change(&self.prefix, delivered)));
                }
                // Seen just before it is delivered, or lost: `verify`-ing entries is not the
                // bucket's affair, since a key that is missing shows where it is needed.
                Ok(Sighting::Withheld { .. }) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn change(prefix: &str, delivered: crate::pull::Delivered) -> KeyChange {
    let name = delivered.subject.strip_prefix(prefix).unwrap_or(&delivered.subject).to_owned();
    let bytes = (!is_deletion(delivered.headers.as_ref())).then_some(delivered.payload);
    KeyChange { name, bytes, revision: delivered.sequence }
}

fn entry(change: KeyChange) -> Option<KeyEntry> {
    let KeyChange { name, bytes, revision } = change;
    bytes.map(|bytes| KeyEntry { name, bytes, revision })
}

fn still_in_process(name: &str) -> BucketFailure {
    BucketFailure::Failed(PublishFailure::NotStored(format!(
        "another write of entry {name} is still in process"
    )))
}

/// JetStream's key-value layer marks a deletion with this header.
fn is_deletion(headers: Option<&HeaderMap>) -> bool {
    headers
        .and_then(|headers| headers.get("KV-Operation"))
        .is_some_and(|operation| matches!(operation.as_str(), "DEL" | "PURGE"))
}

/// As JetStream's key-value layer has it, and so that no name makes a wildcard.
fn is_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_=/.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_make_neither_wildcards_nor_empty_tokens() {
        for name in ["system", "node-01.batch_7", "a/b="] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", ".a", "a.", "a..b", "*", "a.>", "a b", "é"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
