//! The build without an audit trail is made by the benchmark and by nothing else.

use serde_json::{Value, json};

use crate::repository::{self, File};
use crate::{assert_none, assert_seen};

/// The feature, written in halves, so that this file does not name it.
const FEATURE: &str = concat!("un", "audited");

/// Crates that have it.
const CRATES: &[&str] = &["engine", "server"];

/// The only script that may name it.
const SCRIPT: &str = "tests/bench/run";

/// Nothing takes the feature unasked: no crate's defaults, no dependency's list of features.
/// `metadata`: as printed by `cargo metadata --no-deps`.
fn taken_unasked(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        for (feature, implied) in package["features"].as_object().unwrap() {
            let says = |text: &str| text == FEATURE || text.ends_with(&format!("/{FEATURE}"));
            let implies = implied.as_array().unwrap().iter().any(|one| says(one.as_str().unwrap()));
            if feature == FEATURE && !CRATES.contains(&name) {
                found.push(format!("`{name}` has the feature"));
            }
            if implies && feature != FEATURE {
                found.push(format!("`{name}` takes it with its feature `{feature}`"));
            }
        }
        for dependency in package["dependencies"].as_array().unwrap() {
            let features = dependency["features"].as_array().unwrap();
            if features.iter().any(|one| one == FEATURE) {
                found.push(format!("`{name}` asks `{}` for it", dependency["name"]));
            }
        }
    }
    found
}

/// Scripts and settings that name it: everything that is neither source, manifest nor prose.
fn named_by_scripts(files: &[File]) -> Vec<String> {
    let may_name = |file: &File| {
        let manifest = CRATES.iter().any(|name| file.path == format!("crates/{name}/Cargo.toml"));
        let text = [".md", ".json"].iter().any(|end| file.path.ends_with(end));
        file.is_rust() || text || manifest || file.path == SCRIPT
    };
    files
        .iter()
        .filter(|file| !may_name(file) && file.text.contains(FEATURE))
        .map(|file| format!("{} names the build without an audit trail", file.path))
        .collect()
}

#[test]
fn no_build_is_without_a_trail_unasked() {
    assert_none("features", &taken_unasked(&repository::metadata()));
}

#[test]
fn only_the_benchmark_builds_without_a_trail() {
    let files = repository::files();
    assert_none("scripts", &named_by_scripts(&files));
    let builds = files.iter().any(|file| file.path == SCRIPT && file.text.contains(FEATURE));
    assert!(builds, "{SCRIPT} names it no more: is it called something else now?");
}

#[test]
fn a_build_without_a_trail_is_seen() {
    let package = |name: &str, features: Value, asks: &[&str]| {
        json!({ "name": name, "features": features, "dependencies": [
            { "name": "engine", "features": asks } ] })
    };
    let on = |feature: &str| json!({ feature: [format!("engine/{FEATURE}")] });
    let metadata = json!({ "packages": [
        package("engine", json!({ FEATURE: [], "default": [FEATURE] }), &[]),
        package("server", on(FEATURE), &[]),
        package("cli", on("fast"), &[]),
        package("testkit", on(FEATURE), &[]),
        package("bench", json!({}), &["other", FEATURE]),
    ]});
    assert_seen(
        &taken_unasked(&metadata),
        &["feature `default`", "feature `fast`", "`testkit` has", "`bench` asks"],
    );
    let paths = [SCRIPT, "tests/run", "crates/cli/Cargo.toml", "crates/engine/Cargo.toml", "a.rs"];
    let files = paths.map(|path| File::new(path, &format!("cargo build --features {FEATURE}")));
    assert_seen(&named_by_scripts(&files), &["tests/run", "crates/cli/"]);
}
