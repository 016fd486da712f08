//! Between proto messages and domain values: the only code that knows both.
//!
//! Into the domain, every fault is reported with the whole path of its proto field
//! (`changes[2].add_entry.entry.effective.at`) and conversion goes on, so that a caller learns all
//! of them at once. Faults are of form only: what a date, a decimal, an id or an enum must be.
//! What a kind of entry must say is the domain's to judge.
//!
//! Out of the domain, conversion cannot fail. One file a concern, one file a kind of entry.

pub mod audit;
pub mod command;
pub mod emergency;
pub mod entry;
pub mod event;
pub mod evidence;
pub mod identity;
pub mod import;
pub mod incident;
pub mod kind;
pub mod ledger;
pub mod policy;
mod report;
pub mod staff;
#[cfg(test)]
mod tests;
pub mod values;

pub use report::{At, Report};
