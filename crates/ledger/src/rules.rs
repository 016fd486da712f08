//! The rules: the verdict on every message of a ledger's stream, the same on every node.
//!
//! [`State::apply`] is a pure function of the message's clear bytes, the state and earlier history
//! ([`Lookup`]). The broker's time stamps, keys and views never enter it. A message has one of
//! three fates: it is judged item by item; it is refused whole and only advances sequence and
//! stream hash ([`Refusal`]); or apply stops before it ([`ApplyError`]) because a newer program, or
//! another stream, is needed.
//!
//! In what order things are looked at is part of the rules. A message: frame, ledger, membership,
//! signature, retirement, format, size, content, base. A contribution: settled before, agreement
//! with itself, authority of a control record, age, destroyed keys, pairs read, links. The first
//! that fails gives the reason.

mod control;
mod judge;
mod lookup;
mod state;
mod verdict;

pub(crate) use control::is_sound;
pub use lookup::{Lookup, Memory, Overlay};
pub use state::{Authority, Member, State};
pub use verdict::{
    Applied, AppliedRecord, ApplyError, BlockVerdict, ChainHead, Committed, ItemVerdict, Refusal,
    Settled, VoidReason,
};

/// The version of the rules this crate judges by.
pub const RULES: u16 = 1;

/// How far a record's time in `records` may be from the ledger's, in microseconds: 60 s. Beyond
/// that the past is closed, so that "the file as of a time" is provisional for so long only. An
/// order of magnitude more than a publish may take with its retries.
pub const MAX_AGE: u64 = 60_000_000;

#[cfg(test)]
mod tests;
