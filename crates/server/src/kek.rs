//! `caseledgerd kek`: key-encryption keys are made, looked at, and changed for others while nodes work.
//!
//! All nodes share one key-encryption key, and the bucket of keys that are wrapped under it. It is changed
//! in three steps, none of which stops a cluster:
//!
//! 1. Every node is given the new version beside the old one and started anew, one after the other.
//!    Nothing is wrapped under it yet. Each node says in the bucket which versions it knows.
//! 2. [`rotate`] wraps the system's keys anew, once every node of the configuration knows the version.
//!    That is the sign for the nodes to do the rest (`engine`, `rotation`); here it is only watched,
//!    so it can be broken off and begun again.
//! 3. Once no entry of the bucket and no node's database is under the old version, it can be taken out
//!    of every configuration.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use ::ledger::NodeId;
use futures::StreamExt;
use journal::{BucketFailure, FollowError, KeyBucket, KeyChange, Unavailable};
use vault::{KekReport, KekSource, KeyRing, SYSTEM_ENTRY, VaultError};

use crate::config::{Config, ConfigError};
use crate::{keys, names, run};

/// How long the broker may take to answer the first time, and the bucket to show more.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often the sign for a rotation is tried to be given when somebody else changes the same entry.
const ATTEMPTS: usize = 5;

/// Why a `kek` command failed.
#[derive(Debug, thiserror::Error)]
pub enum KekError {
    /// The node's configuration.
    #[error("the configuration cannot be used")]
    Config(#[from] ConfigError),
    /// A key-encryption key, or an entry of the bucket.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The new key's file.
    #[error("the key cannot be written")]
    File(#[from] keys::KeyFileError),
    /// A variable cannot be made for somebody else's process.
    #[error(
        "an environment variable is set by whoever starts the node; make 64 hexadecimal digits for it with `openssl rand -hex 32`"
    )]
    Variable,
    /// The broker's address or credentials.
    #[error("the broker cannot be used")]
    Broker(#[from] journal::ConnectError),
    /// It does not answer.
    #[error("the broker does not answer")]
    Away(#[from] Unavailable),
    /// The bucket is not there as it should be.
    #[error("the bucket of keys cannot be looked at")]
    Inspect(#[from] journal::InspectError),
    /// The bucket ended, or could not be read.
    #[error("the bucket of keys cannot be read; run the same command again")]
    Bucket(#[source] Option<FollowError>),
    /// It does not show what it has.
    #[error(
        "the bucket of keys ends at revision {last} and shows nothing more after {seen}; run the same \
         command again, and look at the broker if that does not help"
    )]
    Silent {
        /// The last revision that it showed.
        seen: u64,
        /// The last that it has.
        last: u64,
    },
    /// The sign could not be given.
    #[error("the system's keys cannot be replaced in the bucket; run the same command again")]
    Replace(#[from] BucketFailure),
    /// There is no ledger yet.
    #[error("the bucket of keys has no entry `system`: found the ledgers first")]
    NoSystem,
    /// The entry that says under which version all keys are to be.
    #[error(
        "the bucket's entry `system` is malformed; a node that has the system's keys puts it back: \
         start one, and run the same command again"
    )]
    MalformedSystem,
    /// A version that was left already.
    #[error(
        "all keys are to be under version {wanted} of the key-encryption key, and the newest that this \
         configuration names is {newest}: there is no way back to it; add a newer one"
    )]
    Behind {
        /// The version that is in use.
        wanted: u32,
        /// The newest known here.
        newest: u32,
    },
    /// Some nodes do not know the new version, or know another key by its number.
    #[error(
        "nothing was changed: version {version} is not known to node {}, or is another key there; \
         name the same key in `kek` of their configurations beside the old one, and start them anew; \
         those that are retired take out of `[[peers]]`", nodes.join(", ")
    )]
    Unknown {
        /// The new version.
        version: u32,
        /// The nodes.
        nodes: Vec<String>,
    },
}

/// How far a rotation is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The version under which all keys are to be.
    pub wanted: u32,
    /// How many entries of the bucket are under which version.
    pub entries: BTreeMap<u32, usize>,
    /// What the configured nodes say of themselves; `None` of one that has said nothing.
    pub nodes: BTreeMap<NodeId, Option<KekReport>>,
    /// Entries of the bucket that are none: what they hold is not known.
    pub malformed: BTreeSet<String>,
}

