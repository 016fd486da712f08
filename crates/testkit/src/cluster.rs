//! A whole hospital on loopback: one nats-server and real `caseledgerd` processes, each on a loopback
//! address of its own, so that nodes find each other on ports known in advance and nothing collides.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tempfile::TempDir;

use crate::client::{Client, Tls, Token};
use crate::nats::NatsServer;
use crate::wait::eventually;

/// Longest a node may take to serve, on a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(60);
/// Every node listens here, each on its own loopback address.
const PORT: u16 = 7443;

/// The program under test: in the folder that `CASELEDGER_PROGRAMS` names, else beside the running
/// test, `target/PROFILE/NAME`.
///
/// # Errors
/// When it was not built.
pub fn program(name: &str) -> anyhow::Result<PathBuf> {
    if let Some(folder) = std::env::var_os("CASELEDGER_PROGRAMS") {
        let given = PathBuf::from(folder).join(name);
        ensure!(given.is_file(), "there is no {}", given.display());
        return Ok(given);
    }
    let mut directory = std::env::current_exe()?;
    while directory.pop() {
        let candidate = directory.join(name);
        if candidate.is_file() {
            return Ok(candidate);
        }
        if directory.ends_with("target") {
            break;
        }
    }
    bail!("{name} is not built; run `cargo build --bins` with the same profile first")
}

/// A loopback address that no other test uses: 127.a.b.c from the process id and a counter.
fn loopback() -> Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(2);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    // 127.0.x.y is left to people's own servers.
    Ipv4Addr::new(127, high | 0x80, low, NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One nats-server and its nodes.
#[derive(Debug)]
pub struct Cluster {
    /// The broker.
    pub nats: NatsServer,
    /// The nodes, in the order they were admitted.
    pub nodes: Vec<Node>,
    root: TempDir,
}

impl Cluster {
    /// Founds the ledgers and starts `count` nodes.
    ///
    /// # Errors
    /// When a program is missing or a node does not come up.
    pub async fn start(count: usize) -> anyhow::Result<Self> {
        let mut cluster = Self::found(count).await?;
        for node in &mut cluster.nodes {
            node.spawn()?;
        }
        for node in &cluster.nodes {
            node.serving().await?;
        }
        Ok(cluster)
    }

    /// Founds the ledgers and admits the nodes, but starts none.
    ///
    /// # Errors
    /// When a program is missing or a set-up step fails.
    pub async fn found(count: usize) -> anyhow::Result<Self> {
        let root = TempDir::new()?;
        let nats = NatsServer::start().await?;
        let mut nodes: Vec<Node> = Vec::new();
        for index in 0..count {
            let node = make(root.path(), index, &nats, nodes.first())?;
            nodes.push(node);
        }
        Ok(Self { nats, nodes, root })
    }

    /// Has one more node admitted, sponsored by the first, and returns its place. It is not started,
    /// and those that run learn of it when they are started anew.
    ///
    /// # Errors
    /// When it is not admitted.
    pub fn admit(&mut self) -> anyhow::Result<usize> {
        let index = self.nodes.len();
        self.nodes.push(make(self.root.path(), index, &self.nats, self.nodes.first())?);
        Ok(index)
    }

    /// One more node that is still to be founded or admitted, and its place.
    pub fn add(&mut self) -> usize {
        let index = self.nodes.len();
        self.nodes.push(Node::new(self.root.path().join(format!("node{index}"))));
        index
    }

    /// The node at this place.
    ///
    /// # Panics
    /// When there are fewer.
    #[must_use]
    #[expect(clippy::panic, reason = "a test that names a node it did not start is wrong")]
    pub fn node(&self, index: usize) -> &Node {
        self.nodes.get(index).unwrap_or_else(|| panic!("no node {index}"))
    }

    /// The node at this place, to start or stop it.
    ///
    /// # Panics
    /// When there are fewer.
    #[expect(clippy::panic, reason = "a test that names a node it did not start is wrong")]
    pub fn node_mut(&mut self, index: usize) -> &mut Node {
        self.nodes.get_mut(index).unwrap_or_else(|| panic!("no node {index}"))
    }

    /// A client of one node with this role.
    ///
    /// # Errors
    /// When the token cannot be signed or the address is wrong.
    pub fn client(&self, index: usize, role: &str) -> anyhow::Result<Client> {
        self.client_of(index, role, &format!("{role}-1"))
    }

    /// The same, as this person.
    ///
    /// # Errors
    /// When the issuer's key cannot be read.
    pub fn client_of(&self, index: usize, role: &str, person: &str) -> anyhow::Result<Client> {
        self.node(index).client(&Token::signed(&self.node(0).state, role, person)?)
    }

    /// Waits until all running nodes have applied the same of both ledgers, and those that may write
    /// have signed a checkpoint of it, so that nothing more is filed for a minute by itself; returns
    /// the heads.
    ///
    /// # Errors
    /// When they do not agree within a minute.
    pub async fn agreed(&self) -> anyhow::Result<Vec<api::v1::Head>> {
        let mut clients = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if node.child.is_some() {
                clients.push(self.client(index, "auditor")?);
            }
        }
        eventually(PATIENCE, "nodes agree on both ledgers", async || {
            let mut heads = Vec::new();
            for client in &clients {
                heads.push(client.heads().await?);
            }
            let first = heads.first().context("no node runs")?.clone();
            ensure!(heads.iter().all(|head| *head == first), "heads differ: {heads:?}");
            for client in &clients {
                let signs = client.status().await?.ledgers.into_iter().find(|ledger| {
                    let size = ledger.head.as_ref().map_or(0, |head| head.size);
                    ledger.condition() == api::v1::LedgerCondition::Serving
                        && ledger.signed_size < size
                });
                ensure!(signs.is_none(), "a checkpoint is still to be signed: {signs:?}");
            }
            let now = clients.first().context("no node runs")?.heads().await?;
            ensure!(now == first, "something was filed meanwhile");
            Ok(first)
        })
        .await
    }
}

