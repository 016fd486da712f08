//! A real nats-server in a folder of its own, on a loopback address of its own and ports that the
//! system chose: when it is restarted, nobody has taken its ports meanwhile.
//!
//! Waits are for what the server itself says: it is ready when its log says so, and it is gone when
//! its process is.

mod damage;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;
use tokio::sync::mpsc;

/// The version that `deploy/fetch-tool nats-server` installs.
const VERSION: &str = "2.15.1";
/// Longest a server may take to be ready, on a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(60);
/// Names a nats-server to use instead of the one that `deploy/fetch-tool` installed.
const BINARY_VARIABLE: &str = "CASELEDGER_NATS_SERVER";

/// Finds the nats-server: `CASELEDGER_NATS_SERVER`, else where `deploy/fetch-tool` puts it.
///
/// # Errors
/// When there is none, with what to do.
pub fn binary() -> anyhow::Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE) {
        return Ok(PathBuf::from(path));
    }
    let cache = match std::env::var_os("CASELEDGER_CACHE") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").context("HOME is not set")?)
            .join(".cache/caseledger"),
    };
    let path = cache.join("bin").join(format!("nats-server-{VERSION}"));
    ensure!(
        path.is_file(),
        "there is no {}: run `deploy/fetch-tool nats-server`, or name one in {BINARY_VARIABLE}",
        path.display()
    );
    Ok(path)
}

/// How a server is set up. The default is what Caseledger requires of one.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `sync_interval` as in the server's configuration: `always`, `2m`, …
    pub sync_interval: String,
    /// Longest message in bytes.
    pub max_payload: u32,
    /// Most bytes that streams may take on the disk, as in the configuration: the stand-in for a disk that
    /// is full.
    pub max_file_store: String,
}

/// A server's part in a cluster.
#[derive(Clone, Debug)]
struct Member {
    /// The server's name, unique in its cluster.
    name: String,
    /// Every member's address.
    hosts: Vec<Ipv4Addr>,
}

/// Routes must be known before any server starts, so their port is not the system's choice.
const ROUTE_PORT: u16 = 6222;

/// A loopback address that no other test uses: 127.a.b.c from the process id and a counter; a below 128,
/// which leaves the upper half to nodes.
fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, 0x40 | (high & 0x3f), low, NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync_interval: "always".to_owned(),
            max_payload: 1024 * 1024,
            max_file_store: "64GB".to_owned(),
        }
    }
}

/// One nats-server. Dropped, it is killed and its folder removed.
#[derive(Debug)]
pub struct NatsServer {
    // Before the folder, so that the process is gone when the folder is removed.
    process: Option<Process>,
    settings: Settings,
    member: Option<Member>,
    addresses: Addresses,
    url: String,
    monitor_url: String,
    root: TempDir,
}

/// Where the server listens, as `HOST:PORT`. Chosen by the system at the first start, then kept.
#[derive(Clone, Debug, Default)]
struct Addresses {
    client: String,
    monitor: String,
}

impl NatsServer {
    /// Starts a server as Caseledger requires it.
    ///
    /// # Errors
    /// When there is no nats-server or it does not get ready; its log is in the message.
    pub async fn start() -> anyhow::Result<Self> {
        Self::with(Settings::default()).await
    }

    /// Starts a server with these settings.
    ///
    /// # Errors
    /// As [`NatsServer::start`].
    pub async fn with(settings: Settings) -> anyhow::Result<Self> {
        Self::at(loopback(), settings, None).await
    }

    async fn at(
        host: Ipv4Addr,
        settings: Settings,
        member: Option<Member>,
    ) -> anyhow::Result<Self> {
        let any = format!("{host}:-1");
        let mut server = Self {
            process: None,
            settings,
            member,
            addresses: Addresses { client: any.clone(), monitor: any },
            url: String::new(),
            monitor_url: String::new(),
            root: TempDir::with_prefix("caseledger-nats-")?,
        };
        server.addresses = server.spawn().await?;
        server.url = format!("nats://{}", server.addresses.client);
        server.monitor_url = format!("http://{}", server.addresses.monitor);
        Ok(server)
    }

    /// `nats://HOST:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `http://HOST:PORT` of its monitoring.
    #[must_use]
    pub fn monitor_url(&self) -> &str {
        &self.monitor_url
    }

