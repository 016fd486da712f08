//! `EmergencyAccessService`.

use api::v1 as proto;
use api::v1::emergency_access_service_server::EmergencyAccessService;
use engine::{EmergencyPage, Failure, Operation};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::{Call, request_id};
use crate::convert::emergency::{
    break_glass_in, emergency_filter_in, emergency_out, reviewed_out, verdict_in,
};
use crate::convert::values::{all, id_in};
use crate::convert::{At, Report};
use crate::pages::Place;

#[tonic::async_trait]
impl EmergencyAccessService for Services {
    async fn break_glass(
        &self,
        request: Request<proto::BreakGlassRequest>,
    ) -> Result<Response<proto::BreakGlassResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.glass_broken(&call, &message).await;
        call.answer(answer)
    }

    async fn end_emergency_access(
        &self,
        request: Request<proto::EndEmergencyAccessRequest>,
    ) -> Result<Response<proto::EndEmergencyAccessResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.emergency_ended(&call, &message).await;
        call.answer(answer)
    }

    async fn list_emergency_accesses(
        &self,
        request: Request<proto::ListEmergencyAccessesRequest>,
    ) -> Result<Response<proto::ListEmergencyAccessesResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.emergencies(&call, message).await;
        call.answer(answer)
    }

    async fn close_review(
        &self,
        request: Request<proto::CloseReviewRequest>,
    ) -> Result<Response<proto::CloseReviewResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.review_closed(&call, &message).await;
        call.answer(answer)
    }
}

impl Services {
    async fn glass_broken(
        &self,
        call: &Call,
        message: &proto::BreakGlassRequest,
    ) -> Result<proto::BreakGlassResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::BreakGlass, message.purpose.as_ref(), message, &mut report);
        let asked = break_glass_in(message, &mut report);
        let (context, asked) = report.finish(context.zip(asked))?;
        let shown = self.engine().break_glass(&context, &asked).await?;
        Ok(proto::BreakGlassResponse {
            emergency: Some(emergency_out(&shown.answer, true)),
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn emergency_ended(
        &self,
        call: &Call,
        message: &proto::EndEmergencyAccessRequest,
    ) -> Result<proto::EndEmergencyAccessResponse, Failure> {
        let mut report = Report::default();
        let context = call.context(
            Operation::EndEmergencyAccess,
            message.purpose.as_ref(),
            message,
            &mut report,
        );
        let id = id_in(&message.emergency_id, &At::TOP.field("emergency_id"), &mut report);
        let (context, id) = report.finish(context.zip(id))?;
        let shown = self.engine().end_emergency(&context, id).await?;
        Ok(proto::EndEmergencyAccessResponse {
            emergency: Some(emergency_out(&shown.answer, false)),
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn emergencies(
        &self,
        call: &Call,
        message: proto::ListEmergencyAccessesRequest,
    ) -> Result<proto::ListEmergencyAccessesResponse, Failure> {
        const OPERATION: Operation = Operation::ListEmergencyAccesses;
        let mut report = Report::default();
        let context = call.context(OPERATION, message.purpose.as_ref(), &message, &mut report);
        let filter = emergency_filter_in(&message, &mut report);
        let pages = self.pages()?;
        let page = pages.asked(call.caller(), OPERATION, message, &mut report);
        let context = report.finish(context)?;
        let after = page.start.as_ref().map(Place::id).transpose()?;
        let shown = self
            .engine()
            .list_emergencies(&context, &filter, after, page.size, emergencies_out)
            .await?;
        let (emergencies, next) = shown.answer;
        let next = next.map(|id| id.to_vec());
        Ok(proto::ListEmergencyAccessesResponse {
            emergencies,
            next_page_token: page.next(&pages, call.caller(), shown.position, next)?,
            position: shown.position,
            receipt: receipt(shown.receipt),
        })
    }

    async fn review_closed(
        &self,
        call: &Call,
        message: &proto::CloseReviewRequest,
    ) -> Result<proto::CloseReviewResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::CloseReview, message.purpose.as_ref(), message, &mut report);
        let request_id = request_id(&message.request_id, &mut report);
        let id = id_in(&message.emergency_id, &At::TOP.field("emergency_id"), &mut report);
        let verdict = verdict_in(message.verdict, &At::TOP.field("verdict"), &mut report);
        let asked = context.zip(request_id).zip(id.zip(verdict));
        let ((context, request_id), (id, verdict)) = report.finish(asked)?;
        let filed =
            self.engine().close_review(&context, request_id, id, verdict, &message.text).await?;
        Ok(proto::CloseReviewResponse { position: filed.position, repeated_request: !filed.first })
    }
}

type Page = (Vec<proto::ReviewedEmergencyAccess>, Option<[u8; 16]>);

pub(super) fn emergencies_out(from: &EmergencyPage) -> (Page, Vec<u8>) {
    let emergencies = all(&from.items, reviewed_out);
    let shown = proto::ListEmergencyAccessesResponse { emergencies, ..Default::default() };
    let bytes = shown.encode_to_vec();
    ((shown.emergencies, from.next), bytes)
}
