//! The ledger: formats, the verdict on every block, the Merkle tree, checkpoints and proofs.
//!
//! This is what an outside auditor compiles to check a hospital's record without trusting any
//! server. Everything here is a plain function of bytes: record headers ([`header`]), control
//! records ([`control`], filed as in [`filing`]), signed blocks ([`block`]), the stream hash ([`stream`]), the verdict on
//! a block ([`rules`]), the RFC 6962 tree with C2SP tiles and proofs ([`tree`], [`proof`]), signed
//! notes and checkpoints ([`note`], [`checkpoint`]), what nodes cosigned and what a verifier asks for
//! ([`cosigned`], [`policy`]), what a witness is asked and decides ([`witness`]), what shows that a list is complete ([`map`], [`commitment`], [`completeness`]), a whole log entry by entry ([`audit`]), the block that founds a ledger ([`founding`]) and
//! the administrators' leave to go on without a majority ([`quorum`]).
//!
//! Deliberately not here: any input or output, any clock, any source of randomness, any knowledge
//! of what a body says (bodies are sealed by `vault` and understood by `schema`), and any storage
//! (the verdict looks earlier history up through [`Lookup`]).
//!
//! `schema`, `vault` and `journal` build on its identifiers and formats, `store` drives
//! [`State::apply`] and keeps what it returns, `engine` seals blocks, and the command line verifies
//! with it.

pub mod audit;
pub mod block;
pub mod checkpoint;
pub mod commitment;
pub mod completeness;
pub mod control;
pub mod cosigned;
pub mod filing;
pub mod founding;
pub mod header;
pub mod id;
pub mod map;
pub mod note;
pub mod policy;
pub mod proof;
pub mod quorum;
pub mod rules;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod tree;
mod wire;
pub mod witness;

pub use block::{Base, Block, BlockError, Content, Contribution, Frame, Item, SealedRecord};
pub use commitment::{Commitment, Leaf};
pub use control::{AdminSignature, Control, Genesis, NodeKeys};
pub use filing::Filing;
pub use header::{Header, HeaderError, LeafType, leaf_hash};
pub use id::{
    ActorId, ContributionId, Hash, IdError, KeyId, LedgerId, LedgerKind, NodeId, RecordId,
    SubjectId,
};
pub use map::{Map, Summary};
pub use quorum::Override;
pub use rules::{
    Applied, AppliedRecord, ApplyError, Authority, BlockVerdict, ChainHead, Committed, ItemVerdict,
    Lookup, Member, Memory, Overlay, Refusal, Settled, State, VoidReason,
};
pub use stream::{sign_head, stream_hash, verify_head};
pub use tree::{FullTile, TileId, TileKind, TilePath, Tree};

/// The signing keys this crate works with, so that callers need no version of their own.
pub use ed25519_dalek::{SigningKey, VerifyingKey};
