//! The whole system on real parts: `caseledgerd` processes, a real nats-server, real RocksDB, and
//! nothing between a test and what a hospital would see.

#![expect(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "helpers of tests fail as their tests do"
)]

mod access;
mod access_table;
mod broker;
mod catching_up;
mod checkpoints;
mod crash;
mod damage;
mod emergency;
mod emergency_credentials;
mod evidence;
mod evidence_contents;
mod formats;
mod fsck;
mod hidden;
mod hostile;
mod import;
mod incidents;
mod interop;
mod issuers;
mod kek;
mod keys;
mod masking;
mod membership;
mod nodes;
mod policies;
mod protected;
mod rebuilding;
mod relationships;
mod relay;
mod replay;
mod rest;
mod spool;
mod spooled;
mod staff;
mod stop;
mod stream;
mod tls;
mod tools;
mod verifier;
mod verify;
mod views;
mod watch;
mod witness;
mod witness_faults;
