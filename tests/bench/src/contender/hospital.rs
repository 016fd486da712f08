//! Caseledger as a hospital runs it on one machine: a nats-server that syncs every message, one
//! `caseledgerd`, clients over gRPC.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use store::{LedgerPin, Store};
use tempfile::TempDir;
use testkit::client::Client;
use testkit::cluster::{Cluster, run as output};
use vault::{KeyEncryptionKey, Vault};

use crate::usage::{Meter, Process};

/// Who calls: files, imports and reads.
const CALLER: &str = "case-manager";
/// Version of the key-encryption key that `caseledgerd init` makes.
const KEK_VERSION: u32 = 1;

/// What an acknowledgement means.
pub(crate) const DURABILITY: &str = "acknowledged when nats-server has synced the block \
    (sync_interval: always) and the node has synced the same in RocksDB; reads when their access \
    record is as durable";

/// A broker and a node.
#[derive(Debug)]
pub(crate) struct Hospital {
    cluster: Cluster,
}

impl Hospital {
    /// Founds new ledgers and starts a node.
    ///
    /// # Errors
    /// When a program is missing or does not come up.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        Ok(Self { cluster: Cluster::start(1).await? })
    }

    /// Stops the node and starts it again, from another program if one is given: what it kept in
    /// memory is gone, what it has on file is the same.
    ///
    /// # Errors
    /// When it does not stop or does not serve again.
    pub(crate) async fn restart(&mut self, program: Option<PathBuf>) -> anyhow::Result<()> {
        let node = self.cluster.node_mut(0);
        let code = node.stop().await?;
        ensure!(code == 0, "the node ended with {code}");
        node.program = program;
        node.spawn()?;
        node.serving().await
    }

    /// The broker's address.
    pub(crate) fn broker(&self) -> &str {
        self.cluster.nats.url()
    }

    /// A client with a connection of its own.
    ///
    /// # Errors
    /// When its token cannot be signed.
    pub(crate) fn client(&self) -> anyhow::Result<Client> {
        self.cluster.client(0, CALLER)
    }

    /// So many of what `make` makes of a client.
    ///
    /// # Errors
    /// As [`Hospital::client`].
    pub(crate) fn callers<C>(
        &self,
        count: usize,
        mut make: impl FnMut(Client) -> C,
    ) -> anyhow::Result<Vec<C>> {
        (0..count).map(|_| Ok(make(self.client()?))).collect()
    }

    /// How many records and blocks the ledger of changes has.
    ///
    /// # Errors
    /// When the node does not answer.
    pub(crate) async fn records(&self) -> anyhow::Result<(u64, u64)> {
        let heads = self.client()?.heads().await?;
        let records = heads.first().context("no head of records")?;
        Ok((records.size, records.sequence))
    }

    /// The node's process.
    ///
    /// # Errors
    /// When it does not run.
    pub(crate) fn node_pid(&self) -> anyhow::Result<u32> {
        self.cluster.node(0).pid().context("the node does not run")
    }

    /// Node, broker and callers.
    ///
    /// # Errors
    /// When one of them does not run.
    pub(crate) fn meter(&self) -> anyhow::Result<Meter> {
        let process = |name, pid: Option<u32>| -> anyhow::Result<Process> {
            let pid = pid.with_context(|| format!("{name} does not run"))?;
            Ok(Process { name, pid, with_children: false })
        };
        Ok(Meter(vec![
            process("caseledgerd", self.cluster.node(0).pid())?,
            process("nats-server", self.cluster.nats.pid())?,
            Meter::callers(),
        ]))
    }

    /// Stops the node and opens its database in this process, as the node itself would.
    ///
    /// # Errors
    /// When it does not stop or the database does not open.
    pub(crate) async fn into_store(mut self) -> anyhow::Result<(Store, Self)> {
        self.cluster.node_mut(0).stop().await?;
        let node = self.cluster.node(0);
        let store = open(&node.data(), &node.state)?;
        Ok((store, self))
    }

    /// Stops the node, copies its database, starts the node again, and has a process of its own make
    /// the views of the copy anew, again and again: another node, on the same machine.
    ///
    /// # Errors
    /// When it does not stop or start, or the copy cannot be made or opened.
    pub(crate) async fn beside(&mut self) -> anyhow::Result<Beside> {
        self.cluster.node_mut(0).stop().await?;
        let copy = TempDir::new()?;
        let data = copy.path().join("data");
        output(Command::new("cp").arg("-a").arg(self.cluster.node(0).data()).arg(&data))?;
        // Or the system writes it back while something is measured.
        output(Command::new("sync").arg("--file-system").arg(&data))?;
        let node = self.cluster.node_mut(0);
        node.spawn()?;
        node.serving().await?;
        Ok(Beside { data, state: node.state.clone(), _copy: copy })
    }
}

/// The copy of a node's database.
#[derive(Debug)]
pub(crate) struct Beside {
    data: PathBuf,
    state: PathBuf,
    _copy: TempDir,
}

impl Beside {
    /// Starts this program as the other node; it ends when what is returned is dropped.
    ///
    /// # Errors
    /// When it does not start.
    pub(crate) fn make_views(&self) -> anyhow::Result<tokio::process::Child> {
        let mut program = tokio::process::Command::new(std::env::current_exe()?);
        program.arg("--make-views").arg(&self.data).arg(&self.state).kill_on_drop(true);
        Ok(program.spawn()?)
    }
}

/// Opens a node's database as the node itself would.
///
/// # Errors
/// When the node's files are not all there, or the database does not open.
pub(crate) fn open(data: &Path, state: &Path) -> anyhow::Result<Store> {
    let configuration = std::fs::read_to_string(state.join("config.toml"))?;
    let genesis = |key: &str| {
        let line = configuration.lines().find_map(|line| line.strip_prefix(key));
        let line = line.with_context(|| format!("config.toml has no {key}"))?;
        Ok::<ledger::Hash, anyhow::Error>(line.trim_matches([' ', '=', '"']).parse()?)
    };
    let pins = [
        LedgerPin { ledger: ledger::LedgerId::RECORDS, genesis: genesis("records")? },
        LedgerPin { ledger: ledger::LedgerId::ACCESS, genesis: genesis("access")? },
    ];
    let kek = KeyEncryptionKey::from_file(&state.join("keys/kek"), KEK_VERSION)?;
    let vault = Arc::new(Vault::open(data, kek)?);
    Ok(Store::open(data, &pins, vault)?)
}
