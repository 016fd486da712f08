//! A node at work: everything is opened, wired, served, and closed again.

mod error;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::ledger::{LedgerId, SigningKey};
use api::v1::audit_service_server::AuditServiceServer;
use api::v1::emergency_access_service_server::EmergencyAccessServiceServer;
use api::v1::evidence_service_server::EvidenceServiceServer;
use api::v1::import_service_server::ImportServiceServer;
use api::v1::ledger_service_server::LedgerServiceServer;
use api::v1::patient_file_service_server::PatientFileServiceServer;
use api::v1::peer_service_server::PeerServiceServer;
use api::v1::policy_service_server::PolicyServiceServer;
use api::v1::privacy_incident_service_server::PrivacyIncidentServiceServer;
use api::v1::proof_service_server::ProofServiceServer;
use api::v1::staff_service_server::StaffServiceServer;
use engine::{Clock, Engine, Failure, NoteKeys, Setup, Side};
use journal::{Credentials, Journal, ServerCheckError};
use store::{LedgerPin, SetAside, Store};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use vault::Vault;

pub use self::error::RunError;
use crate::background::Background;
use crate::config::{self, Config};
use crate::emergency::announce::announce;
use crate::gate::Gate;
use crate::issuers::{self, Issuers};
use crate::listener::Listener;
use crate::reload::{self, Troubles};
use crate::service::Services;
use crate::status::MAX_MESSAGE;
use crate::{files, health, http, keys, names, peers, tls, witness};

/// Streams one connection may have open. A service with more to do opens another connection;
/// without a limit one could take all 4,096 places.
const CONNECTION_STREAMS: u32 = 1_024;

/// Longest request of a peer, in bytes: it is decoded before its proof can be checked, and has an
/// id, some numbers, a hash and a signature.
const MAX_PEER_REQUEST: usize = 16 * 1024;

/// A silent connection is asked this often whether it lives, and has so long to say so.
const KEEP_ALIVE: Duration = Duration::from_secs(20);
const KEEP_ALIVE_ANSWER: Duration = Duration::from_secs(10);

/// How long any call may take until its answer begins, the sending of its request included: longer than
/// what is asked for may take. Streams go on for longer.
const BEGINNING: Duration = Duration::from_secs(300);

/// HTTP/2 windows, in bytes: an import fills a 1 Gbit/s line over 10 ms with 1.2 MiB under way.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// How long calls may take to end when the node stops; then they are cut off. The engine answers
/// whoever waits within a second; the rest is for clients to take their answers.
const GRACE: Duration = Duration::from_secs(3);

/// How long the database may still be in use after the calls have ended: what is left are tasks that
/// end at their next step.
const CLOSING: Duration = Duration::from_secs(1);

/// Runs a node until `shutdown` resolves; `ready` is told the address served.
///
/// # Errors
/// Why it did not start, or what ended it.
pub async fn run(
    config: Config,
    shutdown: impl Future<Output = ()> + Send,
    ready: oneshot::Sender<SocketAddr>,
) -> Result<(), RunError> {
    let mut issuers =
        issuers::load(&config).map_err(|(issuer, source)| RunError::Issuer { issuer, source })?;
    let gate = Gate::new(Arc::clone(&issuers.authenticator));
    let tls = ("grpc.tls", config.grpc.tls.as_ref());
    let listener = Listener::open(config.grpc.listen, tls, tls::HTTP2, &mut issuers.reloads)?;
    let tiles = match &config.http {
        Some(http) => {
            let tls = ("http.tls", http.tls.as_ref());
            Some(Listener::open(http.listen, tls, tls::HTTP1, &mut issuers.reloads)?)
        }
        None => None,
    };
    let opened = open(&config).await?;
    let (store, vault) = (Arc::clone(&opened.store), Arc::clone(&opened.vault));
    let stopping = CancellationToken::new();
    let mut shutdown = std::pin::pin!(shutdown);
    // A start waits for the broker and for issuers, and may be told to stop meanwhile.
    let begun = tokio::select! {
        biased;
        () = shutdown.as_mut() => None,
        begun = Begun::new(&config, opened, issuers, &stopping) => Some(begun),
    };
    let ended = match begun {
        Some(Ok(begun)) => {
            begun.serve(&config, gate, (listener, tiles), &stopping, shutdown, ready).await
        }
        Some(Err(failed)) => Err(failed),
        None => Ok(()),
    };
    // Also a node that ends by itself tells whoever waits.
    stopping.cancel();
    closed(store).await;
    closed(vault).await;
    tracing::info!(node = %config.node.id.0, "stopped");
    ended
}

