//! Calls to other nodes: the transport that the engine is handed as functions.

use std::time::Duration;

use ::ledger::{Hash, LedgerId, NodeId, SigningKey, VerifyingKey};
use api::v1 as proto;
use api::v1::peer_service_client::PeerServiceClient;
use bytes::Bytes;
use ed25519_dalek::{Signature, Signer};
use engine::{HealClaim, Peer, PeerFailure, SignedHead};
use prost::Message;
use tonic::Code;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::clock;
use crate::config;
use crate::convert::ledger::ledger_out;
use crate::status::{self, MAX_MESSAGE};

/// How far a proof's time may be off, in microseconds: one minute, as the proto says.
pub(crate) const MAX_AGE_MICROS: u64 = 60_000_000;

/// How long a peer may take to answer: it reads at most 2 MiB from its disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);

const LABEL: &[u8] = b"caseledger/peer/v1";

/// A request that carries a proof.
pub(crate) trait Proven: Message + Clone {
    /// The method it belongs to, as the proof binds it.
    const METHOD: &'static str;

    /// Its proof.
    fn proof(&self) -> Option<&proto::PeerProof>;

    /// Its proof.
    fn proof_mut(&mut self) -> &mut Option<proto::PeerProof>;
}

macro_rules! proven {
    ($request:ident, $method:literal) => {
        impl Proven for proto::$request {
            const METHOD: &'static str = $method;

            fn proof(&self) -> Option<&proto::PeerProof> {
                self.proof.as_ref()
            }

            fn proof_mut(&mut self) -> &mut Option<proto::PeerProof> {
                &mut self.proof
            }
        }
    };
}

proven!(GetSignedHeadRequest, "PeerService/GetSignedHead");
proven!(ReadBlocksRequest, "PeerService/ReadBlocks");
proven!(GrantHealRequest, "PeerService/GrantHeal");

/// What a proof signs: label ‖ genesis hash ‖ method ‖ request with an empty signature.
pub(crate) fn proof_message<T: Proven>(genesis: &Hash, request: &T) -> Vec<u8> {
    let mut bare = request.clone();
    if let Some(proof) = bare.proof_mut() {
        proof.signature.clear();
    }
    [LABEL, &genesis.0, T::METHOD.as_bytes(), &bare.encode_to_vec()].concat()
}

/// Whether the signature is this key's, strictly (no malleable or small-order forms).
pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) =
        (VerifyingKey::from_bytes(key), Signature::from_slice(signature))
    else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}

/// How this node calls one other.
#[derive(Clone)]
struct Caller {
    node: NodeId,
    key: SigningKey,
    genesis: Hash,
    client: PeerServiceClient<Channel>,
}

/// The node's peers as functions. Nothing is connected before the first call. Peers at https are those
/// whose certificates `authorities`, in PEM form, have signed; who they are in the ledger, their signatures
/// say.
///
/// # Errors
/// An address that is none, or authorities that cannot be used.
pub(crate) fn peers(
    configured: &[config::Peer],
    authorities: Option<&[u8]>,
    node: NodeId,
    key: &SigningKey,
    genesis: Hash,
) -> Result<Vec<Peer>, tonic::transport::Error> {
    configured
        .iter()
        .map(|peer| {
            let mut endpoint = Endpoint::from_shared(peer.address.clone())?
                .connect_timeout(CONNECT)
                .timeout(PATIENCE)
                .tcp_nodelay(true);
            if let Some(pem) = authorities.filter(|_| peer.address.starts_with("https://")) {
                let trusted = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem));
                endpoint = endpoint.tls_config(trusted)?;
            }
            let channel = endpoint.connect_lazy();
            let client = PeerServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
            let caller = Caller { node, key: key.clone(), genesis, client };
            Ok(functions(peer, &caller))
        })
        .collect()
}

fn functions(peer: &config::Peer, caller: &Caller) -> Peer {
    let (head, messages, grant) = (caller.clone(), caller.clone(), caller.clone());
    let asked = peer.node.0;
    Peer {
        node: asked,
        address: peer.address.clone(),
        head: Box::new(move |ledger, own_sequence| {
            let caller = head.clone();
            Box::pin(async move { caller.head(asked, ledger, own_sequence).await })
        }),
        messages: Box::new(move |ledger, from, limit| {
            let caller = messages.clone();
            Box::pin(async move { caller.messages(ledger, from, limit).await })
        }),
        grant: Box::new(move |claim| {
            let caller = grant.clone();
            Box::pin(async move { caller.grant(claim).await })
        }),
    }
}

impl Caller {
    fn signed<T: Proven>(&self, mut request: T) -> T {
        let proof = proto::PeerProof {
            node: self.node.to_string(),
            signature: Vec::new(),
            signed_at_micros: clock::micros(),
        };
        *request.proof_mut() = Some(proof);
        let signature = self.key.sign(&proof_message(&self.genesis, &request));
        if let Some(proof) = request.proof_mut() {
            proof.signature = signature.to_bytes().to_vec();
        }
        request
    }