/// Founds the ledgers with a first node, or has the first node sponsor another.
fn make(
    root: &Path,
    index: usize,
    nats: &NatsServer,
    first: Option<&Node>,
) -> anyhow::Result<Node> {
    let node = Node::new(root.join(format!("node{index}")));
    let mut command = Command::new(program("caseledgerd")?);
    match first {
        None => {
            command.arg("init").args(["--nats", nats.url(), "--monitor", nats.monitor_url()]);
        }
        Some(first) => {
            command.arg("admit").arg("--from").arg(&first.state);
        }
    }
    command.arg("--state").arg(&node.state).arg("--listen").arg(node.listen.to_string());
    run(&mut command)?;
    Ok(node)
}

/// One `caseledgerd`.
#[derive(Debug)]
pub struct Node {
    /// Its state directory: configuration, keys, data.
    pub state: PathBuf,
    /// Where it listens.
    pub listen: SocketAddr,
    /// How it is asked for its condition, and what [`Cluster::client`] connects with, if it listens with
    /// TLS.
    pub tls: Option<Tls>,
    /// Another build of `caseledgerd` to start; none: the one beside the tests.
    pub program: Option<PathBuf>,
    /// Variables set for its process beside the test's own.
    pub environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Node {
    /// In this state directory, at a loopback address of its own.
    fn new(state: PathBuf) -> Self {
        Self {
            state,
            listen: SocketAddr::from((loopback(), PORT)),
            tls: None,
            program: None,
            environment: Vec::new(),
            child: None,
        }
    }

    /// A client with this token.
    ///
    /// # Errors
    /// When the token or a certificate is malformed.
    pub fn client(&self, token: &Token) -> anyhow::Result<Client> {
        match &self.tls {
            Some(tls) => Client::secure(self.listen, tls, Some(token)),
            None => Client::new(self.listen, token),
        }
    }

    /// Starts the process. Its log goes to `node.log` in its state directory.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn spawn(&mut self) -> anyhow::Result<()> {
        ensure!(self.child.is_none(), "the node runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log())?;
        let program = self.program.clone().map_or_else(|| program("caseledgerd"), Ok)?;
        let child = Command::new(program)
            .arg("run")
            .arg("--config")
            .arg(self.state.join("config.toml"))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.child = Some(child);
        Ok(())
    }

    /// Where its log is.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.state.join("node.log")
    }

    /// Where its databases are.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.state.join("data")
    }

    /// Its process id while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Freezes it (SIGSTOP), as a machine that stands still.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> anyhow::Result<()> {
        self.signal("STOP")
    }

    /// Lets a frozen node go on (SIGCONT).
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> anyhow::Result<()> {
        self.signal("CONT")
    }

    fn signal(&self, name: &str) -> anyhow::Result<()> {
        let pid = self.pid().context("the node does not run")?;
        run(Command::new("kill").arg(format!("-{name}")).arg(pid.to_string())).map(drop)
    }

    /// Kills it with SIGKILL and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let mut child = self.child.take().context("the node does not run")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to end (SIGTERM) and returns its exit code.
    ///
    /// # Errors
    /// When it does not run or does not end, or is ended by another signal.
    pub async fn stop(&mut self) -> anyhow::Result<i32> {
        self.signal("TERM")?;
        self.ended().await
    }

    /// Waits until it ends by itself and returns its exit code.
    ///
    /// # Errors
    /// When it does not run or does not end, or is ended by a signal.
    pub async fn ended(&mut self) -> anyhow::Result<i32> {
        let mut child = self.child.take().context("the node does not run")?;
        let ended = eventually(PATIENCE, "the node ends", async || {
            child.try_wait()?.context("it still runs")
        });
        let status = ended.await?;
        let log = || std::fs::read_to_string(self.log()).unwrap_or_default();
        status.code().with_context(|| format!("{status}; its log:\n{}", log()))
    }

    /// Waits until it serves reads and writes of both ledgers.
    ///
    /// # Errors
    /// When it does not within a minute; the end of its log is in the message.
    pub async fn serving(&self) -> anyhow::Result<()> {
        self.condition(api::v1::LedgerCondition::Serving).await
    }

    /// Waits until both ledgers are in this condition.
    ///
    /// # Errors
    /// As [`Node::serving`].
    pub async fn condition(&self, wanted: api::v1::LedgerCondition) -> anyhow::Result<()> {
        let client = self.client(&Token::signed(&self.issuer_state(), "hospital-it", "it-1")?)?;
        let reached = eventually(PATIENCE, "the node's condition", async || {
            let status = client.status().await?;
            let all = status.ledgers.iter().all(|ledger| ledger.condition() == wanted);
            ensure!(all && !status.ledgers.is_empty(), "status is {status:?}");
            Ok(())
        })
        .await;
        reached.with_context(|| format!("log ends:\n{}", tail(&self.log())))
    }

    /// Every node's tokens are signed by the first node's issuer.
    fn issuer_state(&self) -> PathBuf {
        self.state.with_file_name("node0")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Gone already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Runs a program to its end.
///
/// # Errors
/// With what it printed, when it fails.
pub fn run(command: &mut Command) -> anyhow::Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("{command:?}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    ensure!(
        output.status.success(),
        "{command:?} ended with {}:\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    Ok(text(&output.stdout))
}

fn tail(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(30)..).unwrap_or_default().join("\n")
}
