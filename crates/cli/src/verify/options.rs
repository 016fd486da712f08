//! What can be typed behind `caseledger verify`.

use std::path::PathBuf;

use clap::Args;

use crate::options::{Issuer, WhichLedger};

/// What to verify, and with what.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// A folder with `checkpoint`, `tile/` and `control/`, or a node's address: http://HOST:PORT/LEDGER/GENESIS.
    #[arg(required_unless_present = "patient", conflicts_with = "patient")]
    pub(crate) log: Option<String>,
    /// Verify what --server holds about one patient instead: id, ISSUER|NUMBER, or a number of --issuer.
    #[arg(long, value_name = "PATIENT")]
    pub(crate) patient: Option<String>,
    #[command(flatten)]
    pub(crate) which: WhichLedger,
    #[command(flatten)]
    pub(crate) issuer: Issuer,
    /// C2SP tlog-policy: the keys of the ledger's nodes, and how many must have signed.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: PathBuf,
    /// A checkpoint that you kept.
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// How old the newest cosignature of the checkpoint may be; nodes cosign again each minute.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) max_age: Option<u64>,
}
