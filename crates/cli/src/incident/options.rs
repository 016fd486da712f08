//! What can be typed, and how an assessment is written down.

use std::path::PathBuf;
use std::str::FromStr;

use api::v1;
use clap::{Args, Subcommand};
use serde::Deserialize;

use crate::options::receipt;
use crate::request::RequestId;
use crate::time::Moment;

/// Privacy incidents. For compliance officers.
#[derive(Debug, Subcommand)]
pub(crate) enum Incident {
    /// Open an incident about accesses that should not have been.
    #[command(after_help = "\
Example:
  caseledger incident open --title 'Files of colleagues opened' --discovered 2026-11-20 \\
    --description 'A report from the ward …' --access 9f31c0de --access 1204")]
    Open(Open),
    /// File an incident anew with what is given changed; say why with --reason.
    ///
    /// The assessment is a JSON file: nature, recipient, acquired and mitigated, each with a level (low,
    /// medium, high) and a text, and a conclusion (breach, low-probability); 45 CFR 164.402(2).
    #[command(after_help = "\
An assessment:
  {\"nature\": {\"level\": \"low\", \"text\": \"names and dates of birth\"},
   \"recipient\": {\"level\": \"medium\", \"text\": \"a colleague, bound to secrecy\"},
   \"acquired\": {\"level\": \"high\", \"text\": \"the files were opened\"},
   \"mitigated\": {\"level\": \"low\", \"text\": \"nothing was passed on, as signed\"},
   \"conclusion\": \"low-probability\"}

Examples:
  caseledger incident amend 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --assessment risk.json --reason assessed
  caseledger incident amend 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --reason 'letters sent' \\
    --notice 'individual 2026-11-26 first-class mail'")]
    Amend(Amend),
    /// An incident, its due date, and the patients that it affects, derived from its accesses.
    #[command(after_help = "Example:\n  caseledger incident show 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10")]
    Show(Show),
    /// Incidents that are open, the last opened first.
    #[command(after_help = "Example:\n  caseledger incident list --all --json")]
    List(List),
    /// Close an incident that was assessed, a breach after its individuals were told; --reason says why.
    #[command(after_help = "\
Example:
  caseledger incident close 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --reason 'everybody was told'")]
    Close(Close),
}

/// What happened.
#[derive(Debug, Args)]
pub(crate) struct Open {
    /// In a line; name no patient, they are derived.
    #[arg(long)]
    pub(crate) title: String,
    /// What happened.
    #[arg(long)]
    pub(crate) description: String,
    /// When it was discovered: RFC 3339, or a date for its first moment in UTC.
    #[arg(long, value_name = "TIME")]
    pub(crate) discovered: Moment,
    /// An access that it is about: its position (a number; position=NUMBER from eight digits on) or its
    /// receipt (hex digits, eight at least); may be repeated.
    #[arg(long, value_name = "POSITION|RECEIPT")]
    pub(crate) access: Vec<Access>,
    #[command(flatten)]
    pub(crate) request: RequestId,
}

/// What is to be changed.
#[derive(Debug, Args)]
pub(crate) struct Amend {
    /// Id of the incident, 32 hex digits.
    pub(crate) id: String,
    /// Another title.
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// Another description.
    #[arg(long)]
    pub(crate) description: Option<String>,
    /// Another time of discovery.
    #[arg(long, value_name = "TIME")]
    pub(crate) discovered: Option<Moment>,
    /// One more access that it is about; may be repeated.
    #[arg(long, value_name = "POSITION|RECEIPT")]
    pub(crate) access: Vec<Access>,
    /// The assessment, in this file.
    #[arg(long, value_name = "FILE")]
    pub(crate) assessment: Option<Assessment>,
    /// One more notice that was given: to whom (individual, media, secretary), when, how.
    #[arg(long, value_name = "'RECIPIENT TIME HOW'")]
    pub(crate) notice: Vec<Told>,
    /// Open a closed one again.
    #[arg(long)]
    pub(crate) reopen: bool,
    #[command(flatten)]
    pub(crate) request: RequestId,
}

/// Which incident.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// Id of the incident, 32 hex digits.
    pub(crate) id: String,
}

/// Which incident.
#[derive(Debug, Args)]
pub(crate) struct Close {
    /// Id of the incident, 32 hex digits.
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) request: RequestId,
}

/// Which incidents.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Closed ones, too.
    #[arg(long)]
    pub(crate) all: bool,
}

/// An access as typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Position(u64),
    Receipt(String),
}

impl FromStr for Access {
    type Err = &'static str;

    /// A receipt has eight digits at least, and what may be both is neither: the wrong access would stand
    /// in the incident.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(position) = text.strip_prefix("position=") {
            let wrong = "write a position as position=NUMBER";
            return position.parse().map(Self::Position).map_err(|_| wrong);
        }
        if text.len() >= 8 && text.parse::<u64>().is_ok() {
            return Err(
                "it may be a position or a receipt: write position=NUMBER, or more of the \
                        receipt's digits",
            );
        }
        if text.len() < 8 {
            let wrong = "a position is a number; a receipt has eight hex digits at least";
            return text.parse().map(Self::Position).map_err(|_| wrong);
        }
        receipt(text).map(Self::Receipt)
    }
}

