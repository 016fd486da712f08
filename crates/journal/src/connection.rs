//! One connection to the broker, and whether it stands.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event};
use tokio::sync::watch;

use crate::stream::{LedgerStream, StreamSpec, Unavailable};
use crate::{KeyBucket, ServerCheckError, servers};

/// How long one attempt to connect may take before the next server is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The client gives a connection up after two unanswered pings, so a server that vanished without
/// closing the connection is noticed within three of these.
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to reconnect. The client's own four seconds would be most of
/// an outage of five; a refused connection on a local network costs nothing.
const LONGEST_RECONNECT_DELAY: Duration = Duration::from_millis(250);

/// What a node proves itself to the broker with, beyond a user and password in the URL.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    /// A NATS `.creds` file (a user's JWT and nkey seed).
    pub file: Option<PathBuf>,
    /// PEM file of the authority that signed the servers' certificates, where it is not a public one.
    pub authority: Option<PathBuf>,
    /// PEM files of this node's certificate and its private key, for servers that ask for one.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

/// Why no connection could even be attempted. A broker that is merely down is no error: the
/// connection is made once it is up.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The list of URLs is empty or one of them is not a URL.
    #[error(
        "broker address '{address}' is not usable: {cause}; give nats://HOST:PORT or tls://HOST:PORT"
    )]
    Address {
        /// The address as configured, without user and password.
        address: String,
        /// What is wrong with it.
        cause: String,
    },
    /// The credentials file cannot be read.
    #[error("broker credentials {} cannot be used: {cause}", path.display())]
    Credentials {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        cause: std::io::Error,
    },
    /// The client refuses the settings as a whole (a certificate that is not PEM, for instance).
    #[error("the connection to the broker cannot be set up: {0}")]
    Settings(#[source] async_nats::ConnectError),
}

/// Whether the connection to the broker stands, as last seen by the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionState {
    /// A server answers.
    Connected,
    /// No server does; the client keeps trying.
    Disconnected,
}

/// One connection to the broker, kept up in the background for as long as any clone exists.
#[derive(Debug, Clone)]
pub struct Journal {
    pub(crate) client: Client,
    state: watch::Receiver<ConnectionState>,
    /// How often the connection was lost. A state alone would hide a loss that was mended before
    /// anyone looked, and with it whatever was on its way.
    pub(crate) losses: watch::Receiver<u64>,
}

impl Journal {
    /// Starts connecting to the servers in `urls` (separated by commas) and returns without waiting
    /// for the first of them to answer, since a node must start, and serve reads, without a broker.
    pub async fn connect(
        urls: &str,
        credentials: Option<&Credentials>,
    ) -> Result<Journal, ConnectError> {
        let addresses = addresses(urls)?;
        let (state_sender, state) = watch::channel(ConnectionState::Disconnected);
        let (loss_sender, losses) = watch::channel(0);
        let options = ConnectOptions::new()
            .name("caseledger")
            .retry_on_initial_connect()
            .connection_timeout(CONNECT_TIMEOUT)
            .ping_interval(PING_INTERVAL)
            .reconnect_delay_callback(reconnect_delay)
            .event_callback(move |event| {
                record(&event, &state_sender, &loss_sender);
                std::future::ready(())
            });
        let options = with_credentials(options, credentials).await?;
        let client = options.connect(addresses).await.map_err(ConnectError::Settings)?;
        Ok(Journal { client, state, losses })
    }

