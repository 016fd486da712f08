//! `PatientFileService`.

use std::pin::Pin;

use api::encoded;
use api::v1 as proto;
use api::v1::patient_file_service_server::PatientFileService;
use domain::PatientId;
use engine::{AsOf, Caller, FileAnswer, FileQuery, Filed, HistoryAnswer, Operation, Settlement};
use engine::{Failure, WatchItem};
use futures::{Stream, StreamExt};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::{Call, request_id};
use crate::convert::command::{Places, changes_in, identity_at};
use crate::convert::entry::{kinds_in, shown_out};
use crate::convert::event::filed_out;
use crate::convert::identity::{identity_in, identity_out};
use crate::convert::values::{all, finding_out, patient_in, required, stamp_out, time_in};
use crate::convert::{At, Report};
use crate::pages::{PageAsked, Pages, Place};
use crate::stream::{self, Out};

#[tonic::async_trait]
impl PatientFileService for Services {
    async fn register_patient(
        &self,
        request: Request<proto::RegisterPatientRequest>,
    ) -> Result<Response<proto::RegisterPatientResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.register(&call, message).await;
        call.answer(answer)
    }

    async fn contribute(
        &self,
        request: Request<proto::ContributeRequest>,
    ) -> Result<Response<proto::ContributeResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.file_changes(&call, message).await;
        call.answer(answer)
    }

    async fn settle_request(
        &self,
        request: Request<proto::SettleRequestRequest>,
    ) -> Result<Response<proto::SettleRequestResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.settle(&call, &message).await;
        call.answer(answer)
    }

    async fn get_patient_file(
        &self,
        request: Request<proto::GetPatientFileRequest>,
    ) -> Result<Response<encoded::GetPatientFileResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.file(&call, message).await;
        call.answer(answer)
    }

    async fn get_patient_history(
        &self,
        request: Request<proto::GetPatientHistoryRequest>,
    ) -> Result<Response<proto::GetPatientHistoryResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.history(&call, message).await;
        call.answer(answer)
    }

    async fn find_patient(
        &self,
        request: Request<proto::FindPatientRequest>,
    ) -> Result<Response<proto::FindPatientResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.find(&call, &message).await;
        call.answer(answer)
    }

    type WatchPatientFileStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchPatientFileResponse, Status>> + Send>>;

    async fn watch_patient_file(
        &self,
        request: Request<proto::WatchPatientFileRequest>,
    ) -> Result<Response<Self::WatchPatientFileStream>, Status> {
        let (call, message) = Call::of(request)?;
        let place = call.slots().watch()?;
        let changes = match self.watch(&call, &message).await {
            Ok(changes) => changes,
            Err(failure) => return Err(call.status(&failure)),
        };
        let told = {
            let call = call.clone();
            changes.map(move |item| item.map_err(|failure| call.status(&failure)))
        };
        let stream = stream::until_end(told, &call, self.stopping(), place);
        Ok(Response::new(Box::pin(stream)))
    }
}

impl Services {
    async fn register(
        &self,
        call: &Call,
        message: proto::RegisterPatientRequest,
    ) -> Result<proto::RegisterPatientResponse, Failure> {
        let mut report = Report::default();
        let context = call.context(
            Operation::RegisterPatient,
            message.purpose.as_ref(),
            &message,
            &mut report,
        );
        let id = request_id(&message.request_id, &mut report);
        let at = At::TOP.field("identity");
        let identity = required(message.identity, &at, &mut report, identity_in);
        let asked = context.zip(id).zip(identity);
        let ((context, id), identity) = report.finish(asked)?;
        let filed = self
            .engine()
            .register(&context, id, identity)
            .await
            .map_err(|failure| placed(failure, |path| identity_at("identity", path)))?;
        Ok(proto::RegisterPatientResponse {
            patient_id: filed.patient.to_string(),
            version: filed.version,
            position: filed.position,
            receipt: filed.receipt.map(receipt).unwrap_or_default(),
            existed: filed.existed,
            repeated_request: !filed.first,
            remarks_withheld: filed.remarks_withheld,
            findings: findings(&filed, |path| identity_at("identity", path)),
        })
    }

