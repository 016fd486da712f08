//! `caseledger verify`: each exit code, and what is named.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use api::v1::Head;
use ledger::checkpoint::{Checkpoint, TlogProof};
use ledger::cosigned::{cosigner_name, sign};
use ledger::note::{KeyType, Vkey};
use ledger::{
    ContributionId, Control, Hash, Header, LeafType, NodeId, NodeKeys, SigningKey, TileId,
    TileKind, TilePath, Tree, leaf_hash,
};
use tempfile::TempDir;
use testkit::client::Token;
use testkit::cluster::{Cluster, program};
use testkit::wait::eventually;

use crate::membership::retire;
use crate::tools::{PATIENCE, Pen, many_notes, some_notes};
use crate::verifier::{
    Dice, Verifier, checkpoint, controls, covering, fetch, flipped, mirror, with_http,
};

/// A ledger, its policy and a copy of all that a node serves of it.
struct World {
    cluster: Cluster,
    folder: TempDir,
    at: String,
    prefix: String,
    token: String,
    checkpoint: Checkpoint,
    files: Vec<PathBuf>,
}

impl World {
    async fn new(notes: usize) -> Self {
        Self::of("records", notes, 0).await
    }

    /// With a copy of this ledger, after a patient got so many notes and was read so often.
    async fn of(ledger: &str, notes: usize, reads: usize) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut cluster = Cluster::found(1).await.expect("founded");
        let at = with_http(cluster.node(0));
        cluster.node_mut(0).spawn().expect("started");
        cluster.node(0).serving().await.expect("serving");
        let manager = cluster.client(0, "case-manager").unwrap();
        let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
        many_notes(&manager, &patient, notes).await;
        for _ in 0..reads {
            manager.read_file(&patient, None).await.expect("shown");
        }
        let heads = cluster.agreed().await.expect("at rest");
        let of_it = |head: &&Head| head.origin.contains(&format!("/{ledger}."));
        let head = heads.iter().find(of_it).expect("its head");
        let verifier = Verifier::of(&cluster, head);
        let prefix = head.origin.split_once('/').expect("name and path").1.to_owned();
        let path = format!("/{prefix}/checkpoint");
        let signed = eventually(PATIENCE, "a checkpoint", async || {
            let note = String::from_utf8(fetch(&at, &path, None).await.1)?;
            anyhow::ensure!(note.starts_with(&head.origin), "{note}");
            let checkpoint = verifier.open(&note).0;
            anyhow::ensure!(checkpoint.size >= head.size, "it covers {}", checkpoint.size);
            Ok((checkpoint, note))
        });
        let (checkpoint, note) = signed.await.expect("a checkpoint that covers it");
        let state = &cluster.node(0).state;
        let token = Token::signed(state, "auditor", "auditor-1").expect("a token").0;
        let told = |what: &[&str]| {
            let mut command = Command::new(program("caseledger").expect("built"));
            let server = format!("http://{}", cluster.node(0).listen);
            command.env("CASELEDGER_SERVER", server).env("CASELEDGER_TOKEN", &token);
            command.arg("ledger").args(what).args(["--ledger", ledger]);
            testkit::cluster::run(&mut command).expect("answered")
        };
        let policy = told(&["policy"]);
        for key in verifier.log.iter().chain(&verifier.cosigners) {
            assert!(policy.contains(&key.to_string()), "the policy names the node's keys");
        }
        std::fs::write(folder.path().join("policy"), policy).expect("written");
        let opened = verifier.open(&told(&["checkpoint"])).0;
        assert!(opened.size >= checkpoint.size, "the command prints what is signed");
        let proof: TlogProof = told(&["proof", "0"]).parse().expect("a tlog-proof");
        let genesis = verifier.origin.rsplit('/').next().expect("the genesis").parse();
        let genesis: Hash = genesis.expect("a hash");
        proof.verify(&genesis, &verifier.origin, &verifier.cosigners).expect("it holds");
        let log = folder.path().join("log");
        let mut files = mirror(&at, &prefix, &token, checkpoint.size, &log).await;
        let control = control_records(&all(&log, checkpoint.size));
        files.extend(controls(&at, &prefix, &token, &control, &log).await);
        // Asking for entries is on record: by now the ledger of accesses has a newer one.
        std::fs::write(log.join("checkpoint"), note).expect("written");
        Self { cluster, folder, at, prefix, token, checkpoint, files }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    /// Verifies a log, against a checkpoint that was kept.
    fn verify(&self, log: &str, kept: Option<&Path>) -> Output {
        let mut command = Command::new(program("caseledger").expect("built"));
        command.arg("verify").arg("--policy").arg(self.folder.path().join("policy"));
        if let Some(kept) = kept {
            command.arg("--checkpoint").arg(kept);
        }
        command.env("CASELEDGER_TOKEN", &self.token).arg(log).output().expect("it runs")
    }

