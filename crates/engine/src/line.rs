//! One ledger on this node: messages come in by sequence, are applied on a thread of their own, and
//! whoever waits for one is told.
//!
//! A line does not talk to the broker: the supervisor feeds it, from the stream or from a peer.

mod reach;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use ledger::{
    Applied, BlockVerdict, ContributionId, ItemVerdict, LedgerId, NodeId, Refusal, VoidReason,
};
use store::{Snapshot, Store, StoreError};
use tokio::sync::{mpsc, oneshot, watch};

use crate::Failure;
use crate::alarms::Alarms;
use crate::answers::Condition;
use reach::{End, Reach, how_far, making, unheard};
pub(crate) use reach::{has_fallen_behind, is_behind};

/// Messages handed over and not yet applied: 4 full pulls, or 128 MiB of the largest. Beyond it the
/// follower waits.
const QUEUE: usize = 256;
/// What one synced batch holds at most (design, section 4).
const BATCH_BYTES: usize = 8 * 1024 * 1024;
/// Raised when apply stands still for good.
const APPLY_STOPPED: &str = "APPLY_STOPPED";
/// What is said when nothing is applied any more.
pub(crate) const APPLY_ENDED: &str = "what applies messages has ended, by a fault of the program; keep \
     the log and restart this node";

/// What became of a contribution that somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Accepted { first_position: u64, count: u16 },
    Void(VoidReason),
    Abandoned,
    Refused(Refusal),
}

/// How far a node has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) sequence: u64,
    pub(crate) size: u64,
}

/// Why apply stands still; the supervisor decides what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// A sequence is missing.
    Gap { expected: u64, got: u64 },
    /// Only an operator can help: an unknown format, damage on disk.
    Stop(String),
}

/// Messages to be applied, by sequence.
type Work = mpsc::Receiver<(u64, Bytes)>;

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) ledger: LedgerId,
    /// This node.
    node: NodeId,
    pub(crate) store: Arc<Store>,
    queue: mpsc::Sender<(u64, Bytes)>,
    /// How many messages were handed over since the start.
    handed: AtomicU64,
    /// How many of them are dealt with.
    dealt: watch::Sender<u64>,
    waiters: Mutex<HashMap<ContributionId, oneshot::Sender<Outcome>>>,
    progress: watch::Sender<Progress>,
    trouble: watch::Sender<Option<Trouble>>,
    pub(crate) condition: watch::Sender<Condition>,
    /// How many checkpoints were filed since the start.
    checkpoints: watch::Sender<u64>,
    end: Mutex<End>,
    alarms: Arc<Alarms>,
}

impl Line {
    /// Starts the apply thread. It ends when the line is dropped.
    pub(crate) fn start(
        store: Arc<Store>,
        ledger: LedgerId,
        node: NodeId,
        alarms: Arc<Alarms>,
    ) -> Result<Arc<Self>, Failure> {
        let (line, work) = Self::idle(store, ledger, node, alarms)?;
        let weak = Arc::downgrade(&line);
        std::thread::Builder::new()
            .name(format!("apply-{ledger}"))
            .spawn(move || apply_loop(&weak, work))
            .map_err(Failure::internal)?;
        Ok(line)
    }

    /// A line without its thread, and what is handed over to that.
    fn idle(
        store: Arc<Store>,
        ledger: LedgerId,
        node: NodeId,
        alarms: Arc<Alarms>,
    ) -> Result<(Arc<Self>, Work), Failure> {
        let state = store.state(ledger)?;
        let floor = store.floor(ledger)?.map_or(0, |floor| floor.sequence);
        let kept = store.known_end(ledger)?.unwrap_or(0).max(floor);
        let (reach, told) = unheard(state.sequence, kept);
        let (queue, work) = mpsc::channel(QUEUE);
        let line = Arc::new(Self {
            ledger,
            node,
            store,
            queue,
            handed: AtomicU64::new(0),
            dealt: watch::Sender::new(0),
            waiters: Mutex::default(),
            progress: watch::Sender::new(Progress { sequence: state.sequence, size: state.size }),
            trouble: watch::Sender::new(None),
            condition: watch::Sender::new(Condition::CatchingUp(told)),
            checkpoints: watch::Sender::new(0),
            end: Mutex::new(End { reach, kept }),
            alarms,
        });
        Ok((line, work))
    }

