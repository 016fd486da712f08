//! What every call passes before any of it is decoded: limits, credentials, a net for panics.
//!
//! The gate denies by default. A path is open (health, reflection), a peer's (its proof is in the
//! message and checked by the peer service), or it needs credentials; a new service needs them without
//! anybody remembering to say so.

#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use http::{HeaderMap, Request, Response, header};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::auth::{self, Authenticator, Refused, Verified};
use crate::call::{Call, Origin};
use crate::refusals::Refusals;
use crate::tls::{Peer, Presented};
use crate::{clock, deadline, status, undecodable};

/// Calls in flight on a node, streams included. One costs at most its 4 MiB request and usually
/// some kilobytes; what is beyond would only wait in the writer's queue.
pub const CALLS_IN_FLIGHT: usize = 4_096;

/// Streams among them, so that watchers who stay for hours leave three quarters to others.
pub const STREAMS_IN_FLIGHT: usize = 1_024;

/// Import streams among those: each holds a window of up to 16 MiB, half a gigabyte in all.
pub const IMPORTS_IN_FLIGHT: usize = 32;

/// Calls without credentials (health, reflection) in flight. An own number: an orchestrator gets
/// its answer also when the node is overloaded.
const OPEN_IN_FLIGHT: usize = 256;

/// Streams without credentials (who watches health, reflection) open: what answers at once gives its
/// place above back, and stays. Apart, so that a plain check has its place whoever watches.
const OPEN_STREAMS: usize = 256;

/// Calls of peers in flight, likewise: whoever floods the health service does not keep nodes apart.
const PEERS_IN_FLIGHT: usize = 256;

/// How long a call of those two kinds may take, its request included, until its answer begins: peers wait
/// no longer. Whoever calls needs no credentials, and would hold a place by never sending the request.
const WITHOUT_CREDENTIALS: Duration = Duration::from_secs(5);

/// When a caller should try again after a limit was reached: calls take milliseconds.
const RETRY_AFTER: Duration = Duration::from_millis(500);

const OPEN: [&str; 3] =
    ["/grpc.health.v1.Health/", "/grpc.reflection.v1.", "/grpc.reflection.v1alpha."];
/// The open call that is no stream, and that an orchestrator depends on.
const CHECK: &str = "/grpc.health.v1.Health/Check";
const PEERS: &str = "/caseledger.v1.PeerService/";

/// The gate, as a layer around all services.
#[derive(Debug, Clone)]
pub struct Gate {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    authenticator: Arc<Authenticator>,
    refusals: Refusals,
    calls: Arc<Semaphore>,
    open: Arc<Semaphore>,
    open_streams: Arc<Semaphore>,
    peers: Arc<Semaphore>,
    streams: Slots,
}

/// Places for streams, which stay.
#[derive(Debug, Clone)]
pub struct Slots {
    watches: Arc<Semaphore>,
    imports: Arc<Semaphore>,
}

impl Slots {
    fn new() -> Self {
        Self {
            watches: Arc::new(Semaphore::new(STREAMS_IN_FLIGHT)),
            imports: Arc::new(Semaphore::new(IMPORTS_IN_FLIGHT)),
        }
    }

    /// A place for a stream of changes, held until dropped.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`.
    pub fn watch(&self) -> Result<OwnedSemaphorePermit, Status> {
        place(&self.watches, "the limit of 1,024 open streams of this node")
    }

    /// A place for an import, held until dropped.
    ///
    /// # Errors
    /// `RESOURCE_EXHAUSTED`.
    pub fn import(&self) -> Result<OwnedSemaphorePermit, Status> {
        place(&self.imports, "the limit of 32 imports at once of this node")
    }
}

fn place(places: &Arc<Semaphore>, limit: &str) -> Result<OwnedSemaphorePermit, Status> {
    Arc::clone(places).try_acquire_owned().map_err(|_| status::exhausted(limit, RETRY_AFTER))
}

/// What a call got on its way in; dropped when it is answered.
struct Admitted {
    call: Option<String>,
    place: Arc<OwnedSemaphorePermit>,
    /// Of an open stream; dropped when its answer has ended.
    stream: Option<OwnedSemaphorePermit>,
}

