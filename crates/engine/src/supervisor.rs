//! Keeps one ledger's stream and this node on one history: follows the stream, looks every second
//! whether it is still the same, and mends what can be mended (invariants 5 and 6).

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use journal::{ConnectionState, FollowError, Journal, LedgerStream, StreamFacts};
use ledger::{Hash, LedgerId, LedgerKind, NodeId, SigningKey};
use store::Store;
use tokio::sync::watch;

use crate::alarms::Alarms;
use crate::answers::Condition;
use crate::clock::{Clock, Steady};
use crate::disk::keep_position;
use crate::grants::{GRANTED, Grants};
use crate::heal::{Furthest, Remedy};
use crate::line::{APPLY_ENDED, Line, Trouble, has_fallen_behind, is_behind};
use crate::peers::Peer;
use crate::quorum::NO_MAJORITY;
use crate::servers::Servers;
use crate::writer::NOT_TAKEN;

/// How often a stream's identity and its block at the applied sequence are compared.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a message is looked for that the stream lost. Each time takes two consumers of the stream, and
/// a server forgets one after half a minute.
const LOST_AGAIN: Duration = Duration::from_secs(5);

/// How far this node's clock may be from the broker's, in ns (design, section 3, Time).
const CLOCK_OFF: i128 = 1_000_000_000;

/// A node that signs with another key than it was admitted with would only make refused blocks.
pub(crate) const OTHER_KEY: &str = "this node's block key is not the one it was admitted with; put \
     the right key back before anything is shown or filed";

/// Why a node may not publish yet, or apply on.
#[derive(Debug)]
pub(crate) enum Bar {
    /// Looked at again by itself.
    Wait(String),
    /// Needs an operator.
    Stop(String),
}

/// How long a node that is far behind follows before it asks again whether it may serve, unless it comes
/// to the end before.
const FAR: Duration = Duration::from_secs(10);

/// What this node, its peers and the stream agreed on.
struct Agreed {
    /// The stream.
    facts: StreamFacts,
    /// How far the furthest of the nodes was.
    furthest: u64,
    /// How far this one was.
    applied: u64,
}

impl Agreed {
    /// How far there is anything, as far as is known.
    fn end(&self) -> u64 {
        self.facts.last.max(self.furthest)
    }

    /// Whether this node may serve: it is near the stream's end, and the stream does not end before
    /// what another node has and this one has not.
    fn is_near(&self) -> bool {
        let held = self.facts.last.max(self.applied);
        !is_behind(self.applied, self.facts.last) && held >= self.furthest
    }
}

/// One ledger's supervisor.
pub(crate) struct Supervisor {
    pub(crate) node: NodeId,
    /// The key it signs with.
    pub(crate) block_key: SigningKey,
    pub(crate) ledger: LedgerId,
    pub(crate) genesis: Hash,
    pub(crate) journal: Journal,
    pub(crate) servers: Arc<Servers>,
    pub(crate) stream: LedgerStream,
    pub(crate) line: Arc<Line>,
    pub(crate) store: Arc<Store>,
    pub(crate) peers: Arc<Vec<Peer>>,
    pub(crate) grants: Arc<Grants>,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) clock: Clock,
    /// The one that what it seals is told by, where that must not jump.
    pub(crate) steady: Arc<Steady>,
    /// Whether this node has the keys it needs to seal.
    pub(crate) keys: watch::Receiver<bool>,
    /// Set when this node turns out to be retired.
    pub(crate) retired: watch::Sender<bool>,
}

impl std::fmt::Debug for Supervisor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Supervisor").field("ledger", &self.ledger).finish_non_exhaustive()
    }
}

