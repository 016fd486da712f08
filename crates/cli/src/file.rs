//! `caseledger file show` and `caseledger file history`.

mod text;

use std::process::ExitCode;

use api::v1;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::connection::{Authenticated, connect, timed};
use crate::failure::Failure;
use crate::json;
use crate::options::{FileHistory, FileShow, Global, Kind};
use crate::output::Output;
use crate::patient;
use crate::purpose::{self, Otherwise};
use crate::time::AsOf;

/// Entries and records asked for at a time: the largest page that the server gives.
const PAGE: u32 = 200;

/// A file, its pages put together.
#[derive(Debug, Default)]
struct Shown {
    file: v1::PatientFile,
    position: u64,
    receipts: Vec<Vec<u8>>,
}

pub(crate) async fn show(
    global: &Global,
    wanted: &FileShow,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let named = patient::parse(&wanted.patient.patient, &wanted.patient.issuer.issuer)?;
    let mut client = PatientFileServiceClient::new(connect(global).await?);
    let purpose = purpose::of(global, Otherwise::ByRole)?;
    let patient_id = patient::resolve(&mut client, global, purpose.clone(), named).await?;
    let shown =
        pages(&mut client, request(wanted, patient_id, purpose)).await.map_err(|status| {
            Failure::of(&global.server, "PatientFileService/GetPatientFile", status)
        })?;
    output.show(|| show_json(&shown), || text::file(&shown, wanted.as_of.is_some()))?;
    Ok(ExitCode::SUCCESS)
}

/// One page of a file as it was shown once, for people.
pub(crate) fn page_text(file: v1::PatientFile, position: u64) -> String {
    text::file(&Shown { file, position, receipts: Vec::new() }, true)
}

/// Changes of a file as they were shown once, for people.
pub(crate) fn history_text(patient_id: &str, events: &[v1::FiledEvent]) -> String {
    text::history(patient_id, events, &[], None)
}

async fn pages(
    client: &mut PatientFileServiceClient<Authenticated>,
    mut request: v1::GetPatientFileRequest,
) -> Result<Shown, Status> {
    let mut shown = Shown::default();
    loop {
        let page = client.get_patient_file(timed(request.clone())).await?.into_inner();
        request.page_token = page.next_page_token.clone();
        add(&mut shown, page);
        if request.page_token.is_empty() {
            return Ok(shown);
        }
    }
}

/// All of a file as it is now, with what was taken back; none when there is no such file.
pub(crate) async fn whole(
    client: &mut PatientFileServiceClient<Authenticated>,
    global: &Global,
    patient_id: &str,
    purpose: &v1::Purpose,
) -> Result<Option<v1::PatientFile>, Failure> {
    let request = v1::GetPatientFileRequest {
        patient_id: patient_id.to_owned(),
        purpose: Some(purpose.clone()),
        include_retracted: true,
        page_size: PAGE,
        ..v1::GetPatientFileRequest::default()
    };
    match pages(client, request).await {
        Ok(shown) => Ok(Some(shown.file)),
        Err(status) if status.code() == Code::NotFound => Ok(None),
        Err(status) => {
            Err(Failure::of(&global.server, "PatientFileService/GetPatientFile", status))
        }
    }
}

fn request(
    wanted: &FileShow,
    patient_id: String,
    purpose: v1::Purpose,
) -> v1::GetPatientFileRequest {
    use v1::get_patient_file_request::AsOf as Wanted;
    v1::GetPatientFileRequest {
        patient_id,
        purpose: Some(purpose),
        as_of: wanted.as_of.map(|state| match state {
            AsOf::Version(version) => Wanted::Version(version),
            AsOf::Time(moment) => Wanted::Time(moment.0),
        }),
        at_least_position: wanted.at_least,
        kinds: wanted.kind.iter().map(|kind| wire(*kind).into()).collect(),
        include_retracted: wanted.retracted,
        page_size: PAGE,
        page_token: String::new(),
    }
}

fn wire(kind: Kind) -> v1::Kind {
    match kind {
        Kind::Encounter => v1::Kind::Encounter,
        Kind::AllergyIntolerance => v1::Kind::AllergyIntolerance,
        Kind::Condition => v1::Kind::Condition,
        Kind::MedicationRequest => v1::Kind::MedicationRequest,
        Kind::Procedure => v1::Kind::Procedure,
        Kind::Observation => v1::Kind::Observation,
        Kind::Immunization => v1::Kind::Immunization,
        Kind::Note => v1::Kind::Note,
        Kind::CareTeam => v1::Kind::CareTeam,
        Kind::Consent => v1::Kind::Consent,
        Kind::ServiceRequest => v1::Kind::ServiceRequest,
        Kind::Task => v1::Kind::Task,
    }
}

