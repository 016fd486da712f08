//! A node's state directory: `config.toml`, `keys/`, `data/`.
//!
//! While it is being made it also holds `unfinished.toml`, written first and removed last, which says
//! what is being made. A command that broke off is run again, and goes on where it was.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use engine::TimeZone;
use ledger::{Hash, NodeId};
use serde::Deserialize;

use crate::carried::Carried;
use crate::config::{Hex, Keks};
use crate::{clock, keys};

const UNFINISHED: &str = "unfinished.toml";

/// Why a directory cannot be a node's.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is something in it.
    #[error("{} is not empty; choose a new directory, nothing was changed", .0.display())]
    NotEmpty(PathBuf),
    /// Something else was begun in it.
    #[error(
        "{}: `caseledgerd {begun}` broke off here; run exactly that again and it goes on, or choose a \
         new directory", directory.display()
    )]
    OtherBegun {
        /// The directory.
        directory: PathBuf,
        /// The command.
        begun: String,
    },
    /// What was begun in it cannot be read.
    #[error("{}: is not what a command that broke off leaves; choose a new directory", .0.display())]
    BadMark(PathBuf),
    /// A key file, or the mark of what was begun.
    #[error("a file cannot be made")]
    Key(#[from] keys::KeyFileError),
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
    pub(crate) carried: &'a Carried,
    pub(crate) kek: &'a Keks,
    pub(crate) time_zone: &'a TimeZone,
    /// The other nodes and their addresses.
    pub(crate) peers: &'a [(NodeId, String)],
}

/// What is being made in a directory.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begun {
    /// The command, without `caseledgerd` and `--state`.
    command: String,
    /// The node's id.
    pub(crate) node: Hex<NodeId>,
    /// When it was begun, µs since 1970 UTC.
    pub(crate) at: u64,
}

impl StateDir {
    /// A directory that does not exist yet or is empty, or in which this very command broke off: then
    /// what it had begun.
    pub(crate) fn look(
        directory: &Path,
        command: &str,
    ) -> Result<(Self, Option<Begun>), StateError> {
        let state = Self(directory.to_owned());
        let mark = state.mark();
        match fs::read_to_string(&mark) {
            Ok(text) => {
                let begun: Begun = toml::from_str(&text).map_err(|_| StateError::BadMark(mark))?;
                if begun.command == command {
                    return Ok((state, Some(begun)));
                }
                let directory = directory.to_owned();
                return Err(StateError::OtherBegun { directory, begun: begun.command });
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(source) => return Err(StateError::File { file: mark, source }),
        }
        let failed = |source| StateError::File { file: directory.to_owned(), source };
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok((state, None)),
            Err(source) => return Err(failed(source)),
        };
        for entry in entries {
            // Whoever was killed while writing the mark left that.
            if entry.map_err(failed)?.path() != mark.with_added_extension("part") {
                return Err(StateError::NotEmpty(directory.to_owned()));
            }
        }
        Ok((state, None))
    }

    /// Makes the directory, for its owner only, and marks what is being made.
    pub(crate) fn begin(&self, command: &str) -> Result<Begun, StateError> {
        self.make_directory(&self.0)?;
        let (node, at) = (NodeId(keys::random()?), clock::micros());
        let text = format!("command = {}\nnode = \"{node}\"\nat = {at}\n", quoted(command));
        keys::create_private(&self.mark(), &text)?;
        Ok(Begun { command: command.to_owned(), node: Hex(node), at })
    }

    /// Makes the directories of keys and databases where they are missing.
    pub(crate) fn make(&self) -> Result<(), StateError> {
        self.make_directory(&self.0.join("keys"))?;
        self.make_directory(&self.data())
    }

