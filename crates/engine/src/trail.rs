//! The audit trail: every showing and every denial, durable before the first byte leaves
//! (invariant 7), also while the broker is down (invariant 10).
//!
//! Access records wait, are sealed together into a block of this node's chain, synced to the spool,
//! and published one block after the other (`forward`). Whoever waits is released when the broker's
//! quorum has the block that this node has synced (durable twice, as invariant 3 asks of commands;
//! what apply says of it is not theirs to wait for, it is sealed anew if need be), or, when that takes
//! longer than 200 ms, by the spool alone: reads survive the broker.

mod chain;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ledger::{ActorId, ContributionId, Hash, KeyId, SubjectId};
use schema::AccessRecord;
use store::Store;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::clock::random;
use crate::disk::{SPOOL_STOPPED, shows, tell_kept};
use crate::forward::{Forwarding, Waiting};
use crate::seal::{Chain, Draft, Sealer};
use crate::writer::{BLOCK_ROOM, Press};
use crate::{Condition, Failure, Receipt, Violation};

/// How long a reader waits for the broker before the spool alone has to do (design, invariant 10).
pub(crate) const BROKER_PATIENCE: Duration = Duration::from_millis(200);
/// Showings that may wait to be sealed.
const WAITING: usize = 4_096;

/// One access record to be: about whom, under which audit key, what.
#[derive(Debug)]
pub(crate) struct Showing {
    pub(crate) subject: SubjectId,
    pub(crate) key: KeyId,
    pub(crate) record: AccessRecord,
}

struct Job {
    actor: ActorId,
    showings: Vec<Showing>,
    done: oneshot::Sender<Result<Spooled, Failure>>,
}

/// A job is in the spool under this number; its receipt.
struct Spooled {
    block: u64,
    receipt: Hash,
}

/// What the sending half has done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forwarded {
    /// Blocks up to this number are applied.
    pub(crate) upto: u64,
    /// Blocks up to this number are with the broker's quorum.
    pub(crate) published: u64,
    /// The broker does not take them now: nobody need wait for it.
    pub(crate) stalled: bool,
    /// Apply refused a block, so what was sealed behind it links to nothing either: the chain is known
    /// again when all that is spooled is applied.
    pub(crate) refused: bool,
}

/// The way into the access ledger. Dropped with the engine: the first half ends with the queue, the
/// second at once, for what is not forwarded is in the spool and is sent after the next start.
#[derive(Debug)]
pub(crate) struct Trail {
    queue: mpsc::Sender<Job>,
    forwarded: watch::Receiver<Forwarded>,
    /// The newest block that somebody was answered on.
    answered: AtomicU64,
    press: Arc<Press>,
    _forwarding: AbortOnDropHandle<()>,
}

impl Trail {
    /// Takes up the spool where the node left it, and starts both halves.
    pub(crate) fn start(
        press: Arc<Press>,
        sealer: Arc<Sealer>,
        store: Arc<Store>,
    ) -> Result<Self, Failure> {
        let (waiting, head) = chain::spooled(&press)?;
        let last = waiting.last().map_or(0, |block| block.number);
        let first = waiting.first().map_or(last + 1, |block| block.number);
        let made = store.spooled_upto()?;
        tell_lost(&press, store.lost_accesses()?);
        let upto = first - 1;
        let forwarded =
            watch::Sender::new(Forwarded { upto, published: upto, stalled: false, refused: false });
        let seen = forwarded.subscribe();
        let (queue, jobs) = mpsc::channel(WAITING);
        let (hand_over, blocks) = mpsc::unbounded_channel();
        let sealing = Sealing {
            press: Arc::clone(&press),
            sealer: Arc::clone(&sealer),
            store: Arc::clone(&store),
            head,
            synced: head,
            made: (made > head.version).then_some(made),
            next: last + 1,
            hand_over,
            forwarded: seen.clone(),
        };
        tokio::spawn(sealing.run(jobs));
        let forwarding =
            Forwarding { press: Arc::clone(&press), sealer, store, forwarded, anew: 0, aside: 0 };
        let forwarding = AbortOnDropHandle::new(tokio::spawn(forwarding.run(waiting, blocks)));
        let answered = AtomicU64::new(0);
        Ok(Self { queue, forwarded: seen, answered, press, _forwarding: forwarding })
    }

