//! The ledger's formats held against other people's code: `tlog_tiles` and `signed_note` (of a
//! Certificate Transparency log) and `ct-merkle`, which share no line with this crate or each other.
//!
//! What one makes the others must accept, and what is damaged all must refuse: a mistake in our
//! reading of the specifications, made the same way in writing and in verifying, shows nowhere else.

// `cfg(test)` is always so here; it tells clippy that helpers may unwrap like the tests they serve.
#[cfg(test)]
mod forest;
#[cfg(test)]
mod notes;
#[cfg(test)]
mod paths;
#[cfg(test)]
mod trees;
