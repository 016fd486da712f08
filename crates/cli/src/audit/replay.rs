//! `caseledger audit replay`: what an access showed.

use std::fmt::Write as _;
use std::process::ExitCode;

use api::v1;
use api::v1::audit_service_client::AuditServiceClient;
use clap::Args;
use prost::Message;
use serde_json::{Value, json};

use super::access_json;
use crate::connection::{Authenticated, connect, timed};
use crate::failure::Failure;
use crate::options::{Global, receipt};
use crate::output::{Output, one_line};
use crate::purpose;
use crate::{emergency, file, incident, json, policy, staff, time};

/// The page of a search by receipt: the largest that the server gives.
const PAGE: u32 = 200;

/// What the names of messages in an answer begin with.
const TYPES: &str = "type.googleapis.com/";
/// A file's page.
const FILE: &str = "caseledger.v1.PatientFile";
/// Lines of text.
const TEXT: &str = "google.protobuf.StringValue";

/// Which access.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AuditReplay {
    /// The receipt of the access, or its beginning (hex digits), if that is one access.
    #[arg(value_name = "RECEIPT", value_parser = receipt)]
    pub(crate) receipt: Option<String>,
    /// Where it stands in the access ledger, as `audit list` says.
    #[arg(long, value_name = "N")]
    pub(crate) position: Option<u64>,
}

pub(crate) async fn replay(
    global: &Global,
    which: &AuditReplay,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let purpose = purpose::of(global, super::PURPOSE)?;
    let mut client = AuditServiceClient::new(connect(global).await?);
    let position = match (&which.receipt, which.position) {
        (Some(receipt), _) => position_of(&mut client, global, &purpose, receipt).await?,
        (None, position) => position.unwrap_or_default(),
    };
    let request = v1::ReplayRequest { purpose: Some(purpose), position };
    let shown = client
        .replay(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "AuditService/Replay", status))?
        .into_inner();
    output.show(|| as_json(&shown), || as_text(&shown))?;
    Ok(ExitCode::SUCCESS)
}

/// Where the one access stands whose receipt begins so.
pub(crate) async fn position_of(
    client: &mut AuditServiceClient<Authenticated>,
    global: &Global,
    purpose: &v1::Purpose,
    receipt: &str,
) -> Result<u64, Failure> {
    let mut request = v1::ListAccessesRequest {
        purpose: Some(purpose.clone()),
        receipt: super::whole_bytes(receipt),
        page_size: PAGE,
        ..v1::ListAccessesRequest::default()
    };
    let mut found = Vec::new();
    loop {
        let page = client
            .list_accesses(timed(request.clone()))
            .await
            .map_err(|status| Failure::of(&global.server, "AuditService/ListAccesses", status))?
            .into_inner();
        let meant = |access: &v1::Access| hex::encode(&access.hash).starts_with(receipt);
        found.extend(page.accesses.iter().filter(|access| meant(access)).map(|one| one.position));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() || found.len() > 1 {
            break;
        }
    }
    match found.as_slice() {
        [position] => Ok(*position),
        [] => Err(Failure::Usage(format!(
            "no access has a receipt that begins with {receipt}; one that still waits for the broker \
             is not in the trail yet"
        ))),
        _ => Err(Failure::Usage(format!(
            "several accesses have a receipt that begins with {receipt}: give more of its digits"
        ))),
    }
}

/// The answer's type and itself.
fn answer(shown: &v1::ReplayResponse) -> Option<(&str, &[u8])> {
    let answer = shown.answer.as_ref()?;
    let name = answer.type_url.strip_prefix(TYPES).unwrap_or(&answer.type_url);
    Some((name, answer.value.as_slice()))
}

fn as_json(shown: &v1::ReplayResponse) -> Value {
    let access = shown.access.clone().unwrap_or_default();
    let (name, value) = answer(shown).map_or((Value::Null, Value::Null), |(name, bytes)| {
        (Value::from(name), value(name, bytes))
    });
    json!({
        "access": access_json(&access),
        "answer_type": name,
        "answer": value,
        "receipt": hex::encode(&shown.receipt),
    })
}

/// An answer's fields; of a type that this version does not know, its bytes.
fn value(name: &str, bytes: &[u8]) -> Value {
    if name == TEXT {
        return String::decode(bytes).map_or(Value::Null, Value::from);
    }
    json::decoded(name, bytes).unwrap_or_else(|| Value::from(hex::encode(bytes)))
}

