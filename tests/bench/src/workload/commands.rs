//! Durable commands: one small entry, filed for a random patient.

use std::sync::Arc;

use api::v1;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use testkit::client::{Authorised, Client, purpose, request_id};

use anyhow::Context as _;

use super::{
    BARE_COMMAND, COMMANDS, CONTRIBUTE, MESSAGE_DB, MESSAGE_DB_CATEGORIES, UMADB, clients,
};
use crate::contender::hospital::Hospital;
use crate::contender::jetstream::{Blocks, Target};
use crate::contender::message_db::{MessageDb, Parts};
use crate::contender::umadb::UmaDb;
use crate::load::{Caller, closed};
use crate::patients::People;
use crate::plan::Plan;
use crate::profile::sampled;
use crate::rng::Rng;
use crate::session::{Session, say};

const UNIT: &str = "commands";

/// Files small entries, one at a time.
pub(crate) struct Contribute {
    service: PatientFileServiceClient<Authorised>,
    patients: Arc<Vec<String>>,
    people: Arc<People>,
    rng: Rng,
}

impl Contribute {
    /// By this client, about any of these patients.
    pub(crate) fn new(client: &Client, patients: &Arc<Vec<String>>, people: &Arc<People>) -> Self {
        Self {
            service: client.file(),
            patients: Arc::clone(patients),
            people: Arc::clone(people),
            rng: Rng::fresh(),
        }
    }
}

impl Caller for Contribute {
    async fn call(&mut self) -> anyhow::Result<u64> {
        let patient = self.rng.pick(&self.patients).context("no patient")?;
        let request = v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("CAREMGT"),
            patient_id: patient.clone(),
            expected_version: None,
            changes: vec![self.people.small_change(&mut self.rng)?],
        };
        self.service.contribute(request).await?;
        Ok(1)
    }
}

/// Caseledger's, and bare publishes of what one such command published.
///
/// # Errors
/// When a part does not run any more.
pub(crate) async fn caseledger(session: &mut Session, hospital: &Hospital) -> anyhow::Result<()> {
    let patients = session.patients(hospital, session.plan.command_patients, 0).await?;
    let people = Arc::clone(&session.people);
    let meter = hospital.meter()?;
    for count in Plan::CLIENTS {
        say(&format!("  commands, {}", clients(count)));
        let callers =
            hospital.callers(count, |client| Contribute::new(&client, &patients, &people))?;
        let measured = closed(callers, session.plan.window, &meter).await?;
        session.report.add(COMMANDS, UNIT, CONTRIBUTE, &clients(count), measured);
        if count == 1 {
            bare(session, hospital).await?;
        }
    }
    let caller = |client: Client| Contribute::new(&client, &patients, &people);
    sampled(session, hospital, "commands", caller).await
}

/// The last block, which holds one command, published again and again by one client.
async fn bare(session: &mut Session, hospital: &Hospital) -> anyhow::Result<()> {
    let (_, last) = hospital.records().await?;
    let block = Blocks::take(hospital.broker(), last, last, 1).await?;
    say(&format!("  bare publishes of one command's block ({} bytes)", block.mean_length()));
    let target = Target::create(hospital.broker()).await?;
    let publishers = target.publishers(1, &block);
    let measured = closed(publishers, session.plan.window, &hospital.meter()?).await?;
    session.report.add(COMMANDS, UNIT, BARE_COMMAND, &clients(1), measured);
    target.delete().await
}

/// message-db's: one message of the same length each.
///
/// # Errors
/// When PostgreSQL does not run.
pub(crate) async fn message_db(session: &mut Session, parts: &Parts) -> anyhow::Result<()> {
    let database = MessageDb::start(parts).await?;
    let patients = session.plan.command_patients;
    // Its WAL has to make its files and to hold every page once, which a store that runs has behind it.
    let writers = database.writers(64, patients, false).await?;
    closed(writers, session.plan.window, &database.meter()).await?;
    for (what, one_category) in [(MESSAGE_DB, true), (MESSAGE_DB_CATEGORIES, false)] {
        for count in Plan::CLIENTS {
            say(&format!("  {what}, {}", clients(count)));
            let writers = database.writers(count, patients, one_category).await?;
            let measured = closed(writers, session.plan.window, &database.meter()).await?;
            session.report.add(COMMANDS, UNIT, what, &clients(count), measured);
        }
    }
    Ok(())
}

/// UmaDB's: one event of the same length each.
///
/// # Errors
/// When UmaDB does not run.
pub(crate) async fn umadb(session: &mut Session, database: &UmaDb) -> anyhow::Result<()> {
    for count in Plan::CLIENTS {
        say(&format!("  {UMADB}, {}", clients(count)));
        let writers = database.writers(count, session.plan.command_patients, 1)?;
        let measured = closed(writers, session.plan.window, &database.meter()).await?;
        session.report.add(COMMANDS, UNIT, UMADB, &clients(count), measured);
    }
    Ok(())
}
