//! `PeerService`: what this node tells other nodes, if they prove who they are.
//!
//! A proof is a signature by the caller's block key over label ‖ genesis hash of `records` ‖ method
//! ‖ the request with an empty signature, and the time it was made. It is checked against the
//! ledger's own membership, not against configuration: whoever the administrators admitted may ask. A
//! retired node is shown the record by which it was retired, and nothing else.
//! Within a proof's minute it could be replayed; every call only reads, or repeats a grant that was
//! the caller's already.

use std::pin::Pin;

use api::v1 as proto;
use api::v1::peer_service_server::PeerService;
use engine::{Failure, HealClaim};
use futures::Stream;
use ledger::{LedgerId, Member, NodeId};
use tonic::{Request, Response, Status};

use super::Services;
use crate::call::Origin;
use crate::convert::ledger::ledger_in;
use crate::convert::values::hash_in;
use crate::convert::{At, Report};
use crate::peers::{MAX_AGE_MICROS, Proven, proof_message, verify};
use crate::{clock, status};

#[tonic::async_trait]
impl PeerService for Services {
    async fn get_signed_head(
        &self,
        request: Request<proto::GetSignedHeadRequest>,
    ) -> Result<Response<proto::GetSignedHeadResponse>, Status> {
        let message = self.proven(request)?;
        let refused = |failure| status::status(&failure, "");
        let ledger = ledger_of(message.ledger).map_err(refused)?;
        let head = self.engine().peer_head(ledger, message.own_sequence).await.map_err(refused)?;
        Ok(Response::new(proto::GetSignedHeadResponse {
            node: head.node.to_string(),
            sequence: head.sequence,
            stream_hash: head.stream_hash.0.to_vec(),
            at_own_sequence: head.at_asked.map(|hash| hash.0.to_vec()).unwrap_or_default(),
            behind: head.behind,
            signature: head.signature.to_vec(),
        }))
    }

    type ReadBlocksStream =
        Pin<Box<dyn Stream<Item = Result<proto::ReadBlocksResponse, Status>> + Send>>;

    async fn read_blocks(
        &self,
        request: Request<proto::ReadBlocksRequest>,
    ) -> Result<Response<Self::ReadBlocksStream>, Status> {
        let message = self.proven(request)?;
        let engine = self.engine().clone();
        let read = move || {
            let ledger = ledger_of(message.ledger)?;
            engine.peer_messages(ledger, message.from_sequence, message.limit)
        };
        // It reads up to 2 MiB from disk.
        let read = tokio::task::spawn_blocking(read)
            .await
            .unwrap_or_else(|error| Err(Failure::Internal { cause: error.to_string() }));
        let messages = read.map_err(|failure| status::status(&failure, ""))?;
        let blocks = messages
            .into_iter()
            .map(|(sequence, message)| Ok(proto::ReadBlocksResponse { sequence, message }));
        Ok(Response::new(Box::pin(futures::stream::iter(blocks))))
    }

    async fn grant_heal(
        &self,
        request: Request<proto::GrantHealRequest>,
    ) -> Result<Response<proto::GrantHealResponse>, Status> {
        let message = self.proven(request)?;
        let refused = |failure| status::status(&failure, "");
        let claim = claim_of(&message).map_err(refused)?;
        let granted = self.engine().grant(&claim).await.map_err(refused)?;
        Ok(Response::new(proto::GrantHealResponse { granted }))
    }
}

impl Services {
    /// The message, if a member of the ledger sent it just now.
    fn proven<T: Proven>(&self, request: Request<T>) -> Result<T, Status> {
        let address = request.extensions().get::<Origin>().and_then(|origin| origin.address);
        let message = request.into_inner();
        let (node, member) = self.caller(&message).ok_or_else(|| self.refuse_peer(address))?;
        if !member.retired {
            return Ok(message);
        }
        match self.engine().retirement(node) {
            Ok(Some(record)) => Err(status::retired(&record)),
            Ok(None) => Err(self.refuse_peer(address)),
            Err(failure) => Err(status::status(&failure, "")),
        }
    }

    /// Who proved to have sent this message, retired or not.
    fn caller<T: Proven>(&self, message: &T) -> Option<(NodeId, Member)> {
        let proof = message.proof()?;
        let node = proof.node.parse().ok()?;
        let member = self.engine().member(node)?;
        let fresh = clock::micros().abs_diff(proof.signed_at_micros) <= MAX_AGE_MICROS;
        let signed = proof_message(&self.shared.genesis, message);
        (fresh && verify(&member.keys.block, &signed, &proof.signature)).then_some((node, member))
    }
}

fn ledger_of(from: Option<proto::LedgerId>) -> Result<LedgerId, Failure> {
    let mut report = Report::default();
    let ledger = ledger_in(from, &At::TOP.field("ledger"), &mut report);
    report.finish(ledger)
}

fn claim_of(from: &proto::GrantHealRequest) -> Result<HealClaim, Failure> {
    let mut report = Report::default();
    let ledger = ledger_in(from.ledger, &At::TOP.field("ledger"), &mut report);
    let hash = hash_in(&from.stream_hash, &At::TOP.field("stream_hash"), &mut report);
    // The proof was checked: its node parses.
    let node = from.proof.as_ref().and_then(|proof| proof.node.parse().ok());
    let ((ledger, stream_hash), node) = report.finish(ledger.zip(hash).zip(node))?;
    let damaged_created = i128::from(from.damaged_created_seconds) * 1_000_000_000
        + i128::from(from.damaged_created_nanos);
    Ok(HealClaim { ledger, node, sequence: from.sequence, stream_hash, damaged_created })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_keeps_the_nanosecond_of_the_damaged_stream() {
        let request = proto::GrantHealRequest {
            stream_hash: vec![7; 32],
            sequence: 9,
            damaged_created_seconds: 1_700_000_000,
            damaged_created_nanos: 123_456_789,
            proof: Some(proto::PeerProof { node: "01".repeat(16), ..Default::default() }),
            ..Default::default()
        };
        let claim = claim_of(&request).unwrap();
        assert_eq!(claim.damaged_created, 1_700_000_000_123_456_789);
    }
}
