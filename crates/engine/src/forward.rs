//! The sending half of the audit trail: spooled blocks are published in order, each when the broker
//! has the one before, until all of them are on file.
//!
//! A block leaves before apply has judged the one it links to: both came from this node in this
//! order, so if the first is accepted, so is the second, and readers need not wait for apply. When
//! anything else becomes of one, it and those under way behind it are taken up again one by one.
//!
//! Apply may refuse a block for good: the node was put back to an older copy and its chain goes on
//! elsewhere, a part of the spool is gone, or the block stands on another history. What is in it is
//! then sealed anew onto the chain as it is now: the same contributions under their ids, of which
//! apply accepts each once however many copies arrive, at the same times, under other record ids and
//! hashes. The spool keeps the block as first sealed until then, and the stream keeps it void, so a
//! receipt given for it can still be looked up. What cannot be opened any more is kept aside and
//! alarmed: it must not hold up what is behind it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{JoinAll, join_all};
use ledger::block::MAX_BLOCK_RECORDS;
use ledger::{Contribution, ContributionId, Frame, Item, LedgerId, Refusal, SubjectId, VoidReason};
use store::Store;
use tokio::sync::{mpsc, oneshot, watch};

use crate::line::Outcome;
use crate::seal::{Chain, Sealer};
use crate::trail::{BROKER_PATIENCE, Forwarded, rely_on_spool};
use crate::writer::{BLOCK_ROOM, Press, Sent};
use crate::{Condition, Failure};

/// Pause before a block of which nothing is known is sent again, unless the ledger moves earlier:
/// long enough not to flood a broker that answers nothing, short enough to be quick when it does.
const PAUSE: Duration = Duration::from_millis(500);

/// Under which sequence a block is kept aside that the stream does not have as a part of the ledger.
const NO_SEQUENCE: u64 = 0;

/// Blocks that the broker has and apply has not judged yet, at most; beyond it readers wait for apply
/// (as many as of `records`).
const UNDER_WAY: usize = 4;
/// While others are under way, so many blocks leave the spool together: each time costs a walk.
const REMOVED_TOGETHER: u64 = 8;

/// A block in the spool whose turn is to come.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    pub(crate) number: u64,
    /// How many access records it has: what the trail lacks if the block is lost.
    pub(crate) records: u64,
}

/// What apply will say of each contribution of a block.
type Told = JoinAll<oneshot::Receiver<Outcome>>;

/// A block that the broker has and apply has not judged yet.
struct UnderWay {
    number: u64,
    block: Bytes,
    ids: Vec<ContributionId>,
    told: Told,
    /// From before it was sent: whatever changes since then may have lost it.
    condition: watch::Receiver<Condition>,
}

/// What became of a block that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// All of it is on file.
    Settled,
    /// The same bytes will never be accepted.
    Refused,
    /// Nor will its contributions, sealed anew: they themselves are not as they must be.
    Unsound,
    /// Not known, or not a matter of the block: it is sent again.
    Open,
}

/// The sending half.
pub(crate) struct Forwarding {
    pub(crate) press: Arc<Press>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) store: Arc<Store>,
    pub(crate) forwarded: watch::Sender<Forwarded>,
    /// Access records sealed anew since the start, for the alarm.
    pub(crate) anew: usize,
    /// Access records kept aside since the start, for the alarm.
    pub(crate) aside: usize,
}

impl Forwarding {
    /// `waiting` was in the spool at the start: apply may know it already. What comes after that is new.
    pub(crate) async fn run(
        mut self,
        waiting: Vec<Waiting>,
        mut blocks: mpsc::UnboundedReceiver<Waiting>,
    ) {
        for next in waiting {
            if let Some(block) = self.spooled(next).await {
                self.forward(next.number, &block).await;
            }
            self.done(next.number, true);
        }
        let mut under_way = VecDeque::new();
        loop {
            let room = under_way.len() < UNDER_WAY;
            tokio::select! {
                biased;
                verdict = self.oldest(&mut under_way) => match (verdict, under_way.pop_front()) {
                    (Verdict::Settled, Some(one)) => {
                        self.goes_on();
                        self.done(one.number, under_way.is_empty());
                    }
                    (verdict, oldest) => {
                        if verdict != Verdict::Open {
                            self.refused().await;
                        }
                        self.one_by_one(oldest.into_iter().chain(under_way.drain(..))).await;
                    }
                },
                next = blocks.recv(), if room => {
                    let Some(next) = next else { return };
                    let number = next.number;
                    let Some(block) = self.spooled(next).await else {
                        // After all that was sent before it.
                        self.one_by_one(under_way.drain(..)).await;
                        // Those went on; what is sealed next must not link to what is lost.
                        self.refused().await;
                        self.done(number, true);
                        continue;
                    };
                    let ids = ids(&block);
                    let (sent, told, condition) =
                        self.publish(&block, &ids, Some(number)).await;
                    under_way.push_back(UnderWay { number, block, ids, told, condition });
                    if !matches!(sent, Sent::Yes) {
                        self.one_by_one(under_way.drain(..)).await;
                    }
                }
            }
        }
    }

