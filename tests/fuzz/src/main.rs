//! libFuzzer around one target, the one that `CASELEDGER_FUZZ` names. See `run`.
#![no_main]

use std::path::Path;
use std::process::exit;
use std::sync::LazyLock;

use fuzz::{TARGETS, Target};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("CASELEDGER_FUZZ").unwrap_or_default();
    // 2 is what libFuzzer never exits with.
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| exit(2))
});

fuzz_target!(
    init: {
        // Asked for the seeds, it writes them and has nothing else to do.
        if let Some(folder) = std::env::var_os("CASELEDGER_FUZZ_SEEDS") {
            exit(i32::from(fuzz::write_seeds(Path::new(&folder)).is_err()));
        }
    },
    |bytes: &[u8]| {
        (TARGET.run)(bytes);
    }
);
