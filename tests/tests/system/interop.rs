//! Other people's verifiers, unchanged, accept a log of 100,000 records as a node serves it, and refuse
//! it after one flipped bit.

use std::path::{Path, PathBuf};
use std::process::Command;

use ledger::checkpoint::TlogProof;
use ledger::{TileKind, TilePath};
use testkit::client::Token;
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
    let cache = std::env::var_os("CASELEDGER_CACHE").map(PathBuf::from).unwrap_or_else(|| {
        Path::new(&std::env::var_os("HOME").expect("a home")).join(".cache/caseledger")
    });
    let program = cache.join("interop").join(name);
    assert!(program.exists(), "{} is missing: run tests/interop/prepare", program.display());
    program
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

#[tokio::test(flavor = "multi_thread")]
async fn other_verifiers_accept_a_log_of_100_000_records_and_refuse_a_flipped_bit() {
    let folder = tempfile::tempdir().expect("a folder");
    let (go, python) = (verifier("check"), verifier("venv/bin/tlog-tiles"));
    let mut cluster = Cluster::found(1).await.expect("founded");
    let at = with_http(cluster.node(0));
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let manager = cluster.client(0, "case-manager").unwrap();
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

    let text = std::fs::read_to_string(log.join("checkpoint")).expect("text");
    let other = text.replacen(&format!("\n{}\n", checkpoint.size), "\n99999\n", 1);
    std::fs::write(log.join("checkpoint"), other).expect("written");
    assert_eq!(verify().status.code(), Some(1), "the size is signed");
}
