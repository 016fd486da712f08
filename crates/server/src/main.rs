//! `caseledgerd`: one Caseledger node.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ledger::NodeId;
use server::admit::{Admit, admit};
use server::config::Config;
use server::emergency::command::{self as emergency, Emergency};
use server::fsck::{Fsck, PinnedGenesis};
use server::init::{Init, init};
use server::kek::{self, Progress};
use server::retire::{Retire, Retired, retire};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use vault::KekSource;

/// A command takes many small allocations on one thread and frees them on another: the C library's
/// allocator spent an eighth of a node's time on them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ABOUT: &str = "One node of Caseledger, the event-sourced patient record.

A first node is founded with `init`, more nodes join with `admit` and leave with `retire`, each runs
with `run`. `fsck` checks the data folder of one that is stopped; `kek` makes and changes the key that
all other keys are wrapped under; `emergency` credentials for when issuers are away.
Exit codes: 0 done or stopped as asked, 1 failed (the reason is on standard error), 2 wrong use; those
of `fsck` are in its help.";

#[derive(Debug, Parser)]
#[command(name = "caseledgerd", version = server::VERSION, about = ABOUT, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Found new ledgers: keys, streams, genesis blocks, configuration. Refuses if any exists; one that
    /// broke off is run again with the same arguments, and goes on.
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
    /// Admit one more node to existing ledgers, and make its state directory. One that broke off is run
    /// again with the same arguments, and goes on.
    #[command(after_help = "Example:
  caseledgerd admit --state /var/lib/caseledger-2 --from /var/lib/caseledger \\
    --listen 127.0.0.1:7002 --name second
The new node takes over issuers, emergencies, witnesses and the broker's credentials; what else is to be
done by hand is printed. Restart the existing node afterwards, so that it knows its new peer. From the
admission on nothing is filed unless a majority of the nodes runs, the new one included.")]
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
    /// Retire nodes for good: their blocks are refused, they are no longer counted, they never come back.
    #[command(after_help = "Examples:
  caseledgerd retire --from /var/lib/caseledger --node 5b0c…e1
  caseledgerd retire --from /var/lib/caseledger --node 5b0c…e1 --without-majority

Stop a node that still runs before it is retired: what waits in its spool of access records is
refused afterwards. The others' [[peers]] entries of it are ignored and can be taken out.

