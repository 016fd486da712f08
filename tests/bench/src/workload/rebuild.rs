//! All views made anew from records, as after a restore: in this process, the node stopped.

use std::time::Instant;

use super::{REBUILD, VIEWS};
use crate::contender::hospital::Hospital;
use crate::load::Measured;
use crate::session::{Session, say};
use crate::usage::Meter;

/// Caseledger's; ends the node.
///
/// # Errors
/// When the node does not stop or its database does not open.
pub(crate) async fn caseledger(session: &mut Session, hospital: Hospital) -> anyhow::Result<()> {
    say("  views made anew");
    let (store, hospital) = hospital.into_store().await?;
    let meter = Meter(vec![Meter::callers()]);
    let before = meter.read()?;
    let rebuilt = tokio::task::spawn_blocking(move || {
        let (mut records, began) = (0, Instant::now());
        store.rebuild_views(|_, total| records = total)?;
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
