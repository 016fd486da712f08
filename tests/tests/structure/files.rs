//! Sizes, names and places of files.

use crate::repository::{self, File};
use crate::{assert_none, assert_seen};

/// What may stand at the top level. History is git's, papers are the README's and the crates' own.
const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".clippy.toml",
    ".config",
    ".editorconfig",
    ".gitignore",
    ".rustfmt.toml",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "crates",
    "deploy",
    "proto",
    "tests",
];

/// A source file that does not fit in one sitting has more than one subject.
const SOURCE_LINES: usize = 500;
/// No Rust file at all, tests included.
const HARD_LINES: usize = 800;

fn top_level(paths: &[String]) -> Vec<String> {
    let mut names: Vec<&str> = paths.iter().filter_map(|path| path.split('/').next()).collect();
    names.dedup();
    names.retain(|name| !TOP_LEVEL.contains(name));
    names.iter().map(|name| format!("`{name}` has no place at the top level")).collect()
}

fn module_files(paths: &[String]) -> Vec<String> {
    let misnamed = |path: &&String| path.ends_with("/mod.rs");
    paths.iter().filter(misnamed).map(|path| format!("{path}: write foo.rs beside foo/")).collect()
}

fn sizes(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        let is_test = file.path.contains("/tests/") || file.path.ends_with("/tests.rs");
        let limit = if is_test { HARD_LINES } else { SOURCE_LINES };
        let lines = file.text.lines().count();
        if lines > limit {
            found.push(format!("{}: {lines} lines, at most {limit}", file.path));
        }
    }
    found
}

/// A crate opens with what it is, what it is not and who builds on it: at least three lines, in
/// `lib.rs`, or in `main.rs` where there is no library.
fn crate_docs(files: &[File]) -> Vec<String> {
    let documented = |file: &File| file.text.lines().take_while(|l| l.starts_with("//!")).count();
    let is_root = |file: &&File| match file.path.split('/').collect::<Vec<_>>().as_slice() {
        ["crates", _, "src", "lib.rs"] => true,
        ["crates", name, "src", "main.rs"] => {
            files.iter().all(|other| other.path != format!("crates/{name}/src/lib.rs"))
        }
        _ => false,
    };
    files
        .iter()
        .filter(is_root)
        .filter(|file| documented(file) < 3)
        .map(|file| format!("{}: the crate does not open with what it is", file.path))
        .collect()
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    assert_none("top level", &top_level(&repository::paths()));
}

#[test]
fn a_stray_file_at_the_top_level_is_seen() {
    let paths = ["Cargo.toml", "notes.md", "tools/x/y.sh", "crates/domain/src/lib.rs"];
    assert_seen(&top_level(&paths.map(str::to_owned)), &["`notes.md`", "`tools`"]);
}

#[test]
fn modules_are_named_after_themselves() {
    assert_none("mod.rs", &module_files(&repository::paths()));
}

#[test]
fn a_mod_rs_is_seen() {
    let paths = ["crates/a/src/kind/mod.rs", "crates/a/src/model.rs"];
    assert_seen(&module_files(&paths.map(str::to_owned)), &["kind/mod.rs"]);
}

#[test]
fn files_stay_readable_in_one_sitting() {
    assert_none("too long", &sizes(&repository::files()));
}

#[test]
fn a_long_file_is_seen() {
    let lines = |count: usize| "//\n".repeat(count);
    let files = [
        File::new("crates/a/src/long.rs", &lines(501)),
        File::new("crates/a/src/edge.rs", &lines(500)),
        File::new("crates/a/src/edge/tests.rs", &lines(800)),
        File::new("tests/tests/long.rs", &lines(801)),
        File::new("crates/a/golden/long.hex", &lines(9_000)),
    ];
    assert_seen(&sizes(&files), &["src/long.rs: 501", "tests/long.rs: 801"]);
}

#[test]
fn every_crate_says_what_it_is() {
    assert_none("crate documentation", &crate_docs(&repository::files()));
}

#[test]
fn an_undocumented_crate_is_seen() {
    let files = [
        File::new("crates/a/src/lib.rs", "//! A crate.\n\nmod x;"),
        File::new("crates/b/src/main.rs", "fn main() {}"),
        File::new("crates/c/src/lib.rs", "//! What.\n//! What not.\n//! For whom.\n"),
        File::new("crates/c/src/main.rs", "//! The library's program.\n"),
        File::new("crates/c/src/inner.rs", "mod y;"),
    ];
    assert_seen(&crate_docs(&files), &["crates/a/", "crates/b/"]);
}
