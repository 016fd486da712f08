//! `caseledger emergency`: breaking the glass, and what others make of it.

use std::process::ExitCode;

use api::v1;
use api::v1::emergency_access_service_client::EmergencyAccessServiceClient;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use crate::connection::{Authenticated, connect, timed};
use crate::failure::Failure;
use crate::json;
use crate::options::{Global, Issuer, limit};
use crate::output::{Output, Table};
use crate::patient;
use crate::purpose::{self, Otherwise};
use crate::request::RequestId;
use crate::time::{self, Span};

/// Emergency accesses asked for at a time: the largest page that the server gives.
const PAGE: u32 = 200;

const BREAKING: Otherwise = Otherwise::Always("BTG");
const REVIEWING: Otherwise = Otherwise::Always("HCOMPL");

/// Emergency access.
#[derive(Debug, Subcommand)]
pub(crate) enum Emergency {
    /// Break the glass: open a patient's file, one entry of it, or a unit's, for a while. Say why with --reason.
    ///
    /// Recorded, announced, and reviewed by somebody else. Then call again with --purpose BTG.
    #[command(after_help = "\
Examples:
  caseledger emergency start MRN-200377 --code OVRER --reason 'found unconscious'
  caseledger emergency start MRN-200377 --entry 0b7c5e21f4a84c6d9e10327f5a6b8c9d --code OVRPJ --reason 'restless'
  caseledger emergency start --unit 'Ward 3' --code OVRPS --for 2h --reason 'evacuation'
  caseledger file show MRN-200377 --purpose BTG --reason 'found unconscious'")]
    Start(Start),
    /// End an emergency access of your own before its time.
    #[command(after_help = "\
Example:
  caseledger emergency end 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --reason 'handed over'")]
    End(End),
    /// Emergency accesses and their reviews, the last begun first. For compliance officers.
    #[command(after_help = "\
Examples:
  caseledger emergency list --state overdue
  caseledger audit list --emergency 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10     # what was accessed in it")]
    List(List),
    /// Give the verdict on somebody else's emergency access, once it is over. For compliance officers.
    ///
    /// It is final, and closes the review; further-inquiry is not: the review stays open.
    #[command(after_help = "\
Example:
  caseledger emergency review 5f3a1c0e9d1b4b7e8f550a6f4f3e2d10 --verdict justified \\
    --text 'no treating physician was at hand'")]
    Review(Review),
}

/// What to open.
#[derive(Debug, Args)]
#[group(id = "opened", required = true, multiple = false, args = ["patient", "unit"])]
pub(crate) struct Start {
    /// Patient id (32 hex digits), ISSUER|NUMBER, ISSUER=NUMBER, or a number of --issuer.
    #[arg(value_name = "PATIENT")]
    pub(crate) patient: Option<String>,
    #[command(flatten)]
    pub(crate) issuer: Issuer,
    /// Only this entry of the patient's file: its id, 32 hex digits, as `file show` has it, masked or
    /// not. With --purpose BTG all others are masked then.
    #[arg(long, value_name = "ID", requires = "patient", conflicts_with = "unit")]
    pub(crate) entry: Option<String>,
    /// The files of all patients who are in this unit.
    #[arg(long, value_name = "NAME")]
    pub(crate) unit: Option<String>,
    /// Why: OVRER emergency treatment, OVRPJ professional judgment, OVRPS public safety, OVRTPS
    /// third party safety (HL7 v3 ActReason).
    #[arg(long, value_name = "CODE", value_parser = purpose::code)]
    pub(crate) code: String,
    /// For how long, as 90s, 30m or 2h: of a patient or an entry at most 4h, of a unit 12h. Otherwise the most.
    #[arg(long = "for", value_name = "SPAN")]
    pub(crate) span: Option<Span>,
}

/// What to end.
#[derive(Debug, Args)]
pub(crate) struct End {
    /// Id of the emergency access, 32 hex digits.
    pub(crate) id: String,
}

/// What to list.
#[derive(Debug, Args)]
pub(crate) struct List {
    /// Only those in this state.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) state: Option<State>,
    /// Only those of this person, as their token names them.
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub(crate) person: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 100, value_parser = limit())]
    pub(crate) limit: usize,
}

