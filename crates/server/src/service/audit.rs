//! `AuditService`.

use api::v1 as proto;
use api::v1::audit_service_server::AuditService;
use engine::{AccessAnswer, AccessFilter, Asked, Caller, Failure, Operation};
use prost::Message;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::Call;
use crate::convert::Report;
use crate::convert::audit::{access_out, filter_in};
use crate::convert::values::all;
use crate::pages::{PageAsked, Pages, Place};

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

    async fn replay(
        &self,
        request: Request<proto::ReplayRequest>,
    ) -> Result<Response<proto::ReplayResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let answer = self.shown_then(&call, &message).await;
        call.answer(answer)
    }
}

/// A page of the trail that is asked for.
pub(super) struct ListAsked {
    filter: AccessFilter,
    page: PageAsked,
}

impl ListAsked {
    fn before(&self) -> Result<Option<u64>, Failure> {
        self.page.start.as_ref().map(Place::number).transpose()
    }

    /// For seeing again what it showed.
    pub(super) fn again(self) -> Result<Asked, Failure> {
        Ok(Asked::Accesses { before: self.before()?, filter: self.filter, limit: self.page.size })
    }
}

/// What a request for the trail asks for.
pub(super) fn list_asked(
    pages: &Pages,
    caller: &Caller,
    message: proto::ListAccessesRequest,
    report: &mut Report,
) -> ListAsked {
    let filter = filter_in(&message, report);
    ListAsked { filter, page: pages.asked(caller, Operation::ListAccesses, message, report) }
}

impl Services {
    async fn accesses(
        &self,
        call: &Call,
        message: proto::ListAccessesRequest,
    ) -> Result<proto::ListAccessesResponse, Failure> {
        let mut report = Report::default();
        let context =
            call.context(Operation::ListAccesses, message.purpose.as_ref(), &message, &mut report);
        let pages = self.pages()?;
        let asked = list_asked(&pages, call.caller(), message, &mut report);
        let context = report.finish(context)?;
        let (filter, before, size) = (&asked.filter, asked.before()?, asked.page.size);
        let shown =
            self.engine().list_accesses(&context, filter, before, size, accesses_out).await?;
        let (accesses, next, waiting_bytes) = shown.answer;
        let next = next.map(|before| before.to_be_bytes().to_vec());
        Ok(proto::ListAccessesResponse {
            accesses,
            next_page_token: asked.page.next(&pages, call.caller(), shown.position, next)?,
            position: shown.position,
            receipt: receipt(shown.receipt),
            waiting_bytes,
        })
    }
}

type Page = (Vec<proto::Access>, Option<u64>, u64);

pub(super) fn accesses_out(from: &AccessAnswer) -> (Page, Vec<u8>) {
    let accesses = all(&from.items, access_out);
    let shown = proto::ListAccessesResponse { accesses, ..Default::default() };
    let bytes = shown.encode_to_vec();
    ((shown.accesses, from.next, from.waiting_bytes), bytes)
}
