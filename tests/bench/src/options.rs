//! What one can ask for. `tests/bench/run` fills in where everything is.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// One part of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Part {
    /// Durable commands by 1, 16, 64, 256 clients, beside message-db, UmaDB and bare JetStream.
    Commands,
    /// Commands and reads at fixed rates.
    Open,
    /// Streaming import, beside bare JetStream and UmaDB in batches.
    Import,
    /// Files of 3, 50 and 1,200 entries by 1, 64, 256 clients.
    Reads,
    /// History, and files as they were.
    History,
    /// Reads and commands while an import runs.
    Mixed,
    /// A command and a read on a short file and a long one.
    Length,
    /// All views from the records.
    Rebuild,
    /// A ledger's headers verified offline.
    Verification,
    /// Access decisions.
    Decisions,
}

/// Caseledger measured against its peers.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
pub(crate) struct Options {
    /// One short run of everything: whether it works and is roughly as fast as it was.
    #[arg(long)]
    pub(crate) quick: bool,
    /// Only these parts.
    #[arg(long, value_name = "NAME", num_args = 1.., value_enum)]
    pub(crate) only: Vec<Part>,
    /// How often everything is measured; 5 if not said, 1 with --quick.
    #[arg(long, value_name = "N")]
    pub(crate) runs: Option<usize>,
    /// Also write the report as JSON to this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Instead, import up to so many records and measure at 100 thousand, 1 and 10 million.
    #[arg(long, value_name = "RECORDS")]
    pub(crate) grow: Option<u64>,
    /// What the programs were built from.
    #[arg(long, value_name = "TEXT", default_value = "unknown")]
    pub(crate) built_from: String,
    /// Folder with sample patients.
    #[arg(long, value_name = "DIR", required_unless_present = "make_views")]
    pub(crate) samples: Option<PathBuf>,
    /// Measure nothing: make the views of a node's copied database anew, with the keys beside its
    /// configuration, until ended. What this program starts to have another node at work.
    #[arg(long, value_names = ["DATA", "STATE"], num_args = 2, hide = true)]
    pub(crate) make_views: Option<Vec<PathBuf>>,
    /// Folder of the unpacked npm package @eventide/message-db.
    #[arg(long, value_name = "DIR", requires = "postgres")]
    pub(crate) message_db: Option<PathBuf>,
    /// Folder of PostgreSQL's programs.
    #[arg(long, value_name = "DIR")]
    pub(crate) postgres: Option<PathBuf>,
    /// The umadb program.
    #[arg(long, value_name = "FILE")]
    pub(crate) umadb: Option<PathBuf>,
    /// A `caseledgerd` that was built without an audit trail, to be read from beside the usual one.
    #[arg(long, value_name = "FILE")]
    pub(crate) unaudited: Option<PathBuf>,
    /// Also sample where the node's time goes, under commands and reads, into this folder.
    #[arg(long, value_name = "DIR")]
    pub(crate) samples_of_time: Option<PathBuf>,
    /// What could not be had, and why; repeated in the report.
    #[arg(long, value_name = "TEXT")]
    pub(crate) left_out: Vec<String>,
}

impl Options {
    /// Whether anything is wanted that a node must run for.
    pub(crate) fn wants_a_node(&self) -> bool {
        let without = [Part::Verification, Part::Decisions];
        self.only.iter().any(|part| !without.contains(part)) || self.only.is_empty()
    }

    /// Whether this part is wanted.
    pub(crate) fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
