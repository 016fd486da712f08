//! Test data that is larger than a repository should hold, where somebody has it.

use std::io::Write;
use std::path::{Path, PathBuf};

/// A folder of the shared test data: below `CASELEDGER_SHARED`, or below `shared` beside the
/// repository. None where there is none; standard error then says, also when the output of tests is
/// captured, what is not tested here, and the test has nothing to do.
#[must_use]
pub fn folder(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("CASELEDGER_SHARED").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"),
        PathBuf::from,
    );
    let folder = shared.join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let line = format!(
        "NOT TESTED: {test} needs {}; set CASELEDGER_SHARED to the folder with {name}\n",
        folder.display()
    );
    // In one piece, for others speak at the same time. If it cannot be said, nobody hears it.
    let _ = std::io::stderr().write_all(line.as_bytes());
    None
}
