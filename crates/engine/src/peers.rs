//! The other nodes, as functions that the server hands in: the engine knows no transport.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use ledger::{Hash, LedgerId, NodeId};

/// A call to a peer.
pub type PeerCall<T> = Pin<Box<dyn Future<Output = Result<T, PeerFailure>> + Send>>;

/// A peer did not answer, or answered what cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerFailure {
    /// It did not, or what cannot be used.
    #[error("peer: {0}")]
    Failed(String),
    /// It does not take this node's proof of who it is.
    #[error("peer: it does not take this node's proof of who it is")]
    Refused,
    /// It says that this node was retired, and shows the control record, which proves it.
    #[error("peer: it says that this node was retired")]
    Retired(Vec<u8>),
}

/// What a node says it has applied, signed with its block key (`ledger::sign_head`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedHead {
    /// Who says so.
    pub node: NodeId,
    /// Stream sequence applied.
    pub sequence: u64,
    /// Stream hash at that sequence.
    pub stream_hash: Hash,
    /// The asked node's stream hash at the asker's sequence, if it has applied as much: two nodes
    /// with one history agree on it.
    pub at_asked: Option<Hash>,
    /// Its database is lost and it has yet to come back to this head: it can restore nothing.
    pub behind: bool,
    /// Over `sequence` and `stream_hash`.
    pub signature: [u8; 64],
}

/// One node asks to rebuild a stream: to be the one that does, if its sequences were reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HealClaim {
    /// Which ledger.
    pub ledger: LedgerId,
    /// Who asks.
    pub node: NodeId,
    /// What it will rebuild up to.
    pub sequence: u64,
    /// Stream hash there.
    pub stream_hash: Hash,
    /// When the damaged stream was created, ns since 1970 UTC: one grant a damaged stream. 0: there is no
    /// stream.
    pub damaged_created: i128,
}

/// Messages of a stream, each with its sequence.
pub type Messages = Vec<(u64, Bytes)>;

/// Another node.
pub struct Peer {
    /// Its id.
    pub node: NodeId,
    /// Its address, for messages.
    pub address: String,
    /// Its signed head; the argument is (ledger, the asker's own sequence).
    pub head: Box<dyn Fn(LedgerId, u64) -> PeerCall<SignedHead> + Send + Sync>,
    /// Messages from a sequence on, at most so many, whole and in order.
    pub messages: Box<dyn Fn(LedgerId, u64, u32) -> PeerCall<Messages> + Send + Sync>,
    /// Asks it to grant a claim.
    pub grant: Box<dyn Fn(HealClaim) -> PeerCall<bool> + Send + Sync>,
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("node", &self.node).field("address", &self.address).finish()
    }
}

#[cfg(test)]
impl Peer {
    /// One that answers nothing, for what is decided without asking it.
    pub(crate) fn silent(number: u8) -> Self {
        fn nothing<T: 'static>() -> PeerCall<T> {
            Box::pin(async { Err::<T, _>(PeerFailure::Failed("it is silent".to_owned())) })
        }
        Self {
            node: NodeId([number; 16]),
            address: format!("node-{number}"),
            head: Box::new(|_: LedgerId, _: u64| nothing::<SignedHead>()),
            messages: Box::new(|_: LedgerId, _: u64, _: u32| nothing::<Messages>()),
            grant: Box::new(|_: HealClaim| nothing::<bool>()),
        }
    }
}
