//! The store on a real RocksDB: what goes in comes out, and what was damaged is named.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests, with helpers outside their functions"
)]

mod access;
mod aside;
mod commitments;
mod damage;
mod fsck;
mod records;
mod reopening;
mod spool;
mod views;
mod world;
