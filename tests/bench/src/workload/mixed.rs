//! Whether those who work with files notice that an import runs.

use std::sync::Arc;

use tokio::task::JoinHandle;

use super::commands::Contribute;
use super::reads::{Files, Read};
use super::{ALONE, CONTRIBUTE, FIFTY, IMPORTING, MIXED};
use crate::contender::hospital::Hospital;
use crate::importing::Delivery;
use crate::load::open;
use crate::plan::Plan;
use crate::session::{Session, say};

/// Calls at once at most.
const CLIENTS: usize = 64;
/// Patients of one delivery of the import beside.
const AT_A_TIME: u64 = 50;
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
        let import = if load == IMPORTING { Some(endless(session, hospital)?) } else { None };
        say(&format!("  reads and commands at {rate}/s, {load}"));
        let readers = hospital.callers(CLIENTS, |client| Read::usual(&client, files))?;
        let measured = open(readers, rate, window, &meter).await?;
        session.report.add(MIXED, "calls", FIFTY, load, measured);
        let writers =
            hospital.callers(CLIENTS, |client| Contribute::new(&client, &patients, &people))?;
        let measured = open(writers, rate, window, &meter).await?;
        session.report.add(MIXED, "calls", CONTRIBUTE, load, measured);
        if let Some(import) = import {
            stop(import).await?;
        }
    }
    Ok(())
}

/// Imports until it is stopped.
fn endless(
    session: &mut Session,
    hospital: &Hospital,
) -> anyhow::Result<JoinHandle<anyhow::Result<()>>> {
    let numbers = session.numbers(ENOUGH);
    let (people, client) = (Arc::clone(&session.people), hospital.client()?);
    Ok(tokio::spawn(async move {
        for first in numbers.step_by(usize::try_from(AT_A_TIME)?) {
            let numbers = first..first + AT_A_TIME;
            Delivery::of(&people, numbers, Plan::IMPORT_ENTRIES)?.send(&client).await?;
        }
        anyhow::bail!("the import came to its end")
    }))
}

async fn stop(import: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    import.abort();
    match import.await {
        Ok(ended) => ended,
        // Stopped, as it should be.
        Err(_) => Ok(()),
    }
}