    /// Where it keeps streams.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.root.path().join("store")
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(|process| process.child.id())
    }

    /// What it has logged since it was last started.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::log).unwrap_or_default()
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the server does not run")?;
        process.child.kill()?;
        process.child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM), so that it writes its indexes, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run or cannot be asked.
    pub fn stop(&mut self) -> anyhow::Result<()> {
        self.signal("TERM")?;
        let mut process = self.process.take().context("the server does not run")?;
        process.child.wait()?;
        Ok(())
    }

    /// Starts it again on the same ports and the same folder.
    ///
    /// # Errors
    /// When it runs, or as [`NatsServer::start`].
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        ensure!(self.process.is_none(), "the server runs: kill or stop it first");
        self.spawn().await?;
        Ok(())
    }

    /// The same with other settings.
    ///
    /// # Errors
    /// As [`NatsServer::restart`].
    pub async fn restart_with(&mut self, settings: Settings) -> anyhow::Result<()> {
        self.settings = settings;
        self.restart().await
    }

    /// Freezes it (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it does not run or cannot be signalled.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Lets a frozen server go on (SIGCONT).
    ///
    /// # Errors
    /// When it does not run or cannot be signalled.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.pid().context("the server does not run")?;
        let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status()?;
        ensure!(status.success(), "kill -{name} {pid}: {status}");
        Ok(())
    }

    async fn spawn(&mut self) -> anyhow::Result<Addresses> {
        let configuration = self.root.path().join("nats.conf");
        std::fs::write(&configuration, self.configuration()?)?;
        let mut child = Command::new(binary()?)
            .arg("--config")
            .arg(&configuration)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("nats-server cannot be started")?;
        let stderr = child.stderr.take().context("nats-server has no stderr")?;
        let (process, mut lines) = Process::reading(child, stderr);
        let ready = tokio::time::timeout(PATIENCE, ready(&mut lines)).await;
        match ready {
            Ok(Some(addresses)) => {
                self.process = Some(process);
                Ok(addresses)
            }
            Ok(None) => bail!("nats-server ended at once; its log:\n{}", process.log()),
            Err(_) => {
                bail!("nats-server is not ready in {PATIENCE:?}; its log:\n{}", process.log())
            }
        }
    }

    fn configuration(&self) -> anyhow::Result<String> {
        let Settings { sync_interval, max_payload, max_file_store } = &self.settings;
        let Addresses { client, monitor } = &self.addresses;
        let mut text = format!(
            "listen: \"{client}\"\nhttp: \"{monitor}\"\nmax_payload: {max_payload}\n\
             jetstream {{ store_dir: \"{}\", sync_interval: \"{sync_interval}\", \
             max_file_store: {max_file_store} }}\n",
            self.store_dir().display(),
        );
        if let Some(Member { name, hosts }) = &self.member {
            let host = client.rsplit_once(':').map_or(client.as_str(), |(host, _)| host);
            let routes: Vec<String> =
                hosts.iter().map(|host| format!("\"nats://{host}:{ROUTE_PORT}\"")).collect();
            let routes = routes.join(", ");
            writeln!(
                text,
                "server_name: \"{name}\"\n\
                 cluster {{ name: \"test\", listen: \"{host}:{ROUTE_PORT}\", routes: [{routes}] }}"
            )?;
        }
        Ok(text)
    }

    fn messages_dir(&self, stream: &str) -> PathBuf {
        self.store_dir().join("jetstream/$G/streams").join(stream).join("msgs")
    }
}

/// Starts `count` servers that form one cluster, named `n0`, `n1`, …. They may still be looking for
/// each other.
///
/// # Errors
/// As [`NatsServer::start`].
pub async fn cluster(count: usize) -> anyhow::Result<Vec<NatsServer>> {
    let hosts: Vec<Ipv4Addr> = (0..count).map(|_| loopback()).collect();
    let mut servers = Vec::new();
    for (index, host) in hosts.iter().enumerate() {
        let member = Some(Member { name: format!("n{index}"), hosts: hosts.clone() });
        servers.push(NatsServer::at(*host, Settings::default(), member).await?);
    }
    Ok(servers)
}

/// The server process and the thread that reads what it logs, without which it would block.
#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Process {
    fn reading(child: Child, stderr: ChildStderr) -> (Self, mpsc::UnboundedReceiver<String>) {
        let log = Arc::new(Mutex::new(String::new()));
        let (sender, lines) = mpsc::unbounded_channel();
        let sink = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Ok(mut log) = sink.lock() {
                    log.push_str(&line);
                    log.push('\n');
                }
                // Nobody listens any more once the server is ready.
                let _ = sender.send(line);
            }
        });
        (Self { child, log }, lines)
    }

    fn log(&self) -> String {
        self.log.lock().map(|log| log.clone()).unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads addresses from the log until the server is ready; `None` if it ends before.
async fn ready(lines: &mut mpsc::UnboundedReceiver<String>) -> Option<Addresses> {
    let mut addresses = Addresses::default();
    while let Some(line) = lines.recv().await {
        let after = |words: &str| line.split_once(words).map(|(_, rest)| rest.trim().to_owned());
        if let Some(address) = after("Listening for client connections on ") {
            addresses.client = address;
        } else if let Some(address) = after("Starting http monitor on ") {
            addresses.monitor = address;
        } else if line.contains("Server is ready") {
            return Some(addresses);
        }
    }
    None
}

/// Every block file of a stream, in the order they were begun.
fn blocks(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut blocks: Vec<(u64, PathBuf)> = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (Some(number), Some("blk")) = (number, path.extension().and_then(|e| e.to_str())) {
            blocks.push((number, path));
        }
    }
    blocks.sort();
    Ok(blocks.into_iter().map(|(_, path)| path).collect())
}
