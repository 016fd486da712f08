//! How much is measured, and for how long.

use std::time::Duration;

use crate::load::Window;
use crate::options::Options;

/// Sizes of one run.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// How often everything is measured.
    pub(crate) runs: usize,
    /// Of every loop.
    pub(crate) window: Window,
    /// Patients that commands are about.
    pub(crate) command_patients: usize,
    /// Patients of an import, with [`Plan::IMPORT_ENTRIES`] entries each.
    pub(crate) import_patients: u64,
    /// Files of each size that reads are about; of the largest an eighth.
    pub(crate) files: usize,
    /// Files of the usual size that are read once each.
    pub(crate) files_read_once: u64,
    /// Entries of the long file that is compared with a short one.
    pub(crate) long_file: usize,
    /// Records of the ledger that is verified offline, a tenth as many patients.
    pub(crate) verified: u64,
    /// Calls a second in an open loop.
    pub(crate) rates: &'static [u32],
    /// How long the disk is synced, to know how fast it does.
    pub(crate) syncing: Duration,
}

impl Plan {
    /// Numbers of clients that commands are made by.
    pub(crate) const CLIENTS: [usize; 4] = [1, 16, 64, 256];
    /// Numbers of clients that reads are made by.
    pub(crate) const READERS: [usize; 3] = [1, 64, 256];
    /// Entries of each imported patient.
    pub(crate) const IMPORT_ENTRIES: usize = 49;
    /// At most so many calls at once in an open loop.
    pub(crate) const OPEN_CLIENTS: usize = 256;
    /// Reads or commands a second beside an import.
    pub(crate) const BESIDE_IMPORT: u32 = 200;

    /// While samples are taken; whole seconds.
    pub(crate) const SAMPLED: Window =
        Window { warm_up: Duration::from_secs(1), measured: Duration::from_secs(4) };

    /// As asked for.
    pub(crate) fn of(options: &Options) -> Self {
        let plan = if options.quick {
            Self {
                runs: 1,
                window: Window {
                    warm_up: Duration::from_millis(300),
                    measured: Duration::from_millis(1_000),
                },
                command_patients: 1_024,
                import_patients: 100,
                files: 32,
                files_read_once: 200,
                long_file: 5_000,
                verified: 50_000,
                rates: &[500],
                syncing: Duration::from_millis(500),
            }
        } else {
            Self {
                runs: 5,
                window: Window {
                    warm_up: Duration::from_secs(1),
                    measured: Duration::from_secs(5),
                },
                command_patients: 4_096,
                import_patients: 1_000,
                files: 256,
                files_read_once: 2_000,
                long_file: 100_000,
                verified: 1_000_000,
                rates: &[500, 2_000, 4_000],
                syncing: Duration::from_secs(3),
            }
        };
        Self { runs: options.runs.unwrap_or(plan.runs), ..plan }
    }

    /// How many of the files of each size are large ones.
    pub(crate) fn large_files(&self) -> usize {
        (self.files / 8).max(1)
    }

    /// Which files are read, in words.
    pub(crate) fn files_text(&self) -> String {
        format!(
            "reads are of the same {} files of 3 entries, {} of 50 and {} of 1,200 again and again, so \
             that caches hold them; but \"each file once\" of {} files of 50 entries that nobody has \
             read before, after a restart of the node (what is left is the kernel's cache)",
            self.files,
            self.files,
            self.large_files(),
            self.files_read_once
        )
    }

    /// In words.
    pub(crate) fn text(&self) -> String {
        format!(
            "{} run(s), each loop {:?} after {:?} of warming up; a connection a client everywhere",
            self.runs, self.window.measured, self.window.warm_up
        )
    }
}
