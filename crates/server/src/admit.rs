//! `caseledgerd admit`: state for one more node, and its admission filed in both ledgers.
//!
//! Run again after it broke off, it goes on: the node's id is marked first and its keys are kept, what
//! a ledger has accepted is not filed a second time, and the configuration is written last.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ::ledger::{Control, NodeId, NodeKeys, SigningKey};
use vault::KekSource;
use zeroize::Zeroizing;

use crate::carried::Carried;
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
    /// What is still to be done by hand, a sentence each.
    pub left: Vec<String>,
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
    let carried = carry(from, &state)?;
    for judged in &mut ledgers {
        if !judged.authority().members.contains_key(&node) {
            let filed = sponsor.file(judged, &control).await;
            filed.map_err(|source| AdmitError::BrokeOff { node, source })?;
        }
    }
    let config = configure(admit, from, &state, &begun, &kek, &carried)?;
    let gone = |peer: &NodeId| {
        let member = ledgers.first().and_then(|judged| judged.authority().members.get(peer));
        member.is_some_and(|member| member.retired)
    };
    Ok(Admitted { config, node, left: left(admit, from, node, &carried, gone) })
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
    carried: &Carried,
) -> Result<PathBuf, StateError> {
    let node = begun.node.0;
    let known = from.peers.iter().any(|peer| peer.node == begun.node);
    let scheme = if from.grpc.tls.is_some() { "https" } else { "http" };
    if reachable(admit.listen) && !known {
        let address = format!("{scheme}://{}", admit.listen);
        append_peer(&admit.from.join("config.toml"), node, &address)?;
    }
    let others = from.peers.iter().filter(|peer| peer.node != begun.node).map(|peer| {
        let Hex(id) = peer.node;
        (id, peer.address.clone())
    });
    let sponsor = (from.node.id.0, format!("{scheme}://{}", from.grpc.listen));
    let sponsor = reachable(from.grpc.listen).then_some(sponsor);
    let peers: Vec<(NodeId, String)> = sponsor.into_iter().chain(others).collect();
    state.finish(&Entries {
        node,
        name: &admit.name,
        listen: admit.listen,
        nats: &from.nats.url,
        monitor: &from.nats.monitor,
        replicas: from.nats.replicas,
        records: from.ledgers.records.0,
        access: from.ledgers.access.0,
        carried,
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

/// Gives the new node what protects the existing one; the files that it names lie beside its own keys.
fn carry(from: &Config, state: &StateDir) -> Result<Carried, AdmitError> {
    let mut carried = Carried::of(from);
    for (name, file) in carried.files() {
        copy(file, &state.key(&name))?;
        *file = Path::new("keys").join(name);
    }
    Ok(carried)
}

/// Whether others can call it: nobody can at every address, or at a port that changes.
fn reachable(listen: SocketAddr) -> bool {
    listen.port() != 0 && !listen.ip().is_unspecified()
}

/// What the new configuration or those of others lack, and no one else completes.
/// `gone` tells of a peer whether it was retired.
fn left(
    admit: &Admit,
    from: &Config,
    node: NodeId,
    carried: &Carried,
    gone: impl Fn(&NodeId) -> bool,
) -> Vec<String> {
    let mut left: Vec<String> = carried
        .revoked()
        .map(|file| format!("{}: is a copy, to be kept up to date at each node", file.display()))
        .collect();
    let lacks = [
        (from.grpc.tls.is_some(), "[grpc.tls], with a certificate of its own"),
        (from.grpc.peer_ca.is_some(), "grpc.peer_ca"),
        (from.http.is_some(), "[http], if it is to publish checkpoints, too"),
        (!from.services.is_empty(), "[[services]]"),
    ];
    let lacks = lacks.into_iter().filter(|(lacks, _)| *lacks);
    left.extend(lacks.map(|(_, what)| format!("its configuration lacks {what}")));
    if !reachable(from.grpc.listen) {
        let (node, listen) = (from.node.id.0, from.grpc.listen);
        left.push(format!(
            "its configuration lacks [[peers]] of node {node}: nobody can call it at {listen}"
        ));
    }
    if !reachable(admit.listen) {
        let (listen, file) = (admit.listen, admit.from.join("config.toml"));
        left.push(format!(
            "{} lacks [[peers]] of the new node: nobody can call it at {listen}",
            file.display()
        ));
    }
    let others = from.peers.iter().filter(|peer| peer.node.0 != node && !gone(&peer.node.0));
    left.extend(others.map(|peer| {
        format!("the configuration of node {} lacks [[peers]] of the new node", peer.node.0)
    }));
    left
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

#[cfg(test)]
mod tests {
    use super::*;

    const WITNESS: &str =
        "witness.example/w1+24c2fdca+BHun0VNAaOinILs4fYx9M8U2nh2Uos9enWj6iwn0agfE";

    fn sponsor(directory: &Path) -> Config {
        for (name, content) in [
            ("a.pem", "key a"),
            ("b.pem", "key b"),
            ("revoked.json", "taken back"),
            ("idp.json", "key set"),
            ("e.pem", "key e"),
            ("e.json", "emergency over"),
            ("nats.creds", "broker"),
        ] {
            std::fs::write(directory.join(name), content).unwrap();
        }
        let (node, other, hash) = ("01".repeat(16), "02".repeat(16), "03".repeat(32));
        let text = format!(
            r#"
[node]
id = "{node}"
data = "d"
kek = "k"
block_key = "b"
checkpoint_key = "c"
cosigner_key = "d"
[grpc]
listen = "0.0.0.0:7001"
[nats]
url = "nats://x"
monitor = ["http://x"]
credentials = "nats.creds"
[ledgers]
records = "{hash}"
access = "{hash}"
[[issuers]]
name = "hospital"
keys = ["a.pem", "b.pem"]
audience = "ledger"
revoked = "revoked.json"
[[issuers]]
name = "clinic"
jwks = "idp.json"
[[issuers]]
name = "lab"
jwks = "https://idp.example/keys"
[emergency]
name = "envelopes"
keys = ["e.pem"]
hours = 3
revoked = "e.json"
[witnesses]
quorum = 1
[[witnesses.known]]
key = "{WITNESS}"
url = "http://witness"
[[peers]]
node = "{other}"
address = "http://127.0.0.1:7003"
"#
        );
        Config::parse(&text, &directory.join("config.toml")).unwrap()
    }

    #[test]
    fn a_new_node_is_protected_as_the_existing_one_is() {
        let directory = tempfile::tempdir().unwrap();
        let from = sponsor(directory.path());
        let admit = Admit {
            state: directory.path().join("new"),
            from: directory.path().to_owned(),
            listen: ([127, 0, 0, 1], 7002).into(),
            name: "second".to_owned(),
        };
        let (state, _) = StateDir::look(&admit.state, &admit.command()).unwrap();
        let begun = state.begin(&admit.command()).unwrap();
        state.make().unwrap();
        let carried = carry(&from, &state).unwrap();
        std::fs::write(directory.path().join("config.toml"), "").unwrap();
        let file = configure(&admit, &from, &state, &begun, &from.node.kek, &carried).unwrap();
        let made = Config::load(&file).unwrap();
        assert_eq!(made.issuers.len(), 3);
        for (ours, theirs) in made.issuers.iter().zip(&from.issuers) {
            assert_eq!((&ours.name, &ours.audience), (&theirs.name, &theirs.audience));
        }
        let emergency = made.emergency.as_ref().unwrap();
        assert_eq!((emergency.hours, emergency.days), (3, 100));
        assert_eq!((made.witnesses.quorum, made.witnesses.known.len()), (1, 1));
        assert_eq!(made.witnesses.known[0].key.to_string(), WITNESS);
        let mut carried = Carried::of(&made);
        let held: Vec<String> = carried
            .files()
            .into_iter()
            .map(|(_, file)| {
                assert!(file.starts_with(&admit.state), "{}", file.display());
                std::fs::read_to_string(file).unwrap()
            })
            .collect();
        assert_eq!(
            held,
            ["key a", "key b", "taken back", "key set", "key e", "emergency over", "broker"]
        );
        // Nobody can call the existing one at every address.
        assert_eq!(made.peers.len(), 1);
        let left = left(&admit, &from, begun.node.0, &carried, |_| false).join("\n");
        for part in [
            "issuer.1.revoked.json: is a copy",
            "emergency.revoked.json: is a copy",
            "nobody can call it at 0.0.0.0:7001",
            "configuration of node 02020202020202020202020202020202 lacks",
        ] {
            assert!(left.contains(part), "{part}: {left}");
        }
        let retired = super::left(&admit, &from, begun.node.0, &carried, |_| true).join("\n");
        assert!(!retired.contains("lacks [[peers]] of the new node"), "{retired}");
    }
}
