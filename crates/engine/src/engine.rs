//! The engine's parts and how they are started.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use ed25519_dalek::Signer;
use journal::{Journal, KeyBucket, LedgerStream};
use ledger::{Control, Hash, LedgerId, LedgerKind, Member, NodeId, SigningKey, SubjectId};
use store::{SetAside, Store};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use vault::Vault;

use crate::access::Shelf;
use crate::alarms::{Alarms, tell_set_aside};
use crate::answers::{LedgerStatus, Status};
use crate::checkpoints::{Checkpoints, NoteKeys, OnFile};
use crate::clock::{Clock, Steady};
use crate::denials::Denials;
use crate::disk::tell_damage;
use crate::emergencies::Emergencies;
use crate::evidence::MADE_AT_ONCE;
use crate::facts::Files;
use crate::filing::InDoubt;
use crate::grants::Grants;
use crate::in_force::InForce;
use crate::keys::Upkeep;
use crate::line::Line;
use crate::local_time::TimeZone;
use crate::locks::Locks;
use crate::peers::{Peer, SignedHead};
use crate::policy::Policies;
use crate::quorum::RETIRED;
use crate::registers::Registers;
use crate::rendered::Rendered;
use crate::seal::Sealer;
use crate::servers::Servers;
use crate::supervisor::{OTHER_KEY, Supervisor};
use crate::trail::Trail;
use crate::turns::Turns;
use crate::views;
use crate::witnesses::{WitnessSetup, Witnesses};
use crate::writer::{NOT_TAKEN, Press, Writer};
use crate::{Condition, Failure};

/// One ledger as a node is configured for it.
#[derive(Debug)]
pub struct Side {
    /// The ledger.
    pub ledger: LedgerId,
    /// Hash of its genesis record, pinned in configuration.
    pub genesis: Hash,
    /// Its stream.
    pub stream: LedgerStream,
}

/// Everything an engine is made of.
pub struct Setup {
    /// This node's id.
    pub node: NodeId,
    /// Signs its blocks, heads and calls to peers.
    pub block_key: SigningKey,
    /// Sign its checkpoints.
    pub note_keys: NoteKeys,
    /// Its database, opened.
    pub store: Arc<Store>,
    /// Its keys, opened.
    pub vault: Arc<Vault>,
    /// The key database, if it was damaged and begun anew.
    pub keys_set_aside: Option<SetAside>,
    /// Its connection to the broker.
    pub journal: Journal,
    /// The monitoring addresses of the broker's servers.
    pub monitors: Vec<String>,
    /// The ledger of changes.
    pub records: Side,
    /// The ledger of accesses.
    pub access: Side,
    /// The bucket of wrapped keys.
    pub bucket: KeyBucket,
    /// The other nodes.
    pub peers: Vec<Peer>,
    /// Who cosigns checkpoints beside the nodes.
    pub witnesses: WitnessSetup,
    /// The clock.
    pub clock: Clock,
    /// Where the hospital is, by whose local time its access policies go.
    pub time_zone: TimeZone,
    /// Cancelled when the node is to stop: nothing more is filed, and whoever waits is told what is
    /// known, so that the engine can be dropped a second later.
    pub stopping: CancellationToken,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup").field("node", &self.node).finish_non_exhaustive()
    }
}

/// One ledger at work.
#[derive(Debug)]
pub(crate) struct Working {
    pub(crate) line: Arc<Line>,
    pub(crate) sealer: Arc<Sealer>,
    pub(crate) writer: Writer,
    pub(crate) on_file: watch::Receiver<OnFile>,
    pub(crate) witnesses: Arc<Witnesses>,
    pub(crate) press: Arc<Press>,
    _checkpoints: AbortOnDropHandle<()>,
}

/// The use cases of a node: the only door to its data. Clones share one engine; when the last is
/// dropped, everything it runs ends.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Parts>);

/// What the use cases are made of.
#[derive(Debug)]
pub struct Parts {
    pub(crate) node: NodeId,
    pub(crate) block_key: SigningKey,
    pub(crate) in_force: InForce,
    pub(crate) denials: Denials,
    pub(crate) shelf: Shelf,
    pub(crate) vault: Arc<Vault>,
    pub(crate) journal: Journal,
    pub(crate) records: Working,
    pub(crate) access: Working,
    pub(crate) trail: Trail,
    pub(crate) keys_low: Arc<Notify>,
    pub(crate) locks: Locks,
    pub(crate) turns: Turns,
    pub(crate) rendered: Rendered,
    pub(crate) registers: Registers,
    pub(crate) files: Files,
    pub(crate) emergencies: Emergencies,
    pub(crate) in_doubt: InDoubt,
    /// Turns of those who have evidence made.
    pub(crate) proving: Arc<Semaphore>,
    pub(crate) alarms: Arc<Alarms>,
    pub(crate) stopping: CancellationToken,
    pub(crate) grants: Arc<Grants>,
    retired: watch::Sender<bool>,
    _tasks: Vec<AbortOnDropHandle<()>>,
}

