//! Patients brought on file through `ImportService`, as `caseledger import` does it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{bail, ensure};
use api::v1;
use testkit::client::{Client, purpose};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use crate::patients::People;

/// Items in one message.
const ITEMS: usize = 200;
/// Messages that wait to be sent.
const UNSENT: usize = 8;
/// Bits of an item's number that are its place in its patient's file.
const PLACE: u32 = 20;
/// How often what the node could not take just then is sent (keys for new patients are being made).
const ATTEMPTS: usize = 100;
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(50);

/// Patients ready to be sent: making them up costs no measured time.
#[derive(Debug)]
pub(crate) struct Delivery {
    people: Arc<People>,
    entries: usize,
    numbers: Vec<u64>,
    messages: Vec<v1::ImportRequest>,
}

/// What became of it.
#[derive(Debug)]
pub(crate) struct Delivered {
    /// Ids in the order of their numbers.
    pub(crate) patients: Vec<String>,
    /// Records filed.
    pub(crate) records: u64,
    /// Patients that had to be sent again.
    pub(crate) again: usize,
}

/// Results of one attempt.
#[derive(Default)]
struct Results {
    patients: BTreeMap<u64, String>,
    filed: u64,
    /// Not taken just then.
    refused: BTreeSet<u64>,
    /// Not taken, and sending again would not help unless the patient is among `refused`.
    wrong: BTreeMap<u64, String>,
}

impl Delivery {
    /// Patients with these numbers and so many entries each.
    ///
    /// # Errors
    /// When there are no samples to draw from.
    pub(crate) fn of(
        people: &Arc<People>,
        numbers: Range<u64>,
        entries: usize,
    ) -> anyhow::Result<Self> {
        ensure!(entries < 1 << PLACE, "more entries than an item's number can tell apart");
        let numbers: Vec<u64> = numbers.collect();
        let messages = messages(people, &numbers, entries)?;
        Ok(Self { people: Arc::clone(people), entries, numbers, messages })
    }

    /// Sends all over one stream and waits until all of it is on file.
    ///
    /// # Errors
    /// When an item is refused for good, or not taken in many attempts.
    pub(crate) async fn send(mut self, client: &Client) -> anyhow::Result<Delivered> {
        let mut delivered = Delivered { patients: Vec::new(), records: 0, again: 0 };
        let mut patients = BTreeMap::new();
        for _ in 0..ATTEMPTS {
            let results = attempt(client, std::mem::take(&mut self.messages)).await?;
            delivered.records += results.filed;
            patients.extend(results.patients);
            if let Some(wrong) = results.wrong.iter().find(|one| !results.refused.contains(one.0)) {
                bail!("an item of patient {} was refused: {}", wrong.0, wrong.1);
            }
            if results.refused.is_empty() {
                ensure!(patients.len() == self.numbers.len(), "some patients have no result");
                delivered.patients = patients.into_values().collect();
                return Ok(delivered);
            }
            delivered.again += results.refused.len();
            let numbers: Vec<u64> = results.refused.into_iter().collect();
            self.messages = messages(&self.people, &numbers, self.entries)?;
            pause().await;
        }
        bail!("the node did not take all patients in {ATTEMPTS} attempts")
    }
}

#[expect(clippy::disallowed_methods, reason = "only the node knows when it can take more")]
async fn pause() {
    tokio::time::sleep(PAUSE).await;
}

fn messages(
    people: &People,
    numbers: &[u64],
    entries: usize,
) -> anyhow::Result<Vec<v1::ImportRequest>> {
    let mut messages = vec![v1::ImportRequest { purpose: purpose("RECORDMGT"), items: Vec::new() }];
    let mut items = Vec::with_capacity(ITEMS);
    for number in numbers {
        for (place, mut item) in (0..).zip(people.items(*number, entries)?) {
            item.number = (number << PLACE) | place;
            items.push(item);
            if items.len() == ITEMS {
                messages
                    .push(v1::ImportRequest { purpose: None, items: std::mem::take(&mut items) });
            }
        }
    }
    messages.push(v1::ImportRequest { purpose: None, items });
    Ok(messages)
}

async fn attempt(client: &Client, messages: Vec<v1::ImportRequest>) -> anyhow::Result<Results> {
    let (requests, outgoing) = mpsc::channel(UNSENT);
    tokio::spawn(async move {
        for message in messages {
            if requests.send(message).await.is_err() {
                // The call has ended; its answer says why.
                return;
            }
        }
    });
    let answers = client.import().import(ReceiverStream::new(outgoing)).await?;
    let mut answers = answers.into_inner();
    let mut results = Results::default();
    while let Some(answer) = answers.message().await? {
        for result in answer.results {
            take(&mut results, result);
        }
    }
    Ok(results)
}

fn take(results: &mut Results, result: v1::ImportResult) {
    let number = result.number >> PLACE;
    match result.status() {
        v1::ImportStatus::Filed | v1::ImportStatus::Amended => results.filed += 1,
        v1::ImportStatus::Unchanged => {}
        v1::ImportStatus::Refused if result.retryable => {
            results.refused.insert(number);
        }
        v1::ImportStatus::Refused | v1::ImportStatus::Unspecified => {
            let fields: Vec<String> = result
                .violations
                .iter()
                .map(|one| format!("{}: {}", one.field, one.text))
                .collect();
            let why = format!("{} {} {}", result.reason, result.message, fields.join("; "));
            results.wrong.insert(number, why);
        }
    }
    if !result.patient_id.is_empty() {
        results.patients.insert(number, result.patient_id);
    }
}