    /// Records what is about to be shown, or was denied, and returns once it is durable.
    pub(crate) async fn record(
        &self,
        actor: ActorId,
        showings: Vec<Showing>,
    ) -> Result<Receipt, Failure> {
        let (done, told) = oneshot::channel();
        let gone = |_| Failure::Unavailable { why: "the audit trail is not running".to_owned() };
        self.queue.send(Job { actor, showings, done }).await.map_err(|_| Failure::Unavailable {
            why: "the audit trail is not running".to_owned(),
        })?;
        let spooled = told.await.map_err(gone)??;
        let mut forwarded = self.forwarded.clone();
        let moved = forwarded.wait_for(|now| now.published >= spooled.block || now.stalled);
        let _ = tokio::time::timeout(BROKER_PATIENCE, moved).await.is_ok();
        // Either way the record is durable: in the synced spool and with the broker, or in the spool.
        let published = self.forwarded.borrow().published >= spooled.block;
        if !published {
            self.rely_on_spool().await?;
        }
        self.answered.fetch_max(spooled.block, Ordering::Relaxed);
        Ok(Receipt(spooled.receipt))
    }

    async fn rely_on_spool(&self) -> Result<(), Failure> {
        let noted = rely_on_spool(&self.press.line.store).await;
        let kept = match &noted {
            Ok(()) => Ok(()),
            Err(Failure::Internal { cause }) => Err(cause.clone()),
            Err(failure) => Err(failure.to_string()),
        };
        tell_kept(kept, &self.press.alarms);
        noted.map_err(|failure| not_spooled(&failure))
    }

    /// Whether anything is shown here: not while it cannot be put on record.
    pub(crate) fn shows(&self) -> bool {
        let away = self.forwarded.borrow().stalled;
        shows(&self.press.alarms, self.press.line.ledger, away)
    }

    /// Bytes of what was answered on and is not applied; what is, leaves the spool a little later.
    pub(crate) fn waiting_bytes(&self, store: &Store) -> u64 {
        let answered = self.answered.load(Ordering::Relaxed);
        let applied = self.forwarded.borrow().upto >= answered;
        if applied { 0 } else { store.spool().bytes() }
    }

    /// Returns when what was answered on before is applied, so that whoever asks this node for its
    /// trail next finds it there; or after 200 ms, for without the broker nothing is.
    pub(crate) async fn applied(&self) {
        let answered = self.answered.load(Ordering::Relaxed);
        let mut forwarded = self.forwarded.clone();
        let applied = forwarded.wait_for(|now| now.upto >= answered || now.stalled);
        let _ = tokio::time::timeout(BROKER_PATIENCE, applied).await.is_ok();
    }
}

/// What leaves on the spool's word alone must be missed if the spool is lost.
pub(crate) async fn rely_on_spool(store: &Arc<Store>) -> Result<(), Failure> {
    let store = Arc::clone(store);
    let noted = tokio::task::spawn_blocking(move || store.rely_on_spool()).await;
    Ok(noted.map_err(Failure::internal)??)
}

/// Lost access records stay an alarm for ever: nobody can make them again.
pub(crate) fn tell_lost(press: &Press, lost: u64) {
    if lost > 0 {
        press.alarms.raise(
            "SPOOL_DROPPED",
            Some(press.line.ledger),
            format!(
                "{lost} access record(s) of this node were lost with its spool and are not in the \
                 trail: the audit trail of this node has a gap that cannot be filled"
            ),
        );
    }
}

/// The first half: seal and spool.
struct Sealing {
    press: Arc<Press>,
    sealer: Arc<Sealer>,
    store: Arc<Store>,
    /// Where the chain stands with what is being sealed.
    head: Chain,
    /// Where it stands in the spool.
    synced: Chain,
    /// The node has made records up to this version, but neither spool nor database has them: they
    /// come with the stream, or are lost. Nothing is sealed before that is known.
    made: Option<u64>,
    next: u64,
    hand_over: mpsc::UnboundedSender<Waiting>,
    forwarded: watch::Receiver<Forwarded>,
}

