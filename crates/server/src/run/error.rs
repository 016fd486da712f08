//! Why a node does not start, or ends.

use std::net::SocketAddr;
use std::path::PathBuf;

use journal::ServerCheckError;

use crate::files::FileError;
use crate::issuers::SourceError;
use crate::keys::KeyFileError;
use crate::tls::TlsError;

/// Why a node did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A key file.
    #[error("a key cannot be used")]
    Key(#[from] KeyFileError),
    /// What is known of an issuer.
    #[error("issuer {issuer}: its keys or revocations cannot be used")]
    Issuer {
        /// Which.
        issuer: String,
        /// What, and why.
        #[source]
        source: SourceError,
    },
    /// A listener's certificate, or the authorities that it accepts.
    #[error("{key} cannot be used")]
    Tls {
        /// The configuration's key.
        key: &'static str,
        /// What, and why.
        #[source]
        source: TlsError,
    },
    /// A listener without TLS, at an address that others reach.
    #[error(
        "at {address} tokens and patient data would travel in the clear: configure tls for this \
         address, or a loopback address"
    )]
    InTheClear {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The key database.
    #[error("the database of keys cannot be opened")]
    Vault(#[from] vault::VaultError),
    /// The ledgers' database.
    #[error("the database of records cannot be opened")]
    Store(#[from] store::OpenError),
    /// The broker's address or credentials.
    #[error("the broker cannot be used")]
    Broker(#[from] journal::ConnectError),
    /// The broker promises less than acknowledged records need.
    #[error("the broker is not set up as Caseledger needs it")]
    BrokerSettings(#[source] ServerCheckError),
    /// A peer's address, or the authority of the peers' certificates.
    #[error("a peer's address, or grpc.peer_ca, cannot be used")]
    Peer(#[source] tonic::transport::Error),
    /// The authority of the peers' certificates.
    #[error("grpc.peer_ca cannot be used")]
    PeerAuthority(#[source] FileError),
    /// The engine.
    #[error("the engine cannot start: {0}")]
    Engine(String),
    /// The address to listen at.
    #[error("cannot listen at {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A build that keeps no audit trail, at an address that others reach.
    #[error(
        "this build keeps no audit trail and is for measurements on one machine: it listens at a \
         loopback address only, not at {address}"
    )]
    Unaudited {
        /// Where it was to listen.
        address: SocketAddr,
    },
    /// The data directory.
    #[error("{}: cannot be written", file.display())]
    Data {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The administrators retired it.
    #[error(
        "this node was retired by the administrators and has ended; its log says what to do with it"
    )]
    Retired,
    /// Serving failed.
    #[error("serving ended with an error")]
    Serve(#[source] tonic::transport::Error),
    /// Threads for imports.
    #[error("the system gives no more threads")]
    Threads(#[source] std::io::Error),
    /// Something of ours.
    #[error("a task of the start did not end")]
    Task(#[from] tokio::task::JoinError),
    /// Reflection.
    #[error("the interface's description cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}
