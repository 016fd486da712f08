//! `caseledgerd admit`: state for one more node, and its admission filed in both ledgers.
//!
//! The admission is signed with the administrators' key and filed in the name of an existing node,
//! which may be running meanwhile: apply orders the two writers like any others. Where the ledgers
//! stand is found by judging their streams from the first block, exactly as a node or an auditor
//! does, so nothing needs to be asked of a running node and nothing is taken on trust. That takes
//! about a second for each half million records.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::ledger::block::BlockError;
use ::ledger::{
    ActorId, Block, BlockVerdict, Content, Contribution, ContributionId, Control, Hash, Header,
    Item, ItemVerdict, KeyId, LeafType, LedgerId, Lookup, Memory, NodeId, RecordId, SigningKey,
    State, SubjectId,
};
use futures::StreamExt;
use journal::{Journal, LedgerStream};

use crate::config::{Config, ConfigError, Hex};
use crate::state_dir::{Entries, StateDir, StateError, append_peer};
use crate::{clock, keys, names, run};

/// How long the broker may take to answer the first time.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the broker may stay silent while a stream is read.
const SILENCE: Duration = Duration::from_secs(30);

/// How often an admission is sealed anew because another control record came first.
const ATTEMPTS: usize = 5;

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
    /// The existing node's configuration.
    #[error("the existing node's configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The existing node has no address that another could call.
    #[error(
        "the existing node listens at port 0, which changes with every start: give it a fixed port"
    )]
    NoAddress,
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
    /// The broker's address.
    #[error("the broker cannot be used")]
    Broker(#[from] journal::ConnectError),
    /// The broker does not answer.
    #[error("the broker does not answer")]
    Away(#[from] journal::Unavailable),
    /// A stream.
    #[error("a stream cannot be looked at")]
    Inspect(#[from] journal::InspectError),
    /// There is no such stream.
    #[error("the broker has no stream {0}")]
    NoStream(String),
    /// A stream cannot be read.
    #[error("stream {stream} cannot be read: {problem}")]
    Read {
        /// Which.
        stream: String,
        /// Why.
        problem: String,
    },
    /// The admission could not be published.
    #[error("the admission cannot be published; running this again with a new directory is safe")]
    Publish(#[from] journal::PublishFailure),
    /// The admission cannot be sealed.
    #[error("the admission cannot be sealed")]
    Seal(#[from] BlockError),
    /// Apply did not accept it.
    #[error("ledger {ledger} did not accept the admission: {verdict}")]
    NotAccepted {
        /// Which ledger.
        ledger: LedgerId,
        /// What apply said.
        verdict: String,
    },
}

/// Admits a node.
///
/// # Errors
/// Something exists already, or the ledgers do not accept it.
pub async fn admit(admit: &Admit) -> Result<Admitted, AdmitError> {
    let from = Config::load(&admit.from.join("config.toml"))?;
    if from.grpc.listen.port() == 0 {
        return Err(AdmitError::NoAddress);
    }
    let state = StateDir::check_new(&admit.state)?;
    let administrator =
        SigningKey::from_bytes(&keys::read_secret(&admit.from.join("keys").join("admin.key"))?);
    let sponsor = Sponsor {
        node: from.node.id.0,
        key: SigningKey::from_bytes(&keys::read_secret(&from.node.block_key)?),
        administrator,
    };
    let journal = run::connect(&from).await?;
    journal.connected(CONNECT).await?;

    state.make()?;
    let node = NodeId(keys::random()?);
    let public = |name| {
        keys::create_secret(&state.key(name))
            .map(|secret| SigningKey::from_bytes(&secret).verifying_key().to_bytes())
    };
    let control = Control::NodeAdmitted {
        node,
        block_key: public("block.key")?,
        checkpoint_key: public("checkpoint.key")?,
        signatures: Vec::new(),
    };
    copy(&from.node.kek, &state.key("kek"))?;
    if let Some(issuer) = from.issuers.first().and_then(|issuer| issuer.keys.first()) {
        copy(issuer, &state.key("issuer.pub.pem"))?;
    }
    let pins =
        [(LedgerId::RECORDS, from.ledgers.records.0), (LedgerId::ACCESS, from.ledgers.access.0)];
    for (ledger, genesis) in pins {
        sponsor.file(&journal, &from, ledger, genesis, &control).await?;
    }
    let config = configure(admit, &from, &state, node)?;
    Ok(Admitted { config, node })
}

/// Writes the new node's configuration, and each into the other's as a peer.
fn configure(
    admit: &Admit,
    from: &Config,
    state: &StateDir,
    node: NodeId,
) -> Result<PathBuf, AdmitError> {
    let config = state.write_config(&Entries {
        node,
        name: &admit.name,
        listen: admit.listen,
        nats: &from.nats.url,
        monitor: &from.nats.monitor,
        replicas: from.nats.replicas,
        records: from.ledgers.records.0,
        access: from.ledgers.access.0,
        issuer: from.issuers.first().map_or("", |issuer| &issuer.name),
    })?;
    append_peer(&config, from.node.id.0, &format!("http://{}", from.grpc.listen))?;
    for peer in &from.peers {
        let Hex(id) = peer.node;
        append_peer(&config, id, &peer.address)?;
    }
    if admit.listen.port() != 0 {
        let address = format!("http://{}", admit.listen);
        append_peer(&admit.from.join("config.toml"), node, &address)?;
    }
    Ok(config)
}

fn copy(from: &Path, to: &Path) -> Result<(), AdmitError> {
    let content = std::fs::read_to_string(from)
        .map_err(|source| AdmitError::File { file: from.to_owned(), source })?;
    Ok(keys::create_private(to, &content)?)
}

/// The existing node in whose name the admission is filed.
struct Sponsor {
    node: NodeId,
    key: SigningKey,
    administrator: SigningKey,
}

impl Sponsor {
    /// Files the admission in one ledger and waits for apply's word.
    async fn file(
        &self,
        journal: &Journal,
        config: &Config,
        ledger: LedgerId,
        genesis: Hash,
        control: &Control,
    ) -> Result<(), AdmitError> {
        let stream = names::stream(journal, ledger, config.nats.replicas);
        let mut replay = Replay::new(ledger, genesis);
        let last = last(&stream).await?;
        replay.read(&stream, last).await?;
        let mut signed = control.clone();
        signed.sign(&genesis, 0, &self.administrator);
        let mut verdict = String::new();
        for _ in 0..ATTEMPTS {
            let id = ContributionId(keys::random()?);
            let block = self.seal(&replay, genesis, id, &signed)?;
            let sequence = stream.publish(block.into()).await?;
            match replay.verdict(&stream, sequence, id).await? {
                Some(ItemVerdict::Accepted { .. }) => return Ok(()),
                other => verdict = format!("{other:?}"),
            }
        }
        Err(AdmitError::NotAccepted { ledger, verdict })
    }

    fn seal(
        &self,
        replay: &Replay,
        genesis: Hash,
        id: ContributionId,
        control: &Control,
    ) -> Result<Vec<u8>, AdmitError> {
        let state = &replay.state;
        let Ok(head) = replay.memory.head(SubjectId::ZERO);
        let now = clock::micros().max(state.time).max(head.map_or(0, |head| head.recorded_at));
        let header = Header {
            format: ::ledger::header::HEADER_FORMAT,
            leaf: LeafType::Control,
            suite: ::ledger::header::SUITE_CLEAR,
            ledger: state.ledger,
            record_id: RecordId::new(now / 1_000, keys::random()?),
            contribution_id: id,
            index: 0,
            count: 1,
            subject: SubjectId::ZERO,
            version: head.map_or(0, |head| head.version) + 1,
            previous: head.map_or(Hash::ZERO, |head| head.hash),
            recorded_at: now,
            node: self.node,
            actor: ActorId::ZERO,
            envelope_version: 0,
            data_key: KeyId::ZERO,
            key_commitment: Hash::ZERO,
            body_length: 0,
            body_hash: Hash::ZERO,
        };
        let contribution = Contribution {
            id,
            request_digest: Hash::ZERO,
            reads: Vec::new(),
            records: vec![control.into_record(header)],
        };
        let content = Content {
            sealed_at: now,
            base: state.base(),
            items: vec![Item::Contribution(contribution)],
        };
        Ok(Block::seal(state.ledger, self.node, &content, &self.key, &genesis)?)
    }
}

async fn last(stream: &LedgerStream) -> Result<u64, AdmitError> {
    match stream.inspect().await? {
        Some(facts) => Ok(facts.last),
        None => Err(AdmitError::NoStream(stream.name().to_owned())),
    }
}

/// A ledger judged from its first block, in memory.
struct Replay {
    state: State,
    memory: Memory,
}

impl Replay {
    fn new(ledger: LedgerId, genesis: Hash) -> Self {
        Self { state: State::new(ledger, genesis), memory: Memory::default() }
    }

    /// Judges everything up to `last`.
    async fn read(&mut self, stream: &LedgerStream, last: u64) -> Result<(), AdmitError> {
        self.advance(stream, last, |_| {}).await
    }

    /// Judges everything up to `sequence` and tells what became of the contribution in it.
    async fn verdict(
        &mut self,
        stream: &LedgerStream,
        sequence: u64,
        id: ContributionId,
    ) -> Result<Option<ItemVerdict>, AdmitError> {
        let mut told = None;
        self.advance(stream, sequence, |verdict| {
            if let BlockVerdict::Judged(items) = verdict {
                let mine = |item: &&ItemVerdict| match item {
                    ItemVerdict::Accepted { contribution, .. }
                    | ItemVerdict::Void { contribution, .. }
                    | ItemVerdict::Abandoned { contribution }
                    | ItemVerdict::Ignored { contribution } => *contribution == id,
                    ItemVerdict::Checkpoint => false,
                };
                told = items.iter().find(mine).cloned().or(told.take());
            }
        })
        .await?;
        Ok(told)
    }

    async fn advance(
        &mut self,
        stream: &LedgerStream,
        last: u64,
        mut see: impl FnMut(&BlockVerdict),
    ) -> Result<(), AdmitError> {
        let unreadable =
            |problem: String| AdmitError::Read { stream: stream.name().to_owned(), problem };
        let mut messages = stream.follow(self.state.sequence + 1);
        while self.state.sequence < last {
            let message = tokio::time::timeout(SILENCE, messages.next())
                .await
                .map_err(|_| unreadable("the broker is silent".to_owned()))?
                .ok_or_else(|| unreadable("it ended".to_owned()))?
                .map_err(|error| unreadable(error.to_string()))?;
            let applied = self
                .state
                .apply(&self.memory, message.sequence, &message.payload)
                .map_err(|error| unreadable(error.to_string()))?;
            see(&applied.verdict);
            self.memory.add(&applied);
        }
        Ok(())
    }
}
