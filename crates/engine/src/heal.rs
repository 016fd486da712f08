//! Bringing nodes and stream to one history: what peers have, what the stream lacks, and who may
//! rebuild it. (How a node comes to what others have: `catching_up`.)

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt, stream};
use journal::{CreateError, ExpectingFailure, StreamFacts};
use ledger::{Hash, NodeId};
use store::Snapshot;

use crate::grants::{GONE, GOOD_FOR, GRANTED};
use crate::histories::agrees;
use crate::line::is_behind;
use crate::peers::{HealClaim, Peer, PeerFailure, SignedHead};
use crate::quorum::{Answer, NO_MAJORITY, Quorum};
use crate::supervisor::{Bar, Supervisor};

/// A peer that does not answer within this time is not reachable.
pub(crate) const PEER_PATIENCE: Duration = Duration::from_secs(2);
/// Messages on their way into a replicated stream that is restored: each waits for the servers to agree,
/// and they agree on many at once (600 messages: 697 ms one by one, 36 ms so). At 50 ms each the last
/// is acknowledged after 3.2 s, in time for its 5 s; in memory they take 32 MiB at most. A single server
/// syncs one after the other, and on ext4 back to back more slowly than one by one (4,000 messages in
/// 4 to 6 s against 2), so there one is on its way at a time.
const WINDOW: usize = 64;

/// Raised when somebody answers at a peer's address who is not that peer; over when this node hears its
/// peers next, and all who answer are who they should be.
const PEER_NOT_GENUINE: &str = "PEER_NOT_GENUINE";

/// Where the furthest reachable node stands, and which peer that is (none: this node).
#[derive(Debug)]
pub(crate) struct Furthest<'a> {
    pub(crate) sequence: u64,
    pub(crate) stream_hash: Hash,
    pub(crate) peer: Option<&'a Peer>,
    /// Who is to rebuild what must be rebuilt: the reachable node with the lowest id (none: this node).
    pub(crate) first: Option<&'a Peer>,
    /// Who has another history than this node and its majority.
    pub(crate) differing: Vec<NodeId>,
}

