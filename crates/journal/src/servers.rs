//! What each server must be, beyond what a client connection shows: its monitoring address tells
//! whether it syncs every write before it acknowledges it.

use std::time::Duration;

use futures::future::join_all;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::requirement::{Comparison, ConfigDifference};
use crate::stream::MAX_MESSAGE_BYTES;

/// Oldest nats-server that is accepted, as (major, minor, patch). Before 2.15 a replicated stream
/// under `sync_interval: always` synced once a message instead of once an append (about a tenth of
/// the rate); before 2.9.21 it let several writers win one expected sequence.
pub const OLDEST_SERVER: (u64, u64, u64) = (2, 15, 1);

/// A monitoring address is on the same network and answers from memory; whoever wants to publish waits
/// for it.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(1);
/// `/varz` is about 3 KB; a server of many connections' statistics stays far below this.
const LONGEST_ANSWER: u64 = 1024 * 1024;

/// Why the servers were not accepted.
#[derive(Debug, thiserror::Error)]
pub enum ServerCheckError {
    /// No monitoring address is configured, so nothing would be checked.
    #[error(
        "no monitoring address of a broker is configured: give http://HOST:PORT of every server"
    )]
    NoMonitors,
    /// A server does not tell its settings.
    #[error("the broker's monitoring address {monitor} does not tell its settings: {cause}")]
    Unreachable {
        /// The address as configured.
        monitor: String,
        /// What happened.
        cause: String,
    },
    /// A server is too old or not careful enough.
    #[error(transparent)]
    Weaker(#[from] ConfigDifference),
}

#[derive(Deserialize)]
struct Varz {
    version: String,
    max_payload: u64,
    jetstream: Option<JetStream>,
}

#[derive(Deserialize)]
struct JetStream {
    config: Option<JetStreamConfig>,
}

#[derive(Deserialize)]
struct JetStreamConfig {
    /// Nanoseconds. Under `always` the server shows its default here and `sync_always` besides.
    #[serde(default)]
    sync_interval: u64,
    #[serde(default)]
    sync_always: bool,
}

pub(crate) async fn check<S: AsRef<str>>(monitors: &[S]) -> Result<(), ServerCheckError> {
    if monitors.is_empty() {
        return Err(ServerCheckError::NoMonitors);
    }
    let ask = monitors.iter().map(|monitor| settings(monitor.as_ref()));
    let mut unreachable = Ok(());
    for (monitor, told) in monitors.iter().zip(join_all(ask).await) {
        let monitor = monitor.as_ref();
        match told {
            Ok(varz) => compare(monitor, &varz)?,
            // Another may be too weak, and be the one that acknowledges.
            Err(cause) if unreachable.is_ok() => {
                let monitor = monitor.to_owned();
                unreachable = Err(ServerCheckError::Unreachable { monitor, cause });
            }
            Err(_) => {}
        }
    }
    unreachable
}

async fn settings(monitor: &str) -> Result<Varz, String> {
    let body = tokio::time::timeout(MONITOR_TIMEOUT, get(monitor, "/varz"))
        .await
        .unwrap_or_else(|_| Err(format!("no answer within {} s", MONITOR_TIMEOUT.as_secs())))?;
    serde_json::from_slice(&body).map_err(|error| format!("not a varz: {error}"))
}

fn compare(monitor: &str, varz: &Varz) -> Result<(), ConfigDifference> {
    let mut comparison = Comparison::default();
    if version(&varz.version).is_none_or(|version| version < OLDEST_SERVER) {
        let (major, minor, patch) = OLDEST_SERVER;
        comparison.differ(
            "version",
            format!("{major}.{minor}.{patch} or newer"),
            varz.version.clone(),
        );
    }
    if varz.max_payload < MAX_MESSAGE_BYTES {
        let required = format!("at least {MAX_MESSAGE_BYTES}");
        comparison.differ("max_payload", required, varz.max_payload.to_string());
    }
    match varz.jetstream.as_ref().and_then(|jetstream| jetstream.config.as_ref()) {
        None => comparison.differ("jetstream", "on", "off"),
        Some(config) if !config.sync_always => {
            let found = format!("{:?}", Duration::from_nanos(config.sync_interval));
            comparison.differ("sync_interval", "always", found);
        }
        Some(_) => {}
    }
    comparison.into_result(format!("server {monitor}"))
}

/// A pre-release counts as older than its release: `2.15.1-RC.2` is refused.
fn version(text: &str) -> Option<(u64, u64, u64)> {
    let mut parts = text.split('.').map(str::parse::<u64>);
    let version = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    parts.next().is_none().then_some(version)
}

/// HTTP/1.0, so that the server neither chunks its answer nor keeps the connection.
async fn get(monitor: &str, path: &str) -> Result<Vec<u8>, String> {
    let host =
        monitor.strip_prefix("http://").ok_or("it must begin with http://")?.trim_end_matches('/');
    let mut connection = TcpStream::connect(host).await.map_err(|error| error.to_string())?;
    connection
        .write_all(format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").as_bytes())
        .await
        .map_err(|error| error.to_string())?;
    let mut answer = Vec::new();
    connection
        .take(LONGEST_ANSWER)
        .read_to_end(&mut answer)
        .await
        .map_err(|error| error.to_string())?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or("not HTTP")?;
    let (head, body) = answer.split_at(end);
    let status = String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or(head));
    if status.split(' ').nth(1) != Some("200") {
        return Err(status.into_owned());
    }
    Ok(body.get(4..).unwrap_or_default().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varz(version: &str, sync_always: bool) -> Varz {
        let config = JetStreamConfig { sync_interval: 120_000_000_000, sync_always };
        Varz {
            version: version.to_owned(),
            max_payload: 1024 * 1024,
            jetstream: Some(JetStream { config: Some(config) }),
        }
    }

    #[test]
    fn versions_are_compared_as_numbers_and_prereleases_refused() {
        for accepted in ["2.15.1", "2.15.10", "2.16.0", "3.0.0"] {
            assert_eq!(compare("m", &varz(accepted, true)), Ok(()), "{accepted}");
        }
        for refused in ["2.15.0", "2.9.25", "2.15.1-RC.2", "2.15", "dev", ""] {
            assert!(compare("m", &varz(refused, true)).is_err(), "{refused}");
        }
    }

    #[test]
    fn each_weakness_is_named() {
        let mut weak = varz("2.12.8", false);
        weak.max_payload = 65_536;
        assert_eq!(
            compare("http://a:8222", &weak).unwrap_err().to_string(),
            "server http://a:8222 is not set up as required: version must be 2.15.1 or newer but \
             is 2.12.8; max_payload must be at least 540672 but is 65536; sync_interval must be \
             always but is 120s"
        );
        weak.jetstream = None;
        let text = compare("m", &weak).unwrap_err().to_string();
        assert!(text.contains("jetstream must be on but is off"), "{text}");
    }
}