/// A node whose engine works, before it serves.
struct Begun {
    engine: Engine,
    background: Background,
    /// What goes on beside it.
    follows: Follows,
}

type Follows = (Vec<AbortOnDropHandle<()>>, AbortOnDropHandle<()>, AbortOnDropHandle<()>);

impl Begun {
    async fn new(
        config: &Config,
        opened: Opened,
        issuers: Issuers,
        stopping: &CancellationToken,
    ) -> Result<Self, RunError> {
        let Issuers { authenticator, reloads, published } = issuers;
        let journal = connect(config).await?;
        check_broker(&journal, config).await?;
        let background = Background::start().map_err(RunError::Threads)?;
        let engine = start(config, opened, journal, stopping.clone())?;
        let announces = announce(authenticator, engine.clone());
        let troubles = Troubles::new(engine.clone());
        // Before the first call: it may carry a token that is to be verified with what they publish.
        let published = published.into_iter().map(|published| published.follow(troubles.clone()));
        let published = futures::future::join_all(published).await;
        let follows = (published, reload::follow(reloads, troubles), announces);
        Ok(Self { engine, background, follows })
    }

    /// Serves until `shutdown` resolves, the node is retired, or something fails.
    async fn serve(
        self,
        config: &Config,
        gate: Gate,
        (listener, tiles): (Listener, Option<Listener>),
        stopping: &CancellationToken,
        shutdown: impl Future<Output = ()>,
        ready: oneshot::Sender<SocketAddr>,
    ) -> Result<(), RunError> {
        let Self { engine, background, follows } = self;
        let (address, genesis) = (listener.address, config.ledgers.records.0);
        let services = Services::new(
            engine.clone(),
            gate.clone(),
            genesis,
            background.handle(),
            stopping.clone(),
        );
        let (reporter, health_service) = tonic_health::server::health_reporter();
        let health =
            AbortOnDropHandle::new(tokio::spawn(health::follow(engine.clone(), reporter.clone())));
        let routes = routes(&services, health_service)?;
        drop(services);
        write_address(&config.node.data, address)?;
        tracing::info!(node = %config.node.id.0, name = config.node.name, %address, "serving");
        // Nobody may be waiting to hear it.
        let _ = ready.send(address);

        let witnesses = witness::hand_over(&engine, &config.witnesses);
        let tiles = http::run(&engine, &gate, config, tiles, stopping);
        let served = serve(gate, routes, listener, stopping.clone());
        let ended = tokio::select! {
            ended = served_until(served, shutdown, stopping, &reporter) => ended,
            () = engine.retired() => Err(RunError::Retired),
            failed = tiles => Err(failed),
        };
        stopping.cancel();
        drop((health, witnesses, follows));
        drop(engine);
        background.stop().await;
        ended
    }
}

/// What is on disk.
pub(crate) struct Opened {
    block_key: SigningKey,
    note_keys: NoteKeys,
    vault: Arc<Vault>,
    keys_set_aside: Option<SetAside>,
    pub(crate) store: Arc<Store>,
}

/// Opens the databases, off the runtime: a long WAL takes seconds.
pub(crate) async fn open(config: &Config) -> Result<Opened, RunError> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || {
        let node = &config.node;
        let key = |file| keys::read_secret(file).map(|secret| SigningKey::from_bytes(&secret));
        let block_key = key(&node.block_key)?;
        let note_keys =
            NoteKeys { checkpoint: key(&node.checkpoint_key)?, cosigner: key(&node.cosigner_key)? };
        std::fs::create_dir_all(&node.data)
            .map_err(|source| RunError::Data { file: node.data.clone(), source })?;
        let (vault, keys_set_aside) = open_vault(node)?;
        let vault = Arc::new(vault);
        let pins = [
            LedgerPin { ledger: LedgerId::RECORDS, genesis: config.ledgers.records.0 },
            LedgerPin { ledger: LedgerId::ACCESS, genesis: config.ledgers.access.0 },
        ];
        let store = Arc::new(Store::open(&node.data, &pins, Arc::clone(&vault))?);
        Ok(Opened { block_key, note_keys, vault, keys_set_aside, store })
    })
    .await?
}

