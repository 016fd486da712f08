//! Gathers sealed contributions to `records` into blocks and publishes them.
//!
//! Natural batching: a contribution is sent at once while fewer than four publishes are in flight,
//! and gathers with its like while they are. The writer decides nothing: apply does (invariant 2).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use journal::{LedgerStream, PublishFailure};
use ledger::block::{BLOCK_OVERHEAD, MAX_BLOCK, MAX_BLOCK_RECORDS};
use ledger::{Base, Block, Content, ContributionId, Hash, Item, NodeId, SigningKey};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::alarms::Alarms;
use crate::clock::Clock;
use crate::line::Line;

/// Publishes in flight at most: enough to keep the broker's disk busy, few enough that blocks fill
/// under load (design, section 2).
const IN_FLIGHT: usize = 4;
/// Commands that may wait for a block: the limit "in flight per node" (design, section 7).
pub(crate) const WAITING: usize = 4_096;
/// Raised while the broker takes no blocks.
pub(crate) const NOT_TAKEN: &str = "BROKER_REFUSES";
/// Servers that elect a leader take nothing for a moment either.
const NOT_FOR_LONG: Duration = Duration::from_secs(5);
/// What the items of a block may take.
pub(crate) const BLOCK_ROOM: usize = MAX_BLOCK - BLOCK_OVERHEAD;

/// How a publish went, as far as this node knows.
#[derive(Clone, Debug)]
pub(crate) enum Sent {
    /// Surely not stored.
    No(String),
    /// The broker's quorum has it.
    Yes,
    /// Nobody knows yet.
    Unknown,
}

struct Job {
    item: Item,
    bytes: usize,
    records: usize,
    sealed_after: u64,
    sent: oneshot::Sender<Sent>,
}

/// The way into a ledger. Dropped with the engine, when nobody waits any more: what is in flight then
/// is let go, and the broker may store it or not.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: mpsc::Sender<Job>,
    _gathering: AbortOnDropHandle<()>,
}

/// What a writer signs and publishes with.
pub(crate) struct Press {
    pub(crate) line: Arc<Line>,
    pub(crate) stream: LedgerStream,
    pub(crate) node: NodeId,
    pub(crate) genesis: Hash,
    pub(crate) key: SigningKey,
    pub(crate) clock: Clock,
    pub(crate) alarms: Arc<Alarms>,
    /// Since when the broker has taken nothing.
    pub(crate) failing: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Press {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Press").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Press {
    /// Signs a block of these items on what this node has applied. `not_before` is the newest
    /// record's time: sealing never goes below it, nor below the ledger's time.
    pub(crate) fn block(&self, items: Vec<Item>, not_before: u64) -> Result<Bytes, crate::Failure> {
        let state = self.line.state()?;
        let content = Content {
            sealed_at: self.clock.now().max(state.time).max(not_before),
            base: Base { sequence: state.sequence, stream_hash: state.stream_hash },
            items,
        };
        Block::seal(self.line.ledger, self.node, &content, &self.key, &self.genesis)
            .map(Bytes::from)
            .map_err(crate::Failure::internal)
    }

    /// Publishes a block. An acknowledged sequence at or below what is applied means that the
    /// stream went back under our feet: nothing was filed, and the line may not be written to.
    pub(crate) async fn publish(&self, block: Bytes) -> Sent {
        let applied = self.line.progress().sequence;
        match self.stream.publish(block).await {
            Ok(sequence) if sequence > applied => {
                self.taken();
                Sent::Yes
            }
            Ok(sequence) => {
                let why = format!(
                    "the stream of {} gave sequence {sequence} to a new message, but this node had \
                     applied {applied}",
                    self.line.ledger
                );
                self.alarms.raise("STREAM_WENT_BACK", Some(self.line.ledger), why.clone());
                self.line.set_condition(crate::Condition::ReadOnly(why));
                Sent::Unknown
            }
            Err(PublishFailure::NotStored(why)) => {
                self.not_taken(&why);
                Sent::No(why)
            }
            Err(PublishFailure::Unknown(why)) => {
                self.not_taken(&why);
                Sent::Unknown
            }
        }
    }

    fn taken(&self) {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        if failing.take().is_some() {
            self.alarms.clear(NOT_TAKEN, Some(self.line.ledger));
        }
    }

    /// A broker that is connected and takes nothing is as good as away, and says less.
    fn not_taken(&self, why: &str) {
        let ledger = Some(self.line.ledger);
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let long = failing.get_or_insert_with(Instant::now).elapsed() >= NOT_FOR_LONG;
        if long && self.line.writable().is_ok() && !self.alarms.is_raised(NOT_TAKEN, ledger) {
            let text = format!(
                "the broker is connected and takes no blocks of {}: {why}. Nothing is filed, and \
                 accesses wait in the spool. See its log and whether its disk is full; after a full \
                 disk it has to be restarted",
                self.line.ledger
            );
            self.alarms.raise(NOT_TAKEN, ledger, text);
        }
    }
}

impl Writer {
    /// Starts the gathering task.
    pub(crate) fn start(press: Arc<Press>) -> Self {
        let (queue, jobs) = mpsc::channel(WAITING);
        let gathering = AbortOnDropHandle::new(tokio::spawn(gather(press, jobs)));
        Self { queue, _gathering: gathering }
    }

