//! `StaffService`.

use api::v1 as proto;
use api::v1::staff_service_server::StaffService;
use domain::{DocumentState, PatientId, PractitionerRole};
use engine::{Failure, Operation, StaffPage};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::{Call, request_id};
use crate::convert::staff::{practitioner_role_in, practitioner_role_out};
use crate::convert::values::{patient_in, required, text};
use crate::convert::{At, Report};
use crate::pages::Place;

#[tonic::async_trait]
impl StaffService for Services {
    async fn put_practitioner_role(
        &self,
        request: Request<proto::PutPractitionerRoleRequest>,
    ) -> Result<Response<proto::PutPractitionerRoleResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.put_role(&call, message).await;
        call.answer(answer)
    }

    async fn get_practitioner_role(
        &self,
        request: Request<proto::GetPractitionerRoleRequest>,
    ) -> Result<Response<proto::GetPractitionerRoleResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.role(&call, &message).await;
        call.answer(answer)
    }

    async fn list_practitioner_roles(
        &self,
        request: Request<proto::ListPractitionerRolesRequest>,
    ) -> Result<Response<proto::ListPractitionerRolesResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.roles(&call, message).await;
        call.answer(answer)
    }

    async fn link_own_file(
        &self,
        request: Request<proto::LinkOwnFileRequest>,
    ) -> Result<Response<proto::LinkOwnFileResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.link(&call, &message).await;
        call.answer(answer)
    }

    async fn get_own_file(
        &self,
        request: Request<proto::GetOwnFileRequest>,
    ) -> Result<Response<proto::GetOwnFileResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.own_file(&call, &message).await;
        call.answer(answer)
    }
}

impl Services {
    async fn put_role(
        &self,
        call: &Call,
        mut message: proto::PutPractitionerRoleRequest,
    ) -> Result<proto::PutPractitionerRoleResponse, Failure> {
        let mut report = Report::default();
        let operation = Operation::PutPractitionerRole;
        let context = call.context(operation, message.purpose.as_ref(), &message, &mut report);
        let request_id = request_id(&message.request_id, &mut report);
        let at = At::TOP.field("practitioner_role");
        let role =
            required(message.practitioner_role.take(), &at, &mut report, practitioner_role_in);
        let asked = context.zip(request_id).zip(role);
        let ((context, request_id), role) = report.finish(asked)?;
        let filed = self.engine().put_practitioner_role(&context, request_id, role).await?;
        Ok(proto::PutPractitionerRoleResponse { position: filed.position })
    }

    async fn role(
        &self,
        call: &Call,
        message: &proto::GetPractitionerRoleRequest,
    ) -> Result<proto::GetPractitionerRoleResponse, Failure> {
        let mut report = Report::default();
        let operation = Operation::GetPractitionerRole;
        let context = call.context(operation, message.purpose.as_ref(), message, &mut report);
        let person = named(&message.person, &mut report);
        let (context, person) = report.finish(context.zip(person))?;
        let shown = self.engine().read_practitioner_role(&context, person, person_out).await?;
        Ok(proto::GetPractitionerRoleResponse {
            state: Some(shown.answer),
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn roles(
        &self,
        call: &Call,
        message: proto::ListPractitionerRolesRequest,
    ) -> Result<proto::ListPractitionerRolesResponse, Failure> {
        let mut report = Report::default();
        let operation = Operation::ListPractitionerRoles;
        let context = call.context(operation, message.purpose.as_ref(), &message, &mut report);
        let pages = self.pages()?;
        let page = pages.asked(call.caller(), operation, message, &mut report);
        let context = report.finish(context)?;
        let after = page.start.as_ref().map(Place::text).transpose()?;
        let from = (after.as_deref(), page.start.as_ref().map(|start| start.position));
        let shown =
            self.engine().list_practitioner_roles(&context, from, page.size, people_out).await?;
        let (states, next) = shown.answer;
        let next = next.map(String::into_bytes);
        Ok(proto::ListPractitionerRolesResponse {
            states,
            next_page_token: page.next(&pages, call.caller(), shown.position, next)?,
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn link(
        &self,
        call: &Call,
        message: &proto::LinkOwnFileRequest,
    ) -> Result<proto::LinkOwnFileResponse, Failure> {
        let mut report = Report::default();
        let operation = Operation::LinkOwnFile;
        let context = call.context(operation, message.purpose.as_ref(), message, &mut report);
        let request_id = request_id(&message.request_id, &mut report);
        let person = named(&message.person, &mut report);
        let patient = text(message.patient_id.clone())
            .and_then(|id| patient_in(&id, &At::TOP.field("patient_id"), &mut report));
        let asked = context.zip(request_id).zip(person);
        let ((context, request_id), person) = report.finish(asked)?;
        let filed = self.engine().link_own_file(&context, request_id, person, patient).await?;
        Ok(proto::LinkOwnFileResponse { position: filed.position })
    }

    async fn own_file(
        &self,
        call: &Call,
        message: &proto::GetOwnFileRequest,
    ) -> Result<proto::GetOwnFileResponse, Failure> {
        let mut report = Report::default();
        let operation = Operation::GetOwnFile;
        let context = call.context(operation, message.purpose.as_ref(), message, &mut report);
        let person = named(&message.person, &mut report);
        let (context, person) = report.finish(context.zip(person))?;
        let shown = self
            .engine()
            .read_own_file(&context, person, |patient: PatientId| (patient, patient.0.to_vec()));
        let shown = shown.await?;
        Ok(proto::GetOwnFileResponse {
            patient_id: shown.answer.to_string(),
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }
}

/// The person whom a request names.
fn named<'a>(person: &'a str, report: &mut Report) -> Option<&'a str> {
    if person.is_empty() {
        report.missing(&At::TOP.field("person"));
    }
    (!person.is_empty()).then_some(person)
}

pub(super) fn person_out(
    role: &PractitionerRole,
    state: &DocumentState,
) -> (proto::PractitionerRoleState, Vec<u8>) {
    let state = practitioner_role_out(role, state);
    let bytes = state.encode_to_vec();
    (state, bytes)
}

type Page = (Vec<proto::PractitionerRoleState>, Option<String>);

pub(super) fn people_out(page: &StaffPage) -> (Page, Vec<u8>) {
    let states = page.people.iter().map(|(role, state)| practitioner_role_out(role, state));
    let shown =
        proto::ListPractitionerRolesResponse { states: states.collect(), ..Default::default() };
    let bytes = shown.encode_to_vec();
    ((shown.states, page.next.clone()), bytes)
}
