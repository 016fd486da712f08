//! What is measured: one file a workload. Each measures Caseledger and whatever it is compared with,
//! and adds rows to the report.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

pub(crate) mod commands;
pub(crate) mod decisions;
pub(crate) mod growth;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod length;
pub(crate) mod mixed;
pub(crate) mod open;
pub(crate) mod reads;
pub(crate) mod rebuild;
pub(crate) mod verification;

/// Groups of rows.
pub(crate) const COMMANDS: &str = "durable commands, one small entry each, closed loop";
pub(crate) const OPEN: &str =
    "durable commands and audited reads at a fixed rate, from when they were due";
pub(crate) const IMPORT: &str = "bulk, durable";
pub(crate) const READS: &str = "audited reads of a file, closed loop; the same files again and again, unless it says otherwise";
pub(crate) const HISTORY: &str =
    "audited reads of the past, closed loop; the same files again and again";
pub(crate) const MIXED: &str =
    "at a fixed rate, alone and while an import goes on as fast as the node lets it";
pub(crate) const IMPORT_BESIDE: &str = "the import that went on meanwhile";
pub(crate) const REBUILD: &str = "views made anew from records";
pub(crate) const BESIDE_REBUILD: &str =
    "at a fixed rate, alone and while another node's views are made anew on the same machine";
pub(crate) const VERIFICATION: &str = "a ledger verified offline, from a folder";
pub(crate) const DECISIONS: &str = "access decisions, in this process, 1 caller";
pub(crate) const GROWTH: &str = "as the ledger grows";

pub(crate) const LENGTH: &str =
    "as a file grows: a small command on it, then its changed first page, closed loop, 1 client";

/// Rows that aims are about.
pub(crate) const CONTRIBUTE: &str = "Caseledger Contribute";
pub(crate) const MESSAGE_DB: &str = "message-db, one category";
pub(crate) const MESSAGE_DB_CATEGORIES: &str = "message-db, a category a client";
pub(crate) const UMADB: &str = "UmaDB, conditional append";
pub(crate) const BARE_COMMAND: &str = "bare JetStream, the block of one command";
pub(crate) const STREAMED: &str = "Caseledger Import";
pub(crate) const BARE_BLOCKS: &str = "bare JetStream, the import's blocks";
pub(crate) const UMADB_BATCHES: &str = "UmaDB, conditional appends of 100";
pub(crate) const FIFTY: &str = "GetPatientFile, 50 entries";
pub(crate) const ONCE: &str = "GetPatientFile, 50 entries, each file once";
pub(crate) const AUDITED: &str = "the same 50 entries, after a restart";
pub(crate) const UNAUDITED: &str = "the same 50 entries, auditing compiled out";
pub(crate) const VERIFIED: &str = "caseledger verify";
pub(crate) const DECISION: &str = "the shipped policies";
pub(crate) const VIEWS: &str = "in this process, the node stopped";
pub(crate) const SHORT_FILE: &str = "100 entries";
pub(crate) const LONG_FILE: &str = "a long file";
pub(crate) const ALONE: &str = "alone";
pub(crate) const IMPORTING: &str = "importing";
pub(crate) const REBUILDING: &str = "making views";
pub(crate) const REMEMBERED: &str = "remembered";
pub(crate) const ANEW: &str = "anew";
pub(crate) const IN_ROWS: &str = "a patient after the other";
pub(crate) const SCATTERED: &str = "patients at random";

/// Told to what goes on beside a measurement: it ends when this is dropped, also on the way out after a
/// failure.
#[derive(Debug, Default)]
pub(crate) struct Enough(pub(crate) Arc<AtomicBool>);

impl Drop for Enough {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// "1 client", "64 clients".
pub(crate) fn clients(count: usize) -> String {
    if count == 1 { "1 client".to_owned() } else { format!("{count} clients") }
}
