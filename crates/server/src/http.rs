//! The ledgers over HTTP, for other people's verifiers: as c2sp.org/tlog-tiles says, to the byte.
//!
//! | path under `/<ledger>/<genesis hash>/`, which is the end of its origin | for | cached |
//! |---|---|---|
//! | `checkpoint` | everybody | no |
//! | `tile/<level>/<number>` | everybody: hashes show nothing | for ever |
//! | `tile/entries/<number>` | who may read the audit trail, by bearer token; each is on record before it leaves | by the caller alone, for ever |
//! | `control/<position>` | the same; not of tlog-tiles: the body of a control record, for who checks membership | the same |
//!
//! On an address of its own, so that a hospital can show it to the world without the gRPC services.

use std::sync::Arc;
use std::time::Duration;

use ::ledger::{LedgerId, TileId, TileKind, TilePath};
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use engine::{Context, Engine, Failure, Operation, Purpose, Shown};
use http::{HeaderMap, StatusCode, header};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Config, Ledgers};
use crate::deadline;
use crate::gate::Gate;
use crate::listener::Listener;
use crate::run::RunError;
use crate::tls::{self, Peer, Tls};

/// Connections at once, so that nobody takes the descriptors that gRPC and the database need.
const CONNECTIONS: usize = 256;
/// How long a connection may take to ask for something, the next time too.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a connection may last, whatever it does: one that never reads its answers has no other limit.
/// What is being answered then is answered first, if it is read.
const LIFETIME: Duration = Duration::from_secs(600);

const FOR_EVER: &str = "public, max-age=31536000, immutable";
const BY_THE_CALLER: &str = "private, max-age=31536000, immutable";
const NOT: &str = "no-cache";

/// What is asked.
#[derive(Debug, Clone)]
struct Tiles {
    engine: Engine,
    gate: Gate,
    /// Each ledger and the path it is served under.
    prefixes: [(LedgerId, String); 2],
}

/// Serves checkpoints and tiles where that is configured; resolves when it fails.
pub(crate) fn run(
    engine: &Engine,
    gate: &Gate,
    config: &Config,
    listener: Option<Listener>,
    stopping: &CancellationToken,
) -> impl Future<Output = RunError> + use<> {
    let served = listener.map(|listener| {
        let (engine, gate, stopping) = (engine.clone(), gate.clone(), stopping.clone());
        let ledgers = config.ledgers.clone();
        // A task of its own: it goes on while the node's calls come to their end.
        let serving = async move { serve(engine, gate, &ledgers, listener, stopping).await };
        AbortOnDropHandle::new(tokio::spawn(serving))
    });
    async move {
        match served {
            None => std::future::pending().await,
            Some(served) => match served.await {
                Err(ended) => RunError::Task(ended),
                // Told to stop.
                Ok(()) => std::future::pending().await,
            },
        }
    }
}

/// Serves until `stopping` is cancelled.
async fn serve(
    engine: Engine,
    gate: Gate,
    ledgers: &Ledgers,
    listener: Listener,
    stopping: CancellationToken,
) {
    let prefix = |ledger: LedgerId, genesis| (ledger, format!("{ledger}/{genesis}"));
    let prefixes =
        [prefix(LedgerId::RECORDS, ledgers.records.0), prefix(LedgerId::ACCESS, ledgers.access.0)];
    let router = Router::new()
        .route("/{ledger}/{genesis}/checkpoint", get(checkpoint))
        .route("/{ledger}/{genesis}/tile/{*tile}", get(tile))
        .route("/{ledger}/{genesis}/control/{position}", get(control))
        .with_state(Tiles { engine, gate: gate.clone(), prefixes });
    // Whoever is served when the node stops is let go with this.
    let (mut connections, places) = (JoinSet::new(), Arc::new(Semaphore::new(CONNECTIONS)));
    loop {
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            () = stopping.cancelled() => return,
        };
        while connections.try_join_next().is_some() {}
        match (accepted, Arc::clone(&places).try_acquire_owned()) {
            (Ok((stream, _)), Ok(place)) => {
                let (tls, gate, router) = (listener.tls.clone(), gate.clone(), router.clone());
                connections.spawn(connection(stream, tls, gate, router, place));
            }
            // Closed at once: whoever holds a place has ten seconds to ask for something.
            (Ok(_), Err(_)) => tracing::debug!("all places for HTTP connections are taken"),
            (Err(error), _) => {
                tracing::warn!(%error, "an HTTP connection cannot be taken");
                pause().await;
            }
        }
    }
}

/// One connection, for as long as it asks for something.
async fn connection(
    stream: TcpStream,
    tls: Option<Tls>,
    gate: Gate,
    router: Router,
    _place: OwnedSemaphorePermit,
) {
    let Some(stream) = tls::handshake(stream, tls.as_ref(), &gate).await else { return };
    let router = router.layer(Extension(stream.peer().clone()));
    if let Err(error) = answered(stream, router).await {
        tracing::debug!(%error, "an HTTP connection ended early");
    }
}

/// Answers what is asked over a connection until it ends, or its time does.
async fn answered(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
) -> Result<(), String> {
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = match timeout(LIFETIME, served.as_mut()).await {
        Ok(ended) => ended,
        Err(_) => {
            served.as_mut().graceful_shutdown();
            timeout(PATIENCE, served).await.map_err(|_| "its answers are not read".to_owned())?
        }
    };
    ended.map_err(|error| error.to_string())
}

#[expect(clippy::disallowed_methods, reason = "out of descriptors: others must close some first")]
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

impl Tiles {
    fn ledger(&self, ledger: &str, genesis: &str) -> Option<LedgerId> {
        let asked = format!("{ledger}/{genesis}");
        self.prefixes.iter().find(|(_, prefix)| *prefix == asked).map(|(ledger, _)| *ledger)
    }
}

