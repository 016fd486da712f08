//! `AuditService`.

use api::v1 as proto;
use api::v1::audit_service_server::AuditService;
use engine::{AccessAnswer, Failure, Operation};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::Call;
use crate::convert::Report;
use crate::convert::audit::{access_out, filter_in};
use crate::convert::values::all;
use crate::pages::{Place, Query, page_size};

#[tonic::async_trait]
impl AuditService for Services {
    async fn list_accesses(
        &self,
        request: Request<proto::ListAccessesRequest>,
    ) -> Result<Response<proto::ListAccessesResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.accesses(&call, message).await;
        call.answer(answer)
    }
}

impl Services {
    async fn accesses(
        &self,
        call: &Call,
        mut message: proto::ListAccessesRequest,
    ) -> Result<proto::ListAccessesResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::ListAccesses, message.purpose.as_ref(), &message, &mut report);
        let filter = filter_in(&message, &mut report);
        let size = page_size(std::mem::take(&mut message.page_size), &mut report);
        let token = std::mem::take(&mut message.page_token);
        let asked = message.encode_to_vec();
        let bound = Query {
            caller: call.caller(),
            method: Operation::ListAccesses.name(),
            request: &asked,
        };
        let pages = self.pages()?;
        let place = pages.open(&bound, &token, &mut report);
        let context = report.finish(context)?;
        let before = place.as_ref().map(Place::number).transpose()?;
        let shown =
            self.engine().list_accesses(&context, &filter, before, size, accesses_out).await?;
        let (accesses, next, waiting_bytes) = shown.answer;
        let position = place.map_or(shown.position, |place| place.position);
        let next = next.map(|before| pages.token(&bound, &Place::at(position, before)));
        Ok(proto::ListAccessesResponse {
            accesses,
            next_page_token: next.unwrap_or_default(),
            position: shown.position,
            receipt: receipt(shown.receipt),
            waiting_bytes,
        })
    }
}

type Page = (Vec<proto::Access>, Option<u64>, u64);

fn accesses_out(from: &AccessAnswer) -> (Page, Vec<u8>) {
    let accesses = all(&from.items, access_out);
    let shown = proto::ListAccessesResponse { accesses, ..Default::default() };
    let bytes = shown.encode_to_vec();
    ((shown.accesses, from.next, from.waiting_bytes), bytes)
}
