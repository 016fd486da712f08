//! One cryptographic back end, one gRPC stack: what may be linked.
//!
//! Asked of cargo's own resolution rather than of the lock file, which also lists crates that an
//! unused optional feature could have brought in.

use std::collections::{BTreeMap, BTreeSet};

use crate::{assert_none, assert_seen, repository};

/// Never linked: aws-lc-rs and RustCrypto are the two that were chosen on purpose.
const BANNED: &[(&str, &str)] = &[
    ("ring", "a second TLS and signature back end beside aws-lc-rs"),
    ("openssl-sys", "a second TLS back end beside aws-lc-rs"),
    ("native-tls", "a second TLS stack beside rustls"),
    ("rsa", "its timing leak is unfixed; tokens are verified by aws-lc-rs"),
];

/// At most one version: two would not understand each other's types, or double the trusted code.
const SINGLE: &[&str] = &[
    "async-nats",
    "aws-lc-rs",
    "axum",
    "prost",
    "prost-types",
    "rocksdb",
    "rustls",
    "tokio",
    "tonic",
];

/// `tree`: one `name vVERSION …` a line, as `cargo tree --prefix none` prints it.
fn versions(tree: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in tree.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    versions
}

fn violations(tree: &str) -> Vec<String> {
    let versions = versions(tree);
    let banned = BANNED
        .iter()
        .filter(|(name, _)| versions.contains_key(name))
        .map(|(name, why)| format!("`{name}` is linked: {why}"));
    let doubled = SINGLE.iter().filter_map(|name| {
        let found: Vec<&str> = versions.get(name)?.iter().copied().collect();
        (found.len() > 1)
            .then(|| format!("`{name}` is linked more than once: {}", found.join(", ")))
    });
    banned.chain(doubled).collect()
}

#[test]
fn there_is_one_cryptographic_back_end_and_one_grpc_stack() {
    let tree = repository::dependency_tree();
    for name in SINGLE {
        assert!(versions(&tree).contains_key(name), "cargo tree does not show `{name}`");
    }
    assert_none("linked crates", &violations(&tree));
}

#[test]
fn a_second_version_and_a_banned_crate_are_seen() {
    let tree = "server v0.1.0 (/x/crates/server)\nring v0.17.14\nrustls v0.23.46\nstring v0.3.0\n\
                tonic v0.13.1\ntonic v0.14.9\nrustls v0.23.46 (*)\n";
    assert_seen(&violations(tree), &["`ring`", "v0.13.1, v0.14.9"]);
}
