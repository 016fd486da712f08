//! Filing control records from outside, in the name of a node: what `admit` and `retire` share.
//!
//! A control record is signed with the administrators' key and filed in the name of an existing node,
//! which may be running meanwhile: apply orders the two writers like any others. Where the ledgers
//! stand is found by judging their streams from the first block, exactly as a node or an auditor
//! does, so nothing needs to be asked of a running node and nothing is taken on trust. That takes
//! about a second for each half million records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ::ledger::block::BlockError;
use ::ledger::{
    Authority, BlockVerdict, Control, Filing, Hash, ItemVerdict, LedgerId, Lookup, Memory,
    SigningKey, State, SubjectId,
};
use futures::StreamExt;
use journal::{ExpectingFailure, Journal, LedgerStream};

use crate::config::{Config, ConfigError};
use crate::{clock, keys, names, run};

/// How long the broker may take to answer the first time.
const CONNECT: Duration = Duration::from_secs(10);

/// How long the broker may stay silent while a stream is read.
const SILENCE: Duration = Duration::from_secs(30);

/// How often a control record is sealed anew because another one came first.
const ATTEMPTS: usize = 5;

/// How often it is sealed anew because the stream went on meanwhile: a busy one does between most readings
/// and publishings, which are milliseconds apart.
const RACES: usize = 500;