impl Progress {
    /// Entries under the wanted version or a newer one.
    #[must_use]
    pub fn done(&self) -> usize {
        self.entries.range(self.wanted..).map(|(_, count)| count).sum()
    }

    /// All entries.
    #[must_use]
    pub fn all(&self) -> usize {
        self.entries.values().sum()
    }

    /// Nodes that hold keys under an older version, or do not say.
    #[must_use]
    pub fn behind(&self) -> Vec<NodeId> {
        let done = |report: &Option<KekReport>| {
            report.as_ref().is_some_and(|it| it.held.iter().all(|held| *held >= self.wanted))
        };
        self.nodes.iter().filter(|(_, report)| !done(report)).map(|(node, _)| *node).collect()
    }

    /// Whether no older version is needed any more.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.done() == self.all() && self.behind().is_empty() && self.malformed.is_empty()
    }
}

/// Makes a key-encryption key where `place` says, and tells what was made. Nothing is overwritten.
///
/// # Errors
/// When there is something already, or it cannot be made there.
pub fn make(place: &KekSource) -> Result<String, KekError> {
    match place {
        KekSource::Variable(_) => Err(KekError::Variable),
        KekSource::File(file) => {
            keys::create_secret(file)?;
            Ok(format!("a key-encryption key is in {}", file.display()))
        }
        KekSource::Module(module) => {
            let sealed = module.seal_fresh()?;
            keys::create_private(&module.sealed, &sealed.text)?;
            let made = if sealed.made_module_key { ", which was made for it" } else { "" };
            Ok(format!(
                "a key-encryption key is in {}, sealed by the key '{}' of token '{}'{made}",
                module.sealed.display(),
                module.object,
                module.token
            ))
        }
    }
}

/// How far a rotation is, or that none goes on.
///
/// # Errors
/// When the bucket cannot be read.
pub async fn status(config: &Path) -> Result<Progress, KekError> {
    let config = Config::load(config)?;
    let bucket = bucket(&config).await?;
    let mut watched = Watched::begin(&config, &bucket).await?;
    watched.catch_up().await?;
    watched.progress()
}

/// Has all keys wrapped anew under the newest version that the configuration names, and waits until
/// they are; `tell` hears how far it is. Run again after it broke off, it goes on waiting.
///
/// # Errors
/// When a configured node does not know that version yet, or the bucket cannot be read or written.
pub async fn rotate(config: &Path, mut tell: impl FnMut(&Progress)) -> Result<Progress, KekError> {
    let config = Config::load(config)?;
    let ring = config.node.kek.load()?;
    let bucket = bucket(&config).await?;
    let mut watched = Watched::begin(&config, &bucket).await?;
    watched.catch_up().await?;
    let (before, version) = (watched.progress()?, ring.newest());
    if before.wanted > version {
        return Err(KekError::Behind { wanted: before.wanted, newest: version });
    }
    if before.wanted < version {
        let ours = ring.known();
        let newest = ours.last();
        let knows = |report: &Option<KekReport>| {
            report.as_ref().zip(newest).is_some_and(|(report, ours)| report.known.contains(ours))
        };
        let ignorant = before.nodes.iter().filter(|(_, report)| !knows(report));
        let nodes: Vec<_> = ignorant.map(|(node, _)| node.to_string()).collect();
        if !nodes.is_empty() {
            return Err(KekError::Unknown { version, nodes });
        }
        give_sign(&bucket, &ring).await?;
    }
    loop {
        let progress = watched.progress()?;
        // Until its own sign is shown the former version is the wanted one.
        if progress.wanted >= version {
            tell(&progress);
            if progress.is_complete() {
                return Ok(progress);
            }
        }
        watched.next().await?;
    }
}

/// Wraps the system's keys anew: what nodes take as the sign to do so with all others.
async fn give_sign(bucket: &KeyBucket, ring: &KeyRing) -> Result<(), KekError> {
    let mut attempt = 1;
    loop {
        let entry = bucket.get(SYSTEM_ENTRY).await?.ok_or(KekError::NoSystem)?;
        let Some(anew) = ring.rewrap(SYSTEM_ENTRY, &entry.bytes, ring.newest())? else {
            return Ok(());
        };
        match bucket.update(SYSTEM_ENTRY, anew.into(), entry.revision).await {
            Ok(_) => return Ok(()),
            Err(BucketFailure::Changed { .. }) if attempt < ATTEMPTS => attempt += 1,
            Err(failure) => return Err(failure.into()),
        }
    }
}