/// What both ledgers' parts are made of.
struct Shared {
    node: NodeId,
    block_key: SigningKey,
    note_keys: NoteKeys,
    store: Arc<Store>,
    vault: Arc<Vault>,
    journal: Journal,
    servers: Arc<Servers>,
    peers: Arc<Vec<Peer>>,
    witnesses: WitnessSetup,
    grants: Arc<Grants>,
    alarms: Arc<Alarms>,
    clock: Clock,
    keys: watch::Receiver<bool>,
    retired: watch::Sender<bool>,
}

impl Shared {
    /// Starts one ledger: its apply thread and its writer. Its supervisor starts when the views are
    /// there.
    fn work(&self, side: Side) -> Result<(Working, Supervisor), Failure> {
        let (store, alarms) = (Arc::clone(&self.store), Arc::clone(&self.alarms));
        let line = Line::start(store, side.ledger, self.node, alarms)?;
        let state = line.state()?;
        let ours = self.block_key.verifying_key().to_bytes();
        let admitted = state.state().authority.members.get(&self.node);
        if admitted.is_some_and(|member| member.keys.block != ours) {
            let message = OTHER_KEY.to_owned();
            return Err(Failure::refused("BLOCK_KEY_UNLIKE", message));
        }
        if admitted.is_some_and(|member| member.retired) {
            return Err(Failure::refused("NODE_RETIRED", RETIRED));
        }
        let steady = Steady::new(self.clock.clone());
        let clock = steady.clock();
        let press = Arc::new(Press {
            line: Arc::clone(&line),
            stream: side.stream.clone(),
            node: self.node,
            genesis: side.genesis,
            key: self.block_key.clone(),
            clock: clock.clone(),
            alarms: Arc::clone(&self.alarms),
            failing: Mutex::default(),
        });
        let sealer = Arc::new(Sealer {
            ledger: side.ledger,
            node: self.node,
            genesis: side.genesis,
            vault: Arc::clone(&self.vault),
            clock,
        });
        let supervisor = Supervisor {
            node: self.node,
            block_key: self.block_key.clone(),
            ledger: side.ledger,
            genesis: side.genesis,
            journal: self.journal.clone(),
            servers: Arc::clone(&self.servers),
            stream: side.stream,
            line: Arc::clone(&line),
            store: Arc::clone(&self.store),
            peers: Arc::clone(&self.peers),
            grants: Arc::clone(&self.grants),
            alarms: Arc::clone(&self.alarms),
            clock: self.clock.clone(),
            steady,
            keys: self.keys.clone(),
            retired: self.retired.clone(),
        };
        let writer = Writer::start(Arc::clone(&press));
        let (store, keys) = (Arc::clone(&self.store), self.note_keys.clone());
        let witnesses =
            Witnesses::new(side.ledger, self.witnesses.clone(), Arc::clone(&self.alarms));
        let witnesses = Arc::new(witnesses);
        let (checkpoints, on_file) =
            Checkpoints::new(Arc::clone(&press), store, keys, Arc::clone(&witnesses));
        let _checkpoints = AbortOnDropHandle::new(tokio::spawn(checkpoints.run()));
        let working = Working { line, sealer, writer, on_file, witnesses, press, _checkpoints };
        Ok((working, supervisor))
    }
}

