//! The whole system on real parts: `caseledgerd` processes, a real nats-server, real RocksDB, and
//! nothing between a test and what a hospital would see.

mod access;
mod broker;
mod crash;
mod nodes;
mod rest;
mod stream;
