//! Waiting until nothing is left to do of what came before.

use std::time::Duration;

use super::lasting;
use crate::session::say;
use crate::usage::{CALLERS, Meter, Usage};

/// Node and broker are quiet when they use less than this of a processor in a second: what an import
/// leaves to be flushed and compacted, and what a node looks through after a start, is no cost of a call.
const QUIET: f64 = 0.05;
/// Seconds in a row that they have to be so: a compaction follows another.
const IN_A_ROW: usize = 3;
/// Seconds after which what is still going on is measured too.
const PATIENCE: usize = 120;

/// Waits until what an import or a start left to be done is done.
///
/// # Errors
/// When a part does not run any more.
pub(crate) async fn quiet(meter: &Meter) -> anyhow::Result<()> {
    let mut calm = 0;
    for _ in 0..PATIENCE {
        let before = meter.read()?;
        lasting(Duration::from_secs(1)).await;
        let used = meter.since(&before)?;
        let busy = |one: &Usage| one.name != CALLERS && one.cpu_seconds > QUIET;
        calm = if used.iter().any(busy) { 0 } else { calm + 1 };
        if calm == IN_A_ROW {
            return Ok(());
        }
    }
    say(&format!("  after {PATIENCE} s node or broker are still busy with what came before"));
    Ok(())
}