    async fn file_changes(
        &self,
        call: &Call,
        message: proto::ContributeRequest,
    ) -> Result<proto::ContributeResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::Contribute, message.purpose.as_ref(), &message, &mut report);
        let id = request_id(&message.request_id, &mut report);
        let patient = patient_in(&message.patient_id, &At::TOP.field("patient_id"), &mut report);
        let commands = changes_in(message.changes, &At::TOP.field("changes"), &mut report);
        let asked = context.zip(id).zip(patient.zip(commands));
        let ((context, id), (patient, commands)) = report.finish(asked)?;
        let places = Places::of(&commands);
        let filed = self
            .engine()
            .contribute(&context, id, patient, message.expected_version, commands)
            .await
            .map_err(|failure| placed(failure, |path| places.path(path)))?;
        Ok(proto::ContributeResponse {
            version: filed.version,
            position: filed.position,
            receipt: filed.receipt.map(receipt).unwrap_or_default(),
            entry_ids: filed.entries.iter().map(ToString::to_string).collect(),
            repeated_request: !filed.first,
            remarks_withheld: filed.remarks_withheld,
            findings: findings(&filed, |path| places.path(path)),
        })
    }

    async fn settle(
        &self,
        call: &Call,
        message: &proto::SettleRequestRequest,
    ) -> Result<proto::SettleRequestResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::SettleRequest, message.purpose.as_ref(), message, &mut report);
        let id = request_id(&message.request_id, &mut report);
        let (context, id) = report.finish(context.zip(id))?;
        Ok(match self.engine().settle(&context, id).await? {
            Settlement::Filed { position, count } => proto::SettleRequestResponse {
                outcome: proto::SettlementOutcome::Filed.into(),
                first_position: position,
                count: u32::from(count),
            },
            Settlement::Abandoned => proto::SettleRequestResponse {
                outcome: proto::SettlementOutcome::Abandoned.into(),
                first_position: 0,
                count: 0,
            },
        })
    }

    async fn file(
        &self,
        call: &Call,
        message: proto::GetPatientFileRequest,
    ) -> Result<encoded::GetPatientFileResponse, Failure> {
        let mut report = Report::default();
        let context = call.context(
            Operation::GetPatientFile,
            message.purpose.as_ref(),
            &message,
            &mut report,
        );
        let pages = self.pages()?;
        let asked = file_asked(&pages, call.caller(), message, &mut report);
        let (context, asked) = report.finish(context.zip(asked))?;
        let render = |answer: &FileAnswer| file_out(answer).encode_to_vec();
        let shown = self.engine().read_file(&context, &asked.query, render).await?;
        let (answer, position) = (shown.answer, shown.position);
        Ok(encoded::GetPatientFileResponse {
            file: answer.bytes.clone(),
            next_page_token: asked.page.next(
                &pages,
                call.caller(),
                position,
                answer.next.clone(),
            )?,
            position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn history(
        &self,
        call: &Call,
        message: proto::GetPatientHistoryRequest,
    ) -> Result<proto::GetPatientHistoryResponse, Failure> {
        let mut report = Report::default();
        let context = call.context(
            Operation::GetPatientHistory,
            message.purpose.as_ref(),
            &message,
            &mut report,
        );
        let patient = patient_in(&message.patient_id, &At::TOP.field("patient_id"), &mut report);
        let pages = self.pages()?;
        let first = message.from_version;
        let operation = Operation::GetPatientHistory;
        let page = pages.asked(call.caller(), operation, message, &mut report);
        let (context, patient) = report.finish(context.zip(patient))?;
        let from = page.start.as_ref().map_or(Ok(first), Place::number)?;
        let at_least = page.start.as_ref().map(|start| start.position);
        let shown = self
            .engine()
            .read_history(&context, patient, from, at_least, page.size, history_out)
            .await?;
        let (events, next) = shown.answer;
        let next = next.map(|version| version.to_be_bytes().to_vec());
        Ok(proto::GetPatientHistoryResponse {
            events,
            next_page_token: page.next(&pages, call.caller(), shown.position, next)?,
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn find(
        &self,
        call: &Call,
        message: &proto::FindPatientRequest,
    ) -> Result<proto::FindPatientResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::FindPatient, message.purpose.as_ref(), message, &mut report);
        for (given, name) in [(&message.issuer, "issuer"), (&message.value, "value")] {
            if given.is_empty() {
                report.missing(&At::TOP.field(name));
            }
        }
        let context = report.finish(context)?;
        let shown = self
            .engine()
            .find_patient(&context, &message.issuer, &message.value, |patient: PatientId| {
                (patient.to_string(), patient.0.to_vec())
            })
            .await?;
        Ok(proto::FindPatientResponse {
            patient_id: shown.answer,
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn watch(
        &self,
        call: &Call,
        message: &proto::WatchPatientFileRequest,
    ) -> Result<Out<Result<proto::WatchPatientFileResponse, Failure>>, Failure> {
        let mut report = Report::default();
        let context = call.context(
            Operation::WatchPatientFile,
            message.purpose.as_ref(),
            message,
            &mut report,
        );
        let patient = patient_in(&message.patient_id, &At::TOP.field("patient_id"), &mut report);
        let (context, patient) = report.finish(context.zip(patient))?;
        let items = self
            .engine()
            .watch(context, patient, message.from_version, |item| {
                let change = filed_out(item);
                let bytes = change.encode_to_vec();
                (change, bytes)
            })
            .await?;
        Ok(Box::pin(items.map(|item| item.map(delivery))))
    }
}

/// A page of a file that is asked for.
pub(super) struct FileAsked {
    pub(super) query: FileQuery,
    page: PageAsked,
}

/// What a request for a file asks for.
pub(super) fn file_asked(
    pages: &Pages,
    caller: &Caller,
    message: proto::GetPatientFileRequest,
    report: &mut Report,
) -> Option<FileAsked> {
    let patient = patient_in(&message.patient_id, &At::TOP.field("patient_id"), report);
    let kinds = kinds_in(&message.kinds, &At::TOP.field("kinds"), report);
    let as_of = as_of(message.as_of, report);
    let (at_least, include_retracted) = (message.at_least_position, message.include_retracted);
    let page = pages.asked(caller, Operation::GetPatientFile, message, report);
    let (patient, as_of) = patient.zip(as_of)?;
    let query = FileQuery {
        patient,
        as_of,
        at_least: at_least.max(page.start.as_ref().map(|start| start.position)),
        kinds,
        page_size: page.size,
        after: page.start.as_ref().map(|start| start.cursor.clone()),
        include_retracted,
    };
    Some(FileAsked { query, page })
}

fn delivery(item: WatchItem<proto::FiledEvent>) -> proto::WatchPatientFileResponse {
    match item {
        WatchItem::Change(shown) => proto::WatchPatientFileResponse {
            change: Some(shown.answer),
            position: shown.position,
            receipt: receipt(shown.receipt),
        },
        WatchItem::Heartbeat { position } => {
            proto::WatchPatientFileResponse { change: None, position, receipt: Vec::new() }
        }
    }
}

fn as_of(from: Option<proto::get_patient_file_request::AsOf>, report: &mut Report) -> Option<AsOf> {
    use proto::get_patient_file_request::AsOf as Asked;
    match from {
        None => Some(AsOf::Now),
        Some(Asked::Version(0)) => {
            report.fault(&At::TOP.field("version"), "version", "versions begin at 1");
            None
        }
        Some(Asked::Version(version)) => Some(AsOf::Version(version)),
        Some(Asked::Time(time)) => time_in(time, &At::TOP.field("time"), report).map(AsOf::Time),
    }
}

pub(super) fn file_out(from: &FileAnswer) -> proto::PatientFile {
    proto::PatientFile {
        patient_id: from.patient.to_string(),
        version: from.version,
        identity: Some(identity_out(&from.identity)),
        identity_stamp: Some(stamp_out(&from.identity_stamp)),
        entries: all(&from.entries, shown_out),
        unreadable_positions: from.unreadable.clone(),
    }
}

pub(super) type History = (Vec<proto::FiledEvent>, Option<u64>);

pub(super) fn history_out(from: &HistoryAnswer) -> (History, Vec<u8>) {
    let events = all(&from.items, filed_out);
    let shown = proto::GetPatientHistoryResponse { events, ..Default::default() };
    let bytes = shown.encode_to_vec();
    ((shown.events, from.next), bytes)
}

/// The engine's violations, at the places that the caller knows.
fn placed(failure: Failure, path: impl Fn(&str) -> String) -> Failure {
    if let Failure::Invalid(mut violations) = failure {
        for violation in &mut violations {
            if violation.field != "request_id" {
                violation.field = path(&violation.field);
            }
        }
        return Failure::Invalid(violations);
    }
    failure
}

fn findings(filed: &Filed, path: impl Fn(&str) -> String) -> Vec<proto::Finding> {
    filed
        .remarks
        .iter()
        .map(|remark| {
            let mut finding = finding_out(remark);
            finding.field = path(&finding.field);
            finding
        })
        .collect()
}