/// An answer as the command that asks for it says it.
fn said(name: &str, bytes: &[u8], patient_id: &str) -> Option<String> {
    Some(match name.strip_prefix("caseledger.v1.")? {
        "GetPatientHistoryResponse" => {
            let page = v1::GetPatientHistoryResponse::decode(bytes).ok()?;
            file::history_text(patient_id, &page.events)
        }
        "FiledEvent" => file::history_text(patient_id, &[v1::FiledEvent::decode(bytes).ok()?]),
        "FindPatientResponse" => {
            let found = v1::FindPatientResponse::decode(bytes).ok()?;
            format!("patient {}", one_line(&found.patient_id))
        }
        "ListAccessesResponse" => {
            super::listed(&v1::ListAccessesResponse::decode(bytes).ok()?.accesses, true, &[])
        }
        "Policy" => {
            let policy = v1::Policy::decode(bytes).ok()?;
            format!("{}\n{}", policy::steps(&policy), policy.text)
        }
        "ListPoliciesResponse" => {
            policy::listed(&v1::ListPoliciesResponse::decode(bytes).ok()?.policies, &[])
        }
        "PractitionerRoleState" => staff::table(&[v1::PractitionerRoleState::decode(bytes).ok()?]),
        "ListPractitionerRolesResponse" => {
            staff::table(&v1::ListPractitionerRolesResponse::decode(bytes).ok()?.states)
        }
        "GetIncidentResponse" => {
            let page = v1::GetIncidentResponse::decode(bytes).ok()?;
            incident::text::shown(&page.incident?, &page.affected_patient_ids, &[])
        }
        "ListIncidentsResponse" => {
            let page = v1::ListIncidentsResponse::decode(bytes).ok()?;
            incident::text::listed(&page.incidents, &[])
        }
        "ListEmergencyAccessesResponse" => {
            let page = v1::ListEmergencyAccessesResponse::decode(bytes).ok()?;
            emergency::listed(&page.emergencies, false, &[])
        }
        _ => return None,
    })
}

fn as_text(shown: &v1::ReplayResponse) -> String {
    let access = shown.access.clone().unwrap_or_default();
    let who = if access.person.is_empty() { &access.service } else { &access.person };
    let mut text = one_line(&format!(
        "{}  {} ({})  {}  {}  {}",
        time::short(access.recorded_at.as_ref()),
        who,
        access.roles.join(" "),
        access.operation,
        access.purpose_of_use,
        access.outcome,
    ));
    text.push('\n');
    match answer(shown) {
        None => text.push_str("nothing of a file was shown\n"),
        Some((FILE, bytes)) => {
            let page = v1::PatientFile::decode(bytes).unwrap_or_default();
            let _ = write!(text, "\n{}", file::page_text(page, access.shown_position));
        }
        Some((TEXT, bytes)) => {
            let told = String::decode(bytes).unwrap_or_default();
            let lines: Vec<_> = told.lines().map(line).collect();
            let _ = writeln!(text, "\n{}", lines.join("\n"));
        }
        Some((name, bytes)) => {
            let said = said(name, bytes, &access.patient_id);
            let said = said.unwrap_or_else(|| format!("{name}\n{:#}", value(name, bytes)));
            let _ = writeln!(text, "\n{}", said.trim_end());
        }
    }
    let agrees = match shown.answer {
        Some(_) => "byte for byte what was shown, by",
        None => "that nothing was shown agrees with",
    };
    let receipt = hex::encode(&shown.receipt);
    let _ = writeln!(text, "\n{agrees} the keyed digest in the access record\nreceipt {receipt}");
    text
}

/// A line of what a reply told, in words; each kind of line has a form that no other has, so that it is
/// the same whether the access itself or its replay is replayed.
fn line(told: &str) -> String {
    let items: Option<Vec<_>> = told.chars().map(letter).collect();
    if let Some(items) = items.filter(|items| !items.is_empty()) {
        return format!("items as they came: {}", items.join(", "));
    }
    if !told.is_empty() && told.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
        return format!("refused: {} ({told})", told.to_ascii_lowercase().replace('_', " "));
    }
    if let Some((what @ ("from" | "until" | "ended"), at)) = told.split_once(' ')
        && let Some(at) = moment(at)
    {
        return format!("{what} {}", time::short(Some(&at)));
    }
    one_line(told)
}

/// What became of an item of an import.
fn letter(of_item: char) -> Option<&'static str> {
    Some(match of_item {
        'f' => "filed",
        'a' => "amended",
        'u' => "unchanged",
        'r' => "refused",
        '-' => "not told",
        _ => return None,
    })
}

