//! Access policies of the hospital's own: proposed by one, tried on the trail, adopted by another; every
//! node decides by them and says so.

mod command_line;
mod steps;
mod units_and_hours;

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use api::v1;
use api::v1::try_policy_request::Tried;
use api::v1::try_policy_response::Part;
use engine::Role;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use testkit::wait::eventually;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::access_table::{call, let_in, list_somebody, rpcs, states_a_purpose};
use crate::tools::{PATIENCE, reason};

/// What Caseledger comes with.
pub(crate) const SHIPPED: &str = include_str!("../../../crates/engine/policies/default.cedar");

/// What this hospital wants otherwise: less and more, of reading, of the trail and of writing.
const OURS: &str = r#"
@id("billing-reads")
permit (
  principal in Caseledger::Role::"billing",
  action == Caseledger::Action::"GetPatientHistory",
  resource
)
when { context.purpose in Caseledger::Purpose::"HPAYMT" };

@id("nurses-read-to-treat")
forbid (
  principal in Caseledger::Role::"nurse",
  action in Caseledger::Action::"Read",
  resource
)
unless { context.purpose in Caseledger::Purpose::"TREAT" };

@id("officers-say-why")
forbid (
  principal in Caseledger::Role::"compliance-officer",
  action in Caseledger::Action::"Read",
  resource
)
unless { context.reasonGiven };

@id("auditors-see-more")
permit (
  principal in Caseledger::Role::"auditor",
  action in
    [
      Caseledger::Action::"Replay",
      Caseledger::Action::"ProveContents",
      Caseledger::Action::"TryPolicy"
    ],
  resource
)
when { context.purpose in Caseledger::Purpose::"HOPERAT" };

@id("nurses-register")
permit (
  principal in Caseledger::Role::"nurse",
  action == Caseledger::Action::"RegisterPatient",
  resource
)
when { context.purpose in Caseledger::Purpose::"TREAT" };

@id("it-asks-first")
forbid (
  principal in Caseledger::Role::"hospital-it",
  action == Caseledger::Action::"ListPolicies",
  resource
);
"#;

fn ours() -> String {
    format!("{SHIPPED}{OURS}")
}

pub(crate) async fn propose(
    client: &Client,
    text: &str,
) -> Result<v1::ProposePolicyResponse, Status> {
    let request = v1::ProposePolicyRequest {
        purpose: purpose("HCOMPL"),
        request_id: request_id(),
        text: text.to_owned(),
        reason: "the board decided so".to_owned(),
    };
    Ok(client.policies().propose_policy(request).await?.into_inner())
}

pub(crate) async fn adopt(
    client: &Client,
    policy_id: &str,
) -> Result<v1::AdoptPolicyResponse, Status> {
    let request = v1::AdoptPolicyRequest {
        purpose: purpose("HOPERAT"),
        request_id: request_id(),
        policy_id: policy_id.to_owned(),
        reason: "tried on last month".to_owned(),
    };
    Ok(client.policies().adopt_policy(request).await?.into_inner())
}

async fn withdraw(client: &Client, policy_id: &str) -> Result<v1::WithdrawPolicyResponse, Status> {
    let request = v1::WithdrawPolicyRequest {
        purpose: purpose("HOPERAT"),
        request_id: request_id(),
        policy_id: policy_id.to_owned(),
        reason: "another one is better".to_owned(),
    };
    Ok(client.policies().withdraw_policy(request).await?.into_inner())
}

async fn shown(client: &Client, policy_id: &str) -> Result<v1::Policy, Status> {
    let policy_id = policy_id.to_owned();
    let request = v1::PolicyServiceGetPolicyRequest { purpose: purpose("HOPERAT"), policy_id };
    let answer = client.policies().get_policy(request).await?.into_inner();
    assert_eq!(answer.receipt.len(), 32, "it is on record");
    Ok(answer.policy.expect("a policy"))
}

