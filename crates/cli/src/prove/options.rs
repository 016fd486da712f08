//! What can be typed behind `caseledger prove`.

use std::path::PathBuf;

use clap::Args;

use crate::options::{Issuer, WhichLedger};

/// What to prove, and where to.
#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// Everything that the ledger holds about a patient, or that it holds nothing: an id of 32 hex
    /// digits, ISSUER|NUMBER, or a number of --issuer.
    #[arg(required_unless_present_any = ["position", "range"])]
    #[arg(conflicts_with_all = ["position", "range"])]
    pub(crate) patient: Option<String>,
    /// One record instead: its position, from 0.
    #[arg(long, conflicts_with = "range")]
    pub(crate) position: Option<u64>,
    /// Every leaf between two positions instead, whoever it is about, headers alone: 4000..4100 is 4000
    /// to 4099.
    #[arg(long, value_name = "FIRST..END", value_parser = range)]
    pub(crate) range: Option<(u64, u64)>,
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

fn range(typed: &str) -> Result<(u64, u64), String> {
    let (first, end) = typed.split_once("..").ok_or("two positions with .. between them")?;
    let position = |text: &str| text.parse().map_err(|_| format!("'{text}' is no position"));
    let (first, end): (u64, u64) = (position(first)?, position(end)?);
    match end.checked_sub(first) {
        None | Some(0) => Err("nothing is between them: the second is behind the last".to_owned()),
        Some(_) => Ok((first, end)),
    }
}
