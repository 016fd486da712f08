//! `caseledger audit list`.

use std::process::ExitCode;

use api::v1;
use api::v1::audit_service_client::AuditServiceClient;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use serde_json::{Value, json};

use crate::connection::{connect, purpose, timed};
use crate::failure::Failure;
use crate::json;
use crate::options::{AuditList, Global};
use crate::output::{Output, Table};
use crate::patient;
use crate::time;

/// Accesses asked for at a time: the largest page that the server gives.
const PAGE: usize = 200;

const PURPOSE: &str = "HCOMPL";

pub(crate) async fn list(
    global: &Global,
    wanted: &AuditList,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let channel = connect(global).await?;
    let purpose = purpose(global, PURPOSE);
    let patient_id = match &wanted.patient {
        None => String::new(),
        Some(typed) => {
            let named = patient::parse(typed, &wanted.issuer.issuer)?;
            let mut files = PatientFileServiceClient::new(channel.clone());
            patient::resolve(&mut files, global, purpose.clone(), named).await?
        }
    };
    let mut client = AuditServiceClient::new(channel);
    let mut request = request(wanted, patient_id, purpose);
    let (mut accesses, mut receipts) = (Vec::new(), Vec::new());
    let more = loop {
        let missing = wanted.limit.saturating_sub(accesses.len()).clamp(1, PAGE);
        request.page_size = u32::try_from(missing).unwrap_or(u32::MAX);
        let page = client
            .list_accesses(timed(request.clone()))
            .await
            .map_err(|status| Failure::of(&global.server, "AuditService/ListAccesses", status))?
            .into_inner();
        accesses.extend(page.accesses);
        receipts.push(page.receipt);
        request.page_token = page.next_page_token;
        let more = !request.page_token.is_empty();
        if !more || accesses.len() >= wanted.limit {
            break more;
        }
    };
    output.show(|| as_json(&accesses, more, &receipts), || as_text(&accesses, more, &receipts))?;
    Ok(ExitCode::SUCCESS)
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
        outcome: wanted.outcome.clone().unwrap_or_default(),
        page_size: 0,
        page_token: String::new(),
    }
}

fn as_json(accesses: &[v1::Access], more: bool, receipts: &[Vec<u8>]) -> Value {
    let accesses: Vec<_> = accesses.iter().map(|access| json::of("Access", access)).collect();
    let receipts: Vec<_> = receipts.iter().map(hex::encode).collect();
    json!({"accesses": accesses, "more": more, "receipts": receipts})
}

fn as_text(accesses: &[v1::Access], more: bool, receipts: &[Vec<u8>]) -> String {
    let mut table = Table::with_heading([
        "recorded",
        "person",
        "roles",
        "operation",
        "purpose",
        "outcome",
        "patient",
        "from",
        "receipt",
    ]);
    for access in accesses {
        let who = if access.person.is_empty() { &access.service } else { &access.person };
        let operation = access.operation.rsplit('/').next().unwrap_or_default();
        table.row([
            time::short(access.recorded_at.as_ref()),
            if access.unreadable { "(cannot be opened)".to_owned() } else { who.clone() },
            access.roles.join(" "),
            operation.to_owned(),
            access.purpose_of_use.clone(),
            access.outcome.clone(),
            access.patient_id.clone(),
            access.network.clone(),
            hex::encode(access.hash.get(..8).unwrap_or_default()),
        ]);
    }
    let count = match accesses.len() {
        1 => "1 access".to_owned(),
        many => format!("{many} accesses"),
    };
    let rest =
        if more { "; there are more, older ones: raise --limit or narrow the filter" } else { "" };
    let mut text = format!("{}\n{count}{rest}\n", table.lines(""));
    for receipt in receipts {
        text.push_str(&format!("receipt {}\n", hex::encode(receipt)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_who_why_and_that_there_is_more() {
        let access = v1::Access {
            person: "jdoe".to_owned(),
            roles: vec!["nurse".to_owned()],
            operation: "PatientFileService/GetPatientFile".to_owned(),
            purpose_of_use: "TREAT".to_owned(),
            outcome: "shown".to_owned(),
            hash: vec![1; 32],
            ..Default::default()
        };
        let closed = v1::Access { unreadable: true, ..Default::default() };
        let text = as_text(&[access.clone(), closed], true, &[vec![2; 32]]);
        assert!(text.contains("nurse  GetPatientFile  TREAT    shown"), "{text}");
        assert!(text.contains("(cannot be opened)"));
        assert!(text.contains("\n2 accesses; there are more"), "{text}");
        let json = as_json(&[access], false, &[vec![2; 32]]);
        assert_eq!(json["accesses"][0]["hash"], "01".repeat(32));
        assert_eq!(json["more"], false);
    }
}