/// Whether billing may read how a file came to be, to bill it.
async fn bills(client: &Client, patient_id: &str) -> Result<(), Status> {
    let request = v1::GetPatientHistoryRequest {
        patient_id: patient_id.to_owned(),
        purpose: purpose("HPAYMT"),
        ..v1::GetPatientHistoryRequest::default()
    };
    client.file().get_patient_history(request).await.map(drop)
}

/// What a trial told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) accesses: Vec<v1::AccessDifference>,
    counts: Vec<v1::CallCount>,
    pub(crate) ended: v1::TryEnded,
    receipts: Vec<Vec<u8>>,
}

pub(crate) async fn tried(
    client: &Client,
    tried: Tried,
    (start_time, end_time): (SystemTime, Option<SystemTime>),
    max_accesses: u32,
) -> Result<Told, Status> {
    let request = v1::TryPolicyRequest {
        purpose: purpose("HCOMPL"),
        tried: Some(tried),
        start_time: Some(start_time.into()),
        end_time: end_time.map(Into::into),
        max_accesses,
    };
    let mut parts = client.policies().try_policy(request).await?.into_inner();
    let mut told = Told::default();
    while let Some(part) = parts.message().await? {
        match part.part.expect("a part") {
            Part::Started(started) => told.receipts.push(started.receipt),
            Part::Progress(progress) => {
                told.receipts.push(progress.receipt);
                told.accesses.extend(progress.accesses);
            }
            Part::Counts(counts) => told.counts.extend(counts.counts),
            Part::Ended(ended) => {
                told.receipts.push(ended.receipt.clone());
                told.ended = ended;
            }
        }
    }
    Ok(told)
}

/// A call as policies see it: who, what, why.
type Kind = (String, String, String);

/// Everybody calls everything for some purposes; who was let in.
async fn a_month(cluster: &Cluster, patient: &str) -> BTreeMap<Kind, bool> {
    let mut ended = BTreeMap::new();
    for rpc in rpcs().into_iter().filter(|rpc| states_a_purpose(rpc)) {
        for role in Role::ALL.map(Role::name) {
            // Whoever is denied too often is not heard for a while.
            let person = format!("{role} of {rpc}");
            let client = cluster.client_of(0, role, &person).unwrap();
            for code in ["TREAT", "BTG", "HPAYMT", "HCOMPL", "PATRQT"] {
                let reason = if code == "HCOMPL" { "" } else { "it was needed" }.to_owned();
                let why = Some(v1::Purpose { purpose_of_use: code.to_owned(), reason });
                let answer = call(&client, &rpc, patient, &why).await;
                let kind = (person.clone(), rpc.clone(), code.to_owned());
                ended.insert(kind, let_in(&rpc, role, answer));
            }
        }
    }
    ended
}

fn kind_of(call: &v1::CallKind) -> Kind {
    (call.person.clone(), call.operation.clone(), call.purpose_of_use.clone())
}

