//! A gRPC client as any service would write it, with a token of the development issuer.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use api::v1;
use api::v1::audit_service_client::AuditServiceClient;
use api::v1::emergency_access_service_client::EmergencyAccessServiceClient;
use api::v1::evidence_service_client::EvidenceServiceClient;
use api::v1::import_service_client::ImportServiceClient;
use api::v1::ledger_service_client::LedgerServiceClient;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use api::v1::peer_service_client::PeerServiceClient;
use api::v1::policy_service_client::PolicyServiceClient;
use api::v1::privacy_incident_service_client::PrivacyIncidentServiceClient;
use api::v1::proof_service_client::ProofServiceClient;
use api::v1::staff_service_client::StaffServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::authority::Certified;

/// A bearer token.
#[derive(Clone, Debug)]
pub struct Token(pub String);

impl Token {
    /// A token for one role, signed with the issuer key of the node in `state`, good for an hour.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn signed(state: &Path, role: &str, person: &str) -> anyhow::Result<Self> {
        let now = SystemTime::UNIX_EPOCH.elapsed()?.as_secs();
        let claims = serde_json::json!({
            "iss": "caseledger-quickstart", "aud": "caseledger", "sub": person, "azp": "testkit",
            "roles": [role], "organisation": "Test Hospital", "iat": now, "nbf": now - 5, "exp": now + 3600,
        });
        Self::of_claims(state, &claims)
    }

    /// A token with these claims, signed with the issuer key of the node in `state`.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn of_claims(state: &Path, claims: &serde_json::Value) -> anyhow::Result<Self> {
        let pem = std::fs::read(state.join("keys/issuer.pem")).context("the issuer's key")?;
        let key = jsonwebtoken::EncodingKey::from_ed_pem(&pem)?;
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::EdDSA);
        Ok(Self(jsonwebtoken::encode(&header, claims, &key)?))
    }
}

/// Adds the token, if there is one, to every call.
#[derive(Clone, Debug)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(
        &mut self,
        mut request: tonic::Request<()>,
    ) -> Result<tonic::Request<()>, tonic::Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// A connection that carries the token.
pub type Authorised = InterceptedService<Channel, Bearer>;

/// What a client knows of TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Whom it trusts, in PEM form.
    pub authority: String,
    /// Its own certificate, if it shows one.
    pub own: Option<Certified>,
}

/// One caller at one node. Clones share a connection.
#[derive(Clone, Debug)]
pub struct Client {
    channel: Authorised,
}

/// A request id that no other call of this process uses.
#[must_use]
pub fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// A purpose of use.
#[must_use]
pub fn purpose(code: &str) -> Option<v1::Purpose> {
    Some(v1::Purpose { purpose_of_use: code.to_owned(), ..v1::Purpose::default() })
}

impl Client {
    /// A client that connects when it is first used, and again whenever the node comes back.
    ///
    /// # Errors
    /// When the address or token is malformed.
    pub fn new(node: SocketAddr, token: &Token) -> anyhow::Result<Self> {
        Self::over(Endpoint::try_from(format!("http://{node}"))?, Some(token))
    }

    /// The same over TLS, with a token or none.
    ///
    /// # Errors
    /// When the address, token or a certificate is malformed.
    pub fn secure(node: SocketAddr, tls: &Tls, token: Option<&Token>) -> anyhow::Result<Self> {
        let mut config =
            ClientTlsConfig::new().ca_certificate(Certificate::from_pem(&tls.authority));
        if let Some(Certified { certificate, key }) = &tls.own {
            config = config.identity(Identity::from_pem(certificate, key));
        }
        Self::over(Endpoint::try_from(format!("https://{node}"))?.tls_config(config)?, token)
    }

