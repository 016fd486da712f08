//! Lists of emergency accesses are shown again as they were: who had broken the glass by then, as far as
//! that node knew, what was still open, and what was reviewed.

use anyhow::ensure;
use api::v1;
use api::v1::EmergencyAccessState as State;
use api::v1::break_glass_request::Scope;
use prost::Message;
use testkit::client::{Client, purpose};
use testkit::cluster::Cluster;
use testkit::wait::eventually;

use super::{Shown, TRAIL, all_shown_again, replay, trail};
use crate::emergency::{break_glass, earlier, end, file_of, review};
use crate::relationships::newest;
use crate::tools::PATIENCE;

const EMERGENCIES: &str = "caseledger.v1.ListEmergencyAccessesResponse";

/// Lists those in a state, one on a page, and keeps what was shown; how many there were.
async fn list(officer: &Client, state: State, shown: &mut Shown) -> usize {
    let mut request = v1::ListEmergencyAccessesRequest {
        purpose: purpose("HCOMPL"),
        state: state.into(),
        page_size: 1,
        ..v1::ListEmergencyAccessesRequest::default()
    };
    let mut listed = 0;
    loop {
        let page = officer.emergency().list_emergency_accesses(request.clone()).await;
        let page = page.expect("a page").into_inner();
        listed += page.emergencies.len();
        let alone =
            v1::ListEmergencyAccessesResponse { emergencies: page.emergencies, ..<_>::default() };
        shown.insert(page.receipt, (EMERGENCIES, alone.encode_to_vec()));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return listed;
        }
    }
}

#[tokio::test]
async fn lists_of_emergency_accesses_are_shown_again_as_they_were_seen() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let nurses = [cluster.client(0, "nurse").unwrap(), cluster.client(1, "nurse").unwrap()];
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("both have the patient");

    let mut shown = Shown::new();
    assert_eq!(list(&officer, State::Unspecified, &mut shown).await, 0);
    let first = break_glass(&nurses[0], file_of(&patient), None).await.expect("broken");
    let unit = Scope::Unit("4-west".to_owned());
    break_glass(&nurses[1], unit, Some(2)).await.expect("broken elsewhere");
    list(&officer, State::Unspecified, &mut shown).await;
    cluster.agreed().await.expect("both have the trail");
    list(&officer, State::Unspecified, &mut shown).await;
    end(&nurses[0], &first.id).await.expect("ended");
    list(&officer, State::Unreviewed, &mut shown).await;
    // The other expires by itself.
    let none_open = eventually(PATIENCE, "none is open", async || {
        let mut looked = Shown::new();
        ensure!(list(&officer, State::Open, &mut looked).await == 0, "one is open");
        Ok(looked)
    });
    shown.extend(none_open.await.expect("it expires"));
    list(&officer, State::Unspecified, &mut shown).await;
    review(&officer, &first.id, v1::ReviewVerdict::Justified).await.expect("reviewed");
    list(&officer, State::Unspecified, &mut shown).await;

    cluster.agreed().await.expect("both have the trail");
    for node in 0..2 {
        let officer = cluster.client(node, "compliance-officer").unwrap();
        all_shown_again(&officer, &shown).await;
    }
}

#[tokio::test]
async fn who_sees_that_the_glass_was_broken_for_a_patient_is_in_that_patient_s_trail() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    break_glass(&cluster.client(0, "nurse").unwrap(), file_of(&patient), None)
        .await
        .expect("broken");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let olga = cluster.client_of(0, "compliance-officer", "olga").unwrap();
    let accesses = trail(&officer).await.into_values();
    let began = |access: &v1::Access| {
        access.operation == "EmergencyAccessService/BreakGlass" && access.patient_id.is_empty()
    };
    let query = accesses.into_iter().find(began).expect("the query's own record");
    // On this page the patient's record, which follows the query's, is not.
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        receipt: query.hash.clone(),
        ..v1::ListAccessesRequest::default()
    };
    let page = olga.audit().list_accesses(request).await.expect("a page").into_inner();
    assert_eq!(page.accesses.len(), 1);
    let operation = async || newest(&officer, &patient, "olga").await.operation;
    assert_eq!(operation().await, "AuditService/ListAccesses");
    replay(&olga, query.position).await.expect("what was told");
    assert_eq!(operation().await, "AuditService/Replay");
}

#[tokio::test]
async fn what_a_node_knew_alone_is_in_its_list_of_then() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let nurse = cluster.client(0, "nurse").unwrap();
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    cluster.agreed().await.expect("it is on the trail");
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");

    let mut shown = Shown::new();
    let second = break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    assert_eq!(list(&officer, State::Open, &mut shown).await, 2);
    end(&nurse, &second.id).await.expect("ended");
    assert_eq!(list(&officer, State::Open, &mut shown).await, 1);
    list(&officer, State::Unspecified, &mut shown).await;

    cluster.nats.restart().await.expect("back");
    cluster.node(0).serving().await.expect("serving");
    cluster.agreed().await.expect("what waited is on the trail");
    all_shown_again(&officer, &shown).await;
}

#[tokio::test]
async fn a_list_with_what_a_clock_ahead_recorded_is_shown_again() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    cluster.node_mut(1).stop().await.expect("stopped");
    // By a clock that is two minutes ahead.
    earlier::emergency_access(cluster.node(1), earlier::now() + 2 * 60_000_000);
    cluster.node_mut(1).spawn().expect("started");
    cluster.node(1).serving().await.expect("serving");
    cluster.agreed().await.expect("both have the trail");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        ..v1::ListAccessesRequest::default()
    };
    let page = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let began = |access: &v1::Access| access.operation == "EmergencyAccessService/BreakGlass";
    assert!(page.accesses.iter().any(began), "{:?}", page.accesses);
    let alone = v1::ListAccessesResponse { accesses: page.accesses, ..<_>::default() };
    let shown = Shown::from([(page.receipt, (TRAIL, alone.encode_to_vec()))]);
    all_shown_again(&officer, &shown).await;
}
