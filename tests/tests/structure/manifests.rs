//! What every manifest says: the workspace's lints, the directory's name, the function limit.

use serde_json::Value;

use crate::repository::{self, File};
use crate::{assert_none, assert_seen};

fn lints(files: &[File]) -> Vec<String> {
    files
        .iter()
        .filter(|file| file.path.ends_with("/Cargo.toml"))
        .filter(|file| !file.text.contains("[lints]\nworkspace = true\n"))
        .map(|file| format!("{}: does not take the workspace's lints", file.path))
        .collect()
}

/// Functions of more than 70 lines are clippy's to find; that it looks is ours.
fn function_limit(clippy: &str, workspace: &str) -> Vec<String> {
    let set = |text: &str, line: &str| text.lines().any(|l| l.trim() == line);
    let mut found = Vec::new();
    if !set(clippy, "too-many-lines-threshold = 70") {
        found.push(String::from(".clippy.toml: functions may be longer than 70 lines"));
    }
    if !set(workspace, "too_many_lines = \"warn\"") {
        found.push(String::from("Cargo.toml: the length of functions is not looked at"));
    }
    found
}

fn directories(metadata: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for package in metadata["packages"].as_array().unwrap() {
        let name = package["name"].as_str().unwrap();
        let manifest = package["manifest_path"].as_str().unwrap();
        let directory = manifest.rsplit('/').nth(1).unwrap();
        if directory != name {
            found.push(format!("crate `{name}` lives in a folder named `{directory}`"));
        }
    }
    found
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    assert_none("lints", &lints(&repository::files()));
}

#[test]
fn a_crate_without_them_is_seen() {
    let files = [
        File::new("crates/a/Cargo.toml", "[package]\n"),
        File::new("crates/b/Cargo.toml", "[package]\n\n[lints]\nworkspace = true\n"),
        File::new("Cargo.toml", "[workspace]\n"),
    ];
    assert_seen(&lints(&files), &["crates/a/"]);
}

#[test]
fn the_length_of_functions_is_limited() {
    let read = |path: &str| std::fs::read_to_string(repository::root().join(path)).unwrap();
    assert_none("functions", &function_limit(&read(".clippy.toml"), &read("Cargo.toml")));
    let loosened = function_limit("too-many-lines-threshold = 700\n", "too_many_lines = \"allow\"");
    assert_seen(&loosened, &[".clippy.toml", "Cargo.toml"]);
}

#[test]
fn folders_are_named_after_their_crate() {
    assert_none("folders", &directories(&repository::metadata()));
    let moved = serde_json::json!({ "packages": [
        { "name": "store", "manifest_path": "/x/crates/storage/Cargo.toml" },
        { "name": "vault", "manifest_path": "/x/crates/vault/Cargo.toml" },
    ]});
    assert_seen(&directories(&moved), &["`store`"]);
}
