//! Witnesses: who has seen from outside that a ledger only grew, and what that makes impossible.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use testkit::client::{Client, Token};
use testkit::cluster::{Cluster, program};
use testkit::wait::eventually;

use crate::tools::{PATIENCE, alarm, copy, some_notes};
use crate::verifier::{Verifier, checkpoint, covering};

const NAME: &str = "compliance.hospital.example/w1";

/// A witness's folder: its key, and what it has cosigned.
pub(crate) struct Office {
    folder: TempDir,
    /// Its key, for policies.
    pub(crate) vkey: String,
    pub(crate) address: String,
}

/// A witness that runs; it ends with the test.
pub(crate) struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Office {
    /// With an address where nobody listens yet, of a port that was free a moment ago.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(program("caseledger").expect("built"));
        command.args(["witness", "key", "--name", NAME, "-o"]).arg(folder.path().join("key"));
        let vkey = testkit::cluster::run(&mut command).expect("a key").trim().to_owned();
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its address").to_string();
        Self { folder, vkey, address }
    }

    /// Starts it, for these logs.
    pub(crate) fn serve(&self, policies: &[PathBuf]) -> Serving {
        let mut command = Command::new(program("caseledger").expect("built"));
        command.args(["witness", "serve", "--json", "--name", NAME, "--listen", &self.address]);
        command.arg("--key").arg(self.folder.path().join("key"));
        command.arg("--state").arg(self.folder.path().join("state"));
        command.arg("--policy").args(policies).stdout(Stdio::piped());
        let mut serving = Serving(command.spawn().expect("started"));
        let mut lines = BufReader::new(serving.0.stdout.take().expect("its output"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("it says where it listens");
        assert!(line.contains(&self.address), "{line}");
        // Read on, so that it never waits for us.
        std::thread::spawn(move || lines.lines().for_each(drop));
        serving
    }

    /// What a node's configuration says of it.
    pub(crate) fn config(&self, quorum: usize) -> String {
        self.config_at(&self.address, quorum)
    }

    /// The same, as if it were at another address.
    pub(crate) fn config_at(&self, address: &str, quorum: usize) -> String {
        let vkey = &self.vkey;
        format!(
            "\n[witnesses]\nquorum = {quorum}\n[[witnesses.known]]\nkey = \"{vkey}\"\nurl = \"http://{address}\"\n"
        )
    }
}

/// Nodes with a patient, their policies, and a case manager and an operator.
pub(crate) struct World {
    pub(crate) cluster: Cluster,
    folder: TempDir,
    pub(crate) manager: Client,
    pub(crate) operator: Client,
    pub(crate) patient: String,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::of(1).await
    }

    pub(crate) async fn of(nodes: usize) -> Self {
        let cluster = Cluster::start(nodes).await.expect("nodes");
        let manager = cluster.client(0, "case-manager").unwrap();
        let operator = cluster.client(0, "hospital-it").unwrap();
        let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
        let folder = tempfile::tempdir().expect("a folder");
        Self { cluster, folder, manager, operator, patient }
    }

    /// The ledgers' policies, as files.
    pub(crate) fn policies(&self) -> Vec<PathBuf> {
        let token = Token::signed(&self.cluster.node(0).state, "auditor", "auditor-1");
        let token = token.expect("a token").0;
        let policy = |ledger: &str| {
            let mut command = Command::new(program("caseledger").expect("built"));
            command
                .env("CASELEDGER_SERVER", format!("http://{}", self.cluster.node(0).listen))
                .env("CASELEDGER_TOKEN", &token)
                .args(["ledger", "policy", "--ledger", ledger]);
            let file = self.folder.path().join(format!("{ledger}.policy"));
            let text = testkit::cluster::run(&mut command).expect("a policy");
            std::fs::write(&file, text).expect("written");
            file
        };
        ["records", "access"].map(policy).to_vec()
    }

    /// Starts the nodes anew with more in their configuration.
    pub(crate) async fn with(&mut self, more: &str) {
        for node in &mut self.cluster.nodes {
            node.stop().await.expect("stopped");
            let config = node.state.join("config.toml");
            let text = std::fs::read_to_string(&config).expect("configuration");
            std::fs::write(&config, format!("{text}{more}")).expect("written");
        }
        self.start().await;
    }

    /// Starts the nodes anew with another `[witnesses]` in their configuration.
    pub(crate) async fn with_instead(&mut self, witnesses: &str) {
        for node in &self.cluster.nodes {
            let config = node.state.join("config.toml");
            let text = std::fs::read_to_string(&config).expect("configuration");
            let before = text.split_once("\n[witnesses]").expect("some").0;
            std::fs::write(&config, before).expect("written");
        }
        self.with(witnesses).await;
    }

    async fn start(&mut self) {
        for node in &mut self.cluster.nodes {
            node.spawn().expect("started");
        }
        for node in &self.cluster.nodes {
            node.serving().await.expect("serving");
        }
    }

    pub(crate) async fn verifier(&self) -> Verifier {
        let head = self.manager.heads().await.expect("heads").swap_remove(0);
        Verifier::of(&self.cluster, &head)
    }

    /// A note that the witness has cosigned, of at least so many records.
    pub(crate) async fn witnessed(&self, office: &Office, size: u64) -> String {
        self.witnessed_by(&self.manager, office, size).await
    }

    /// The same, of the node that this client asks.
    pub(crate) async fn witnessed_by(&self, asks: &Client, office: &Office, size: u64) -> String {
        let witness = [office.vkey.parse().expect("a key")];
        let verifier = self.verifier().await;
        let found = eventually(PATIENCE, "a cosignature of the witness", async || {
            let text = checkpoint(asks).await?;
            let note: ledger::note::SignedNote = text.parse()?;
            note.verify(&witness)?;
            anyhow::ensure!(verifier.open(&text).0.size >= size, "it covers less than {size}");
            Ok(text)
        });
        found.await.expect("witnessed")
    }
}