impl Supervisor {
    /// Runs until the engine is dropped: agree with peers and stream, then follow, then again.
    pub(crate) async fn run(self) {
        // Where the stream ended when this node first looked: what it held of this node's own chain
        // is applied before anything is sealed on it.
        let mut end = u64::MAX;
        // Behind which message the stream has lost one, and what is told of it.
        let mut lost: Option<(u64, String)> = None;
        self.moment_at_a_start().await;
        loop {
            // From here on, a connection that is lost and mended at once is not missed either.
            let mut losses = self.journal.losses();
            losses.mark_unchanged();
            match self.agree().await {
                Ok(agreed) => {
                    self.line.clear_trouble();
                    let last = agreed.facts.last;
                    end = end.min(last);
                    let applied = self.line.progress().sequence;
                    lost = lost.filter(|(at, _)| *at == applied && applied < last);
                    let gap = lost.as_ref().map(|(_, why)| why.clone());
                    let meanwhile = match gap.or_else(|| self.behind(&agreed, end)) {
                        None => {
                            self.over();
                            Condition::Serving
                        }
                        Some(why) => Condition::ReadOnly(why),
                    };
                    // Behind, it learns who the members are on the way, and hears them before it
                    // serves.
                    let gap = self.follow(&agreed, losses, meanwhile).await;
                    if self.is_stopped() {
                        return;
                    }
                    if let Some(gap) = gap {
                        let applied = self.line.progress().sequence;
                        // What another node has is fetched from it when all before it is applied.
                        let why = match applied < agreed.furthest {
                            true => gap,
                            false => self.tell_lost(&gap, lost.as_ref()),
                        };
                        self.line.set_condition(Condition::ReadOnly(why.clone()));
                        lost = Some((applied, why));
                        self.pause(LOST_AGAIN).await;
                    }
                }
                Err(Bar::Wait(why)) => {
                    // It does not follow meanwhile: what the stream holds now may be another history.
                    self.line.set_condition(Condition::ReadOnly(why));
                    if self.is_stopped() {
                        return;
                    }
                    self.pause(LOOK_EVERY).await;
                    keep_position(&self.store, &self.alarms).await;
                }
                Err(Bar::Stop(why)) => {
                    self.alarms.raise("LEDGER_STOPPED", Some(self.ledger), why.clone());
                    self.line.set_condition(Condition::Stopped(why));
                    return;
                }
            }
        }
    }

    fn is_stopped(&self) -> bool {
        matches!(&*self.line.condition.borrow(), Condition::Stopped(_))
    }