impl Deref for Engine {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Engine {
    /// Starts a node's engine: it agrees with its peers and the stream, catches up, then serves.
    /// Reads are answered from the moment when it knows that it is near the stream's end, or that
    /// nobody can tell it where that is.
    ///
    /// # Errors
    /// When threads cannot be started or the spool cannot be read.
    pub fn start(setup: Setup) -> Result<Self, Failure> {
        let (ready, keys) = watch::channel(false);
        let alarms = Arc::new(Alarms::new(setup.clock.clone()));
        let servers = Servers::watch(setup.journal.clone(), setup.monitors, Arc::clone(&alarms));
        let shared = Shared {
            node: setup.node,
            block_key: setup.block_key,
            note_keys: setup.note_keys,
            servers,
            alarms,
            grants: Arc::new(Grants::new(Clock::monotonic())),
            peers: Arc::new(setup.peers),
            witnesses: setup.witnesses,
            store: setup.store,
            vault: setup.vault,
            journal: setup.journal,
            clock: setup.clock,
            keys,
            retired: watch::Sender::new(false),
        };
        let set_aside = shared.store.set_aside().iter().chain(&setup.keys_set_aside);
        set_aside.for_each(|set_aside| tell_set_aside(set_aside, &shared.alarms));
        let keys_low = Arc::new(Notify::new());
        let (records, of_records) = shared.work(setup.records)?;
        let (access, of_access) = shared.work(setup.access)?;
        let lines = [Arc::clone(&records.line), Arc::clone(&access.line)];
        let (alarms, stopping) = (Arc::clone(&shared.alarms), setup.stopping.clone());
        let made = views::make(&shared.store, &shared.vault, lines, alarms, stopping)?;
        let upkeep = Upkeep {
            node: setup.node,
            bucket: setup.bucket,
            connection: shared.journal.state(),
            vault: Arc::clone(&shared.vault),
            store: Arc::clone(&shared.store),
            alarms: Arc::clone(&shared.alarms),
            ready,
            low: Arc::clone(&keys_low),
            views: made.clone(),
        };
        let mut tasks = vec![AbortOnDropHandle::new(tokio::spawn(upkeep.run()))];
        for supervisor in [of_records, of_access] {
            tasks.push(AbortOnDropHandle::new(tokio::spawn(once_made(made.clone(), supervisor))));
        }
        let (press, sealer) = (Arc::clone(&access.press), Arc::clone(&access.sealer));
        let trail = Trail::start(press, sealer, Arc::clone(&shared.store))?;
        Ok(Self(Arc::new(Parts {
            node: shared.node,
            block_key: shared.block_key,
            in_force: InForce::new(Policies::shipped()?, setup.time_zone),
            denials: Denials::new(Clock::monotonic()),
            shelf: Shelf::new(shared.store),
            vault: shared.vault,
            journal: shared.journal,
            records,
            access,
            trail,
            keys_low,
            locks: Locks::new(),
            turns: Turns::new(Clock::monotonic()),
            rendered: Rendered::default(),
            registers: Registers::default(),
            files: Files::default(),
            emergencies: Emergencies::default(),
            in_doubt: InDoubt::default(),
            proving: Arc::new(Semaphore::new(MADE_AT_ONCE)),
            alarms: shared.alarms,
            stopping: setup.stopping,
            grants: shared.grants,
            retired: shared.retired,
            _tasks: tasks,
        })))
    }

    pub(crate) fn side(&self, kind: LedgerKind) -> &Working {
        match kind {
            LedgerKind::Records => &self.records,
            LedgerKind::Access => &self.access,
        }
    }

    /// How this node is.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn status(&self) -> Result<Status, Failure> {
        self.tell_overdue();
        tell_damage(&self.records.line.store, &self.alarms);
        let broker_connected = self.tell_broker();
        let mut ledgers = Vec::new();
        for kind in [LedgerKind::Records, LedgerKind::Access] {
            let side = self.side(kind);
            let (mut condition, on_file) =
                (side.line.condition.borrow().clone(), side.on_file.borrow().clone());
            // Publishing is not barred, or nobody would notice that the broker takes blocks again.
            let refuses = self.alarms.is_raised(NOT_TAKEN, Some(side.line.ledger));
            if refuses && condition == Condition::Serving {
                condition = Condition::ReadOnly("the broker takes no blocks".to_owned());
            }
            ledgers.push(LedgerStatus {
                head: self.head_now(kind)?,
                condition,
                checkpoint_size: on_file.newest.as_ref().map_or(0, |newest| newest.checkpoint.size),
                witnesses: on_file.newest.map_or(0, |newest| newest.witnesses),
                signed_size: on_file.own_size,
            });
        }
        Ok(Status {
            node: self.node,
            broker_connected,
            ledgers,
            shows: self.trail.shows(),
            spool_bytes: self.records.line.store.spool().bytes(),
            spare_keys: self.vault.unused(),
            alarms: self.alarms.list(),
        })
    }

