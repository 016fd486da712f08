//! What a process has used so far, as the kernel counts it.

use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};

/// Clock ticks a second in `/proc/PID/stat`: what every Linux on x86-64 and arm64 tells programs.
const TICKS: f64 = 100.0;

/// What this program is called: it makes the calls.
pub(crate) const CALLERS: &str = "callers";

/// A process whose use is told.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// Its name in the report.
    pub(crate) name: &'static str,
    /// Its id.
    pub(crate) pid: u32,
    /// Whether its children count as it (PostgreSQL has a process a connection).
    pub(crate) with_children: bool,
}

/// What was used.
#[derive(Clone, Debug)]
pub(crate) struct Usage {
    /// Whose it is.
    pub(crate) name: &'static str,
    /// Processor time, seconds, user and kernel.
    pub(crate) cpu_seconds: f64,
    /// Bytes made dirty in the file system's cache (`write_bytes` in `/proc/PID/io`). A kernel with
    /// large folios counts the whole folio, up to some 256 KiB, where a file was laid out ahead, as
    /// PostgreSQL's WAL is: compare it between builds rather than between contenders.
    pub(crate) written: u64,
    /// Largest resident set so far, bytes (`VmHWM`); none for a family, which shares memory.
    pub(crate) peak_memory: Option<u64>,
}

impl Usage {
    /// What came since `before`; the largest resident set is what it is.
    fn since(self, before: &Self) -> Self {
        Self {
            cpu_seconds: self.cpu_seconds - before.cpu_seconds,
            written: self.written.saturating_sub(before.written),
            ..self
        }
    }
}

/// Reads several processes at two moments.
#[derive(Clone, Debug)]
pub(crate) struct Meter(pub(crate) Vec<Process>);

impl Meter {
    /// This program: what making the calls costs, on the same processors.
    pub(crate) fn callers() -> Process {
        Process { name: CALLERS, pid: std::process::id(), with_children: false }
    }

    /// What every process has used so far.
    ///
    /// # Errors
    /// When one does not run any more.
    pub(crate) fn read(&self) -> anyhow::Result<Vec<Usage>> {
        self.0.iter().map(read).collect()
    }

    /// What every process has used since.
    ///
    /// # Errors
    /// As [`Meter::read`].
    pub(crate) fn since(&self, before: &[Usage]) -> anyhow::Result<Vec<Usage>> {
        let now = self.read()?;
        Ok(now.into_iter().zip(before).map(|(now, before)| now.since(before)).collect())
    }
}

/// Runs a program to its end: what it wrote to standard output, how long it took, and what it used.
///
/// # Errors
/// When it cannot be started, or fails.
pub(crate) fn ran(
    name: &'static str,
    command: &mut Command,
) -> anyhow::Result<(String, f64, Usage)> {
    let ended = || Stat::of(std::process::id()).map_or(0.0, |stat| stat.reaped_ticks / TICKS);
    let (before, began) = (ended(), Instant::now());
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut peak = None;
    // The kernel forgets it with the process, so it is looked at as long as that runs.
    let status = loop {
        peak = peak.max(peak_memory(child.id()));
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::park_timeout(Duration::from_millis(5)),
        }
    };
    let seconds = began.elapsed().as_secs_f64();
    let mut said = String::new();
    child.stdout.take().context("its output")?.read_to_string(&mut said)?;
    ensure!(status.success(), "{name} ended with {status}: {said}");
    let cpu_seconds = ended() - before;
    Ok((said, seconds, Usage { name, cpu_seconds, written: 0, peak_memory: peak }))
}

fn read(process: &Process) -> anyhow::Result<Usage> {
    let own = Stat::of(process.pid)
        .with_context(|| format!("{} (process {}) does not run", process.name, process.pid))?;
    let mut cpu_seconds = own.ticks / TICKS;
    let mut written = written(process.pid);
    if process.with_children {
        cpu_seconds += own.reaped_ticks / TICKS;
        for child in children(process.pid) {
            // Gone in between: the parent has its time at the next reading.
            cpu_seconds += on_processor(child).unwrap_or(0.0);
            written += self::written(child);
        }
    }
    let peak_memory = (!process.with_children).then(|| peak_memory(process.pid)).flatten();
    Ok(Usage { name: process.name, cpu_seconds, written, peak_memory })
}

/// A line of `/proc/PID/stat`.
struct Stat {
    parent: u32,
    ticks: f64,
    /// Of children that have ended and were waited for.
    reaped_ticks: f64,
}

impl Stat {
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name, in brackets, may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<f64> =
            rest.split_whitespace().map(|field| field.parse().unwrap_or_default()).collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let parent = rest.split_whitespace().nth(1)?.parse().ok()?;
        Some(Self { parent, ticks: field(14)? + field(15)?, reaped_ticks: field(16)? + field(17)? })
    }
}

fn children(parent: u32) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid| Stat::of(*pid).is_some_and(|stat| stat.parent == parent))
        .collect()
}

/// Processor time of a process of one thread, seconds, exact: of hundreds of children whole ticks
/// would leave out more than they tell.
fn on_processor(pid: u32) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

/// 0 where the kernel does not tell (a process of somebody else's).
fn written(pid: u32) -> u64 {
    labelled(&format!("/proc/{pid}/io"), "write_bytes:").unwrap_or(0)
}

fn peak_memory(pid: u32) -> Option<u64> {
    Some(labelled(&format!("/proc/{pid}/status"), "VmHWM:")? * 1024)
}

/// The number after a label at the start of a line.
pub(crate) fn labelled(file: &str, label: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}
