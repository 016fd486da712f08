//! Connections that are through with their handshake, or that need none.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;
use tonic::transport::server::{Connected, TcpIncoming};

use super::{Certificate, Presented, Tls};
use crate::auth::Refused;
use crate::gate::Gate;
use crate::http::pause;

/// How long a handshake may take: two round trips and two signatures.
const PATIENCE: Duration = Duration::from_secs(5);

/// What every client of HTTP/2 sends first, in bytes. From then on the server asks whether it lives.
const PREFACE: usize = 24;

/// Handshakes under way. Who is silent holds one for `PATIENCE`.
const AT_ONCE: usize = 512;

/// Connections to gRPC at most: a hospital's services keep a few each. More would take the descriptors
/// that the database needs.
pub(crate) const CONNECTIONS: usize = 4_096;

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// From where.
    pub address: Option<SocketAddr>,
    /// What it presented.
    pub presented: Presented,
}

/// A connection whose other end is known.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Either<TcpStream, Box<TlsStream<TcpStream>>>,
    peer: Peer,
    /// What is left of the preface, and until when it may come; the HTTP side has its own limit.
    preface: Option<(usize, Pin<Box<Sleep>>)>,
    /// Among those to gRPC; the HTTP side counts its own.
    _place: Option<OwnedSemaphorePermit>,
}

impl Connection {
    /// Who is at the other end.
    pub(crate) fn peer(&self) -> &Peer {
        &self.peer
    }
}

/// All connections that come in, each when its handshake is through, and so many of them at once; one more
/// is closed. One that fails is not heard of again, but for its log line and, if it is for the certificate,
/// its count.
pub(crate) fn incoming(
    listener: TcpIncoming,
    tls: Option<Tls>,
    gate: Gate,
    at_once: usize,
) -> impl Stream<Item = io::Result<Connection>> {
    let (places, closed) = (Arc::new(Semaphore::new(at_once)), Arc::new(AtomicU64::new(0)));
    listener
        .then(taken)
        .filter_map(std::future::ready)
        .map(move |stream| {
            let (tls, gate, closed) = (tls.clone(), gate.clone(), Arc::clone(&closed));
            let place = Arc::clone(&places).try_acquire_owned();
            async move {
                let Ok(place) = place else {
                    let closed = closed.fetch_add(1, Ordering::Relaxed) + 1;
                    // A flood makes twenty lines, not a million.
                    if closed.is_power_of_two() {
                        tracing::warn!(closed, at_once, "all places for connections are taken");
                    }
                    return None;
                };
                // Signing takes time; nobody else's handshake waits for it.
                let shaken =
                    tokio::spawn(async move { handshake(stream, tls.as_ref(), &gate).await });
                let connection = shaken.await.ok().flatten()?;
                let preface = Some((PREFACE, Box::pin(patience())));
                Some(Ok(Connection { _place: Some(place), preface, ..connection }))
            }
        })
        .buffer_unordered(AT_ONCE)
        .filter_map(std::future::ready)
}

#[expect(clippy::disallowed_methods, reason = "the limit of a connection that says nothing")]
fn patience() -> Sleep {
    tokio::time::sleep(PATIENCE)
}

/// A connection, unless it cannot be taken: out of descriptors, others must close some first.
async fn taken(accepted: io::Result<TcpStream>) -> Option<TcpStream> {
    match accepted {
        Ok(stream) => Some(stream),
        Err(error) => {
            tracing::warn!(%error, "a connection cannot be taken");
            pause().await;
            None
        }
    }
}

/// Takes a connection as it is, or through its handshake; none if that fails.
pub(crate) async fn handshake(
    stream: TcpStream,
    tls: Option<&Tls>,
    gate: &Gate,
) -> Option<Connection> {
    let address = stream.peer_addr().ok();
    let Some(tls) = tls else {
        let peer = Peer { address, presented: Presented::NotAsked };
        let stream = Either::Left(stream);
        return Some(Connection { stream, peer, preface: None, _place: None });
    };
    let config: Arc<ServerConfig> = Arc::clone(&tls.current.borrow());
    let failed =
        match tokio::time::timeout(PATIENCE, TlsAcceptor::from(config).accept(stream)).await {
            Ok(Ok(stream)) => {
                let presented = presented(&stream, tls.asks);
                let stream = Either::Right(Box::new(stream));
                let peer = Peer { address, presented };
                return Some(Connection { stream, peer, preface: None, _place: None });
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
    let source = address.map(|address| address.ip());
    if refused_certificate(&failed) {
        gate.refuse(source, Refused::Certificate);
    }
    tracing::debug!(?source, error = %failed, "a TLS handshake failed");
    None
}

fn presented(stream: &TlsStream<TcpStream>, asks: bool) -> Presented {
    if !asks {
        return Presented::NotAsked;
    }
    let (_, session) = stream.get_ref();
    match session.peer_certificates().and_then(<[_]>::first) {
        None => Presented::Nothing,
        Some(shown) => Certificate::read(shown)
            .map_or(Presented::Nameless, |read| Presented::Certificate(Arc::new(read))),
    }
}

fn refused_certificate(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some((left, until)) = &mut self.preface {
            *left = left.saturating_sub(buffer.filled().len().saturating_sub(before));
            if *left == 0 {
                self.preface = None;
            } else if read.is_pending() && until.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
