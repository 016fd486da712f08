//! Whether a command on a file, or a page of it that the command changed, costs more when the file is
//! long.

use std::sync::Arc;

use super::commands::Contribute;
use super::reads::Read;
use super::{LENGTH, LONG_FILE, SHORT_FILE};
use crate::contender::hospital::Hospital;
use crate::load::{Caller, closed};
use crate::session::{Session, say};

/// Entries of the short file.
const SHORT: usize = 100;
/// Entries on its first page.
const PAGE: usize = 50;

/// A command, then the first page of what it changed: no cache has that page.
struct ThenRead {
    command: Contribute,
    read: Read,
}

impl Caller for ThenRead {
    async fn call(&mut self) -> anyhow::Result<u64> {
        self.command.call().await?;
        self.read.call().await
    }
}

/// Caseledger's; one client, since the commands on one file wait for each other.
///
/// # Errors
/// When a part does not run any more.
pub(crate) async fn caseledger(session: &mut Session, hospital: &Hospital) -> anyhow::Result<()> {
    let (meter, window) = (hospital.meter()?, session.plan.window);
    let people = Arc::clone(&session.people);
    for (load, entries) in [(SHORT_FILE, SHORT), (LONG_FILE, session.plan.long_file)] {
        say(&format!("  a file of {entries} entries"));
        let patient = session.patients(hospital, 1, entries).await?;
        let make = |client| ThenRead {
            command: Contribute::new(&client, &patient, &people),
            read: Read::first_page(&client, &patient, PAGE),
        };
        let measured = closed(hospital.callers(1, make)?, window, &meter).await?;
        session.report.add(LENGTH, "pairs", "Contribute, then GetPatientFile", load, measured);
    }
    Ok(())
}
