//! Who counts when a majority is needed: the members as this node knew them last, less those that the
//! administrators' override names, and never a retired one. And whether enough of them answer.

use futures::StreamExt;
use ledger::{Control, Filing, NodeId, Override, SubjectId};
use store::Snapshot;

use crate::answers::Condition;
use crate::heal::{stop, wait};
use crate::line::APPLY_ENDED;
use crate::peers::{Peer, SignedHead};
use crate::supervisor::{Bar, Supervisor};

/// What a node that was retired says. It may file nothing, so it may show nothing either.
pub(crate) const RETIRED: &str = "this node was retired by the administrators: its blocks are refused, \
     and it ends, for what it showed could not be recorded. Keep its directory as long as access \
     records may wait in its spool; to use the machine again, admit it under a new id with \
     `caseledgerd admit` and a new directory";

/// Raised while too few nodes answer for this one to publish.
pub(crate) const NO_MAJORITY: &str = "NO_MAJORITY";
/// What that means for a ledger that is near its end, as far as this node knows.
const READS: &str = "of this ledger this node answers what it has, and it files nothing";
/// And for one that is not.
const READS_NOT: &str = "this node is too far behind to answer anything from this ledger, and it \
     files nothing";
/// What is to be done.
const WHAT_TO_DO: &str = "Start the others, or look at the network between. Only if they are lost for \
     good: `caseledgerd retire --without-majority`";

/// What asking a peer came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The head of the member that it is.
    Head(SignedHead),
    /// A head of a node that is no member as far as is applied here: it may have just been admitted.
    Unknown,
    /// A head that the member's key did not sign.
    NotGenuine,
    /// It does not take this node's proof of who it is.
    Refused,
    /// None, or none that can be read.
    Silence,
}

impl Answer {
    /// The head, if it counts.
    pub(crate) fn head(&self) -> Option<SignedHead> {
        if let Self::Head(head) = self { Some(*head) } else { None }
    }
}

/// Who is asked and counted.
pub(crate) struct Quorum<'a> {
    /// The configured peers that count.
    pub(crate) peers: Vec<&'a Peer>,
    /// How many nodes count, this one included.
    pub(crate) members: usize,
}

impl Quorum<'_> {
    pub(crate) fn majority(&self) -> usize {
        self.members / 2 + 1
    }

    /// Whether those whose heads count are a majority with this node; if not, who did not answer, and
    /// whose answer does not count.
    pub(crate) fn reached(&self, heard: &[(&Peer, Answer)]) -> Result<(), String> {
        let (members, majority) = (self.members, self.majority());
        let reached = 1 + heard.iter().filter(|(_, answer)| answer.head().is_some()).count();
        if reached >= majority {
            return Ok(());
        }
        let names = |which: fn(&Answer) -> bool| {
            let those = heard.iter().filter(|(_, answer)| which(answer));
            those.map(|(peer, _)| peer.address.as_str()).collect::<Vec<_>>().join(", ")
        };
        let silent = names(|answer| *answer == Answer::Silence);
        let refusing = names(|answer| *answer == Answer::Refused);
        let others = names(|answer| matches!(answer, Answer::Unknown | Answer::NotGenuine));
        let mut why = Vec::new();
        if !silent.is_empty() {
            why.push(format!("no answer from {silent}"));
        }
        if !refusing.is_empty() {
            why.push(format!(
                "this node's proof of who it is, is refused by {refusing}: its clock or theirs is more \
                 than a minute off, or they do not know it as a member yet"
            ));
        }
        if !others.is_empty() {
            why.push(format!(
                "an answer that does not count from {others}: not known as a member yet, or not \
                 signed as one"
            ));
        }
        if why.is_empty() {
            why.push("the others are not in the configuration".to_owned());
        }
        Err(format!(
            "{reached} of {members} nodes can be reached and {majority} are needed before this node \
             may publish ({})",
            why.join("; ")
        ))
    }
}

