//! A node's configuration: one TOML file, every key known, every error naming key and file.
//!
//! Relative paths are relative to the file's directory, so that a state directory can be moved.

mod credentials;
mod kek;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use engine::TimeZone;
use ledger::note::{KeyType, Vkey};
use ledger::{Hash, NodeId};
use serde::Deserialize;

pub use self::credentials::{Emergency, Issuer, Jwks, Service, Tls};
pub use kek::Keks;

/// Longest configuration read, in bytes; a node with a hundred peers needs 20 KiB.
const MAX_FILE: u64 = 1024 * 1024;

/// A node's whole configuration.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Who this node is.
    pub node: Node,
    /// Where it is served.
    pub grpc: Grpc,
    /// Where its checkpoints and tiles are served; nowhere if not said.
    pub http: Option<Http>,
    /// Where the ledgers' order comes from.
    pub nats: Nats,
    /// The worlds this node belongs to.
    pub ledgers: Ledgers,
    /// Who may issue tokens.
    #[serde(default)]
    pub issuers: Vec<Issuer>,
    /// Who issues credentials for emergencies; nobody, if not said.
    pub emergency: Option<Emergency>,
    /// Who may act without a person.
    #[serde(default)]
    pub services: Vec<Service>,
    /// The other nodes.
    #[serde(default)]
    pub peers: Vec<Peer>,
    /// Who cosigns checkpoints beside the nodes.
    #[serde(default)]
    pub witnesses: Witnesses,
    /// What is logged, and how.
    #[serde(default)]
    pub log: Log,
}

/// `[node]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Its id, 32 hex digits, as the ledgers know it.
    pub id: Hex<NodeId>,
    /// A name for people; it is in no record.
    #[serde(default)]
    pub name: String,
    /// Directory of RocksDB databases, spool and positions.
    pub data: PathBuf,
    /// Where the key-encryption key is, or each version of it: a file of 64 hex digits, readable by the
    /// owner only, `env:NAME`, or `pkcs11:…`.
    pub kek: Keks,
    /// File of the key that signs blocks, heads and peer calls: 64 hex digits.
    pub block_key: PathBuf,
    /// File of the key that signs checkpoints as the log: 64 hex digits.
    pub checkpoint_key: PathBuf,
    /// File of the key that cosigns checkpoints: 64 hex digits.
    pub cosigner_key: PathBuf,
    /// The hospital's time zone, a name of the IANA database; UTC, if not said. Access policies that speak
    /// of the time go by it, so it is the same at every node.
    #[serde(default, deserialize_with = "time_zone")]
    pub time_zone: TimeZone,
}

fn time_zone<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<TimeZone, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// `[grpc]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grpc {
    /// Address and port; port 0 takes a free one, written to `listen.addr` in the data directory.
    /// Without `tls` a loopback address.
    pub listen: SocketAddr,
    /// Its certificate; none: calls travel in the clear.
    pub tls: Option<Tls>,
    /// PEM file: the authorities of the other nodes' certificates, for peers at `https://…`.
    pub peer_ca: Option<PathBuf>,
}

/// `[http]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Address and port where checkpoints and tiles are served. Without `tls` a loopback address.
    pub listen: SocketAddr,
    /// Its certificate; none: tiles and tokens travel in the clear.
    pub tls: Option<Tls>,
}

/// `[nats]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    /// Servers, `nats://host:port`, several separated by commas.
    pub url: String,
    /// The monitoring address of every server, where `sync_interval` is checked.
    pub monitor: Vec<String>,
    /// File with NATS credentials, if the servers want some.
    pub credentials: Option<PathBuf>,
    /// Copies of each stream: 1, or 3 on a cluster.
    #[serde(default = "one")]
    pub replicas: u8,
}

fn one() -> u8 {
    1
}

/// `[ledgers]`: the hash of each ledger's genesis record. They pin the node to its world.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledgers {
    /// Of `records`.
    pub records: Hex<Hash>,
    /// Of `access`.
    pub access: Hex<Hash>,
}

/// `[[peers]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peer {
    /// Its id, 32 hex digits.
    pub node: Hex<NodeId>,
    /// Its gRPC address, `https://host:port`, or `http://host:port` if it listens in the clear.
    pub address: String,
}

/// `[witnesses]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witnesses {
    /// How many of them must have cosigned a checkpoint before this node lets it leave, and so treats
    /// what is under it as final; 0: none, they only add to it.
    #[serde(default)]
    pub quorum: usize,
    /// Who they are.
    #[serde(default)]
    pub known: Vec<Witness>,
}

/// `[[witnesses.known]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Witness {
    /// What it cosigns with, a C2SP verifier key: `NAME+ID+BASE64`, as `caseledger witness key` prints.
    #[serde(deserialize_with = "vkey")]
    pub key: Vkey,
    /// Where it is, `http://host:port/prefix`: checkpoints go to `/add-checkpoint` under that.
    pub url: String,
}

