//! `caseledger audit`: `list` here, the other below.

pub(crate) mod replay;

use std::process::ExitCode;

use api::v1;
use api::v1::audit_service_client::AuditServiceClient;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use serde_json::{Value, json};

use crate::connection::{connect, timed};
use crate::failure::Failure;
use crate::json;
use crate::options::{AuditList, Global, Outcome};
use crate::output::{Output, Table};
use crate::patient;
use crate::purpose::{self, Otherwise};
use crate::time;

/// Accesses asked for at a time: the largest page that the server gives.
const PAGE: usize = 200;

const PURPOSE: Otherwise = Otherwise::Always("HCOMPL");

pub(crate) async fn list(
    global: &Global,
    wanted: &AuditList,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let purpose = purpose::of(global, PURPOSE)?;
    let (from, to) = (wanted.from.map(|from| from.0), wanted.to.map(|to| to.0));
    if from.zip(to).is_some_and(|(f, t)| (f.seconds, f.nanos) >= (t.seconds, t.nanos)) {
        return Err(Failure::Usage("--from is not before --to: nothing can match".to_owned()));
    }
    let channel = connect(global).await?;
    let patient_id = match &wanted.patient {
        None => String::new(),
        Some(typed) => {
            let named = patient::parse(typed, &wanted.issuer.issuer)?;
            let mut files = PatientFileServiceClient::new(channel.clone());
            patient::resolve(&mut files, global, purpose.clone(), named).await?
        }
    };
    let mut client = AuditServiceClient::new(channel);
    let each = wanted.all || global.json;
    let mut request = request(wanted, patient_id, purpose);
    request.page_size = page_size(wanted, each, 0);
    let (mut accesses, mut receipts) = (Vec::new(), Vec::new());
    let (more, waiting) = loop {
        let page = client
            .list_accesses(timed(request.clone()))
            .await
            .map_err(|status| Failure::of(&global.server, "AuditService/ListAccesses", status))?
            .into_inner();
        accesses.extend(page.accesses.into_iter().filter(|access| is_meant(access, wanted)));
        receipts.push(page.receipt);
        request.page_token = page.next_page_token;
        request.page_size = page_size(wanted, each, accesses.len());
        let more = !request.page_token.is_empty();
        let lines = lines(&accesses, each);
        // A line of several accesses is whole only when the next has begun.
        let enough = lines.len() > wanted.limit || (each && lines.len() == wanted.limit);
        if !more || enough {
            let beyond = lines.len() > wanted.limit;
            let kept = lines.iter().take(wanted.limit).map(|line| line.len()).sum();
            accesses.truncate(kept);
            break (more || beyond, page.waiting_bytes);
        }
    };
    output.show(
        || as_json(&accesses, more, &receipts, waiting),
        || as_text(&accesses, more, &receipts, waiting, wanted),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// Whether its receipt is, or begins with, the one that is looked for.
fn is_meant(access: &v1::Access, wanted: &AuditList) -> bool {
    let begins = |receipt: &String| hex::encode(&access.hash).starts_with(receipt);
    wanted.receipt.as_ref().is_none_or(begins)
}

/// What stands in one line each: an access, or a query with the patients that it showed, which are
/// one contribution and follow each other, the query last.
fn lines(accesses: &[v1::Access], each: bool) -> Vec<&[v1::Access]> {
    let together = |one: &v1::Access, next: &v1::Access| {
        !each && !one.contribution_id.is_empty() && one.contribution_id == next.contribution_id
    };
    accesses.chunk_by(together).collect()
}

/// How many to ask for when so many are here: no more than are missing, but whole pages when it is
/// not known how many make a line, or a receipt is looked for.
fn page_size(wanted: &AuditList, each: bool, have: usize) -> u32 {
    let missing = wanted.limit.saturating_sub(have);
    let size = if each && wanted.receipt.is_none() { missing.clamp(1, PAGE) } else { PAGE };
    u32::try_from(size).unwrap_or(u32::MAX)
}

fn request(
    wanted: &AuditList,
    patient_id: String,
    purpose: v1::Purpose,
) -> v1::ListAccessesRequest {
    v1::ListAccessesRequest {
        purpose: Some(purpose),
        patient_id,
        person: wanted.person.clone().unwrap_or_default(),
        start_time: wanted.from.map(|moment| moment.0),
        end_time: wanted.to.map(|moment| moment.0),
        purpose_of_use: wanted.with_purpose.clone().unwrap_or_default(),
        outcome: wanted.outcome.map(outcome).unwrap_or_default().to_owned(),
        page_size: 0,
        page_token: String::new(),
        receipt: wanted.receipt.as_deref().map(whole_bytes).unwrap_or_default(),
        emergency_id: wanted.emergency.as_deref().map(str::to_ascii_lowercase).unwrap_or_default(),
    }
}

/// The bytes that a beginning of a receipt, in hexadecimal, surely names.
fn whole_bytes(receipt: &str) -> Vec<u8> {
    let even = receipt.get(..receipt.len() / 2 * 2).unwrap_or_default();
    hex::decode(even).unwrap_or_default()
}

/// As the server knows it.
fn outcome(typed: Outcome) -> &'static str {
    match typed {
        Outcome::Shown => "shown",
        Outcome::Denied => "denied",
        Outcome::NotFound => "not-found",
        Outcome::Refused => "refused",
    }
}

/// An access, its hash also by the name under which its caller was given it.
fn access_json(access: &v1::Access) -> Value {
    let mut object = json::of("Access", access);
    if let Some(fields) = object.as_object_mut() {
        fields.insert("receipt".to_owned(), Value::from(hex::encode(&access.hash)));
    }
    object
}

fn as_json(accesses: &[v1::Access], more: bool, receipts: &[Vec<u8>], waiting: u64) -> Value {
    let accesses: Vec<_> = accesses.iter().map(access_json).collect();
    let receipts: Vec<_> = receipts.iter().map(hex::encode).collect();
    json!({"accesses": accesses, "more": more, "receipts": receipts, "waiting_bytes": waiting})
}

const COLUMNS: [&str; 10] = [
    "recorded",
    "position",
    "person",
    "roles",
    "operation",
    "purpose",
    "outcome",
    "patient",
    "from",
    "receipt",
];

/// A cell for each of [`COLUMNS`]. The line is told by its oldest access, the query.
fn cells(access: &v1::Access, shown: &[v1::Access]) -> [String; 10] {
    let patient = match shown {
        [] => access.patient_id.clone(),
        [only] => only.patient_id.clone(),
        many => format!("… and {} patients", many.len()),
    };
    let who = if access.person.is_empty() { &access.service } else { &access.person };
    [
        time::short(access.recorded_at.as_ref()),
        access.position.to_string(),
        who.clone(),
        access.roles.join(" "),
        operation(access),
        access.purpose_of_use.clone(),
        access.outcome.clone(),
        patient,
        access.network.clone(),
        hex::encode(access.hash.get(..8).unwrap_or_default()),
    ]
}

/// What else a reviewer asks of a line: why, what kept it from being shown, and in which emergency.
fn remarks(access: &v1::Access) -> Vec<String> {
    let mut remarks = Vec::new();
    if !access.reason.is_empty() {
        remarks.push(format!("reason: {}", access.reason));
    }
    remarks.extend(decided(access));
    if !access.masked.is_empty() {
        remarks.push(format!("masked: {}", access.masked.join(" ")));
    }
    if !access.emergency_id.is_empty() {
        remarks.push(format!("emergency access: {}", access.emergency_id));
    }
    remarks
}

/// Which policies decided, of which set, for somebody related how.
fn decided(access: &v1::Access) -> Option<String> {
    let ids = access.deciding_ids.join(", ");
    let decision = match (access.outcome.as_str(), ids.is_empty()) {
        ("denied", true) => "denied: no access policy permits it".to_owned(),
        ("denied", false) => format!("denied by: {ids}"),
        (_, true) => return None,
        (_, false) => format!("permitted by: {ids}"),
    };
    let known = [("relationship", &access.relationship), ("policies", &access.policy_version)];
    let known = known.iter().filter(|(_, value)| !value.is_empty());
    let known: Vec<_> = known.map(|(name, value)| format!("{name} {value}")).collect();
    if known.is_empty() {
        return Some(decision);
    }
    Some(format!("{decision} ({})", known.join(", ")))
}

/// The call without its service. An import shows what it found on file while it files.
fn operation(access: &v1::Access) -> String {
    if access.unreadable {
        return "(cannot be opened)".to_owned();
    }
    match access.operation.rsplit('/').next().unwrap_or_default() {
        "Import" if access.outcome == "shown" => "Import (filed)".to_owned(),
        name => name.to_owned(),
    }
}

fn as_text(
    accesses: &[v1::Access],
    more: bool,
    receipts: &[Vec<u8>],
    waiting: u64,
    wanted: &AuditList,
) -> String {
    // what every row has in common needs no column
    let mut left_out = Vec::new();
    left_out.extend(wanted.person.as_ref().map(|_| "person"));
    left_out.extend(wanted.patient.as_ref().map(|_| "patient"));
    let rest =
        if more { "; there are more, older ones: raise --limit or narrow the filter" } else { "" };
    let mut text = format!("{}{rest}\n", listed(accesses, wanted.all, &left_out));
    if waiting > 0 {
        text.push_str(&format!(
            "INCOMPLETE: {waiting} bytes of access records wait on this node for the broker and are not \
             listed yet\n"
        ));
    }
    for receipt in receipts {
        text.push_str(&format!("receipt {}\n", hex::encode(receipt)));
    }
    text
}

/// The lines and how many they are, without the columns that are left out.
fn listed(accesses: &[v1::Access], each: bool, left_out: &[&str]) -> String {
    let shown = |column: &str| !left_out.contains(&column);
    let heading = COLUMNS.into_iter().filter(|column| shown(column)).map(str::to_owned);
    let mut table = Table::with_columns(heading.collect()).right_aligned([1]);
    let lines = lines(accesses, each);
    for line in &lines {
        let Some((access, patients)) = line.split_last() else { continue };
        let cells = COLUMNS.into_iter().zip(cells(access, patients));
        let cells: Vec<_> =
            cells.filter(|(column, _)| shown(column)).map(|(_, cell)| cell).collect();
        table.cells(&cells);
        remarks(access).iter().for_each(|remark| table.note(remark));
    }
    let mut count = match accesses.len() {
        1 => "1 access".to_owned(),
        many => format!("{many} accesses"),
    };
    if lines.len() < accesses.len() {
        count.push_str(&format!(" in {} lines (--all has a line for each)", lines.len()));
    }
    format!("{}\n{count}", table.lines(""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{Audit, Command};
    use clap::Parser;

    fn typed(arguments: &[&str]) -> AuditList {
        let line = ["caseledger", "audit", "list"].iter().chain(arguments);
        let options = crate::options::Options::try_parse_from(line).unwrap();
        let Command::Audit(Audit::List(list)) = options.command else { panic!("not a list") };
        list
    }

    fn looked() -> v1::Access {
        v1::Access {
            person: "jdoe".to_owned(),
            roles: vec!["nurse".to_owned()],
            operation: "PatientFileService/GetPatientFile".to_owned(),
            purpose_of_use: "TREAT".to_owned(),
            outcome: "shown".to_owned(),
            patient_id: "p1".to_owned(),
            reason: "handover".to_owned(),
            hash: vec![1; 32],
            ..Default::default()
        }
    }

    #[test]
    fn the_list_says_who_why_and_that_there_is_more() {
        let access = looked();
        let closed = v1::Access { unreadable: true, ..Default::default() };
        let all = typed(&[]);
        let text = as_text(&[access.clone(), closed], true, &[vec![2; 32]], 0, &all);
        assert!(text.contains("\n    reason: handover\n"), "{text}");
        assert!(text.contains("nurse  GetPatientFile      TREAT    shown"), "{text}");
        assert!(text.contains("(cannot be opened)"));
        assert!(text.contains("\n2 accesses; there are more"), "{text}");
        let json = as_json(&[access], false, &[vec![2; 32]], 0);
        assert_eq!(json["accesses"][0]["hash"], "01".repeat(32));
        assert_eq!(json["accesses"][0]["receipt"], "01".repeat(32));
        assert_eq!(json["more"], false);
    }

    #[test]
    fn a_line_says_what_was_masked_what_denied_it_and_in_which_emergency() {
        let masked = v1::Access { masked: vec!["note:PSY".to_owned()], ..looked() };
        let nobody = v1::Access { outcome: "denied".to_owned(), ..looked() };
        let forbidden = v1::Access { deciding_ids: vec!["vip".to_owned()], ..nobody.clone() };
        let permitted = v1::Access {
            deciding_ids: vec!["treat".to_owned()],
            relationship: "care-team".to_owned(),
            policy_version: "default-1".to_owned(),
            position: 1_204,
            ..looked()
        };
        let urgent = v1::Access { emergency_id: "ab".repeat(16), ..looked() };
        let text =
            as_text(&[masked, nobody, forbidden, permitted, urgent], false, &[], 0, &typed(&[]));
        for told in [
            "masked: note:PSY".to_owned(),
            "denied: no access policy permits it".to_owned(),
            "denied by: vip".to_owned(),
            "permitted by: treat (relationship care-team, policies default-1)".to_owned(),
            format!("emergency access: {}", "ab".repeat(16)),
        ] {
            assert!(text.contains(&format!("\n    {told}\n")), "{text}");
        }
        assert!(text.contains("    1204  jdoe") && text.contains("       0  jdoe"), "{text}");
    }

    #[test]
    fn what_is_asked_of_the_server_are_whole_bytes() {
        assert_eq!(whole_bytes("fe3ee"), [0xfe, 0x3e]);
        assert!(whole_bytes("f").is_empty());
    }

    #[test]
    fn what_every_row_has_in_common_has_no_column() {
        let of_one = typed(&["--patient", "p1", "--person", "jdoe"]);
        let text = as_text(&[looked()], false, &[], 512, &of_one);
        assert!(!text.contains("jdoe") && !text.contains("p1"), "{text}");
        assert!(text.starts_with("recorded  position  roles  operation"), "{text}");
        assert!(text.contains("INCOMPLETE: 512 bytes"), "what is not there yet is told: {text}");
        let filed = v1::Access { operation: "ImportService/Import".to_owned(), ..looked() };
        assert_eq!(operation(&filed), "Import (filed)");
    }

    #[test]
    fn an_empty_filter_is_refused_and_not_left_out() {
        for filter in ["--person", "--emergency"] {
            let typed = ["caseledger", "audit", "list", filter, ""];
            assert!(crate::options::Options::try_parse_from(typed).is_err(), "{filter}");
        }
    }

    #[test]
    fn a_limit_need_not_fill_its_last_page() {
        let wanted = typed(&["--limit", "201"]);
        assert_eq!((page_size(&wanted, true, 0), page_size(&wanted, true, 200)), (200, 1));
        assert_eq!(page_size(&wanted, false, 200), 200, "a line may take many accesses");
    }

    #[test]
    fn a_query_and_the_patients_it_showed_are_one_line() {
        let part = |contribution: u8, patient: &str, operation: &str, receipt: u8| v1::Access {
            contribution_id: vec![contribution; 32],
            patient_id: patient.to_owned(),
            operation: format!("Service/{operation}"),
            hash: vec![receipt; 32],
            ..looked()
        };
        // newest first, so that the query comes after what it showed
        let accesses = [
            part(3, "p1", "ListAccesses", 1),
            part(3, "p2", "ListAccesses", 2),
            part(3, "", "ListAccesses", 3),
            part(2, "p1", "FindPatient", 4),
            part(2, "", "FindPatient", 5),
            part(1, "p1", "GetPatientFile", 6),
            part(0, "p1", "GetPatientFile", 7),
        ];
        let text = as_text(&accesses, false, &[], 0, &typed(&[]));
        let told: Vec<&str> = text.lines().filter(|line| line.contains("TREAT")).collect();
        assert_eq!(told.len(), 4, "{text}");
        assert!(told[0].contains("… and 2 patients") && told[0].contains("0303"), "{text}");
        assert!(told[1].contains("FindPatient") && told[1].contains("p1"), "{text}");
        assert!(told[1].contains("0505"), "the receipt is that of the query: {text}");
        assert!(told[2].contains("p1") && told[3].contains("p1"), "{text}");
        assert!(text.contains("7 accesses in 4 lines (--all has a line for each)"), "{text}");
        let text = as_text(&accesses, false, &[], 0, &typed(&["--all"]));
        assert_eq!(text.lines().filter(|line| line.contains("TREAT")).count(), 7, "{text}");
        assert_eq!(as_json(&accesses, false, &[], 0)["accesses"].as_array().unwrap().len(), 7);
    }

    #[test]
    fn a_receipt_is_found_by_its_beginning() {
        let wanted = typed(&["--receipt", "0101"]);
        assert!(is_meant(&looked(), &wanted));
        assert!(!is_meant(&looked(), &typed(&["--receipt", "02"])));
        assert_eq!(page_size(&wanted, true, 0), 200);
    }
}
