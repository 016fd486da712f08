//! A stream as it comes, by sequence, over any number of consumers, servers and connections. Holes
//! are not judged here (in a ledger's stream a hole is damage, in a bucket it is what was replaced),
//! but the stream must stay the same one and must not become shorter.

use std::time::Duration;

use crate::follow::FollowError;
use crate::pull::{Delivered, OpenFailure, Pull, Word};
use crate::stream::{StreamFacts, Unavailable, facts};
use crate::{ConnectionState, Journal};

/// Pause before the broker is asked again after it could not answer, unless the connection changes
/// earlier.
const RETRY: Duration = Duration::from_millis(200);
/// How often a stream that looks shorter than what was already read is looked at again, `RETRY`
/// apart: a newly elected leader may need a moment to know its own end.
const CONFIRMATIONS: usize = 5;

/// What there is to see next.
#[derive(Debug)]
pub(crate) enum Sighting {
    /// A message at the wanted sequence or after it.
    Delivered(Delivered),
    /// The stream's leader says that it goes on to `last`, at or after the wanted sequence, but its
    /// consumer has nothing to deliver.
    Withheld { last: u64 },
}

pub(crate) struct Source {
    journal: Journal,
    stream: String,
    created: Option<i128>,
    pull: Option<Pull>,
    told: bool,
    ended: bool,
}

/// Why there is nothing to see yet.
enum Setback {
    Final(FollowError),
    Passing(Unavailable),
}

impl From<Unavailable> for Setback {
    fn from(unavailable: Unavailable) -> Self {
        Setback::Passing(unavailable)
    }
}

impl Source {
    pub(crate) fn new(journal: Journal, stream: String) -> Self {
        Source { journal, stream, created: None, pull: None, told: false, ended: false }
    }

    /// The next sighting at or after `wanted`; `None` after an error that is final. An outage is
    /// told once, then waited out.
    pub(crate) async fn next(&mut self, wanted: u64) -> Option<Result<Sighting, FollowError>> {
        while !self.ended {
            match self.step(wanted).await {
                Ok(Some(sighting)) => return Some(Ok(sighting)),
                Ok(None) => {}
                Err(Setback::Final(error)) => {
                    self.ended = true;
                    return Some(Err(error));
                }
                Err(Setback::Passing(unavailable)) => {
                    self.pull = None;
                    if let Some(told) = self.outage(unavailable).await {
                        return Some(Err(told));
                    }
                }
            }
        }
        None
    }

    /// Tells an outage the first time and waits a while each time after.
    pub(crate) async fn outage(&mut self, unavailable: Unavailable) -> Option<FollowError> {
        if !std::mem::replace(&mut self.told, true) {
            return Some(FollowError::Unavailable(unavailable));
        }
        self.pause().await;
        None
    }

    /// The broker answers again: the next outage is to be told.
    pub(crate) fn answered(&mut self) {
        self.told = false;
    }

    /// Ends the consumer, so that the next look opens another.
    pub(crate) fn reopen(&mut self) {
        self.pull = None;
    }

    /// What the leader says of the stream now, which must still be the one that was followed and
    /// reach to `wanted` − 1.
    pub(crate) async fn verify(&mut self, wanted: u64) -> Result<StreamFacts, FollowError> {
        self.check(wanted).await.map_err(|setback| match setback {
            Setback::Final(error) => {
                self.ended = true;
                error
            }
            Setback::Passing(unavailable) => FollowError::Unavailable(unavailable),
        })
    }

    async fn step(&mut self, wanted: u64) -> Result<Option<Sighting>, Setback> {
        let Some(pull) = self.pull.as_mut() else { return self.open(wanted).await };
        match pull.next().await {
            Ok(Word::Delivered(delivered)) if delivered.sequence < wanted => Ok(None),
            Ok(Word::Delivered(delivered)) => Ok(Some(Sighting::Delivered(delivered))),
            Ok(Word::Idle) => {
                if self.check(wanted).await?.last >= wanted {
                    self.pull = None;
                }
                Ok(None)
            }
            Err(trouble) if trouble.was_alive => {
                tracing::debug!(stream = self.stream, cause = trouble.cause, "consumer replaced");
                self.pull = None;
                Ok(None)
            }
            Err(trouble) => Err(Setback::Passing(Unavailable::new(trouble.cause))),
        }
    }

    async fn open(&mut self, wanted: u64) -> Result<Option<Sighting>, Setback> {
        let pull = match Pull::open(&self.journal, &self.stream, wanted).await {
            Ok(pull) => pull,
            Err(OpenFailure::NoStream) => return Err(Setback::Final(self.missing())),
            Err(OpenFailure::Unavailable(unavailable)) => return Err(unavailable.into()),
        };
        // After the consumer was made: a stream that was replaced before it shows here.
        let facts = self.check(wanted).await?;
        let withheld = pull.pending_at_first == 0 && facts.last >= wanted;
        self.pull = Some(pull);
        self.answered();
        Ok(withheld.then_some(Sighting::Withheld { last: facts.last }))
    }

    async fn check(&mut self, wanted: u64) -> Result<StreamFacts, Setback> {
        let mut found = self.same_stream().await?;
        for _ in 0..CONFIRMATIONS {
            if found.last.saturating_add(1) >= wanted {
                return Ok(found);
            }
            self.pause().await;
            found = self.same_stream().await?;
        }
        if found.last.saturating_add(1) >= wanted {
            return Ok(found);
        }
        Err(Setback::Final(FollowError::Truncated {
            stream: self.stream.clone(),
            last: found.last,
            expected: wanted,
        }))
    }

    async fn same_stream(&mut self) -> Result<StreamFacts, Setback> {
        let Some(found) = facts(&self.journal, &self.stream).await? else {
            return Err(Setback::Final(self.missing()));
        };
        let was = *self.created.get_or_insert(found.created);
        if was == found.created {
            return Ok(found);
        }
        let stream = self.stream.clone();
        Err(Setback::Final(FollowError::Recreated { stream, was, now: found.created }))
    }

    fn missing(&self) -> FollowError {
        FollowError::Missing { stream: self.stream.clone() }
    }

    /// Until there is a connection; where there is one, until it changes or `RETRY` has passed.
    async fn pause(&self) {
        let mut state = self.journal.state();
        if *state.borrow_and_update() == ConnectionState::Disconnected {
            // An error would mean that the client has ended, which it does not while it is held.
            let _ = state.wait_for(|state| *state == ConnectionState::Connected).await;
        } else {
            let _ = tokio::time::timeout(RETRY, state.changed()).await;
        }
    }
}
