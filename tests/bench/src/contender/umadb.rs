//! UmaDB, an event store in Rust with a gRPC interface: appends on the condition that nothing was
//! appended about the same patient since.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use testkit::cluster::run;
use testkit::wait::eventually;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};

use super::free_address;
use crate::load::Caller;
use crate::patients::SMALL;
use crate::rng::Rng;
use crate::usage::{Meter, Process};

/// Longest a start may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What an acknowledgement means.
pub(crate) const DURABILITY: &str = "acknowledged when its database file is synced (its default)";

/// The messages of `umadb.v1` that an append needs, by their field numbers.
mod wire {
    /// An event.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Event {
        #[prost(string, tag = "1")]
        pub(super) event_type: String,
        #[prost(string, repeated, tag = "2")]
        pub(super) tags: Vec<String>,
        #[prost(bytes = "vec", tag = "3")]
        pub(super) data: Vec<u8>,
        #[prost(string, tag = "4")]
        pub(super) uuid: String,
    }

    /// Matches events that have all its tags.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct QueryItem {
        #[prost(string, repeated, tag = "2")]
        pub(super) tags: Vec<String>,
    }

    /// Matches what any of its items does.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Query {
        #[prost(message, repeated, tag = "1")]
        pub(super) items: Vec<QueryItem>,
    }

    /// Refuses the append if an event after a position matches.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct AppendCondition {
        #[prost(message, optional, tag = "1")]
        pub(super) fail_if_events_match: Option<Query>,
        #[prost(uint64, optional, tag = "2")]
        pub(super) after: Option<u64>,
    }

    /// Asks to append.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct AppendRequest {
        #[prost(message, repeated, tag = "1")]
        pub(super) events: Vec<Event>,
        #[prost(message, optional, tag = "2")]
        pub(super) condition: Option<AppendCondition>,
    }

    /// Position of the last event.
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct AppendResponse {
        #[prost(uint64, tag = "1")]
        pub(super) position: u64,
    }
}

/// What the program says it is.
///
/// # Errors
/// When it does not run.
pub(crate) fn version(program: &Path) -> anyhow::Result<String> {
    Ok(run(Command::new(program).arg("--version"))?.trim().to_owned())
}

/// A server of its own. Dropped, it is killed and its folder removed.
#[derive(Debug)]
pub(crate) struct UmaDb {
    server: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl UmaDb {
    /// Starts it with an empty database and its own defaults.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn start(program: &Path) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("caseledger-umadb-")?;
        let address = free_address()?;
        let server = Command::new(program)
            .args(["--listen", &address.to_string(), "--db-path"])
            .arg(folder.path().join("uma.db"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("umadb cannot be started")?;
        let database = Self { server, address, _folder: folder };
        eventually(PATIENCE, "UmaDB answers", async || {
            database.writers(1, 1, 1)?.pop().context("no writer")?.call().await
        })
        .await?;
        Ok(database)
    }

    /// So many writers, each with its own patients, that append so many events at a time.
    ///
    /// # Errors
    /// When the address is malformed.
    pub(crate) fn writers(
        &self,
        count: usize,
        patients: usize,
        events: usize,
    ) -> anyhow::Result<Vec<Writer>> {
        let mut writers = Vec::with_capacity(count);
        for _ in 0..count {
            let channel = Endpoint::try_from(format!("http://{}", self.address))?.connect_lazy();
            let mut rng = Rng::fresh();
            let own = (patients / count).max(1);
            let patients =
                (0..own).map(|_| (format!("patient:{:016x}", rng.next()), None)).collect();
            writers.push(Writer { grpc: Grpc::new(channel), patients, events, rng });
        }
        Ok(writers)
    }

    /// The server and the callers.
    pub(crate) fn meter(&self) -> Meter {
        let umadb = Process { name: "umadb", pid: self.server.id(), with_children: false };
        Meter(vec![umadb, Meter::callers()])
    }
}

impl Drop for UmaDb {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Appends about a random one of its own patients, after the last position it knows.
pub(crate) struct Writer {
    grpc: Grpc<Channel>,
    /// Tag, and position of the last event.
    patients: Vec<(String, Option<u64>)>,
    events: usize,
    rng: Rng,
}

impl Caller for Writer {
    async fn call(&mut self) -> anyhow::Result<u64> {
        let place = self.rng.below(self.patients.len());
        let events = self.events;
        let rng = &mut self.rng;
        let (tag, after) = self.patients.get_mut(place).context("no patient")?;
        let event = |rng: &mut Rng| wire::Event {
            event_type: "EntryAdded".to_owned(),
            tags: vec![tag.clone()],
            data: data(rng),
            uuid: rng.uuid(),
        };
        let query = wire::Query { items: vec![wire::QueryItem { tags: vec![tag.clone()] }] };
        let request = wire::AppendRequest {
            events: (0..events).map(|_| event(rng)).collect(),
            condition: Some(wire::AppendCondition {
                fail_if_events_match: Some(query),
                after: *after,
            }),
        };
        self.grpc.ready().await?;
        let codec = tonic_prost::ProstCodec::<wire::AppendRequest, wire::AppendResponse>::default();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static("/umadb.v1.DCB/Append");
        let answer = self.grpc.unary(tonic::Request::new(request), path, codec).await?;
        *after = Some(answer.into_inner().position);
        Ok(u64::try_from(events)?)
    }
}

/// Bytes as many as a small entry has, unlike any other.
fn data(rng: &mut Rng) -> Vec<u8> {
    (0..SMALL / 8).flat_map(|_| rng.next().to_be_bytes()).collect()
}
