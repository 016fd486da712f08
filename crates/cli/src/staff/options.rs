//! What can be typed after `staff`.

use api::v1;
use clap::{Args, Subcommand};

use crate::options::{Issuer, limit};
use crate::request::RequestId;

/// The staff directory.
#[derive(Debug, Subcommand)]
pub(crate) enum Staff {
    /// Everybody in the directory, by id.
    #[command(after_help = "Example:\n  caseledger staff list --json")]
    List(StaffList),
    /// One person.
    #[command(after_help = "Example:\n  caseledger staff show jdoe")]
    Show(Person),
    /// File what is known of a person, whole: what is not said is gone from the directory.
    ///
    /// Who is in the directory already needs a --reason. After the last day of employment (--until) the
    /// person is denied everything.
    #[command(after_help = "\
Examples:
  caseledger staff put jdoe --name 'Jo Doe' --role nurse --unit 4-west --from 2024-01-01
  caseledger staff put jdoe --name 'Jo Doe' --reason rota \\
    --on-call 4-west=2026-11-27T20:00:00+01:00/2026-11-28T08:00:00+01:00
  caseledger staff put jdoe --name 'Jo Doe' --until 2026-11-30 --reason 'has left'")]
    Put(StaffPut),
    /// Which patient a person is, so that their own file is closed to them. For compliance officers.
    ///
    /// Without --patient or --none it is only shown. Filing needs a --reason.
    #[command(after_help = "\
Examples:
  caseledger staff own-file jdoe
  caseledger staff own-file jdoe --patient MRN-200377 --reason 'told by the person'")]
    OwnFile(OwnFile),
}

/// How much of the directory.
#[derive(Debug, Args)]
pub(crate) struct StaffList {
    /// At most so many people.
    #[arg(long, default_value_t = 10_000, value_parser = limit())]
    pub(crate) limit: usize,
}

/// Names a person.
#[derive(Debug, Args)]
pub(crate) struct Person {
    /// The person's id, the `sub` of their tokens.
    #[arg(value_name = "PERSON")]
    pub(crate) person: String,
}

/// What is known of a person.
#[derive(Debug, Args)]
pub(crate) struct StaffPut {
    #[command(flatten)]
    pub(crate) person: Person,
    /// The person's name.
    #[arg(long)]
    pub(crate) name: String,
    /// How files of other systems name the person, such as Practitioner/1042; may be repeated.
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) reference: Vec<String>,
    /// What the person works as; may be repeated.
    #[arg(long)]
    pub(crate) role: Vec<String>,
    /// Unit where the person works, as entries name it; may be repeated.
    #[arg(long)]
    pub(crate) unit: Vec<String>,
    /// When the person is on call for a unit, both ends with their offset from UTC; may be repeated.
    ///
    /// Meanwhile they have the relationship on-call to the patients with an encounter there.
    #[arg(long, value_name = "UNIT=START/END", value_parser = duty)]
    pub(crate) on_call: Vec<v1::Duty>,
    /// Organisation that employs the person.
    #[arg(long, default_value = "")]
    pub(crate) organization: String,
    /// First day of employment: YYYY-MM-DD, or any FHIR date.
    #[arg(long, value_name = "DATE", default_value = "")]
    pub(crate) from: String,
    /// Last day of employment.
    #[arg(long, value_name = "DATE", default_value = "")]
    pub(crate) until: String,
    #[command(flatten)]
    pub(crate) request: RequestId,
}

/// Which patient a person is.
#[derive(Debug, Args)]
pub(crate) struct OwnFile {
    #[command(flatten)]
    pub(crate) person: Person,
    /// The patient: id (32 hex digits), ISSUER|NUMBER, ISSUER=NUMBER, or a number of --issuer.
    #[arg(long, conflicts_with = "none")]
    pub(crate) patient: Option<String>,
    /// The person is no patient here.
    #[arg(long)]
    pub(crate) none: bool,
    #[command(flatten)]
    pub(crate) issuer: Issuer,
    #[command(flatten)]
    pub(crate) request: RequestId,
}

/// A duty as typed. A unit may have a `=` in its name, a time has none.
fn duty(typed: &str) -> Result<v1::Duty, NotADuty> {
    let (unit, times) = typed.rsplit_once('=').ok_or(NotADuty)?;
    let (start, end) = times.split_once('/').ok_or(NotADuty)?;
    let period = v1::Period { start: start.to_owned(), end: end.to_owned() };
    Ok(v1::Duty { unit: unit.to_owned(), period: Some(period) })
}

/// Something typed that is not a duty.
#[derive(Debug, thiserror::Error)]
#[error("write a duty as 4-west=2026-11-27T20:00:00Z/2026-11-28T08:00:00Z")]
struct NotADuty;
