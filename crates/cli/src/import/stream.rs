//! Sending with a bounded window, and matching results to what was sent.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::v1;
use api::v1::import_service_client::ImportServiceClient;
use fhir::Phase;
use indicatif::ProgressBar;
use tokio::sync::mpsc::{self, Receiver, UnboundedSender};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::count::Count;
use super::feed::{Parcel, Step};
use crate::connection::Authenticated;
use crate::failure::Failure;

/// Items sent and not yet answered, at most: what a node has at work for one import (sixteen
/// contributions of up to 256).
const WINDOW_ITEMS: usize = 4_096;

/// Bytes sent and not yet answered, at most; they are kept, in case the server asks to send again.
const WINDOW_BYTES: usize = 16 * 1024 * 1024;

/// How often an item is sent that the server could not take just then (keys for new patients are
/// still being made, the broker changes its leader).
const ATTEMPTS: u32 = 8;

/// Pause before the second attempt; it doubles up to [`LONGEST_PAUSE`]. In all about 16 seconds,
/// longer than an election of the broker's.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Items in one message of a further attempt: even the largest, 256 KiB each, stay below gRPC's
/// 4 MiB.
const SENT_AGAIN: usize = 8;

/// The server's codes for an identity of which it is not clear whose it is: its numbers are several
/// patients', or another's.
const WHOSE_UNCLEAR: [&str; 2] = ["IDENTIFIERS_DISAGREE", "IDENTIFIER_TAKEN"];

/// An item that awaits its result.
#[derive(Debug)]
struct Awaited {
    parcel: Parcel,
    attempt: u32,
}

/// One import under way.
#[derive(Debug)]
pub(super) struct Import {
    server: String,
    count: Count,
    bar: ProgressBar,
    awaited: HashMap<u64, Awaited>,
    bytes: usize,
    /// To be sent again, once nothing is awaited any more.
    again: Vec<Awaited>,
    /// Keys of Patients of whom it is not clear who they are: one of their numbers may lead to the file
    /// of somebody else.
    unclear: HashSet<Arc<str>>,
    /// Pause before the second attempt.
    pause: Duration,
}

/// How far the reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// More may be taken.
    Open,
    /// A phase has ended: nothing may be taken before all is answered.
    Paused,
    /// Everything has been taken.
    Ended,
}

impl Import {
    pub(super) fn new(server: String, count: Count, bar: ProgressBar, pause: Duration) -> Self {
        let (awaited, again, unclear) = (HashMap::new(), Vec::new(), HashSet::new());
        Self { server, count, bar, awaited, bytes: 0, again, unclear, pause }
    }

    pub(super) fn into_count(self) -> Count {
        self.count
    }

