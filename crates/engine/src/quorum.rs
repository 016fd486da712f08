//! Who counts when a majority is needed: the members as this node knew them last, less those that the
//! administrators' override names, and never a retired one.

use futures::StreamExt;
use ledger::{Control, Filing, NodeId, Override, SubjectId};
use store::Snapshot;

use crate::heal::{stop, wait};
use crate::peers::Peer;
use crate::supervisor::{Bar, Supervisor};

/// What a node that was retired says. It may file nothing, so it may show nothing either.
pub(crate) const RETIRED: &str = "this node was retired by the administrators: its blocks are refused, \
     and it ends, for what it showed could not be recorded. Keep its directory as long as access \
     records may wait in its spool; to use the machine again, admit it under a new id with \
     `caseledgerd admit` and a new directory";

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
            self.line.feed(at, message.payload).await;
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
