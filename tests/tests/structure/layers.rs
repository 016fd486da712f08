//! Who may import whom: the layers that keep decisions free of I/O and patient data behind one door.

use serde_json::{Value, json};

use crate::{assert_none, assert_seen, repository};

/// Crate and what it may import of ours. A crate that is not listed may not exist.
const LAYERS: &[(&str, &[&str])] = &[
    // 0: pure, and what an outside auditor compiles
    ("domain", &[]),
    ("ledger", &[]),
    ("api", &[]),
    // 1: one outside concern each
    ("schema", &["domain", "ledger"]),
    ("vault", &["ledger"]),
    ("journal", &["ledger"]),
    // 2
    ("store", &["domain", "ledger", "schema", "vault"]),
    // 3: the only door to data; knows nothing of gRPC
    ("engine", &["domain", "ledger", "schema", "vault", "journal", "store"]),
    // 4
    ("server", &["engine", "api", "domain", "ledger", "schema", "vault", "journal", "store"]),
    // clients: whatever they know of a file came through gRPC
    ("cli", &["api", "ledger", "fhir"]),
    ("console", &["api", "ledger"]),
    // side
    ("fhir", &["api"]),
    // tests
    ("testkit", ANY),
    ("tests", ANY),
    ("bench", ANY),
    ("fuzz", &["ledger"]),
    ("interop", &["ledger"]),
];

const ANY: &[&str] = &["*"];

/// Programs that measure what tests start, and are no more part of the product than those.
const MEASURING: &[&str] = &["bench"];

/// Outside crates that have a home: nobody else may link them, but what is only for tests.
const HOMES: &[(&str, &[&str])] = &[
    ("async-nats", &["journal"]),
    ("rocksdb", &["vault", "store"]),
    ("tonic", &["api", "server", "cli", "console"]),
    ("jsonwebtoken", &["server", "cli"]),
    ("cryptoki", &["vault"]),
    ("aws-lc-rs", &["vault", "engine", "server", "cli"]),
    ("cedar-policy", &["engine"]),
];

/// All that the two purest crates may link: `domain` nothing, `ledger` hashing, signatures and
/// encodings (no clock, no file, no socket can come in through these).
const PURE: &[(&str, &[&str])] = &[
    ("domain", &[]),
    (
        "ledger",
        &["base64", "ed25519-dalek", "hex", "postcard", "serde", "sha2", "thiserror", "zeroize"],
    ),
];

fn row<'a>(table: &'a [(&'a str, &'a [&'a str])], name: &str) -> Option<&'a [&'a str]> {
    table.iter().find(|(key, _)| *key == name).map(|(_, allowed)| *allowed)
}

/// `metadata`: as printed by `cargo metadata --no-deps`.
fn violations(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().unwrap();
    let ours: Vec<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let mut found = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let Some(allowed) = row(LAYERS, name) else {
            found.push(format!("crate `{name}` has no row in the table of layers"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap() {
            let target = dependency["name"].as_str().unwrap();
            let kind = dependency["kind"].as_str().unwrap_or("normal");
            if ours.contains(&target) {
                found.extend(inside(name, allowed, target, kind));
            } else if kind == "normal" && allowed != ANY {
                found.extend(outside(name, target));
            }
        }
    }
    found
}

fn inside(name: &str, allowed: &[&str], target: &str, kind: &str) -> Option<String> {
    if target == "testkit" {
        return (kind != "dev" && !MEASURING.contains(&name))
            .then(|| format!("`{name}` imports `testkit` as a {kind} dependency: dev only"));
    }
    let permitted = allowed == ANY || allowed.contains(&target) || target == name;
    (!permitted)
        .then(|| format!("`{name}` imports `{target}` ({kind}): its layer may import {allowed:?}"))
}

fn outside(name: &str, target: &str) -> Option<String> {
    if row(PURE, name).is_some_and(|allowed| !allowed.contains(&target)) {
        return Some(format!("`{name}` is pure and may not link `{target}`"));
    }
    let home = row(HOMES, target)?;
    (!home.contains(&name)).then(|| format!("`{name}` links `{target}`, which belongs to {home:?}"))
}

#[test]
fn crates_import_only_what_their_layer_allows() {
    assert_none("imports against the layers", &violations(&repository::metadata()));
}

#[test]
fn the_table_is_looked_at() {
    let dependency = |name: &str, kind: Option<&str>| json!({ "name": name, "kind": kind });
    let package = |name: &str, dependencies: Vec<Value>| json!({ "name": name, "dependencies": dependencies });
    let metadata = json!({ "packages": [
        package("domain", vec![dependency("serde", None), dependency("proptest", Some("dev"))]),
        package("ledger", vec![dependency("sha2", None), dependency("tokio", None)]),
        package("testkit", vec![dependency("store", None), dependency("tonic", None)]),
        package("bench", vec![dependency("testkit", None), dependency("async-nats", None)]),
        package("store", vec![dependency("testkit", Some("dev")), dependency("rocksdb", None)]),
        package("engine", vec![dependency("testkit", None), dependency("api", None)]),
        package("api", vec![dependency("ledger", Some("build"))]),
        package("journal", vec![dependency("domain", Some("dev")), dependency("rocksdb", None)]),
        package("utils", vec![]),
    ]});
    assert_seen(
        &violations(&metadata),
        &[
            "`domain` is pure and may not link `serde`",
            "`ledger` is pure and may not link `tokio`",
            "`engine` imports `testkit` as a normal dependency",
            "`engine` imports `api` (normal)",
            "`api` imports `ledger` (build)",
            "`journal` imports `domain` (dev)",
            "`journal` links `rocksdb`",
            "crate `utils` has no row",
        ],
    );
}
