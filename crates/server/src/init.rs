//! `caseledgerd init`: keys, streams, genesis and configuration of the first node.
//!
//! Only this makes a genesis, and only where there is nothing: on an empty directory, without
//! streams. What exists is never taken over. The configuration is written last, so a directory
//! that has one was founded whole.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::ledger::founding::{Founded, Founding, FoundingError, found};
use ::ledger::{Hash, LedgerId, NodeId, SigningKey};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use journal::Journal;
use vault::{BatchOrigin, KeyEncryptionKey, Vault};

use crate::run::KEK_VERSION;
use crate::state_dir::{Entries, StateDir, StateError};
use crate::{clock, keys, names};

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
    /// The library for the issuer's key refused.
    #[error("the issuer's key cannot be made")]
    IssuerKey,
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
    /// A stream could not be looked at.
    #[error("the broker's streams cannot be looked at")]
    Inspect(#[from] journal::InspectError),
    /// A stream or bucket could not be made.
    #[error("a stream cannot be created; {LEFT}")]
    Create(#[from] journal::CreateError),
    /// The first keys could not be stored.
    #[error("the first keys cannot be stored; {LEFT}")]
    Bucket(#[from] journal::BucketFailure),
    /// The genesis could not be published.
    #[error("the genesis cannot be published; {LEFT}")]
    Publish(#[from] journal::ExpectingFailure),
    /// The name or keys cannot found a ledger.
    #[error("the ledgers cannot be founded")]
    Founding(#[from] FoundingError),
    /// The key database.
    #[error("the database of keys cannot be made")]
    Vault(#[from] vault::VaultError),
}

/// What to do about a founding that broke off.
const LEFT: &str = "the founding broke off and holds nothing yet: remove the state directory and \
                    the CASELEDGER streams before the next attempt";

/// Founds both ledgers.
///
/// # Errors
/// Something exists already, or the broker does not play along.
pub async fn init(init: &Init) -> Result<Initialised, InitError> {
    if !::ledger::control::is_valid_name(&init.name) {
        return Err(InitError::Founding(FoundingError::Unsound));
    }
    let state = StateDir::check_new(&init.state)?;
    let journal = Journal::connect(&init.nats, None).await?;
    let away = |source| InitError::Away { url: init.nats.clone(), source };
    journal.connected(CONNECT).await.map_err(away)?;
    journal.check_servers(&init.monitor).await?;
    nothing_exists(&journal, init.replicas).await?;

    state.make()?;
    let made = Keys::make(&state)?;
    for ledger in names::LEDGERS {
        names::stream(&journal, ledger, init.replicas).create().await?;
    }
    first_keys(&journal, init.replicas, &state).await?;
    let node = NodeId(keys::random()?);
    let records = found_ledger(&journal, init, LedgerId::RECORDS, node, &made).await?;
    let access = found_ledger(&journal, init, LedgerId::ACCESS, node, &made).await?;
    let config = state.write_config(&Entries {
        node,
        name: "first",
        listen: init.listen,
        nats: &init.nats,
        monitor: &init.monitor,
        replicas: init.replicas,
        records,
        access,
        issuer: ISSUER,
    })?;
    Ok(Initialised { config, node, records, access })
}

async fn nothing_exists(journal: &Journal, replicas: u8) -> Result<(), InitError> {
    for ledger in names::LEDGERS {
        let stream = names::stream(journal, ledger, replicas);
        if exists(stream.inspect().await)? {
            return Err(InitError::Exists { what: format!("stream {}", stream.name()) });
        }
    }
    if exists(names::bucket(journal, replicas).inspect().await)? {
        return Err(InitError::Exists { what: "a key bucket".to_owned() });
    }
    Ok(())
}

/// A stream that is set up otherwise exists all the same.
fn exists(
    inspected: Result<Option<journal::StreamFacts>, journal::InspectError>,
) -> Result<bool, InitError> {
    match inspected {
        Ok(facts) => Ok(facts.is_some()),
        Err(journal::InspectError::Weaker(_)) => Ok(true),
        Err(error @ journal::InspectError::Unavailable(_)) => Err(error.into()),
    }
}

/// The keys that sign.
struct Keys {
    administrator: SigningKey,
    block: SigningKey,
    checkpoint: SigningKey,
}

impl Keys {
    fn make(state: &StateDir) -> Result<Self, InitError> {
        KeyEncryptionKey::create_file(&state.key("kek"), KEK_VERSION)?;
        let signing = |name| {
            keys::create_secret(&state.key(name)).map(|secret| SigningKey::from_bytes(&secret))
        };
        let made = Self {
            administrator: signing("admin.key")?,
            block: signing("block.key")?,
            checkpoint: signing("checkpoint.key")?,
        };
        issuer_key(&state.key("issuer.pem"), &state.key("issuer.pub.pem"))?;
        Ok(made)
    }
}

/// The development issuer's key pair, in the forms that token libraries read.
fn issuer_key(private: &Path, public: &Path) -> Result<(), InitError> {
    let pair = Ed25519KeyPair::generate().map_err(|_| InitError::IssuerKey)?;
    let pkcs8 = pair.to_pkcs8v1().map_err(|_| InitError::IssuerKey)?;
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().map_err(|_| InitError::IssuerKey)?;
    keys::create_private(private, &keys::private_pem(pkcs8.as_ref()))?;
    Ok(keys::create_private(public, &keys::public_pem(der.as_ref()))?)
}

/// The system's keys and the first patients', in the bucket first and then in this node's vault.
async fn first_keys(journal: &Journal, replicas: u8, state: &StateDir) -> Result<(), InitError> {
    let bucket = names::bucket(journal, replicas);
    bucket.create_bucket().await?;
    let kek = KeyEncryptionKey::from_file(&state.key("kek"), KEK_VERSION)?;
    let vault = Vault::open(&state.data(), kek)?;
    let system = vault.mint_system()?;
    bucket.create(engine::SYSTEM_ENTRY, system.clone().into()).await?;
    vault.add_system(&system)?;
    let batch = vault.mint_batch()?;
    let name = format!("batch.{}", hex::encode(keys::random::<16>()?));
    bucket.create(&name, batch.clone().into()).await?;
    vault.add_batch(&name, &batch, BatchOrigin::ThisNode)?;
    Ok(())
}

async fn found_ledger(
    journal: &Journal,
    init: &Init,
    ledger: LedgerId,
    node: NodeId,
    keys: &Keys,
) -> Result<Hash, InitError> {
    let administrators = [keys.administrator.verifying_key().to_bytes()];
    let Founded { genesis, block } = found(&Founding {
        ledger,
        name: &init.name,
        created_at: clock::micros(),
        administrators: &administrators,
        threshold: 1,
        signers: &[(0, &keys.administrator)],
        node,
        block_key: &keys.block,
        checkpoint_key: keys.checkpoint.verifying_key().to_bytes(),
    })?;
    let stream = names::stream(journal, ledger, init.replicas);
    stream.publish_expecting(0, block.into()).await?;
    Ok(genesis)
}
