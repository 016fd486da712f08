//! `EvidenceService`.

use ::ledger::LedgerKind;
use api::v1 as proto;
use api::v1::evidence_service_server::EvidenceService;
use engine::{About, Evidence, EvidenceQuery, Failure, MAX_PROVED, Operation};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{Services, receipt};
use crate::call::Call;
use crate::convert::evidence::{leaf_out, proof_out};
use crate::convert::ledger::ledger_in;
use crate::convert::values::patient_in;
use crate::convert::{At, Report};
use crate::stream::{self, Out};

/// Bytes of leaves in a message, but for the last one's: far below what a client takes.
const MESSAGE_BYTES: usize = 1024 * 1024;

#[tonic::async_trait]
impl EvidenceService for Services {
    type ProveStream = Out<Result<proto::ProveResponse, Status>>;

    async fn prove(
        &self,
        request: Request<proto::ProveRequest>,
    ) -> Result<Response<Self::ProveStream>, Status> {
        let (call, message) = Call::of(request)?;
        let place = call.slots().watch()?;
        let parts = match self.evidence(&call, &message).await {
            Ok(parts) => parts,
            Err(failure) => return Err(call.status(&failure)),
        };
        let parts = futures::stream::iter(parts.into_iter().map(Ok));
        Ok(Response::new(stream::until_end(parts, &call, self.stopping(), place)))
    }
}

impl Services {
    async fn evidence(
        &self,
        call: &Call,
        message: &proto::ProveRequest,
    ) -> Result<Vec<proto::ProveResponse>, Failure> {
        let mut report = Report::default();
        let query = query_in(message, &mut report);
        let operation = match &query {
            Some(query) if query.contents && query.ledger.kind == LedgerKind::Records => {
                Operation::ProveContents
            }
            Some(_) | None => Operation::Prove,
        };
        let context = call.context(operation, message.purpose.as_ref(), message, &mut report);
        let (context, query) = report.finish(context.zip(query))?;
        let shown = self.engine().prove(&context, &query, evidence_out).await?;
        let (mut proof, leaves) = shown.answer;
        proof.receipt = receipt(shown.receipt);
        let proof = proto::ProveResponse { part: Some(proto::prove_response::Part::Proof(proof)) };
        Ok(std::iter::once(proof).chain(leaves).collect())
    }
}

fn query_in(message: &proto::ProveRequest, report: &mut Report) -> Option<EvidenceQuery> {
    use proto::prove_request::About as Asked;
    let ledger = ledger_in(message.ledger, &At::TOP.field("ledger"), report);
    let about = match &message.about {
        Some(Asked::PatientId(id)) => {
            patient_in(id, &At::TOP.field("patient_id"), report).map(About::Patient)
        }
        Some(Asked::Position(position)) => Some(About::Position(*position)),
        Some(Asked::Range(range)) => range_in(range, message.contents, report),
        None => {
            report.missing(&At::TOP.field("about"));
            None
        }
    };
    let (ledger, about) = ledger.zip(about)?;
    Some(EvidenceQuery { ledger, about, contents: message.contents })
}

fn range_in(range: &proto::LeafRange, contents: bool, report: &mut Report) -> Option<About> {
    let at = At::TOP.field("range");
    let most = u64::try_from(MAX_PROVED).unwrap_or(u64::MAX);
    match range.end.checked_sub(range.first) {
        None | Some(0) => report.fault(&at.field("end"), "empty", "must be behind `first`"),
        Some(leaves) if leaves > most => {
            let told = format!("{leaves} leaves; at most {most} are proved at once");
            report.fault(&at.field("end"), "too-large", told);
        }
        Some(_) if contents => {
            let told = "headers alone: a range may be about many patients";
            report.fault(&At::TOP.field("contents"), "not-of-a-range", told);
        }
        Some(_) => return Some(About::Range(range.first, range.end)),
    }
    None
}

type Parts = (proto::EvidenceProof, Vec<proto::ProveResponse>);

/// The parts, and the bytes that the trail keeps a digest of: the proof's and every leaf's.
fn evidence_out(from: &Evidence) -> (Parts, Vec<u8>) {
    let proof = proof_out(from);
    let mut bytes = proof.encode_to_vec();
    let (mut parts, mut leaves, mut length) = (Vec::new(), Vec::new(), 0);
    for leaf in &from.leaves {
        let leaf = leaf_out(leaf);
        length += leaf.encoded_len();
        bytes.extend_from_slice(&leaf.encode_to_vec());
        leaves.push(leaf);
        if length >= MESSAGE_BYTES {
            parts.push(part(std::mem::take(&mut leaves)));
            length = 0;
        }
    }
    if !leaves.is_empty() {
        parts.push(part(leaves));
    }
    ((proof, parts), bytes)
}

fn part(leaves: Vec<proto::EvidenceLeaf>) -> proto::ProveResponse {
    let leaves = proto::EvidenceLeaves { leaves };
    proto::ProveResponse { part: Some(proto::prove_response::Part::Leaves(leaves)) }
}