impl Supervisor {
    /// Who counts, as of what this node has applied.
    pub(crate) fn quorum(&self) -> Result<Quorum<'_>, Bar> {
        let state = self.line.state().map_err(stop)?;
        let members = self.store.authority(self.ledger).map_err(stop)?.members;
        let overridden = self.override_in_force(&state)?;
        let lost = |node: NodeId| overridden.iter().flat_map(Override::nodes).any(|n| n == node);
        let counts = |node| members.get(&node).is_none_or(|member| !member.retired) && !lost(node);
        for peer in self.peers.iter().filter(|peer| !counts(peer.node)) {
            tracing::info!(
                ledger = %self.ledger, peer = %peer.address,
                "a retired peer is ignored; its entry can be taken out of config.toml"
            );
        }
        Ok(Quorum {
            peers: self.peers.iter().filter(|peer| counts(peer.node)).collect(),
            members: members.keys().filter(|node| counts(**node)).count().max(1),
        })
    }

    /// Too few answer: this node waits, and says whether it answers meanwhile.
    pub(crate) fn too_few(&self, why: String) -> Bar {
        // First: who was told no end by now goes by what it has.
        self.line.set_condition(Condition::ReadOnly(why.clone()));
        let meanwhile = if self.line.near_end().is_ok() { READS } else { READS_NOT };
        let text = format!("{why}: {meanwhile}. {WHAT_TO_DO}");
        self.alarms.keep(NO_MAJORITY, Some(self.ledger), text);
        wait(why)
    }

    /// The override that this node keeps, if it is good and its retirements are not applied yet. One
    /// whose retirements are applied has done its work and is forgotten.
    fn override_in_force(&self, state: &Snapshot) -> Result<Option<Override>, Bar> {
        let Some(kept) = self.store.kept_override(self.ledger).map_err(stop)? else {
            return Ok(None);
        };
        let authority = &state.state().authority;
        if kept.nodes().all(|node| authority.active(node).is_none()) && state.sequence > 0 {
            self.store.remove_override(self.ledger).map_err(stop)?;
            tracing::info!(ledger = %self.ledger, "the override is filed and forgotten");
            return Ok(None);
        }
        let ours = self.store.reader().stream_hash_at(self.ledger, kept.sequence).map_err(stop)?;
        let wrong = if ours != Some(kept.stream_hash) {
            "names a point that is not in this node's history"
        } else if !kept.is_signed_by(&self.genesis, authority) {
            "is not signed by the administrators"
        } else if kept.nodes().any(|node| node == self.node) {
            "would retire this node itself"
        } else {
            return Ok(Some(kept));
        };
        self.alarms.raise(
            "OVERRIDE_IGNORED",
            Some(self.ledger),
            format!(
                "{}: the override that this node keeps (sequence {}) {wrong}: it is ignored. If the \
                 majority is lost for good, stop this node, run `caseledgerd retire \
                 --without-majority` on its directory again, and start it",
                self.ledger, kept.sequence
            ),
        );
        Ok(None)
    }

    /// Files what an override is for, before anything else of this node, and follows the stream until
    /// it is applied.
    pub(crate) async fn file_override(&self) -> Result<(), Bar> {
        let state = self.line.state().map_err(stop)?;
        let Some(kept) = self.override_in_force(&state)? else { return Ok(()) };
        let authority = &state.state().authority;
        let open = |control: &&Control| match control {
            Control::NodeRetired { node, .. } => authority.active(*node).is_some(),
            Control::Genesis(_)
            | Control::NodeAdmitted { .. }
            | Control::RulesRaised { .. }
            | Control::KeyDestroyed { .. } => false,
        };
        let controls: Vec<Control> = kept.retirements.iter().filter(open).cloned().collect();
        let head = self.store.head(self.ledger, SubjectId::ZERO).map_err(stop)?;
        let filing = Filing {
            state: state.state(),
            head,
            node: self.node,
            key: &self.block_key,
            now: self.clock.now(),
        };
        let block = filing.block(&controls).map_err(stop)?;
        let sequence = self.stream.publish(block.into()).await.map_err(wait)?;
        self.follow_to(sequence).await?;
        match self.override_in_force(&self.line.state().map_err(stop)?)? {
            None => Ok(()),
            Some(_) => Err(wait("the retirement by override was overtaken; it is filed again")),
        }
    }

    async fn follow_to(&self, sequence: u64) -> Result<(), Bar> {
        self.line.clear_trouble();
        let mut messages = self.stream.follow(self.line.progress().sequence + 1);
        while let Some(message) = messages.next().await {
            let message = message.map_err(wait)?;
            let at = message.sequence;
            if !self.line.feed(at, message.payload).await {
                return Err(wait(APPLY_ENDED));
            }
            if at >= sequence {
                return self.applied(sequence).await;
            }
        }
        Err(wait("the stream can no longer be followed"))
    }

    /// Ends this node's work when its own history says that it is retired.
    pub(crate) fn still_member(&self) -> Result<(), Bar> {
        let state = self.line.state().map_err(stop)?;
        match state.state().authority.members.get(&self.node) {
            Some(member) if member.retired => Err(self.is_retired()),
            _ => Ok(()),
        }
    }

    /// Whether what a peer showed is this node's retirement, signed by the administrators.
    pub(crate) fn proves_retirement(&self, record: &[u8]) -> bool {
        let Ok(authority) = self.store.authority(self.ledger) else { return false };
        Control::decode(record).is_ok_and(|control| {
            matches!(&control, Control::NodeRetired { node, .. } if *node == self.node)
                && control.is_signed_by(
                    &self.genesis,
                    &authority.administrators,
                    authority.threshold,
                )
        })
    }

    pub(crate) fn is_retired(&self) -> Bar {
        self.alarms.raise("NODE_RETIRED", Some(self.ledger), RETIRED.to_owned());
        self.retired.send_replace(true);
        stop(RETIRED)
    }
}

