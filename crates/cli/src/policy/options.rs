//! What can be typed after `caseledger policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::request::RequestId;
use crate::time::{Moment, Until};

/// Access policies.
#[derive(Debug, Subcommand)]
pub(crate) enum Policies {
    /// All sets, the last proposed first.
    #[command(after_help = "Example:\n  caseledger policy list")]
    List,
    /// A set with its text, and who proposed and adopted it, when and why.
    #[command(after_help = "\
Examples:
  caseledger policy show
  caseledger policy show default --text > mine.cedar
  caseledger policy show 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10")]
    Show(Show),
    /// Files a set as a proposal, once nothing is wrong with it.
    ///
    /// The set replaces the one in force when somebody else adopts it, so it has to be all of the
    /// policies: begin with those of `policy show --text`. What is wrong is told line by line.
    #[command(after_help = "\
Example:
  caseledger policy propose mine.cedar --reason 'billing finds patients no longer'")]
    Propose(Propose),
    /// What a set would have changed: the calls of a period on the audit trail, decided again.
    ///
    /// Calls that showed something or found nothing, both of which were let in, and calls that were denied
    /// are on the trail. A write that was let in
    /// and showed nothing is not: a set that would deny such writes shows no difference there. Seeing what
    /// others called is itself recorded.
    #[command(after_help = "\
Examples:
  caseledger policy try 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --from 2026-11-01
  caseledger policy try mine.cedar --from 2026-11-01 --to 2026-11-30 --json")]
    Try(Try),
    /// Puts a proposal in force, once. Who proposed it cannot.
    ///
    /// To put an earlier set in force again, propose its text again: that of `policy show ID --text`.
    #[command(after_help = "\
Example:
  caseledger policy adopt 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --reason 'as tried on November'")]
    Adopt(Named),
    /// Takes a proposal back.
    #[command(after_help = "\
Example:
  caseledger policy withdraw 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --reason 'superseded'")]
    Withdraw(Named),
}

/// Which set to show.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Its id (32 hex digits); `default`: what Caseledger comes with; the one in force if not given.
    #[arg(value_name = "ID", default_value = "", hide_default_value = true)]
    pub(crate) policy: String,
    /// Nothing but its text.
    #[arg(long, conflicts_with = "json")]
    pub(crate) text: bool,
}

/// What to propose.
#[derive(Debug, Args)]
pub(crate) struct Propose {
    /// A file with the policies in Cedar's language.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) request: RequestId,
}

/// A proposal.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Its id, 32 hex digits.
    #[arg(value_name = "ID")]
    pub(crate) policy: String,
    #[command(flatten)]
    pub(crate) request: RequestId,
}

/// What to try on what.
#[derive(Debug, Args)]
pub(crate) struct Try {
    /// The id of a set (32 hex digits, or `default`), or a file with policies.
    #[arg(value_name = "ID|FILE")]
    pub(crate) tried: String,
    /// Calls recorded at or after: RFC 3339, or a date, which means its first moment in UTC.
    #[arg(long, value_name = "TIME")]
    pub(crate) from: Moment,
    /// Calls recorded before: RFC 3339, or a date, of which the whole day in UTC still counts; now if
    /// not given.
    #[arg(long, value_name = "TIME")]
    pub(crate) to: Option<Until>,
    /// Single calls to list at most, the last first; all are counted.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}