    /// The exit code when nobody reads what is said.
    fn unread(&self) -> Option<i32> {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut command = Command::new(program("caseledger").expect("built"));
        command.arg("verify").arg("--policy").arg(self.folder.path().join("policy"));
        command.arg(self.log()).stdout(writer).status().expect("it runs").code()
    }

    fn code(&self, kept: Option<&Path>) -> Option<i32> {
        self.verify(&self.log().to_string_lossy(), kept).status.code()
    }

    fn said(&self) -> String {
        let output = self.verify(&self.log().to_string_lossy(), None);
        String::from_utf8(output.stdout).expect("text")
    }

    /// Writes a checkpoint of these records that the node's own keys have signed.
    fn signed(&self, name: &str, size: u64, root: Hash) -> PathBuf {
        let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        self.signed_at(name, size, root, now)
    }

    /// The same, as of a time.
    fn signed_at(&self, name: &str, size: u64, root: Hash, time: u64) -> PathBuf {
        let node = self.cluster.node(0);
        let key = |file: &str| {
            let secret =
                std::fs::read_to_string(node.state.join("keys").join(file)).expect("a key");
            SigningKey::from_bytes(&secret.trim().parse::<Hash>().expect("32 bytes").0)
        };
        let origin = self.checkpoint.origin.clone();
        let ledger = origin.split('/').next().expect("a name");
        let cosigner = cosigner_name(ledger, Pen::of(&node.state).node);
        let checkpoint = Checkpoint { origin: origin.clone(), size, root };
        let (as_log, cosigning) = (key("checkpoint.key"), key("cosigner.key"));
        let note = sign(&checkpoint, &as_log, (&cosigner, &cosigning), time);
        let file = self.folder.path().join(name);
        std::fs::write(&file, note.expect("signed").to_string()).expect("written");
        file
    }
}

/// Positions of the records whose bodies are clear.
fn control_records(entries: &[Vec<u8>]) -> Vec<usize> {
    let is_control = |entry: &Vec<u8>| {
        Header::decode(entry).is_ok_and(|header| header.leaf == LeafType::Control)
    };
    (0..).zip(entries).filter(|(_, entry)| is_control(entry)).map(|(at, _)| at).collect()
}

/// Every entry of a log.
fn all(log: &Path, size: u64) -> Vec<Vec<u8>> {
    let bundle = |index: u64| {
        let width = u16::try_from((size - index * 256).min(256)).expect("at most 256");
        let path = TilePath { kind: TileKind::Entries, index, width };
        entries(&std::fs::read(log.join(path.to_string())).expect("readable"))
    };
    (0..size.div_ceil(256)).flat_map(bundle).collect()
}

/// Writes a log of these entries, as whoever owns the disk can: every bundle and every tile fits. The
/// checkpoint stays. Returns the root.
fn forge(log: &Path, entries: &[Vec<u8>]) -> Hash {
    std::fs::remove_dir_all(log.join("tile")).expect("removed");
    let put = |path: TilePath, bytes: &[u8]| {
        let file = log.join(path.to_string());
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("made");
        std::fs::write(file, bytes).expect("written");
    };
    let (mut tree, mut full) = (Tree::default(), Vec::new());
    for (index, some) in (0..).zip(entries.chunks(256)) {
        some.iter().for_each(|entry| tree.append(leaf_hash(entry), &mut full));
        let width = u16::try_from(some.len()).expect("at most 256");
        put(TilePath { kind: TileKind::Entries, index, width }, &bundle(some));
    }
    full.iter().for_each(|tile| put(TilePath::full(tile.id), &tile.to_bytes()));
    let (mut level, mut index) = (0, tree.size() / 256);
    while let Some(hashes) = tree.unfinished(TileId { level, index }) {
        let width = u16::try_from(hashes.len()).expect("at most 255");
        let bytes = ledger::tree::tile_bytes(hashes);
        put(TilePath { kind: TileKind::Hashes(level), index, width }, &bytes);
        (level, index) = (level + 1, index / 256);
    }
    tree.root()
}

