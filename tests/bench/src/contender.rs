//! What is measured: Caseledger, and what it is measured against. Each is started for one run, used
//! through its own network interface with one connection a client, and gone afterwards.

pub(crate) mod hospital;
pub(crate) mod jetstream;
pub(crate) mod message_db;
pub(crate) mod umadb;

use std::net::{Ipv4Addr, SocketAddr, TcpListener};

/// A loopback address that nobody listens at just now.
///
/// # Errors
/// When there is none.
fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