/// Microseconds since 1970, as such a reply has them.
fn moment(micros: &str) -> Option<prost_types::Timestamp> {
    let micros: u64 = micros.parse().ok()?;
    let seconds = i64::try_from(micros / 1_000_000).ok()?;
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str, value: Vec<u8>) -> v1::ReplayResponse {
        let access = v1::Access { person: "jdoe".to_owned(), ..v1::Access::default() };
        let answer = Some(api::Any { type_url: format!("{TYPES}{name}"), value });
        v1::ReplayResponse { access: Some(access), answer, position: 9, receipt: vec![7; 32] }
    }

    #[test]
    fn an_answer_is_shown_by_its_type() {
        let page = v1::PatientFile { patient_id: "5f3a".to_owned(), ..Default::default() };
        let of_file = shown(FILE, page.encode_to_vec());
        assert!(as_text(&of_file).contains("patient 5f3a"), "{}", as_text(&of_file));
        assert_eq!(as_json(&of_file)["answer"]["patient_id"], "5f3a");
        let told = shown(TEXT, "ucum-unit detail.value.code".to_owned().encode_to_vec());
        assert_eq!(as_json(&told)["answer"], "ucum-unit detail.value.code");
        assert!(as_text(&told).contains("\nucum-unit detail.value.code\n"));
        let later = shown("caseledger.v9.Unheard", vec![1, 2]);
        assert_eq!(as_json(&later)["answer"], "0102", "what is not known is not left out");
        let policy = v1::Policy { text: "permit ();\n".to_owned(), ..Default::default() };
        let of_policy = as_text(&shown("caseledger.v1.Policy", policy.encode_to_vec()));
        assert!(of_policy.contains("\n\npermit ();\n"), "as its author wrote it: {of_policy}");
        let nothing = v1::ReplayResponse::default();
        let text = as_text(&nothing);
        assert!(
            text.contains("nothing of a file was shown\n\nthat nothing was shown agrees"),
            "{text}"
        );
        assert_eq!(as_json(&nothing)["answer"], Value::Null);
    }

    #[test]
    fn what_a_reply_told_is_in_words() {
        let told = |text: &str| as_text(&shown(TEXT, text.to_owned().encode_to_vec()));
        assert!(
            told("fa-").contains("\nitems as they came: filed, amended, not told\n"),
            "{}",
            told("fa-")
        );
        let begun =
            told("reason OVRER\nunit Ward 3\nfrom 1795857817596763\nuntil 1795861417596763");
        let until = "\nunit Ward 3\nfrom 2026-11-28 09:23:37Z\nuntil 2026-11-28 10:23:37Z\n";
        assert!(begun.contains(until), "{begun}");
        let refused = told("STATUS_STEP_NOT_ALLOWED");
        let words = "\nrefused: status step not allowed (STATUS_STEP_NOT_ALLOWED)\n";
        assert!(refused.contains(words), "{refused}");
        assert!(told("ended").contains("\nended\n"), "of the first ones");
    }

    #[test]
    fn histories_patients_and_trails_are_shown_as_their_commands_show_them() {
        let events = vec![v1::FiledEvent { version: 3, unreadable: true, ..Default::default() }];
        let change = as_text(&shown("caseledger.v1.FiledEvent", events[0].encode_to_vec()));
        let page = v1::GetPatientHistoryResponse { events, ..Default::default() };
        let history =
            as_text(&shown("caseledger.v1.GetPatientHistoryResponse", page.encode_to_vec()));
        for text in [change, history] {
            assert!(text.contains("cannot be opened") && !text.contains('{'), "{text}");
        }
        let found = v1::FindPatientResponse { patient_id: "5f3a".to_owned(), ..Default::default() };
        let found = as_text(&shown("caseledger.v1.FindPatientResponse", found.encode_to_vec()));
        assert!(found.contains("\n\npatient 5f3a\n"), "{found}");
        // What a node tells stays on its line.
        let painted = "5f3a\n\u{1b}[2J";
        let found =
            v1::FindPatientResponse { patient_id: painted.to_owned(), ..Default::default() };
        let file = v1::PatientFile { patient_id: painted.to_owned(), ..Default::default() };
        for (name, value) in [
            ("caseledger.v1.FindPatientResponse", found.encode_to_vec()),
            ("caseledger.v1.GetPatientHistoryResponse", Vec::new()),
            (FILE, file.encode_to_vec()),
        ] {
            let mut page = shown(name, value);
            if let Some(access) = page.access.as_mut() {
                access.patient_id = painted.to_owned();
                access.purpose_of_use = painted.to_owned();
            }
            let told = as_text(&page);
            assert!(told.contains("patient 5f3a  [2J") && !told.contains('\u{1b}'), "{told}");
        }
        let one = v1::Access { person: "eve".to_owned(), position: 7, ..Default::default() };
        let page = v1::ListAccessesResponse { accesses: vec![one], ..Default::default() };
        let list = as_text(&shown("caseledger.v1.ListAccessesResponse", page.encode_to_vec()));
        assert!(list.contains("       7  eve") && list.contains("\n1 access\n"), "{list}");
    }
}