    fn over(endpoint: Endpoint, token: Option<&Token>) -> anyhow::Result<Self> {
        let channel = endpoint
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(60))
            .connect_lazy();
        let bearer = token.map(|token| format!("Bearer {}", token.0).parse()).transpose()?;
        Ok(Self { channel: InterceptedService::new(channel, Bearer(bearer)) })
    }

    /// The connection itself, for calls that no generated client would make.
    #[must_use]
    pub fn raw(&self) -> tonic::client::Grpc<Authorised> {
        tonic::client::Grpc::new(self.channel.clone())
    }

    /// The service that nodes ask each other.
    #[must_use]
    pub fn peer(&self) -> PeerServiceClient<Authorised> {
        PeerServiceClient::new(self.channel.clone())
    }

    /// The patient file service.
    #[must_use]
    pub fn file(&self) -> PatientFileServiceClient<Authorised> {
        PatientFileServiceClient::new(self.channel.clone())
    }

    /// The import service.
    #[must_use]
    pub fn import(&self) -> ImportServiceClient<Authorised> {
        ImportServiceClient::new(self.channel.clone())
    }

    /// The audit service.
    #[must_use]
    pub fn audit(&self) -> AuditServiceClient<Authorised> {
        AuditServiceClient::new(self.channel.clone())
    }

    /// The ledger service.
    #[must_use]
    pub fn ledger(&self) -> LedgerServiceClient<Authorised> {
        LedgerServiceClient::new(self.channel.clone())
    }

    /// The emergency access service.
    #[must_use]
    pub fn emergency(&self) -> EmergencyAccessServiceClient<Authorised> {
        EmergencyAccessServiceClient::new(self.channel.clone())
    }

    /// The privacy incident service.
    #[must_use]
    pub fn incidents(&self) -> PrivacyIncidentServiceClient<Authorised> {
        PrivacyIncidentServiceClient::new(self.channel.clone())
    }

    /// The evidence service.
    #[must_use]
    pub fn evidence(&self) -> EvidenceServiceClient<Authorised> {
        EvidenceServiceClient::new(self.channel.clone())
    }

    /// The policy service.
    #[must_use]
    pub fn policies(&self) -> PolicyServiceClient<Authorised> {
        PolicyServiceClient::new(self.channel.clone())
    }

    /// The proof service.
    #[must_use]
    pub fn proofs(&self) -> ProofServiceClient<Authorised> {
        ProofServiceClient::new(self.channel.clone())
    }

    /// The staff service.
    #[must_use]
    pub fn staff(&self) -> StaffServiceClient<Authorised> {
        StaffServiceClient::new(self.channel.clone())
    }

    /// Heads of `records` and `access`.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn heads(&self) -> anyhow::Result<Vec<v1::Head>> {
        let mut heads = Vec::new();
        for kind in [v1::LedgerKind::Records, v1::LedgerKind::Access] {
            let ledger = Some(v1::LedgerId { kind: kind.into(), shard: 0, period: 0 });
            let answer = self.ledger().get_head(v1::GetHeadRequest { ledger }).await?.into_inner();
            heads.push(answer.head.context("no head")?);
        }
        Ok(heads)
    }

    /// The node's status.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn status(&self) -> anyhow::Result<v1::GetNodeStatusResponse> {
        Ok(self.ledger().get_node_status(v1::GetNodeStatusRequest {}).await?.into_inner())
    }

    /// What gRPC health says of a service of `caseledger.v1`: whether it is serving.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn is_serving(&self, service: &str) -> anyhow::Result<bool> {
        let service = format!("caseledger.v1.{service}");
        let mut client = HealthClient::new(self.channel.clone());
        let answer = client.check(HealthCheckRequest { service }).await?.into_inner();
        Ok(answer.status() == ServingStatus::Serving)
    }

    /// What registers a patient with this hospital number and family name, under a new request id.
    #[must_use]
    pub fn registration(number: &str, family: &str) -> v1::RegisterPatientRequest {
        let identifier = v1::Identifier {
            issuer: "https://hospital.example/mrn".to_owned(),
            value: number.to_owned(),
            ..v1::Identifier::default()
        };
        let name = v1::HumanName { family: family.to_owned(), ..v1::HumanName::default() };
        let identity = v1::Identity {
            identifiers: vec![identifier],
            names: vec![name],
            ..v1::Identity::default()
        };
        v1::RegisterPatientRequest {
            request_id: request_id(),
            purpose: purpose("TREAT"),
            identity: Some(identity),
        }
    }

    /// Registers a patient with this hospital number and family name.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn register(
        &self,
        number: &str,
        family: &str,
    ) -> Result<v1::RegisterPatientResponse, tonic::Status> {
        let request = Self::registration(number, family);
        Ok(self.file().register_patient(request).await?.into_inner())
    }

    /// A note to be filed.
    #[must_use]
    pub fn note(text: &str) -> v1::Change {
        let entry = v1::Entry {
            code: Some(v1::CodeableConcept {
                text: "Progress note".to_owned(),
                coding: Vec::new(),
            }),
            detail: Some(v1::entry::Detail::NoteDetail(v1::Note {
                text: text.to_owned(),
                ..v1::Note::default()
            })),
            ..v1::Entry::default()
        };
        v1::Change {
            change: Some(v1::change::Change::AddEntry(v1::AddEntry { entry: Some(entry) })),
        }
    }

    /// Files a note under this request id, expecting a version or not.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn file_note(
        &self,
        patient_id: &str,
        text: &str,
        request_id: &str,
        expected_version: Option<u64>,
    ) -> Result<v1::ContributeResponse, tonic::Status> {
        let request = v1::ContributeRequest {
            request_id: request_id.to_owned(),
            purpose: purpose("TREAT"),
            patient_id: patient_id.to_owned(),
            expected_version,
            changes: vec![Self::note(text)],
        };
        Ok(self.file().contribute(request).await?.into_inner())
    }

    /// Reads the first page of a file, at or after this position.
    ///
    /// # Errors
    /// The node's refusal.
    pub async fn read_file(
        &self,
        patient_id: &str,
        at_least: Option<u64>,
    ) -> Result<v1::GetPatientFileResponse, tonic::Status> {
        let request = v1::GetPatientFileRequest {
            patient_id: patient_id.to_owned(),
            purpose: purpose("TREAT"),
            at_least_position: at_least,
            page_size: 200,
            ..v1::GetPatientFileRequest::default()
        };
        Ok(self.file().get_patient_file(request).await?.into_inner())
    }
}