#[cfg(test)]
mod tests {
    use ledger::Hash;

    use super::*;

    /// What is said of three members when the two others answer so.
    fn reached(answers: [Answer; 2]) -> Result<(), String> {
        let peers = [Peer::silent(2), Peer::silent(3)];
        let quorum = Quorum { peers: peers.iter().collect(), members: 3 };
        let heard: Vec<(&Peer, Answer)> = peers.iter().zip(answers).collect();
        quorum.reached(&heard)
    }

    #[test]
    fn who_answers_without_counting_is_not_called_silent() {
        let (node, stream_hash, signature) = (NodeId([2; 16]), Hash::ZERO, [0; 64]);
        let head =
            SignedHead { node, sequence: 7, stream_hash, at_asked: None, behind: false, signature };
        assert_eq!(reached([Answer::Head(head), Answer::Silence]), Ok(()), "two of three");
        let said = reached([Answer::Silence, Answer::Silence]).unwrap_err();
        assert!(said.starts_with("1 of 3 nodes can be reached and 2 are needed"), "{said}");
        assert!(said.ends_with("(no answer from node-2, node-3)"), "{said}");
        for answer in [Answer::Unknown, Answer::NotGenuine] {
            let said = reached([answer, Answer::Silence]).unwrap_err();
            assert!(said.contains("no answer from node-3; an answer"), "{said}");
            assert!(said.contains("does not count from node-2: not known"), "{said}");
        }
        let said = reached([Answer::Refused, Answer::Silence]).unwrap_err();
        assert!(said.contains("no answer from node-3; this node's proof"), "{said}");
        assert!(said.contains("refused by node-2: its clock"), "{said}");
        let alone = Quorum { peers: Vec::new(), members: 2 };
        let said = alone.reached(&[]).unwrap_err();
        assert!(said.contains("not in the configuration"), "{said}");
    }
}