    /// What this node has to apply yet before it serves.
    fn behind(&self, agreed: &Agreed, end: u64) -> Option<String> {
        let last = agreed.facts.last;
        match self.store.floor(self.ledger) {
            Ok(None) if agreed.applied >= end && agreed.is_near() => None,
            Ok(Some(floor)) if floor.sequence > last => Some(self.lacks_the_rest(&format!(
                "this node was at message {} and the stream ends at {last}",
                floor.sequence
            ))),
            Ok(_) => Some("it follows the stream".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    /// The connection takes a moment at a start, as do the keys: before they are there, or known not to
    /// come, nobody can be asked, and reads would be answered from the past.
    async fn moment_at_a_start(&self) {
        let (mut connection, mut keys) = (self.journal.state(), self.keys.clone());
        let connected = connection.wait_for(|state| *state == ConnectionState::Connected);
        let _ = tokio::time::timeout(LOOK_EVERY, connected).await;
        let _ = tokio::time::timeout(LOOK_EVERY, keys.wait_for(|here| *here)).await;
    }

    /// Nothing behind a message that the stream lost can be applied; what has it is looked for again and
    /// again.
    fn tell_lost(&self, gap: &str, before: Option<&(u64, String)>) -> String {
        let why = format!(
            "{gap}: the broker lost it, and no node that can be reached has it. Start the nodes that \
             have it, or put back a copy of a broker's store or of a node's data that has it; what this \
             node set aside lies beside its database"
        );
        if before.is_none_or(|(_, before)| *before != why) {
            self.alarms.raise("STREAM_GAP", Some(self.ledger), why.clone());
        }
        why
    }

    /// This node does not have all that it had, and neither has the stream. A node without peers waits
    /// for nobody but its operator.
    pub(crate) fn lacks_the_rest(&self, what: &str) -> String {
        if !self.peers.is_empty() {
            return format!("{what}: a node that has the rest must be reachable");
        }
        let why = format!(
            "{what}, and this node has no peers: put back a copy of the broker's store or of a node's data \
             that has the rest; what this node set aside lies beside its database"
        );
        self.alarms.keep("STREAM_GAP", Some(self.ledger), why.clone());
        why
    }

    /// What these alarms named is mended.
    fn over(&self) {
        for code in ["STREAM_UNLIKE", "STREAM_GAP", "STREAM_WENT_BACK", NOT_TAKEN] {
            self.alarms.clear(code, Some(self.ledger));
        }
    }

    /// Before anything is published: hear the peers, come to the furthest of them, bring the stream
    /// there too, and take its identity down. All of it goes by what is applied, so first that has to
    /// be all that this node was given.
    async fn agree(&self) -> Result<Agreed, Bar> {
        if !self.line.drained().await {
            return Err(Bar::Wait(APPLY_ENDED.to_owned()));
        }
        let may_ask = self.may_ask().await;
        // Who is not asked is not silent.
        may_ask.inspect_err(|_| self.alarms.clear(NO_MAJORITY, Some(self.ledger)))?;
        let furthest = self.hear_peers().await?;
        self.catch_up(&furthest).await?;
        let Furthest { first, sequence: furthest, differing, .. } = furthest;
        let remedy = Remedy { supervisor: self, first, furthest, differing };
        let before = self.clock.now();
        let facts = remedy.restore().await?;
        // Looked at once: what may not be done far from the end is decided by the same everywhere.
        let agreed = Agreed { facts, furthest, applied: self.line.progress().sequence };
        self.line.learn_end(agreed.end()).map_err(|error| Bar::Stop(error.to_string()))?;
        self.in_time(before, &agreed.facts).map_err(Bar::Wait)?;
        if agreed.is_near() {
            self.file_override().await?;
        }
        Ok(agreed)
    }

    /// Whether peers can be asked: with a broker that is as it must be, by a member, with its keys
    /// and the right time.
    async fn may_ask(&self) -> Result<(), Bar> {
        if *self.journal.state().borrow() != ConnectionState::Connected {
            return Err(Bar::Wait("the broker is not connected".to_owned()));
        }
        let state = self.line.state().map_err(|error| Bar::Stop(error.to_string()))?;
        let admitted = state.state().authority.members.get(&self.node);
        let ours = self.block_key.verifying_key().to_bytes();
        if admitted.is_some_and(|member| member.keys.block != ours) {
            return Err(Bar::Stop(OTHER_KEY.to_owned()));
        }
        self.still_member()?;
        if !*self.keys.borrow() {
            return Err(Bar::Wait("the keys have not reached this node yet".to_owned()));
        }
        self.servers.look().await.map_err(Bar::Wait)?;
        // A clock that is off is told of here: the peers would refuse its proofs.
        let before = self.clock.now();
        match self.stream.facts().await {
            Ok(Some(facts)) => {
                // Whoever waits for the clock still knows how far it is behind.
                if is_behind(self.line.progress().sequence, facts.last) {
                    let learnt = self.line.learn_end(facts.last);
                    learnt.map_err(|error| Bar::Stop(error.to_string()))?;
                }
                self.in_time(before, &facts).map_err(Bar::Wait)
            }
            // Without a stream there is no time to go by.
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Follows the stream until something is not as it should be. A connection that was lost is
    /// enough: what the stream gives afterwards may be another history that goes on without a gap.
    ///
    /// A node that only reads meanwhile follows for a moment: then it is asked again whether it may
    /// serve. Answers what the stream has lost, if that ended it.
    async fn follow(
        &self,
        agreed: &Agreed,
        mut losses: watch::Receiver<u64>,
        meanwhile: Condition,
    ) -> Option<String> {
        let mut progress = self.line.follow_progress();
        // A consumer takes several answers of the broker to be made: from far away it is kept for longer.
        let far = is_behind(agreed.applied, agreed.end());
        let moment = async {
            let there = progress.wait_for(|now| now.sequence >= agreed.facts.last.max(1));
            let _ = tokio::time::timeout(if far { FAR } else { LOOK_EVERY }, there).await;
        };
        let mut moment = std::pin::pin!(moment);
        let listens = meanwhile != Condition::Serving;
        self.line.set_condition(meanwhile);
        let mut barred = std::pin::pin!(self.barred(agreed.facts.created));
        let from = self.line.progress().sequence + 1;
        let mut messages = std::pin::pin!(self.stream.follow(from));
        let mut trouble = self.line.follow_trouble();
        let mut weaker = self.servers.follow();
        // Also what was told before this.
        weaker.mark_changed();
        let mut look = tokio::time::interval(LOOK_EVERY);
        if listens {
            // What was agreed on just now was looked at just now.
            look.reset();
        }
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let why = loop {
            tokio::select! {
                // In this order: nothing that came over a new connection is applied unseen.
                biased;
                _ = losses.changed() => break "the connection to the broker was lost".to_owned(),
                // Whatever ended its serving says why; else it is the grant.
                () = &mut barred, if !listens => {
                    break self.line.writable().err().unwrap_or_else(|| GRANTED.to_owned());
                }
                () = &mut moment, if listens => return None,
                _ = weaker.changed() => if let Some(why) = weaker.borrow_and_update().clone() {
                    break why;
                },
                _ = look.tick() => {
                    keep_position(&self.store, &self.alarms).await;
                    if let Err(why) = self.same(&agreed.facts, !listens).await { break why; }
                }
                _ = trouble.changed() => match trouble.borrow_and_update().clone() {
                    Some(Trouble::Gap { expected, got }) =>
                        break format!("message {got} came where {expected} was due"),
                    Some(Trouble::Stop(why)) => break why,
                    None => {}
                },
                message = messages.next() => match message {
                    Some(Ok(message)) => {
                        if !self.line.feed(message.sequence, message.payload).await {
                            break APPLY_ENDED.to_owned();
                        }
                    }
                    Some(Err(gap @ FollowError::Gap { .. })) => return Some(gap.to_string()),
                    Some(Err(error)) => break error.to_string(),
                    None => break "the stream can no longer be followed".to_owned(),
                },
            }
        };
        self.line.set_condition(Condition::ReadOnly(why));
        None
    }

    /// Waits until another node may rebuild the stream that this one serves. A grant given right
    /// before it served did not find it serving.
    async fn barred(&self, created: i128) {
        let mut condition = self.line.condition.subscribe();
        if !self.grants.is_anothers(self.ledger, created, self.node) {
            let _ = condition.wait_for(|now| *now != Condition::Serving).await;
        }
    }

    /// Whether the stream is the one that was agreed on, and still holds what was applied; and whether
    /// a node that serves keeps up with it.
    async fn same(&self, agreed: &StreamFacts, serves: bool) -> Result<(), String> {
        self.still_member().map_err(|_| "this node was retired".to_owned())?;
        let applied = self.line.progress().sequence;
        let before = self.clock.now();
        let facts = self.stream.inspect().await.map_err(|error| error.to_string())?;
        let Some(facts) = facts else { return self.unlike("the stream is gone") };
        self.in_time(before, &facts)?;
        if facts.created != agreed.created {
            return self.unlike("the stream was made anew");
        }
        if facts.last < applied {
            return self.unlike("the stream lost its end");
        }
        if serves && has_fallen_behind(applied, facts.last) {
            // What is missing here would be answered as if there were no such thing.
            self.line.learn_end(facts.last).map_err(|error| error.to_string())?;
            return Err("it does not keep up with the stream".to_owned());
        }
        if facts.leader != agreed.leader {
            return Err("the stream has another leader".to_owned());
        }
        if applied == 0 {
            return Ok(());
        }
        let there = self.stream.read(applied).await.map_err(|error| error.to_string())?;
        let ours =
            self.store.reader().message(self.ledger, applied).map_err(|error| error.to_string())?;
        if there.as_deref() == ours.as_deref() {
            Ok(())
        } else {
            self.unlike("the stream holds another message where this node stands")
        }
    }

    /// A node whose clock is off by more than a second does not seal `records`: their times decide
    /// what is on file as of when. `access` it seals nevertheless, for reads go on. Between `before` and
    /// now the broker told its own. What is sealed until the next right look has the time that goes on
    /// from the last.
    fn in_time(&self, before: u64, facts: &StreamFacts) -> Result<(), String> {
        let Some(told_at) = facts.told_at else { return Ok(()) };
        let earliest = i128::from(before) * 1_000 - CLOCK_OFF;
        let is_right =
            |after| (earliest..=i128::from(after) * 1_000 + CLOCK_OFF).contains(&told_at);
        if self.steady.look(is_right) || self.ledger.kind == LedgerKind::Access {
            self.alarms.clear("CLOCK_OFF", Some(self.ledger));
            return Ok(());
        }
        let why = "this node's clock and the broker's differ by more than a second; check time \
                   synchronisation on both";
        self.alarms.raise("CLOCK_OFF", Some(self.ledger), why.to_owned());
        Err(why.to_owned())
    }

    fn unlike(&self, what: &str) -> Result<(), String> {
        self.alarms.raise(
            "STREAM_UNLIKE",
            Some(self.ledger),
            format!("{}: {what}; writes wait until the nodes restored it", self.ledger),
        );
        Err(what.to_owned())
    }

    /// Waits for the connection or the keys to come, or for a while.
    async fn pause(&self, longest: Duration) {
        let (mut connection, mut keys) = (self.journal.state(), self.keys.clone());
        connection.mark_unchanged();
        keys.mark_unchanged();
        let news = async {
            tokio::select! {
                _ = connection.changed() => {}
                _ = keys.changed() => {}
            }
        };
        let _ = tokio::time::timeout(longest, news).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A node that has applied so much, when the stream ends and the furthest node is here.
    fn agreed(applied: u64, last: u64, furthest: u64) -> Agreed {
        let (created, first, deleted) = (1, 1, 0);
        let (leader, told_at) = ("n0".to_owned(), None);
        let facts = StreamFacts { created, first, last, messages: last, deleted, leader, told_at };
        Agreed { facts, furthest, applied }
    }

    #[test]
    fn a_node_serves_near_the_end_of_all_that_any_node_has() {
        assert!(agreed(2_000, 2_000, 2_000).is_near());
        assert!(agreed(1_990, 2_000, 1_995).is_near(), "under load it is never just there");
        assert!(agreed(2_000, 1_000, 2_000).is_near(), "what the stream lost it has itself");
        assert!(!agreed(10, 2_000, 2_000).is_near(), "it follows the stream");
        assert!(!agreed(990, 1_000, 2_000).is_near(), "another node has more than the stream");
        assert_eq!(agreed(990, 1_000, 2_000).end(), 2_000, "and that is how far it has to come");
    }
}