    /// What became of the oldest block under way; never, when there is none.
    async fn oldest(&self, under_way: &mut VecDeque<UnderWay>) -> Verdict {
        match under_way.front_mut() {
            Some(oldest) => {
                let outcomes = self.told(&mut oldest.told, &mut oldest.condition).await;
                self.verdict(&oldest.ids, outcomes)
            }
            None => std::future::pending().await,
        }
    }

    /// Nothing is sent before what was sent before it is on file.
    async fn one_by_one(&mut self, blocks: impl Iterator<Item = UnderWay>) {
        for UnderWay { number, block, told, .. } in blocks.collect::<Vec<_>>() {
            drop(told);
            self.forward(number, &block).await;
            self.done(number, true);
        }
    }

    /// A block is on file: it may leave the spool, alone or with others behind it.
    fn done(&self, number: u64, last: bool) {
        self.forwarded.send_modify(|now| {
            now.upto = number;
            now.published = now.published.max(number);
        });
        if !last && !number.is_multiple_of(REMOVED_TOGETHER) {
            return;
        }
        // Nobody waits for it. If it is not gone after a crash, it comes again and is found settled.
        let store = Arc::clone(&self.store);
        drop(tokio::task::spawn_blocking(move || {
            if let Err(error) = store.spool().remove(number) {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(number, error, "a forwarded access block stays in the spool");
            }
        }));
    }

    /// Sends a block of the spool, and what apply refuses of it sealed anew, until every contribution
    /// in it is settled or kept aside.
    async fn forward(&mut self, number: u64, spooled: &Bytes) {
        let Some(contributions) = contributions(spooled) else {
            return self.keep_aside(spooled, 0, "it cannot be read").await;
        };
        let mut given_up = BTreeSet::new();
        let (mut block, mut sealed_anew) = (spooled.clone(), 0);
        loop {
            let verdict = self.send(&block, (sealed_anew == 0).then_some(number)).await;
            if verdict == Verdict::Open {
                tracing::warn!(number, "an access block is not applied yet");
                self.something_changes().await;
                continue;
            }
            match (verdict, sealed_anew) {
                // The whole block, as it was sealed first.
                (Verdict::Settled, 0) => return self.goes_on(),
                (Verdict::Settled, records) => self.tell_anew(records),
                (Verdict::Refused | Verdict::Unsound | Verdict::Open, _) => self.refused().await,
            }
            let mut hopeless = verdict == Verdict::Unsound && sealed_anew > 0;
            (block, sealed_anew) = loop {
                let left = self.unsettled(&contributions, &given_up);
                let Some(first) = left.first() else { return self.stall(false) };
                let anew = if hopeless { Ok(None) } else { self.seal_anew(&left) };
                match anew {
                    Ok(Some(anew)) => break anew,
                    Ok(None) => {
                        hopeless = false;
                        given_up.insert(first.id);
                        let why = "neither as it was sealed nor anew";
                        self.keep_aside(spooled, first.records.len(), why).await;
                    }
                    Err(failure) => {
                        tracing::error!(number, ?failure, "an access block cannot be sealed anew");
                        self.something_changes().await;
                    }
                }
            };
        }
    }

