//! One cryptographic back end, one gRPC stack: what the lock file may hold.

use std::collections::BTreeMap;

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

fn versions(lockfile: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut name = "";
    for line in lockfile.lines() {
        if let Some(value) = line.strip_prefix("name = ") {
            name = value.trim_matches('"');
        } else if let Some(value) = line.strip_prefix("version = ").filter(|_| !name.is_empty()) {
            versions.entry(name).or_default().push(value.trim_matches('"'));
            name = "";
        }
    }
    versions
}

fn violations(lockfile: &str) -> Vec<String> {
    let versions = versions(lockfile);
    let banned = BANNED
        .iter()
        .filter(|(name, _)| versions.contains_key(name))
        .map(|(name, why)| format!("`{name}` is in the lock file: {why}"));
    let doubled = SINGLE.iter().filter_map(|name| {
        let found = versions.get(name).filter(|found| found.len() > 1)?;
        Some(format!("`{name}` is in the lock file more than once: {}", found.join(", ")))
    });
    banned.chain(doubled).collect()
}

#[test]
fn there_is_one_cryptographic_back_end_and_one_grpc_stack() {
    let lockfile = std::fs::read_to_string(repository::root().join("Cargo.lock")).unwrap();
    assert!(versions(&lockfile).contains_key("tonic"), "the lock file is not read as it should be");
    assert_none("lock file", &violations(&lockfile));
}

#[test]
fn a_second_version_and_a_banned_crate_are_seen() {
    let package = |name: &str, version: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n")
    };
    let lockfile = [
        String::from("version = 4\n\n"),
        package("ring", "0.17.14"),
        package("rustls", "0.23.46"),
        package("string", "0.3.0"),
        package("tonic", "0.13.1"),
        package("tonic", "0.14.9"),
    ]
    .concat();
    assert_seen(&violations(&lockfile), &["`ring`", "0.13.1, 0.14.9"]);
}
