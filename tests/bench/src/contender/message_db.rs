//! message-db, the message store of the Eventide project: tables and functions in PostgreSQL, driven
//! as its own clients do, by `write_message` with the version that the stream is expected at.
//!
//! Its lock is one a *category* (the stream's name up to the first hyphen): writers of one category
//! stand in a queue with their syncs. Its own naming puts all patients into one category; with one a
//! client it can group syncs. Both are measured, and ratios are against the better one.

use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use tempfile::TempDir;
use testkit::cluster::run;
use testkit::wait::eventually;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::free_address;
use crate::load::Caller;
use crate::patients::SMALL;
use crate::rng::Rng;
use crate::usage::{Meter, Process};

/// Longest a start may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// What PostgreSQL is given beside its defaults, of which `fsync`, `synchronous_commit` and
/// `full_page_writes` (all on) are the ones that matter: memory and no early checkpoints, as anybody
/// would for a store, and places for all clients.
pub(crate) const SETTINGS: [&str; 4] =
    ["shared_buffers=1GB", "max_wal_size=8GB", "checkpoint_timeout=15min", "max_connections=300"];

/// What an acknowledgement means.
pub(crate) const DURABILITY: &str =
    "acknowledged when the transaction's WAL is synced (fsync=on, synchronous_commit=on)";

/// Where its parts are.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    /// The unpacked npm package.
    pub(crate) package: PathBuf,
    /// Folder of PostgreSQL's programs.
    pub(crate) programs: PathBuf,
}

impl Parts {
    /// The versions of both.
    ///
    /// # Errors
    /// When a part is not there.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let manifest = std::fs::read_to_string(self.package.join("package.json"))?;
        let manifest: serde_json::Value = serde_json::from_str(&manifest)?;
        let version = manifest.get("version").and_then(|value| value.as_str()).unwrap_or("?");
        let postgres = run(Command::new(self.programs.join("postgres")).arg("--version"))?;
        Ok(format!("message-db {version} on {}", postgres.trim()))
    }
}

/// Who PostgreSQL runs as: it refuses to run as root.
#[derive(Clone, Copy, Debug)]
struct Account {
    user: u32,
    group: u32,
}

impl Account {
    /// `postgres` if this is root, else nobody else.
    fn other() -> anyhow::Result<Option<Self>> {
        if std::fs::metadata("/proc/self")?.uid() != 0 {
            return Ok(None);
        }
        let users = std::fs::read_to_string("/etc/passwd")?;
        let line = users.lines().find_map(|line| line.strip_prefix("postgres:"));
        let mut ids = line.context("there is no user postgres")?.split(':').skip(1);
        let mut id = || Ok::<u32, anyhow::Error>(ids.next().context("no id")?.parse()?);
        Ok(Some(Self { user: id()?, group: id()? }))
    }
}

/// A PostgreSQL of its own with message-db installed. Dropped, it is stopped and its folder removed.
#[derive(Debug)]
pub(crate) struct MessageDb {
    server: Child,
    port: u16,
    _folder: TempDir,
}

impl MessageDb {
    /// Makes a new database cluster, starts it and installs message-db by its own script.
    ///
    /// # Errors
    /// When a step fails; what it printed is in the message.
    pub(crate) async fn start(parts: &Parts) -> anyhow::Result<Self> {
        let folder = TempDir::with_prefix("caseledger-postgres-")?;
        let account = Account::other()?;
        let program = |name: &str| {
            let mut command = Command::new(parts.programs.join(name));
            command.current_dir(folder.path());
            if let Some(account) = account {
                command.uid(account.user).gid(account.group);
            }
            command
        };
        if let Some(account) = account {
            chown(folder.path(), Some(account.user), Some(account.group))?;
        }
        let data = folder.path().join("data");
        run(program("initdb")
            .args(["--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-locale"])
            .arg("--pgdata")
            .arg(&data))?;
        let port = free_address()?.port();
        let mut command = program("postgres");
        command.arg("-D").arg(&data).arg("-k").arg(folder.path());
        command.args(["-h", "127.0.0.1", "-p", &port.to_string()]);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        let log = std::fs::File::create(folder.path().join("log"))?;
        let server = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("postgres cannot be started")?;
        let database = Self { server, port, _folder: folder };
        eventually(PATIENCE, "PostgreSQL answers", async || {
            database.connect("postgres").await.map(drop)
        })
        .await?;
        database.install(&parts.package, &parts.programs)?;
        Ok(database)
    }

