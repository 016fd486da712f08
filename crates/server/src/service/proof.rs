//! `ProofService`: signatures and hashes, nothing about a patient, so nothing here is recorded as an
//! access.

use ::ledger::LedgerId;
use api::v1 as proto;
use api::v1::proof_service_server::ProofService;
use engine::Failure;
use tonic::{Request, Response, Status};

use super::Services;
use crate::call::Call;
use crate::convert::ledger::ledger_in;
use crate::convert::{At, Report};

#[tonic::async_trait]
impl ProofService for Services {
    async fn get_checkpoint(
        &self,
        request: Request<proto::GetCheckpointRequest>,
    ) -> Result<Response<proto::GetCheckpointResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let found = which(message.ledger).and_then(|ledger| self.engine().checkpoint(ledger));
        call.answer(found.map(|found| proto::GetCheckpointResponse {
            note: found.note.to_string(),
            witnesses: count(found.witnesses),
        }))
    }

    async fn get_policy(
        &self,
        request: Request<proto::GetPolicyRequest>,
    ) -> Result<Response<proto::GetPolicyResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let policy = which(message.ledger).and_then(|ledger| self.engine().policy(ledger));
        call.answer(policy.map(|policy| proto::GetPolicyResponse { policy }))
    }

    async fn get_inclusion_proof(
        &self,
        request: Request<proto::GetInclusionProofRequest>,
    ) -> Result<Response<proto::GetInclusionProofResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let proof = which(message.ledger)
            .and_then(|ledger| self.engine().inclusion_proof(ledger, message.position));
        call.answer(proof.map(|found| proto::GetInclusionProofResponse {
            proof: found.proof.to_string(),
            witnesses: count(found.witnesses),
        }))
    }

    async fn await_proof(
        &self,
        request: Request<proto::AwaitProofRequest>,
    ) -> Result<Response<proto::AwaitProofResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let ledger = match which(message.ledger) {
            Ok(ledger) => ledger,
            Err(failure) => return Err(call.status(&failure)),
        };
        let proof = self.engine().await_proof(ledger, message.position, call.patience()).await;
        call.answer(proof.map(|found| proto::AwaitProofResponse {
            proof: found.proof.to_string(),
            witnesses: count(found.witnesses),
        }))
    }

    async fn get_consistency_proof(
        &self,
        request: Request<proto::GetConsistencyProofRequest>,
    ) -> Result<Response<proto::GetConsistencyProofResponse>, Status> {
        let (call, message) = Call::of(request)?;
        let to = (message.to_size > 0).then_some(message.to_size);
        let proof = which(message.ledger)
            .and_then(|ledger| self.engine().consistency_proof(ledger, message.size, to));
        call.answer(proof.map(|proof| proto::GetConsistencyProofResponse {
            hashes: proof.hashes.iter().map(|hash| hash.0.to_vec()).collect(),
            note: proof.checkpoint.note.to_string(),
            witnesses: count(proof.checkpoint.witnesses),
        }))
    }
}

fn count(witnesses: usize) -> u32 {
    u32::try_from(witnesses).unwrap_or(u32::MAX)
}

fn which(ledger: Option<proto::LedgerId>) -> Result<LedgerId, Failure> {
    let mut report = Report::default();
    let ledger = ledger_in(ledger, &At::TOP.field("ledger"), &mut report);
    report.finish(ledger)
}
