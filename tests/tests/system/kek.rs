//! Key-encryption keys: where they come from, how a cluster changes to another while it works, and that
//! the memory which holds them is never written down.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use testkit::client::{Client, request_id};
use testkit::cluster::{Cluster, Node, program, run};
use testkit::wait::eventually;
use vault::{KekReport, KeyEncryptionKey, Vault, wrapped_under};

use crate::tools::{PATIENCE, alarm, databases, jetstream, refuses};

const BUCKET: &str = "CASELEDGER_KEYS";
/// Batches put into the bucket beside the nodes' own, so that a rotation has a middle.
const MORE: usize = 300;

/// Writes what a node's configuration says of its key-encryption key.
fn set_kek(node: &Node, kek: &str) {
    let file = node.state.join("config.toml");
    let text = std::fs::read_to_string(&file).expect("its configuration");
    let line = text.lines().find(|line| line.starts_with("kek = ")).expect("its key").to_owned();
    std::fs::write(&file, text.replace(&line, &format!("kek = {kek}"))).expect("written");
}

async fn restart(node: &mut Node) {
    node.stop().await.expect("stopped");
    node.spawn().expect("started");
    node.serving().await.expect("serving");
}

fn kek_command(node: &Node, which: &str) -> Command {
    let mut command = Command::new(program("caseledgerd").expect("built"));
    command.args(["kek", which, "--json", "--config"]).arg(node.state.join("config.toml"));
    command.envs(node.environment.iter().cloned());
    command
}

/// Waits until all nodes of a configuration say that they know versions 1 and 2.
async fn all_know_both(mut status: Command) {
    let told = eventually(PATIENCE, "every node knows both versions", async || {
        let told: Value = serde_json::from_str(&run(&mut status)?)?;
        let nodes = told["nodes"].as_array().expect("nodes");
        anyhow::ensure!(
            nodes.iter().all(|node| node["known"] == serde_json::json!([1, 2])),
            "{told}"
        );
        Ok(())
    });
    told.await.unwrap();
}

