//! Evidence: what a ledger holds about a patient, that it is all of it, and packages that others check.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use api::v1;
use ledger::{LedgerId, SubjectId};
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, Options};
use tempfile::TempDir;
use testkit::client::{Client, Token, purpose};
use testkit::cluster::{Cluster, Node, program};
use vault::{DataKey, KeyEncryptionKey, Vault};

use crate::tools::{many_notes, some_notes};

/// A node whose records go on beyond a commitment, with two patients.
pub(crate) struct World {
    cluster: Cluster,
    folder: TempDir,
    pub(crate) manager: Client,
    /// With records on both sides of the commitment.
    ames: String,
    /// With records before it alone.
    pub(crate) bell: String,
}

impl World {
    async fn new() -> Self {
        let world = Self::small().await;
        many_notes(&world.manager, &world.ames, 4_200).await;
        world
    }

    /// Without records that go on beyond a commitment.
    pub(crate) async fn small() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let cluster = Cluster::start(1).await.expect("a node");
        let manager = cluster.client(0, "case-manager").unwrap();
        let ames = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
        let bell = manager.register("MRN-2", "Bell").await.expect("registered").patient_id;
        some_notes(&manager, &bell, 3).await;
        let world = Self { cluster, folder, manager, ames, bell };
        for ledger in ["records", "access"] {
            let policy = world.run("auditor", &["ledger", "policy", "--ledger", ledger]);
            std::fs::write(world.policy(ledger), policy.stdout).expect("written");
        }
        world
    }

    /// The rows that the patient's file is shown from.
    async fn rows_of(&mut self, patient: &str) -> Vec<Row> {
        self.cluster.node_mut(0).stop().await.expect("stopped");
        let insider = Insider::at(self.cluster.node(0), patient);
        let rows = insider.rows();
        drop(insider);
        self.cluster.node_mut(0).spawn().expect("started");
        self.cluster.node(0).serving().await.expect("serving");
        rows
    }

    fn policy(&self, ledger: &str) -> PathBuf {
        self.folder.path().join(format!("{ledger}.policy"))
    }

    /// The command line, by somebody in a role.
    fn run(&self, role: &str, what: &[&str]) -> Output {
        let state = &self.cluster.node(0).state;
        let token = Token::signed(state, role, "officer-1").expect("a token").0;
        let mut command = Command::new(program("caseledger").expect("built"));
        command
            .env("CASELEDGER_SERVER", format!("http://{}", self.cluster.node(0).listen))
            .env("CASELEDGER_TOKEN", token);
        command.args(what).output().expect("it runs")
    }

    fn verify(&self, role: &str, ledger: &str, patient: &str) -> Output {
        let policy = self.policy(ledger);
        let policy = policy.to_str().expect("text");
        self.run(role, &["verify", "--policy", policy, "--ledger", ledger, "--patient", patient])
    }

    /// Makes a package and unpacks it.
    pub(crate) fn package(&self, name: &str, what: &[&str]) -> PathBuf {
        let zip = self.folder.path().join(format!("{name}.zip"));
        let made = [&["prove", "-o", zip.to_str().expect("text")], what].concat();
        let made = self.run("compliance-officer", &made);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let into = self.folder.path().join(name);
        let unzip = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])";
        let unzipped = Command::new("python3").args(["-c", unzip]).arg(&zip).arg(&into).status();
        assert!(unzipped.expect("python3").success());
        into
    }
}

/// What the script in a package says.
pub(crate) fn check(package: &Path) -> (Option<i32>, String) {
    let output = Command::new("python3").arg("check.py").current_dir(package).output();
    let output = output.expect("python3");
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).expect("text"))
}

