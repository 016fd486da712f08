//! How a node comes to what others have: it follows the stream where that leads there, and fetches
//! from the furthest of them what the stream does not have.

use journal::StreamFacts;
use ledger::Hash;

use crate::answers::Condition;
use crate::heal::{Furthest, PEER_PATIENCE, stop, wait};
use crate::line::{APPLY_ENDED, is_behind};
use crate::peers::{Messages, Peer};
use crate::supervisor::{Bar, Supervisor};

/// Messages fetched from a peer at once.
const FETCH: u32 = 64;

/// A place in a stream: a sequence, and the stream hash there.
type Place = (u64, Hash);

/// Up to where a node that has applied so much follows the stream, when it knows of one that is
/// further. None where the stream has holes, or ends too near to be worth it.
fn followed_to(facts: &StreamFacts, applied: u64, furthest: u64) -> Option<u64> {
    let upto = facts.last.min(furthest);
    (facts.is_whole() && upto > applied && is_behind(applied, upto)).then_some(upto)
}

impl Supervisor {
    /// Comes to where the furthest reachable node is. From far behind, by the stream, if it leads
    /// there: then there is nothing to do here, and what is missing in the end is seen to when it is
    /// near.
    pub(crate) async fn catch_up(&self, furthest: &Furthest<'_>) -> Result<(), Bar> {
        let Some(peer) = furthest.peer else { return Ok(()) };
        let state = self.line.state().map_err(stop)?;
        if is_behind(state.sequence, furthest.sequence) {
            self.line.learn_end(furthest.sequence).map_err(stop)?;
            let what_for = format!("{} has what this node lacks", peer.address);
            self.line.set_condition(Condition::ReadOnly(what_for));
            if self.stream_leads(state.sequence, furthest, peer).await? {
                return Ok(());
            }
        }
        if state.sequence >= furthest.sequence {
            // What it lacked when it asked has come from the stream meanwhile.
            let ours = self.store.reader().stream_hash_at(self.ledger, furthest.sequence);
            return match ours.map_err(stop)? == Some(furthest.stream_hash) {
                true => self.still_member(),
                false => Err(wait(format!("{} has another history", peer.address))),
            };
        }
        self.line.clear_trouble();
        self.fetch((state.sequence, state.stream_hash), furthest, peer).await?;
        self.applied(furthest.sequence).await?;
        self.still_member()
    }

    /// Whether the stream goes on from what is applied here, and to what the peer has: what is
    /// applied last lies in it, so does the next message, and where the nearer of them ends, both
    /// have the same one.
    async fn stream_leads(
        &self,
        applied: u64,
        furthest: &Furthest<'_>,
        peer: &Peer,
    ) -> Result<bool, Bar> {
        let Some(facts) = self.stream.facts().await.map_err(wait)? else { return Ok(false) };
        let Some(upto) = followed_to(&facts, applied, furthest.sequence) else { return Ok(false) };
        if applied > 0 && !self.like_ours(applied).await? {
            return Ok(false);
        }
        // One that was lost stops whoever follows right before it.
        if self.stream.read(applied + 1).await.map_err(wait)?.is_none() {
            return Ok(false);
        }
        let there = self.stream.read(upto).await.map_err(wait)?;
        let theirs = self.ask(peer, upto, 1).await?.into_iter().find(|(at, _)| *at == upto);
        Ok(there.is_some() && there == theirs.map(|(_, message)| message))
    }

    /// Fetches from the furthest peer what this node lacks, in two rounds, for all of it may not fit
    /// into memory: only bytes that lead to the stream hash the peer signed are applied. First it is
    /// seen that they do, and kept where each answer led; then they are asked for again.
    async fn fetch(&self, from: Place, furthest: &Furthest<'_>, peer: &Peer) -> Result<(), Bar> {
        let mut marks = Vec::new();
        let mut at = from;
        while at.0 < furthest.sequence {
            (_, at) = self.next_blocks(peer, at, furthest.sequence).await?;
            marks.push(at);
        }
        if at != (furthest.sequence, furthest.stream_hash) {
            return Err(wait(format!("{} sent blocks unlike the head it signed", peer.address)));
        }
        let mut at = from;
        for mark in marks {
            let (blocks, led_to) = self.next_blocks(peer, at, mark.0).await?;
            if led_to != mark {
                return Err(wait(format!("{} sent other blocks than before", peer.address)));
            }
            for (sequence, message) in blocks {
                if !self.line.feed(sequence, message).await {
                    return Err(wait(APPLY_ENDED));
                }
            }
            at = mark;
        }
        Ok(())
    }

    /// A peer's next blocks, as many as it sends at once and not beyond a sequence, and where they
    /// lead.
    async fn next_blocks(
        &self,
        peer: &Peer,
        from: Place,
        upto: u64,
    ) -> Result<(Messages, Place), Bar> {
        let (mut sequence, mut hash) = from;
        let mut blocks = Messages::new();
        for (at, message) in self.ask(peer, sequence + 1, FETCH).await? {
            if at != sequence + 1 || at > upto {
                break;
            }
            hash = ledger::stream_hash(&hash, at, &message);
            sequence = at;
            blocks.push((at, message));
        }
        if blocks.is_empty() {
            return Err(wait(format!("{} has no message {}", peer.address, sequence + 1)));
        }
        Ok((blocks, (sequence, hash)))
    }

    async fn ask(&self, peer: &Peer, from: u64, count: u32) -> Result<Messages, Bar> {
        let call = (peer.messages)(self.ledger, from, count);
        tokio::time::timeout(PEER_PATIENCE * 5, call)
            .await
            .map_err(|_| wait(format!("{} is slow to send its blocks", peer.address)))?
            .map_err(wait)
    }

    /// Whether the stream holds at a sequence what was applied here.
    pub(crate) async fn like_ours(&self, sequence: u64) -> Result<bool, Bar> {
        let there = self.stream.read(sequence).await.map_err(wait)?;
        let ours = self.store.reader().message(self.ledger, sequence).map_err(stop)?;
        Ok(there.as_deref() == ours.as_deref())
    }

    /// Waits until what was fed up to here is applied.
    pub(crate) async fn applied(&self, sequence: u64) -> Result<(), Bar> {
        let mut progress = self.line.follow_progress();
        let mut trouble = self.line.follow_trouble();
        tokio::select! {
            _ = progress.wait_for(|now| now.sequence >= sequence) => Ok(()),
            _ = trouble.wait_for(Option::is_some) => Err(wait("apply stands still")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(last: u64, deleted: u64) -> StreamFacts {
        StreamFacts {
            created: 1,
            first: 1,
            last,
            messages: last - deleted,
            deleted,
            leader: "n0".to_owned(),
            told_at: None,
        }
    }

    #[test]
    fn a_stream_is_followed_from_far_behind_and_not_over_a_hole() {
        assert_eq!(followed_to(&facts(9_000, 0), 10, 5_000), Some(5_000), "to what a peer has");
        assert_eq!(followed_to(&facts(3_000, 0), 10, 5_000), Some(3_000), "as far as it goes");
        assert_eq!(followed_to(&facts(5, 0), 0, 5), Some(5), "nothing is applied yet");
        assert_eq!(followed_to(&facts(0, 0), 0, 5), None, "it was made anew");
        assert_eq!(followed_to(&facts(800, 0), 10, 5_000), None, "it lost its end");
        assert_eq!(followed_to(&facts(8, 0), 10, 5_000), None, "it ends before what is here");
        assert_eq!(followed_to(&facts(9_000, 1), 10, 5_000), None, "it has a hole");
    }
}