    fn install(&self, package: &Path, programs: &Path) -> anyhow::Result<()> {
        let path = std::env::var("PATH").unwrap_or_default();
        run(Command::new("bash")
            .arg(package.join("database/install.sh"))
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("PGHOST", "127.0.0.1")
            .env("PGPORT", self.port.to_string())
            .env("PGUSER", "postgres"))
        .map(drop)
    }

    async fn connect(&self, database: &str) -> anyhow::Result<Client> {
        let (client, connection) = Config::new()
            .host("127.0.0.1")
            .port(self.port)
            .user("postgres")
            .dbname(database)
            .options("-c search_path=message_store,public")
            .connect(NoTls)
            .await?;
        // It ends with its client; what went wrong the client is told.
        tokio::spawn(connection);
        Ok(client)
    }

    /// So many writers, each with its own patients.
    ///
    /// # Errors
    /// When one cannot connect.
    pub(crate) async fn writers(
        &self,
        count: usize,
        patients: usize,
        one_category: bool,
    ) -> anyhow::Result<Vec<Writer>> {
        self.alone().await?;
        let mut writers = Vec::with_capacity(count);
        for index in 0..count {
            let client = self.connect("message_store").await?;
            let write = "SELECT message_store.write_message($1::varchar, $2::varchar, \
                 'EntryAdded'::varchar, $3::varchar::jsonb, NULL::jsonb, $4::bigint)";
            let statement = client.prepare(write).await?;
            let mut rng = Rng::fresh();
            let category =
                if one_category { "patient".to_owned() } else { format!("patients{index}") };
            let own = (patients / count).max(1);
            let streams = (0..own).map(|_| (format!("{category}-{}", rng.uuid()), -1)).collect();
            writers.push(Writer { client, statement, streams, rng });
        }
        Ok(writers)
    }

    /// Waits until earlier writers' processes have ended: what they used must not be counted again.
    async fn alone(&self) -> anyhow::Result<()> {
        let client = self.connect("postgres").await?;
        let count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'";
        eventually(PATIENCE, "earlier writers are gone", async || {
            let backends: i64 = client.query_one(count, &[]).await?.try_get(0)?;
            ensure!(backends == 1, "{backends} connections");
            Ok(())
        })
        .await
    }

    /// PostgreSQL with all its processes, and the callers.
    pub(crate) fn meter(&self) -> Meter {
        let postgres = Process { name: "postgres", pid: self.server.id(), with_children: true };
        Meter(vec![postgres, Meter::callers()])
    }
}

impl Drop for MessageDb {
    fn drop(&mut self) {
        // "Fast shutdown": ends its connections first. Gone already is as good.
        let _ = Command::new("kill").arg("-INT").arg(self.server.id().to_string()).status();
        let _ = self.server.wait();
    }
}

/// Writes one message at a time to a random one of its own streams, at the version it knows.
pub(crate) struct Writer {
    client: Client,
    statement: Statement,
    /// Name, and version of the last message.
    streams: Vec<(String, i64)>,
    rng: Rng,
}

impl Caller for Writer {
    async fn call(&mut self) -> anyhow::Result<u64> {
        let id = self.rng.uuid();
        let data = data(&mut self.rng);
        let place = self.rng.below(self.streams.len());
        let (stream, version) = self.streams.get_mut(place).context("no stream")?;
        let row = self.client.query_one(&self.statement, &[&id, stream, &data, version]).await?;
        *version = row.try_get(0)?;
        Ok(1)
    }
}

/// JSON as long as a small entry, unlike any other.
fn data(rng: &mut Rng) -> String {
    let mut text = format!("{{\"note\":\"{:016x} ", rng.next());
    while text.len() + 2 < SMALL {
        text.push('n');
    }
    text.push_str("\"}");
    text
}