impl<'a> Furthest<'a> {
    /// Of this node, which has applied so much, and of those who answered. Whoever has lost its
    /// database can give nothing, and whoever has another history than the majority has nothing that
    /// anybody is to come to: neither is waited for.
    fn of(
        node: NodeId,
        (sequence, stream_hash): (u64, Hash),
        heads: &[(&'a Peer, SignedHead)],
        differing: Vec<NodeId>,
    ) -> Self {
        let mut furthest = Self { sequence, stream_hash, peer: None, first: None, differing };
        for (peer, head) in heads {
            if head.behind || furthest.differing.contains(&peer.node) {
                continue;
            }
            if peer.node < furthest.first.map_or(node, |first| first.node) {
                furthest.first = Some(*peer);
            }
            if head.sequence > furthest.sequence {
                furthest.sequence = head.sequence;
                furthest.stream_hash = head.stream_hash;
                furthest.peer = Some(*peer);
            }
        }
        furthest
    }
}

/// Whether these answers of the others, by their addresses, are a majority's leave to rebuild a stream;
/// none: it does not say.
fn may_rebuild(answers: &[(&str, Option<bool>)], majority: usize) -> Result<(), String> {
    if let Some((address, _)) = answers.iter().find(|(_, answer)| *answer == Some(false)) {
        return Err(format!(
            "{address} does not grant the rebuilding of the stream: it serves one, has applied more or \
             has granted it to another node. It is asked again; if this goes on, see whether both nodes \
             use the same broker and account"
        ));
    }
    let granted = 1 + answers.iter().filter(|(_, answer)| *answer == Some(true)).count();
    if granted < majority {
        let silent = answers.iter().filter(|(_, answer)| answer.is_none());
        let silent: Vec<_> = silent.map(|(address, _)| *address).collect();
        return Err(format!(
            "a majority has to grant the rebuilding of the stream: no word from {}",
            silent.join(", ")
        ));
    }
    Ok(())
}

pub(crate) fn wait(why: impl std::fmt::Display) -> Bar {
    Bar::Wait(why.to_string())
}

pub(crate) fn stop(why: impl std::fmt::Display) -> Bar {
    Bar::Stop(why.to_string())
}

impl Supervisor {
    /// Asks the peers that count for their signed heads and compares histories. A majority of the
    /// members, this node included, has to be reachable.
    pub(crate) async fn hear_peers(&self) -> Result<Furthest<'_>, Bar> {
        let state = self.line.state().map_err(stop)?;
        let (line, asked_at) = (self.ledger, state.sequence);
        let quorum = self.quorum()?;
        let ask = quorum.peers.iter().map(|peer| async move {
            let head = tokio::time::timeout(PEER_PATIENCE, (peer.head)(line, asked_at));
            let answer = match head.await {
                Ok(Ok(head)) => self.check_head(peer, head),
                Ok(Err(PeerFailure::Retired(record))) if self.proves_retirement(&record) => {
                    return Err(self.is_retired());
                }
                Ok(Err(PeerFailure::Refused)) => Answer::Refused,
                Ok(Err(error)) => {
                    tracing::info!(peer = %peer.address, %error, "a peer does not answer");
                    Answer::Silence
                }
                Err(_) => Answer::Silence,
            };
            Ok((*peer, answer))
        });
        let heard: Vec<(&Peer, Answer)> =
            join_all(ask).await.into_iter().collect::<Result<_, Bar>>()?;
        if heard.iter().all(|(_, answer)| *answer != Answer::NotGenuine) {
            self.alarms.clear(PEER_NOT_GENUINE, Some(self.ledger));
        }
        let heads = heard.iter().filter_map(|(_, answer)| answer.head());
        let end = heads.map(|head| head.sequence).max();
        // First: whoever hears no more, and waits, does not answer as if it were at the end.
        if let Some(end) = end.filter(|end| is_behind(state.sequence, *end)) {
            self.line.learn_end(end).map_err(stop)?;
        }
        quorum.reached(&heard).map_err(|why| self.too_few(why))?;
        self.alarms.clear(NO_MAJORITY, Some(self.ledger));
        let heads: Vec<(&Peer, SignedHead)> = heard
            .iter()
            .filter_map(|(peer, answer)| answer.head().map(|head| (*peer, head)))
            .collect();
        let differing = self.compare(&state, &heads, &quorum)?;
        let ours = (state.sequence, state.stream_hash);
        let furthest = Furthest::of(self.node, ours, &heads, differing);
        let lost = heads.iter().find(|(_, head)| head.behind && head.sequence > furthest.sequence);
        if let Some((peer, head)) = lost
            && self.store.floor(self.ledger).map_err(stop)?.is_none()
        {
            return Err(wait(format!(
                "{} was at message {} and lost its database: it has to come back to there from the \
                 stream, or a node that has the rest must be reachable",
                peer.address, head.sequence
            )));
        }
        Ok(furthest)
    }

    fn check_head(&self, peer: &Peer, head: SignedHead) -> Answer {
        let Ok(authority) = self.store.authority(self.ledger) else { return Answer::Unknown };
        // A node that was just admitted is not known before its admission is applied.
        let Some(member) = authority.active(peer.node) else { return Answer::Unknown };
        let (key, hash) = (&member.keys.block, &head.stream_hash);
        if head.node == peer.node
            && ledger::verify_head(key, &self.genesis, head.sequence, hash, &head.signature)
        {
            return Answer::Head(head);
        }
        self.alarms.raise(
            PEER_NOT_GENUINE,
            Some(self.ledger),
            format!(
                "{} does not sign as node {}; check its address and keys",
                peer.address, peer.node
            ),
        );
        Answer::NotGenuine
    }

    /// One future: a node whose history differs from the majority's stops. `asked` is where this node
    /// stood when the peers were asked; it may have gone on meanwhile. Tells who differs from this
    /// node and its majority.
    fn compare(
        &self,
        asked: &Snapshot,
        heads: &[(&Peer, SignedHead)],
        quorum: &Quorum<'_>,
    ) -> Result<Vec<NodeId>, Bar> {
        const CODE: &str = "HISTORIES_DIFFER";
        let reader = self.store.reader();
        let ours = |sequence| reader.stream_hash_at(self.ledger, sequence).map_err(stop);
        let mut agreeing = 1;
        let mut differing = Vec::new();
        for (peer, head) in heads {
            match agrees((asked.sequence, asked.stream_hash), head, ours)? {
                Some(true) => agreeing += 1,
                Some(false) => differing.push(*peer),
                None => {}
            }
        }
        if differing.is_empty() {
            // One that differed may just not answer.
            if agreeing == quorum.peers.len() + 1 {
                self.alarms.clear(CODE, Some(self.ledger));
            }
            return Ok(Vec::new());
        }
        let majority = quorum.majority();
        let addresses: Vec<&str> = differing.iter().map(|peer| peer.address.as_str()).collect();
        let text = format!(
            "{}: this node's history differs from that of {}",
            self.ledger,
            addresses.join(", ")
        );
        self.alarms.raise(CODE, Some(self.ledger), text.clone());
        if agreeing >= majority {
            return Ok(differing.iter().map(|peer| peer.node).collect());
        }
        if differing.len() >= majority {
            return Err(stop(format!(
                "{text}, and they are the majority; set this node's data aside and have it admitted \
                 anew under a new id"
            )));
        }
        Err(wait(text))
    }
}

/// Restores the stream from this node's blocks.
pub(crate) struct Remedy<'a> {
    pub(crate) supervisor: &'a Supervisor,
    /// Who is to rebuild; none: this node.
    pub(crate) first: Option<&'a Peer>,
    /// How far some reachable node is: one that has less only takes from the stream.
    pub(crate) furthest: u64,
    /// Who is not asked for a grant: it has another history, and would never give one.
    pub(crate) differing: Vec<NodeId>,
}

