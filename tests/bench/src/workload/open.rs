//! Commands and reads that come at fixed rates, whoever is slow.

use std::sync::Arc;

use super::commands::Contribute;
use super::reads::{Files, Read};
use super::{CONTRIBUTE, FIFTY, OPEN};
use crate::contender::hospital::Hospital;
use crate::load::open;
use crate::plan::Plan;
use crate::session::{Session, say};

/// Caseledger's.
///
/// # Errors
/// When a part does not run any more.
pub(crate) async fn caseledger(
    session: &mut Session,
    hospital: &Hospital,
    files: &Files,
) -> anyhow::Result<()> {
    let patients = session.patients(hospital, session.plan.command_patients, 0).await?;
    let people = Arc::clone(&session.people);
    let (meter, window) = (hospital.meter()?, session.plan.window);
    for rate in session.plan.rates {
        let load = format!("{rate}/s");
        say(&format!("  commands due at {load}"));
        let callers = hospital
            .callers(Plan::OPEN_CLIENTS, |client| Contribute::new(&client, &patients, &people))?;
        let measured = open(callers, *rate, window, &meter).await?;
        session.report.add(OPEN, "calls", CONTRIBUTE, &load, measured);
        say(&format!("  reads due at {load}"));
        let callers = hospital.callers(Plan::OPEN_CLIENTS, |client| Read::usual(&client, files))?;
        let measured = open(callers, *rate, window, &meter).await?;
        session.report.add(OPEN, "calls", FIFTY, &load, measured);
    }
    Ok(())
}