/// Why a control record was not filed.
#[derive(Debug, thiserror::Error)]
pub enum SponsorError {
    /// The existing node's configuration.
    #[error("the existing node's configuration cannot be used")]
    Config(#[from] ConfigError),
    /// The administrators' key.
    #[error(
        "the administrators' key cannot be used; put it at {} for this command", file.display()
    )]
    Administrator {
        /// Where it is looked for.
        file: PathBuf,
        /// Why.
        #[source]
        source: keys::KeyFileError,
    },
    /// The key is not that of an administrator.
    #[error("{}: this is no administrator's key of ledger {ledger}", file.display())]
    NotAdministrator {
        /// Where it was read.
        file: PathBuf,
        /// Of which ledger.
        ledger: LedgerId,
    },
    /// Another key file.
    #[error("a key cannot be used")]
    Key(#[from] keys::KeyFileError),
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
    /// What the node told others of where it was.
    #[error("how far the existing node was cannot be read")]
    Position(#[from] store::OpenError),
    /// The broker lost what was there: a record would take a place that is taken.
    #[error(
        "stream {stream} is behind, or another history than, sequence {sequence}, which the existing \
         node had: nothing was filed in it; let the nodes restore it first, then run the same command \
         again"
    )]
    Behind {
        /// Which.
        stream: String,
        /// How far the node was.
        sequence: u64,
    },
    /// Others always came first.
    #[error("stream {0} is too busy for the record; run the same command again when it is less so")]
    Busy(String),
    /// It could not be published.
    #[error("the record cannot be published; run the same command again")]
    Publish(#[from] journal::PublishFailure),
    /// It cannot be sealed.
    #[error("the record cannot be sealed")]
    Seal(#[from] BlockError),
    /// Apply did not accept it.
    #[error("ledger {ledger} did not accept the record: {verdict}")]
    NotAccepted {
        /// Which ledger.
        ledger: LedgerId,
        /// What apply said.
        verdict: String,
    },
}

/// The existing node in whose name control records are filed, and the administrators' key beside it.
pub(crate) struct Sponsor {
    pub(crate) config: Config,
    administrator: SigningKey,
    administrator_file: PathBuf,
}

impl Sponsor {
    /// The node of this state directory.
    pub(crate) fn of(directory: &Path) -> Result<Self, SponsorError> {
        let config = Config::load(&directory.join("config.toml"))?;
        let file = directory.join("keys").join("admin.key");
        let secret = keys::read_secret(&file)
            .map_err(|source| SponsorError::Administrator { file: file.clone(), source })?;
        let administrator = SigningKey::from_bytes(&secret);
        Ok(Self { config, administrator, administrator_file: file })
    }

    /// Reads both ledgers to their ends.
    pub(crate) async fn read(&self) -> Result<Vec<Judged>, SponsorError> {
        let journal = run::connect(&self.config).await?;
        journal.connected(CONNECT).await?;
        let pins = [
            (LedgerId::RECORDS, self.config.ledgers.records.0),
            (LedgerId::ACCESS, self.config.ledgers.access.0),
        ];
        let mut both = Vec::new();
        for (ledger, genesis) in pins {
            both.push(Judged::read(&journal, &self.config, ledger, genesis).await?);
        }
        Ok(both)
    }

    /// The place of the administrators' key in the ledger's genesis.
    pub(crate) fn place(&self, state: &State) -> Result<u8, SponsorError> {
        let ours = self.administrator.verifying_key().to_bytes();
        let place = state.authority.administrators.iter().position(|key| *key == ours);
        place.and_then(|place| u8::try_from(place).ok()).ok_or_else(|| {
            SponsorError::NotAdministrator {
                file: self.administrator_file.clone(),
                ledger: state.ledger,
            }
        })
    }

    /// The control record with the administrators' signature for this ledger.
    pub(crate) fn sign(&self, state: &State, control: &Control) -> Result<Control, SponsorError> {
        let mut signed = control.clone();
        signed.sign(&state.genesis, self.place(state)?, &self.administrator);
        Ok(signed)
    }

    /// The administrators' key.
    pub(crate) fn administrator(&self) -> &SigningKey {
        &self.administrator
    }

    /// Files a control record and waits for apply's word.
    pub(crate) async fn file(
        &self,
        judged: &mut Judged,
        control: &Control,
    ) -> Result<(), SponsorError> {
        let signed = self.sign(&judged.state, control)?;
        let mut verdict = String::new();
        for _ in 0..ATTEMPTS {
            let sequence = self.publish(judged, &signed).await?;
            let told = judged.verdict(sequence).await?;
            if let BlockVerdict::Judged(items) = &told
                && matches!(items.as_slice(), [ItemVerdict::Accepted { .. }])
            {
                return Ok(());
            }
            verdict = format!("{told:?}");
        }
        Err(SponsorError::NotAccepted { ledger: judged.state.ledger, verdict })
    }

    /// Publishes it where the stream was judged to end, and nowhere else: a stream that lost its end
    /// meanwhile would give it a sequence that is taken.
    async fn publish(&self, judged: &mut Judged, signed: &Control) -> Result<u64, SponsorError> {
        let key = SigningKey::from_bytes(&*keys::read_secret(&self.config.node.block_key)?);
        let node = self.config.node.id.0;
        for _ in 0..RACES {
            let Ok(head) = judged.memory.head(SubjectId::ZERO);
            let now = clock::micros();
            let filing = Filing { state: &judged.state, head, node, key: &key, now };
            let block = filing.block(std::slice::from_ref(signed))?;
            let last = judged.state.sequence;
            match judged.stream.publish_expecting(last, block.into()).await {
                Ok(sequence) => return Ok(sequence),
                Err(ExpectingFailure::WrongLast { .. }) => judged.catch_up().await?,
                Err(ExpectingFailure::Failed(failure)) => return Err(failure.into()),
            }
        }
        Err(SponsorError::Busy(judged.stream.name().to_owned()))
    }
}

/// A ledger judged from its first block, in memory.
pub(crate) struct Judged {
    state: State,
    memory: Memory,
    stream: LedgerStream,
}

impl Judged {
    async fn read(
        journal: &Journal,
        config: &Config,
        ledger: LedgerId,
        genesis: Hash,
    ) -> Result<Self, SponsorError> {
        let stream = names::stream(journal, ledger, config.nats.replicas);
        // Before the stream is asked: a node at work goes on.
        let kept = store::kept_position(&config.node.data, ledger)?;
        let state = State::new(ledger, genesis);
        let mut judged = Self { state, memory: Memory::default(), stream };
        if let Some(kept) = kept {
            let last = judged.last().await?;
            if last >= kept.sequence {
                judged.advance(kept.sequence, |_, _| {}).await?;
            }
            let at = (judged.state.sequence, judged.state.stream_hash);
            if at != (kept.sequence, kept.stream_hash) {
                return Err(judged.behind(kept.sequence));
            }
        }
        judged.catch_up().await?;
        Ok(judged)
    }

    /// Judges everything that the stream has by now.
    async fn catch_up(&mut self) -> Result<(), SponsorError> {
        let last = self.last().await?;
        if last < self.state.sequence {
            return Err(self.behind(self.state.sequence));
        }
        self.advance(last, |_, _| {}).await
    }

    /// The stream's last sequence.
    async fn last(&self) -> Result<u64, SponsorError> {
        let facts = self.stream.inspect().await?;
        facts
            .map(|facts| facts.last)
            .ok_or_else(|| SponsorError::NoStream(self.stream.name().to_owned()))
    }

    fn behind(&self, sequence: u64) -> SponsorError {
        SponsorError::Behind { stream: self.stream.name().to_owned(), sequence }
    }

    /// Its membership now.
    pub(crate) fn authority(&self) -> &Authority {
        &self.state.authority
    }

    /// Judges everything up to `sequence` and tells what became of the block there.
    async fn verdict(&mut self, sequence: u64) -> Result<BlockVerdict, SponsorError> {
        let mut told = None;
        self.advance(sequence, |at, verdict| {
            if at == sequence {
                told = Some(verdict.clone());
            }
        })
        .await?;
        told.ok_or_else(|| self.unreadable("its sequences were reused".to_owned()))
    }

    async fn advance(
        &mut self,
        last: u64,
        mut see: impl FnMut(u64, &BlockVerdict),
    ) -> Result<(), SponsorError> {
        let mut messages = self.stream.follow(self.state.sequence + 1);
        while self.state.sequence < last {
            let message = tokio::time::timeout(SILENCE, messages.next())
                .await
                .map_err(|_| self.unreadable("the broker is silent".to_owned()))?
                .ok_or_else(|| self.unreadable("it ended".to_owned()))?
                .map_err(|error| self.unreadable(error.to_string()))?;
            let applied = self
                .state
                .apply(&self.memory, message.sequence, &message.payload)
                .map_err(|error| self.unreadable(error.to_string()))?;
            see(message.sequence, &applied.verdict);
            self.memory.add(&applied);
        }
        Ok(())
    }

    fn unreadable(&self, problem: String) -> SponsorError {
        SponsorError::Read { stream: self.stream.name().to_owned(), problem }
    }
}