    fn make_directory(&self, directory: &Path) -> Result<(), StateError> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| StateError::File { file: directory.to_owned(), source })
    }

    fn mark(&self) -> PathBuf {
        self.0.join(UNFINISHED)
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

    /// Writes the configuration of a fresh node, unless an earlier attempt did, and takes the mark
    /// away: it is made.
    pub(crate) fn finish(&self, entries: &Entries<'_>) -> Result<PathBuf, StateError> {
        let file = self.config();
        match keys::create(&file, text(entries).as_bytes(), 0o644) {
            Ok(()) | Err(keys::KeyFileError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
        let mark = self.mark();
        fs::remove_file(&mark).map_err(|source| StateError::File { file: mark, source })?;
        Ok(file)
    }
}

/// One more node in a configuration.
pub(crate) fn append_peer(file: &Path, node: NodeId, address: &str) -> Result<(), StateError> {
    use std::io::Write as _;
    let peer = peer(node, address);
    fs::OpenOptions::new()
        .append(true)
        .open(file)
        .and_then(|mut opened| opened.write_all(peer.as_bytes()).and_then(|()| opened.sync_all()))
        .map_err(|source| StateError::File { file: file.to_owned(), source })
}

fn peer(node: NodeId, address: &str) -> String {
    format!("\n[[peers]]\nnode = \"{node}\"\naddress = {}\n", quoted(address))
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
kek = {kek}
block_key = "keys/block.key"
checkpoint_key = "keys/checkpoint.key"
cosigner_key = "keys/cosigner.key"
# The hospital's, as the IANA database names it, the same at every node: access policies may speak of the time of day.
time_zone = {time_zone}

[grpc]
listen = "{listen}"

[nats]
url = {nats}
monitor = [{monitor}]
replicas = {replicas}
{nats_credentials}
# Hashes of the genesis records: they pin this node to its ledgers.
[ledgers]
records = "{records}"
access = "{access}"

# Who may issue tokens. The private key of the issuer that `init` makes is in keys/issuer.pem of the
# first node; for production, put your identity provider's public key here instead.
{carried}[log]
format = "text"
filter = "info,async_nats=warn"
"#,
        node = entries.node,
        name = quoted(entries.name),
        kek = entries.kek.written(quoted),
        time_zone = quoted(&entries.time_zone.to_string()),
        listen = entries.listen,
        nats = quoted(entries.nats),
        monitor = monitor.join(", "),
        replicas = entries.replicas,
        records = entries.records,
        access = entries.access,
        nats_credentials = entries.carried.written_nats(),
        carried = entries.carried.written(),
    );
    for (node, address) in entries.peers {
        text.push_str(&peer(*node, address));
    }
    text
}

/// A TOML basic string.
pub(crate) fn quoted(value: &str) -> String {
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
    use vault::KekSource;

    const COMMAND: &str = "init --name \"a\"";

    fn keks(state: &str) -> Keks {
        Keks::one(KekSource::File(Path::new(state).join("keys/kek")))
    }

    fn entries<'a>(
        monitor: &'a [String],
        peers: &'a [(NodeId, String)],
        kek: &'a Keks,
        time_zone: &'a TimeZone,
        carried: &'a Carried,
    ) -> Entries<'a> {
        Entries {
            node: NodeId([1; 16]),
            name: "a \"first\"\\\n",
            listen: ([127, 0, 0, 1], 7001).into(),
            nats: "nats://127.0.0.1:4222",
            monitor,
            replicas: 1,
            records: Hash([2; 32]),
            access: Hash([3; 32]),
            carried,
            kek,
            time_zone,
            peers,
        }
    }

    #[test]
    fn a_written_configuration_loads_also_with_a_peer_more() {
        let directory = tempfile::tempdir().unwrap();
        let (state, _) = StateDir::look(&directory.path().join("new"), COMMAND).unwrap();
        state.begin(COMMAND).unwrap();
        let monitor = ["http://127.0.0.1:8222".to_owned()];
        let peers = [(NodeId([8; 16]), "http://127.0.0.1:7003".to_owned())];
        let carried = Carried::first("issuer");
        let time_zone = "Europe/Berlin".parse().unwrap();
        let file =
            state.finish(&entries(&monitor, &peers, &keks(""), &time_zone, &carried)).unwrap();
        append_peer(&file, NodeId([9; 16]), "http://127.0.0.1:7002").unwrap();
        let config = Config::load(&file).unwrap();
        assert_eq!(config.node.name, "a \"first\"\\\n");
        assert_eq!(config.ledgers.access.0, Hash([3; 32]));
        assert_eq!(config.node.time_zone, time_zone);
        assert_eq!(config.peers[0].node.0, NodeId([8; 16]));
        assert_eq!(config.peers[1].node.0, NodeId([9; 16]));
        let state = directory.path().join("new");
        assert_eq!(config.node.kek, keks(&state.to_string_lossy()));
    }

    #[test]
    fn a_directory_with_anything_else_in_it_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        assert!(StateDir::look(directory.path(), COMMAND).is_ok());
        fs::write(directory.path().join("x"), "").unwrap();
        let error = StateDir::look(directory.path(), COMMAND).unwrap_err();
        assert!(matches!(error, StateError::NotEmpty(_)));
    }

    #[test]
    fn what_broke_off_is_gone_on_with_by_the_same_command_alone_until_it_is_finished() {
        let directory = tempfile::tempdir().unwrap();
        let look = |command| StateDir::look(directory.path(), command);
        let (state, begun) = look(COMMAND).unwrap();
        assert!(begun.is_none());
        // killed while the mark was written
        fs::write(directory.path().join("unfinished.toml.part"), "comm").unwrap();
        assert!(look(COMMAND).unwrap().1.is_none());
        let begun = state.begin(COMMAND).unwrap();
        let found = look(COMMAND).unwrap().1.expect("it is known what was begun");
        assert_eq!((found.node, found.at), (begun.node, begun.at));
        let error = look("init --name b").unwrap_err();
        assert!(matches!(&error, StateError::OtherBegun { begun, .. } if begun == COMMAND));
        // killed after the configuration was written: it is not written again
        fs::write(state.config(), "mine").unwrap();
        let (zone, carried) = (TimeZone::default(), Carried::first("issuer"));
        let file = state.finish(&entries(&[], &[], &keks(""), &zone, &carried)).unwrap();
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
        assert!(matches!(look(COMMAND).unwrap_err(), StateError::NotEmpty(_)));
    }
}