impl Remedy<'_> {
    /// The stream holds, at least up to here, exactly what this node applied, or is made to.
    pub(crate) async fn restore(&self) -> Result<StreamFacts, Bar> {
        let node = self.supervisor;
        let applied = node.line.progress().sequence;
        let lacks =
            applied < self.furthest || node.store.floor(node.ledger).map_err(stop)?.is_some();
        let Some(facts) = node.stream.facts().await.map_err(wait)? else {
            if lacks || (applied == 0 && !node.peers.is_empty()) {
                return Err(wait(node.lacks_the_rest("the stream is gone")));
            }
            if applied == 0 {
                return Err(stop(
                    "there is no stream and nothing to restore it from; run `caseledgerd init`",
                ));
            }
            return self.rebuild(applied, None).await;
        };
        if node.grants.is_anothers(node.ledger, facts.created, node.node) {
            return Err(wait(GRANTED));
        }
        let common = facts.last.min(applied);
        if lacks {
            // What it has is not all it had, or not all that others have: it takes from the stream and
            // gives nothing.
            if common > 0 && !node.like_ours(common).await? {
                return Err(wait(
                    "the stream holds another history; another node has to restore it",
                ));
            }
            return self.inspect().await;
        }
        if facts.first > 1 || facts.deleted > 0 {
            return self.rebuild(applied, Some(&facts)).await;
        }
        if common > 0 && !node.like_ours(common).await? {
            return self.rebuild(applied, Some(&facts)).await;
        }
        if facts.last < applied {
            self.republish(facts.last + 1, applied).await?;
        }
        // Only now its set-up: a stream of another history is made anew whatever it is.
        self.inspect().await
    }

    async fn inspect(&self) -> Result<StreamFacts, Bar> {
        let found = self.supervisor.stream.inspect().await.map_err(wait)?;
        found.ok_or_else(|| wait("the stream is gone"))
    }

    /// Sends again what the stream lacks, each message only onto its predecessor: two nodes that do
    /// so at once send the same bytes, and the second finds them there.
    async fn republish(&self, from: u64, to: u64) -> Result<(), Bar> {
        let node = self.supervisor;
        let mut next = from;
        while next <= to {
            let Err(error) = self.send(next, to).await? else { break };
            // How far it came is looked at, not assumed.
            let there = node.stream.facts().await.map_err(wait)?.map_or(0, |facts| facts.last);
            let common = there.min(to);
            if common < next || !node.like_ours(common).await? {
                return Err(wait(format!("message {next} cannot be restored: {error}")));
            }
            next = common + 1;
        }
        let text = format!(
            "{}: messages {from} to {to} were restored from this node's blocks",
            node.ledger
        );
        node.alarms.raise("STREAM_RESTORED", Some(node.ledger), text);
        Ok(())
    }

    /// Sends messages until one is refused, many at once where that is quicker; each says onto which
    /// sequence it belongs.
    async fn send(&self, from: u64, to: u64) -> Result<Result<(), ExpectingFailure>, Bar> {
        let node = self.supervisor;
        let publish = |sequence| async move {
            let message = node.store.reader().message(node.ledger, sequence).map_err(stop)?;
            let message = message
                .ok_or_else(|| stop(format!("block {sequence} is not in this node's store")))?;
            match node.stream.publish_expecting(sequence - 1, Bytes::from(message)).await {
                // Another node that restores the stream was quicker with this one.
                Err(_) if node.like_ours(sequence).await? => Ok(Ok(())),
                sent => Ok(sent.map(drop)),
            }
        };
        let window = if node.stream.replicas() > 1 { WINDOW } else { 1 };
        let goes_on = AtomicBool::new(true);
        let left = (from..=to).take_while(|_| goes_on.load(Ordering::Relaxed)).map(publish);
        let mut sent = std::pin::pin!(stream::iter(left).buffered(window));
        let mut ended = Ok(());
        // What is under way is waited for, also after a refusal: only then is the stream looked at.
        while let Some(one) = sent.next().await {
            let one = one?;
            if one.is_err() && goes_on.swap(false, Ordering::Relaxed) {
                ended = one;
            }
        }
        Ok(ended)
    }

    /// Deletes a stream whose sequences were reused and makes it anew; only under the grant of a
    /// majority, so that one node does it. A stream that is gone needs a majority too, which sees
    /// none either: this broker may not be theirs. Then whoever comes first makes it, and all send
    /// the same bytes. It ends in waiting: whoever granted it may have applied more meanwhile, so all
    /// are heard again before anything is served.
    async fn rebuild(
        &self,
        applied: u64,
        damaged: Option<&StreamFacts>,
    ) -> Result<StreamFacts, Bar> {
        let node = self.supervisor;
        if let Some(facts) = damaged {
            self.granted(applied, facts.created).await?;
            self.keep_foreign(applied, facts).await?;
            // That may have taken long: the grant may be another's by now, and the stream a new one.
            let asked_at = node.grants.now();
            self.granted(applied, facts.created).await?;
            let now = node.stream.facts().await.map_err(wait)?;
            if now.is_some_and(|now| now.created != facts.created) {
                return Err(wait("the stream was made anew meanwhile"));
            }
            if node.grants.now().saturating_sub(asked_at) > GOOD_FOR {
                return Err(wait("the grant to rebuild the stream is too old to act on"));
            }
            node.stream.delete().await.map_err(wait)?;
        } else {
            self.granted(applied, GONE).await?;
        }
        match node.stream.create().await {
            Ok(()) => {}
            Err(CreateError::Exists { .. }) => {
                tracing::info!(ledger = %node.ledger, "another node made the stream anew");
            }
            Err(error) => return Err(wait(error)),
        }
        self.republish(1, applied).await?;
        Err(wait("the stream was made anew, and all nodes are asked again before it is served"))
    }

    /// Whether a majority grants it, and nobody who answers refuses: whoever refuses serves, or has
    /// what this node has not.
    async fn granted(&self, applied: u64, damaged_created: i128) -> Result<(), Bar> {
        let node = self.supervisor;
        let damaged = damaged_created != GONE;
        if let Some(first) = self.first.filter(|_| damaged) {
            return Err(wait(format!(
                "{} is to rebuild the stream. If its status says that it is stopped or has no broker, \
                 mend and restart it; if that does not help, stop it: then the next node does, of two \
                 nodes once it is retired",
                first.address
            )));
        }
        let claim = HealClaim {
            ledger: node.ledger,
            node: node.node,
            sequence: applied,
            stream_hash: node.line.state().map_err(stop)?.stream_hash,
            damaged_created,
        };
        if damaged && !node.grants.grant(&claim) {
            return Err(wait(GRANTED));
        }
        let quorum = node.quorum()?;
        let asked = quorum.peers.iter().filter(|peer| !self.differing.contains(&peer.node));
        let ask = asked.map(|peer| async move {
            let answer = tokio::time::timeout(PEER_PATIENCE, (peer.grant)(claim)).await;
            (peer.address.as_str(), answer.ok().and_then(Result::ok))
        });
        may_rebuild(&join_all(ask).await, quorum.majority()).map_err(wait)
    }

    /// Keeps aside what the damaged stream holds and this node does not know.
    async fn keep_foreign(&self, applied: u64, facts: &StreamFacts) -> Result<(), Bar> {
        let node = self.supervisor;
        let mut kept = 0;
        for sequence in (facts.first..=facts.last).rev() {
            let Some(there) = node.stream.read(sequence).await.map_err(wait)? else { continue };
            let ours = if sequence <= applied {
                node.store.reader().message(node.ledger, sequence).map_err(stop)?
            } else {
                None
            };
            if ours.as_deref() == Some(&*there) {
                break;
            }
            node.store.keep_foreign(node.ledger, sequence, &there).map_err(stop)?;
            kept += 1;
        }
        if kept == 0 {
            return Ok(());
        }
        node.alarms.raise(
            "FOREIGN_MESSAGES_KEPT",
            Some(node.ledger),
            format!(
                "{}: sequences were reused; {kept} foreign message(s) were kept aside and the \
                 stream is being rebuilt from this node's blocks",
                node.ledger
            ),
        );
        Ok(())
    }
}

#[cfg(test)]
mod tests;
