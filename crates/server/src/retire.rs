//! `caseledgerd retire`: nodes that may write no more, filed in both ledgers.
//!
//! While a node serves, the retirement is filed in its name as `admit` files an admission. Where the
//! majority is lost for good no node may publish: then the administrators' override is put into the
//! remaining node's own database, and the node files the retirement itself when it starts
//! (`engine::quorum`).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use ::ledger::{Authority, Control, NodeId, Override, State};
use store::Store;

use crate::config::Config;
use crate::sponsor::{Sponsor, SponsorError};
use crate::{names, run};

/// Which nodes are to be retired.
#[derive(Debug, Clone)]
pub struct Retire {
    /// State directory of a node that stays, with the administrators' key.
    pub from: PathBuf,
    /// The nodes.
    pub nodes: Vec<NodeId>,
    /// The majority is lost for good: leave an override with the node of `from`, which is stopped.
    pub without_majority: bool,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Retired {
    /// Members that remain, the node of `from` included.
    pub remaining: usize,
    /// How many of them must be reachable when a node starts.
    pub majority: usize,
}

/// Why no node was retired.
#[derive(Debug, thiserror::Error)]
pub enum RetireError {
    /// Filing it.
    #[error(transparent)]
    Sponsor(#[from] SponsorError),
    /// The node of `from` is named.
    #[error(
        "node {0} is the one that this command files for: a node cannot retire itself, nor can the \
         last one be retired; run this with --from a node that stays"
    )]
    Itself(NodeId),
    /// The node of `from` cannot file anything.
    #[error("node {0}, which this command files for, is itself no member, or retired")]
    NoMember(NodeId),
    /// No such node.
    #[error("there is no node {node}; the members are: {members}")]
    Unknown {
        /// As given.
        node: NodeId,
        /// Ids of those that are not retired.
        members: String,
    },
    /// Retired before.
    #[error("node {0} is retired already, in both ledgers")]
    Already(NodeId),
    /// The node's databases.
    #[error(
        "the databases of the node cannot be opened; --without-majority needs the node to be stopped"
    )]
    Open(#[from] run::RunError),
    /// The override cannot be kept.
    #[error("the override cannot be kept in the node's database")]
    Store(#[from] store::StoreError),
}

/// Retires nodes, or leaves an override that will.
///
/// # Errors
/// One of the nodes cannot be retired (then none is), or it cannot be filed.
pub async fn retire(retire: &Retire) -> Result<Retired, RetireError> {
    let sponsor = Sponsor::of(&retire.from)?;
    let nodes: BTreeSet<NodeId> = retire.nodes.iter().copied().collect();
    if retire.without_majority {
        return leave_override(&sponsor, &nodes).await;
    }
    let mut ledgers = sponsor.read().await?;
    let authorities: Vec<&Authority> = ledgers.iter().map(|judged| judged.authority()).collect();
    check(&sponsor.config, &authorities, &nodes)?;
    for judged in &mut ledgers {
        for node in open(judged.authority(), &nodes) {
            sponsor.file(judged, &retirement(node)).await?;
        }
    }
    Ok(remaining(ledgers.iter().map(|judged| judged.authority().active_count())))
}

async fn leave_override(
    sponsor: &Sponsor,
    nodes: &BTreeSet<NodeId>,
) -> Result<Retired, RetireError> {
    let store: Arc<Store> = run::open(&sponsor.config).await?.store;
    let mut snapshots = Vec::new();
    for ledger in names::LEDGERS {
        snapshots.push(store.state(ledger)?);
    }
    let states: Vec<&State> = snapshots.iter().map(store::Snapshot::state).collect();
    let authorities: Vec<&Authority> = states.iter().map(|state| &state.authority).collect();
    check(&sponsor.config, &authorities, nodes)?;
    let mut left = Vec::new();
    for state in states {
        let gone = open(&state.authority, nodes);
        left.push(state.authority.active_count() - gone.len());
        if !gone.is_empty() {
            store.set_override(state.ledger, &signed(sponsor, state, &gone)?)?;
        }
    }
    Ok(remaining(left.into_iter()))
}

/// The override for one ledger, signed where the node stands.
fn signed(sponsor: &Sponsor, state: &State, nodes: &[NodeId]) -> Result<Override, SponsorError> {
    let retirements = nodes
        .iter()
        .map(|node| sponsor.sign(state, &retirement(*node)))
        .collect::<Result<_, _>>()?;
    let mut made = Override {
        sequence: state.sequence,
        stream_hash: state.stream_hash,
        retirements,
        signatures: Vec::new(),
    };
    made.sign(&state.genesis, sponsor.place(state)?, sponsor.administrator());
    Ok(made)
}

fn retirement(node: NodeId) -> Control {
    Control::NodeRetired { node, signatures: Vec::new() }
}

/// Those of the nodes that this ledger has not retired. An admission that broke off is in one ledger
/// only, and so may a retirement be.
fn open(authority: &Authority, nodes: &BTreeSet<NodeId>) -> Vec<NodeId> {
    nodes.iter().copied().filter(|node| authority.active(*node).is_some()).collect()
}

fn remaining(active: impl Iterator<Item = usize>) -> Retired {
    let remaining = active.max().unwrap_or(0);
    Retired { remaining, majority: remaining / 2 + 1 }
}

fn check(
    config: &Config,
    authorities: &[&Authority],
    nodes: &BTreeSet<NodeId>,
) -> Result<(), RetireError> {
    let own = config.node.id.0;
    if nodes.contains(&own) {
        return Err(RetireError::Itself(own));
    }
    if authorities.iter().any(|authority| authority.active(own).is_none()) {
        return Err(RetireError::NoMember(own));
    }
    for node in nodes {
        if !authorities.iter().any(|authority| authority.members.contains_key(node)) {
            let active = authorities.iter().flat_map(|authority| {
                authority.members.iter().filter(|(_, member)| !member.retired)
            });
            let ids: BTreeSet<String> = active.map(|(node, _)| node.to_string()).collect();
            let members = ids.into_iter().collect::<Vec<_>>().join(", ");
            return Err(RetireError::Unknown { node: *node, members });
        }
        if authorities.iter().all(|authority| authority.active(*node).is_none()) {
            return Err(RetireError::Already(*node));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use ::ledger::{Hash, Member, NodeKeys};

    use super::*;

    fn config(node: u8) -> Config {
        let (node, hash) = (NodeId([node; 16]), Hash([1; 32]));
        let text = format!(
            "[node]\nid = \"{node}\"\ndata = \"d\"\nkek = \"k\"\nblock_key = \"b\"\n\
             checkpoint_key = \"c\"\ncosigner_key = \"d\"\n[grpc]\nlisten = \"127.0.0.1:1\"\n[nats]\nurl = \"nats://x\"\n\
             monitor = [\"http://x\"]\n[ledgers]\nrecords = \"{hash}\"\naccess = \"{hash}\"\n"
        );
        Config::parse(&text, Path::new("/x/config.toml")).unwrap()
    }

    /// Nodes by number, and whether each is retired.
    fn authority(nodes: &[(u8, bool)]) -> Authority {
        let keys =
            |node| NodeKeys { block: [node; 32], checkpoint: [node; 32], cosigner: [node; 32] };
        let member = |node: u8, retired| Member { keys: keys(node), retired };
        let members: BTreeMap<NodeId, Member> = nodes
            .iter()
            .map(|(node, retired)| (NodeId([*node; 16]), member(*node, *retired)))
            .collect();
        Authority { members, ..Authority::default() }
    }

    fn checked(nodes: &[u8], ledgers: [&[(u8, bool)]; 2]) -> Result<(), String> {
        let [records, access] = ledgers.map(authority);
        let nodes = nodes.iter().map(|node| NodeId([*node; 16])).collect();
        check(&config(1), &[&records, &access], &nodes).map_err(|error| error.to_string())
    }

    #[test]
    fn what_cannot_be_retired_is_refused_with_its_reason() {
        let both: [&[(u8, bool)]; 2] = [&[(1, false), (2, false), (3, true)]; 2];
        assert_eq!(checked(&[2], both), Ok(()));
        let said = |nodes: &[u8]| checked(nodes, both).unwrap_err();
        assert!(said(&[1]).contains("cannot retire itself"));
        assert!(said(&[2, 3]).contains("retired already"));
        let unknown = said(&[9]);
        assert!(
            unknown.contains("no node 0909") && unknown.contains(&"01".repeat(16)),
            "{unknown}"
        );
        assert!(!unknown.contains(&"03".repeat(16)), "{unknown}");
        let itself_retired: [&[(u8, bool)]; 2] = [&[(1, true), (2, false)]; 2];
        assert!(checked(&[2], itself_retired).unwrap_err().contains("no member, or retired"));
    }

    #[test]
    fn what_broke_off_between_the_ledgers_can_be_finished() {
        let admitted: [&[(u8, bool)]; 2] = [&[(1, false), (2, false)], &[(1, false)]];
        assert_eq!(checked(&[2], admitted), Ok(()));
        let retired: [&[(u8, bool)]; 2] = [&[(1, false), (2, true)], &[(1, false), (2, false)]];
        assert_eq!(checked(&[2], retired), Ok(()));
        let nodes = BTreeSet::from([NodeId([2; 16])]);
        assert_eq!(open(&authority(retired[0]), &nodes), Vec::new());
        assert_eq!(open(&authority(retired[1]), &nodes), vec![NodeId([2; 16])]);
    }
}
