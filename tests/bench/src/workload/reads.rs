//! Audited reads: each is on record before it is answered.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, ensure};
use api::v1;
use api::v1::get_patient_file_request::AsOf;
use testkit::client::{Client, purpose};

use super::{AUDITED, FIFTY, ONCE, READS, UNAUDITED, clients};
use crate::contender::hospital::Hospital;
use crate::load::{Caller, Measured, closed, quiet, through};
use crate::plan::Plan;
use crate::profile::sampled;
use crate::rng::Rng;
use crate::session::{Session, say};
use crate::unread::Reader;

/// Entries of a small, a usual and a large file.
const SMALL: usize = 3;
const USUAL: usize = 50;
pub(crate) const LARGE: usize = 1_200;
/// What a page may hold at most.
const LARGEST_PAGE: u32 = 200;
/// What a page holds if nothing is said.
const USUAL_PAGE: u32 = 50;

/// Clients that read each file once, or from a node without an audit trail.
const CLIENTS: usize = 64;
/// And where what auditing costs is asked of more: blocks of access records are larger then.
const MANY_CLIENTS: usize = 256;

/// Files of three sizes.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) small: Arc<Vec<String>>,
    pub(crate) usual: Arc<Vec<String>>,
    pub(crate) large: Arc<Vec<String>>,
}

impl Files {
    /// Brings them on file.
    ///
    /// # Errors
    /// When one is not taken.
    pub(crate) async fn filed(session: &mut Session, hospital: &Hospital) -> anyhow::Result<Self> {
        say("  files to read");
        let count = session.plan.files;
        Ok(Self {
            small: session.patients(hospital, count, SMALL).await?,
            usual: session.patients(hospital, count, USUAL).await?,
            large: session.patients(hospital, session.plan.large_files(), LARGE).await?,
        })
    }
}

/// Reads a file, as it is or was, all pages of it or the first.
pub(crate) struct Read {
    pub(crate) reader: Reader,
    pub(crate) patients: Arc<Vec<String>>,
    pub(crate) page_size: u32,
    pub(crate) all_pages: bool,
    pub(crate) as_of: Option<AsOf>,
    /// Entries that an answer must hold: a fast empty answer is none.
    pub(crate) entries: usize,
    pub(crate) which: Which,
}

/// Which of the files a caller reads next.
pub(crate) enum Which {
    /// Any, again and again.
    Any(Rng),
    /// The next that no caller has read.
    Next(Arc<AtomicUsize>),
}

impl Read {
    /// The first page of any of these files as they are now.
    pub(crate) fn first_page(client: &Client, patients: &Arc<Vec<String>>, entries: usize) -> Self {
        Self {
            reader: Reader::new(client),
            patients: Arc::clone(patients),
            page_size: USUAL_PAGE,
            all_pages: false,
            as_of: None,
            entries,
            which: Which::Any(Rng::fresh()),
        }
    }

    /// The first page of any of the usual files.
    pub(crate) fn usual(client: &Client, files: &Files) -> Self {
        Self::first_page(client, &files.usual, USUAL)
    }
}

impl Caller for Read {
    async fn call(&mut self) -> anyhow::Result<u64> {
        let patient = match &mut self.which {
            Which::Any(rng) => rng.pick(&self.patients),
            Which::Next(next) => self.patients.get(next.fetch_add(1, Ordering::Relaxed)),
        };
        let patient = patient.context("no file")?;
        let mut request = v1::GetPatientFileRequest {
            patient_id: patient.clone(),
            purpose: purpose("CAREMGT"),
            page_size: self.page_size,
            as_of: self.as_of,
            ..v1::GetPatientFileRequest::default()
        };
        let mut entries = 0;
        loop {
            let page = self.reader.file(request.clone()).await?;
            entries += page.items;
            request.page_token = page.next_page_token;
            if !self.all_pages || request.page_token.is_empty() {
                break;
            }
        }
        ensure!(entries == self.entries, "{entries} entries, {} expected", self.entries);
        Ok(1)
    }
}

/// Files of three sizes, by several numbers of clients, and each of many files once.
///
/// # Errors
/// When a part does not run any more.
pub(crate) async fn caseledger(
    session: &mut Session,
    hospital: &mut Hospital,
    files: &Files,
    unaudited: Option<&Path>,
) -> anyhow::Result<()> {
    let page = usize::try_from(USUAL_PAGE)?;
    let cases = [
        ("GetPatientFile, 3 entries", &files.small, SMALL, false),
        (FIFTY, &files.usual, USUAL, false),
        ("GetPatientFile, 1,200 entries, a page of 50", &files.large, page, false),
        ("GetPatientFile, 1,200 entries, all 6 pages", &files.large, LARGE, true),
    ];
    let meter = hospital.meter()?;
    for (what, patients, entries, all_pages) in cases {
        for count in Plan::READERS {
            if all_pages && count > 64 {
                continue;
            }
            say(&format!("  {what}, {}", clients(count)));
            let callers = hospital.callers(count, |client| Read {
                page_size: if all_pages { LARGEST_PAGE } else { USUAL_PAGE },
                all_pages,
                ..Read::first_page(&client, patients, entries)
            })?;
            let measured = closed(callers, session.plan.window, &meter).await?;
            session.report.add(READS, "reads", what, &clients(count), measured);
        }
    }
    sampled(session, hospital, "reads", |client| Read::usual(&client, files)).await?;
    if let Some(program) = unaudited {
        without_trail(session, hospital, files, program).await?;
    }
    let count = usize::try_from(session.plan.files_read_once)?;
    say(&format!("  {ONCE}, {count} files, {}", clients(CLIENTS)));
    let unread = session.patients(hospital, count, USUAL).await?;
    let measured = each_once(hospital, files, &unread, USUAL).await?;
    session.report.add(READS, "reads", ONCE, &clients(CLIENTS), measured);
    Ok(())
}

/// The usual read of the same files in the same database, with and without an audit trail, one after
/// the other and each by a node that has just started.
async fn without_trail(
    session: &mut Session,
    hospital: &mut Hospital,
    files: &Files,
    program: &Path,
) -> anyhow::Result<()> {
    for (what, program) in [(AUDITED, None), (UNAUDITED, Some(program.to_owned()))] {
        for count in [CLIENTS, MANY_CLIENTS] {
            say(&format!("  {what}, {}", clients(count)));
            hospital.restart(program.clone()).await?;
            let callers = hospital.callers(count, |client| Read::usual(&client, files))?;
            let measured = closed(callers, session.plan.window, &hospital.meter()?).await?;
            session.report.add(READS, "reads", what, &clients(count), measured);
        }
    }
    hospital.restart(None).await
}

/// Each of these files once by a node that has just started, so that nothing of them is in its memory.
///
/// # Errors
/// When a part does not run any more.
pub(crate) async fn each_once(
    hospital: &mut Hospital,
    files: &Files,
    unread: &Arc<Vec<String>>,
    entries: usize,
) -> anyhow::Result<Measured> {
    hospital.restart(None).await?;
    quiet(&hospital.meter()?).await?;
    let mut callers = hospital.callers(CLIENTS, |client| Read::usual(&client, files))?;
    let next = Arc::new(AtomicUsize::new(0));
    for caller in &mut callers {
        // Its connection and token are not what is measured.
        caller.call().await?;
        caller.patients = Arc::clone(unread);
        caller.entries = entries;
        caller.which = Which::Next(Arc::clone(&next));
    }
    through(callers, u64::try_from(unread.len())?, &hospital.meter()?).await
}