impl Sealing {
    async fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        let mut condition = self.press.line.condition.subscribe();
        loop {
            let first = tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => job,
                    None => return,
                },
                _ = condition.wait_for(|now| *now == Condition::Serving), if self.made.is_some() => {
                    self.catch_up();
                    self.notice_lost();
                    continue;
                }
            };
            let mut gathered = vec![first];
            self.gather(&mut jobs, &mut gathered).await;
            self.spool(gathered).await;
        }
    }

    /// Called when all that the stream held of this chain is applied: what is missing now is lost.
    fn notice_lost(&mut self) {
        let Some(made) = self.made.take().filter(|made| *made > self.head.version) else { return };
        let (lost, version) = (made - self.head.version, self.head.version);
        tracing::error!(
            lost,
            version,
            "this node's chain in the trail has a gap after this version"
        );
        if let Err(error) = self.store.note_lost_accesses(lost, version) {
            tracing::error!(error = &error as &dyn std::error::Error, "the loss is not noted");
        }
        tell_lost(&self.press, self.store.lost_accesses().unwrap_or(lost));
    }

    /// Takes what waits; while a block is under way to the broker, more may come. After a refusal the
    /// next one is not sealed before all are applied, or it would be refused too; but whoever waits is
    /// not kept longer than by a broker.
    async fn gather(&mut self, jobs: &mut mpsc::Receiver<Job>, gathered: &mut Vec<Job>) {
        let deadline = Instant::now() + BROKER_PATIENCE;
        let next = self.next;
        let may_seal = move |now: &Forwarded| match now.refused {
            true => now.upto + 1 >= next,
            false => now.published + 1 >= next || now.stalled,
        };
        let mut records: usize = gathered.iter().map(|job| job.showings.len()).sum();
        loop {
            while records < ledger::block::MAX_BLOCK_RECORDS / 2 {
                let Ok(job) = jobs.try_recv() else { break };
                records += job.showings.len();
                gathered.push(job);
            }
            if records >= ledger::block::MAX_BLOCK_RECORDS / 2 || may_seal(&self.forwarded.borrow())
            {
                return;
            }
            tokio::select! {
                job = jobs.recv() => match job {
                    Some(job) => { records += job.showings.len(); gathered.push(job); }
                    None => return,
                },
                seen = tokio::time::timeout_at(deadline, self.forwarded.wait_for(may_seal)) => {
                    if !matches!(seen, Ok(Ok(_))) { return; }
                }
            }
        }
    }

    /// A node whose database was made anew, or put back to an older copy, learns its own chain from
    /// the stream: what it seals from then on links there, for apply takes nothing else. And
    /// once nothing is under way, the chain is what is applied, however the blocks before were sealed
    /// in the end.
    fn catch_up(&mut self) {
        let drained = self.forwarded.borrow().upto + 1 == self.next;
        match chain::applied(&self.press) {
            Ok(applied) if drained || applied.version > self.head.version => {
                if applied.version < self.synced.version {
                    self.ends_at(applied.version);
                }
                self.head = applied;
                self.synced = applied;
            }
            Ok(_) => {}
            Err(failure) => tracing::error!(?failure, "this node's own chain cannot be read"),
        }
    }

    /// Not all that was spooled came on file, and that was told when it turned out: the next start
    /// is not to count the same once more as lost with the spool.
    fn ends_at(&self, version: u64) {
        if let Err(error) = self.store.note_lost_accesses(0, version) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the chain's end is not noted"
            );
        }
    }

    async fn spool(&mut self, jobs: Vec<Job>) {
        self.catch_up();
        if self.made.is_some_and(|made| made > self.head.version) {
            for job in jobs {
                drop(job.done.send(Err(Failure::Unavailable {
                    why: "this node has not caught up with its own audit trail; nothing was shown"
                        .to_owned(),
                })));
            }
            return;
        }
        self.made = None;
        let mut block = Vec::new();
        let mut told = Vec::new();
        let mut bytes = 0;
        for job in jobs {
            let before = self.head;
            let (item, receipt) = match self.seal(job.actor, &job.showings) {
                Ok(sealed) => sealed,
                Err(failure) => {
                    drop(job.done.send(Err(failure)));
                    continue;
                }
            };
            let length = item.encoded_len();
            if bytes + length > BLOCK_ROOM && !block.is_empty() {
                // The chain up to here; what was just sealed goes on from it.
                let sealed = std::mem::replace(&mut self.head, before);
                self.sync(std::mem::take(&mut block), std::mem::take(&mut told)).await;
                if self.head != before {
                    drop(job.done.send(Err(not_spooled(&Failure::internal("the block before")))));
                    continue;
                }
                self.head = sealed;
                bytes = 0;
            }
            bytes += length;
            block.push(item);
            told.push((job.done, receipt));
        }
        if !block.is_empty() {
            self.sync(block, told).await;
        }
    }

    /// Seals one contribution onto the chain, unless no block holds it. Its id is random: an access happens
    /// once.
    fn seal(
        &mut self,
        actor: ActorId,
        showings: &[Showing],
    ) -> Result<(ledger::Item, Hash), Failure> {
        let mut plain = Vec::with_capacity(showings.len());
        for showing in showings {
            plain.push(schema::encode_access(&showing.record).map_err(Failure::internal)?);
        }
        let drafts = showings
            .iter()
            .zip(plain)
            .map(|(showing, plain)| Draft { subject: showing.subject, key: showing.key, plain })
            .collect();
        let id = ContributionId(random()?);
        let mut heads = |_| Ok(self.head);
        let sealed = self.sealer.seal(id, Hash::ZERO, actor, Vec::new(), drafts, 0, &mut heads)?;
        let item = ledger::Item::Contribution(sealed.contribution);
        check_size(item.encoded_len(), showings.len())?;
        if let Some(head) = sealed.heads.values().next() {
            self.head = *head;
        }
        Ok((item, sealed.first))
    }

    async fn sync(
        &mut self,
        block: Vec<ledger::Item>,
        told: Vec<(oneshot::Sender<Result<Spooled, Failure>>, Hash)>,
    ) {
        let number = self.next;
        let records = self.head.version.saturating_sub(self.synced.version);
        let written = match self.press.block(block, self.head.recorded_at) {
            Ok(block) => self.write(number, block).await.inspect_err(|why| self.stop_over(why)),
            Err(failure) => {
                tracing::error!(?failure, "a block of access records could not be sealed");
                Err(failure)
            }
        };
        match written {
            Ok(()) => {
                self.next += 1;
                self.synced = self.head;
                // The forwarding half lives as long as this one. It reads the block when its turn
                // comes: while the broker is away, only numbers are in memory.
                let _ = self.hand_over.send(Waiting { number, records });
                for (done, receipt) in told {
                    let _ = done.send(Ok(Spooled { block: number, receipt }));
                }
            }
            Err(failure) => {
                self.head = self.synced;
                for (done, _) in told {
                    let _ = done.send(Err(not_spooled(&failure)));
                }
            }
        }
    }

    /// A spool that cannot be written is so for good: the database takes nothing more before the node is
    /// started anew. Nothing is shown from here on, so nobody should be sent here.
    fn stop_over(&self, failure: &Failure) {
        let Failure::Internal { cause } = failure else {
            tracing::error!(?failure, "access records could not be spooled");
            return;
        };
        let why = format!(
            "access records cannot be spooled, so nothing is shown: {cause}. If the disk is full, make \
             room; then start the node anew"
        );
        self.press.alarms.keep(SPOOL_STOPPED, Some(self.press.line.ledger), why.clone());
        self.press.line.set_condition(Condition::Stopped(why));
    }

    async fn write(&self, number: u64, block: Bytes) -> Result<(), Failure> {
        let store = Arc::clone(&self.store);
        let newest = self.head.version;
        tokio::task::spawn_blocking(move || store.spool().put(number, &block, newest))
            .await
            .map_err(Failure::internal)?
            .map_err(Failure::from)
    }
}

