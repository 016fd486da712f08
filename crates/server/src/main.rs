//! `caseledgerd`: one Caseledger node.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use server::admit::{Admit, admit};
use server::config::Config;
use server::init::{Init, init};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

const ABOUT: &str = "One node of Caseledger, the event-sourced patient record.

A first node is founded with `init`, more nodes join with `admit`, each runs with `run`.
Exit codes: 0 done or stopped as asked, 1 failed (the reason is on standard error), 2 wrong use.";

#[derive(Debug, Parser)]
#[command(name = "caseledgerd", version, about = ABOUT, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Found new ledgers: keys, streams, genesis blocks, configuration. Refuses if any exists.
    #[command(after_help = "Example:
  caseledgerd init --state /var/lib/caseledger --nats nats://127.0.0.1:4222 \\
    --monitor http://127.0.0.1:8222 --listen 127.0.0.1:7001 --name ledger.hospital.example")]
    Init {
        /// New state directory: config.toml, keys/, data/.
        #[arg(long, value_name = "DIR")]
        state: PathBuf,
        /// NATS servers, several separated by commas.
        #[arg(long, value_name = "URL")]
        nats: String,
        /// Monitoring address of a NATS server; once for each server.
        #[arg(long, value_name = "URL", required = true)]
        monitor: Vec<String>,
        /// Address and port of the gRPC services.
        #[arg(long, value_name = "ADDR")]
        listen: SocketAddr,
        /// Name of the ledgers, a URL without schema: the first part of their origin.
        #[arg(long, value_name = "NAME", default_value = "caseledger.localhost")]
        name: String,
        /// Copies of each stream: 1, or 3 on a NATS cluster.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = copies)]
        replicas: u8,
    },
    /// Admit one more node to existing ledgers, and make its state directory.
    #[command(after_help = "Example:
  caseledgerd admit --state /var/lib/caseledger-2 --from /var/lib/caseledger \\
    --listen 127.0.0.1:7002 --name second
Restart the existing node afterwards, so that it knows its new peer.")]
    Admit {
        /// New state directory.
        #[arg(long, value_name = "NEWDIR")]
        state: PathBuf,
        /// State directory of an existing node, with the administrator's key.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Address and port of the new node's gRPC services.
        #[arg(long, value_name = "ADDR")]
        listen: SocketAddr,
        /// A name for people.
        #[arg(long, value_name = "NAME", default_value = "another")]
        name: String,
    },
    /// Run a node until SIGTERM or SIGINT.
    #[command(after_help = "Example:
  caseledgerd run --config /var/lib/caseledger/config.toml
Prints one line with the address once it serves; everything else is logged to standard error.")]
    Run {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
}

fn copies(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("must be 1 or 3".to_owned()),
    }
}

fn main() -> ExitCode {
    match obey(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stderr, reason = "the command line's own voice")]
fn complain(error: &anyhow::Error) {
    eprintln!("caseledgerd: {error:#}");
}

#[expect(clippy::print_stdout, reason = "the command line's own voice")]
fn say(line: &str) {
    println!("{line}");
}

fn obey(arguments: Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(async move {
        match arguments.command {
            Command::Init { state, nats, monitor, listen, name, replicas } => {
                let made = init(&Init { state, nats, monitor, listen, name, replicas }).await?;
                say(&format!("founded; first node {}", made.node));
                say(&format!("genesis of records {}", made.records));
                say(&format!("genesis of access  {}", made.access));
                say(&format!("run it: caseledgerd run --config {}", made.config.display()));
            }
            Command::Admit { state, from, listen, name } => {
                let made = admit(&Admit { state, from, listen, name }).await?;
                say(&format!("admitted node {}", made.node));
                say(&format!("run it: caseledgerd run --config {}", made.config.display()));
            }
            Command::Run { config } => run(config).await?,
        }
        Ok(())
    })
}

async fn run(file: PathBuf) -> anyhow::Result<()> {
    let config = Config::load(&file)?;
    server::telemetry::start(&config.log)?;
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signals")?;
    let shutdown = async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("asked to stop (SIGTERM)"),
            _ = interrupt.recv() => tracing::info!("asked to stop (SIGINT)"),
        }
    };
    let node = config.node.id.0;
    let (ready, serving) = oneshot::channel();
    let told = tokio::spawn(async move {
        if let Ok(address) = serving.await {
            say(&format!("caseledgerd: node {node} serves gRPC at {address}"));
        }
    });
    let ended = server::run(config, shutdown, ready).await;
    told.abort();
    Ok(ended?)
}