fn vkey<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vkey, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// Which events, in `tracing` filter syntax.
    pub filter: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,async_nats=warn".to_owned() }
    }
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line a person likes to read.
    Text,
    /// One JSON object a line.
    Json,
}

/// An id or hash, written as hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hex<T>(pub T);

impl<'de, T: FromStr> Deserialize<'de> for Hex<T>
where
    T::Err: fmt::Display,
{
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("configuration {}: cannot be read", file.display())]
    Unreadable {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what it should be; the text names line and key.
    #[error("configuration {}: {problem}", file.display())]
    Malformed {
        /// Which file.
        file: PathBuf,
        /// Line, key and what is wrong.
        problem: String,
    },
    /// A key's value cannot be used.
    #[error("configuration {}: {key}: {problem}", file.display())]
    Value {
        /// Which file.
        file: PathBuf,
        /// Which key.
        key: String,
        /// What is wrong.
        problem: String,
    },
}

impl Config {
    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// Unreadable, not TOML, an unknown or missing key, or a value that cannot be right.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let unreadable = |source| ConfigError::Unreadable { file: file.to_owned(), source };
        let length = std::fs::metadata(file).map_err(unreadable)?.len();
        if length > MAX_FILE {
            return Err(ConfigError::Malformed {
                file: file.to_owned(),
                problem: format!("{length} bytes long; the limit is {MAX_FILE}"),
            });
        }
        let text = std::fs::read_to_string(file).map_err(unreadable)?;
        Self::parse(&text, file)
    }

    /// Parses a configuration as if it stood in `file`.
    ///
    /// # Errors
    /// As `load`.
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        let mut config: Self = toml::from_str(text).map_err(|error| ConfigError::Malformed {
            file: file.to_owned(),
            problem: error.to_string(),
        })?;
        config.check().map_err(|(key, problem)| ConfigError::Value {
            file: file.to_owned(),
            key,
            problem: problem.to_owned(),
        })?;
        config.resolve(file.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn check(&self) -> Result<(), (String, &'static str)> {
        let require = |holds: bool, key: String, problem: &'static str| {
            if holds { Ok(()) } else { Err((key, problem)) }
        };
        require(!self.nats.url.is_empty(), "nats.url".into(), "is empty")?;
        require(
            !self.nats.monitor.is_empty(),
            "nats.monitor".into(),
            "name the monitoring address of every server: sync_interval is checked there",
        )?;
        require(
            matches!(self.nats.replicas, 1 | 3),
            "nats.replicas".into(),
            "must be 1 or 3: other numbers gain nothing over them",
        )?;
        credentials::check(self)?;
        for (n, peer) in self.peers.iter().enumerate() {
            let key = format!("peers[{n}].node");
            require(peer.node != self.node.id, key.clone(), "is this node itself")?;
            let first = self.peers.iter().position(|other| other.node == peer.node);
            require(first == Some(n), key, "is used twice")?;
            let key = format!("peers[{n}].address");
            let https = peer.address.starts_with("https://");
            require(
                https || peer.address.starts_with("http://"),
                key.clone(),
                "must be https://host:port or http://host:port",
            )?;
            require(
                !https || self.grpc.peer_ca.is_some(),
                key,
                "is https: name the authority of the nodes' certificates as grpc.peer_ca",
            )?;
        }
        self.check_witnesses()
    }

    fn check_witnesses(&self) -> Result<(), (String, &'static str)> {
        let Witnesses { quorum, known } = &self.witnesses;
        for (n, witness) in known.iter().enumerate() {
            let key = |name| format!("witnesses.known[{n}].{name}");
            if !witness.url.starts_with("http://") {
                return Err((key("url"), "must be http://host:port"));
            }
            if witness.key.kind() != KeyType::Cosignature {
                return Err((key("key"), "is not a key for cosignatures"));
            }
            // Under another name it would be counted twice: a cosignature does not sign the name.
            let public = witness.key.public_key();
            if known.iter().position(|other| other.key.public_key() == public) != Some(n) {
                return Err((key("key"), "is used twice"));
            }
        }
        if *quorum > known.len() {
            return Err(("witnesses.quorum".into(), "is more than there are witnesses"));
        }
        Ok(())
    }

    fn resolve(&mut self, directory: &Path) {
        let node = &mut self.node;
        let keys = [&mut node.block_key, &mut node.checkpoint_key, &mut node.cosigner_key];
        node.kek.resolve(directory);
        let paths = [&mut node.data]
            .into_iter()
            .chain(keys)
            .chain(self.nats.credentials.as_mut())
            .chain(self.grpc.peer_ca.as_mut());
        for path in paths {
            *path = directory.join(&*path);
        }
        credentials::resolve(self, directory);
    }
}