/// The access records of one answer are durable together, in one block.
fn check_size(bytes: usize, records: usize) -> Result<(), Failure> {
    if bytes <= BLOCK_ROOM {
        return Ok(());
    }
    Err(Failure::Invalid(vec![Violation {
        field: String::new(),
        code: "too-large".to_owned(),
        description: format!(
            "the {records} access records of this answer take {bytes} bytes, and a block has at most \
             {BLOCK_ROOM}: ask for fewer at once; nothing was shown"
        ),
    }]))
}

/// What a reader hears when its access record could not be spooled: nothing was shown.
fn not_spooled(failure: &Failure) -> Failure {
    if let Failure::Exhausted { retry_after, limit } = failure {
        return Failure::Exhausted { retry_after: *retry_after, limit };
    }
    Failure::Unavailable { why: "the audit trail cannot be written; nothing was shown".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_block_holds_is_refused_by_name_of_the_limit() {
        assert!(check_size(BLOCK_ROOM, 201).is_ok());
        let refused = check_size(BLOCK_ROOM + 1, 201).unwrap_err();
        let Failure::Invalid(violations) = refused else { panic!("{refused:?}") };
        assert_eq!(violations[0].code, "too-large");
        assert!(violations[0].description.contains(&BLOCK_ROOM.to_string()), "{violations:?}");
    }
}