With --without-majority, for when a majority of the nodes is lost for good and the rest wait for
it (GetNodeStatus: read only, \"2 are needed\"): stop the node of --from, run this, start it. It
then no longer counts the nodes named here, and files their retirement before anything else. Where
several nodes remain, do it on each. The nodes named here MUST NOT run, and must never be started
again as they are: two halves that each go on alone make two histories, and one of them is lost.")]
    Retire {
        /// State directory of a node that stays, with the administrator's key.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Id of the node to be retired, 32 hex digits; may be given several times.
        #[arg(long = "node", value_name = "ID", required = true)]
        nodes: Vec<NodeId>,
        /// The majority is lost for good: leave an override with the node of --from, which is stopped.
        #[arg(long)]
        without_majority: bool,
    },
    /// Make, seal and open credentials for when the issuers of people's tokens are away.
    #[command(subcommand, after_help = emergency::HELP)]
    Emergency(Emergency),
    /// Run a node until SIGTERM or SIGINT.
    #[command(after_help = "Example:
  caseledgerd run --config /var/lib/caseledger/config.toml
Prints one line with the address once it serves; everything else is logged to standard error.")]
    Run {
        /// Configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Check the data folder of a stopped node against itself, and change nothing in it.
    ///
    /// Puts every message together from its rows and judges it again: signatures, membership, chains,
    /// stream hashes, verdicts, commitments and tiles are made anew, and every row is compared with what
    /// is stored, as are checkpoints, position.json, the spool and the keys. It opens no bodies and needs
    /// no keys: what sealed rows say is not compared. The first thing that does not match is named.
    #[command(after_help = FSCK_HELP)]
    Fsck {
        /// The node's data folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        /// Genesis that is believed, as records=HASH or access=HASH; else the one in config.toml beside
        /// the data folder.
        #[arg(long, value_name = "LEDGER=HASH")]
        genesis: Vec<PinnedGenesis>,
        /// Checkpoint that was kept, which the ledger has to continue; may be given several times.
        #[arg(long = "checkpoint", value_name = "FILE")]
        checkpoints: Vec<PathBuf>,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a key-encryption key, change all nodes to it while they work, and see how far that is.
    #[command(subcommand, after_help = KEK_HELP)]
    Kek(Kek),
}

#[derive(Debug, Subcommand)]
enum Kek {
    /// Make a key-encryption key; what exists is never overwritten.
    #[command(after_help = "Examples:
  caseledgerd kek make /var/lib/caseledger/keys/kek.2
  caseledgerd kek make 'pkcs11:token=caseledger;object=kek?module-path=/usr/lib/softhsm/libsofthsm2.so\
&pin-source=/etc/caseledger/pin&x-sealed=/var/lib/caseledger/keys/kek.2.sealed'

With a PKCS#11 module the key lies in the file of x-sealed, sealed by an AES-256 key of the module,
which is made if the token has none of that label. The module is needed when a node starts, and no
more after that.")]
    Make {
        /// Where it is to be, as in `kek` of a configuration: a file, or pkcs11:….
        #[arg(value_name = "PLACE")]
        place: KekSource,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Have all keys wrapped anew under the newest version in a node's configuration, and wait for it.
    ///
    /// Nodes do it while they read and write. Broken off, it goes on without this command, which is then
    /// run again to wait for the end.
    #[command(after_help = KEK_HELP)]
    Rotate {
        /// Configuration of a node that has all others as its peers.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Say which versions keys are under, in the bucket and at every node.
    #[command(after_help = "Example:
  caseledgerd kek status --config /var/lib/caseledger/config.toml")]
    Status {
        /// Configuration of a node that has all others as its peers.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

const KEK_HELP: &str = "\
How the key-encryption key is changed, and nothing stands still:
  1. caseledgerd kek make /var/lib/caseledger/keys/kek.2, and the same key to every other node
  2. in the configuration of every node  kek = { 1 = \"keys/kek\", 2 = \"keys/kek.2\" }
     and start them anew, one after the other
  3. caseledgerd kek rotate --config /var/lib/caseledger/config.toml
  4. when it says so: kek = { 2 = \"keys/kek.2\" }, and start them anew, one after the other
Backups of the key database from before need the old key for as long as they are kept.";

const FSCK_HELP: &str = "\
Exit codes: 0 intact; 10 tampered with or damaged; 11 behind, or another history than, position.json or
a kept checkpoint; 12 something could not be read, the node runs, or a kept checkpoint was spoilt or is
signed by no node that the ledger admitted; 2 wrong use, or a file that is no checkpoint at all.

Memory: RocksDB's cache (256 MiB) and log (up to 256 MiB), and what messages are judged by: heads of chains,
ids of contributions, stream hashes. Measured, all in all: 135 MiB for 100,000 records in as many
contributions, 197 MiB for 200,000.

Example:
  caseledgerd fsck --data /var/lib/caseledger/data --checkpoint last-year.checkpoint";

fn copies(text: &str) -> Result<u8, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        _ => Err("must be 1 or 3".to_owned()),
    }
}

fn main() -> ExitCode {
    // Databases, keys and positions that are made from here on are for this user alone.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let off = server::core_dumps::off().context("core dumps cannot be switched off");
    let many = server::descriptors::all().context("the limit of descriptors cannot be raised");
    match off.and(many).and_then(|()| obey(Arguments::parse())) {
        Ok(code) => code,
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

/// Says a line. Whoever reads no further has closed the pipe, which is no fault.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn obey(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Command::Fsck { data, genesis, checkpoints, json } = arguments.command {
        return Ok(fsck(&Fsck { data, genesis, checkpoints }, json));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the runtime cannot start")?;
    runtime.block_on(work(arguments.command))?;
    Ok(ExitCode::SUCCESS)
}

async fn work(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init { state, nats, monitor, listen, name, replicas } => {
            let made = init(&Init { state, nats, monitor, listen, name, replicas }).await?;
            say(&format!("founded; first node {}", made.node));
            say(&format!("genesis of records {}", made.records));
            say(&format!("genesis of access  {}", made.access));
            say(
                "keep a copy of the folder keys elsewhere: without admin.key no node can be admitted or retired, without kek nothing can be read, without block.key a node that is alone cannot start",
            );
            say(&format!("run it: caseledgerd run --config {}", made.config.display()));
        }
        Command::Admit { state, from, listen, name } => {
            let made = admit(&Admit { state, from, listen, name }).await?;
            say(&format!("admitted node {}", made.node));
            for still in &made.left {
                say(&format!("still to be done: {still}"));
            }
            say(
                "restart the nodes whose configuration has a new peer; whenever one of them starts, or",
            );
            say(
                "the broker comes back, nothing is filed until a majority runs, this one counted in",
            );
            say(&format!("run it: caseledgerd run --config {}", made.config.display()));
        }
        Command::Retire { from, nodes, without_majority } => {
            let made = retire(&Retire { from, nodes, without_majority }).await?;
            retired(&made, without_majority);
        }
        Command::Run { config } => run(config).await?,
        Command::Kek(command) => obey_kek(command).await?,
        Command::Emergency(command) => say(&emergency::obey(command)?),
        // Done before, without a runtime.
        Command::Fsck { .. } => {}
    }
    Ok(())
}

/// Prints what is found.
fn fsck(wanted: &Fsck, json: bool) -> ExitCode {
    /// As clap exits with.
    const WRONG_USE: u8 = 2;
    match server::fsck::fsck(wanted) {
        Ok(found) if json => {
            say(&server::fsck::json(&found).to_string());
            ExitCode::from(server::fsck::exit_code(&found))
        }
        Ok(found) => {
            say(&server::fsck::text(&found));
            ExitCode::from(server::fsck::exit_code(&found))
        }
        Err(error) => {
            complain(&error.into());
            ExitCode::from(WRONG_USE)
        }
    }
}

async fn obey_kek(command: Kek) -> anyhow::Result<()> {
    match command {
        Kek::Make { mut place, json } => {
            place.resolve(&std::env::current_dir()?);
            let made = kek::make(&place)?;
            if json {
                say(&serde_json::json!({ "made": made, "kek": place.to_string() }).to_string());
            } else {
                say(&made);
                say(&format!(
                    "in a configuration: kek = {{ 2 = \"{place}\" }}, if it is version 2"
                ));
            }
        }
        Kek::Rotate { config, json } => {
            let mut last: Option<Instant> = None;
            let told = |progress: &Progress| {
                if last.is_none_or(|last| last.elapsed() >= TELL_EVERY) {
                    last = Some(Instant::now());
                    tell(&headline(progress));
                }
            };
            let done = kek::rotate(&config, told).await?;
            show(&done, json);
        }
        Kek::Status { config, json } => show(&kek::status(&config).await?, json),
    }
    Ok(())
}

/// How often somebody who waits for a rotation hears how far it is.
const TELL_EVERY: Duration = Duration::from_secs(1);

#[expect(clippy::print_stderr, reason = "the command line's own voice")]
fn tell(line: &str) {
    eprintln!("caseledgerd: {line}");
}

fn headline(progress: &Progress) -> String {
    let (done, all, behind) = (progress.done(), progress.all(), progress.behind());
    let wanted = progress.wanted;
    let mut line = format!("{done} of {all} entries of keys are under version {wanted}");
    if done == all && !behind.is_empty() {
        let nodes: Vec<String> = behind.iter().map(NodeId::to_string).collect();
        line.push_str(&format!("; waiting for node {}", nodes.join(", ")));
    }
    for name in &progress.malformed {
        line.push_str(&format!(
            "; entry {name} of the bucket of keys is malformed: find out who writes there, and delete \
             it; what the nodes know of they put back"
        ));
    }
    line
}

fn show(progress: &Progress, json: bool) {
    if json {
        let node = |(node, report): (&NodeId, &Option<vault::KekReport>)| {
            let (known, held) = report.as_ref().map(|it| (it.versions(), &it.held)).unzip();
            serde_json::json!({ "node": node.to_string(), "known": known, "held": held })
        };
        let shown = serde_json::json!({
            "version": progress.wanted,
            "complete": progress.is_complete(),
            "entries": progress.entries,
            "nodes": progress.nodes.iter().map(node).collect::<Vec<_>>(),
            "malformed": progress.malformed,
        });
        return say(&shown.to_string());
    }
    say(&headline(progress));
    let versions =
        |versions: &[u32]| versions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
    for (node, report) in &progress.nodes {
        say(&match report {
            Some(it) => {
                format!(
                    "node {node}: knows {}; keys under {}",
                    versions(&it.versions()),
                    versions(&it.held)
                )
            }
            None => format!("node {node}: has not said which versions it knows"),
        });
    }
    if progress.is_complete() {
        say(&format!("complete: no version but {} is needed any more", progress.wanted));
    }
}

fn retired(made: &Retired, without_majority: bool) {
    let Retired { remaining, majority } = made;
    if without_majority {
        say("an override is left with the node: once started, it files the retirement first");
        say(
            "make sure that the retired nodes never start again as they are: they would go on with a",
        );
        say("history of their own, and what they acknowledge would be lost");
    } else {
        say("retired in both ledgers");
        say(
            "a node that waits for a majority lost for good does not hear of it: stop it, and run this",
        );
        say("again on its directory with --without-majority");
    }
    say(&format!(
        "{remaining} node(s) remain; a node serves when it reaches {majority}, itself included"
    ));
}

async fn run(file: PathBuf) -> anyhow::Result<()> {
    let config = Config::load(&file)?;
    server::telemetry::start(&config.log)?;
    let mut terminate = signal(SignalKind::terminate()).context("no signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("no signals")?;
    let mut hang_up = signal(SignalKind::hangup()).context("no signals")?;
    let shutdown = async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => break tracing::info!("asked to stop (SIGTERM)"),
                _ = interrupt.recv() => break tracing::info!("asked to stop (SIGINT)"),
                // A terminal that closes, or somebody who means "read your files again".
                _ = hang_up.recv() => tracing::info!(
                    "SIGHUP changes nothing: certificates, issuers' keys and revocations are read again \
                     when their files change, config.toml at a start"
                ),
            }
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