/// The promise of trying: what is predicted is what happens.
#[tokio::test]
async fn what_a_trial_predicts_is_what_adoption_changes_and_nothing_else() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    // What is replayed: an access that showed nothing.
    cluster.client(0, "billing").unwrap().read_file(&patient, None).await.expect_err("denied");
    let (ada, ben) = (
        cluster.client_of(0, "compliance-officer", "ada").unwrap(),
        cluster.client_of(0, "compliance-officer", "ben").unwrap(),
    );
    list_somebody(&ada, &patient).await;
    let proposed = propose(&ada, &ours()).await.expect("proposed");
    cluster.agreed().await.expect("all of it is on the trail");

    let began = SystemTime::now();
    let before = a_month(&cluster, &patient).await;
    cluster.agreed().await.expect("all of it is on the trail");
    let policy = Tried::PolicyId(proposed.policy_id.clone());
    let predicted = tried(&ben, policy.clone(), (began, None), 10_000).await.expect("tried");

    let adopted = adopt(&ben, &proposed.policy_id).await.expect("adopted by another");
    let after = a_month(&cluster, &patient).await;
    let denied = v1::PolicyChange::Denied;
    let change = |was: bool| if was { denied } else { v1::PolicyChange::Allowed };
    let actual: BTreeSet<_> = before
        .iter()
        .filter(|(kind, was)| after[*kind] != **was)
        .map(|(kind, was)| (kind.clone(), change(*was) as i32))
        .collect();
    let told: BTreeSet<_> = predicted
        .accesses
        .iter()
        .map(|one| one.call.as_ref().expect("a call"))
        .map(|call| (kind_of(call), call.change))
        .collect();
    assert_eq!(told, actual, "predicted on the left");
    // Of a watch every delivery is an access.
    let calls = |operation: &str| !operation.ends_with("/WatchPatientFile");
    let once = predicted.accesses.iter().filter_map(|one| one.call.as_ref());
    let once = once.filter(|call| calls(&call.operation)).count();
    assert_eq!(once, actual.iter().filter(|((_, rpc, _), _)| calls(rpc)).count(), "each once");
    let v1::TryEnded { would_be_denied: less, would_be_allowed: more, .. } = predicted.ended;
    assert!(less >= 8 && more >= 5, "{less} are denied now, {more} let in");
    assert_eq!(less + more, predicted.accesses.len() as u64);
    assert_eq!((predicted.ended.not_told, predicted.ended.not_judged), (0, 0));
    assert_eq!(predicted.counts.iter().map(|one| one.count).sum::<u64>(), less + more);
    let refused = before.values().filter(|let_in| !**let_in).count() as u64;
    assert!(predicted.ended.looked_at > refused + less, "what stays as it is was looked at, too");

    said_on_the_trail(&ben, &predicted, &adopted, &patient).await;
    // Another period, a shorter list, and what would change if the old ones came back.
    let earlier = (SystemTime::UNIX_EPOCH, Some(began));
    let nothing = tried(&ben, policy.clone(), earlier, 0).await.expect("tried");
    assert_eq!(nothing.ended.would_be_denied, 0, "of before, {:?}", nothing.ended);
    assert!(nothing.ended.looked_at < 10, "{:?}", nothing.ended);
    let few = tried(&ben, Tried::Text(ours()), (began, None), 3).await.expect("a text, too");
    assert_eq!((few.accesses.len(), few.ended.not_told), (3, less + more - 3));
    let now = tried(&ben, policy, (began, None), 0).await.expect("tried again");
    assert_eq!(now.ended.would_be_denied, less, "of the first round alone");
}

/// The trial, and what was decided since, are on record as what they were.
async fn said_on_the_trail(
    officer: &Client,
    predicted: &Told,
    adopted: &v1::AdoptPolicyResponse,
    patient: &str,
) {
    let list = async |request| {
        let page = officer.audit().list_accesses(request).await.expect("the trail");
        page.into_inner().accesses
    };
    let request = |receipt: &[u8]| v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        receipt: receipt.to_vec(),
        ..v1::ListAccessesRequest::default()
    };
    for receipt in &predicted.receipts {
        let found = list(request(receipt)).await;
        assert_eq!(found.len(), 1, "each message is on record");
        assert_eq!(
            (found[0].operation.as_str(), found[0].person.as_str()),
            ("PolicyService/TryPolicy", "ben")
        );
    }
    let about = v1::ListAccessesRequest {
        patient_id: patient.to_owned(),
        person: "ben".to_owned(),
        ..request(&[])
    };
    let named = list(about).await;
    assert!(!named.is_empty(), "the patient's own trail says that they were named");
    let denied = v1::ListAccessesRequest {
        person: "nurse of PatientFileService/GetPatientFile".to_owned(),
        purpose_of_use: "PATRQT".to_owned(),
        outcome: "denied".to_owned(),
        ..request(&[])
    };
    let denied = list(denied).await;
    let [denial] = denied.as_slice() else { panic!("since the adoption alone: {denied:?}") };
    assert_eq!(denial.policy_version, adopted.version);
    assert_eq!(denial.deciding_ids, ["nurses-read-to-treat"]);
}

