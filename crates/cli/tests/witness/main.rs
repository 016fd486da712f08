//! `caseledger witness` as it is used: the built program, real HTTP, real folders, and logs made with
//! the ledger crate alone.

// `cfg(test)` is always so here; it tells clippy that helpers may unwrap like the tests they serve.
#[cfg(test)]
mod crash;
#[cfg(test)]
mod follow;
#[cfg(test)]
mod key;
#[cfg(test)]
mod log;
#[cfg(test)]
mod program;
#[cfg(test)]
mod serve;
