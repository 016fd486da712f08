//! A node's state directory: `config.toml`, `keys/`, `data/`.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use ledger::{Hash, NodeId};

/// Why a directory cannot be a node's.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is something in it.
    #[error("{} is not empty; choose a new directory, nothing was changed", .0.display())]
    NotEmpty(PathBuf),
    /// It could not be read or written.
    #[error("{}: cannot be read or written", file.display())]
    File {
        /// Which file or directory.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// A state directory.
#[derive(Debug, Clone)]
pub(crate) struct StateDir(PathBuf);

/// What a fresh configuration says.
pub(crate) struct Entries<'a> {
    pub(crate) node: NodeId,
    pub(crate) name: &'a str,
    pub(crate) listen: SocketAddr,
    pub(crate) nats: &'a str,
    pub(crate) monitor: &'a [String],
    pub(crate) replicas: u8,
    pub(crate) records: Hash,
    pub(crate) access: Hash,
    pub(crate) issuer: &'a str,
}

impl StateDir {
    /// A directory that does not exist yet, or is empty.
    pub(crate) fn check_new(directory: &Path) -> Result<Self, StateError> {
        match fs::read_dir(directory) {
            Ok(mut entries) => match entries.next() {
                None => Ok(Self(directory.to_owned())),
                Some(_) => Err(StateError::NotEmpty(directory.to_owned())),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self(directory.to_owned()))
            }
            Err(source) => Err(StateError::File { file: directory.to_owned(), source }),
        }
    }

    /// Makes it, for its owner only.
    pub(crate) fn make(&self) -> Result<(), StateError> {
        for directory in [self.0.clone(), self.0.join("keys"), self.data()] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&directory)
                .map_err(|source| StateError::File { file: directory, source })?;
        }
        Ok(())
    }

    /// A key file.
    pub(crate) fn key(&self, name: &str) -> PathBuf {
        self.0.join("keys").join(name)
    }

    /// Databases.
    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }

    /// The configuration file.
    pub(crate) fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    /// Writes the configuration of a fresh node.
    pub(crate) fn write_config(&self, entries: &Entries<'_>) -> Result<PathBuf, StateError> {
        let file = self.config();
        fs::write(&file, text(entries))
            .map_err(|source| StateError::File { file: file.clone(), source })?;
        Ok(file)
    }
}

/// One more node in a configuration.
pub(crate) fn append_peer(file: &Path, node: NodeId, address: &str) -> Result<(), StateError> {
    use std::io::Write as _;
    let peer = format!("\n[[peers]]\nnode = \"{node}\"\naddress = {}\n", quoted(address));
    fs::OpenOptions::new()
        .append(true)
        .open(file)
        .and_then(|mut opened| opened.write_all(peer.as_bytes()).and_then(|()| opened.sync_all()))
        .map_err(|source| StateError::File { file: file.to_owned(), source })
}

fn text(entries: &Entries<'_>) -> String {
    let monitor: Vec<String> = entries.monitor.iter().map(|url| quoted(url)).collect();
    let mut text =
        String::from("# A Caseledger node. Relative paths begin at this file's directory.\n");
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        r#"
[node]
id = "{node}"
name = {name}
data = "data"
kek = "keys/kek"
block_key = "keys/block.key"
checkpoint_key = "keys/checkpoint.key"

[grpc]
listen = "{listen}"

[nats]
url = {nats}
monitor = [{monitor}]
replicas = {replicas}

# Hashes of the genesis records: they pin this node to its ledgers.
[ledgers]
records = "{records}"
access = "{access}"

# Who may issue tokens. The private key of this one is in keys/issuer.pem of the first node; for
# production, put your identity provider's public key here instead.
[[issuers]]
name = {issuer}
keys = ["keys/issuer.pub.pem"]

[log]
format = "text"
filter = "info"
"#,
        node = entries.node,
        name = quoted(entries.name),
        listen = entries.listen,
        nats = quoted(entries.nats),
        monitor = monitor.join(", "),
        replicas = entries.replicas,
        records = entries.records,
        access = entries.access,
        issuer = quoted(entries.issuer),
    );
    text
}

/// A TOML basic string.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for character in value.chars() {
        match character {
            '"' | '\\' => {
                text.push('\\');
                text.push(character);
            }
            control if control.is_control() => {
                let _ = write!(text, "\\u{:04X}", u32::from(control));
            }
            other => text.push(other),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn entries() -> Entries<'static> {
        Entries {
            node: NodeId([1; 16]),
            name: "a \"first\"\\\n",
            listen: ([127, 0, 0, 1], 7001).into(),
            nats: "nats://127.0.0.1:4222",
            monitor: &[],
            replicas: 1,
            records: Hash([2; 32]),
            access: Hash([3; 32]),
            issuer: "issuer",
        }
    }

    #[test]
    fn a_written_configuration_loads_also_with_a_peer_more() {
        let directory = tempfile::tempdir().unwrap();
        let state = StateDir::check_new(&directory.path().join("new")).unwrap();
        state.make().unwrap();
        let monitor = ["http://127.0.0.1:8222".to_owned()];
        let file = state.write_config(&Entries { monitor: &monitor, ..entries() }).unwrap();
        append_peer(&file, NodeId([9; 16]), "http://127.0.0.1:7002").unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!(config.node.name, "a \"first\"\\\n");
        assert_eq!(config.ledgers.access.0, Hash([3; 32]));
        assert_eq!(config.peers[0].node.0, NodeId([9; 16]));
        assert_eq!(config.node.kek, state.key("kek"));
    }

    #[test]
    fn a_directory_with_anything_in_it_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(StateDir::check_new(directory.path()).is_ok());
        fs::write(directory.path().join("x"), "").unwrap();
        let error = StateDir::check_new(directory.path()).unwrap_err();
        assert!(matches!(error, StateError::NotEmpty(_)));
    }
}