    fn unsettled<'a>(
        &self,
        contributions: &[Contribution<&'a [u8]>],
        given_up: &BTreeSet<ContributionId>,
    ) -> Vec<Contribution<&'a [u8]>> {
        contributions
            .iter()
            .filter(|one| !given_up.contains(&one.id) && !self.is_settled(&one.id))
            .cloned()
            .collect()
    }

    /// A block of the first of these that can be opened and fit into one, on this node's chain as it
    /// is now, and how many records it has; none when not even the first can be opened.
    fn seal_anew(
        &self,
        contributions: &[Contribution<&[u8]>],
    ) -> Result<Option<(Bytes, usize)>, Failure> {
        let chain = SubjectId(self.press.node.0);
        let mut head = Chain::of(&self.store, self.press.line.ledger, chain)?;
        let mut items = Vec::new();
        let (mut bytes, mut records) = (0, 0);
        for contribution in contributions {
            let (anew, next) = match self.sealer.seal_again(contribution, head) {
                Ok(sealed) => sealed,
                Err(Failure::Damaged { what }) => {
                    tracing::error!(what, "an access record cannot be opened");
                    break;
                }
                Err(failure) if items.is_empty() => return Err(failure),
                // Those before it need not wait with it.
                Err(_) => break,
            };
            let item = Item::Contribution(anew);
            let more = item.encoded_len();
            let fits = bytes + more <= BLOCK_ROOM
                && records + contribution.records.len() <= MAX_BLOCK_RECORDS;
            if !fits && !items.is_empty() {
                break;
            }
            items.push(item);
            (bytes, records, head) = (bytes + more, records + contribution.records.len(), next);
        }
        if items.is_empty() {
            return Ok(None);
        }
        Ok(Some((self.press.block(items, head.recorded_at)?, records)))
    }

    /// What the broker has of a refused block is void: those who were answered on it, or are now, have
    /// the spool's word alone.
    async fn refused(&self) {
        self.forwarded.send_modify(|now| now.refused = true);
        if let Err(failure) = rely_on_spool(&self.store).await {
            tracing::error!(?failure, "that the spool is relied on is not noted");
        }
    }

    fn tell_anew(&mut self, records: usize) {
        self.anew += records;
        self.press.alarms.raise(
            "ACCESS_RECORDS_SEALED_ANEW",
            Some(self.press.line.ledger),
            format!(
                "{} access record(s) that waited in the spool no longer fitted onto this node's \
                 chain and were sealed anew; a receipt given for one of them names the record as \
                 first sealed, which the stream keeps as void. Find out what put this node back or \
                 writes in its name",
                self.anew
            ),
        );
    }

    /// Keeps a block for people to look at and says how many of its records the trail lacks. Until it
    /// is kept, nothing behind it goes on.
    async fn keep_aside(&mut self, block: &Bytes, lacking: usize, why: &str) {
        self.aside += lacking;
        let ledger = self.press.line.ledger;
        while let Err(error) = self.store.keep_foreign(ledger, NO_SEQUENCE, block) {
            tracing::error!(error = &error as &dyn std::error::Error, "a block cannot be kept");
            self.something_changes().await;
        }
        self.press.alarms.raise(
            "ACCESS_RECORDS_KEPT_ASIDE",
            Some(ledger),
            format!(
                "{} access record(s) of this node, or a block of them, could not be filed: {why}. \
                 They are kept aside in its database as they were sealed, and the trail lacks them",
                self.aside
            ),
        );
    }

    /// Publishes a block unless all of it is settled, and waits for apply's word on it. Publishing it
    /// twice does no harm. `whole`: it is all of this block of the spool, and whoever waits for that is
    /// told when the broker has it.
    async fn send(&self, block: &Bytes, whole: Option<u64>) -> Verdict {
        let ids = ids(block);
        if self.all_settled(&ids) {
            return Verdict::Settled;
        }
        let (sent, told, mut condition) = self.publish(block, &ids, whole).await;
        let told = self.told(told, &mut condition);
        let outcomes = match sent {
            Sent::Yes => told.await,
            Sent::Unknown => tokio::time::timeout(PAUSE, told).await.ok().flatten(),
            Sent::No(_) => None,
        };
        self.verdict(&ids, outcomes)
    }

    /// Publishes a block when this node may, and tells who will hear what becomes of it.
    async fn publish(
        &self,
        block: &Bytes,
        ids: &[ContributionId],
        whole: Option<u64>,
    ) -> (Sent, Told, watch::Receiver<Condition>) {
        self.serving().await;
        let condition = self.press.line.condition.subscribe();
        let told = join_all(ids.iter().map(|id| self.press.line.expect(*id)));
        let publish = self.press.publish(block.clone());
        tokio::pin!(publish);
        let sent = match tokio::time::timeout(BROKER_PATIENCE, &mut publish).await {
            Ok(sent) => sent,
            Err(_) => {
                self.stall(true);
                publish.await
            }
        };
        if let (Sent::Yes, Some(number)) = (&sent, whole) {
            self.forwarded.send_modify(|now| now.published = now.published.max(number));
        }
        (sent, told, condition)
    }

    /// What is to be done about a block of these contributions.
    fn verdict(&self, ids: &[ContributionId], outcomes: Option<Vec<Outcome>>) -> Verdict {
        ids.iter().for_each(|id| self.press.line.forget(id));
        let mut verdict = outcomes.map_or(Verdict::Open, |outcomes| judge(&outcomes));
        if verdict != Verdict::Settled && self.all_settled(ids) {
            verdict = Verdict::Settled;
        }
        if verdict != Verdict::Settled {
            self.stall(true);
        }
        verdict
    }

    /// What apply said of each contribution; none when whether this node may publish has changed.
    async fn told(
        &self,
        mut told: impl Future<Output = <Told as Future>::Output> + Unpin,
        condition: &mut watch::Receiver<Condition>,
    ) -> Option<Vec<Outcome>> {
        loop {
            tokio::select! {
                biased;
                told = tokio::time::timeout(BROKER_PATIENCE, &mut told) => match told {
                    // One that is missing was forgotten: nobody knows.
                    Ok(outcomes) => return outcomes.into_iter().collect::<Result<_, _>>().ok(),
                    Err(_) => self.stall(true),
                },
                // It may have left Serving and come back: what was sent may be lost.
                _ = condition.changed() => return None,
            }
        }
    }

    /// A block is on file as it was sealed first: what is behind it links to it.
    fn goes_on(&self) {
        self.forwarded.send_if_modified(|now| {
            let changed = now.refused || now.stalled;
            (now.refused, now.stalled) = (false, false);
            changed
        });
    }

    fn stall(&self, stalled: bool) {
        self.forwarded.send_if_modified(|now| {
            let changed = now.stalled != stalled;
            now.stalled = stalled;
            changed
        });
    }

    /// Waits until this node may publish.
    async fn serving(&self) {
        let mut condition = self.press.line.condition.subscribe();
        if *condition.borrow() != Condition::Serving {
            self.stall(true);
        }
        // The sender lives in the line, which this half holds.
        let _ = condition.wait_for(|now| *now == Condition::Serving).await;
        self.stall(false);
    }

    /// A block that is not applied is sent again after the ledger moved, or after a pause.
    async fn something_changes(&self) {
        let mut progress = self.press.line.follow_progress();
        progress.mark_unchanged();
        let _ = tokio::time::timeout(PAUSE, progress.changed()).await;
    }

    fn all_settled(&self, ids: &[ContributionId]) -> bool {
        ids.iter().all(|id| self.is_settled(id))
    }

    fn is_settled(&self, id: &ContributionId) -> bool {
        let ledger: LedgerId = self.press.line.ledger;
        matches!(self.store.settled(ledger, id), Ok(Some(_)))
    }
}

