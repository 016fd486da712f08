//! `LedgerService`: nothing here is about a patient, so nothing here is recorded as an access.

use api::v1 as proto;
use api::v1::ledger_service_server::LedgerService;
use engine::Failure;
use tonic::{Request, Response, Status};

use super::Services;
use crate::call::Call;
use crate::convert::ledger::{head_out, ledger_in, status_out};
use crate::convert::{At, Report};

#[tonic::async_trait]
impl LedgerService for Services {
    async fn get_head(
        &self,
        request: Request<proto::GetHeadRequest>,
    ) -> Result<Response<proto::GetHeadResponse>, Status> {
        let (call, message) = Call::of(request)?;
        call.answer(self.ledger_head(message).await)
    }

    async fn get_node_status(
        &self,
        request: Request<proto::GetNodeStatusRequest>,
    ) -> Result<Response<proto::GetNodeStatusResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let status = self.engine().status_for(&call.operator(&message)).await;
        call.answer(status.map(|status| status_out(&status)))
    }
}

impl Services {
    async fn ledger_head(
        &self,
        message: proto::GetHeadRequest,
    ) -> Result<proto::GetHeadResponse, Failure> {
        let mut report = Report::default();
        let ledger = ledger_in(message.ledger, &At::TOP.field("ledger"), &mut report);
        let ledger = report.finish(ledger)?;
        let head = self.engine().head(ledger.kind).await?;
        if head.ledger != ledger {
            return Err(Failure::NotFound);
        }
        Ok(proto::GetHeadResponse { head: Some(head_out(&head)) })
    }
}
