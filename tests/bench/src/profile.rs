//! Where the node's time goes: `perf record` while it is loaded, to be drawn as a flame graph.
//!
//! Taking samples costs time, so a load that is sampled is one of its own and stands in no row.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::process::Command;

use crate::contender::hospital::Hospital;
use crate::load::{Caller, closed};
use crate::plan::Plan;
use crate::session::{Session, say};
use crate::workload::clients;

/// Samples a second: no multiple of what ticks at round rates.
const FREQUENCY: &str = "199";
/// Stacks are copied and unwound later, since there are no frame pointers: as many bytes of each as
/// perf allows. A quarter of that cuts off two of three, which are then of nobody's.
const CALL_GRAPH: &str = "dwarf,65528";
/// Pages between kernel and perf, of each processor: 16 MiB hold a second's stacks.
const BUFFER: &str = "4096";
/// Clients that load the node.
pub(crate) const CLIENTS: usize = 64;

/// Has the node sampled under this load, once a benchmark, where that was asked for. The samples are
/// in `NAME.perf`.
///
/// # Errors
/// When the load cannot be made or perf may not look.
pub(crate) async fn sampled<C: Caller>(
    session: &Session,
    hospital: &Hospital,
    name: &str,
    caller: impl FnMut(testkit::client::Client) -> C,
) -> anyhow::Result<()> {
    let Some(file) = wanted(session.samples.as_deref(), name) else { return Ok(()) };
    say(&format!("  {name}, {}, sampled by perf", clients(CLIENTS)));
    let callers = hospital.callers(CLIENTS, caller)?;
    let perf = Command::new("perf")
        .args(["record", "--freq", FREQUENCY, "--call-graph", CALL_GRAPH, "--mmap-pages", BUFFER])
        .arg("--pid")
        .arg(hospital.node_pid()?.to_string())
        .arg("--output")
        .arg(&file)
        // What perf waits for: as long as the load.
        .args(["--", "sleep", &Plan::SAMPLED.measured.as_secs().to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("perf")?;
    closed(callers, Plan::SAMPLED, &hospital.meter()?).await?;
    let ended = perf.wait_with_output().await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "perf record ended with {}:\n{said}", ended.status);
    Ok(())
}

/// Where samples go, if they are asked for and not there yet from an earlier run.
fn wanted(folder: Option<&Path>, name: &str) -> Option<PathBuf> {
    let file = folder?.join(format!("{name}.perf"));
    (!file.exists()).then_some(file)
}
