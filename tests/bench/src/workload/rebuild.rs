//! All views made anew from records, as after a restore: in this process, the node stopped; and what
//! that means for a node that serves on the same machine.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::ensure;
use tokio::process::Child;

use super::commands::Contribute;
use super::{ALONE, BESIDE_REBUILD, CONTRIBUTE, REBUILD, REBUILDING, VIEWS};
use crate::contender::hospital::{self, Hospital};
use crate::load::{Measured, open};
use crate::plan::Plan;
use crate::session::{Session, say};
use crate::usage::{Meter, Process};

/// Calls at once at most.
const CLIENTS: usize = 64;

/// Caseledger's; ends the node.
///
/// # Errors
/// When the node does not stop or its database does not open.
pub(crate) async fn caseledger(
    session: &mut Session,
    mut hospital: Hospital,
) -> anyhow::Result<()> {
    beside_commands(session, &mut hospital).await?;
    say("  views made anew");
    let (store, hospital) = hospital.into_store().await?;
    let meter = Meter(vec![Meter::callers()]);
    let before = meter.read()?;
    let rebuilt = tokio::task::spawn_blocking(move || {
        let (mut records, began) = (0, Instant::now());
        store.rebuild_views(|_, total| {
            records = total;
            ControlFlow::Continue(())
        })?;
        let seconds = began.elapsed().as_secs_f64();
        store.close()?;
        anyhow::Ok((seconds, records))
    });
    let (seconds, records) = rebuilt.await??;
    let measured = Measured::bulk(seconds, records, meter.since(&before)?)?;
    session.report.add(REBUILD, "records", VIEWS, "", measured);
    drop(hospital);
    Ok(())
}

/// Commands, first alone, then while another process makes the views of a copy of the node again and
/// again: a node serves nothing before its views are made, so it is another one's.
async fn beside_commands(session: &mut Session, hospital: &mut Hospital) -> anyhow::Result<()> {
    let patients = session.patients(hospital, session.plan.command_patients, 0).await?;
    let people = Arc::clone(&session.people);
    let other = hospital.beside().await?;
    let (window, rate) = (session.plan.window, Plan::BESIDE_IMPORT);
    for load in [ALONE, REBUILDING] {
        say(&format!("  commands at {rate}/s, {load}"));
        let mut making = (load == REBUILDING).then(|| other.make_views()).transpose()?;
        let mut meter = hospital.meter()?;
        if let Some(pid) = making.as_ref().and_then(Child::id) {
            meter.0.push(Process { name: "the other node", pid, with_children: false });
        }
        let writers =
            hospital.callers(CLIENTS, |client| Contribute::new(&client, &patients, &people))?;
        let measured = open(writers, rate, window, &meter).await?;
        if let Some(other) = &mut making {
            // Or the commands were alone after all.
            let ended = other.try_wait()?;
            ensure!(ended.is_none(), "the process that makes views ended: {ended:?}");
            other.kill().await?;
        }
        session.report.add(BESIDE_REBUILD, "calls", CONTRIBUTE, load, measured);
    }
    Ok(())
}

/// Makes a node's views anew until the process is ended.
///
/// # Errors
/// When the database does not open or cannot be written.
pub(crate) fn again_and_again(data: &Path, state: &Path) -> anyhow::Result<()> {
    let store = hospital::open(data, state)?;
    loop {
        store.rebuild_views(|_, _| ControlFlow::Continue(()))?;
    }
}