    /// The ledger as this node has applied it.
    pub(crate) fn state(&self) -> Result<Snapshot, StoreError> {
        self.store.state(self.ledger)
    }

    pub(crate) fn progress(&self) -> Progress {
        *self.progress.borrow()
    }

    pub(crate) fn follow_progress(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    /// Changes when somebody filed a checkpoint.
    pub(crate) fn follow_checkpoints(&self) -> watch::Receiver<u64> {
        self.checkpoints.subscribe()
    }

    pub(crate) fn follow_trouble(&self) -> watch::Receiver<Option<Trouble>> {
        self.trouble.subscribe()
    }

    /// Takes messages up to here as seen: the supervisor mended what was wrong.
    pub(crate) fn clear_trouble(&self) {
        self.trouble.send_if_modified(|trouble| {
            matches!(trouble, Some(Trouble::Gap { .. })) && trouble.take().is_some()
        });
    }

    /// Hands a message over to be applied; false when nothing is applied any more. The thread that
    /// should does not end before the line does, unless it panicked: then the ledger stops.
    pub(crate) async fn feed(&self, sequence: u64, message: Bytes) -> bool {
        // Before it waits for room: from here on it may be applied.
        self.handed.fetch_add(1, Ordering::SeqCst);
        let open = self.queue.send((sequence, message)).await.is_ok();
        if !open {
            self.apply_ended();
        }
        open
    }

    /// Returns when what was handed over until now is dealt with: applied, or dropped where apply
    /// stands still. False when nothing is applied any more; the ledger stops then. Before that nobody
    /// is told how far this node is: what waits here it applies, also if the stream has lost it since.
    pub(crate) async fn drained(&self) -> bool {
        let handed = self.handed.load(Ordering::SeqCst);
        let mut dealt = self.dealt.subscribe();
        let open = tokio::select! {
            biased;
            _ = dealt.wait_for(|dealt| *dealt >= handed) => true,
            () = self.queue.closed() => false,
        };
        if !open {
            self.apply_ended();
        }
        open
    }

    fn apply_ended(&self) {
        let text = format!("apply of {} stopped: {APPLY_ENDED}", self.ledger);
        self.alarms.keep(APPLY_STOPPED, Some(self.ledger), text);
        self.set_condition(Condition::Stopped(APPLY_ENDED.to_owned()));
    }

    /// From now on, the outcome of this contribution is told here, once.
    pub(crate) fn expect(&self, id: ContributionId) -> oneshot::Receiver<Outcome> {
        let (tell, told) = oneshot::channel();
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner).insert(id, tell);
        told
    }

