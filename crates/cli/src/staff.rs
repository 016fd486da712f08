//! `caseledger staff`: who works at the hospital.

pub(crate) mod options;

use std::process::ExitCode;

use api::v1;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use api::v1::staff_service_client::StaffServiceClient;
use serde_json::{Value, json};
use tonic::Code;

use crate::connection::{Authenticated, connect, timed};
use crate::failure::Failure;
use crate::options::Global;
use crate::output::{Output, Table};
use crate::purpose::{self, Otherwise};
use crate::{json, patient, time};
use options::{OwnFile, Person, Staff, StaffList, StaffPut};

/// People asked for at a time: the largest page that the server gives.
const PAGE: usize = 200;

const PURPOSE: Otherwise = Otherwise::Always("HOPERAT");

type Client = StaffServiceClient<Authenticated>;

pub(crate) async fn run(
    global: &Global,
    staff: &Staff,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let purpose = purpose::of(global, PURPOSE)?;
    let channel = connect(global).await?;
    let client = StaffServiceClient::new(channel.clone());
    match staff {
        Staff::List(wanted) => list(client, global, purpose, wanted, output).await?,
        Staff::Show(person) => show(client, global, purpose, person, output).await?,
        Staff::Put(wanted) => put(client, global, purpose, wanted, output).await?,
        Staff::OwnFile(wanted) if wanted.patient.is_none() && !wanted.none => {
            own_file(client, global, purpose, &wanted.person, output).await?;
        }
        Staff::OwnFile(wanted) => {
            if global.reason.is_none() {
                return Err(Failure::Usage("say with --reason why it is filed".to_owned()));
            }
            let patient_id = match &wanted.patient {
                None => String::new(),
                Some(typed) => {
                    let named = patient::parse(typed, &wanted.issuer.issuer)?;
                    let mut files = PatientFileServiceClient::new(channel);
                    patient::resolve(&mut files, global, purpose.clone(), named).await?
                }
            };
            link(client, global, purpose, wanted, patient_id, output).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(
    mut client: Client,
    global: &Global,
    purpose: v1::Purpose,
    wanted: &StaffList,
    output: &Output,
) -> Result<(), Failure> {
    let (mut people, mut receipts) = (Vec::new(), Vec::new());
    let mut request = v1::ListPractitionerRolesRequest {
        purpose: Some(purpose),
        page_size: 0,
        page_token: String::new(),
    };
    let more = loop {
        let missing = wanted.limit.saturating_sub(people.len()).min(PAGE);
        request.page_size = u32::try_from(missing).unwrap_or(u32::MAX);
        let page = client.list_practitioner_roles(timed(request.clone())).await;
        let page =
            page.map_err(|status| failed(global, "StaffService/ListPractitionerRoles", status))?;
        let page = page.into_inner();
        people.extend(page.states);
        receipts.push(page.receipt);
        request.page_token = page.next_page_token;
        let more = !request.page_token.is_empty();
        if !more || people.len() >= wanted.limit {
            break more;
        }
    };
    let told = || {
        let mut text = table(&people);
        if more {
            text.push_str("\nthere are more: raise --limit\n");
        }
        text
    };
    output.show(|| all_json(&people, more, &receipts), told)
}

async fn show(
    mut client: Client,
    global: &Global,
    purpose: v1::Purpose,
    Person { person }: &Person,
    output: &Output,
) -> Result<(), Failure> {
    let person = person.clone();
    let request = v1::GetPractitionerRoleRequest { purpose: Some(purpose), person };
    let answer = client.get_practitioner_role(timed(request)).await;
    let answer =
        answer.map_err(|status| failed(global, "StaffService/GetPractitionerRole", status))?;
    let answer = answer.into_inner();
    let told = || table(answer.state.as_slice());
    output.show(|| json::of("GetPractitionerRoleResponse", &answer), told)
}

async fn put(
    mut client: Client,
    global: &Global,
    purpose: v1::Purpose,
    wanted: &StaffPut,
    output: &Output,
) -> Result<(), Failure> {
    let period = v1::Period { start: wanted.from.clone(), end: wanted.until.clone() };
    let role = v1::PractitionerRole {
        person: wanted.person.person.clone(),
        name: wanted.name.clone(),
        references: wanted.reference.clone(),
        roles: wanted.role.clone(),
        units: wanted.unit.clone(),
        organization: wanted.organization.clone(),
        period: (period != v1::Period::default()).then_some(period),
        duties: wanted.on_call.clone(),
    };
    let request_id = wanted.request.get()?;
    let request = v1::PutPractitionerRoleRequest {
        request_id: request_id.clone(),
        purpose: Some(purpose),
        practitioner_role: Some(role),
    };
    let answer = client.put_practitioner_role(timed(request)).await;
    let answer = answer
        .map_err(|status| failed(global, "StaffService/PutPractitionerRole", status))
        .map_err(|failure| failure.filing(&request_id))?
        .into_inner();
    let told = || format!("filed: {}", wanted.person.person);
    output.show(|| json::of("PutPractitionerRoleResponse", &answer), told)
}

async fn link(
    mut client: Client,
    global: &Global,
    purpose: v1::Purpose,
    wanted: &OwnFile,
    patient_id: String,
    output: &Output,
) -> Result<(), Failure> {
    let request_id = wanted.request.get()?;
    let request = v1::LinkOwnFileRequest {
        request_id: request_id.clone(),
        purpose: Some(purpose),
        person: wanted.person.person.clone(),
        patient_id,
    };
    let answer = client.link_own_file(timed(request)).await;
    let answer = answer
        .map_err(|status| failed(global, "StaffService/LinkOwnFile", status))
        .map_err(|failure| failure.filing(&request_id))?
        .into_inner();
    let told = || match &wanted.patient {
        Some(_) => format!("filed: the file is closed to {}", wanted.person.person),
        None => format!("filed: {} is no patient here", wanted.person.person),
    };
    output.show(|| json::of("LinkOwnFileResponse", &answer), told)
}

async fn own_file(
    mut client: Client,
    global: &Global,
    purpose: v1::Purpose,
    Person { person }: &Person,
    output: &Output,
) -> Result<(), Failure> {
    let request = v1::GetOwnFileRequest { purpose: Some(purpose), person: person.clone() };
    match client.get_own_file(timed(request)).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            output.show(|| json::of("GetOwnFileResponse", &answer), || answer.patient_id.clone())
        }
        // An answer like any other, and what most people have.
        Err(status) if status.code() == Code::NotFound => {
            output.show(|| json!({"patient_id": ""}), || unlinked(person))
        }
        Err(status) => Err(failed(global, "StaffService/GetOwnFile", status)),
    }
}

/// Also said of who is not in the directory: the server does not tell the two apart.
fn unlinked(person: &str) -> String {
    format!(
        "no patient file is linked to {person}; whether they are in the directory:  caseledger staff show \
         {person}"
    )
}

fn failed(global: &Global, call: &'static str, status: tonic::Status) -> Failure {
    Failure::of(&global.server, call, status)
}

fn all_json(people: &[v1::PractitionerRoleState], more: bool, receipts: &[Vec<u8>]) -> Value {
    let people: Vec<_> = people.iter().map(|one| json::of("PractitionerRoleState", one)).collect();
    let receipts: Vec<_> = receipts.iter().map(hex::encode).collect();
    json!({"people": people, "more": more, "receipts": receipts})
}

/// People as the directory has them.
pub(crate) fn table(people: &[v1::PractitionerRoleState]) -> String {
    let mut table = Table::with_heading([
        "person",
        "name",
        "roles",
        "units",
        "on call",
        "organization",
        "employed",
        "filed",
        "by",
    ]);
    for state in people {
        let role = state.practitioner_role.clone().unwrap_or_default();
        let period = role.period.unwrap_or_default();
        let employed = match (period.start.is_empty(), period.end.is_empty()) {
            (_, true) => period.start,
            (true, false) => format!("until {}", period.end),
            (false, false) => format!("{} to {}", period.start, period.end),
        };
        table.row([
            role.person,
            role.name,
            role.roles.join(" "),
            role.units.join(" "),
            role.duties.iter().map(duty).collect::<Vec<_>>().join(" "),
            role.organization,
            employed,
            time::short(state.changed_at.as_ref()),
            state.changed_by.clone(),
        ]);
    }
    table.lines("")
}

/// As it is typed.
fn duty(duty: &v1::Duty) -> String {
    let period = duty.period.clone().unwrap_or_default();
    format!("{}={}/{}", duty.unit, period.start, period.end)
}
