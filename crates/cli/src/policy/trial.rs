//! `caseledger policy try`.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use api::v1;
use api::v1::try_policy_response::Part;
use serde_json::{Value, json};
use tonic::Request;

use super::options::Try;
use super::{client, refused};
use crate::failure::Failure;
use crate::json;
use crate::options::Global;
use crate::output::{Output, Table, is_watched};
use crate::time;

const CALL: &str = "PolicyService/TryPolicy";

/// What a trial found.
#[derive(Debug, Default)]
struct Found {
    started: v1::TryStarted,
    accesses: Vec<v1::AccessDifference>,
    counts: Vec<v1::CallCount>,
    ended: v1::TryEnded,
    receipts: Vec<String>,
}

pub(super) async fn run(
    global: &Global,
    purpose: v1::Purpose,
    wanted: &Try,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let request = v1::TryPolicyRequest {
        purpose: Some(purpose),
        tried: Some(tried(&wanted.tried)?),
        start_time: Some(wanted.from.0),
        end_time: wanted.to.map(|to| to.0),
        max_accesses: wanted.limit,
    };
    // A trial takes as long as the trail is; it ends with the token.
    let mut parts = client(global)
        .await?
        .try_policy(Request::new(request))
        .await
        .map_err(refused(global, CALL))?
        .into_inner();
    let bar = if is_watched() {
        indicatif::ProgressBar::new_spinner()
    } else {
        indicatif::ProgressBar::hidden()
    };
    let mut found = Found::default();
    let mut whole = false;
    while let Some(part) = parts.message().await.map_err(refused(global, CALL))? {
        match part.part {
            Some(Part::Started(started)) => {
                found.receipts.push(hex::encode(&started.receipt));
                found.started = started;
            }
            Some(Part::Progress(progress)) => {
                let (looked_at, reached) =
                    (progress.looked_at, time::short(progress.reached.as_ref()));
                bar.set_message(format!("{looked_at} calls looked at, back to {reached}"));
                found.receipts.push(hex::encode(&progress.receipt));
                found.accesses.extend(progress.accesses);
            }
            Some(Part::Counts(counts)) => found.counts.extend(counts.counts),
            Some(Part::Ended(ended)) => {
                found.receipts.push(hex::encode(&ended.receipt));
                found.ended = ended;
                whole = true;
            }
            // Of a later version.
            None => {}
        }
    }
    bar.finish_and_clear();
    if !whole {
        return Err(Failure::local("finish the trial", "the node's answer ended before its end"));
    }
    output.show(|| as_json(&found), || as_text(&found))?;
    Ok(ExitCode::SUCCESS)
}

/// An id as typed, or a file's text.
fn tried(typed: &str) -> Result<v1::try_policy_request::Tried, Failure> {
    use v1::try_policy_request::Tried;
    let is_id = typed.len() == 32 && typed.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id || typed == "default" {
        return Ok(Tried::PolicyId(typed.to_ascii_lowercase()));
    }
    fs::read_to_string(Path::new(typed))
        .map(Tried::Text)
        .map_err(|error| Failure::local(format!("read {typed}"), error))
}

fn as_json(found: &Found) -> Value {
    let accesses: Vec<_> =
        found.accesses.iter().map(|one| json::of("AccessDifference", one)).collect();
    let counts: Vec<_> = found.counts.iter().map(|one| json::of("CallCount", one)).collect();
    json!({
        "started": json::of("TryStarted", &found.started),
        "accesses": accesses,
        "counts": counts,
        "ended": json::of("TryEnded", &found.ended),
        "receipts": found.receipts,
    })
}

fn would(call: &v1::CallKind) -> &'static str {
    match call.change() {
        v1::PolicyChange::Denied => "denied",
        v1::PolicyChange::Allowed => "let in",
        v1::PolicyChange::Masked => "masked more",
        v1::PolicyChange::Unmasked => "masked less",
        v1::PolicyChange::MaskedOtherwise => "masked otherwise",
        v1::PolicyChange::Unspecified => "(of a newer version)",
    }
}

/// Who called, in which roles, what and why.
fn who(call: &v1::CallKind) -> [String; 4] {
    let person = if call.person.is_empty() { &call.service } else { &call.person };
    let operation = call.operation.rsplit('/').next().unwrap_or_default();
    [person.clone(), call.roles.join(" "), operation.to_owned(), call.purpose_of_use.clone()]
}

/// Which classes of entries would be masked and were not, and the other way round.
fn entries(one: &v1::AccessDifference) -> String {
    let masked = one.masked.iter().map(|class| format!("mask {class}"));
    let unmasked = one.unmasked.iter().map(|class| format!("show {class}"));
    masked.chain(unmasked).collect::<Vec<_>>().join(", ")
}

