//! Who may call what: every RPC called in every role, against a table that people can review.

use std::fmt::Write as _;

use api::v1;
use engine::{Purpose, Role};
use prost::Message as _;
use testkit::client::{Client, request_id};
use testkit::cluster::Cluster;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

use crate::emergency::{break_glass, file_of};
use crate::hidden::represented;
use crate::relationships::{practitioner_role, put};
use crate::tools::reason;

/// Where one RPC asks for more than the role table's row of its name says: a row of its own.
const WITH_CONTENTS: &str = "EvidenceService/Prove, with contents";

/// Where an access stands that showed nothing: the denial that comes first.
const SHOWN: u64 = 2;
/// Why somebody calls.
pub(crate) type Why = Option<v1::Purpose>;

/// Every RPC of the interface, as it is compiled into the node.
pub(crate) fn rpcs() -> Vec<String> {
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
pub(crate) async fn call(
    client: &Client,
    rpc: &str,
    patient_id: &str,
    why: &Why,
) -> Result<(), Status> {
    match rpc.split_once('/').expect("a service and a method") {
        ("PatientFileService", method) => {
            of_files(client, method, patient_id.to_owned(), why).await
        }
        ("ProofService", method) => of_proofs(client, method).await,
        ("PeerService", method) => of_peers(client, method).await,
        ("ImportService", "Import") => {
            let nothing = v1::ImportRequest { purpose: why.clone(), items: Vec::new() };
            let sent = client.import().import(tokio_stream::once(nothing)).await?;
            whole(sent.into_inner()).await
        }
        ("AuditService", "ListAccesses") => {
            let purpose = why.clone();
            let asked = v1::ListAccessesRequest { purpose, ..v1::ListAccessesRequest::default() };
            client.audit().list_accesses(asked).await.map(drop)
        }
        ("AuditService", "Replay") => {
            let asked = v1::ReplayRequest { purpose: why.clone(), position: SHOWN };
            client.audit().replay(asked).await.map(drop)
        }
        ("EvidenceService", _) => {
            let asked = v1::ProveRequest {
                purpose: why.clone(),
                ledger: None,
                about: Some(v1::prove_request::About::PatientId(patient_id.to_owned())),
                contents: rpc == WITH_CONTENTS,
            };
            whole(client.evidence().prove(asked).await?.into_inner()).await
        }
        ("StaffService", method) => of_staff(client, method, patient_id, why).await,
        ("PolicyService", method) => of_policies(client, method, why).await,
        ("EmergencyAccessService", method) => of_emergencies(client, method, patient_id, why).await,
        ("PrivacyIncidentService", method) => of_incidents(client, method, why).await,
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

async fn of_files(
    client: &Client,
    method: &str,
    patient_id: String,
    why: &Why,
) -> Result<(), Status> {
    let (mut file, purpose) = (client.file(), why.clone());
    match method {
        "RegisterPatient" => {
            let identifier = v1::Identifier {
                issuer: "https://hospital.example/mrn".to_owned(),
                value: request_id(),
                ..v1::Identifier::default()
            };
            let name = v1::HumanName { family: "Cole".to_owned(), ..v1::HumanName::default() };
            let identity = v1::Identity {
                identifiers: vec![identifier],
                names: vec![name],
                ..v1::Identity::default()
            };
            let (request_id, identity) = (request_id(), Some(identity));
            let asked = v1::RegisterPatientRequest { request_id, purpose, identity };
            file.register_patient(asked).await.map(drop)
        }
        "Contribute" => {
            let asked = v1::ContributeRequest {
                request_id: request_id(),
                purpose,
                patient_id,
                expected_version: None,
                changes: vec![Client::note("seen")],
            };
            file.contribute(asked).await.map(drop)
        }
        "SettleRequest" => {
            let settled = v1::SettleRequestRequest { request_id: request_id(), purpose };
            file.settle_request(settled).await.map(drop)
        }
        "GetPatientFile" => {
            let (patient_id, rest) = (patient_id, v1::GetPatientFileRequest::default());
            let asked = v1::GetPatientFileRequest { patient_id, purpose, ..rest };
            file.get_patient_file(asked).await.map(drop)
        }
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

/// Somebody who is in the staff directory, and a patient.
const LISTED: &str = "listed";

async fn of_staff(
    client: &Client,
    method: &str,
    patient_id: &str,
    why: &Why,
) -> Result<(), Status> {
    let (mut staff, purpose, person) = (client.staff(), why.clone(), LISTED.to_owned());
    match method {
        "PutPractitionerRole" => {
            let practitioner_role = Some(practitioner_role(&request_id()));
            let request_id = request_id();
            let asked = v1::PutPractitionerRoleRequest { request_id, purpose, practitioner_role };
            staff.put_practitioner_role(asked).await.map(drop)
        }
        "GetPractitionerRole" => {
            let asked = v1::GetPractitionerRoleRequest { purpose, person };
            staff.get_practitioner_role(asked).await.map(drop)
        }
        "ListPractitionerRoles" => {
            let asked = v1::ListPractitionerRolesRequest { purpose, ..<_>::default() };
            staff.list_practitioner_roles(asked).await.map(drop)
        }
        "LinkOwnFile" => {
            let (request_id, patient_id) = (request_id(), patient_id.to_owned());
            let asked = v1::LinkOwnFileRequest { request_id, purpose, person, patient_id };
            match staff.link_own_file(asked).await {
                // Whoever hears that was let in.
                Err(status) if reason(&status) == "NOTHING_CHANGED" => Ok(()),
                Err(status) if status.code() == Code::InvalidArgument => Ok(()),
                ended => ended.map(drop),
            }
        }
        "GetOwnFile" => {
            let asked = v1::GetOwnFileRequest { purpose, person };
            staff.get_own_file(asked).await.map(drop)
        }
        method => no_row("StaffService", method),
    }
}

/// Puts somebody into the staff directory who is a patient, too.
pub(crate) async fn list_somebody(officer: &Client, patient_id: &str) {
    put(officer, practitioner_role(LISTED)).await.expect("listed");
    let why = Some(v1::Purpose { purpose_of_use: "HCOMPL".to_owned(), reason: "told".to_owned() });
    of_staff(officer, "LinkOwnFile", patient_id, &why).await.expect("linked");
}

async fn of_policies(client: &Client, method: &str, why: &Why) -> Result<(), Status> {
    let (mut policies, purpose) = (client.policies(), why.clone());
    // No such proposal: whoever is let in is told so.
    let (nothing, reason) =
        ("0123456789abcdef0123456789abcdef".to_owned(), "for the table".to_owned());
    let shipped = "default".to_owned();
    let ended = match method {
        "ProposePolicy" => {
            let text = include_str!("../../../crates/engine/policies/default.cedar").to_owned();
            let request_id = request_id();
            let asked = v1::ProposePolicyRequest { purpose, request_id, text, reason };
            policies.propose_policy(asked).await.map(drop)
        }
        "AdoptPolicy" => {
            let (request_id, policy_id) = (request_id(), nothing);
            let asked = v1::AdoptPolicyRequest { purpose, request_id, policy_id, reason };
            policies.adopt_policy(asked).await.map(drop)
        }
        "WithdrawPolicy" => {
            let (request_id, policy_id) = (request_id(), nothing);
            let asked = v1::WithdrawPolicyRequest { purpose, request_id, policy_id, reason };
            policies.withdraw_policy(asked).await.map(drop)
        }
        "GetPolicy" => {
            let asked = v1::PolicyServiceGetPolicyRequest { purpose, policy_id: shipped };
            policies.get_policy(asked).await.map(drop)
        }
        "ListPolicies" => {
            let asked = v1::ListPoliciesRequest { purpose, ..v1::ListPoliciesRequest::default() };
            policies.list_policies(asked).await.map(drop)
        }
        "TryPolicy" => {
            let moment = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
            let asked = v1::TryPolicyRequest {
                purpose,
                tried: Some(v1::try_policy_request::Tried::PolicyId(shipped)),
                start_time: moment(0),
                end_time: moment(1),
                max_accesses: 0,
            };
            whole(policies.try_policy(asked).await?.into_inner()).await
        }
        method => no_row("PolicyService", method),
    };
    match ended {
        Err(status) if status.code() == Code::NotFound => Ok(()),
        ended => ended,
    }
}

async fn of_emergencies(
    client: &Client,
    method: &str,
    patient: &str,
    why: &Why,
) -> Result<(), Status> {
    let (mut emergency, purpose) = (client.emergency(), why.clone());
    // Of nobody, unless whoever may break the glass just did.
    let mut emergency_id = "ab".repeat(16);
    if method == "EndEmergencyAccess"
        && why.as_ref().is_some_and(|why| why.purpose_of_use == "BTG")
        && let Ok(begun) = break_glass(client, file_of(patient), None).await
    {
        emergency_id = begun.id;
    }
    match method {
        "BreakGlass" => {
            let (reason_code, scope) = ("OVRER".to_owned(), Some(file_of(patient)));
            let asked = v1::BreakGlassRequest { purpose, reason_code, scope, duration: None };
            emergency.break_glass(asked).await.map(drop)
        }
        "EndEmergencyAccess" => {
            let asked = v1::EndEmergencyAccessRequest { purpose, emergency_id };
            emergency.end_emergency_access(asked).await.map(drop)
        }
        "ListEmergencyAccesses" => {
            let rest = v1::ListEmergencyAccessesRequest::default();
            let asked = v1::ListEmergencyAccessesRequest { purpose, ..rest };
            emergency.list_emergency_accesses(asked).await.map(drop)
        }
        "CloseReview" => {
            let asked = v1::CloseReviewRequest {
                request_id: request_id(),
                purpose,
                emergency_id,
                verdict: v1::ReviewVerdict::Justified.into(),
                text: "for the table".to_owned(),
            };
            emergency.close_review(asked).await.map(drop)
        }
        method => no_row("EmergencyAccessService", method),
    }
}

async fn of_incidents(client: &Client, method: &str, why: &Why) -> Result<(), Status> {
    let (mut incidents, purpose) = (client.incidents(), why.clone());
    let (request_id, incident_id) = (request_id(), "ab".repeat(16));
    let incident = Some(v1::PrivacyIncident {
        title: "Of the table".to_owned(),
        description: "A row of it".to_owned(),
        discover_time: Some(api::Timestamp { seconds: 1, nanos: 0 }),
        ..v1::PrivacyIncident::default()
    });
    match method {
        "OpenIncident" => {
            let asked = v1::OpenIncidentRequest { request_id, purpose, incident };
            incidents.open_incident(asked).await.map(drop)
        }
        "AmendIncident" => {
            let (reason, expected_revision) = ("for the table".to_owned(), 1);
            let asked = v1::AmendIncidentRequest {
                request_id,
                purpose,
                incident_id,
                incident,
                reason,
                expected_revision,
            };
            incidents.amend_incident(asked).await.map(drop)
        }
        "GetIncident" => {
            let rest = v1::GetIncidentRequest::default();
            let asked = v1::GetIncidentRequest { purpose, incident_id, ..rest };
            incidents.get_incident(asked).await.map(drop)
        }
        "ListIncidents" => {
            let asked = v1::ListIncidentsRequest { purpose, ..<_>::default() };
            incidents.list_incidents(asked).await.map(drop)
        }
        method => no_row("PrivacyIncidentService", method),
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

/// Whether a call was let in; nothing but the access check keeps it out.
pub(crate) fn let_in(rpc: &str, role: &str, ended: Result<(), Status>) -> bool {
    match ended {
        Ok(()) => true,
        Err(status) if status.code() == Code::PermissionDenied => {
            let reason = status.get_details_error_info().map(|info| info.reason);
            let known = ["NOT_PERMITTED", "FORBIDDEN", "GLASS_NOT_BROKEN"];
            let known = known.map(|known| Some(known.to_owned()));
            assert!(known.contains(&reason), "{rpc} by {role}: {status}");
            false
        }
        Err(status) if rpc.starts_with("PeerService/") => {
            assert_eq!(status.code(), Code::Unauthenticated, "{rpc} by {role}: {status}");
            false
        }
        // What it names is not there.
        Err(status)
            if ["/CloseReview", "/AmendIncident", "/GetIncident"]
                .iter()
                .any(|m| rpc.ends_with(m))
                && status.code() == Code::NotFound =>
        {
            true
        }
        Err(status) => panic!("{rpc} by {role}: {status}"),
    }
}

/// Whether a request states a purpose at all.
pub(crate) fn states_a_purpose(rpc: &str) -> bool {
    const SERVICES: [&str; 8] = [
        "PatientFileService",
        "ImportService",
        "AuditService",
        "EvidenceService",
        "PolicyService",
        "StaffService",
        "EmergencyAccessService",
        "PrivacyIncidentService",
    ];
    SERVICES.iter().any(|service| rpc.starts_with(service))
}

/// What a code is a kind of, up to the top.
fn family(code: &str) -> &'static str {
    let mut purpose = Purpose::parse(code).expect("a code");
    while let Some(parent) = purpose.parent() {
        purpose = parent;
    }
    purpose.code()
}

/// Purposes by family: `TREAT*` for all of one, a list for a part, `but` where few are missing.
fn in_short(permitted: &[&str]) -> String {
    let mut parts = Vec::new();
    for top in Purpose::CODES.into_iter().filter(|code| family(code) == *code) {
        let all = Purpose::CODES.into_iter().filter(|code| family(code) == top);
        let (some, missing): (Vec<_>, Vec<_>) = all.partition(|code| permitted.contains(code));
        parts.push(match (some.as_slice(), missing.as_slice()) {
            ([], _) => continue,
            (_, []) => format!("{top}*"),
            (some, missing) if some.len() > missing.len() => {
                format!("{top}* but {}", missing.join(", "))
            }
            (some, _) => some.join(", "),
        });
    }
    if parts.is_empty() { "no".to_owned() } else { parts.join("; ") }
}

#[tokio::test]
async fn every_rpc_is_open_to_the_roles_and_purposes_of_the_table_and_to_no_other() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    cluster.client(0, "billing").unwrap().read_file(&patient, None).await.expect_err("denied");
    represented(&manager, &patient).await;
    list_somebody(&cluster.client(0, "compliance-officer").unwrap(), &patient).await;
    let roles = Role::ALL.map(Role::name);
    let mut table =
        format!("| RPC | {} |\n|---|{}\n", roles.join(" | "), "---|".repeat(roles.len()));
    for rpc in rpcs() {
        write!(table, "| {rpc} |").unwrap();
        for role in roles {
            // Whoever is denied too often is not heard for a while.
            let client = cluster.client_of(0, role, &format!("{role} of {rpc}")).unwrap();
            let because = |code: &str| {
                let (purpose_of_use, reason) = (code.to_owned(), "for the table".to_owned());
                Some(v1::Purpose { purpose_of_use, reason })
            };
            // What is permitted in an emergency, is to whoever broke the glass; others are denied that.
            let _ = break_glass(&client, file_of(&patient), None).await;
            let cell = if states_a_purpose(&rpc) {
                let mut permitted = Vec::new();
                for code in Purpose::CODES {
                    let ended = call(&client, &rpc, &patient, &because(code)).await;
                    permitted.extend(let_in(&rpc, role, ended).then_some(code));
                }
                in_short(&permitted)
            } else {
                let ended = call(&client, &rpc, &patient, &None).await;
                let let_in = let_in(&rpc, role, ended);
                if let_in { "yes".to_owned() } else { "no".to_owned() }
            };
            write!(table, " {cell} |").unwrap();
        }
        table.push('\n');
    }
    assert!(table == include_str!("access_table.md"), "access_table.md should be:\n{table}");
}