/// Where an emergency access stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum State {
    Open,
    Ended,
    Unreviewed,
    Overdue,
}

/// What to make of an emergency access.
#[derive(Debug, Args)]
pub(crate) struct Review {
    /// Id of the emergency access, 32 hex digits.
    pub(crate) id: String,
    /// The verdict.
    #[arg(long, value_enum, ignore_case = true)]
    pub(crate) verdict: Verdict,
    /// Why.
    #[arg(long, value_parser = said)]
    pub(crate) text: String,
    #[command(flatten)]
    pub(crate) request: RequestId,
}

/// A text that says something.
fn said(typed: &str) -> Result<String, &'static str> {
    if typed.trim().is_empty() { Err("say why this is the verdict") } else { Ok(typed.to_owned()) }
}

/// What somebody else makes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Verdict {
    Justified,
    NotJustified,
    FurtherInquiry,
}

pub(crate) async fn run(
    global: &Global,
    command: &Emergency,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let client = EmergencyAccessServiceClient::new(connect(global).await?);
    match command {
        Emergency::Start(wanted) => start(client, global, wanted, output).await,
        Emergency::End(wanted) => end(client, global, wanted, output).await,
        Emergency::List(wanted) => list(client, global, wanted, output).await,
        Emergency::Review(wanted) => review(client, global, wanted, output).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

type Client = EmergencyAccessServiceClient<Authenticated>;

async fn start(
    mut client: Client,
    global: &Global,
    wanted: &Start,
    output: &Output,
) -> Result<(), Failure> {
    use v1::break_glass_request::Scope;
    let scope = match (&wanted.patient, &wanted.unit) {
        (Some(typed), _) => {
            let named = patient::parse(typed, &wanted.issuer.issuer)?;
            let patient = patient::selector(named);
            Some(match &wanted.entry {
                None => Scope::Patient(patient),
                Some(entry) => Scope::Entry(v1::EntryScope {
                    patient: Some(patient),
                    entry_id: entry.to_ascii_lowercase(),
                }),
            })
        }
        (None, unit) => unit.clone().map(Scope::Unit),
    };
    let request = v1::BreakGlassRequest {
        purpose: Some(purpose::of(global, BREAKING)?),
        reason_code: wanted.code.clone(),
        scope,
        duration: wanted.span.map(|span| span.0),
    };
    let answer = client
        .break_glass(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "EmergencyAccessService/BreakGlass", status))?
        .into_inner();
    output.show(
        || json::of("BreakGlassResponse", &answer),
        || {
            let emergency = answer.emergency.clone().unwrap_or_default();
            format!(
                "emergency access {}\n{} until {}, as any call with the purpose BTG\nend it:  \
                 caseledger emergency end {} --reason …\nreceipt {}",
                emergency.id,
                opened(&emergency),
                time::short(emergency.expire_time.as_ref()),
                emergency.id,
                hex::encode(&answer.receipt),
            )
        },
    )
}

async fn end(
    mut client: Client,
    global: &Global,
    wanted: &End,
    output: &Output,
) -> Result<(), Failure> {
    let request = v1::EndEmergencyAccessRequest {
        purpose: Some(purpose::of(global, BREAKING)?),
        emergency_id: wanted.id.to_ascii_lowercase(),
    };
    let call = "EmergencyAccessService/EndEmergencyAccess";
    let answer = client
        .end_emergency_access(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, call, status))?
        .into_inner();
    output.show(
        || json::of("EndEmergencyAccessResponse", &answer),
        || {
            let emergency = answer.emergency.clone().unwrap_or_default();
            format!(
                "{}: {}\nreceipt {}",
                emergency.id,
                over(&emergency),
                hex::encode(&answer.receipt)
            )
        },
    )
}