/// Waits for a rotation, but not for ever.
async fn rotated(rotate: Command) {
    let mut rotate = tokio::process::Command::from(rotate);
    let ended = tokio::time::timeout(PATIENCE, rotate.kill_on_drop(true).output()).await;
    let ended = ended.expect("it ends").expect("it ran");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// How many of the bucket's entries are under which version.
async fn versions(cluster: &Cluster) -> anyhow::Result<BTreeMap<u32, usize>> {
    let mut stream = jetstream(cluster).await.get_stream(format!("KV_{BUCKET}")).await?;
    let last = stream.info().await?.state.last_sequence;
    let mut found = BTreeMap::new();
    for sequence in 1..=last {
        // One that was replaced is gone.
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        let name = message.subject.rsplit(&format!("{BUCKET}.")).next().unwrap_or_default();
        if KekReport::is_name(name) {
            continue;
        }
        let version = wrapped_under(name, &message.payload)?.expect("no key is destroyed");
        *found.entry(version).or_default() += 1;
    }
    Ok(found)
}

fn fsck(node: &Node) -> Value {
    let mut command = Command::new(program("caseledgerd").expect("built"));
    let said = run(command.args(["fsck", "--json", "--data"]).arg(node.data())).expect("intact");
    serde_json::from_str(&said).expect("JSON")
}

/// Puts more batches into the bucket, as a hospital of 77,000 patients has them.
async fn more_batches(cluster: &Cluster) {
    let kv = jetstream(cluster).await.get_key_value(BUCKET).await.expect("the bucket");
    let kek = KeyEncryptionKey::from_file(&cluster.node(0).state.join("keys/kek"), 1);
    let dir = tempfile::tempdir().expect("a folder");
    let vault = Vault::open(dir.path(), kek.expect("the key")).expect("a vault");
    for number in 0..MORE {
        let batch = vault.mint_batch().expect("a batch");
        kv.create(format!("batch.{number:032x}"), batch.into()).await.expect("created");
    }
}

/// Writes and reads at one node until it is told to stop, and says how often; whatever fails, fails.
async fn works(client: Client, patient: String, stop: Arc<AtomicBool>) -> usize {
    let mut done = 0;
    while !stop.load(Ordering::Relaxed) {
        let filed = client.file_note(&patient, "a note", &request_id(), None).await.expect("filed");
        client.read_file(&patient, Some(filed.position)).await.expect("read");
        done += 1;
    }
    done
}

/// Three nodes with a patient each and a middle to their rotation, that were given version 2 beside the
/// first one after the other; and where it is.
async fn given_both() -> (Cluster, Vec<String>, PathBuf) {
    let mut cluster = Cluster::start(3).await.expect("three nodes");
    let mut patients = Vec::new();
    for index in 0..3 {
        let manager = cluster.client(index, "case-manager").unwrap();
        patients.push(manager.register(&format!("MRN-{index}"), "Ames").await.unwrap().patient_id);
    }
    more_batches(&cluster).await;
    let second = cluster.node(0).state.join("keys/kek.2");
    run(Command::new(program("caseledgerd").unwrap()).args(["kek", "make"]).arg(&second)).unwrap();
    let both = format!("{{ 1 = \"keys/kek\", 2 = \"{}\" }}", second.display());
    // The configuration of the first node names both others, since it sponsored them.
    for index in [0, 1] {
        set_kek(cluster.node(index), &both);
        restart(cluster.node_mut(index)).await;
    }
    let early = kek_command(cluster.node(0), "rotate").output().expect("it runs");
    let said = String::from_utf8_lossy(&early.stderr).into_owned();
    assert!(!early.status.success() && said.contains("nothing was changed"), "{said}");
    set_kek(cluster.node(2), &both);
    restart(cluster.node_mut(2)).await;
    let wanted = MORE + 1;
    eventually(PATIENCE, "nothing is under version 2 yet", async || {
        let now = versions(&cluster).await?;
        anyhow::ensure!(now.len() == 1 && now[&1] > wanted, "{now:?}");
        Ok(())
    })
    .await
    .unwrap();
    all_know_both(kek_command(cluster.node(0), "status")).await;
    (cluster, patients, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_changes_its_key_encryption_key_under_load_and_after_a_kill() {
    let (mut cluster, patients, second) = given_both().await;
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = [0, 2]
        .map(|index| {
            let client = cluster.client(index, "case-manager").unwrap();
            tokio::spawn(works(client, patients[index].clone(), Arc::clone(&stop)))
        })
        .into();
    let mut rotate = tokio::process::Command::from(kek_command(cluster.node(0), "rotate"));
    let rotate = rotate.stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    eventually(PATIENCE, "the middle", async || {
        let now = versions(&cluster).await?;
        anyhow::ensure!(now.get(&2).is_some_and(|done| *done > 3), "{now:?}");
        Ok(())
    })
    .await
    .unwrap();
    cluster.node_mut(1).kill().expect("killed");
    let middle = versions(&cluster).await.unwrap();
    assert!(middle.contains_key(&1), "the rotation was over before the kill: {middle:?}");
    cluster.node_mut(1).spawn().expect("started");
    let ended = tokio::time::timeout(PATIENCE, rotate.wait_with_output()).await.expect("it ends");
    let said = String::from_utf8(ended.unwrap().stdout).unwrap();
    let told: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!((&told["version"], &told["complete"]), (&2.into(), &true.into()), "{told}");
    stop.store(true, Ordering::Relaxed);
    for one in load {
        assert!(one.await.expect("nothing failed") > 0, "it worked all the while");
    }

    let now = versions(&cluster).await.unwrap();
    assert!(now.len() == 1 && now.contains_key(&2), "{now:?}");
    for node in &mut cluster.nodes {
        node.stop().await.expect("stopped");
        let keys = &fsck(node)["keys_by_kek_version"];
        assert!(keys.as_object().is_some_and(|it| it.len() == 1 && it.contains_key("2")), "{keys}");
        set_kek(node, &format!("{{ 2 = \"{}\" }}", second.display()));
    }
    for node in &mut cluster.nodes {
        node.spawn().expect("started");
    }
    for index in 0..3 {
        cluster.node(index).serving().await.expect("serving");
        let manager = cluster.client(index, "case-manager").unwrap();
        for patient in &patients {
            manager.read_file(patient, None).await.expect("read under the new key");
        }
    }
    let node = cluster.node_mut(0);
    node.stop().await.expect("stopped");
    set_kek(node, "\"keys/kek\"");
    let said = refuses(node).await;
    assert!(said.contains("under version 2") && said.contains("name version 2 in `kek`"), "{said}");
}

#[tokio::test]
async fn no_rotation_begins_while_a_node_knows_another_key_by_the_new_number() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    for node in &mut cluster.nodes {
        // Each its own, as if the command had been run on every machine.
        let own = node.state.join("keys/kek.2");
        run(Command::new(program("caseledgerd").unwrap()).args(["kek", "make"]).arg(&own)).unwrap();
        set_kek(node, "{ 1 = \"keys/kek\", 2 = \"keys/kek.2\" }");
        restart(node).await;
    }
    all_know_both(kek_command(cluster.node(0), "status")).await;
    let refused = kek_command(cluster.node(0), "rotate").output().expect("it runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("or is another key there"), "{said}");
    let now = versions(&cluster).await.unwrap();
    assert!(now.len() == 1 && now.contains_key(&1), "nothing was changed: {now:?}");
}

#[tokio::test]
async fn a_node_that_was_not_given_the_new_version_says_so_and_goes_on_with_what_it_has() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(1, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let first = cluster.node(0).state.join("keys/kek.2");
    run(Command::new(program("caseledgerd").unwrap()).args(["kek", "make"]).arg(&first)).unwrap();
    set_kek(cluster.node(0), &format!("{{ 1 = \"keys/kek\", 2 = \"{}\" }}", first.display()));
    restart(cluster.node_mut(0)).await;
    // The command would refuse; the other node is not in this configuration.
    let config = cluster.node(0).state.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let (alone, _) = text.split_once("\n[[peers]]").expect("a peer");
    let copy = cluster.node(0).state.join("alone.toml");
    std::fs::write(&copy, alone).unwrap();
    let command = |which| {
        let mut command = Command::new(program("caseledgerd").unwrap());
        command.args(["kek", which, "--json", "--config"]).arg(&copy);
        command
    };
    all_know_both(command("status")).await;
    rotated(command("rotate")).await;

    let operator = cluster.client(1, "hospital-it").unwrap();
    let raised = alarm(&operator, "KEYS_REFUSED").await;
    assert!(raised.text.contains("under version 2"), "{raised:?}");
    manager.file_note(&patient, "still", &request_id(), None).await.expect("filed");
    // It makes no keys under a version that is no more for the others.
    cluster.node_mut(1).stop().await.expect("stopped");
    let (store, vault) = databases(cluster.node(1));
    for _ in 0..512 {
        vault.take_patient().expect("readable").expect("a spare one");
    }
    assert!(vault.unused() < 1_024);
    drop((store, vault));
    cluster.node_mut(1).spawn().expect("started");
    let raised = alarm(&operator, "KEYS_LOW").await;
    assert!(raised.text.contains("under version 2"), "{raised:?}");
    set_kek(cluster.node(1), &format!("{{ 1 = \"keys/kek\", 2 = \"{}\" }}", first.display()));
    restart(cluster.node_mut(1)).await;
    let manager = cluster.client(1, "case-manager").unwrap();
    manager.read_file(&patient, None).await.expect("read");
    let operator = cluster.client(1, "hospital-it").unwrap();
    let made = eventually(PATIENCE, "it makes keys again", async || {
        let spare = operator.status().await?.spare_keys;
        anyhow::ensure!(spare >= 1_024, "{spare} spare");
        Ok(())
    });
    made.await.unwrap();
}

/// A token of SoftHSM2 in a folder of its own.
struct SoftHsm {
    folder: tempfile::TempDir,
    module: PathBuf,
}

impl SoftHsm {
    fn new() -> Self {
        let places = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"];
        let module = places.map(PathBuf::from).into_iter().find(|place| place.exists());
        let module = module.expect("SoftHSM2 is installed: `apt-get install softhsm2`");
        let hsm = Self { folder: tempfile::tempdir().expect("a folder"), module };
        let tokens = hsm.folder.path().join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let config = format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display());
        std::fs::write(hsm.folder.path().join("softhsm2.conf"), config).unwrap();
        let mut init = Command::new("softhsm2-util");
        init.args(["--init-token", "--free", "--label", "case ledger"]);
        init.args(["--so-pin", "87654321", "--pin", "12345678"]).envs([hsm.variable()]);
        run(&mut init).expect("a token");
        hsm.pin("12345678");
        hsm
    }

    fn variable(&self) -> (String, String) {
        let config = self.folder.path().join("softhsm2.conf");
        ("SOFTHSM2_CONF".to_owned(), config.display().to_string())
    }

    fn pin(&self, pin: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let file = self.folder.path().join("pin");
        std::fs::write(&file, pin).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn place(&self, sealed: &Path) -> String {
        format!(
            "pkcs11:token=case%20ledger;object=kek?module-path={}&pin-source=file:{}&x-sealed={}",
            self.module.display(),
            self.folder.path().join("pin").display(),
            sealed.display()
        )
    }
}

#[tokio::test]
async fn a_node_takes_its_key_encryption_key_from_a_variable_and_from_a_pkcs11_module() {
    let mut cluster = Cluster::found(1).await.expect("founded");
    let hsm = SoftHsm::new();
    let file = cluster.node(0).state.join("keys/kek");
    let digits = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let node = cluster.node_mut(0);
    set_kek(node, "\"env:CASELEDGER_TEST_KEK\"");
    let said = refuses(node).await;
    assert!(said.contains("CASELEDGER_TEST_KEK is not set"), "{said}");
    node.environment.push(("CASELEDGER_TEST_KEK".to_owned(), digits));
    node.environment.push(hsm.variable());
    node.spawn().expect("started");
    node.serving().await.expect("serving");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;

    let sealed = cluster.node(0).state.join("keys/kek.2.sealed");
    let place = hsm.place(&sealed);
    let mut make = Command::new(program("caseledgerd").unwrap());
    make.args(["kek", "make", "--json", &place]).envs([hsm.variable()]);
    let made: Value = serde_json::from_str(&run(&mut make).expect("made")).unwrap();
    assert!(made["made"].as_str().unwrap().contains("which was made for it"), "{made}");
    assert!(run(&mut make).is_err(), "nothing is overwritten");
    set_kek(cluster.node(0), &format!("{{ 1 = \"env:CASELEDGER_TEST_KEK\", 2 = \"{place}\" }}"));
    restart(cluster.node_mut(0)).await;
    all_know_both(kek_command(cluster.node(0), "status")).await;
    rotated(kek_command(cluster.node(0), "rotate")).await;
    let node = cluster.node_mut(0);
    set_kek(node, &format!("{{ 2 = \"{place}\" }}"));
    restart(node).await;
    let manager = cluster.client(0, "case-manager").unwrap();
    manager.read_file(&patient, None).await.expect("read");
    let filed = manager.file_note(&patient, "a note", &request_id(), None).await.expect("filed");
    let filed = filed.position;

    let node = cluster.node_mut(0);
    node.stop().await.expect("stopped");
    hsm.pin("11111111");
    let said = refuses(node).await;
    assert!(said.contains("could not log in") && !said.contains("11111111"), "{said}");
    hsm.pin("12345678");
    let whole = std::fs::read_to_string(&sealed).unwrap();
    let mut changed = whole.trim_end().to_owned();
    let last = changed.pop();
    changed.push(if last == Some('0') { '1' } else { '0' });
    std::fs::write(&sealed, changed).unwrap();
    let said = refuses(node).await;
    assert!(said.contains("could not open the sealed key-encryption key"), "{said}");
    std::fs::write(&sealed, whole).unwrap();

    // A node more is given the same.
    let second = cluster.admit().expect("admitted");
    cluster.node_mut(second).environment.push(hsm.variable());
    // One after the other: SoftHSM keeps its tokens in files, and fails where two processes open them at
    // once. A node opens its key before it answers.
    cluster.node_mut(0).spawn().expect("started");
    let operator = cluster.client(0, "hospital-it").unwrap();
    let answers = async || Ok(operator.status().await.map(drop)?);
    eventually(PATIENCE, "the first has its key", answers).await.expect("it answers");
    cluster.node_mut(second).spawn().expect("started");
    for node in &cluster.nodes {
        node.serving().await.expect("serving");
    }
    let there = cluster.client(second, "case-manager").unwrap();
    there.read_file(&patient, Some(filed)).await.expect("read");
}

#[tokio::test]
async fn a_node_writes_no_core_dump() {
    let cluster = Cluster::start(1).await.expect("a node");
    let pid = cluster.node(0).pid().expect("it runs");
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).expect("its limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a line");
    let told: Vec<_> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(told, ["0", "0"], "{core}");
}