    /// Sends everything and takes every result.
    pub(super) async fn run(
        &mut self,
        mut client: ImportServiceClient<Authenticated>,
        purpose: v1::Purpose,
        mut steps: Receiver<Step>,
    ) -> Result<(), Failure> {
        // unbounded, because the window bounds it: a bounded one could wait for the server while
        // the server waits for its results to be taken
        let (requests, outgoing) = mpsc::unbounded_channel();
        // the purpose first, before the call: the server may wait for it before it answers at all
        let _ = requests.send(v1::ImportRequest { purpose: Some(purpose), items: Vec::new() });
        let outgoing = UnboundedReceiverStream::new(outgoing);
        let answers = client.import(outgoing).await.map_err(|status| self.failed(status))?;
        let mut answers = answers.into_inner();
        let mut reading = Reading::Open;
        self.bar.set_message("patients");
        loop {
            if self.awaited.is_empty() && reading != Reading::Open {
                if !self.again.is_empty() {
                    self.pause().await;
                    self.send_again(&requests);
                } else if reading == Reading::Ended {
                    return Ok(());
                } else {
                    reading = Reading::Open;
                }
            }
            tokio::select! {
                step = steps.recv(), if reading == Reading::Open && self.has_room() => {
                    reading = match step {
                        None => Reading::Ended,
                        Some(step) => self.take(step, &requests)?,
                    };
                }
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => self.settle(answer),
                    Ok(None) => return Err(self.cut_off()),
                    Err(status) => return Err(self.failed(status)),
                },
            }
        }
    }

    fn has_room(&self) -> bool {
        self.awaited.len() < WINDOW_ITEMS && self.bytes < WINDOW_BYTES
    }

    fn take(
        &mut self,
        step: Step,
        requests: &UnboundedSender<v1::ImportRequest>,
    ) -> Result<Reading, Failure> {
        match step {
            Step::Batch(parcels) => {
                let is_unclear = |parcel: &Parcel| {
                    parcel.patient.as_ref().is_some_and(|key| self.unclear.contains(key))
                };
                let (refused, sent): (Vec<_>, Vec<_>) = parcels.into_iter().partition(is_unclear);
                refused.iter().for_each(|parcel| self.refuse(parcel));
                let first = |parcel| Awaited { parcel, attempt: 1 };
                self.send(sent.into_iter().map(first).collect(), requests);
            }
            Step::Refused(found, refusal) => {
                self.count.refuse(&found, refusal.code, &refusal.field, &refusal.text);
                self.bar.inc(1);
            }
            Step::NotCarried(paths) => self.count.not_carried(paths),
            Step::PhaseEnd(phase) => {
                self.bar.set_message(match phase {
                    Phase::Patients => "encounters",
                    Phase::Encounters | Phase::Entries | Phase::NotImported => "entries",
                });
                return Ok(Reading::Paused);
            }
            Step::Failed(failure) => return Err(failure),
        }
        Ok(Reading::Open)
    }

    /// Refuses what belongs to a Patient of whom it is not clear who they are.
    fn refuse(&mut self, parcel: &Parcel) {
        let text = "its Patient was refused, because their numbers are of several people: mend the \
                    numbers and import both again";
        self.count.refuse(&parcel.found, "PATIENT_REFUSED", "", text);
        self.bar.inc(1);
    }

    fn send(&mut self, batch: Vec<Awaited>, requests: &UnboundedSender<v1::ImportRequest>) {
        let items = batch.iter().map(|awaited| awaited.parcel.item.clone()).collect();
        for awaited in batch {
            self.bytes += awaited.parcel.bytes;
            self.awaited.insert(awaited.parcel.item.number, awaited);
        }
        // if the call has ended, its answer says why
        let _ = requests.send(v1::ImportRequest { purpose: None, items });
    }

    /// Gives the server time; nothing is awaited meanwhile.
    #[expect(
        clippy::disallowed_methods,
        reason = "only the server knows when it can take more, and it does not call back"
    )]
    async fn pause(&self) {
        let attempt = self.again.iter().map(|awaited| awaited.attempt).max().unwrap_or(1);
        let factor = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let before = self.bar.message();
        self.bar.set_message("waiting, for the node cannot file now");
        tokio::time::sleep(self.pause.saturating_mul(factor).min(LONGEST_PAUSE)).await;
        self.bar.set_message(before);
    }

    fn send_again(&mut self, requests: &UnboundedSender<v1::ImportRequest>) {
        let mut again = std::mem::take(&mut self.again).into_iter().peekable();
        while again.peek().is_some() {
            let next = |awaited: Awaited| Awaited { attempt: awaited.attempt + 1, ..awaited };
            let batch = again.by_ref().take(SENT_AGAIN).map(next).collect();
            self.send(batch, requests);
        }
    }

    fn settle(&mut self, answer: v1::ImportResponse) {
        self.count.position(answer.position);
        for result in answer.results {
            // a number that nobody awaits is an answer given twice
            let Some(awaited) = self.awaited.remove(&result.number) else { continue };
            self.bytes = self.bytes.saturating_sub(awaited.parcel.bytes);
            let refused = result.status() == v1::ImportStatus::Refused;
            if refused && result.retryable && awaited.attempt < ATTEMPTS {
                self.again.push(awaited);
                continue;
            }
            if refused && WHOSE_UNCLEAR.contains(&result.reason.as_str()) {
                self.unclear.extend(awaited.parcel.patient.clone());
            }
            self.count.answer(&awaited.parcel.found, &result);
            self.bar.inc(1);
        }
    }

    fn failed(&self, status: tonic::Status) -> Failure {
        Failure::of(&self.server, "ImportService/Import", status)
    }

    fn cut_off(&self) -> Failure {
        Failure::Unreachable {
            server: self.server.clone(),
            cause: "the server ended the import before it had answered everything".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
