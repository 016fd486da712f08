//! Instructions that the pure parts of the node take, held against limits.
//!
//! Time differs from run to run and from machine to machine; how many instructions are executed does
//! hardly, so a part that became dearer is seen here before it is seen in any figure. Each case runs
//! twice under callgrind, with a number of units and with none, and the difference is what the units
//! took. `tests/bench/instructions` builds this program, starts it and says how to use it.

mod cases;
mod limits;
mod samples;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, ensure};
use clap::{Parser, Subcommand};

use crate::cases::{CASES, Case};
use crate::limits::Limits;

/// Instructions of the pure parts, held against limits.
#[derive(Debug, Parser)]
#[command(name = "instructions")]
struct Options {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Counts every case with valgrind and compares with the limits.
    Check {
        /// The limits.
        #[arg(long, value_name = "FILE")]
        limits: PathBuf,
        /// What this program was compiled with.
        #[arg(long, value_name = "TEXT")]
        compiler: String,
        /// Makes what is counted the limits.
        #[arg(long)]
        update: bool,
    },
    /// What valgrind runs: makes a case ready and does so many units of it.
    #[command(hide = true)]
    Run {
        /// Name of the case.
        case: String,
        /// How many units.
        units: u32,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Options::parse().task {
        Task::Check { limits, compiler, update } => check(&limits, &compiler, update),
        Task::Run { case, units } => {
            let found = CASES.iter().find(|one| one.name == case);
            (found.with_context(|| format!("no case '{case}'"))?.run)(units)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(file: &Path, compiler: &str, update: bool) -> anyhow::Result<ExitCode> {
    let mut counted = Limits::taken_with(compiler);
    let mut out = std::io::stdout();
    for case in &CASES {
        let each = count(case)?;
        writeln!(out, "{:<8} {each:>12} instructions  {}", case.name, case.what)?;
        counted.instructions.insert(case.name.to_owned(), each);
    }
    if update {
        std::fs::write(file, counted.text()).with_context(|| file.display().to_string())?;
        writeln!(out, "{} holds these counts now", file.display())?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let limits = Limits::parse(&text).with_context(|| file.display().to_string())?;
    let verdict = limits.compare(&counted);
    for line in verdict.grown.iter().chain(&verdict.remarks) {
        writeln!(out, "{line}")?;
    }
    if verdict.grown.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    writeln!(
        out,
        "where it goes: callgrind_annotate; if it is worth it: tests/bench/instructions --update"
    )?;
    Ok(ExitCode::FAILURE)
}

/// What one unit takes.
fn count(case: &Case) -> anyhow::Result<u64> {
    let (all, none) = (executed(case, case.units)?, executed(case, 0)?);
    let units = all.checked_sub(none).filter(|units| *units > 0);
    let units =
        units.with_context(|| format!("{}: {all} with units, {none} without", case.name))?;
    Ok(units / u64::from(case.units.max(1)))
}

/// What a whole run takes.
fn executed(case: &Case, units: u32) -> anyhow::Result<u64> {
    let folder = tempfile::tempdir()?;
    let mut command = Command::new("valgrind");
    command
        .arg("--tool=callgrind")
        .arg(format!("--callgrind-out-file={}", folder.path().join("out").display()))
        .arg(std::env::current_exe()?)
        .args(["run", case.name, &units.to_string()])
        .stdin(Stdio::null());
    let output = command.output().context("valgrind")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?} ended with {}:\n{said}", output.status);
    collected(&said).with_context(|| format!("{command:?} told no count:\n{said}"))
}

/// The count in what callgrind says at its end.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected : "))?;
    line.1.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_found_in_what_callgrind_says() {
        let said = "==7== Events    : Ir\n==7== Collected : 1234567\n==7== \n";
        assert_eq!(collected(said), Some(1_234_567));
        assert_eq!(collected("==7== Collected : no\n"), None);
        assert_eq!(collected("nothing"), None);
    }

    #[test]
    fn every_case_runs_and_has_a_name_of_its_own() {
        for case in &CASES {
            (case.run)(0).unwrap();
            (case.run)(2).unwrap();
            assert_eq!(CASES.iter().filter(|other| other.name == case.name).count(), 1);
        }
    }
}