    async fn head(
        &self,
        asked: NodeId,
        ledger: LedgerId,
        own_sequence: u64,
    ) -> Result<SignedHead, PeerFailure> {
        let request = self.signed(proto::GetSignedHeadRequest {
            ledger: Some(ledger_out(ledger)),
            own_sequence,
            proof: None,
        });
        let told = self.client.clone().get_signed_head(request).await.map_err(failed)?.into_inner();
        let node: NodeId = told.node.parse().map_err(|_| odd("a node id"))?;
        if node != asked {
            return Err(PeerFailure::Failed(format!(
                "node {node} answers at the address of {asked}"
            )));
        }
        Ok(SignedHead {
            node,
            sequence: told.sequence,
            stream_hash: hash(&told.stream_hash)?,
            at_asked: match told.at_own_sequence.as_slice() {
                [] => None,
                bytes => Some(hash(bytes)?),
            },
            behind: told.behind,
            signature: told.signature.try_into().map_err(|_| odd("a signature"))?,
        })
    }

    async fn messages(
        &self,
        ledger: LedgerId,
        from_sequence: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Bytes)>, PeerFailure> {
        let request = self.signed(proto::ReadBlocksRequest {
            ledger: Some(ledger_out(ledger)),
            from_sequence,
            limit,
            proof: None,
        });
        let mut stream =
            self.client.clone().read_blocks(request).await.map_err(failed)?.into_inner();
        let mut messages = Vec::new();
        while let Some(told) = stream.message().await.map_err(failed)? {
            if messages.len() >= usize::try_from(limit).unwrap_or(usize::MAX) {
                return Err(odd("at most as many blocks as were asked for"));
            }
            messages.push((told.sequence, Bytes::from(told.message)));
        }
        Ok(messages)
    }

    async fn grant(&self, claim: HealClaim) -> Result<bool, PeerFailure> {
        let seconds = claim.damaged_created.div_euclid(1_000_000_000);
        let nanos = claim.damaged_created.rem_euclid(1_000_000_000);
        let request = self.signed(proto::GrantHealRequest {
            ledger: Some(ledger_out(claim.ledger)),
            sequence: claim.sequence,
            stream_hash: claim.stream_hash.0.to_vec(),
            damaged_created_seconds: i64::try_from(seconds).map_err(|_| odd("a time"))?,
            damaged_created_nanos: i32::try_from(nanos).map_err(|_| odd("a time"))?,
            proof: None,
        });
        let told = self.client.clone().grant_heal(request).await.map_err(failed)?;
        Ok(told.into_inner().granted)
    }
}

fn hash(bytes: &[u8]) -> Result<Hash, PeerFailure> {
    bytes.try_into().map(Hash).map_err(|_| odd("a hash"))
}

fn odd(wanted: &str) -> PeerFailure {
    PeerFailure::Failed(format!("the answer does not hold {wanted}"))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err hands over")]
fn failed(status: tonic::Status) -> PeerFailure {
    match status::retirement_in(&status) {
        Some(record) => PeerFailure::Retired(record),
        None if status.code() == Code::Unauthenticated => PeerFailure::Refused,
        None => PeerFailure::Failed(format!("{:?}: {}", status.code(), status.message())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(genesis: Hash) -> Caller {
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Caller {
            node: NodeId([1; 16]),
            key: SigningKey::from_bytes(&[7; 32]),
            genesis,
            client: PeerServiceClient::new(channel),
        }
    }

    #[test]
    fn a_proof_that_is_refused_is_told_apart_from_silence() {
        assert_eq!(failed(tonic::Status::unauthenticated("no")), PeerFailure::Refused);
        let away = failed(tonic::Status::unavailable("no"));
        assert!(matches!(away, PeerFailure::Failed(_)), "{away}");
    }

    #[tokio::test]
    async fn a_proof_binds_method_request_genesis_and_time() {
        let caller = caller(Hash([3; 32]));
        let key = caller.key.verifying_key().to_bytes();
        let holds = |genesis: [u8; 32], request: &proto::ReadBlocksRequest| {
            let signature = &request.proof.as_ref().unwrap().signature;
            verify(&key, &proof_message(&Hash(genesis), request), signature)
        };
        let good = caller.signed(proto::ReadBlocksRequest { limit: 5, ..Default::default() });
        assert!(holds([3; 32], &good));
        assert!(!holds([4; 32], &good), "another world");
        let mut changed = good.clone();
        changed.limit = 6;
        assert!(!holds([3; 32], &changed), "another request");
        let mut later = good.clone();
        later.proof.as_mut().unwrap().signed_at_micros += 1;
        assert!(!holds([3; 32], &later), "another time");
        let head = proto::GetSignedHeadRequest { proof: good.proof.clone(), ..Default::default() };
        let signature = &good.proof.as_ref().unwrap().signature;
        assert!(!verify(&key, &proof_message(&Hash([3; 32]), &head), signature), "another method");
        assert!(!verify(&key, b"", &[0; 64]) && !verify(&key, b"", b""));
    }
}