fn said(output: &Output) -> String {
    let both = [output.stdout.as_slice(), &output.stderr].concat();
    String::from_utf8(both).expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn all_about_a_patient_is_proved_and_that_there_is_nothing() {
    let world = World::new().await;
    let nobody = "00112233445566778899aabbccddeeff";
    for (patient, count) in [(&*world.ames, 4_201), (&*world.bell, 4), (nobody, 0)] {
        let verified = world.verify("compliance-officer", "records", patient);
        let said = said(&verified);
        assert_eq!(verified.status.code(), Some(0), "{said}");
        assert!(said.starts_with(&format!("intact: {count} record(s)")), "{said}");
        assert_eq!(said.contains("is what these records say"), patient != nobody, "{said}");
    }
    // Reading the file just now is among the accesses, and so is the evidence before it.
    let accesses = world.verify("auditor", "access", &world.bell);
    assert_eq!(accesses.status.code(), Some(0), "{}", said(&accesses));
    assert!(said(&accesses).starts_with("intact: 2 record(s)"), "{}", said(&accesses));
    let denied = world.verify("auditor", "records", &world.bell);
    assert_eq!(denied.status.code(), Some(12), "an auditor sees no file: {}", said(&denied));
    let nurse = world.verify("nurse", "access", &world.bell);
    assert_eq!(nurse.status.code(), Some(12), "{}", said(&nurse));
    let accesses = world.verify("auditor", "access", &world.bell);
    assert!(said(&accesses).starts_with("intact: 5 record(s)"), "{}", said(&accesses));
    // Who has a number, the records show; where there are none to open, only the node says it.
    for (ledger, names) in [("records", "in whose records the number"), ("access", "node's word")] {
        let numbered = world.verify("compliance-officer", ledger, "MRN-2");
        let said = said(&numbered);
        assert_eq!(numbered.status.code(), Some(0), "{said}");
        assert!(said.contains(&world.bell) && said.contains(names), "{said}");
    }
    let unknown = world.verify("compliance-officer", "records", "");
    assert_eq!(unknown.status.code(), Some(2), "no patient: {}", said(&unknown));
}

/// What people read is held against what is sealed.
fn read_otherwise(package: &Path) {
    let records = std::fs::read_dir(package.join("records")).expect("records");
    let read: Vec<PathBuf> = records.map(|file| file.expect("readable").path()).collect();
    for (from, to, names) in [
        ("\"note 1\"", "\"note 7\"", "note_detail.text (filed: \"note 1\"; here: \"note 7\")"),
        ("\"recorded_at\": \"20", "\"recorded_at\": \"19", "recorded_at (filed: "),
        ("\"actor\": \"", "\"actor\": \"0", "actor (filed: "),
    ] {
        let has = |file: &&PathBuf| std::fs::read_to_string(file).is_ok_and(|it| it.contains(from));
        let file = read.iter().find(has).expect("a record that says so");
        let whole = std::fs::read_to_string(file).expect("readable");
        std::fs::write(file, whole.replace(from, to)).expect("written");
        let (code, said) = check(package);
        assert_eq!(code, Some(10), "{said}");
        assert!(said.contains(names), "{said}");
        std::fs::write(file, whole).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_checked_with_nothing_but_python_and_what_is_changed_in_it_is_found() {
    let world = World::new().await;
    let policy = world.policy("records");
    let policy = ["--policy", policy.to_str().expect("text")];
    let mut packages = Vec::new();
    let (one, commitment) = (["--position", "9"], ["--position", "4095"]);
    for (name, about) in
        [("bell", [&*world.bell].as_slice()), ("one", &one), ("commitment", &commitment)]
    {
        packages.push(world.package(name, &[about, policy.as_slice()].concat()));
    }
    packages.push(world.package("accesses", &[&world.bell, "--ledger", "access"]));
    packages.push(world.package("range", &["--range", "4090..4120"]));
    for package in &packages {
        let (code, said) = check(package);
        assert_eq!(code, Some(0), "{}: {said}", package.display());
    }
    for (name, about, remark) in [
        ("numbered", ["MRN-2", "--ledger", "records"], "which stands in these records"),
        ("unopened", ["MRN-2", "--ledger", "access"], "which is theirs by the word of the node"),
    ] {
        let package = world.package(name, &about);
        let cover = std::fs::read_to_string(package.join("README.txt")).expect("a cover");
        assert!(
            cover.contains("named by the number MRN-2 of ") && cover.contains(remark),
            "{cover}"
        );
        packages.insert(3, package);
    }
    let bell = &packages[0];
    let body = bell.join("bodies");
    let body = std::fs::read_dir(&body).expect("bodies").next().expect("one").expect("readable");
    for file in [body.path(), bell.join("checkpoint.txt"), bell.join("evidence.json")] {
        let whole = std::fs::read(&file).expect("readable");
        let mut changed = whole.clone();
        let at = whole.len() * 2 / 3;
        changed[at] = if changed[at] == b'1' { b'2' } else { b'1' };
        std::fs::write(&file, changed).expect("written");
        let (code, said) = check(bell);
        assert_eq!(code, Some(10), "{}: {said}", file.display());
        std::fs::write(&file, whole).expect("written");
    }
    read_otherwise(bell);
    // Of a range nothing may be left out between, nor before or behind.
    let between = packages.last().expect("made").join("evidence.json");
    let whole = std::fs::read_to_string(&between).expect("readable");
    for at in [0, 12, 29] {
        let mut changed: serde_json::Value = serde_json::from_str(&whole).expect("JSON");
        changed["leaves"].as_array_mut().expect("leaves").remove(at);
        std::fs::write(&between, changed.to_string()).expect("written");
        let (code, said) = check(&packages[packages.len() - 1]);
        assert_eq!(code, Some(10), "{said}");
        assert!(said.contains("4090 to 4119"), "{said}");
    }
    std::fs::write(&between, whole).expect("written");
    for (range, code) in [("9..9", 2), ("9..", 2), ("0..9999", 1), ("0..1000000", 1)] {
        let zip = world.folder.path().join("none.zip");
        let zip = zip.to_str().expect("text");
        let refused = world.run("compliance-officer", &["prove", "--range", range, "-o", zip]);
        assert_eq!(refused.status.code(), Some(code), "{range}: {}", said(&refused));
    }
    // Making a package is on record, and an existing file is not overwritten.
    let zip = world.folder.path().join("bell.zip");
    let before = std::fs::read(&zip).expect("readable");
    let zip = zip.to_str().expect("text");
    let again = world.run("compliance-officer", &["prove", &world.bell, "-o", zip]);
    assert_eq!(again.status.code(), Some(1), "{}", said(&again));
    assert!(said(&again).contains("choose another name, or delete it"), "{}", said(&again));
    assert_eq!(std::fs::read(zip).expect("readable"), before);
    let trail = world.run("auditor", &["audit", "list", "--json"]);
    let trail = said(&trail).replace([' ', '\n'], "");
    let proved = trail.matches("\"operation\":\"EvidenceService/Prove").count();
    assert_eq!(proved, packages.len() + 1, "each, and that somebody asked for what there is not");
}

/// The same call, by hand: what a node gives without contents opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn headers_alone_are_shown_without_contents() {
    let world = World::new().await;
    let auditor = world.cluster.client(0, "auditor").unwrap();
    let request = v1::ProveRequest {
        purpose: purpose("HCOMPL"),
        about: Some(v1::prove_request::About::PatientId(world.bell.clone())),
        ..v1::ProveRequest::default()
    };
    let mut parts = auditor.evidence().prove(request.clone()).await.expect("shown").into_inner();
    let mut leaves = 0;
    while let Some(part) = parts.message().await.expect("a part") {
        if let Some(v1::prove_response::Part::Leaves(more)) = part.part {
            leaves += more.leaves.len();
            assert!(more.leaves.iter().all(|leaf| leaf.body.is_empty() && leaf.content.is_none()));
        }
    }
    assert!(leaves > 100, "its own and all since the commitment: {leaves}");
    let refused = world.manager.evidence().prove(request.clone()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    let contents = v1::ProveRequest { contents: true, ..request };
    let refused = auditor.evidence().prove(contents).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied, "contents are not for auditors");
}

/// What somebody does to rows.
type Edit = fn(&Insider);

/// Bytes of the keys of a file's rows: who it is about, and an entry.
const IDENTITY: usize = 21;
const ENTRY: usize = 38;

/// Key and value.
type Row = (Vec<u8>, Vec<u8>);

/// The closed database of a node, and the keys to what is in it: what whoever owns the machine has.
struct Insider {
    rows: DB,
    key: Arc<DataKey>,
    subject: SubjectId,
}

impl Insider {
    fn at(node: &Node, patient: &str) -> Self {
        let kek = KeyEncryptionKey::from_file(&node.state.join("keys/kek"), 1).expect("a key");
        let vault = Vault::open(&node.data(), kek).expect("the keys");
        let subject: SubjectId = patient.parse().expect("an id");
        let file_key = vault.keys_of(subject).expect("read").expect("its keys").file;
        let key = vault.data_key(file_key).expect("read").expect("its key");
        let path = node.data().join("ledger");
        let tables = DB::list_cf(&Options::default(), &path).expect("tables");
        let rows = DB::open_cf(&Options::default(), &path, tables).expect("opened");
        Self { rows, key, subject }
    }

    fn files(&self) -> &ColumnFamily {
        self.rows.cf_handle("files").expect("the table")
    }

    /// The rows of the patient's file.
    fn rows(&self) -> Vec<Row> {
        let prefix = [LedgerId::RECORDS.to_bytes().as_slice(), &self.subject.0].concat();
        let from = IteratorMode::From(&prefix, Direction::Forward);
        let rows = self.rows.iterator_cf(self.files(), from).map(|row| row.expect("readable"));
        let own = rows.take_while(|(key, _)| key.starts_with(&prefix));
        own.map(|(key, row)| (key.into_vec(), row.into_vec())).collect()
    }

    /// Writes another word in place of one of the same length, sealed as the node seals it.
    fn rewrite(&self, word: &str, other: &str) {
        let mut found = 0;
        for (key, row) in self.rows() {
            let mut plain = self.key.open_view(&key, &row).expect("it opens");
            let has = |plain: &[u8], at: usize| plain[at..].starts_with(word.as_bytes());
            // The summary has it too, which is not what is shown.
            let places: Vec<usize> = (0..plain.len()).filter(|at| has(&plain, *at)).collect();
            for at in &places {
                plain[*at..at + word.len()].copy_from_slice(other.as_bytes());
            }
            found += places.len();
            let sealed = self.key.seal_view(&key, &plain).expect("sealed");
            self.rows.put_cf(self.files(), key, sealed).expect("written");
        }
        assert!(found > 0, "{word} stands in the file");
    }

    /// Removes the rows whose keys are so long.
    fn remove(&self, length: usize) {
        for (key, _) in self.rows().into_iter().filter(|(key, _)| key.len() == length) {
            self.rows.delete_cf(self.files(), key).expect("removed");
        }
    }

    fn put_back(&self, rows: &[Row]) {
        for (key, row) in rows {
            self.rows.put_cf(self.files(), key, row).expect("written");
        }
    }
}

/// Views are what is shown: whoever has the keys can seal another, but not make it follow from the
/// records.
#[tokio::test(flavor = "multi_thread")]
async fn a_view_row_that_the_keys_owner_rewrote_or_removed_is_found() {
    let mut world = World::new().await;
    let edits: [(Edit, &str); 4] = [
        (|insider| insider.rewrite("Bell", "Hill"), "another identity"),
        (|insider| insider.rewrite("note 1", "note 9"), "otherwise"),
        (|insider| insider.remove(ENTRY), "otherwise"),
        (|insider| insider.remove(IDENTITY), "shows no file"),
    ];
    let bell = world.bell.clone();
    for (edit, names) in edits {
        world.cluster.node_mut(0).stop().await.expect("stopped");
        let insider = Insider::at(world.cluster.node(0), &bell);
        let before = insider.rows();
        edit(&insider);
        drop(insider);
        world.cluster.node_mut(0).spawn().expect("started");
        world.cluster.node(0).serving().await.expect("serving");
        let found = world.verify("compliance-officer", "records", &bell);
        assert_eq!(found.status.code(), Some(10), "{names}: {}", said(&found));
        assert!(said(&found).contains(names), "{}", said(&found));
        let other = world.verify("compliance-officer", "records", &world.ames);
        assert_eq!(other.status.code(), Some(0), "the other file is as it was: {}", said(&other));
        world.cluster.node_mut(0).stop().await.expect("stopped");
        let insider = Insider::at(world.cluster.node(0), &bell);
        insider.put_back(&before);
        drop(insider);
        world.cluster.node_mut(0).spawn().expect("started");
        world.cluster.node(0).serving().await.expect("serving");
    }
    let again = world.verify("compliance-officer", "records", &bell);
    assert_eq!(again.status.code(), Some(0), "{}", said(&again));
    // All rows as they were before the newest record: what is shown was true once.
    let early = world.rows_of(&bell).await;
    some_notes(&world.manager, &bell, 1).await;
    world.cluster.node_mut(0).stop().await.expect("stopped");
    let insider = Insider::at(world.cluster.node(0), &bell);
    insider.remove(ENTRY);
    insider.put_back(&early);
    drop(insider);
    world.cluster.node_mut(0).spawn().expect("started");
    world.cluster.node(0).serving().await.expect("serving");
    let found = world.verify("compliance-officer", "records", &bell);
    assert_eq!(found.status.code(), Some(10), "{}", said(&found));
    assert!(said(&found).contains("otherwise"), "{}", said(&found));
}