async fn bucket(config: &Config) -> Result<KeyBucket, KekError> {
    let journal = run::connect(config).await?;
    journal.connected(PATIENCE).await?;
    Ok(names::bucket(&journal, config.nats.replicas))
}

/// The bucket as it shows itself.
struct Watched {
    changes: futures::stream::BoxStream<'static, Result<KeyChange, FollowError>>,
    /// The bucket's last sequence when the watch began.
    last: u64,
    seen: u64,
    /// By entry.
    under: BTreeMap<String, u32>,
    nodes: BTreeMap<NodeId, Option<KekReport>>,
    malformed: BTreeSet<String>,
}

impl Watched {
    async fn begin(config: &Config, bucket: &KeyBucket) -> Result<Self, KekError> {
        let facts = bucket.inspect().await?;
        let nodes = config.peers.iter().map(|peer| peer.node.0).chain([config.node.id.0]);
        Ok(Self {
            changes: bucket.watch(1),
            last: facts.ok_or(KekError::NoSystem)?.last,
            seen: 0,
            under: BTreeMap::new(),
            nodes: nodes.map(|node| (node, None)).collect(),
            malformed: BTreeSet::new(),
        })
    }

    /// Until everything was shown that was there at the beginning.
    async fn catch_up(&mut self) -> Result<(), KekError> {
        while self.seen < self.last {
            let shown = tokio::time::timeout(PATIENCE, self.next()).await;
            let (seen, last) = (self.seen, self.last);
            shown.map_err(|_| KekError::Silent { seen, last })??;
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<(), KekError> {
        let change = self.changes.next().await.ok_or(KekError::Bucket(None))?;
        let change = change.map_err(|error| KekError::Bucket(Some(error)))?;
        self.seen = change.revision;
        let KeyChange { name, bytes, .. } = change;
        self.malformed.remove(&name);
        if KekReport::is_name(&name) {
            let mut nodes = self.nodes.iter_mut();
            if let Some((_, kept)) = nodes.find(|(node, _)| KekReport::name(**node) == name) {
                let report = bytes.map(|bytes| KekReport::decode(&name, &bytes));
                if matches!(report, Some(Err(_))) {
                    self.malformed.insert(name);
                }
                *kept = report.and_then(Result::ok);
            }
            return Ok(());
        }
        let under = bytes.map(|bytes| vault::wrapped_under(&name, &bytes));
        if matches!(under, Some(Err(_))) {
            self.malformed.insert(name.clone());
        }
        match under.and_then(|under| under.ok()?) {
            Some(version) => self.under.insert(name, version),
            None => self.under.remove(&name),
        };
        Ok(())
    }

    fn progress(&self) -> Result<Progress, KekError> {
        let wanted = match self.under.get(SYSTEM_ENTRY) {
            Some(version) => *version,
            None if self.malformed.contains(SYSTEM_ENTRY) => return Err(KekError::MalformedSystem),
            None => return Err(KekError::NoSystem),
        };
        let mut entries = BTreeMap::new();
        for version in self.under.values() {
            *entries.entry(*version).or_default() += 1;
        }
        let (nodes, malformed) = (self.nodes.clone(), self.malformed.clone());
        Ok(Progress { wanted, entries, nodes, malformed })
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use vault::{KeyEncryptionKey, KnownKek, Vault};

    use super::*;

    fn progress(entries: &[(u32, usize)], held: Option<&[u32]>) -> Progress {
        let known = |version| KnownKek { version, check: [7; 8] };
        let known = vec![known(1), known(2)];
        let report = held.map(|held| KekReport { known: known.clone(), held: held.to_vec() });
        Progress {
            wanted: 2,
            entries: entries.iter().copied().collect(),
            nodes: BTreeMap::from([(NodeId([1; 16]), report)]),
            malformed: BTreeSet::new(),
        }
    }

    #[test]
    fn a_rotation_is_over_when_neither_the_bucket_nor_a_node_has_an_older_version() {
        assert!(progress(&[(2, 3)], Some(&[2])).is_complete());
        assert!(progress(&[(2, 3)], Some(&[])).is_complete(), "a node without keys needs none");
        for (entries, held) in
            [(&[(1, 1), (2, 2)][..], Some(&[2][..])), (&[(2, 3)], Some(&[1, 2])), (&[(2, 3)], None)]
        {
            assert!(!progress(entries, held).is_complete(), "{entries:?} {held:?}");
        }
        let underway = progress(&[(1, 1), (2, 2)], None);
        assert_eq!((underway.done(), underway.all()), (2, 3));
        assert_eq!(underway.behind(), [NodeId([1; 16])]);
    }

    /// What a bucket that shows this says of the node with id 1.
    async fn shown(entries: &[(&str, Option<&[u8]>)]) -> Result<Progress, KekError> {
        let mut changes = Vec::new();
        for ((name, bytes), revision) in entries.iter().zip(1..) {
            let bytes = bytes.map(Bytes::copy_from_slice);
            changes.push(Ok(KeyChange { name: (*name).to_owned(), bytes, revision }));
        }
        let mut watched = Watched {
            last: changes.len() as u64,
            changes: futures::stream::iter(changes).boxed(),
            seen: 0,
            under: BTreeMap::new(),
            nodes: BTreeMap::from([(NodeId([1; 16]), None)]),
            malformed: BTreeSet::new(),
        };
        watched.catch_up().await?;
        watched.progress()
    }

    #[tokio::test]
    async fn a_malformed_entry_is_named_and_keeps_a_rotation_from_its_end_alone() {
        let dir = tempfile::tempdir().unwrap();
        let kek = KeyEncryptionKey::from_bytes(2, &[7; 32]).unwrap();
        let vault = Vault::open(dir.path(), kek).unwrap();
        let (system, batch) = (vault.mint_system().unwrap(), vault.mint_batch().unwrap());
        let report = KekReport { known: vault.known_keks(), held: vec![2] }.encode().unwrap();
        let [ours, other] = [1, 2].map(|id| KekReport::name(NodeId([id; 16])));
        let junk = Some(b"junk".as_slice());
        let mut entries = vec![
            (SYSTEM_ENTRY, Some(system.as_slice())),
            ("batch.one", Some(batch.as_slice())),
            (ours.as_str(), Some(report.as_slice())),
            (other.as_str(), junk),
        ];
        assert!(shown(&entries).await.unwrap().is_complete(), "the other is not configured");

        entries.extend([("note", junk), ("batch.one", junk), (ours.as_str(), junk)]);
        let told = shown(&entries).await.unwrap();
        assert!(told.malformed.iter().eq(["batch.one", ours.as_str(), "note"]), "{told:?}");
        assert!(!told.is_complete());
        assert_eq!((told.wanted, told.all()), (2, 1));

        let repaired = [("note", None), ("batch.one", Some(batch.as_slice()))];
        entries.extend(repaired);
        assert!(!shown(&entries).await.unwrap().is_complete());
        entries.push((ours.as_str(), Some(report.as_slice())));
        assert!(shown(&entries).await.unwrap().is_complete());
        entries.push((SYSTEM_ENTRY, junk));
        assert!(matches!(shown(&entries).await, Err(KekError::MalformedSystem)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_bucket_that_shows_no_more_ends_the_command() {
        let mut watched = Watched {
            changes: futures::stream::pending().boxed(),
            last: 3,
            seen: 0,
            under: BTreeMap::new(),
            nodes: BTreeMap::new(),
            malformed: BTreeSet::new(),
        };
        let ended = tokio::time::timeout(2 * PATIENCE, watched.catch_up()).await.expect("it ends");
        assert!(matches!(ended, Err(KekError::Silent { seen: 0, last: 3 })), "{ended:?}");
    }

    #[test]
    fn a_key_is_made_once_and_never_in_a_variable() {
        let dir = tempfile::tempdir().unwrap();
        let place = KekSource::File(dir.path().join("kek"));
        make(&place).unwrap();
        assert!(place.load(1).is_ok());
        assert!(matches!(make(&place), Err(KekError::File(keys::KeyFileError::Exists(_)))));
        assert!(matches!(make(&KekSource::Variable("A".to_owned())), Err(KekError::Variable)));
    }
}