#[tokio::test]
async fn who_proposes_cannot_adopt_and_what_is_wrong_is_told_line_by_line() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (ada, ben) = (
        cluster.client_of(0, "compliance-officer", "ada").unwrap(),
        cluster.client_of(0, "compliance-officer", "ben").unwrap(),
    );
    let lines = SHIPPED.lines().count();
    let wrong = "@id(\"x\") permit (principal, action, resource) when { context.mood };\n\
                 permit (principal, action, resource);";
    let refused = propose(&ada, &format!("{SHIPPED}{wrong}")).await.expect_err("two faults");
    assert_eq!(refused.code(), Code::InvalidArgument);
    let bad = refused.get_details_bad_request().expect("the fields").field_violations;
    let told: Vec<_> = bad.iter().map(|one| (&*one.field, &*one.description)).collect();
    for line in [lines + 1, lines + 2] {
        let named = format!("line {line}: ");
        let is = |(field, said): &(&str, &str)| *field == "text" && said.starts_with(&named);
        assert!(told.iter().any(is), "{line}: {told:?}");
    }
    let shut = format!(
        "{SHIPPED}@id(\"x\") forbid (principal, action == Caseledger::Action::\"AdoptPolicy\", resource);"
    );
    let refused = propose(&ada, &shut).await.expect_err("nobody could replace it");
    assert_eq!(reason(&refused), "POLICY_LOCKS_OUT", "{refused}");

    let proposed = propose(&ada, &ours()).await.expect("proposed");
    let refused = adopt(&ada, &proposed.policy_id).await.expect_err("her own");
    assert_eq!(reason(&refused), "SAME_PERSON", "{refused}");
    let trail = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "ada".to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let trail = ben.audit().list_accesses(trail).await.expect("the trail").into_inner().accesses;
    assert!(trail.iter().any(|one| one.operation == "PolicyService/AdoptPolicy"), "the try, too");
    let draft = shown(&ben, &proposed.policy_id).await.expect("shown");
    assert_eq!((&*draft.status, draft.in_force, &*draft.text), ("draft", false, &*ours()));

    let other = propose(&ada, SHIPPED).await.expect("another");
    withdraw(&ada, &other.policy_id).await.expect("her own, she may");
    let refused = adopt(&ben, &other.policy_id).await.expect_err("withdrawn");
    assert_eq!(reason(&refused), "STATUS_STEP_NOT_ALLOWED", "{refused}");
    let nothing = adopt(&ben, &"1".repeat(32)).await.expect_err("no such");
    assert_eq!(nothing.code(), Code::NotFound);

    let adopted = adopt(&ben, &proposed.policy_id).await.expect("adopted");
    assert_eq!(adopted.version, proposed.version);
    let short = proposed.policy_id.get(..8).expect("32 digits");
    assert!(adopted.version.starts_with(&format!("policy/{short}+")), "{}", adopted.version);
    let listed =
        v1::ListPoliciesRequest { purpose: purpose("HOPERAT"), page_size: 2, ..<_>::default() };
    let first = ben.policies().list_policies(listed.clone()).await.expect("a page").into_inner();
    let next = v1::ListPoliciesRequest { page_token: first.next_page_token, ..listed };
    let rest = ben.policies().list_policies(next).await.expect("the last").into_inner();
    assert_eq!(rest.next_page_token, "");
    let all: Vec<_> = first.policies.iter().chain(&rest.policies).collect();
    let told: Vec<_> =
        all.iter().map(|one| (&*one.policy_id, &*one.status, one.in_force)).collect();
    let (ours, other) = (&*proposed.policy_id, &*other.policy_id);
    let expected =
        [(other, "retired", false), (ours, "active", true), ("default", "active", false)];
    assert_eq!(told, expected);
    let by = |step: &Option<v1::PolicyStep>| step.as_ref().map(|step| step.author.clone());
    let adoption = (by(&all[1].proposed), by(&all[1].adopted));
    assert_eq!(adoption, (Some("ada".to_owned()), Some("ben".to_owned())));
    assert_eq!(by(&all[0].withdrawn), Some("ada".to_owned()));
}

