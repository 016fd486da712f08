//! `caseledger incident`: privacy incidents, from their discovery to their closure.

mod options;
pub(crate) mod text;

use std::process::ExitCode;

use api::v1;
use api::v1::audit_service_client::AuditServiceClient;
use api::v1::privacy_incident_service_client::PrivacyIncidentServiceClient;
use serde_json::json;

use crate::audit::replay::position_of;
use crate::connection::{Authenticated, connect, timed};
use crate::failure::Failure;
use crate::json;
use crate::options::Global;
use crate::output::{Output, one_line};
use crate::purpose::{self, Otherwise};
use crate::request::RequestId;

pub(crate) use options::Incident;
use options::{Access, Amend, Assessment, Close, List, Open, Show, Told};

/// Incidents or patients asked for at a time: the largest page that the server gives.
const PAGE: u32 = 200;

const PURPOSE: Otherwise = Otherwise::Always("HCOMPL");

pub(crate) async fn run(
    global: &Global,
    command: &Incident,
    output: &Output,
) -> Result<ExitCode, Failure> {
    let channel = connect(global).await?;
    let mut desk = Desk {
        incidents: PrivacyIncidentServiceClient::new(channel.clone()),
        audit: AuditServiceClient::new(channel),
        global,
        purpose: purpose::of(global, PURPOSE)?,
    };
    match command {
        Incident::Open(wanted) => desk.open(wanted, output).await,
        Incident::Amend(wanted) => desk.amend(wanted, output).await,
        Incident::Show(wanted) => desk.show(wanted, output).await,
        Incident::List(wanted) => desk.list(wanted, output).await,
        Incident::Close(wanted) => desk.close(wanted, output).await,
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Who works on incidents, and with what.
struct Desk<'a> {
    incidents: PrivacyIncidentServiceClient<Authenticated>,
    audit: AuditServiceClient<Authenticated>,
    global: &'a Global,
    purpose: v1::Purpose,
}

impl Desk<'_> {
    async fn open(&mut self, wanted: &Open, output: &Output) -> Result<(), Failure> {
        let incident = v1::PrivacyIncident {
            title: wanted.title.clone(),
            description: wanted.description.clone(),
            discover_time: Some(wanted.discovered.0),
            access_positions: self.positions(&wanted.access).await?,
            ..v1::PrivacyIncident::default()
        };
        let request_id = wanted.request.get()?;
        let request = v1::OpenIncidentRequest {
            request_id: request_id.clone(),
            purpose: Some(self.purpose.clone()),
            incident: Some(incident),
        };
        let answer = self
            .incidents
            .open_incident(timed(request))
            .await
            .map_err(|status| self.refused("PrivacyIncidentService/OpenIncident", status))
            .map_err(|failure| failure.filing(&request_id))?
            .into_inner();
        output.show(
            || json::of("OpenIncidentResponse", &answer),
            || format!("incident {}", answer.incident_id),
        )
    }

    async fn amend(&mut self, wanted: &Amend, output: &Output) -> Result<(), Failure> {
        let reason = self.reason()?;
        let (mut incident, revision) = self.standing(&wanted.id).await?;
        if let Some(title) = &wanted.title {
            incident.title.clone_from(title);
        }
        if let Some(description) = &wanted.description {
            incident.description.clone_from(description);
        }
        if let Some(discovered) = wanted.discovered {
            incident.discover_time = Some(discovered.0);
        }
        incident.access_positions.extend(self.positions(&wanted.access).await?);
        if let Some(assessment) = &wanted.assessment {
            incident.assessment = Some(assessed(assessment)?);
        }
        incident.notices.extend(wanted.notice.iter().map(Told::notice));
        if wanted.reopen {
            incident.closure.clear();
        }
        self.file((&wanted.id, &wanted.request), incident, revision, reason, output).await
    }

    async fn close(&mut self, wanted: &Close, output: &Output) -> Result<(), Failure> {
        let reason = self.reason()?;
        let (mut incident, revision) = self.standing(&wanted.id).await?;
        incident.closure.clone_from(&reason);
        self.file((&wanted.id, &wanted.request), incident, revision, reason, output).await
    }

    async fn file(
        &mut self,
        (id, request): (&str, &RequestId),
        incident: v1::PrivacyIncident,
        expected_revision: u32,
        reason: String,
        output: &Output,
    ) -> Result<(), Failure> {
        let request_id = request.get()?;
        let request = v1::AmendIncidentRequest {
            request_id: request_id.clone(),
            purpose: Some(self.purpose.clone()),
            incident_id: id.to_ascii_lowercase(),
            incident: Some(incident),
            reason,
            expected_revision,
        };
        let answer = self
            .incidents
            .amend_incident(timed(request))
            .await
            .map_err(|status| self.refused("PrivacyIncidentService/AmendIncident", status))
            .map_err(|failure| failure.filing(&request_id))?
            .into_inner();
        output.show(
            || json::of("AmendIncidentResponse", &answer),
            || format!("revision {} is on file", expected_revision + 1),
        )
    }

    async fn show(&mut self, wanted: &Show, output: &Output) -> Result<(), Failure> {
        let mut request = v1::GetIncidentRequest {
            purpose: Some(self.purpose.clone()),
            incident_id: wanted.id.to_ascii_lowercase(),
            page_size: PAGE,
            page_token: String::new(),
        };
        let (mut patients, mut receipts) = (Vec::new(), Vec::new());
        let state = loop {
            let page = self.get(request.clone()).await?;
            patients.extend(page.affected_patient_ids);
            receipts.push(hex::encode(page.receipt));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break page.incident.unwrap_or_default();
            }
        };
        output.show(
            || {
                json!({
                    "incident": json::of("IncidentState", &state),
                    "affected_patient_ids": patients,
                    "receipts": receipts,
                })
            },
            || text::shown(&state, &patients, &receipts),
        )
    }

    async fn list(&mut self, wanted: &List, output: &Output) -> Result<(), Failure> {
        let mut request = v1::ListIncidentsRequest {
            purpose: Some(self.purpose.clone()),
            open_only: !wanted.all,
            page_size: PAGE,
            page_token: String::new(),
        };
        let (mut found, mut receipts) = (Vec::new(), Vec::new());
        loop {
            let page = self
                .incidents
                .list_incidents(timed(request.clone()))
                .await
                .map_err(|status| self.refused("PrivacyIncidentService/ListIncidents", status))?
                .into_inner();
            found.extend(page.incidents);
            receipts.push(hex::encode(page.receipt));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        output.show(
            || {
                let all: Vec<_> =
                    found.iter().map(|one| json::of("IncidentSummary", one)).collect();
                json!({"incidents": all, "receipts": receipts})
            },
            || text::listed(&found, &receipts),
        )
    }

    /// The incident as it stands, and its revision.
    async fn standing(&mut self, id: &str) -> Result<(v1::PrivacyIncident, u32), Failure> {
        let request = v1::GetIncidentRequest {
            purpose: Some(self.purpose.clone()),
            incident_id: id.to_ascii_lowercase(),
            page_size: 1,
            page_token: String::new(),
        };
        let state = self.get(request).await?.incident.unwrap_or_default();
        Ok((state.incident.unwrap_or_default(), state.revision))
    }

    async fn get(
        &mut self,
        request: v1::GetIncidentRequest,
    ) -> Result<v1::GetIncidentResponse, Failure> {
        let answer = self.incidents.get_incident(timed(request)).await;
        let answer =
            answer.map_err(|status| self.refused("PrivacyIncidentService/GetIncident", status))?;
        Ok(answer.into_inner())
    }

    /// Where these accesses stand; a receipt is looked up, which is recorded.
    async fn positions(&mut self, accesses: &[Access]) -> Result<Vec<u64>, Failure> {
        let mut positions = Vec::with_capacity(accesses.len());
        for access in accesses {
            positions.push(match access {
                Access::Position(position) => *position,
                Access::Receipt(receipt) => {
                    position_of(&mut self.audit, self.global, &self.purpose, receipt).await?
                }
            });
        }
        Ok(positions)
    }

    /// Why it is changed: what was typed as the reason of the call.
    fn reason(&self) -> Result<String, Failure> {
        let missing = || Failure::Usage("say with --reason why it is changed".to_owned());
        self.global.reason.clone().ok_or_else(missing)
    }

    fn refused(&self, call: &'static str, status: tonic::Status) -> Failure {
        Failure::of(&self.global.server, call, status)
    }
}

/// The assessment as it was written down.
fn assessed(file: &Assessment) -> Result<v1::RiskAssessment, Failure> {
    let name = file.0.display();
    let text = std::fs::read_to_string(&file.0)
        .map_err(|error| Failure::local(format!("read {name}"), error))?;
    options::assessment(&text).map_err(|why| {
        let sample = "caseledger incident amend --help has a sample";
        Failure::Usage(format!("--assessment {}: {why}; {sample}", one_line(&name.to_string())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assessment_that_cannot_be_read_is_named_and_a_sample_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("risk.json");
        std::fs::write(&file, r#"{"nature": "low"}"#).unwrap();
        let told = assessed(&Assessment(file)).unwrap_err().report();
        for part in ["risk.json: ", "an object with level and text", "amend --help"] {
            assert!(told.contains(part), "{told}");
        }
    }
}