/// Where an assessment is written down.
#[derive(Clone, Debug)]
pub(crate) struct Assessment(pub(crate) PathBuf);

impl From<&str> for Assessment {
    fn from(path: &str) -> Self {
        Self(path.into())
    }
}

/// A notice as typed.
#[derive(Clone, Debug)]
pub(crate) struct Told(v1::IncidentNotice);

impl Told {
    pub(crate) fn notice(&self) -> v1::IncidentNotice {
        self.0.clone()
    }
}

impl FromStr for Told {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "write a notice as 'individual 2026-11-26 first-class mail'";
        let mut words = text.splitn(3, ' ');
        let recipient = match words.next() {
            Some("individual") => v1::NoticeRecipient::Individual,
            Some("media") => v1::NoticeRecipient::Media,
            Some("secretary") => v1::NoticeRecipient::Secretary,
            _ => return Err(WRONG),
        };
        let Moment(time) = words.next().and_then(|time| time.parse().ok()).ok_or(WRONG)?;
        let how = words.next().ok_or(WRONG)?.to_owned();
        Ok(Self(v1::IncidentNotice { recipient: recipient.into(), notice_time: Some(time), how }))
    }
}

/// An assessment's file.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "an object with nature, recipient, acquired, mitigated and conclusion"
)]
struct Written {
    nature: Factor,
    recipient: Factor,
    acquired: Factor,
    mitigated: Factor,
    conclusion: Conclusion,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with level and text")]
struct Factor {
    level: Level,
    text: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Low,
    Medium,
    High,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Conclusion {
    Breach,
    LowProbability,
}

/// Reads an assessment.
pub(super) fn assessment(text: &str) -> Result<v1::RiskAssessment, serde_json::Error> {
    let Written { nature, recipient, acquired, mitigated, conclusion } =
        serde_json::from_str(text)?;
    let factor = |Factor { level, text }| {
        let level = match level {
            Level::Low => v1::RiskLevel::Low,
            Level::Medium => v1::RiskLevel::Medium,
            Level::High => v1::RiskLevel::High,
        };
        Some(v1::RiskFactor { level: level.into(), text })
    };
    let conclusion = match conclusion {
        Conclusion::Breach => v1::RiskConclusion::Breach,
        Conclusion::LowProbability => v1::RiskConclusion::LowProbability,
    };
    Ok(v1::RiskAssessment {
        nature: factor(nature),
        recipient: factor(recipient),
        acquired: factor(acquired),
        mitigated: factor(mitigated),
        conclusion: conclusion.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accesses_and_notices_are_read_as_they_are_typed() {
        assert_eq!("1204".parse(), Ok(Access::Position(1_204)));
        assert_eq!("9F31C0DE".parse(), Ok(Access::Receipt("9f31c0de".to_owned())));
        assert_eq!("position=10000000".parse(), Ok(Access::Position(10_000_000)));
        assert_eq!("position=12".parse(), Ok(Access::Position(12)));
        let both = "10000000".parse::<Access>().unwrap_err();
        assert!(both.contains("position=NUMBER"), "{both}");
        let longer = "1".repeat(21);
        assert_eq!(longer.parse(), Ok(Access::Receipt(longer)), "no position has so many digits");
        assert!("position=9f".parse::<Access>().is_err());
        assert!("9f31".parse::<Access>().is_err() && "9f31c0dx".parse::<Access>().is_err());
        let notice = "secretary 2026-11-26 web form".parse::<Told>().unwrap().notice();
        assert_eq!(notice.recipient(), v1::NoticeRecipient::Secretary);
        assert_eq!(notice.how, "web form");
        for wrong in ["neighbour 2026-11-26 told", "media soon told", "media 2026-11-26"] {
            assert!(wrong.parse::<Told>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_assessment_has_all_four_factors() {
        let factor = r#"{"level": "low", "text": "t"}"#;
        let all = format!(
            r#"{{"nature": {factor}, "recipient": {factor}, "acquired": {factor},
                "mitigated": {factor}, "conclusion": "low-probability"}}"#
        );
        let read = assessment(&all).unwrap();
        assert_eq!(read.conclusion(), v1::RiskConclusion::LowProbability);
        assert_eq!(read.mitigated.unwrap().level(), v1::RiskLevel::Low);
        assert!(assessment(&all.replace("\"mitigated\"", "\"else\"")).is_err());
    }

    #[test]
    fn the_sample_in_the_help_is_an_assessment() {
        let command = Incident::augment_subcommands(clap::Command::new("incident"));
        let amend = command.find_subcommand("amend").unwrap();
        let help = amend.get_after_help().unwrap().to_string();
        let (sample, _) = help.split_once("\n\n").unwrap();
        assessment(sample.trim_start_matches("An assessment:")).unwrap();
    }
}
