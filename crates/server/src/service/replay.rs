//! `AuditService.Replay`: requests of then read as they were read then, answers rendered as then.
//!
//! A record says in which form it was answered. Form 2 has masked entries; where nothing is masked its bytes are those
//! of form 1, so that both are rendered here. A form that renders otherwise keeps this one beside it.

mod documents;

use api::Any;
use api::v1 as proto;
use engine::{Asked, Caller, Failure, Operation, Replayed};
use prost::{Message, Name};
use schema::AccessRecord;

use super::audit::{accesses_out, list_asked};
use super::patient_file::{file_asked, file_out, history_out};
use super::{Services, receipt};
use crate::call::Call;
use crate::convert::audit::access_out;
use crate::convert::event::filed_out;
use crate::convert::{At, Report};
use documents::{documents_asked, documents_out};

impl Services {
    pub(super) async fn shown_then(
        &self,
        call: &Call,
        message: &proto::ReplayRequest,
    ) -> Result<proto::ReplayResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::Replay, message.purpose.as_ref(), message, &mut report);
        if message.position == 0 {
            report.missing(&At::TOP.field("position"));
        }
        let context = report.finish(context)?;
        let asked = |record: &AccessRecord| self.asked_then(record);
        let shown = self.engine().replay(&context, message.position, asked, replayed_out).await?;
        let (access, answer) = shown.answer;
        Ok(proto::ReplayResponse {
            access: Some(access_out(&access)),
            answer,
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    /// What the request of an access asked for.
    pub(super) fn asked_then(&self, record: &AccessRecord) -> Result<Asked, Failure> {
        let pages = self.pages()?;
        let caller = caller_then(record);
        let mut report = Report::default();
        let request = record.request.as_slice();
        let operation = Operation::named(&record.operation);
        let asked = if operation == Some(Operation::GetPatientFile) {
            let message = decoded(request)?;
            file_asked(&pages, &caller, message, &mut report).map(|asked| Asked::File(asked.query))
        } else if operation == Some(Operation::ListAccesses) {
            let message = decoded(request)?;
            Some(list_asked(&pages, &caller, message, &mut report).again()?)
        } else if operation == Some(Operation::Replay) {
            let message: proto::ReplayRequest = decoded(request)?;
            Some(Asked::Again(message.position))
        } else {
            documents_asked(&pages, &caller, operation, request, &mut report)?.map(Asked::Documents)
        };
        report.finish(asked).map_err(|_| unreadable())
    }
}

fn decoded<T: Message + Default>(request: &[u8]) -> Result<T, Failure> {
    T::decode(request).map_err(|_| unreadable())
}

fn unreadable() -> Failure {
    Failure::Damaged { what: "the request in an access record".to_owned() }
}

/// Whom page tokens of then were bound to.
fn caller_then(record: &AccessRecord) -> Caller {
    Caller {
        person: record.person.clone(),
        service: record.service.clone(),
        roles: Vec::new(),
        organisation: record.organisation.clone(),
        network: None,
        issuer: None,
    }
}

/// The answer as it was rendered, and the bytes that its digest is of.
fn replayed_out(from: &Replayed) -> (Option<Any>, Vec<u8>) {
    match from {
        Replayed::Nothing => (None, Vec::new()),
        Replayed::File(file) => whole::<proto::PatientFile>(file_out(file).encode_to_vec()),
        Replayed::History(history) => {
            whole::<proto::GetPatientHistoryResponse>(history_out(history).1)
        }
        Replayed::Change(item) => whole::<proto::FiledEvent>(filed_out(item).encode_to_vec()),
        Replayed::Accesses(page) => whole::<proto::ListAccessesResponse>(accesses_out(page).1),
        Replayed::Documents(answer) => documents_out(answer),
        Replayed::Patient(patient) => {
            let told = proto::FindPatientResponse {
                patient_id: patient.to_string(),
                ..Default::default()
            };
            (Some(any::<proto::FindPatientResponse>(told.encode_to_vec())), patient.0.to_vec())
        }
        Replayed::Told(told) => {
            (Some(any::<String>(told.encode_to_vec())), told.as_bytes().to_vec())
        }
    }
}

/// An answer whose digest is of its own bytes.
fn whole<T: Name>(bytes: Vec<u8>) -> (Option<Any>, Vec<u8>) {
    (Some(any::<T>(bytes.clone())), bytes)
}

fn any<T: Name>(value: Vec<u8>) -> Any {
    Any { type_url: T::type_url(), value }
}

#[cfg(test)]
mod tests;