async fn list(
    mut client: Client,
    global: &Global,
    wanted: &List,
    output: &Output,
) -> Result<(), Failure> {
    use v1::EmergencyAccessState as Asked;
    let state = wanted.state.map_or(Asked::Unspecified, |state| match state {
        State::Open => Asked::Open,
        State::Ended => Asked::Ended,
        State::Unreviewed => Asked::Unreviewed,
        State::Overdue => Asked::Overdue,
    });
    let mut request = v1::ListEmergencyAccessesRequest {
        purpose: Some(purpose::of(global, REVIEWING)?),
        state: state.into(),
        person: wanted.person.clone().unwrap_or_default(),
        page_size: PAGE,
        page_token: String::new(),
    };
    let call = "EmergencyAccessService/ListEmergencyAccesses";
    let (mut found, mut receipts) = (Vec::new(), Vec::new());
    let more = loop {
        let missing = wanted.limit.saturating_sub(found.len());
        request.page_size = u32::try_from(missing).unwrap_or(PAGE).min(PAGE);
        let page = client
            .list_emergency_accesses(timed(request.clone()))
            .await
            .map_err(|status| Failure::of(&global.server, call, status))?
            .into_inner();
        found.extend(page.emergencies);
        receipts.push(hex::encode(page.receipt));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || found.len() >= wanted.limit {
            break !request.page_token.is_empty();
        }
    };
    output.show(
        || {
            let all: Vec<_> =
                found.iter().map(|one| json::of("ReviewedEmergencyAccess", one)).collect();
            json!({"emergencies": all, "more": more, "receipts": receipts})
        },
        || listed(&found, more, &receipts),
    )
}

pub(crate) fn listed(
    found: &[v1::ReviewedEmergencyAccess],
    more: bool,
    receipts: &[String],
) -> String {
    let mut table =
        Table::with_heading(["begun", "id", "person", "roles", "code", "opens", "state", "review"]);
    for one in found {
        let emergency = one.emergency.clone().unwrap_or_default();
        let review = one.review.clone().unwrap_or_default();
        table.row([
            time::short(emergency.start_time.as_ref()),
            emergency.id.clone(),
            emergency.person.clone(),
            emergency.roles.join(" "),
            emergency.reason_code.clone(),
            opened(&emergency),
            state(&emergency),
            verdict(&review),
        ]);
        table.note(&format!("reason: {}", emergency.reason));
        if !review.text.is_empty() {
            table.note(&reviewed(&review));
        }
    }
    let count = match found.len() {
        1 => "1 emergency access".to_owned(),
        many => format!("{many} emergency accesses"),
    };
    let rest = if more { "; there are more, older ones: raise --limit" } else { "" };
    let receipts: String = receipts.iter().map(|one| format!("receipt {one}\n")).collect();
    format!("{}\n{count}{rest}\n{receipts}", table.lines(""))
}

async fn review(
    mut client: Client,
    global: &Global,
    wanted: &Review,
    output: &Output,
) -> Result<(), Failure> {
    let verdict = match wanted.verdict {
        Verdict::Justified => v1::ReviewVerdict::Justified,
        Verdict::NotJustified => v1::ReviewVerdict::NotJustified,
        Verdict::FurtherInquiry => v1::ReviewVerdict::FurtherInquiry,
    };
    let request_id = wanted.request.get()?;
    let request = v1::CloseReviewRequest {
        request_id: request_id.clone(),
        purpose: Some(purpose::of(global, REVIEWING)?),
        emergency_id: wanted.id.to_ascii_lowercase(),
        verdict: verdict.into(),
        text: wanted.text.clone(),
    };
    let answer = client
        .close_review(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "EmergencyAccessService/CloseReview", status))
        .map_err(|failure| failure.filing(&request_id))?
        .into_inner();
    output.show(
        || json::of("CloseReviewResponse", &answer),
        || {
            let review = match wanted.verdict {
                Verdict::Justified | Verdict::NotJustified => "closed",
                Verdict::FurtherInquiry => "the review stays open",
            };
            format!("{review}; on file among the first {} records", answer.position)
        },
    )
}

/// What it opens.
fn opened(emergency: &v1::EmergencyAccess) -> String {
    use v1::emergency_access::Scope;
    match &emergency.scope {
        Some(Scope::PatientId(patient)) => format!("patient {patient}"),
        Some(Scope::Unit(unit)) => format!("unit {unit}"),
        Some(Scope::Entry(one)) => format!("entry {} of patient {}", one.entry_id, one.patient_id),
        None => String::new(),
    }
}

