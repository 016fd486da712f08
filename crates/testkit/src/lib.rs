//! What the tests of several crates need from outside: a real nats-server that can be killed,
//! stopped, paused and damaged, shared test data, and (feature `nodes`) whole nodes as processes with
//! clients.
//!
//! It is deliberately no mock of anything: what a test sees here is what a hospital would see. Only
//! tests build on it; no crate may depend on it otherwise than for development.

#[cfg(feature = "nodes")]
pub mod authority;
#[cfg(feature = "nodes")]
pub mod client;
#[cfg(feature = "nodes")]
pub mod cluster;
pub mod nats;
pub mod shared;
pub mod wait;