/// Copies a node's databases and its broker's, both stopped.
fn backup(world: &World, to: &Path) {
    copy(&world.cluster.node(0).data(), &to.join("data"));
    copy(&world.cluster.nats.store_dir(), &to.join("nats"));
}

fn put_back(world: &World, from: &Path) {
    for (saved, live) in
        [("data", world.cluster.node(0).data()), ("nats", world.cluster.nats.store_dir())]
    {
        std::fs::remove_dir_all(&live).expect("removed");
        copy(&from.join(saved), &live);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_quorum_witnesses_only_add_and_what_has_none_is_called_unwitnessed() {
    let mut world = World::new().await;
    let verifier = world.verifier().await;
    covering(&world.manager, &verifier, 4).await;
    let status = world.operator.status().await.expect("its status");
    assert!(status.ledgers.iter().all(|ledger| ledger.witnesses == 0));
    let office = Office::new();
    let policies = world.policies();
    let serving = office.serve(&policies);
    world.with(&office.config(0)).await;
    let size = some_notes(&world.manager, &world.patient, 3).await;
    let note = world.witnessed(&office, size).await;
    // A verifier may ask for the witness beside the nodes.
    let policy = std::fs::read_to_string(&policies[0]).expect("a policy");
    let policy = policy.replace(
        "quorum nodes",
        &format!("witness w1 {}\ngroup all 2 nodes w1\nquorum all", office.vkey),
    );
    let policy: ledger::policy::Policy = policy.parse().expect("a policy");
    policy.open(&note.parse().expect("a note")).expect("accepted");
    let told = eventually(PATIENCE, "both ledgers are witnessed", async || {
        let status = world.operator.status().await?;
        anyhow::ensure!(status.ledgers.iter().all(|ledger| ledger.witnesses == 1), "{status:?}");
        Ok(())
    });
    told.await.expect("the status says so");
    // Without it the node goes on, and says that it misses it.
    drop(serving);
    let size = some_notes(&world.manager, &world.patient, 1).await;
    covering(&world.manager, &verifier, size).await;
    let missed = alarm(&world.operator, "WITNESS_UNREACHED").await;
    assert!(missed.text.contains(NAME) && missed.text.contains(&office.address), "{missed:?}");
    let _again = office.serve(&policies);
    world.witnessed(&office, size).await;
    let over = eventually(PATIENCE, "the alarm is over", async || {
        let alarms = world.operator.status().await?.alarms;
        anyhow::ensure!(alarms.is_empty(), "{alarms:?}");
        Ok(())
    });
    over.await.expect("it is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_quorum_nothing_is_final_before_the_witness_has_cosigned_it() {
    let mut world = World::new().await;
    let (office, policies) = (Office::new(), world.policies());
    world.with(&office.config(1)).await;
    alarm(&world.operator, "WITNESS_UNREACHED").await;
    let size = some_notes(&world.manager, &world.patient, 1).await;
    let none = checkpoint(&world.manager).await.expect_err("nobody has cosigned");
    assert!(none.to_string().contains("quorum of witnesses"), "{none}");
    let _serving = office.serve(&policies);
    let first = world.witnessed(&office, size).await;
    // What is filed while it is away is not final, and what was before stays.
    drop(_serving);
    some_notes(&world.manager, &world.patient, 2).await;
    alarm(&world.operator, "WITNESS_UNREACHED").await;
    let verifier = world.verifier().await;
    let now = checkpoint(&world.manager).await.expect("the older one");
    assert_eq!(verifier.open(&now).0.size, verifier.open(&first).0.size);
    // Also after a restart, while the witness is still away.
    world.cluster.node_mut(0).kill().expect("killed");
    world.start().await;
    let again = eventually(PATIENCE, "the older one", async || checkpoint(&world.manager).await);
    let again = again.await.expect("what was final is final");
    assert_eq!(verifier.open(&again).0, verifier.open(&now).0);
    let _serving = office.serve(&policies);
    world.witnessed(&office, size + 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broker_and_database_put_back_together_are_found_by_the_witness() {
    let mut world = World::new().await;
    let (office, policies) = (Office::new(), world.policies());
    let _serving = office.serve(&policies);
    world.with(&office.config(1)).await;
    let size = some_notes(&world.manager, &world.patient, 2).await;
    world.witnessed(&office, size).await;
    // An old copy of everything that the hospital has.
    world.cluster.node_mut(0).stop().await.expect("stopped");
    world.cluster.nats.stop().expect("stopped");
    let saved = tempfile::tempdir().expect("a folder");
    backup(&world, saved.path());
    world.cluster.nats.restart().await.expect("started");
    world.start().await;
    let size = some_notes(&world.manager, &world.patient, 5).await;
    let kept = world.witnessed(&office, size).await;
    world.cluster.node_mut(0).stop().await.expect("stopped");
    world.cluster.nats.stop().expect("stopped");
    put_back(&world, saved.path());
    world.cluster.nats.restart().await.expect("started");
    world.start().await;
    // Inside, all of it fits; the witness has seen more.
    let behind = alarm(&world.operator, "WITNESS_DISAGREES").await;
    assert!(behind.text.contains(NAME) && behind.text.contains("put back"), "{behind:?}");
    let past = some_notes(&world.manager, &world.patient, 9).await;
    let verifier = world.verifier().await;
    assert!(past > verifier.open(&kept).0.size);
    let forked = eventually(PATIENCE, "the witness sees the fork", async || {
        let alarms = world.operator.status().await?.alarms;
        let found = alarms.iter().find(|one| one.code == "WITNESS_DISAGREES");
        let text = found.map(|one| one.text.clone()).unwrap_or_default();
        anyhow::ensure!(text.contains("proof does not show"), "{text}");
        Ok(())
    });
    forked.await.expect("it does not cosign what does not continue");
    let old = checkpoint(&world.manager).await.expect("what was final when the copy was made");
    let of = |note: &str| verifier.open(note).0.size;
    assert!(of(&old) < of(&kept), "nothing of the fork is final");
}