/// Opens the key database. A damaged one is set aside: its keys come again from the bucket, which has
/// them all unless it lost some meanwhile.
fn open_vault(node: &config::Node) -> Result<(Vault, Option<SetAside>), RunError> {
    let open = || Vault::open(&node.data, node.kek.load()?);
    let path = node.data.join("keys");
    let gone = store::position_file(&node.data).exists() && !path.join("CURRENT").exists();
    let at = |source| RunError::Data { file: path.clone(), source };
    // Opened first, whatever was met in it: it may be in use, or its keys not be given.
    let why = match open() {
        Err(damage) if damage.is_damage() => store::causes(&damage),
        Err(error) => return Err(error.into()),
        Ok(vault) if gone => {
            // What was met went with it.
            vault::damage_dealt_with(&node.data).map_err(at)?;
            let why = "it is gone".to_owned();
            return Ok((vault, Some(SetAside { name: "keys", kept: None, why })));
        }
        Ok(vault) => match vault::damage_met(&node.data) {
            None => return Ok((vault, None)),
            Some(why) => {
                drop(vault);
                why
            }
        },
    };
    // In this order: if the node ends between the two, what is damaged is met again.
    vault::damage_dealt_with(&node.data).map_err(at)?;
    let kept = Some(store::set_aside(&path).map_err(at)?);
    Ok((open()?, Some(SetAside { name: "keys", kept, why })))
}

/// Connects to the configured broker.
pub(crate) async fn connect(config: &Config) -> Result<Journal, journal::ConnectError> {
    let credentials = config
        .nats
        .credentials
        .clone()
        .map(|file| Credentials { file: Some(file), ..Credentials::default() });
    Journal::connect(&config.nats.url, credentials.as_ref()).await
}

/// Refuses to start with a broker that is too weak; one that cannot be asked is asked again later.
async fn check_broker(journal: &Journal, config: &Config) -> Result<(), RunError> {
    match journal.check_servers(&config.nats.monitor).await {
        Ok(()) => Ok(()),
        Err(unreachable @ ServerCheckError::Unreachable { .. }) => {
            tracing::warn!(error = %unreachable, "the broker's settings are not known yet");
            Ok(())
        }
        Err(error @ (ServerCheckError::Weaker(_) | ServerCheckError::NoMonitors)) => {
            Err(RunError::BrokerSettings(error))
        }
    }
}

fn start(
    config: &Config,
    opened: Opened,
    journal: Journal,
    stopping: CancellationToken,
) -> Result<Engine, RunError> {
    let side = |ledger, genesis| Side {
        ledger,
        genesis,
        stream: names::stream(&journal, ledger, config.nats.replicas),
    };
    let node = config.node.id.0;
    let genesis = config.ledgers.records.0;
    let authority = match &config.grpc.peer_ca {
        Some(file) => {
            Some(files::read(std::slice::from_ref(file)).map_err(RunError::PeerAuthority)?)
        }
        None => None,
    };
    let authority = authority.as_ref().map(|read| read.file(0));
    let peers = peers::peers(&config.peers, authority, node, &opened.block_key, genesis)
        .map_err(RunError::Peer)?;
    let setup = Setup {
        node,
        block_key: opened.block_key,
        note_keys: opened.note_keys,
        store: opened.store,
        vault: opened.vault,
        keys_set_aside: opened.keys_set_aside,
        records: side(LedgerId::RECORDS, genesis),
        access: side(LedgerId::ACCESS, config.ledgers.access.0),
        bucket: names::bucket(&journal, config.nats.replicas),
        journal,
        monitors: config.nats.monitor.clone(),
        peers,
        witnesses: witness::setup(&config.witnesses),
        clock: Clock::system(),
        time_zone: config.node.time_zone.clone(),
        stopping,
    };
    Engine::start(setup).map_err(|failure| {
        let told = failure.to_string();
        RunError::Engine(if let Failure::Internal { cause } = failure { cause } else { told })
    })
}

