//! `caseledgerd init`: keys, streams, genesis and configuration of the first node.
//!
//! Only this makes a genesis, and only where there is nothing: on an empty directory, without
//! streams. What exists is never taken over. The configuration is written last, so a directory
//! that has one was founded whole.
//!
//! A founding that broke off goes on when it is run again: keys that are there are kept, the genesis
//! is made from them and from the time and id marked at its beginning, so it is the same again, and a
//! stream belongs to it that is empty or holds that genesis and no more. Nothing is ever deleted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::ledger::founding::{Founded, Founding, FoundingError, found};
use ::ledger::{Hash, LedgerId, NodeId, SigningKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use engine::TimeZone;
use journal::{Journal, LedgerStream};
use vault::{BatchOrigin, KekSource, SYSTEM_ENTRY, Vault};

use crate::carried::Carried;
use crate::config::Keks;
use crate::state_dir::{Begun, Entries, StateDir, StateError};
use crate::{keys, names};

/// Issuer of the tokens that the first node trusts.
pub const ISSUER: &str = "caseledger-quickstart";

/// How long the broker may take to answer the first time.
const CONNECT: Duration = Duration::from_secs(10);

/// What is to be founded.
#[derive(Debug, Clone)]
pub struct Init {
    /// New state directory.
    pub state: PathBuf,
    /// NATS servers.
    pub nats: String,
    /// Monitoring address of each server.
    pub monitor: Vec<String>,
    /// Where the node will listen.
    pub listen: SocketAddr,
    /// First part of the ledgers' origin.
    pub name: String,
    /// Copies of each stream, 1 or 3.
    pub replicas: u8,
}

/// What was founded.
#[derive(Debug, Clone)]
pub struct Initialised {
    /// The configuration file.
    pub config: PathBuf,
    /// The first node.
    pub node: NodeId,
    /// Genesis of `records`.
    pub records: Hash,
    /// Genesis of `access`.
    pub access: Hash,
}

/// Why nothing, or not all, was founded.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The state directory.
    #[error(transparent)]
    State(#[from] StateError),
    /// A key file.
    #[error("keys cannot be made")]
    Key(#[from] keys::KeyFileError),
    /// The issuer's key.
    #[error(transparent)]
    IssuerKey(#[from] IssuerKeyError),
    /// The broker's address.
    #[error("the broker cannot be used")]
    Broker(#[from] journal::ConnectError),
    /// The broker does not answer.
    #[error("the broker at {url} does not answer")]
    Away {
        /// As given.
        url: String,
        /// Why.
        #[source]
        source: journal::Unavailable,
    },
    /// The broker promises too little.
    #[error("the broker is not set up as Caseledger needs it")]
    Settings(#[from] journal::ServerCheckError),
    /// There is a ledger already.
    #[error("the broker has {what} already: a ledger is founded once; nothing was changed")]
    Exists {
        /// Stream or bucket.
        what: String,
    },
    /// A key bucket that these keys do not open.
    #[error("the broker has a key bucket that is not of this founding; nothing in it was changed")]
    OtherBucket(#[source] vault::VaultError),
    /// A stream could not be looked at.
    #[error("the broker's streams cannot be looked at")]
    Inspect(#[from] journal::InspectError),
    /// A stream or bucket could not be made.
    #[error("a stream cannot be created; {AGAIN}")]
    Create(#[from] journal::CreateError),
    /// The first keys could not be stored.
    #[error("the first keys cannot be stored; {AGAIN}")]
    Bucket(#[from] journal::BucketFailure),
    /// The genesis could not be published.
    #[error("the genesis cannot be published; {AGAIN}")]
    Publish(#[from] journal::ExpectingFailure),
    /// The name or keys cannot found a ledger.
    #[error("the ledgers cannot be founded")]
    Founding(#[from] FoundingError),
    /// An issuer's key that an earlier attempt left could not be replaced.
    #[error("{}: cannot be removed", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The key database.
    #[error("the database of keys cannot be made")]
    Vault(#[from] vault::VaultError),
}

/// An issuer's key could not be made.
#[derive(Debug, thiserror::Error)]
pub enum IssuerKeyError {
    /// The library refused.
    #[error("the issuer's key cannot be made")]
    Library,
    /// Its files.
    #[error(transparent)]
    File(#[from] keys::KeyFileError),
}

/// What to do about a founding that broke off.
const AGAIN: &str = "the founding broke off: run the same command again, and it goes on from here";

/// Founds both ledgers, or goes on with a founding that broke off.
///
/// # Errors
/// Something else exists already, or the broker does not play along.
pub async fn init(init: &Init) -> Result<Initialised, InitError> {
    if !::ledger::control::is_valid_name(&init.name) {
        return Err(InitError::Founding(FoundingError::Unsound));
    }
    let command = init.command();
    let (state, begun) = StateDir::look(&init.state, &command)?;
    let journal = Journal::connect(&init.nats, None).await?;
    let away = |source| InitError::Away { url: init.nats.clone(), source };
    journal.connected(CONNECT).await.map_err(away)?;
    journal.check_servers(&init.monitor).await?;
    let begun = match begun {
        Some(begun) => begun,
        None => {
            nothing_exists(&journal, init.replicas).await?;
            state.begin(&command)?
        }
    };
    state.make()?;
    let keys = Keys::keep_or_make(&state)?;
    let records = genesis(init, LedgerId::RECORDS, &begun, &keys)?;
    let access = genesis(init, LedgerId::ACCESS, &begun, &keys)?;
    // A node with a configuration may have filed more since.
    if !state.config().exists() {
        let streams = [
            (names::stream(&journal, LedgerId::RECORDS, init.replicas), &records),
            (names::stream(&journal, LedgerId::ACCESS, init.replicas), &access),
        ];
        make_streams(&streams).await?;
        first_keys(&journal, init.replicas, &state).await?;
        for (stream, founded) in &streams {
            publish(stream, founded).await?;
        }
    }
    let (node, records, access) = (begun.node.0, records.genesis, access.genesis);
    let config = state.finish(&Entries {
        node,
        name: "first",
        listen: init.listen,
        nats: &init.nats,
        monitor: &init.monitor,
        replicas: init.replicas,
        records,
        access,
        carried: &Carried::first(ISSUER),
        kek: &Keks::one(KekSource::File("keys/kek".into())),
        time_zone: &TimeZone::default(),
        peers: &[],
    })?;
    Ok(Initialised { config, node, records, access })
}

impl Init {
    /// The command line without the directory: a founding that broke off goes on with the same.
    fn command(&self) -> String {
        let Self { nats, monitor, listen, name, replicas, .. } = self;
        let monitor: String = monitor.iter().map(|url| format!(" --monitor {url}")).collect();
        format!("init --nats {nats}{monitor} --listen {listen} --name {name} --replicas {replicas}")
    }
}

async fn nothing_exists(journal: &Journal, replicas: u8) -> Result<(), InitError> {
    for ledger in names::LEDGERS {
        let stream = names::stream(journal, ledger, replicas);
        if facts(stream.name(), stream.inspect().await)?.is_some() {
            return Err(exists(stream.name()));
        }
    }
    let bucket = names::bucket(journal, replicas);
    match facts("a key bucket", bucket.inspect().await)? {
        None => Ok(()),
        Some(_) => Err(exists("a key bucket")),
    }
}

fn exists(what: &str) -> InitError {
    InitError::Exists { what: what.to_owned() }
}

/// A stream that is set up otherwise exists all the same, and is not ours.
fn facts(
    what: &str,
    inspected: Result<Option<journal::StreamFacts>, journal::InspectError>,
) -> Result<Option<journal::StreamFacts>, InitError> {
    match inspected {
        Ok(facts) => Ok(facts),
        Err(journal::InspectError::Weaker(_)) => Err(exists(what)),
        Err(error @ journal::InspectError::Unavailable(_)) => Err(error.into()),
    }
}

/// Makes the streams that are missing, once those that are there have turned out to be ours.
async fn make_streams(streams: &[(LedgerStream, &Founded)]) -> Result<(), InitError> {
    let mut missing = Vec::new();
    for (stream, founded) in streams {
        match facts(stream.name(), stream.inspect().await)? {
            None => missing.push(stream),
            Some(facts) if facts.last == 0 => {}
            Some(facts) if facts.last == 1 && holds(stream, founded).await? => {}
            Some(_) => return Err(exists(stream.name())),
        }
    }
    for stream in missing {
        stream.create().await?;
    }
    Ok(())
}

async fn holds(stream: &LedgerStream, founded: &Founded) -> Result<bool, InitError> {
    let first = stream.read(1).await.map_err(journal::InspectError::from)?;
    Ok(first.is_some_and(|first| first == founded.block))
}

/// Publishes the genesis onto the empty stream; one that an earlier attempt published is as good.
async fn publish(stream: &LedgerStream, founded: &Founded) -> Result<(), InitError> {
    match stream.publish_expecting(0, founded.block.clone().into()).await {
        Ok(_) => Ok(()),
        Err(_) if holds(stream, founded).await? => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The keys that sign.
struct Keys {
    administrator: SigningKey,
    block: SigningKey,
    checkpoint: SigningKey,
    cosigner: SigningKey,
}

impl Keys {
    /// Those that an earlier attempt made, and new ones where it made none.
    fn keep_or_make(state: &StateDir) -> Result<Self, InitError> {
        let secret = |name| keys::keep_or_create_secret(&state.key(name));
        secret("kek")?;
        let signing = |name| secret(name).map(|secret| SigningKey::from_bytes(&secret));
        let made = Self {
            administrator: signing("admin.key")?,
            block: signing("block.key")?,
            checkpoint: signing("checkpoint.key")?,
            cosigner: signing("cosigner.key")?,
        };
        let (private, public) = (state.key("issuer.pem"), state.key("issuer.pub.pem"));
        if !public.exists() {
            // Half a pair has signed nothing yet.
            match std::fs::remove_file(&private) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(InitError::File { file: private, source: error });
                }
                _ => issuer_key(&private, &public)?,
            }
        }
        Ok(made)
    }
}

/// An issuer's key pair, in the forms that token libraries read.
pub(crate) fn issuer_key(private: &Path, public: &Path) -> Result<(), IssuerKeyError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| IssuerKeyError::Library)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| IssuerKeyError::Library)?;
    let der: PublicKeyX509Der<'_> =
        pair.public_key().as_der().map_err(|_| IssuerKeyError::Library)?;
    keys::create_private(private, &keys::private_pem(pkcs8.as_ref()))?;
    Ok(keys::create_private(public, &keys::public_pem(der.as_ref()))?)
}

/// The system's keys and the first patients', in the bucket first and then in this node's vault.
async fn first_keys(journal: &Journal, replicas: u8, state: &StateDir) -> Result<(), InitError> {
    let bucket = names::bucket(journal, replicas);
    let kek = Keks::one(KekSource::File(state.key("kek")));
    let vault = Vault::open(&state.data(), kek.load()?)?;
    if facts("a key bucket", bucket.inspect().await)?.is_none() {
        bucket.create_bucket().await?;
    }
    match bucket.get(SYSTEM_ENTRY).await.map_err(journal::InspectError::from)? {
        Some(entry) => vault.add_system(&entry.bytes).map_err(InitError::OtherBucket)?,
        None => {
            let system = vault.mint_system()?;
            bucket.create(SYSTEM_ENTRY, system.clone().into()).await?;
            vault.add_system(&system)?;
        }
    }
    // An earlier attempt's batch that is in the bucket alone does no harm: it is nobody's.
    if vault.unused() == 0 {
        let batch = vault.mint_batch()?;
        let name = format!("batch.{}", hex::encode(keys::random::<16>()?));
        bucket.create(&name, batch.clone().into()).await?;
        vault.add_batch(&name, &batch, BatchOrigin::ThisNode)?;
    }
    Ok(())
}

/// Block 1 of a ledger; the same whenever it is asked for again.
fn genesis(
    init: &Init,
    ledger: LedgerId,
    begun: &Begun,
    keys: &Keys,
) -> Result<Founded, InitError> {
    let administrators = [keys.administrator.verifying_key().to_bytes()];
    Ok(found(&Founding {
        ledger,
        name: &init.name,
        created_at: begun.at,
        administrators: &administrators,
        threshold: 1,
        signers: &[(0, &keys.administrator)],
        node: begun.node.0,
        block_key: &keys.block,
        checkpoint_key: keys.checkpoint.verifying_key().to_bytes(),
        cosigner_key: keys.cosigner.verifying_key().to_bytes(),
    })?)
}