/// The entries of a bundle.
fn entries(bundle: &[u8]) -> Vec<Vec<u8>> {
    let (mut rest, mut entries) = (bundle, Vec::new());
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (entry, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
        entries.push(entry.to_vec());
        rest = after;
    }
    entries
}

fn bundle(entries: &[Vec<u8>]) -> Vec<u8> {
    let length = |entry: &Vec<u8>| u16::try_from(entry.len()).expect("short").to_be_bytes();
    entries.iter().flat_map(|entry| [length(entry).as_slice(), entry].concat()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_ledger_is_intact_and_a_flipped_bit_at_any_of_200_places_is_found() {
    let world = World::new(700).await;
    let output = world.verify(&world.log().to_string_lossy(), None);
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with(&format!("intact: {} records", world.checkpoint.size)), "{said}");
    let address = format!("http://{}/{}", world.at, world.prefix);
    assert_eq!(world.verify(&address, None).status.code(), Some(0), "from the node itself");
    flipped(&world.files, 200, || world.code(None) == Some(10));
    assert_eq!(world.code(None), Some(0), "nothing is left of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_taken_out_swapped_cut_or_skipped_is_named() {
    let world = World::new(300).await;
    let width = u16::try_from(world.checkpoint.size - 256).expect("a second bundle");
    let path = TilePath { kind: TileKind::Entries, index: 1, width };
    let file = world.log().join(path.to_string());
    let whole = std::fs::read(&file).expect("readable");
    let damaged = |change: &dyn Fn(&mut Vec<Vec<u8>>), names: &str| {
        let mut changed = entries(&whole);
        change(&mut changed);
        std::fs::write(&file, bundle(&changed)).expect("written");
        let said = world.said();
        assert_eq!(world.code(None), Some(10), "{said}");
        assert!(said.contains(&path.to_string()) && said.contains(names), "{said}");
        std::fs::write(&file, &whole).expect("written");
    };
    damaged(&|entries| drop(entries.remove(5)), "record 261");
    damaged(&|entries| entries.swap(3, 4), "record 259");
    damaged(&|entries| drop(entries.pop()), "ends within record");
    damaged(&|entries| entries.push(entries[0].clone()), "goes on behind");
    damaged(&|entries| entries[7] = b"nothing".to_vec(), "record 263 is no record header");
    std::fs::remove_file(&file).expect("removed");
    let said = world.said();
    assert_eq!(world.code(None), Some(12), "{said}");
    assert!(said.starts_with("COULD NOT BE READ") && said.contains(&path.to_string()), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_checkpoint_that_is_not_continued_is_a_fork() {
    let world = World::new(300).await;
    let kept = world.folder.path().join("log/checkpoint");
    assert_eq!(world.code(Some(&kept)), Some(0), "the same");
    let manager = world.cluster.client(0, "case-manager").unwrap();
    let other = world.signed("other", 100, Hash([7; 32]));
    assert_eq!(world.code(Some(&other)), Some(11), "other records than these were signed");
    let further = world.signed("further", world.checkpoint.size + 1, Hash([7; 32]));
    assert_eq!(world.code(Some(&further)), Some(11), "more records than there are were signed");
    // It goes on, and the copy is the older one.
    let patient = manager.register("MRN-2", "Bell").await.expect("registered").patient_id;
    many_notes(&manager, &patient, 20).await;
    let head = world.cluster.agreed().await.expect("at rest").swap_remove(0);
    covering(&manager, &Verifier::of(&world.cluster, &head), head.size).await;
    let newer = world.folder.path().join("newer");
    std::fs::write(&newer, checkpoint(&manager).await.expect("a checkpoint")).expect("written");
    assert_eq!(world.code(Some(&newer)), Some(11), "an old copy was put back");
    let address = format!("http://{}/{}", world.at, world.prefix);
    assert_eq!(world.verify(&address, Some(&kept)).status.code(), Some(0), "the node goes on");
    assert_eq!(world.code(Some(&world.folder.path().join("nothing"))), Some(2), "no such file");
    // A copy that was spoilt, or is of the other ledger, accuses nobody.
    let text = std::fs::read_to_string(&newer).expect("kept");
    let size = text.lines().nth(1).expect("its size");
    std::fs::write(&newer, text.replacen(size, "17", 1)).expect("spoilt");
    assert_eq!(world.code(Some(&newer)), Some(2), "its signature does not verify");
    std::fs::write(&newer, text.replace("/records.", "/access.")).expect("written");
    assert_eq!(world.code(Some(&newer)), Some(2), "of another ledger");
    // What no key of the policy has signed is no checkpoint to compare with.
    std::fs::write(&newer, "hospital.example\n1\nAAAA\n\n\u{2014} x AAAAAAAA\n").expect("written");
    assert_eq!(world.code(Some(&newer)), Some(2));
    assert_eq!(fetch(&world.at, "/nothing", None).await.0, 404);
}

/// Each place that was tampered with, by whoever owns the disk but not the nodes' keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_rewritten_from_any_of_200_places_on_is_found() {
    let world = World::new(700).await;
    let (log, size) = (world.log(), world.checkpoint.size);
    let whole = all(&log, size);
    assert_eq!(forge(&log, &whole), world.checkpoint.root);
    assert_eq!(world.code(None), Some(0), "forged as it was");
    let mut dice = Dice::new();
    for turn in 0..200 {
        let mut changed = whole.clone();
        let at = 2 + dice.below(whole.len() - 3);
        let what = match turn % 4 {
            0 => {
                changed.remove(at);
                // So that there are as many: one more at the end.
                changed.push(whole[at].clone());
                "removed"
            }
            1 => {
                changed.swap(at, at + 1);
                "swapped"
            }
            2 => {
                changed[at] = whole[at - 1].clone();
                "put twice"
            }
            _ => {
                let mut header = Header::decode(&whole[at]).expect("a header");
                header.version += 1;
                changed[at] = header.encode();
                "skipped a version"
            }
        };
        forge(&log, &changed);
        let output = world.verify(&log.to_string_lossy(), None);
        let said = String::from_utf8(output.stdout).expect("text");
        assert_eq!(output.status.code(), Some(10), "record {at} {what}: {said}");
        assert!(said.contains("record"), "it is named: {said}");
    }
    forge(&log, &whole);
    assert_eq!(world.code(None), Some(0));
}

/// That somebody looked is taken out of the trail as little as anything else.
#[tokio::test(flavor = "multi_thread")]
async fn an_access_record_that_is_dropped_at_any_place_is_found() {
    let world = World::of("access", 1, 300).await;
    let (log, size) = (world.log(), world.checkpoint.size);
    let said = world.said();
    assert_eq!(world.code(None), Some(0), "{said}");
    let whole = all(&log, size);
    let mut dice = Dice::new();
    for _ in 0..200 {
        let at = 2 + dice.below(whole.len() - 3);
        let mut dropped = whole.clone();
        dropped.remove(at);
        // Those behind it move up; the node's own keys sign it.
        let root = forge(&log, &dropped);
        let signed = world.signed("dropped", dropped.len() as u64, root);
        std::fs::copy(&signed, log.join("checkpoint")).expect("put there");
        let said = world.said();
        assert_eq!(world.code(None), Some(10), "{at}: {said}");
        assert!(said.contains(&format!("record {at} is version")), "{said}");
    }
}

/// Whoever has a node's keys too: what does not show by itself shows against what was kept.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_signed_again_is_found_by_its_date_and_by_what_was_kept() {
    let world = World::new(300).await;
    let (log, size) = (world.log(), world.checkpoint.size);
    let kept = world.folder.path().join("kept");
    std::fs::copy(log.join("checkpoint"), &kept).expect("kept");
    let whole = all(&log, size);
    // The end is gone, and all of it is signed anew. (A cut within a contribution shows by itself.)
    let mut short = whole.clone();
    let mut dice = Dice::new();
    for turn in 0..200 {
        short.clone_from(&whole);
        let left = if turn == 199 { whole.len() - 20 } else { 2 + dice.below(whole.len() - 2) };
        short.truncate(left);
        let root = forge(&log, &short);
        let signed = world.signed("again", short.len() as u64, root);
        std::fs::copy(&signed, log.join("checkpoint")).expect("put there");
        assert_eq!(world.code(Some(&kept)), Some(11), "{left} of {} are left", whole.len());
    }
    assert_eq!(world.code(None), Some(0), "by itself it is a log like any other");
    // Other records in its place.
    let mut other = short.clone();
    let last: Vec<Vec<u8>> = whole[short.len()..]
        .iter()
        .map(|entry| {
            let mut header = Header::decode(entry).expect("a header");
            header.recorded_at += 1;
            header.encode()
        })
        .collect();
    let mut before = leaf_hash(other.last().expect("some"));
    for entry in last {
        let mut header = Header::decode(&entry).expect("a header");
        header.previous = before;
        before = leaf_hash(&header.encode());
        other.push(header.encode());
    }
    let root = forge(&log, &other);
    let signed = world.signed("other", size, root);
    std::fs::copy(&signed, log.join("checkpoint")).expect("put there");
    assert_eq!(world.code(None), Some(0), "by itself it is a log like any other");
    assert_eq!(world.code(Some(&kept)), Some(11), "the kept checkpoint has other records");
    // The right records under a checkpoint of a year ago, and one that nobody has cosigned for long.
    forge(&log, &whole);
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let old = world.signed_at("old", size, world.checkpoint.root, now - 365 * 86_400);
    std::fs::copy(&old, log.join("checkpoint")).expect("put there");
    let said = world.said();
    assert_eq!(world.code(None), Some(10), "{said}");
    assert_eq!(world.unread(), Some(10), "also when nobody reads it");
    assert!(said.contains("dated back"), "{said}");
    let late = world.signed_at("late", size, world.checkpoint.root, now - 50);
    std::fs::copy(&late, log.join("checkpoint")).expect("put there");
    assert_eq!(world.code(None), Some(0));
    let mut command = Command::new(program("caseledger").expect("built"));
    command.args(["verify", "--max-age", "30", "--policy"]).arg(world.folder.path().join("policy"));
    let output = command.arg(&log).output().expect("it runs");
    assert_eq!(output.status.code(), Some(11), "{}", String::from_utf8_lossy(&output.stdout));
}

/// Whoever has a node's keys can sign what he likes, but nobody in.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_the_administrators_did_not_admit_is_found() {
    let world = World::new(20).await;
    let (log, whole) = (world.log(), all(&world.log(), world.checkpoint.size));
    assert_eq!(control_records(&whole), [0, 1], "the genesis and the first admission");
    assert!(world.said().contains("nodes admitted: 1, since retired: 0"), "{}", world.said());
    let public = |seed| SigningKey::from_bytes(&[seed; 32]).verifying_key().to_bytes();
    let keys = NodeKeys { block: public(1), checkpoint: public(2), cosigner: public(3) };
    let node = NodeId([9; 16]);
    let admission = Control::NodeAdmitted { node, keys, signatures: Vec::new() };
    let first = Header::decode(&whole[1]).expect("a header");
    let last = Header::decode(&whole[whole.len() - 1]).expect("a header");
    let stranger = admission.into_record(Header {
        contribution_id: ContributionId([8; 32]),
        index: 0,
        count: 1,
        version: first.version + 1,
        previous: leaf_hash(&whole[1]),
        recorded_at: last.recorded_at,
        ..first
    });
    let mut entries = whole.clone();
    entries.push(stranger.header);
    let path = format!("control/{}", whole.len());
    let signed_anew = |entries: &[Vec<u8>]| {
        let root = forge(&log, entries);
        let signed = world.signed("anew", entries.len() as u64, root);
        std::fs::copy(&signed, log.join("checkpoint")).expect("put there");
    };
    signed_anew(&entries);
    assert_eq!(world.code(None), Some(12), "the body is not there: {}", world.said());
    std::fs::write(log.join(&path), stranger.body).expect("written");
    let said = world.said();
    assert_eq!(world.code(None), Some(10), "{said}");
    assert!(said.contains(&path) && said.contains("administrators did not sign"), "{said}");
    // Nor is somebody a node because a policy says so.
    forge(&log, &whole);
    let own = SigningKey::from_bytes(&[7; 32]);
    let origin = world.checkpoint.origin.clone();
    let key = Vkey::new(&origin, KeyType::Signature, own.verifying_key().to_bytes());
    let key = key.expect("a key");
    let policy = world.folder.path().join("policy");
    let theirs = std::fs::read_to_string(&policy).expect("readable");
    std::fs::write(&policy, format!("log {key}\nquorum none\n")).expect("written");
    let mut note = world.checkpoint.to_note().expect("a note");
    note.sign(&origin, &own);
    std::fs::write(log.join("checkpoint"), note.to_string()).expect("written");
    let said = world.said();
    assert_eq!(world.code(None), Some(10), "{said}");
    assert!(said.contains("no node that the administrators admitted"), "{said}");
    // A policy that is for another ledger is not this one's fault.
    let access = theirs.replace("/records.0.0/", "/access.0.0/");
    let access: Vec<&str> = access.lines().filter(|line| !line.starts_with("log ")).collect();
    let key = Vkey::new(
        &origin.replace("/records.0.0/", "/access.0.0/"),
        KeyType::Signature,
        own.verifying_key().to_bytes(),
    );
    let key = key.expect("a key");
    std::fs::write(&policy, format!("log {key}\n{}\n", access.join("\n"))).expect("written");
    let said = world.said();
    assert_eq!(world.code(None), Some(2), "{said}");
    assert!(said.starts_with("ANOTHER LEDGER'S POLICY"), "{said}");
    std::fs::write(&policy, theirs).expect("written");
    // Nor does it help to file without having been admitted.
    let mut entries = whole.clone();
    let record = Header { node, version: last.version + 1, ..last };
    let record = Header { previous: leaf_hash(&whole[whole.len() - 1]), ..record };
    entries.push(record.encode());
    signed_anew(&entries);
    let said = world.said();
    assert_eq!(world.code(None), Some(10), "{said}");
    assert!(said.contains("had not admitted"), "{said}");
}

/// A ledger that several nodes wrote, of which one was retired, in both kinds.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_came_and_went_leave_intact_ledgers() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut cluster = Cluster::found(3).await.expect("founded");
    let at = with_http(cluster.node(0));
    for node in &mut cluster.nodes {
        node.spawn().expect("started");
    }
    for node in &cluster.nodes {
        node.serving().await.expect("serving");
    }
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    let use_each = async |cluster: &Cluster, nodes: usize| {
        for node in 0..nodes {
            let manager = cluster.client(node, "case-manager").unwrap();
            some_notes(&manager, &patient, 3).await;
            manager.read_file(&patient, None).await.expect("shown");
        }
    };
    use_each(&cluster, 3).await;
    let gone = Pen::of(&cluster.node(2).state).node;
    cluster.node_mut(2).kill().expect("killed");
    retire(cluster.node(0), &[gone], &[]).await.expect("retired");
    use_each(&cluster, 2).await;
    let token = Token::signed(&cluster.node(0).state, "auditor", "auditor-1").expect("a token").0;
    let told = |what: &[&str]| {
        let mut command = Command::new(program("caseledger").expect("built"));
        command.env("CASELEDGER_SERVER", format!("http://{}", cluster.node(0).listen));
        command.env("CASELEDGER_TOKEN", &token).args(what).output().expect("it runs")
    };
    let head = manager.heads().await.expect("heads");
    for (ledger, head) in ["records", "access"].into_iter().zip(head) {
        let policy = folder.path().join(ledger);
        let text = told(&["ledger", "policy", "--ledger", ledger]).stdout;
        std::fs::write(&policy, text).expect("written");
        let prefix = head.origin.split_once('/').expect("name and path").1.to_owned();
        let address = format!("http://{at}/{prefix}");
        let policy = policy.to_str().expect("text").to_owned();
        let intact = eventually(PATIENCE, "a checkpoint that covers it", async || {
            let verified = told(&["verify", "--policy", &policy, &address]);
            let said = String::from_utf8(verified.stdout)?;
            // Until a checkpoint is signed by a majority of those that remain, the older one stands.
            anyhow::ensure!(said.contains("since retired: 1"), "{said}");
            Ok((verified.status.code(), said))
        });
        let (code, said) = intact.await.expect("verified");
        assert_eq!(code, Some(0), "{said}");
        assert!(said.contains("nodes admitted: 3"), "{said}");
    }
}

/// Whoever owns all of it begins anew: the origin is another, and the policy knows it not.
#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_recomputed_from_a_new_genesis_is_another_ledger() {
    let (ours, theirs) = (World::new(20).await, World::new(20).await);
    let mut command = Command::new(program("caseledger").expect("built"));
    command.arg("verify").arg("--policy").arg(ours.folder.path().join("policy"));
    let output = command.arg(theirs.log()).output().expect("it runs");
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(10), "{said}");
    // Under our name and keys, too: the first record is not the one that the origin names.
    let entries = all(&theirs.log(), theirs.checkpoint.size);
    let root = forge(&ours.log(), &entries);
    let signed = ours.signed("ours", entries.len() as u64, root);
    std::fs::copy(&signed, ours.log().join("checkpoint")).expect("put there");
    let said = ours.said();
    assert_eq!(ours.code(None), Some(10), "{said}");
    assert!(said.contains("genesis"), "{said}");
}