/// Until when it is open, or how it ended.
fn state(emergency: &v1::EmergencyAccess) -> String {
    if emergency.open {
        return format!("OPEN until {}", time::short(emergency.expire_time.as_ref()));
    }
    over(emergency)
}

/// How it ended.
fn over(emergency: &v1::EmergencyAccess) -> String {
    match &emergency.end_time {
        Some(ended) => format!("ended {}", time::short(Some(ended))),
        None => format!("expired {}", time::short(emergency.expire_time.as_ref())),
    }
}

/// The final verdict, or when one is due.
fn verdict(review: &v1::BreakGlassReview) -> String {
    let since = if review.overdue { "OVERDUE since" } else { "due" };
    let due = format!("{since} {}", time::short(review.due_time.as_ref()));
    match review.verdict() {
        v1::ReviewVerdict::Justified => "justified".to_owned(),
        v1::ReviewVerdict::NotJustified => "not justified".to_owned(),
        v1::ReviewVerdict::FurtherInquiry => format!("further inquiry, {due}"),
        v1::ReviewVerdict::Unspecified => due,
    }
}

/// Who gave the verdict, when that closed the review, and why.
fn reviewed(review: &v1::BreakGlassReview) -> String {
    let closed = match &review.close_time {
        Some(at) => format!(", closed {}", time::short(Some(at))),
        None => String::new(),
    };
    format!("review by {}{closed}: {}", review.reviewer, review.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_who_what_why_and_what_is_overdue() {
        let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let emergency = v1::EmergencyAccess {
            id: "e1".to_owned(),
            person: "jdoe".to_owned(),
            roles: vec!["nurse".to_owned()],
            reason_code: "OVRER".to_owned(),
            reason: "found unconscious".to_owned(),
            scope: Some(v1::emergency_access::Scope::Unit("Ward 3".to_owned())),
            start_time: time(0),
            expire_time: time(3_600),
            end_time: None,
            open: false,
        };
        let review =
            v1::BreakGlassReview { due_time: time(7_200), overdue: true, ..Default::default() };
        let one = |emergency, review| v1::ReviewedEmergencyAccess {
            emergency: Some(emergency),
            review: Some(review),
        };
        let overdue = one(emergency.clone(), review.clone());
        let text = listed(&[overdue], false, &["00".to_owned()]);
        assert!(text.contains("unit Ward 3  expired 1970-01-01 01:00:00Z"), "{text}");
        assert!(text.contains("OVERDUE since 1970-01-01 02:00:00Z"), "{text}");
        assert!(text.contains("\n    reason: found unconscious\n\n1 emergency access\n"), "{text}");
        let open = v1::EmergencyAccess { open: true, ..emergency };
        let inquiry = v1::BreakGlassReview {
            verdict: v1::ReviewVerdict::FurtherInquiry.into(),
            text: "ask the ward".to_owned(),
            reviewer: "eve".to_owned(),
            ..review
        };
        let closed = v1::BreakGlassReview {
            verdict: v1::ReviewVerdict::Justified.into(),
            text: "seen".to_owned(),
            reviewer: "ben".to_owned(),
            close_time: time(10_800),
            overdue: false,
            ..review
        };
        let entry = v1::OpenedEntry { patient_id: "p1".to_owned(), entry_id: "n1".to_owned() };
        let entry = Some(v1::emergency_access::Scope::Entry(entry));
        let entry = v1::EmergencyAccess { scope: entry, ..open.clone() };
        let text = listed(&[one(entry, inquiry), one(open, closed)], false, &[]);
        assert!(text.contains("entry n1 of patient p1  OPEN until"), "{text}");
        assert!(text.contains("OPEN until 1970-01-01 01:00:00Z"), "{text}");
        assert!(text.contains("further inquiry, OVERDUE since 1970-01-01 02:00:00Z"), "{text}");
        assert!(text.contains("review by eve: ask the ward\n"), "{text}");
        assert!(text.contains("review by ben, closed 1970-01-01 03:00:00Z: seen\n"), "{text}");
    }
}
