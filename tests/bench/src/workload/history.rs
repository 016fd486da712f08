//! The past: a page of history, and a file as it was at a version or time.

use std::sync::Arc;

use anyhow::{Context as _, ensure};
use api::v1;
use api::v1::get_patient_file_request::AsOf;
use testkit::client::purpose;

use super::reads::{Files, LARGE, Read};
use super::{HISTORY, clients};
use crate::contender::hospital::Hospital;
use crate::load::{Caller, closed};
use crate::rng::Rng;
use crate::session::{Session, say};
use crate::unread::Reader;

/// Clients that ask.
const CLIENTS: [usize; 2] = [1, 64];
/// Records on a page.
const PAGE: u32 = 50;

/// Reads a page of a file's history.
struct History {
    reader: Reader,
    patients: Arc<Vec<String>>,
    from_version: u64,
    rng: Rng,
}

impl Caller for History {
    async fn call(&mut self) -> anyhow::Result<u64> {
        let patient = self.rng.pick(&self.patients).context("no file")?;
        let request = v1::GetPatientHistoryRequest {
            patient_id: patient.clone(),
            purpose: purpose("CAREMGT"),
            from_version: self.from_version,
            page_size: PAGE,
            page_token: String::new(),
        };
        let page = self.reader.history(request).await?;
        ensure!(page.items == usize::try_from(PAGE)?, "{} records on a page of {PAGE}", page.items);
        Ok(1)
    }
}

/// Caseledger's; the yardsticks have nothing like it.
///
/// # Errors
/// When a part does not run any more.
pub(crate) async fn caseledger(
    session: &mut Session,
    hospital: &Hospital,
    files: &Files,
) -> anyhow::Result<()> {
    let meter = hospital.meter()?;
    let window = session.plan.window;
    let middle = u64::try_from(LARGE / 2)?;
    for count in CLIENTS {
        let load = clients(count);
        let pages = [
            ("GetPatientHistory, 50 records", &files.usual, 1),
            ("GetPatientHistory, 50 of 1,200, in the middle", &files.large, middle),
        ];
        for (what, patients, from_version) in pages {
            say(&format!("  {what}, {load}"));
            let callers = hospital.callers(count, |client| History {
                reader: Reader::new(&client),
                patients: Arc::clone(patients),
                from_version,
                rng: Rng::fresh(),
            })?;
            let measured = closed(callers, window, &meter).await?;
            session.report.add(HISTORY, "reads", what, &load, measured);
        }
        let states = [
            ("as of version 25 of 51", &files.usual, 24, AsOf::Version(25)),
            ("as of version 600 of 1,201, a page of 50", &files.large, 50, AsOf::Version(600)),
        ];
        for (what, patients, entries, as_of) in states {
            say(&format!("  {what}, {load}"));
            let callers = hospital.callers(count, |client| Read {
                as_of: Some(as_of),
                ..Read::first_page(&client, patients, entries)
            })?;
            let measured = closed(callers, window, &meter).await?;
            session.report.add(HISTORY, "reads", what, &load, measured);
        }
    }
    Ok(())
}
