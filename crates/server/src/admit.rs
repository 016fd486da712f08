//! `caseledgerd admit`: state for one more node, and its admission filed in both ledgers.
//!
//! Run again after it broke off, it goes on: the node's id is marked first and its keys are kept, what
//! a ledger has accepted is not filed a second time, and the configuration is written last.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ::ledger::{Control, NodeId, NodeKeys, SigningKey};
use vault::KekSource;
use zeroize::Zeroizing;

use crate::config::{Config, Hex, Keks};
use crate::keys;
use crate::sponsor::{Judged, Sponsor, SponsorError};
use crate::state_dir::{Begun, Entries, StateDir, StateError, append_peer};

/// Which node is to be admitted.
#[derive(Debug, Clone)]
pub struct Admit {
    /// The new node's state directory.
    pub state: PathBuf,
    /// An existing node's.
    pub from: PathBuf,
    /// Where the new node will listen.
    pub listen: SocketAddr,
    /// A name for people.
    pub name: String,
}

/// The admitted node.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// Its configuration file.
    pub config: PathBuf,
    /// Its id.
    pub node: NodeId,
}

/// Why a node was not admitted.
#[derive(Debug, thiserror::Error)]
pub enum AdmitError {
    /// A state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// The existing node has no address that another could call.
    #[error(
        "the existing node listens at port 0, which changes with every start: give it a fixed port"
    )]
    NoAddress,
    /// The existing node has TLS, and does not say whom to trust for its peers'.
    #[error(
        "the existing node has [grpc.tls]: name the authority of the nodes' certificates as \
         grpc.peer_ca in its configuration first"
    )]
    NoPeerAuthority,
    /// A key file.
    #[error("a key cannot be used")]
    Key(#[from] keys::KeyFileError),
    /// A file could not be read.
    #[error("{}: cannot be read", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The ledgers cannot be read.
    #[error(transparent)]
    Sponsor(#[from] SponsorError),
    /// It was taken back after it broke off: what is retired never comes back.
    #[error(
        "node {node}, whose admission broke off here, was retired meanwhile, and never comes back: \
         choose a new directory"
    )]
    TakenBack {
        /// The node.
        node: NodeId,
    },
    /// One ledger may have accepted the node already, and then counts it as a member.
    #[error(
        "the admission of node {node} broke off and may be in one ledger only: run the same command \
         again and it goes on, or take the node back with `caseledgerd retire --node {node}`"
    )]
    BrokeOff {
        /// The new node.
        node: NodeId,
        /// Why.
        #[source]
        source: SponsorError,
    },
}

/// Admits a node.
///
/// # Errors
/// Something else exists already, or the ledgers do not accept it.
pub async fn admit(admit: &Admit) -> Result<Admitted, AdmitError> {
    let sponsor = Sponsor::of(&admit.from)?;
    let from = &sponsor.config;
    if from.grpc.listen.port() == 0 {
        return Err(AdmitError::NoAddress);
    }
    if from.grpc.tls.is_some() && from.grpc.peer_ca.is_none() {
        return Err(AdmitError::NoPeerAuthority);
    }
    let command = admit.command();
    let (state, begun) = StateDir::look(&admit.state, &command)?;
    let mut ledgers = sponsor.read().await?;
    let begun = match begun {
        Some(begun) => begun,
        None => state.begin(&command)?,
    };
    state.make()?;
    let node = begun.node.0;
    let retired = |judged: &Judged| {
        judged.authority().members.get(&node).is_some_and(|member| member.retired)
    };
    if ledgers.iter().any(retired) {
        return Err(AdmitError::TakenBack { node });
    }
    let public = |name| {
        keys::keep_or_create_secret(&state.key(name))
            .map(|secret| SigningKey::from_bytes(&secret).verifying_key().to_bytes())
    };
    let control = Control::NodeAdmitted {
        node,
        keys: NodeKeys {
            block: public("block.key")?,
            checkpoint: public("checkpoint.key")?,
            cosigner: public("cosigner.key")?,
        },
        signatures: Vec::new(),
    };
    let kek = copy_keks(&from.node.kek, &state)?;
    if let Some(issuer) = from.issuers.first().and_then(|issuer| issuer.keys.first()) {
        copy(issuer, &state.key("issuer.pub.pem"))?;
    }
    for judged in &mut ledgers {
        if !judged.authority().members.contains_key(&node) {
            let filed = sponsor.file(judged, &control).await;
            filed.map_err(|source| AdmitError::BrokeOff { node, source })?;
        }
    }
    let config = configure(admit, from, &state, &begun, &kek)?;
    Ok(Admitted { config, node })
}

impl Admit {
    /// The command line without the directory: an admission that broke off goes on with the same.
    fn command(&self) -> String {
        let Self { from, listen, name, .. } = self;
        format!("admit --from {} --listen {listen} --name {name}", from.display())
    }
}

/// Writes each node into the other's configuration as a peer, the new node's last.
fn configure(
    admit: &Admit,
    from: &Config,
    state: &StateDir,
    begun: &Begun,
    kek: &Keks,
) -> Result<PathBuf, StateError> {
    let node = begun.node.0;
    let known = from.peers.iter().any(|peer| peer.node == begun.node);
    let scheme = if from.grpc.tls.is_some() { "https" } else { "http" };
    if admit.listen.port() != 0 && !known {
        let address = format!("{scheme}://{}", admit.listen);
        append_peer(&admit.from.join("config.toml"), node, &address)?;
    }
    let others = from.peers.iter().filter(|peer| peer.node != begun.node).map(|peer| {
        let Hex(id) = peer.node;
        (id, peer.address.clone())
    });
    let sponsor = (from.node.id.0, format!("{scheme}://{}", from.grpc.listen));
    let peers: Vec<(NodeId, String)> = std::iter::once(sponsor).chain(others).collect();
    state.finish(&Entries {
        node,
        name: &admit.name,
        listen: admit.listen,
        nats: &from.nats.url,
        monitor: &from.nats.monitor,
        replicas: from.nats.replicas,
        records: from.ledgers.records.0,
        access: from.ledgers.access.0,
        issuer: from.issuers.first().map_or("", |issuer| &issuer.name),
        kek,
        time_zone: &from.node.time_zone,
        peers: &peers,
    })
}

/// Gives the new node what the existing one knows of key-encryption keys: files beside its own keys, and
/// for the rest the same places. The PIN of a PKCS#11 module stays where it is.
fn copy_keks(from: &Keks, state: &StateDir) -> Result<Keks, AdmitError> {
    let mut keks = from.clone();
    for (version, source) in &mut keks.0 {
        let name = if *version == 1 { "kek".to_owned() } else { format!("kek.{version}") };
        match source {
            KekSource::File(file) => {
                copy(file, &state.key(&name))?;
                *file = Path::new("keys").join(name);
            }
            KekSource::Module(module) => {
                let name = format!("{name}.sealed");
                copy(&module.sealed, &state.key(&name))?;
                module.sealed = Path::new("keys").join(name);
            }
            KekSource::Variable(_) => {}
        }
    }
    Ok(keks)
}

/// Copies a key, unless an earlier attempt did.
fn copy(from: &Path, to: &Path) -> Result<(), AdmitError> {
    let content = std::fs::read_to_string(from)
        .map(Zeroizing::new)
        .map_err(|source| AdmitError::File { file: from.to_owned(), source })?;
    match keys::create_private(to, &content) {
        Ok(()) | Err(keys::KeyFileError::Exists(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