    /// Hands a contribution over.
    pub(crate) async fn file(&self, contribution: Item, newest: u64) -> oneshot::Receiver<Sent> {
        let records = match &contribution {
            Item::Contribution(contribution) => contribution.records.len(),
            Item::Abandonment(_) | Item::Checkpoint(_) => 0,
        };
        self.hand_over(contribution, records, newest).await
    }

    /// Hands an abandonment over.
    pub(crate) async fn abandon(&self, id: ContributionId) -> oneshot::Receiver<Sent> {
        self.hand_over(Item::Abandonment(id), 0, 0).await
    }

    async fn hand_over(
        &self,
        item: Item,
        records: usize,
        sealed_after: u64,
    ) -> oneshot::Receiver<Sent> {
        let (sent, told) = oneshot::channel();
        let bytes = item.encoded_len();
        // The gathering task lives as long as the engine does.
        let _ = self.queue.send(Job { item, bytes, records, sealed_after, sent }).await;
        told
    }
}

async fn gather(press: Arc<Press>, mut jobs: mpsc::Receiver<Job>) {
    let mut in_flight = JoinSet::new();
    let mut left_over: Option<Job> = None;
    loop {
        while in_flight.try_join_next().is_some() {}
        if in_flight.len() >= IN_FLIGHT {
            in_flight.join_next().await;
        }
        let first = match left_over.take() {
            Some(job) => job,
            None => match jobs.recv().await {
                Some(job) => job,
                None => return,
            },
        };
        let (mut bytes, mut records) = (first.bytes, first.records);
        let mut block = vec![first];
        while let Ok(job) = jobs.try_recv() {
            if bytes + job.bytes > BLOCK_ROOM || records + job.records > MAX_BLOCK_RECORDS {
                left_over = Some(job);
                break;
            }
            bytes += job.bytes;
            records += job.records;
            block.push(job);
        }
        let press = Arc::clone(&press);
        in_flight.spawn(async move { send(&press, block).await });
    }
}

async fn send(press: &Press, jobs: Vec<Job>) {
    let not_before = jobs.iter().map(|job| job.sealed_after).max().unwrap_or(0);
    let (items, tell): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.item, job.sent)).unzip();
    let sent = match press.line.writable() {
        Err(why) => Sent::No(why),
        Ok(()) => match press.block(items, not_before) {
            Ok(block) => press.publish(block).await,
            Err(failure) => {
                tracing::error!(?failure, "a block could not be sealed");
                Sent::No("this node could not seal the block".to_owned())
            }
        },
    };
    for tell in tell {
        // Whoever waited may have given up.
        let _ = tell.send(sent.clone());
    }
}
