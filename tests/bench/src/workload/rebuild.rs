//! All views made anew from records, as after a restore: in this process, the node stopped; and what
//! that means for a node that serves on the same machine.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::commands::Contribute;
use super::{ALONE, BESIDE_REBUILD, CONTRIBUTE, Enough, REBUILD, REBUILDING, VIEWS};
use crate::contender::hospital::Hospital;
use crate::load::{Measured, open};
use crate::plan::Plan;
use crate::session::{Session, say};
use crate::usage::Meter;

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

/// Commands, first alone, then while the views of a copy of the node are made again and again: a node
/// serves nothing before its views are made, so it is another one's.
async fn beside_commands(session: &mut Session, hospital: &mut Hospital) -> anyhow::Result<()> {
    let patients = session.patients(hospital, session.plan.command_patients, 0).await?;
    let people = Arc::clone(&session.people);
    let (store, _copy) = hospital.copy().await?;
    let store = Arc::new(store);
    let (meter, window, rate) = (hospital.meter()?, session.plan.window, Plan::BESIDE_IMPORT);
    for load in [ALONE, REBUILDING] {
        say(&format!("  commands at {rate}/s, {load}"));
        let enough = Enough::default();
        let (copy, told) = (Arc::clone(&store), Arc::clone(&enough.0));
        told.store(load == ALONE, Ordering::Relaxed);
        let making = tokio::task::spawn_blocking(move || {
            let go_on = |_, _| match told.load(Ordering::Relaxed) {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            };
            while !told.load(Ordering::Relaxed) {
                copy.rebuild_views(go_on)?;
            }
            anyhow::Ok(())
        });
        let writers =
            hospital.callers(CLIENTS, |client| Contribute::new(&client, &patients, &people))?;
        let measured = open(writers, rate, window, &meter).await?;
        session.report.add(BESIDE_REBUILD, "calls", CONTRIBUTE, load, measured);
        drop(enough);
        making.await??;
    }
    Ok(())
}
