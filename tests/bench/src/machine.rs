//! What it was measured on: processors, memory, kernel, and how long the disk takes to sync.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::usage::labelled;

/// What is written before each sync: a page.
const PAGE: [u8; 4096] = [0x5a; 4096];
/// Longest sync told, microseconds.
const LONGEST_SYNC: u64 = 60_000_000;

/// The machine.
#[derive(Clone, Debug)]
pub(crate) struct Machine {
    processor: String,
    cores: usize,
    memory: u64,
    kernel: String,
    /// Runnable processes, mean of the last minute, before anything was measured.
    load: String,
    /// Kind of the file system that everything lies on.
    pub(crate) file_system: String,
    /// 4 KiB appended and `fdatasync`, microseconds: median, 99 of 100, longest.
    sync: [u64; 3],
}

impl Machine {
    /// Looks at the machine, and syncs a file in `folder` for so long.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn look(folder: &Path, syncing: Duration) -> anyhow::Result<Self> {
        let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let model = cpuinfo.lines().find(|line| line.starts_with("model name"));
        let processor = model.and_then(|line| line.split_once(": ")).map_or("unknown", |(_, m)| m);
        Ok(Self {
            processor: processor.to_owned(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory: labelled("/proc/meminfo", "MemTotal:").unwrap_or(0) * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            file_system: file_system(folder, &read("/proc/mounts")),
            sync: sync_latency(folder, syncing)?,
        })
    }

    /// One line each, for people.
    pub(crate) fn lines(&self) -> Vec<String> {
        let [median, most, longest] = self.sync;
        vec![
            format!(
                "machine     {}, {} cores, {} GiB, Linux {}, load {} at the start",
                self.processor,
                self.cores,
                self.memory >> 30,
                self.kernel,
                self.load
            ),
            format!(
                "disk        {}; 4 KiB and fdatasync: p50 {median} µs, p99 {most} µs, max {longest} µs",
                self.file_system
            ),
        ]
    }

    /// The same for programs.
    pub(crate) fn json(&self) -> Value {
        let [median, most, longest] = self.sync;
        json!({
            "processor": self.processor, "cores": self.cores, "memory_bytes": self.memory,
            "kernel": self.kernel, "load_1m_at_start": self.load, "file_system": self.file_system,
            "fdatasync_4k_us": { "p50": median, "p99": most, "max": longest },
        })
    }
}

/// The kind and device of the file system that `folder` lies on.
fn file_system(folder: &Path, mounts: &str) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mut best = (0, String::from("unknown file system"));
    for line in mounts.lines() {
        let mut fields = line.split(' ');
        let (Some(device), Some(place), Some(kind)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        if folder.starts_with(place) && place.len() >= best.0 {
            best = (place.len(), format!("{kind} on {device}"));
        }
    }
    best.1
}

fn sync_latency(folder: &Path, time: Duration) -> anyhow::Result<[u64; 3]> {
    let path = folder.join("sync-latency");
    let mut file = File::create(&path).with_context(|| path.display().to_string())?;
    let mut latency = Histogram::<u64>::new_with_bounds(1, LONGEST_SYNC, 3)?;
    let until = Instant::now() + time;
    while Instant::now() < until {
        let began = Instant::now();
        file.write_all(&PAGE)?;
        file.sync_data()?;
        latency.saturating_record(u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX));
    }
    fs::remove_file(&path)?;
    Ok([latency.value_at_quantile(0.5), latency.value_at_quantile(0.99), latency.max()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_system_is_the_innermost_mount() {
        let mounts = "/dev/a / ext4 rw\ntmpfs /tmp tmpfs rw\nproc /proc proc rw\n";
        assert_eq!(file_system(Path::new("/nowhere/there"), mounts), "ext4 on /dev/a");
        assert_eq!(file_system(Path::new("/tmp"), mounts), "tmpfs on tmpfs");
    }
}