/// What is to be done about contributions, by what apply said of them.
fn judge(outcomes: &[Outcome]) -> Verdict {
    let one = |outcome: &Outcome| match outcome {
        Outcome::Void(VoidReason::Malformed)
        | Outcome::Refused(
            Refusal::Junk | Refusal::WrongLedger | Refusal::TooLarge | Refusal::BadContent,
        ) => Verdict::Unsound,
        // Whoever is no member, or signs with another key, files nothing: others have to act first.
        Outcome::Refused(Refusal::NotAMember | Refusal::BadSignature | Refusal::RetiredNode) => {
            Verdict::Open
        }
        Outcome::Void(_) | Outcome::Refused(Refusal::BadBase(_)) => Verdict::Refused,
        Outcome::Accepted { .. } | Outcome::Abandoned => Verdict::Settled,
    };
    let said: Vec<Verdict> = outcomes.iter().map(one).collect();
    [Verdict::Open, Verdict::Unsound, Verdict::Refused]
        .into_iter()
        .find(|verdict| said.contains(verdict))
        .unwrap_or(Verdict::Settled)
}

/// The contributions of a block by their ids; none of one that this program cannot read.
fn ids(block: &[u8]) -> Vec<ContributionId> {
    contributions(block).unwrap_or_default().iter().map(|one| one.id).collect()
}

/// The contributions of a block; none when it is not one that this program can read.
fn contributions(block: &[u8]) -> Option<Vec<Contribution<&[u8]>>> {
    let content = Frame::parse(block).ok()?.content().ok()?;
    let items = content.items.into_iter().filter_map(|item| match item {
        Item::Contribution(contribution) => Some(contribution),
        Item::Abandonment(_) | Item::Checkpoint(_) => None,
    });
    Some(items.collect())
}

mod spooled;
#[cfg(test)]
mod tests;