    /// Follows whether the connection stands.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<ConnectionState> {
        self.state.clone()
    }

    /// Follows how often the connection was lost: a loss that was mended at once shows here only.
    #[must_use]
    pub fn losses(&self) -> watch::Receiver<u64> {
        self.losses.clone()
    }

    /// Waits until the connection stands, at most `within`.
    pub async fn connected(&self, within: Duration) -> Result<(), Unavailable> {
        let mut state = self.state();
        let standing = state.wait_for(|state| *state == ConnectionState::Connected);
        match tokio::time::timeout(within, standing).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Unavailable::new("no connection to the broker")),
        }
    }

    /// Whether a message sent now has a connection to go out on.
    pub(crate) fn is_connected(&self) -> bool {
        self.client.connection_state() == async_nats::connection::State::Connected
    }

    /// Refuses a broker that is older or less careful than required: asks each server's monitoring
    /// address (`http://HOST:PORT`) for its settings, which no client connection shows.
    pub async fn check_servers<S: AsRef<str>>(
        &self,
        monitors: &[S],
    ) -> Result<(), ServerCheckError> {
        servers::check(monitors).await
    }

    /// A ledger's stream on this connection. Asks the broker nothing.
    #[must_use]
    pub fn stream(&self, spec: StreamSpec) -> LedgerStream {
        LedgerStream::new(self.clone(), spec)
    }

    /// A bucket of wrapped keys on this connection. Asks the broker nothing.
    #[must_use]
    pub fn bucket(&self, name: &str, replicas: usize) -> KeyBucket {
        KeyBucket::new(self.clone(), name, replicas)
    }
}

fn record(event: &Event, state: &watch::Sender<ConnectionState>, losses: &watch::Sender<u64>) {
    match event {
        Event::Connected => {
            state.send_replace(ConnectionState::Connected);
        }
        Event::Disconnected | Event::Closed => {
            state.send_replace(ConnectionState::Disconnected);
            losses.send_modify(|count| *count = count.saturating_add(1));
        }
        Event::LameDuckMode
        | Event::Draining
        | Event::SlowConsumer(_)
        | Event::ServerError(_)
        | Event::ClientError(_) => tracing::debug!(%event, "broker connection"),
    }
}

/// Doubles from 1 ms. The first attempt after a loss is made at once.
fn reconnect_delay(attempts: usize) -> Duration {
    let doublings = u32::try_from(attempts.saturating_sub(2)).unwrap_or(u32::MAX);
    match attempts {
        0 | 1 => Duration::ZERO,
        _ => Duration::from_millis(2_u64.saturating_pow(doublings)).min(LONGEST_RECONNECT_DELAY),
    }
}

fn addresses(urls: &str) -> Result<Vec<async_nats::ServerAddr>, ConnectError> {
    urls.split(',')
        .map(str::trim)
        .map(|url| {
            url.parse::<async_nats::ServerAddr>().map_err(|cause| ConnectError::Address {
                address: without_login(url),
                cause: cause.to_string(),
            })
        })
        .collect()
}

/// A URL as it may be shown: the part between `//` and `@` is a login.
fn without_login(url: &str) -> String {
    match url.rsplit_once('@') {
        Some((_, host)) => host.to_owned(),
        None => url.to_owned(),
    }
}

async fn with_credentials(
    mut options: ConnectOptions,
    credentials: Option<&Credentials>,
) -> Result<ConnectOptions, ConnectError> {
    let Some(credentials) = credentials else { return Ok(options) };
    if let Some(path) = &credentials.file {
        options = options
            .credentials_file(path)
            .await
            .map_err(|cause| ConnectError::Credentials { path: path.clone(), cause })?;
    }
    if let Some(path) = &credentials.authority {
        options = options.add_root_certificates(path.clone()).require_tls(true);
    }
    if let Some((certificate, key)) = &credentials.certificate {
        options = options.add_client_certificate(certificate.clone(), key.clone());
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_in_an_error_shows_no_login() {
        let error = addresses("nats://a:4222, nats://user:secret@ho st:1").unwrap_err().to_string();
        assert!(error.contains("ho st:1"), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }

    #[test]
    fn reconnecting_starts_at_once_and_slows_to_a_limit() {
        assert_eq!(reconnect_delay(1), Duration::ZERO);
        assert_eq!(reconnect_delay(2), Duration::from_millis(1));
        assert_eq!(reconnect_delay(6), Duration::from_millis(16));
        assert_eq!(reconnect_delay(usize::MAX), LONGEST_RECONNECT_DELAY);
    }
}
