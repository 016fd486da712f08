//! Who may call what: every RPC called in every role, against a table that people can review.

use std::fmt::Write as _;

use api::v1;
use engine::Role;
use prost::Message as _;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

/// Where one RPC asks for more than the role table's row of its name says: a row of its own.
const WITH_CONTENTS: &str = "EvidenceService/Prove, with contents";

/// Where an access stands that showed nothing: the first denial of the first row.
const SHOWN: u64 = 2;

/// Every RPC of the interface, as it is compiled into the node.
fn rpcs() -> Vec<String> {
    let set = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).expect("it decodes");
    let ours = set.file.iter().filter(|file| file.package() == "caseledger.v1");
    let services = ours.flat_map(|file| &file.service);
    let mut rpcs: Vec<String> = services
        .flat_map(|service| {
            service.method.iter().map(|method| format!("{}/{}", service.name(), method.name()))
        })
        .collect();
    rpcs.push(WITH_CONTENTS.to_owned());
    rpcs.sort();
    rpcs
}

/// All of a stream, for what refuses may come late.
async fn whole<T>(mut stream: Streaming<T>) -> Result<(), Status> {
    while stream.message().await?.is_some() {}
    Ok(())
}

/// Calls an RPC as it is meant to be called, about this patient. One that is not here has no row.
async fn call(client: &Client, rpc: &str, patient_id: &str) -> Result<(), Status> {
    match rpc.split_once('/').expect("a service and a method") {
        ("PatientFileService", method) => of_files(client, method, patient_id.to_owned()).await,
        ("ProofService", method) => of_proofs(client, method).await,
        ("PeerService", method) => of_peers(client, method).await,
        ("ImportService", "Import") => {
            let nothing = v1::ImportRequest { purpose: purpose("RECORDMGT"), items: Vec::new() };
            let sent = client.import().import(tokio_stream::once(nothing)).await?;
            whole(sent.into_inner()).await
        }
        ("AuditService", "ListAccesses") => {
            let purpose = purpose("HCOMPL");
            let asked = v1::ListAccessesRequest { purpose, ..v1::ListAccessesRequest::default() };
            client.audit().list_accesses(asked).await.map(drop)
        }
        ("AuditService", "Replay") => {
            let asked = v1::ReplayRequest { purpose: purpose("HCOMPL"), position: SHOWN };
            client.audit().replay(asked).await.map(drop)
        }
        ("EvidenceService", _) => {
            let asked = v1::ProveRequest {
                purpose: purpose("HCOMPL"),
                ledger: None,
                about: Some(v1::prove_request::About::PatientId(patient_id.to_owned())),
                contents: rpc == WITH_CONTENTS,
            };
            whole(client.evidence().prove(asked).await?.into_inner()).await
        }
        ("LedgerService", "GetHead") => {
            client.ledger().get_head(v1::GetHeadRequest::default()).await.map(drop)
        }
        ("LedgerService", "GetNodeStatus") => {
            client.ledger().get_node_status(v1::GetNodeStatusRequest {}).await.map(drop)
        }
        (service, method) => no_row(service, method),
    }
}

fn no_row(service: &str, method: &str) -> ! {
    panic!("{service}/{method} has no row: say here how it is called")
}

async fn of_files(client: &Client, method: &str, patient_id: String) -> Result<(), Status> {
    let (mut file, purpose) = (client.file(), purpose("TREAT"));
    match method {
        "RegisterPatient" => client.register(&request_id(), "Cole").await.map(drop),
        "Contribute" => client.file_note(&patient_id, "seen", &request_id(), None).await.map(drop),
        "SettleRequest" => {
            let settled = v1::SettleRequestRequest { request_id: request_id(), purpose };
            file.settle_request(settled).await.map(drop)
        }
        "GetPatientFile" => client.read_file(&patient_id, None).await.map(drop),
        "GetPatientHistory" => {
            let asked = v1::GetPatientHistoryRequest {
                patient_id,
                purpose,
                ..v1::GetPatientHistoryRequest::default()
            };
            file.get_patient_history(asked).await.map(drop)
        }
        "FindPatient" => {
            let issuer = "https://hospital.example/mrn".to_owned();
            let asked = v1::FindPatientRequest { issuer, value: "MRN-1".to_owned(), purpose };
            file.find_patient(asked).await.map(drop)
        }
        "WatchPatientFile" => {
            let asked = v1::WatchPatientFileRequest { patient_id, purpose, from_version: 1 };
            let first = file.watch_patient_file(asked).await?.into_inner().message().await?;
            first.map(drop).ok_or_else(|| Status::internal("it ended without a change"))
        }
        method => no_row("PatientFileService", method),
    }
}

async fn of_proofs(client: &Client, method: &str) -> Result<(), Status> {
    let mut proofs = client.proofs();
    match method {
        "GetCheckpoint" => {
            proofs.get_checkpoint(v1::GetCheckpointRequest::default()).await.map(drop)
        }
        "GetPolicy" => proofs.get_policy(v1::GetPolicyRequest::default()).await.map(drop),
        "GetInclusionProof" => {
            proofs.get_inclusion_proof(v1::GetInclusionProofRequest::default()).await.map(drop)
        }
        "AwaitProof" => proofs.await_proof(v1::AwaitProofRequest::default()).await.map(drop),
        "GetConsistencyProof" => {
            let asked = v1::GetConsistencyProofRequest { size: 1, ..<_>::default() };
            proofs.get_consistency_proof(asked).await.map(drop)
        }
        method => no_row("ProofService", method),
    }
}

/// Nodes call each other with a proof signed by their block key, people never.
async fn of_peers(client: &Client, method: &str) -> Result<(), Status> {
    let mut peer = client.peer();
    match method {
        "GetSignedHead" => {
            peer.get_signed_head(v1::GetSignedHeadRequest::default()).await.map(drop)
        }
        "ReadBlocks" => peer.read_blocks(v1::ReadBlocksRequest::default()).await.map(drop),
        "GrantHeal" => peer.grant_heal(v1::GrantHealRequest::default()).await.map(drop),
        method => no_row("PeerService", method),
    }
}

/// What a cell says of a call's end.
fn cell(rpc: &str, role: &str, ended: Result<(), Status>) -> &'static str {
    match ended {
        Ok(()) => "yes",
        Err(status) if status.code() == Code::PermissionDenied => {
            let reason = status.get_details_error_info().map(|info| info.reason);
            assert_eq!(reason.as_deref(), Some("ROLE_NOT_PERMITTED"), "{rpc} by {role}: {status}");
            "no"
        }
        Err(status) if rpc.starts_with("PeerService/") => {
            assert_eq!(status.code(), Code::Unauthenticated, "{rpc} by {role}: {status}");
            "no"
        }
        Err(status) => panic!("{rpc} by {role}: {status}"),
    }
}

#[tokio::test]
async fn every_rpc_is_open_to_the_roles_of_the_table_and_to_no_other() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    let roles = Role::ALL.map(Role::name);
    let mut table =
        format!("| RPC | {} |\n|---|{}\n", roles.join(" | "), "---|".repeat(roles.len()));
    for rpc in rpcs() {
        write!(table, "| {rpc} |").unwrap();
        for role in roles {
            let client = cluster.client(0, role).unwrap();
            let ended = call(&client, &rpc, &patient).await;
            write!(table, " {} |", cell(&rpc, role, ended)).unwrap();
        }
        table.push('\n');
    }
    assert!(table == include_str!("access_table.md"), "access_table.md should be:\n{table}");
}
