//! `caseledger`: the command line for patient files, imports, the audit trail and the ledgers.
//!
//! It is a client like any other: everything goes through gRPC, under the caller's own token, and
//! is recorded. It is deliberately not a way around the server: it reads no database and holds no
//! keys but, for trials, the issuer's with which `token` signs. Nobody builds on it; scripts use
//! its `--json` output and its exit codes.

mod audit;
mod connection;
mod emergency;
mod evidence;
mod failure;
mod file;
mod import;
mod incident;
mod json;
mod ledger;
mod options;
mod output;
mod patient;
mod policy;
mod proof;
mod prove;
mod purpose;
mod request;
mod settle;
mod source;
mod staff;
mod stopping;
mod time;
mod token;
mod verify;
mod witness;

use std::process::ExitCode;

use clap::Parser;

use failure::Failure;
use options::{Audit, Command, File, Import, Ledger, Options};
use output::Output;

/// Verifying a ledger makes and changes millions of small nodes of a map.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(error) if error.use_stderr() && std::env::args_os().any(|one| one == "--json") => {
            let failure = Failure::Usage(error.to_string().trim_end().to_owned());
            output::complain(&failure, true);
            return ExitCode::from(failure.exit_code());
        }
        Err(error) => error.exit(), // help, version, or wrong usage with its exit code 2
    };
    let json = options.global.json;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(run(options)),
        Err(error) => Err(Failure::local("start", error)),
    };
    match ended {
        Ok(code) => code,
        // whoever reads our output has stopped reading: not a failure of ours
        Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure, json);
            ExitCode::from(failure.exit_code())
        }
    }
}

async fn run(options: Options) -> Result<ExitCode, Failure> {
    let Options { global, command } = options;
    let output = Output::new(global.json);
    match command {
        Command::Import(Import::Fhir(import)) => import::run(&global, &import, &output).await,
        Command::File(File::Show(show)) => file::show(&global, &show, &output).await,
        Command::File(File::History(history)) => file::history(&global, &history, &output).await,
        Command::Audit(Audit::List(list)) => audit::list(&global, &list, &output).await,
        Command::Audit(Audit::Replay(which)) => {
            audit::replay::replay(&global, &which, &output).await
        }
        Command::Staff(wanted) => staff::run(&global, &wanted, &output).await,
        Command::Emergency(command) => emergency::run(&global, &command, &output).await,
        Command::Incident(command) => incident::run(&global, &command, &output).await,
        Command::Ledger(Ledger::Head(head)) => ledger::head(&global, &head, &output).await,
        Command::Ledger(Ledger::Checkpoint(which)) => {
            proof::checkpoint(&global, &which, &output).await
        }
        Command::Ledger(Ledger::Policy(which)) => proof::policy(&global, &which, &output).await,
        Command::Ledger(Ledger::Proof(wanted)) => proof::proof(&global, &wanted, &output).await,
        Command::Prove(wanted) => prove::run(&global, &wanted, &output).await,
        Command::Verify(wanted) => verify::run(&global, &wanted, &output).await,
        Command::Witness(wanted) => witness::run(&wanted, &output).await,
        Command::Policy(wanted) => policy::run(&global, &wanted, &output).await,
        Command::Status => ledger::status(&global, &output).await,
        Command::Settle(settle) => settle::run(&global, &settle, &output).await,
        Command::Token(token) => token::run(&token, &output),
    }
}
