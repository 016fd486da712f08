//! What the rules look at: the files of the work tree and cargo's metadata.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// One text file of the repository; the path is relative to its root, with `/`.
#[derive(Debug, Clone)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    pub(crate) fn is_rust(&self) -> bool {
        Path::new(&self.path).extension().is_some_and(|extension| extension == "rs")
    }
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Every file that git tracks or would track (new files count before they are added).
pub(crate) fn paths() -> Vec<String> {
    let listing = output(Command::new("git").args([
        "ls-files",
        "--cached",
        "--others",
        "--exclude-standard",
        "-z",
    ]));
    let mut paths: Vec<String> = listing
        .split('\0')
        .filter(|path| !path.is_empty() && root().join(path).is_file())
        .map(str::to_owned)
        .collect();
    paths.sort();
    paths.dedup();
    assert!(paths.len() > 20, "git lists only {} files: is this a clone?", paths.len());
    paths
}

/// The text files among [`paths`]; what is not UTF-8 is no text.
pub(crate) fn files() -> Vec<File> {
    paths()
        .into_iter()
        .filter_map(|path| {
            let text = std::fs::read_to_string(root().join(&path)).ok()?;
            Some(File { path, text })
        })
        .collect()
}

/// `cargo metadata` of our own packages.
pub(crate) fn metadata() -> Value {
    let json = output(cargo().args(["metadata", "--no-deps", "--format-version", "1"]));
    serde_json::from_str(&json).unwrap()
}

/// Every package that this machine's builds link, tests and build scripts included.
pub(crate) fn dependency_tree() -> String {
    output(cargo().args(["tree", "--workspace", "--prefix", "none", "--edges", "normal,build,dev"]))
}

fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("--offline");
    cargo
}

fn output(command: &mut Command) -> String {
    let result = command.current_dir(root()).output().unwrap();
    assert!(
        result.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&result.stderr)
    );
    String::from_utf8(result.stdout).unwrap()
}
