//! Other people's verifiers, unchanged, accept a log of 100,000 records as a node serves it, and refuse
//! it after one flipped bit.

use std::path::{Path, PathBuf};
use std::process::Command;

use api::v1;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ledger::checkpoint::{Checkpoint, TlogProof};
use ledger::{Hash, TileKind, TilePath};
use testkit::client::{Client, Token};
use testkit::cluster::Cluster;

use crate::tools::many_notes;
use crate::verifier::{Verifier, covering, flipped, mirror, with_http};

/// Enough for a full tile of the second level.
const RECORDS: usize = 100_000;
/// Writers at once.
const WRITERS: usize = 10;
/// Places at which a bit is flipped.
const FLIPS: usize = 40;

/// A program that `tests/interop/prepare` puts there.
fn verifier(name: &str) -> PathBuf {
    let program = prepared(name);
    assert!(program.exists(), "{} is missing: run tests/interop/prepare", program.display());
    program
}

fn prepared(name: &str) -> PathBuf {
    let cache = std::env::var_os("CASELEDGER_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        Path::new(&std::env::var_os("HOME").expect("a home")).join(".cache/caseledger")
    });
    cache.join("interop").join(name)
}

/// Entries and their proofs as Python's tlog-scales makes them from the tiles: they hold, and an entry
/// with a flipped bit does not.
fn tlog_scales(python: &Path, log: &Path, verifier: &Verifier) {
    let run = |command: &[&str], index: u64| {
        let mut run = Command::new(python);
        run.args(command).arg(log).arg(index.to_string()).output().expect("it runs")
    };
    for index in [0, 255, 256, 65_535, 65_536, 99_999] {
        let entry = run(&["get-leaf", "-c"], index);
        assert!(entry.status.success(), "{}", String::from_utf8_lossy(&entry.stderr));
        let proof = run(&["gen-proof"], index);
        let proof: TlogProof =
            String::from_utf8(proof.stdout).expect("text").parse().expect("a proof");
        let leaf = ledger::leaf_hash(&entry.stdout);
        let (_, by) = proof.verify(&leaf, &verifier.origin, &verifier.cosigners).expect("it holds");
        assert_eq!((proof.index, by.len()), (index, 1));
    }
    let file = log.join(TilePath { kind: TileKind::Entries, index: 7, width: 256 }.to_string());
    let mut bundle = std::fs::read(&file).expect("readable");
    bundle[40] ^= 1;
    std::fs::write(&file, &bundle).expect("written");
    assert!(!run(&["get-leaf", "-c"], 7 * 256).status.success(), "a flipped bit of an entry");
    bundle[40] ^= 1;
    std::fs::write(&file, bundle).expect("written");
}

