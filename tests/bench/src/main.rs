//! Caseledger measured against its peers, on one machine, in one run.
//!
//! `tests/bench/run` builds and starts this program and says how to use it. It starts what it
//! measures (a real nats-server and `caseledgerd`, PostgreSQL with message-db, UmaDB), each for one
//! run and one after the other, loads it over its own network interface with one connection a
//! client, and prints a table and JSON.
//!
//! It is deliberately not a test: it holds no figure against a limit, and ends well when everything
//! could be measured and no call failed. Nothing builds on it.

mod contender;
mod importing;
mod load;
mod machine;
mod options;
mod patients;
mod plan;
mod profile;
mod report;
mod rng;
mod session;
mod unread;
mod usage;
mod workload;

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use clap::Parser as _;
use testkit::cluster::run as output;
use tokio::signal::unix::{SignalKind, signal};

use crate::contender::hospital::Hospital;
use crate::contender::message_db::Parts;
use crate::contender::umadb::UmaDb;
use crate::contender::{hospital, jetstream, message_db, umadb};
use crate::machine::Machine;
use crate::options::{Options, Part};
use crate::patients::People;
use crate::plan::Plan;
use crate::report::{Contender, Report};
use crate::session::{Session, say};
use crate::workload::reads::Files;
use crate::workload::{
    commands, decisions, growth, history, import, length, mixed, open, reads, rebuild, verification,
};

/// As a node has it: views are made anew in this process.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    if let Some([data, state]) = options.make_views.as_deref() {
        return rebuild::again_and_again(data, state);
    }
    let plan = Plan::of(&options);
    let folder = std::env::temp_dir();
    say(&format!("syncing a file in {} to know the disk", folder.display()));
    let machine = Machine::look(&folder, plan.syncing)?;
    let people = People::from_samples(options.samples.as_deref().context("--samples")?)?;
    let settings = vec![
        ("built from", options.built_from.clone()),
        ("profile", profile()),
        ("measured", plan.text()),
        ("files", plan.files_text()),
        (
            "callers",
            "this program, on the same processors: their time is taken from them; readers count the \
             entries of an answer without decoding them"
                .to_owned(),
        ),
    ];
    let mut report = Report::new(machine, settings);
    report.left_out.clone_from(&options.left_out);
    if options.unaudited.is_none() && options.wants(Part::Reads) && options.grow.is_none() {
        let why = "reads with auditing compiled out: no such build (--unaudited)";
        report.left_out.push(why.to_owned());
    }
    let mut session = Session::new(plan, people, report, options.samples_of_time.clone());
    contenders(&mut session, &options)?;
    tokio::select! {
        ended = Box::pin(measure(&mut session, &options)) => ended?,
        // Whatever was started is taken down on the way out.
        () = told_to_stop() => bail!("stopped before everything was measured"),
    }
    std::io::stdout().write_all(session.report.text().as_bytes())?;
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&session.report.json())?;
        std::fs::write(file, text).with_context(|| file.display().to_string())?;
    }
    let failed = session.report.failed();
    ensure!(failed == 0, "{failed} calls failed: the figures of their rows mean nothing");
    Ok(())
}

async fn measure(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    if let Some(records) = options.grow {
        let mut hospital = Hospital::start().await?;
        return growth::caseledger(session, &mut hospital, records).await;
    }
    for run in 1..=session.plan.runs {
        say(&format!("run {run} of {}", session.plan.runs));
        Box::pin(once(session, options)).await?;
    }
    Ok(())
}

/// Ends on SIGINT or SIGTERM.
async fn told_to_stop() {
    let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

fn profile() -> String {
    if cfg!(debug_assertions) {
        "dev: our own code at opt-level 1 and with debug assertions; figures are low".to_owned()
    } else {
        "release".to_owned()
    }
}

/// What a build without an audit trail has in its version.
const UNAUDITED: &str = "unaudited";

/// Who takes part in what was asked for, with versions.
fn contenders(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let broker = output(Command::new(testkit::nats::binary()?).arg("--version"))?;
    let broker = broker.trim().to_owned();
    let version = |program: &Path| output(Command::new(program).arg("--version"));
    let node = version(&testkit::cluster::program("caseledgerd")?)?;
    ensure!(!node.contains(UNAUDITED), "the usual caseledgerd was built without an audit trail");
    if let Some(program) = &options.unaudited {
        let named = version(program)?.contains(UNAUDITED);
        ensure!(named, "{} was built with an audit trail", program.display());
    }
    let list = &mut session.report.contenders;
    list.push(Contender {
        name: "Caseledger",
        version: format!("{} and {broker}, one node, loopback gRPC", node.trim()),
        durability: hospital::DURABILITY,
    });
    list.push(Contender {
        name: "bare JetStream",
        version: broker,
        durability: jetstream::DURABILITY,
    });
    if let Some(parts) = parts(options) {
        list.push(Contender {
            name: "message-db",
            version: format!("{}; {}", parts.version()?, message_db::SETTINGS.join(" ")),
            durability: message_db::DURABILITY,
        });
    }
    if let Some(program) = &options.umadb {
        list.push(Contender {
            name: "UmaDB",
            version: umadb::version(program)?,
            durability: umadb::DURABILITY,
        });
    }
    Ok(())
}

fn parts(options: &Options) -> Option<Parts> {
    let (package, programs) = (options.message_db.clone()?, options.postgres.clone()?);
    Some(Parts { package, programs })
}

/// Everything that was asked for, once; each contender in a world of its own.
async fn once(session: &mut Session, options: &Options) -> anyhow::Result<()> {
    let yardsticks = options.wants(Part::Commands) || options.wants(Part::Import);
    if let Some(parts) = parts(options).filter(|_| yardsticks) {
        commands::message_db(session, &parts).await?;
    }
    if let Some(program) = options.umadb.as_ref().filter(|_| yardsticks) {
        let database = UmaDb::start(program).await?;
        commands::umadb(session, &database).await?;
        import::umadb(session, &database).await?;
    }
    if options.wants(Part::Verification) {
        tokio::task::block_in_place(|| verification::caseledger(session))?;
    }
    if options.wants(Part::Decisions) {
        decisions::caseledger(session).await?;
    }
    if !options.wants_a_node() {
        return Ok(());
    }
    let mut hospital = Hospital::start().await?;
    if options.wants(Part::Commands) {
        commands::caseledger(session, &hospital).await?;
    }
    if options.wants(Part::Import) {
        import::caseledger(session, &hospital).await?;
    }
    let reading = [Part::Reads, Part::History, Part::Open, Part::Mixed];
    if reading.iter().any(|part| options.wants(*part)) {
        let files = Files::filed(session, &hospital).await?;
        if options.wants(Part::Reads) {
            reads::caseledger(session, &mut hospital, &files, options.unaudited.as_deref()).await?;
        }
        if options.wants(Part::History) {
            history::caseledger(session, &hospital, &files).await?;
        }
        if options.wants(Part::Open) {
            open::caseledger(session, &hospital, &files).await?;
        }
        if options.wants(Part::Mixed) {
            mixed::caseledger(session, &hospital, &files).await?;
        }
    } else if options.wants(Part::Rebuild) && !options.wants(Part::Import) {
        // Something to rebuild.
        import::caseledger(session, &hospital).await?;
    }
    if options.wants(Part::Length) {
        length::caseledger(session, &hospital).await?;
    }
    if options.wants(Part::Rebuild) {
        rebuild::caseledger(session, hospital).await?;
    }
    Ok(())
}