async fn checkpoint(
    State(tiles): State<Tiles>,
    Path((ledger, genesis)): Path<(String, String)>,
) -> Response {
    let found = tiles.ledger(&ledger, &genesis).ok_or(Failure::NotFound);
    match found.and_then(|ledger| tiles.engine.checkpoint(ledger)) {
        Ok(found) => answer("text/plain; charset=utf-8", NOT, found.note.to_string().into_bytes()),
        Err(failure) => refusal(&failure),
    }
}

async fn tile(
    State(tiles): State<Tiles>,
    Path((ledger, genesis, tile)): Path<(String, String, String)>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let path = format!("tile/{tile}");
    let Some(ledger) = tiles.ledger(&ledger, &genesis) else { return refusal(&Failure::NotFound) };
    let Ok(asked) = path.parse::<TilePath>() else { return refusal(&Failure::NotFound) };
    let width = usize::from(asked.width);
    let level = match asked.kind {
        TileKind::Hashes(level) => level,
        TileKind::Entries => return entries(&tiles, ledger, asked, &peer, &headers).await,
    };
    let id = TileId { level, index: asked.index };
    match tiles.engine.tile(ledger, id, width) {
        Ok(Some(tile)) => answer("application/octet-stream", FOR_EVER, tile),
        Ok(None) => refusal(&Failure::NotFound),
        Err(failure) => refusal(&failure),
    }
}

async fn entries(
    tiles: &Tiles,
    ledger: LedgerId,
    asked: TilePath,
    peer: &Peer,
    headers: &HeaderMap,
) -> Response {
    let width = usize::from(asked.width);
    let read = async |context: Context| {
        tiles.engine.entry_bundle(&context, ledger, asked.index, width).await
    };
    on_record(tiles, format!("{ledger}/{asked}"), peer, headers, read).await
}

async fn control(
    State(tiles): State<Tiles>,
    Path((ledger, genesis, asked)): Path<(String, String, String)>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
) -> Response {
    let Some(ledger) = tiles.ledger(&ledger, &genesis) else { return refusal(&Failure::NotFound) };
    // What is kept for ever has one address.
    let position = asked.parse::<u64>().ok().filter(|position| position.to_string() == asked);
    let Some(position) = position else { return refusal(&Failure::NotFound) };
    let read = async |context: Context| tiles.engine.control_body(&context, ledger, position).await;
    on_record(&tiles, format!("{ledger}/control/{position}"), &peer, &headers, read).await
}

/// What only who may read the audit trail is shown: `read` puts it on record.
async fn on_record(
    tiles: &Tiles,
    asked: String,
    peer: &Peer,
    headers: &HeaderMap,
    read: impl AsyncFnOnce(Context) -> Result<Shown<Vec<u8>>, Failure>,
) -> Response {
    let caller = match tiles.gate.caller(headers, peer) {
        Ok(verified) => verified.caller,
        Err(refused) => {
            let told = format!(
                "entries show who filed what when, to auditors and compliance officers: {}: {}\n",
                refused.code(),
                refused.message()
            );
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")], told)
                .into_response();
        }
    };
    let Ok(_place) = tiles.gate.place() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "the node has too many calls in flight\n")
            .into_response();
    };
    let context = Context {
        caller,
        purpose: Purpose::COMPLIANCE,
        reason: None,
        operation: Operation::ReadEntries,
        request: asked.into_bytes(),
        patience: deadline::patience(headers),
    };
    match read(context).await {
        Ok(shown) => answer("application/octet-stream", BY_THE_CALLER, shown.answer),
        Err(failure) => refusal(&failure),
    }
}

fn answer(kind: &'static str, cached: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, cached)], body).into_response()
}

/// What is wrong, for people: verifiers go by the number.
fn refusal(failure: &Failure) -> Response {
    let status = match failure {
        Failure::NotFound => StatusCode::NOT_FOUND,
        Failure::Denied { .. } | Failure::EntryMasked { .. } => StatusCode::FORBIDDEN,
        Failure::Unavailable { .. }
        | Failure::CatchingUp { .. }
        | Failure::NotFiled { .. }
        | Failure::OutcomeUnknown => StatusCode::SERVICE_UNAVAILABLE,
        Failure::Exhausted { .. } => StatusCode::TOO_MANY_REQUESTS,
        Failure::Invalid(_)
        | Failure::Refused { .. }
        | Failure::VersionConflict { .. }
        | Failure::RequestIdReused
        | Failure::RequestAbandoned => StatusCode::BAD_REQUEST,
        Failure::Damaged { .. } | Failure::Internal { .. } => {
            tracing::error!(?failure, "a tile cannot be served");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    let told = if matches!(failure, Failure::NotFound) {
        "there is no such ledger, or not so much of it\n".to_owned()
    } else if matches!(failure, Failure::Internal { .. }) {
        "the node failed; its log says how\n".to_owned()
    } else {
        format!("{failure}\n")
    };
    (status, [(header::CACHE_CONTROL, NOT)], told).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_asks_and_asks_and_reads_nothing_is_cut_off() {
        let router = Router::new().route("/", get(|| async { "an answer" }));
        let (mut client, node) = tokio::io::duplex(1_024);
        let asking = tokio::spawn(async move {
            while client.write_all(b"GET / HTTP/1.1\r\nhost: node\r\n\r\n").await.is_ok() {}
        });
        let ended = timeout(2 * LIFETIME, answered(node, router)).await;
        assert_eq!(ended.expect("cut off"), Err("its answers are not read".to_owned()));
        asking.await.expect("it notices");
    }
}
