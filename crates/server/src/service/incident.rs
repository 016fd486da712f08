//! `PrivacyIncidentService`.

use api::v1 as proto;
use api::v1::privacy_incident_service_server::PrivacyIncidentService;
use domain::{DocumentId, PatientId};
use engine::{Failure, IncidentPage, IncidentsPage, Operation};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::{Call, request_id};
use crate::convert::incident::{incident_in, incident_page_out, summary_out};
use crate::convert::values::{all, id_in, required};
use crate::convert::{At, Report};
use crate::pages::Place;

#[tonic::async_trait]
impl PrivacyIncidentService for Services {
    async fn open_incident(
        &self,
        request: Request<proto::OpenIncidentRequest>,
    ) -> Result<Response<proto::OpenIncidentResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.incident_opened(&call, message).await;
        call.answer(answer)
    }

    async fn amend_incident(
        &self,
        request: Request<proto::AmendIncidentRequest>,
    ) -> Result<Response<proto::AmendIncidentResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.incident_amended(&call, message).await;
        call.answer(answer)
    }

    async fn get_incident(
        &self,
        request: Request<proto::GetIncidentRequest>,
    ) -> Result<Response<proto::GetIncidentResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.incident(&call, message).await;
        call.answer(answer)
    }

    async fn list_incidents(
        &self,
        request: Request<proto::ListIncidentsRequest>,
    ) -> Result<Response<proto::ListIncidentsResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.incidents(&call, message).await;
        call.answer(answer)
    }
}

impl Services {
    async fn incident_opened(
        &self,
        call: &Call,
        message: proto::OpenIncidentRequest,
    ) -> Result<proto::OpenIncidentResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::OpenIncident, message.purpose.as_ref(), &message, &mut report);
        let request_id = request_id(&message.request_id, &mut report);
        let at = At::TOP.field("incident");
        let incident = required(message.incident, &at, &mut report, incident_in);
        let ((context, request_id), incident) =
            report.finish(context.zip(request_id).zip(incident))?;
        let filed = self.engine().open_incident(&context, request_id, incident).await?;
        Ok(proto::OpenIncidentResponse {
            incident_id: filed.id.to_string(),
            position: filed.position,
            repeated_request: !filed.first,
        })
    }

    async fn incident_amended(
        &self,
        call: &Call,
        message: proto::AmendIncidentRequest,
    ) -> Result<proto::AmendIncidentResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::AmendIncident, message.purpose.as_ref(), &message, &mut report);
        let request_id = request_id(&message.request_id, &mut report);
        let id = id_in(&message.incident_id, &At::TOP.field("incident_id"), &mut report);
        if message.expected_revision == 0 {
            report.missing(&At::TOP.field("expected_revision"));
        }
        let at = At::TOP.field("incident");
        let incident = required(message.incident, &at, &mut report, incident_in);
        let asked = context.zip(request_id).zip(id.zip(incident));
        let ((context, request_id), (id, incident)) = report.finish(asked)?;
        let (id, revision) = (DocumentId(id), message.expected_revision);
        let filed = self
            .engine()
            .amend_incident(&context, request_id, id, revision, incident, &message.reason)
            .await?;
        Ok(proto::AmendIncidentResponse {
            position: filed.position,
            repeated_request: !filed.first,
        })
    }

    async fn incident(
        &self,
        call: &Call,
        message: proto::GetIncidentRequest,
    ) -> Result<proto::GetIncidentResponse, Failure> {
        const OPERATION: Operation = Operation::GetIncident;
        let mut report = Report::default();
        let context = call.context(OPERATION, message.purpose.as_ref(), &message, &mut report);
        let id = id_in(&message.incident_id, &At::TOP.field("incident_id"), &mut report);
        let pages = self.pages()?;
        let page = pages.asked(call.caller(), OPERATION, message, &mut report);
        let (context, id) = report.finish(context.zip(id))?;
        let after = page.start.as_ref().map(Place::id).transpose()?.map(PatientId);
        let from = (after, page.start.as_ref().map(|start| start.position));
        let id = DocumentId(id);
        let shown = self.engine().get_incident(&context, id, from, page.size, incident_out).await?;
        let (answer, next) = shown.answer;
        let next = next.map(|after| after.0.to_vec());
        Ok(proto::GetIncidentResponse {
            next_page_token: page.next(&pages, call.caller(), shown.position, next)?,
            position: shown.position,
            receipt: receipt(shown.receipt),
            ..answer
        })
    }

    async fn incidents(
        &self,
        call: &Call,
        message: proto::ListIncidentsRequest,
    ) -> Result<proto::ListIncidentsResponse, Failure> {
        const OPERATION: Operation = Operation::ListIncidents;
        let mut report = Report::default();
        let context = call.context(OPERATION, message.purpose.as_ref(), &message, &mut report);
        let pages = self.pages()?;
        let open_only = message.open_only;
        let page = pages.asked(call.caller(), OPERATION, message, &mut report);
        let context = report.finish(context)?;
        let after = page.start.as_ref().map(Place::id).transpose()?.map(DocumentId);
        let shown = self
            .engine()
            .list_incidents(&context, open_only, after, page.size, incidents_out)
            .await?;
        let (answer, next) = shown.answer;
        let next = next.map(|after| after.0.to_vec());
        Ok(proto::ListIncidentsResponse {
            next_page_token: page.next(&pages, call.caller(), shown.position, next)?,
            position: shown.position,
            receipt: receipt(shown.receipt),
            ..answer
        })
    }
}

type One = (proto::GetIncidentResponse, Option<PatientId>);

pub(super) fn incident_out(from: &IncidentPage) -> (One, Vec<u8>) {
    let (incident, affected_patient_ids) = incident_page_out(from);
    let shown = proto::GetIncidentResponse {
        incident: Some(incident),
        affected_patient_ids,
        ..Default::default()
    };
    let bytes = shown.encode_to_vec();
    ((shown, from.next), bytes)
}

type Several = (proto::ListIncidentsResponse, Option<DocumentId>);

pub(super) fn incidents_out(from: &IncidentsPage) -> (Several, Vec<u8>) {
    let incidents = all(&from.items, summary_out);
    let shown = proto::ListIncidentsResponse { incidents, ..Default::default() };
    let bytes = shown.encode_to_vec();
    ((shown, from.next), bytes)
}