    /// Raises an alarm about what is around the engine, or counts it again with the newer text, which holds
    /// no patient data.
    pub fn raise_alarm(&self, code: &'static str, text: String) {
        self.alarms.raise(code, None, text);
    }

    /// Takes such an alarm back, when what it named is over.
    pub fn clear_alarm(&self, code: &'static str) {
        self.alarms.clear(code, None);
    }

    /// This node's signed head for a peer whose own applied sequence is `asked_at`: how far it was,
    /// also while its database has not come back to there. It promised that much. Told when what it
    /// was given before is applied.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not.
    pub async fn peer_head(&self, ledger: LedgerId, asked_at: u64) -> Result<SignedHead, Failure> {
        let side = self.side_of(ledger)?;
        // Without its thread it stays where it is.
        side.line.drained().await;
        let store = &side.line.store;
        let state = side.line.state()?;
        let floor = store.floor(ledger)?;
        let (sequence, stream_hash) = floor.map_or((state.sequence, state.stream_hash), |floor| {
            (floor.sequence, floor.stream_hash)
        });
        let at_asked = if asked_at <= state.sequence {
            store.reader().stream_hash_at(ledger, asked_at)?
        } else {
            None
        };
        let signature =
            ledger::sign_head(&self.block_key, &side.sealer.genesis, sequence, &stream_hash);
        Ok(SignedHead {
            node: self.node,
            sequence,
            stream_hash,
            at_asked,
            behind: floor.is_some(),
            signature,
        })
    }

    /// Messages of a ledger's stream from `first` on, bit for bit, at most `count` and about 2 MiB.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger that this node has not, [`Failure::Damaged`].
    pub fn peer_messages(
        &self,
        ledger: LedgerId,
        first: u64,
        count: u32,
    ) -> Result<Vec<(u64, Vec<u8>)>, Failure> {
        /// Half of the gRPC message limit.
        const ENOUGH: usize = 2 * 1024 * 1024;
        let store = &self.side_of(ledger)?.line.store;
        let mut messages = Vec::new();
        let mut bytes = 0;
        for sequence in first.max(1)..first.max(1).saturating_add(u64::from(count)) {
            let Some(message) = store.reader().message(ledger, sequence)? else { break };
            bytes += message.len();
            messages.push((sequence, message));
            if bytes > ENOUGH {
                break;
            }
        }
        Ok(messages)
    }

    /// A member of `records`, retired or not, by whose block key a peer's calls are checked.
    #[must_use]
    pub fn member(&self, node: NodeId) -> Option<Member> {
        let line = &self.records.line;
        line.store.authority(line.ledger).ok()?.members.get(&node).cloned()
    }

    /// The control record's body by which a node was retired from `records`; none if it was not.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn retirement(&self, node: NodeId) -> Result<Option<Vec<u8>>, Failure> {
        let line = &self.records.line;
        let reader = line.store.reader();
        // Newest first: membership changes a few times in a ledger's life.
        let chain = reader.chain(line.ledger, SubjectId::ZERO, 1..=u64::MAX)?;
        for position in chain.into_iter().rev() {
            let Some(record) = reader.record(line.ledger, position)? else { continue };
            if let Ok(Control::NodeRetired { node: retired, .. }) = Control::decode(&record.body)
                && retired == node
            {
                return Ok(Some(record.body));
            }
        }
        Ok(None)
    }

    /// Resolves when this node turns out to be retired; then it has to end.
    pub async fn retired(&self) {
        // The sender lives as long as this engine does.
        let _ = self.retired.subscribe().wait_for(|retired| *retired).await;
    }

    /// Signs with this node's block key: its calls to peers.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.block_key.sign(message).to_bytes()
    }

    /// A keyed digest that only this hospital's nodes can make; page tokens are bound with it.
    ///
    /// # Errors
    /// When the system's keys have not arrived yet.
    pub fn keyed_digest(&self, label: &str, bytes: &[u8]) -> Result<Hash, Failure> {
        Ok(self.vault.digest(label, bytes)?)
    }

    pub(crate) fn side_of(&self, ledger: LedgerId) -> Result<&Working, Failure> {
        [&self.records, &self.access]
            .into_iter()
            .find(|side| side.line.ledger == ledger)
            .ok_or(Failure::NotFound)
    }
}

/// Supervises a ledger once the views are made; never, if making them fails or is broken off.
async fn once_made(mut made: watch::Receiver<bool>, supervisor: Supervisor) {
    if made.wait_for(|made| *made).await.is_ok() {
        supervisor.run().await;
    }
}
