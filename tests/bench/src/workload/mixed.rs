//! Whether those who work with files notice that an import runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::commands::Contribute;
use super::reads::{Files, Read};
use super::{ALONE, CONTRIBUTE, FIFTY, IMPORTING, MIXED, STREAMED};
use crate::contender::hospital::Hospital;
use crate::importing::Delivery;
use crate::load::{Measured, open};
use crate::plan::Plan;
use crate::session::{Session, say};
use crate::usage::{Meter, Usage};

/// Calls at once at most.
const CLIENTS: usize = 64;
/// Patients of one delivery of the import beside.
const AT_A_TIME: u64 = 20;
/// What the import goes on beside.
const BESIDE: &str = "beside these";
/// Patients that an import cannot come to the end of while something is measured.
const ENOUGH: u64 = 1_000_000;

/// Reads and commands at the same rate, first alone, then with an import at full speed.
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
        let import =
            if load == IMPORTING { Some(endless(session, hospital, &meter)?) } else { None };
        say(&format!("  reads and commands at {rate}/s, {load}"));
        let readers = hospital.callers(CLIENTS, |client| Read::usual(&client, files))?;
        let measured = open(readers, rate, window, &meter).await?;
        session.report.add(MIXED, "calls", FIFTY, load, measured);
        let writers =
            hospital.callers(CLIENTS, |client| Contribute::new(&client, &patients, &people))?;
        let measured = open(writers, rate, window, &meter).await?;
        session.report.add(MIXED, "calls", CONTRIBUTE, load, measured);
        if let Some(import) = import {
            let beside = import.stop(&meter).await?;
            session.report.add(MIXED, "records", STREAMED, BESIDE, beside);
        }
    }
    Ok(())
}

/// An import that goes on until it is stopped.
struct Endless {
    enough: Arc<AtomicBool>,
    /// Records filed.
    import: JoinHandle<anyhow::Result<u64>>,
    began: Instant,
    before: Vec<Usage>,
}

/// Starts importing, on a thread of its own: making patients up must not hold up those who measure.
fn endless(session: &mut Session, hospital: &Hospital, meter: &Meter) -> anyhow::Result<Endless> {
    let numbers = session.numbers(ENOUGH);
    let (people, client) = (Arc::clone(&session.people), hospital.client()?);
    let (began, before) = (Instant::now(), meter.read()?);
    let enough = Arc::new(AtomicBool::new(false));
    let (told, runtime) = (Arc::clone(&enough), Handle::current());
    let import = tokio::task::spawn_blocking(move || {
        let mut records = 0;
        for first in numbers.step_by(usize::try_from(AT_A_TIME)?) {
            if told.load(Ordering::Relaxed) {
                return Ok(records);
            }
            let numbers = first..first + AT_A_TIME;
            let delivery = Delivery::of(&people, numbers, Plan::IMPORT_ENTRIES)?;
            records += runtime.block_on(delivery.send(&client))?.records;
        }
        anyhow::bail!("the import came to its end")
    });
    Ok(Endless { enough, import, began, before })
}

impl Endless {
    /// Ends it after the delivery that is under way, and says how fast it was.
    async fn stop(self, meter: &Meter) -> anyhow::Result<Measured> {
        self.enough.store(true, Ordering::Relaxed);
        let records = self.import.await??;
        Measured::bulk(self.began.elapsed().as_secs_f64(), records, meter.since(&self.before)?)
    }
}