/// Python's aics-tlog: the checkpoint with its cosignature, an entry by the tiles, and the proofs that a
/// node made; and none of it with a flipped bit.
fn aics_tlog(log: &Path, verifier: &Verifier, checkpoint: &Checkpoint, made: &Made) {
    let program = prepared("aics/bin/aics-tlog");
    if !program.exists() {
        // There is no Python that it runs with, as tests/interop/prepare has said; not that nobody
        // prepared anything.
        assert!(prepared("aics/left-out").exists(), "run tests/interop/prepare");
        return;
    }
    // It takes no key from where the log is.
    let key = log.with_file_name("vkey");
    std::fs::write(&key, format!("{}\n", verifier.log[0])).expect("written");
    let holds = |command: &str, more: &[&str]| {
        let mut run = Command::new(&program);
        let output = run.arg(command).args(more).output().expect("it runs");
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (log_path, key_path) = (log.to_string_lossy(), key.to_string_lossy());
    let witness = verifier.cosigners[0].to_string();
    let signed = ["--tiles", &*log_path, "--vkey-file", &*key_path, "--witness-key", &witness];
    let signed = [&signed[..], &["--quorum", "1"]].concat();
    let (code, said) = holds("verify-checkpoint", &signed);
    assert_eq!(code, Some(0), "{said}");
    let leaf = made.leaf.to_string();
    let index = made.inclusion.index.to_string();
    let entry = [&signed[..], &["--index", &index, "--leaf-hash", &leaf]].concat();
    let (code, said) = holds("verify-inclusion", &entry);
    assert_eq!(code, Some(0), "{said}");
    // What the node proves, with nothing but the hashes.
    let proof = |name: &str, hashes: &[Hash]| {
        let lines: String = hashes.iter().map(|hash| format!("{hash}\n")).collect();
        let file = log.with_file_name(name);
        std::fs::write(&file, lines).expect("written");
        file.to_string_lossy().into_owned()
    };
    let (size, root) = (checkpoint.size.to_string(), STANDARD.encode(checkpoint.root.0));
    let inclusion = proof("inclusion", &made.inclusion.proof);
    let shown = ["--leaf-hash", &leaf, "--index", &index, "--size", &size, "--root", &root];
    let (code, said) = holds("verify-inclusion", &[&shown[..], &["--proof", &inclusion]].concat());
    assert_eq!(code, Some(0), "{said}");
    let consistency = proof("consistency", &made.consistency);
    let (old, old_root) = (made.old.size.to_string(), STANDARD.encode(made.old.root.0));
    let grown = ["--old-size", &old, "--old-root", &old_root, "--new-size", &size];
    let grown = [&grown[..], &["--new-root", &root, "--proof", &consistency]].concat();
    let (code, said) = holds("verify-consistency", &grown);
    assert_eq!(code, Some(0), "{said}");
    let mut flipped = made.consistency.clone();
    flipped[0].0[3] ^= 1;
    proof("consistency", &flipped);
    assert_eq!(holds("verify-consistency", &grown).0, Some(1), "a flipped bit of a proof");
    let tile =
        TilePath { kind: TileKind::Hashes(0), index: made.inclusion.index / 256, width: 256 };
    let file = log.join(tile.to_string());
    let mut hashes = std::fs::read(&file).expect("readable");
    hashes[40] ^= 1;
    std::fs::write(&file, &hashes).expect("written");
    assert_eq!(holds("verify-inclusion", &entry).0, Some(1), "a flipped bit of a tile");
    hashes[40] ^= 1;
    std::fs::write(&file, hashes).expect("written");
}

/// Proofs as a node made them.
struct Made {
    leaf: Hash,
    inclusion: TlogProof,
    /// From this checkpoint, which somebody kept, to the newest.
    old: Checkpoint,
    consistency: Vec<Hash>,
}

impl Made {
    async fn by(node: &Client, log: &Path, old: Checkpoint, now: &Checkpoint) -> Self {
        let position = 70_000;
        let request = v1::GetInclusionProofRequest { position, ..Default::default() };
        let found = node.proofs().get_inclusion_proof(request).await.expect("a proof").into_inner();
        let size = old.size;
        let request = v1::GetConsistencyProofRequest { size, to_size: now.size, ledger: None };
        let grown = node.proofs().get_consistency_proof(request).await.expect("a proof");
        let hash = |bytes: &Vec<u8>| Hash(bytes.as_slice().try_into().expect("32 bytes"));
        let consistency = grown.into_inner().hashes.iter().map(hash).collect();
        let tile = TilePath { kind: TileKind::Hashes(0), index: position / 256, width: 256 };
        let hashes = std::fs::read(log.join(tile.to_string())).expect("readable");
        let at = usize::try_from(position % 256).expect("small");
        let leaf = ledger::tree::tile_hashes(&hashes).expect("a tile")[at];
        let inclusion: TlogProof = found.proof.parse().expect("a tlog-proof");
        Self { leaf, inclusion, old, consistency }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_verifiers_accept_a_log_of_100_000_records_and_refuse_a_flipped_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (go, python) = (verifier("check"), verifier("venv/bin/tlog-tiles"));
    let mut cluster = Cluster::found(1).await.expect("founded");
    let at = with_http(cluster.node(0));
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let manager = cluster.client(0, "case-manager").unwrap();
    let head = cluster.agreed().await.expect("at rest").swap_remove(0);
    let (old, _) = covering(&manager, &Verifier::of(&cluster, &head), head.size).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..WRITERS {
        let manager = manager.clone();
        writers.spawn(async move {
            let number = format!("MRN-{writer}");
            let patient = manager.register(&number, "Ames").await.expect("registered").patient_id;
            many_notes(&manager, &patient, RECORDS / WRITERS).await;
        });
    }
    while let Some(written) = writers.join_next().await {
        written.expect("filed");
    }
    let head = cluster.agreed().await.expect("at rest").swap_remove(0);
    let verifier = Verifier::of(&cluster, &head);
    let (checkpoint, _) = covering(&manager, &verifier, head.size).await;
    assert!(checkpoint.size > 100_000);
    let prefix = head.origin.split_once('/').expect("name and path").1.to_owned();
    let auditor = Token::signed(&cluster.node(0).state, "auditor", "auditor-1").expect("a token");
    let log = folder.path().join("log");
    let files = mirror(&at, &prefix, &auditor.0, checkpoint.size, &log).await;
    let key = verifier.log[0].to_string();
    let verify = || Command::new(&go).arg(&log).arg(&key).output().expect("it runs");
    let accepted = verify();
    let said = String::from_utf8_lossy(&accepted.stderr);
    assert!(accepted.status.success(), "Go refuses what a node serves: {said}");
    assert_eq!(accepted.stdout, format!("{} entries hold\n", checkpoint.size).into_bytes());
    // Of the checkpoint Go reads the log's signature alone, and passes over the cosigner's.
    let tiles = &files[..files.len() - 1];
    flipped(tiles, FLIPS, || verify().status.code() == Some(1));
    tlog_scales(&python, &log, &verifier);
    let made = Made::by(&manager, &log, old, &checkpoint).await;
    aics_tlog(&log, &verifier, &checkpoint, &made);

    let text = std::fs::read_to_string(log.join("checkpoint")).expect("text");
    let other = text.replacen(&format!("\n{}\n", checkpoint.size), "\n99999\n", 1);
    std::fs::write(log.join("checkpoint"), other).expect("written");
    assert_eq!(verify().status.code(), Some(1), "the size is signed");
}
