//! `caseledgerd`, the node: gRPC services over the engine, and everything around them.
//!
//! A call passes the gate (limits, credentials, a net for panics), is converted into the domain's
//! words, answered by the engine, and converted back; what goes wrong becomes a status in one
//! table. Besides, this crate wires a node together, founds ledgers (`init`), admits and retires
//! nodes (`admit`, `retire`), and gives the engine its transport to peers.
//!
//! Deliberately not here: any rule about who may see or file what (`engine`, `domain`), any format
//! (`ledger`, `schema`), any access to the databases but opening them. Handlers never build a
//! status themselves, and nothing but the gate reads a token.
//!
//! Nothing builds on it but `testkit`, which starts nodes in a test's process with [`run`].
//!
//! | module | keeps |
//! |---|---|
//! | `gate`, `auth`, `refusals` | nothing is decoded before credentials and limits hold |
//! | `listener`, `tls` | what is listened at, and which service a client certificate names |
//! | `issuers`, `files`, `reload`, `web` | keys, revocations and certificates, and that they stay new |
//! | `call`, `deadline` | who calls, why, for how long |
//! | `convert` | proto ⇄ domain; every fault with the path of its proto field |
//! | `service`, `stream`, `pages` | one file a gRPC service |
//! | `status`, `undecodable` | the one table from failures to statuses |
//! | `peers` | signed calls to other nodes |
//! | `run`, `health`, `config`, `telemetry` | a node at work |
//! | `emergency` | credentials that lie sealed for when issuers are away |
//! | `fsck` | the data folder of a stopped node against itself |
//! | `kek`, `core_dumps` | key-encryption keys made and changed; memory that stays in memory |
//! | `unaudited` | a build that only measures serves nobody else |
//! | `init`, `admit`, `carried`, `retire`, `sponsor`, `keys`, `state_dir`, `names` | founding and membership |

pub mod admit;
pub mod auth;
mod background;
mod call;
mod carried;
pub mod clock;
pub mod config;
pub mod convert;
pub mod core_dumps;
mod deadline;
pub mod descriptors;
pub mod emergency;
mod files;
pub mod fsck;
pub mod gate;
mod health;
mod http;
pub mod init;
mod issuers;
pub mod kek;
pub mod keys;
mod listener;
pub mod names;
mod pages;
mod peers;
pub mod refusals;
mod reload;
pub mod retire;
mod run;
mod service;
pub mod sponsor;
mod state_dir;
pub mod status;
mod stream;
pub mod telemetry;
pub mod tls;
mod unaudited;
mod undecodable;
mod web;
mod witness;

pub use run::{RunError, run};
pub use unaudited::VERSION;