impl Gate {
    /// A gate that trusts what `authenticator` trusts.
    #[must_use]
    pub fn new(authenticator: Arc<Authenticator>) -> Self {
        let shared = Shared {
            authenticator,
            refusals: Refusals::default(),
            calls: Arc::new(Semaphore::new(CALLS_IN_FLIGHT)),
            open: Arc::new(Semaphore::new(OPEN_IN_FLIGHT)),
            open_streams: Arc::new(Semaphore::new(OPEN_STREAMS)),
            peers: Arc::new(Semaphore::new(PEERS_IN_FLIGHT)),
            streams: Slots::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Counts a peer call whose proof did not hold.
    pub fn refuse_peer(&self, source: Option<IpAddr>) -> Status {
        self.refuse(source, Refused::Peer);
        status::unauthenticated(Refused::Peer)
    }

    /// Counts a refusal.
    pub(crate) fn refuse(&self, source: Option<IpAddr>, refused: Refused) {
        self.shared.refusals.count(source, refused, clock::seconds());
    }

    /// Places for streams.
    pub(crate) fn slots(&self) -> &Slots {
        &self.shared.streams
    }

    /// Resolves, with the reason, when this caller's token is taken back.
    pub(crate) fn taken_back(
        &self,
        verified: &Verified,
    ) -> impl Future<Output = Refused> + Send + use<> {
        self.shared.authenticator.taken_back(verified)
    }

    /// Refusals of the last hour.
    #[must_use]
    pub fn refusals(&self) -> Vec<crate::refusals::Count> {
        self.shared.refusals.counts()
    }

    /// A place among the calls in flight, held until dropped.
    pub(crate) fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        place(&self.shared.calls, "the limit of 4,096 calls in flight of this node")
    }

    /// Who calls, by client certificate and bearer token; a refusal is counted.
    pub(crate) fn caller(&self, headers: &HeaderMap, peer: &Peer) -> Result<Verified, Refused> {
        let (shared, now) = (&*self.shared, clock::seconds());
        let address = peer.address.map(|address| address.ip());
        let mut verified = auth::authorization(headers)
            .and_then(|value| shared.authenticator.verify(value, &peer.presented, now))
            .inspect_err(|refused| shared.refusals.count(address, *refused, now))?;
        verified.caller.network = address.map(|address| address.to_string());
        Ok(verified)
    }

    fn admit(&self, request: &mut Request<Body>) -> Result<Admitted, Status> {
        let shared = &*self.shared;
        let path = request.uri().path();
        let without_caller = if OPEN.iter().any(|prefix| path.starts_with(prefix)) {
            Some((&shared.open, "the limit of 256 open calls of this node"))
        } else if path.starts_with(PEERS) {
            Some((&shared.peers, "the limit of 256 peer calls of this node"))
        } else {
            None
        };
        // A connection that nothing is known of has presented nothing.
        let unknown = Peer { address: None, presented: Presented::Nothing };
        let peer = request.extensions().get::<Peer>().unwrap_or(&unknown);
        if let Some((places, limit)) = without_caller {
            let held = place(places, limit)?;
            let stream = (!path.starts_with(PEERS) && path != CHECK).then(|| {
                let limit = "the limit of 256 open streams without credentials of this node";
                place(&shared.open_streams, limit)
            });
            let stream = stream.transpose()?;
            let address = peer.address.map(|address| address.ip());
            request.extensions_mut().insert(Origin { address });
            return Ok(Admitted { call: None, place: Arc::new(held), stream });
        }
        let place = Arc::new(self.place()?);
        let verified = self.caller(request.headers(), peer).map_err(status::unauthenticated)?;
        let patience = deadline::patience(request.headers());
        let call = Call::new(verified, patience, Arc::clone(&place), self.clone());
        let id = call.id().to_owned();
        // A token has no business beyond the gate, where it might be logged.
        request.headers_mut().remove(header::AUTHORIZATION);
        request.extensions_mut().insert(call);
        Ok(Admitted { call: Some(id), place, stream: None })
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { gate: self.clone(), inner }
    }
}

/// The services behind the gate.
#[derive(Debug, Clone)]
pub struct Gated<S> {
    gate: Gate,
    inner: S,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Answer {
        let admitted = match self.gate.admit(&mut request) {
            Ok(admitted) => admitted,
            Err(refused) => return Box::pin(std::future::ready(Ok(refused.into_http()))),
        };
        let method = request.uri().path().to_owned();
        // The call to the inner service is inside the net too: it may decode eagerly.
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            // Named whole, or the block would take the call's id alone and free its place at once.
            let Admitted { call, place: _held, stream } = admitted;
            let answered = match call {
                Some(_) => answer.await,
                None => match timeout(WITHOUT_CREDENTIALS, answer).await {
                    Ok(answered) => answered,
                    Err(_) => return Ok(status::too_slow().into_http()),
                },
            };
            let id = call.as_deref().unwrap_or_default();
            let response = match answered {
                Ok(Ok(response)) => undecodable::refine(response),
                Ok(Err(never)) => match never {},
                Err(panic) => {
                    tracing::error!(call = id, method, panic = said(&*panic), "a handler panicked");
                    status::internal(id).into_http()
                }
            };
            log(&method, id, &response);
            Ok(match stream {
                Some(place) => response.map(|body| holding(body, place)),
                None => response,
            })
        })
    }
}

/// The answer, with its place until it has ended or is dropped.
fn holding(body: Body, place: OwnedSemaphorePermit) -> Body {
    Body::new(body.map_frame(move |frame| {
        let _held = &place;
        frame
    }))
}

/// What a panic says. Our own panics hold no patient data: nothing panics with a value.
pub(crate) fn said(panic: &(dyn std::any::Any + Send)) -> &str {
    panic
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text")
}

/// Answers that end in an error carry it in their headers; the others end well, or later.
fn log(method: &str, call: &str, response: &Response<Body>) {
    if tracing::enabled!(tracing::Level::DEBUG) {
        let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |s| s.code());
        tracing::debug!(method, call, ?code, "answered");
    }
}