#[tokio::test]
async fn every_node_decides_by_what_was_adopted_also_anew_and_without_the_broker() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let patient =
        cluster.client(0, "registrar").unwrap().register("MRN-1", "Ames").await.unwrap().patient_id;
    let [there, here] = [1, 0].map(|node| cluster.client(node, "billing").unwrap());
    cluster.agreed().await.expect("both know the patient");
    for client in [&here, &there] {
        let denied = bills(client, &patient).await.expect_err("not by what Caseledger comes with");
        assert_eq!(denied.code(), Code::PermissionDenied);
    }
    let ada = cluster.client_of(0, "compliance-officer", "ada").unwrap();
    let ben = cluster.client_of(1, "compliance-officer", "ben").unwrap();
    let proposed = propose(&ada, &ours()).await.expect("proposed at one node");
    cluster.agreed().await.expect("both have the proposal");
    adopt(&ben, &proposed.policy_id).await.expect("adopted at the other");
    bills(&there, &patient).await.expect("at once, where it was adopted");
    cluster.agreed().await.expect("both have the adoption");
    bills(&here, &patient).await.expect("and at the other node");

    // Its database made anew from the stream, its views with it.
    cluster.node_mut(1).stop().await.expect("stopped");
    std::fs::remove_dir_all(cluster.node(1).data().join("ledger")).expect("removed");
    cluster.node_mut(1).spawn().expect("started");
    let anew = eventually(PATIENCE, "it reads", async || match bills(&there, &patient).await {
        // Never a denial: a node that does not know the policies does not decide by others.
        Err(status) if status.code() != Code::PermissionDenied => Err(status.into()),
        ended => Ok(ended),
    });
    anew.await.expect("it reads").expect("by the same policies");
    cluster.node(1).serving().await.expect("serving");

    // Killed, and started while the broker is away.
    cluster.node_mut(0).kill().expect("killed");
    cluster.nats.kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    let alone = eventually(PATIENCE, "it reads", async || match bills(&here, &patient).await {
        Err(status) if status.code() != Code::PermissionDenied => Err(status.into()),
        ended => Ok(ended),
    });
    alone.await.expect("it reads").expect("by the set that it knows");
    let auditor = cluster.client(0, "auditor").unwrap();
    let in_force = shown(&auditor, "").await.expect("the one in force");
    assert_eq!((&*in_force.version, in_force.in_force), (&*proposed.version, true));
    let shipped = shown(&auditor, "default").await.expect("the shipped one");
    assert_eq!((&*shipped.text, shipped.in_force), (SHIPPED, false));
}

/// Until the system's keys arrive, nobody can open the register.
#[tokio::test]
async fn a_node_that_cannot_open_the_register_decides_nothing_but_its_status() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let patient =
        cluster.client(0, "registrar").unwrap().register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.node_mut(0).stop().await.expect("stopped");
    cluster.nats.kill().expect("killed");
    std::fs::remove_dir_all(cluster.node(0).data().join("keys")).expect("removed");
    cluster.node_mut(0).spawn().expect("started");
    let it = cluster.client(0, "hospital-it").unwrap();
    let unknown = eventually(PATIENCE, "it says so", async || {
        let alarms = it.status().await?.alarms;
        anyhow::ensure!(alarms.iter().any(|one| one.code == "POLICIES_UNKNOWN"), "{alarms:?}");
        Ok(())
    });
    unknown.await.expect("how it is can be asked");
    for role in Role::ALL.map(Role::name) {
        let client = cluster.client(0, role).unwrap();
        let refused = client.read_file(&patient, None).await.expect_err("by no policies");
        assert_eq!(refused.code(), Code::Unavailable, "{role}: {refused}");
    }
    cluster.nats.restart().await.expect("back, with the bucket of keys");
    cluster.node(0).serving().await.expect("serving");
    cluster
        .client(0, "nurse")
        .unwrap()
        .read_file(&patient, None)
        .await
        .expect("by the shipped ones");
    let alarms = it.status().await.expect("a status").alarms;
    assert!(!alarms.iter().any(|one| one.code == "POLICIES_UNKNOWN"), "{alarms:?}");
}
