//! Whether a command or a read costs more when the ledger is long.

use std::sync::Arc;
use std::time::Instant;

use api::v1;
use testkit::client::Client;

use super::commands::Contribute;
use super::reads::{Files, Read, each_once};
use super::{CONTRIBUTE, FIFTY, GROWTH, STREAMED};
use crate::contender::hospital::Hospital;
use crate::importing::Delivery;
use crate::load::{Caller, Measured, closed, quiet};
use crate::profile::sampled;
use crate::rng::Rng;
use crate::session::{Session, say};

/// Records at which everything is measured.
const STEPS: [u64; 3] = [100_000, 1_000_000, 10_000_000];
/// Entries a patient: a million patients have ten million records.
const ENTRIES: usize = 8;
/// Patients imported at a time.
const AT_A_TIME: u64 = 2_000;
/// Of so many imported patients one is read later: of the fewest two thousand.
const TAKEN: usize = 5;
/// Reads of patients from everywhere in the ledger.
const ANYBODY: &str = "GetPatientFile, 8 entries, anybody's";
/// The same when neither few patients nor many are in the node's memory, so that sizes can be compared.
const ANYBODY_ONCE: &str = "GetPatientFile, 8 entries, anybody's, once each after a restart";
/// A proof that a record of any age is under the newest checkpoint, one at a time.
const PROOF: &str = "GetInclusionProof, any record, 1 client";
/// Clients that call.
const CLIENTS: usize = 64;

/// Asks for proofs of records at random.
struct Prove {
    client: Client,
    records: u64,
    rng: Rng,
}

impl Caller for Prove {
    async fn call(&mut self) -> anyhow::Result<u64> {
        let position = self.rng.next() % self.records;
        let request = v1::GetInclusionProofRequest { ledger: None, position };
        self.client.proofs().get_inclusion_proof(request).await?;
        Ok(1)
    }
}

/// Imports up to `upto` records, and measures at every step on the way and at the end.
///
/// # Errors
/// When an item is refused, or a part does not run any more.
pub(crate) async fn caseledger(
    session: &mut Session,
    hospital: &mut Hospital,
    upto: u64,
) -> anyhow::Result<()> {
    let files = Files::filed(session, hospital).await?;
    let patients = session.patients(hospital, session.plan.command_patients, 0).await?;
    let people = Arc::clone(&session.people);
    let window = session.plan.window;
    let mut strangers = Vec::new();
    let steps = STEPS.into_iter().filter(|step| *step < upto);
    for step in steps.chain([upto]) {
        let load = format!("at {step} records");
        say(&format!("  importing up to {step} records"));
        let imported = grow(session, hospital, step, &mut strangers).await?;
        let cold = Arc::new(strangers.clone());
        let once = Arc::new(some(&strangers, session.plan.files_read_once)?);
        session.report.add(GROWTH, "records", STREAMED, &load, imported);
        let meter = hospital.meter()?;
        quiet(&meter).await?;
        say(&format!("  commands and reads {load}"));
        for _ in 0..session.plan.runs {
            let callers =
                hospital.callers(CLIENTS, |client| Contribute::new(&client, &patients, &people))?;
            let measured = closed(callers, window, &meter).await?;
            session.report.add(GROWTH, "calls", CONTRIBUTE, &load, measured);
            let callers = hospital.callers(CLIENTS, |client| Read::usual(&client, &files))?;
            let measured = closed(callers, window, &meter).await?;
            session.report.add(GROWTH, "calls", FIFTY, &load, measured);
            let callers =
                hospital.callers(CLIENTS, |client| Read::first_page(&client, &cold, ENTRIES))?;
            let measured = closed(callers, window, &meter).await?;
            session.report.add(GROWTH, "calls", ANYBODY, &load, measured);
            let prove = |client| Prove { client, records: step, rng: Rng::fresh() };
            let measured = closed(hospital.callers(1, prove)?, window, &meter).await?;
            session.report.add(GROWTH, "proofs", PROOF, &load, measured);
        }
        // Last, for after a restart the other calls would have to fill caches first.
        for _ in 0..session.plan.runs {
            let measured = each_once(hospital, &files, &once, ENTRIES).await?;
            session.report.add(GROWTH, "calls", ANYBODY_ONCE, &load, measured);
        }
    }
    let cold = Arc::new(strangers);
    let anybody = |client| Read::first_page(&client, &cold, ENTRIES);
    sampled(session, hospital, "anybody", anybody).await
}

/// So many of these from everywhere among them, or all if they are fewer.
fn some(patients: &[String], count: u64) -> anyhow::Result<Vec<String>> {
    let count = usize::try_from(count)?;
    let apart = (patients.len() / count).max(1);
    Ok(patients.iter().step_by(apart).take(count).cloned().collect())
}

/// `strangers`: takes some of the patients from everywhere in the ledger.
async fn grow(
    session: &mut Session,
    hospital: &Hospital,
    upto: u64,
    strangers: &mut Vec<String>,
) -> anyhow::Result<Measured> {
    let client = hospital.client()?;
    let meter = hospital.meter()?;
    let (before, began) = (meter.read()?, Instant::now());
    let mut records = 0;
    while hospital.records().await?.0 < upto {
        let numbers = session.numbers(AT_A_TIME);
        let delivered = Delivery::of(&session.people, numbers, ENTRIES)?.send(&client).await?;
        records += delivered.records;
        strangers.extend(delivered.patients.into_iter().step_by(TAKEN));
    }
    Measured::bulk(began.elapsed().as_secs_f64(), records, meter.since(&before)?)
}