fn routes<H>(
    services: &Services,
    health: tonic_health::pb::health_server::HealthServer<H>,
) -> Result<Routes, tonic_reflection::server::Error>
where
    H: tonic_health::pb::health_server::Health,
{
    macro_rules! limited {
        ($server:ident) => {
            $server::new(services.clone())
                .max_decoding_message_size(MAX_MESSAGE)
                .max_encoding_message_size(MAX_MESSAGE)
                .accept_compressed(CompressionEncoding::Gzip)
                .send_compressed(CompressionEncoding::Gzip)
        };
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(api::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    Ok(Routes::new(limited!(PatientFileServiceServer))
        .add_service(limited!(ImportServiceServer))
        .add_service(limited!(AuditServiceServer))
        .add_service(limited!(LedgerServiceServer))
        .add_service(limited!(ProofServiceServer))
        .add_service(limited!(EvidenceServiceServer))
        .add_service(limited!(StaffServiceServer))
        .add_service(limited!(PolicyServiceServer))
        .add_service(limited!(EmergencyAccessServiceServer))
        .add_service(limited!(PrivacyIncidentServiceServer))
        .add_service(limited!(PeerServiceServer).max_decoding_message_size(MAX_PEER_REQUEST))
        .add_service(health.accept_compressed(CompressionEncoding::Gzip))
        .add_service(reflection().build_v1()?.accept_compressed(CompressionEncoding::Gzip))
        .add_service(reflection().build_v1alpha()?.accept_compressed(CompressionEncoding::Gzip)))
}

async fn serve(
    gate: Gate,
    routes: Routes,
    listener: Listener,
    stopping: CancellationToken,
) -> Result<(), RunError> {
    let incoming = TcpIncoming::from(listener.socket)
        .with_nodelay(Some(true))
        .with_keepalive(Some(KEEP_ALIVE));
    let incoming = tls::incoming(incoming, listener.tls, gate.clone(), tls::CONNECTIONS);
    Server::builder()
        .timeout(BEGINNING)
        .max_concurrent_streams(CONNECTION_STREAMS)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .http2_keepalive_timeout(Some(KEEP_ALIVE_ANSWER))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .layer(gate)
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, stopping.cancelled_owned())
        .await
        .map_err(RunError::Serve)
}

/// Serves until told to stop, then until the calls have ended or their grace has.
async fn served_until(
    served: impl Future<Output = Result<(), RunError>>,
    shutdown: impl Future<Output = ()>,
    stopping: &CancellationToken,
    reporter: &tonic_health::server::HealthReporter,
) -> Result<(), RunError> {
    let mut served = std::pin::pin!(served);
    tokio::select! {
        ended = served.as_mut() => return ended,
        () = shutdown => {}
    }
    health::stop(reporter).await;
    stopping.cancel();
    if let Ok(ended) = tokio::time::timeout(GRACE, served).await {
        ended
    } else {
        tracing::warn!("calls that did not end in time were cut off");
        Ok(())
    }
}

/// Waits until nobody else holds a database, and closes it: whoever starts the node again finds it free.
/// Here, and not wherever it is let go last: a process that ends while another thread closes a database
/// is aborted by RocksDB.
async fn closed<T: Send + Sync + 'static>(database: Arc<T>) {
    let mut look = tokio::time::interval(Duration::from_millis(5));
    let free = async {
        while Arc::strong_count(&database) > 1 {
            look.tick().await;
        }
    };
    if tokio::time::timeout(CLOSING, free).await.is_err() {
        tracing::warn!("a database is still in use");
    }
    // It can only have panicked; it is let go then too.
    let _ = tokio::task::spawn_blocking(move || drop(database)).await;
}

/// Writes the address served, for whoever configured port 0.
fn write_address(data: &Path, address: SocketAddr) -> Result<(), RunError> {
    let file = data.join(names::ADDRESS_FILE);
    let failed = |source| RunError::Data { file: file.clone(), source };
    // Renamed into place: a reader sees the whole address or the one before.
    let fresh = file.with_extension("new");
    std::fs::write(&fresh, format!("{address}\n")).map_err(failed)?;
    std::fs::rename(&fresh, &file).map_err(failed)
}