    /// Nobody waits for it any more.
    pub(crate) fn forget(&self, id: &ContributionId) {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Takes down where the stream that was agreed on ends, or how far a peer is. An end far away is
    /// kept: a node that stops on the way there still knows of it after a start without a broker.
    pub(crate) fn learn_end(&self, last: u64) -> Result<(), StoreError> {
        let applied = self.progress().sequence;
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let behind = is_behind(applied, last);
        if last != end.kept && (behind || is_behind(applied, end.kept)) {
            self.store.set_known_end(self.ledger, last)?;
            end.kept = last;
        }
        end.reach = if behind { Reach::Behind { last } } else { Reach::Near };
        Ok(())
    }

    /// Whether reads may be answered: not while the stream is known to go on far beyond what is
    /// applied, for what is missing here would be answered as if there were no such thing.
    pub(crate) fn near_end(&self) -> Result<(), Failure> {
        let how_far = match self.reach() {
            Reach::Near => return Ok(()),
            // As far as they are, or why they cannot be made.
            Reach::Making { .. } => self.writable().err().unwrap_or_default(),
            Reach::Unheard => "it has just started and is asking how far the others are".to_owned(),
            Reach::Behind { last } => how_far(self.progress().sequence, last),
        };
        let why = format!(
            "this node is catching up with {}: {how_far}; ask another node, or this one later",
            self.ledger
        );
        Err(Failure::CatchingUp { why })
    }

    /// How far the stream's end is. A database that has not come back to where this node was is
    /// behind, however near.
    fn reach(&self) -> Reach {
        let reach = self.end.lock().unwrap_or_else(PoisonError::into_inner).reach;
        match (self.store.floor(self.ledger), reach) {
            (Ok(None), reach) | (Ok(Some(_)), reach @ Reach::Making { .. }) => reach,
            (Ok(Some(floor)), Reach::Behind { last }) => {
                Reach::Behind { last: last.max(floor.sequence) }
            }
            (Ok(Some(floor)), Reach::Unheard | Reach::Near) => {
                Reach::Behind { last: floor.sequence }
            }
            (Err(_), _) => Reach::Behind { last: 0 },
        }
    }

    /// Whether this node may publish to the ledger, and if not, why.
    pub(crate) fn writable(&self) -> Result<(), String> {
        match &*self.condition.borrow() {
            Condition::Serving => Ok(()),
            Condition::ReadOnly(why) | Condition::CatchingUp(why) | Condition::Stopped(why) => {
                Err(why.clone())
            }
        }
    }

    /// Its views are being made; nothing is fed to it meanwhile.
    pub(crate) fn making_views(&self, done: u64, total: u64) {
        self.end.lock().unwrap_or_else(PoisonError::into_inner).reach =
            Reach::Making { done, total };
        self.catching_up(making(done, total));
    }

    /// Its views are made: from here on it is as if it had just started.
    pub(crate) fn views_made(&self) {
        let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
        let (reach, told) = unheard(self.progress().sequence, end.kept);
        end.reach = reach;
        self.catching_up(told);
    }

    /// Not after it has stopped.
    fn catching_up(&self, why: String) {
        self.condition.send_if_modified(|now| {
            let goes_on = !matches!(now, Condition::Stopped(_));
            if goes_on {
                *now = Condition::CatchingUp(why);
            }
            goes_on
        });
    }

    /// Sets the condition; a stop is final until the node is started anew. Whoever only reads and is
    /// known to be far from the end is catching up. A node that was told no end by now goes by what
    /// it has.
    pub(crate) fn set_condition(&self, mut condition: Condition) {
        {
            let mut end = self.end.lock().unwrap_or_else(PoisonError::into_inner);
            if end.reach == Reach::Unheard {
                end.reach = Reach::Near;
            }
        }
        if let (Condition::ReadOnly(why), Reach::Behind { last }) = (&condition, self.reach()) {
            let how_far = how_far(self.progress().sequence, last);
            condition = Condition::CatchingUp(format!("{how_far}: {why}"));
        }
        self.condition.send_if_modified(|now| {
            if matches!(now, Condition::Stopped(_)) || *now == condition {
                return false;
            }
            match &condition {
                Condition::Serving => tracing::info!(ledger = %self.ledger, "serving"),
                Condition::ReadOnly(why) => {
                    tracing::warn!(ledger = %self.ledger, "read only: {why}")
                }
                Condition::CatchingUp(why) => {
                    tracing::warn!(ledger = %self.ledger, "catching up: {why}")
                }
                Condition::Stopped(why) => tracing::error!(ledger = %self.ledger, "stopped: {why}"),
            }
            *now = condition;
            true
        });
    }

    fn told(&self, id: &ContributionId, outcome: Outcome) {
        let waiter = self.waiters.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        if let Some(waiter) = waiter {
            // Whoever waited may have given up.
            let _ = waiter.send(outcome);
        }
    }

    fn tell(&self, applied: &Applied, message: &[u8]) {
        match &applied.verdict {
            BlockVerdict::Judged(items) => items.iter().for_each(|item| self.tell_item(item)),
            BlockVerdict::Refused(refusal) => {
                self.alarms.raise(
                    "BLOCK_REFUSED",
                    Some(self.ledger),
                    format!(
                        "message {} of {} was refused ({refusal}); it is kept and changes nothing. \
                         Find out who may publish to the stream",
                        applied.sequence, self.ledger
                    ),
                );
                // Whoever may publish can name us, and what our callers wait for: only what surely
                // came from this node may tell them.
                let unproven = matches!(refusal, Refusal::WrongLedger | Refusal::BadSignature);
                if applied.node == Some(self.node) && !unproven {
                    self.tell_refused(message, *refusal);
                }
            }
        }
    }

    fn tell_item(&self, item: &ItemVerdict) {
        match item {
            ItemVerdict::Accepted { contribution, first_position, count } => {
                let (first_position, count) = (*first_position, *count);
                self.told(contribution, Outcome::Accepted { first_position, count });
            }
            ItemVerdict::Void { contribution, reason } => {
                tracing::debug!(ledger = %self.ledger, %contribution, ?reason, "void");
                self.told(contribution, Outcome::Void(*reason));
            }
            ItemVerdict::Abandoned { contribution } => {
                self.told(contribution, Outcome::Abandoned);
            }
            ItemVerdict::Checkpoint => self.checkpoints.send_modify(|filed| *filed += 1),
            ItemVerdict::Ignored { .. } => {}
        }
    }

    /// A block of our own was refused (a base of another history): its callers need not wait.
    fn tell_refused(&self, message: &[u8], refusal: Refusal) {
        let Ok(frame) = ledger::Frame::parse(message) else { return };
        let Ok(content) = frame.content() else { return };
        for item in &content.items {
            if let ledger::Item::Contribution(contribution) = item {
                self.told(&contribution.id, Outcome::Refused(refusal));
            }
        }
    }
}

fn apply_loop(line: &std::sync::Weak<Line>, mut work: Work) {
    let mut batch = Vec::new();
    while let Some(first) = work.blocking_recv() {
        let mut bytes = first.1.len();
        batch.push(first);
        while bytes < BATCH_BYTES {
            let Ok(next) = work.try_recv() else { break };
            bytes += next.1.len();
            batch.push(next);
        }
        let Some(line) = line.upgrade() else { return };
        let dealt = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        apply_batch(&line, &mut batch);
        line.dealt.send_modify(|all| *all += dealt);
    }
}

/// Applies what is new of a batch. What comes again (a new follower starts a little earlier) is
/// skipped; what comes while apply stands still is dropped, for it is followed again afterwards.
fn apply_batch(line: &Line, batch: &mut Vec<(u64, Bytes)>) {
    let applied = line.progress().sequence;
    batch.retain(|(sequence, _)| *sequence > applied);
    if batch.is_empty() || line.trouble.borrow().is_some() {
        batch.clear();
        return;
    }
    let mut rest = batch.as_slice();
    while !rest.is_empty() {
        match line.store.apply(line.ledger, rest) {
            Ok(verdicts) if !verdicts.is_empty() => {
                let done = verdicts.len().min(rest.len());
                let (now, later) = rest.split_at(done);
                tell_all(line, &verdicts, now);
                rest = later;
            }
            Ok(_) => break,
            // A follower that began anew brings what is still in hand once more. The store has
            // compared it: the same bytes.
            Err(StoreError::AlreadyApplied { .. }) => rest = rest.get(1..).unwrap_or_default(),
            Err(error) => {
                stand_still(line, &error);
                break;
            }
        }
    }
    batch.clear();
}

fn tell_all(line: &Line, verdicts: &[Applied], messages: &[(u64, Bytes)]) {
    if let Ok(state) = line.state() {
        line.progress.send_replace(Progress { sequence: state.sequence, size: state.size });
    }
    for (applied, (_, message)) in verdicts.iter().zip(messages) {
        line.tell(applied, message);
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "only a gap can be mended from here")]
fn stand_still(line: &Line, error: &StoreError) {
    let trouble = match error {
        StoreError::Apply { source: ledger::ApplyError::Gap { expected, got }, .. } => {
            Trouble::Gap { expected: *expected, got: *got }
        }
        other => Trouble::Stop(store::causes(other)),
    };
    let code = match &trouble {
        Trouble::Gap { .. } => "STREAM_GAP",
        Trouble::Stop(_) => APPLY_STOPPED,
    };
    line.alarms.raise(
        code,
        Some(line.ledger),
        format!("apply of {} stopped: {}", line.ledger, store::causes(error)),
    );
    if let Trouble::Stop(why) = &trouble {
        line.set_condition(Condition::Stopped(why.clone()));
    }
    line.trouble.send_replace(Some(trouble));
}

#[cfg(test)]
mod tests;
