//! Whether those who work with files notice that an import runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::commands::Contribute;
use super::reads::{Files, Read};
use super::{ALONE, CONTRIBUTE, Enough, FIFTY, IMPORT_BESIDE, IMPORTING, MIXED, STREAMED};
use crate::contender::hospital::Hospital;
use crate::importing::Delivery;
use crate::load::{Measured, open};
use crate::plan::Plan;
use crate::session::{Session, say};

/// Calls at once at most.
const CLIENTS: usize = 64;
/// Patients of one delivery of the import beside.
const AT_A_TIME: u64 = 10;
/// Patients that an import cannot come to the end of while something is measured.
const ENOUGH: u64 = 1_000_000;

/// Reads and commands at the same rate, first alone, then with an import that goes on as fast as the
/// node lets it.
///
/// # Errors
/// When a part does not run any more, or the import ended.
pub(crate) async fn caseledger(
    session: &mut Session,
    hospital: &Hospital,
    files: &Files,
) -> anyhow::Result<()> {
    let patients = session.patients(hospital, session.plan.command_patients, 0).await?;
    let people = Arc::clone(&session.people);
    let (meter, window, rate) = (hospital.meter()?, session.plan.window, Plan::BESIDE_IMPORT);
    for load in [ALONE, IMPORTING] {
        let import = if load == IMPORTING { Some(endless(session, hospital)?) } else { None };
        say(&format!("  reads and commands at {rate}/s, {load}"));
        let filed = || import.as_ref().map_or(0, |import| import.filed.load(Ordering::Relaxed));
        let (began, before, first) = (Instant::now(), meter.read()?, filed());
        let readers = hospital.callers(CLIENTS, |client| Read::usual(&client, files))?;
        let measured = open(readers, rate, window, &meter).await?;
        session.report.add(MIXED, "calls", FIFTY, load, measured);
        let writers =
            hospital.callers(CLIENTS, |client| Contribute::new(&client, &patients, &people))?;
        let measured = open(writers, rate, window, &meter).await?;
        session.report.add(MIXED, "calls", CONTRIBUTE, load, measured);
        let (seconds, records) = (began.elapsed().as_secs_f64(), filed() - first);
        if let Some(import) = import {
            let measured = Measured::bulk(seconds, records, meter.since(&before)?)?;
            session.report.add(IMPORT_BESIDE, "records", STREAMED, load, measured);
            import.stop().await?;
        }
    }
    Ok(())
}

/// An import that goes on until it is stopped.
struct Endless {
    enough: Enough,
    /// Records filed so far.
    filed: Arc<AtomicU64>,
    import: JoinHandle<anyhow::Result<()>>,
}

/// Starts importing, on a thread of its own: making patients up must not hold up those who measure.
fn endless(session: &mut Session, hospital: &Hospital) -> anyhow::Result<Endless> {
    let numbers = session.numbers(ENOUGH);
    let (people, client) = (Arc::clone(&session.people), hospital.client()?);
    let (enough, filed) = (Enough::default(), Arc::new(AtomicU64::new(0)));
    let (told, count, runtime) = (Arc::clone(&enough.0), Arc::clone(&filed), Handle::current());
    let import = tokio::task::spawn_blocking(move || {
        for first in numbers.step_by(usize::try_from(AT_A_TIME)?) {
            if told.load(Ordering::Relaxed) {
                return Ok(());
            }
            let numbers = first..first + AT_A_TIME;
            let delivery = Delivery::of(&people, numbers, Plan::IMPORT_ENTRIES)?;
            let delivered = runtime.block_on(delivery.send(&client))?;
            count.fetch_add(delivered.records, Ordering::Relaxed);
        }
        anyhow::bail!("the import came to its end")
    });
    Ok(Endless { enough, filed, import })
}

impl Endless {
    /// Ends it after the delivery that is under way.
    async fn stop(self) -> anyhow::Result<()> {
        drop(self.enough);
        self.import.await?
    }
}