fn as_text(found: &Found) -> String {
    let Found { started, accesses, counts, ended, receipts } = found;
    let mut text = format!(
        "{}: of {} calls, {} would be denied that were let in, {} let in that were denied, {} masked more, \
         {} masked less\n",
        started.version,
        ended.looked_at,
        ended.would_be_denied,
        ended.would_be_allowed,
        ended.would_be_masked,
        ended.would_be_unmasked
    );
    if ended.not_judged > 0 {
        text.push_str(&format!("NOT JUDGED: {} calls\n", ended.not_judged));
    }
    if !counts.is_empty() {
        let heading = ["would be", "calls", "person", "roles", "operation", "purpose"];
        let mut table = Table::with_heading(heading).right_aligned([1]);
        for one in counts {
            let call = one.call.clone().unwrap_or_default();
            let [person, roles, operation, purpose] = who(&call);
            let (would, count) = (would(&call).to_owned(), one.count.to_string());
            table.row([would, count, person, roles, operation, purpose]);
        }
        text.push_str(&format!("\n{}", table.lines("")));
        let heading = [
            "recorded",
            "position",
            "would be",
            "person",
            "operation",
            "purpose",
            "patient",
            "entries",
        ];
        let mut table = Table::with_heading(heading).right_aligned([1]);
        for one in accesses {
            let call = one.call.clone().unwrap_or_default();
            let [person, _, operation, purpose] = who(&call);
            let (recorded, position) =
                (time::short(one.recorded_at.as_ref()), one.position.to_string());
            let (would, patient) = (would(&call).to_owned(), one.patient_id.clone());
            let entries = entries(one);
            table.row([recorded, position, would, person, operation, purpose, patient, entries]);
        }
        text.push_str(&format!("\n{}", table.lines("")));
        if ended.not_told > 0 {
            text.push_str(&format!("and {} more (--limit)\n", ended.not_told));
        }
    }
    if let (Some(first), more) = (receipts.first(), receipts.len().saturating_sub(1)) {
        text.push_str(&format!("\nreceipt {first}, and {more} of what was found (--json)\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_is_told_by_who_and_why() {
        let call = v1::CallKind {
            change: v1::PolicyChange::Denied.into(),
            person: "jdoe".to_owned(),
            roles: vec!["nurse".to_owned()],
            operation: "PatientFileService/GetPatientFile".to_owned(),
            purpose_of_use: "TREAT".to_owned(),
            ..v1::CallKind::default()
        };
        let access =
            v1::AccessDifference { position: 41, call: Some(call.clone()), ..<_>::default() };
        let change = v1::PolicyChange::MaskedOtherwise.into();
        let masked = v1::AccessDifference {
            call: Some(v1::CallKind { change, ..call.clone() }),
            masked: vec!["condition:".to_owned()],
            unmasked: vec!["note:PSY,R".to_owned()],
            ..<_>::default()
        };
        let found = Found {
            accesses: vec![access, masked],
            counts: vec![v1::CallCount { call: Some(call), count: 3 }],
            ended: v1::TryEnded {
                looked_at: 9,
                not_judged: 1,
                would_be_denied: 3,
                not_told: 2,
                ..<_>::default()
            },
            ..Found::default()
        };
        let text = as_text(&found);
        assert!(
            text.contains("of 9 calls, 3 would be denied that were let in, 0 let in"),
            "{text}"
        );
        assert!(text.contains("denied        3  jdoe    nurse  GetPatientFile  TREAT"), "{text}");
        assert!(text.contains("masked otherwise  jdoe"), "{text}");
        assert!(text.contains("mask condition:, show note:PSY,R"), "{text}");
        assert!(text.contains("NOT JUDGED: 1") && text.contains("and 2 more"), "{text}");
        let json = as_json(&found);
        assert_eq!(json["accesses"][0]["position"], 41);
        assert_eq!(json["counts"][0]["call"]["change"], "POLICY_CHANGE_DENIED");
        assert_eq!(json["ended"]["would_be_denied"], 3);
    }

    #[test]
    fn an_id_is_an_id_and_anything_else_a_file() {
        use v1::try_policy_request::Tried;
        assert!(matches!(tried("default"), Ok(Tried::PolicyId(_))));
        assert!(
            matches!(tried(&"5F".repeat(16)), Ok(Tried::PolicyId(id)) if id == "5f".repeat(16))
        );
        assert!(matches!(tried("there-is-no-such.cedar"), Err(Failure::Local { .. })));
    }
}
