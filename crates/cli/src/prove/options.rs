//! What can be typed behind `caseledger prove`.

use std::path::PathBuf;

use clap::Args;

use crate::options::{Issuer, WhichLedger};

/// What to prove, and where to.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// Everything that the ledger holds about a patient, or that it holds nothing: an id of 32 hex
    /// digits, ISSUER|NUMBER, or a number of --issuer.
    #[arg(required_unless_present = "position", conflicts_with = "position")]
    pub(crate) patient: Option<String>,
    /// One record instead: its position, from 0.
    #[arg(long)]
    pub(crate) position: Option<u64>,
    /// The package to make; it must not be there yet. Only you can read it: it holds what records say.
    #[arg(short, long, value_name = "FILE.zip")]
    pub(crate) output: PathBuf,
    /// C2SP tlog-policy that you have from elsewhere; otherwise the node's own goes into the package,
    /// and whoever checks it has to compare.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// Leave out what records say: headers alone show that nothing is missing.
    #[arg(long)]
    pub(crate) headers_only: bool,
    #[command(flatten)]
    pub(crate) which: WhichLedger,
    #[command(flatten)]
    pub(crate) issuer: Issuer,
}