/// Puts a page behind the others; the first says who it is.
fn add(shown: &mut Shown, page: v1::GetPatientFileResponse) {
    let mut file = page.file.unwrap_or_default();
    shown.position = page.position;
    shown.receipts.push(page.receipt);
    if shown.receipts.len() == 1 {
        shown.file = file;
    } else {
        shown.file.entries.append(&mut file.entries);
        shown.file.unreadable_positions.append(&mut file.unreadable_positions);
        shown.file.unreadable_positions.sort_unstable();
        shown.file.unreadable_positions.dedup();
    }
}

fn show_json(shown: &Shown) -> Value {
    let receipts: Vec<_> = shown.receipts.iter().map(hex::encode).collect();
    json!({
        "file": json::of("PatientFile", &shown.file),
        "position": shown.position,
        "receipts": receipts,
    })
}

pub(crate) async fn history(
    global: &Global,
    wanted: &FileHistory,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let named = patient::parse(&wanted.patient.patient, &wanted.patient.issuer.issuer)?;
    let mut client = PatientFileServiceClient::new(connect(global).await?);
    let purpose = purpose::of(global, Otherwise::ByRole)?;
    let patient_id = patient::resolve(&mut client, global, purpose.clone(), named).await?;
    let mut request = v1::GetPatientHistoryRequest {
        patient_id: patient_id.clone(),
        purpose: Some(purpose),
        from_version: wanted.from_version,
        page_size: PAGE,
        page_token: String::new(),
    };
    let (mut events, mut receipts) = (Vec::new(), Vec::new());
    let position = loop {
        let page = client
            .get_patient_history(timed(request.clone()))
            .await
            .map_err(|status| {
                Failure::of(&global.server, "PatientFileService/GetPatientHistory", status)
            })?
            .into_inner();
        events.extend(page.events);
        receipts.push(page.receipt);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break page.position;
        }
    };
    let versions = if events.is_empty() {
        let (version, receipt) = version_of(&mut client, global, &request).await?;
        receipts.push(receipt);
        Some(version)
    } else {
        None
    };
    output.show(
        || history_json(&patient_id, &events, position, &receipts, versions),
        || text::history(&patient_id, &events, &receipts, versions),
    )?;
    Ok(ExitCode::SUCCESS)
}

/// How many versions the file has, for who asked beyond them. This reading is recorded too.
async fn version_of(
    client: &mut PatientFileServiceClient<Authenticated>,
    global: &Global,
    asked: &v1::GetPatientHistoryRequest,
) -> Result<(u64, Vec<u8>), Failure> {
    let request = v1::GetPatientFileRequest {
        patient_id: asked.patient_id.clone(),
        purpose: asked.purpose.clone(),
        page_size: 1,
        ..Default::default()
    };
    let answer = client
        .get_patient_file(timed(request))
        .await
        .map_err(|status| Failure::of(&global.server, "PatientFileService/GetPatientFile", status))?
        .into_inner();
    Ok((answer.file.unwrap_or_default().version, answer.receipt))
}

fn history_json(
    patient_id: &str,
    events: &[v1::FiledEvent],
    position: u64,
    receipts: &[Vec<u8>],
    versions: Option<u64>,
) -> Value {
    let events: Vec<_> = events.iter().map(|event| json::of("FiledEvent", event)).collect();
    let receipts: Vec<_> = receipts.iter().map(hex::encode).collect();
    let mut history = json!({
        "patient_id": patient_id,
        "events": events,
        "position": position,
        "receipts": receipts,
    });
    if let (Some(versions), Some(fields)) = (versions, history.as_object_mut()) {
        fields.insert("versions".to_owned(), Value::from(versions));
    }
    history
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(entries: &[&str], receipt: u8) -> v1::GetPatientFileResponse {
        let state = |id: &&str| v1::EntryState { entry_id: (*id).to_owned(), ..Default::default() };
        v1::GetPatientFileResponse {
            file: Some(v1::PatientFile {
                patient_id: "p".to_owned(),
                entries: entries.iter().map(state).collect(),
                unreadable_positions: vec![7],
                ..Default::default()
            }),
            position: u64::from(receipt),
            receipt: vec![receipt],
            ..Default::default()
        }
    }

    #[test]
    fn pages_are_put_together_and_every_receipt_is_kept() {
        let mut shown = Shown::default();
        add(&mut shown, page(&["a", "b"], 1));
        add(&mut shown, page(&["c"], 2));
        let json = show_json(&shown);
        assert_eq!(json["file"]["entries"].as_array().unwrap().len(), 3);
        assert_eq!(json["file"]["unreadable_positions"], json!([7]));
        assert_eq!(json["receipts"], json!(["01", "02"]));
        assert_eq!(json["position"], 2);
    }
}
