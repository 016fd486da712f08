//! What is filed about no patient is shown again as it was when somebody saw it.

use std::time::SystemTime;

use api::v1;
use prost::Message;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;

use super::{FOUND, Shown, all_is_changed, all_shown_again, trail};
use crate::policies::{SHIPPED, adopt, propose};
use crate::relationships::{practitioner_role, put};
use crate::staff::link;

const PERSON: &str = "caseledger.v1.PractitionerRoleState";
const PEOPLE: &str = "caseledger.v1.ListPractitionerRolesResponse";
const POLICY: &str = "caseledger.v1.Policy";
const POLICIES: &str = "caseledger.v1.ListPoliciesResponse";
const INCIDENT: &str = "caseledger.v1.GetIncidentResponse";
const INCIDENTS: &str = "caseledger.v1.ListIncidentsResponse";

/// What makes another set of that which Caseledger comes with.
const ADDITION: &str = r#"
@id("billing-says-why")
forbid (principal in Caseledger::Role::"billing", action, resource)
unless { context.reasonGiven };
"#;

struct Looking {
    officer: Client,
    incident: String,
    shown: Shown,
}

impl Looking {
    async fn look(&mut self) {
        self.people().await;
        self.policies().await;
        self.incidents().await;
    }

    async fn people(&mut self) {
        let staff = self.officer.staff();
        let person = v1::GetPractitionerRoleRequest {
            purpose: purpose("HOPERAT"),
            person: "ann".to_owned(),
        };
        let person = staff.clone().get_practitioner_role(person).await.expect("ann").into_inner();
        self.shown.insert(person.receipt, (PERSON, person.state.unwrap().encode_to_vec()));
        let own = v1::GetOwnFileRequest { purpose: purpose("HCOMPL"), person: "ann".to_owned() };
        let own = staff.clone().get_own_file(own).await.expect("linked").into_inner();
        let alone = v1::FindPatientResponse { patient_id: own.patient_id, ..<_>::default() };
        self.shown.insert(own.receipt, (FOUND, alone.encode_to_vec()));
        let mut request = v1::ListPractitionerRolesRequest {
            purpose: purpose("HOPERAT"),
            page_size: 2,
            ..v1::ListPractitionerRolesRequest::default()
        };
        loop {
            let page = staff.clone().list_practitioner_roles(request.clone()).await;
            let page = page.expect("a page").into_inner();
            let alone = v1::ListPractitionerRolesResponse { states: page.states, ..<_>::default() };
            self.shown.insert(page.receipt, (PEOPLE, alone.encode_to_vec()));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
    }

    async fn policies(&mut self) {
        let mut request = v1::ListPoliciesRequest {
            purpose: purpose("HCOMPL"),
            page_size: 1,
            ..v1::ListPoliciesRequest::default()
        };
        loop {
            let page = self.officer.policies().list_policies(request.clone()).await;
            let page = page.expect("a page").into_inner();
            let alone = v1::ListPoliciesResponse { policies: page.policies, ..<_>::default() };
            self.shown.insert(page.receipt, (POLICIES, alone.encode_to_vec()));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        // That which decides.
        let request = v1::PolicyServiceGetPolicyRequest {
            purpose: purpose("HCOMPL"),
            ..v1::PolicyServiceGetPolicyRequest::default()
        };
        let policy = self.officer.policies().get_policy(request).await.expect("in force");
        let policy = policy.into_inner();
        self.shown.insert(policy.receipt, (POLICY, policy.policy.unwrap().encode_to_vec()));
    }

    async fn incidents(&mut self) {
        let mut request = v1::GetIncidentRequest {
            purpose: purpose("HCOMPL"),
            incident_id: self.incident.clone(),
            page_size: 1,
            ..v1::GetIncidentRequest::default()
        };
        loop {
            let page = self.officer.incidents().get_incident(request.clone()).await;
            let page = page.expect("an incident").into_inner();
            let alone = v1::GetIncidentResponse {
                next_page_token: String::new(),
                position: 0,
                receipt: Vec::new(),
                ..page.clone()
            };
            self.shown.insert(page.receipt, (INCIDENT, alone.encode_to_vec()));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
        let request = v1::ListIncidentsRequest {
            purpose: purpose("HCOMPL"),
            open_only: true,
            ..v1::ListIncidentsRequest::default()
        };
        let page = self.officer.incidents().list_incidents(request).await.expect("a page");
        let page = page.into_inner();
        let alone = v1::ListIncidentsResponse { incidents: page.incidents, ..<_>::default() };
        self.shown.insert(page.receipt, (INCIDENTS, alone.encode_to_vec()));
    }
}

/// An incident of every access on the trail that is about a patient.
async fn incident(officer: &Client, title: &str) -> v1::PrivacyIncident {
    let accesses = trail(officer).await;
    let about = accesses.values().filter(|access| !access.patient_id.is_empty());
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    v1::PrivacyIncident {
        title: title.to_owned(),
        description: "A report from the ward".to_owned(),
        discover_time: Some(api::Timestamp { seconds: now.try_into().unwrap(), nanos: 0 }),
        access_positions: about.map(|access| access.position).collect(),
        ..v1::PrivacyIncident::default()
    }
}

/// A person is put elsewhere, another comes, a policy is adopted, another proposed, an incident amended.
async fn all_moves_on(cluster: &Cluster, policy: &str, incident_id: &str) {
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let units = vec!["4-west".to_owned()];
    put(&officer, v1::PractitionerRole { units, ..practitioner_role("ann") }).await.expect("filed");
    put(&officer, practitioner_role("dan")).await.expect("filed");
    let second = cluster.client_of(0, "compliance-officer", "second-officer").unwrap();
    adopt(&second, policy).await.expect("adopted");
    propose(&officer, &format!("{SHIPPED}\n// nothing more{ADDITION}")).await.expect("proposed");
    let amended = v1::AmendIncidentRequest {
        request_id: request_id(),
        purpose: purpose("HCOMPL"),
        incident_id: incident_id.to_owned(),
        incident: Some(incident(&officer, "More files opened").await),
        reason: "told of more".to_owned(),
        expected_revision: 1,
    };
    officer.incidents().amend_incident(amended).await.expect("amended");
}

#[tokio::test]
async fn policies_staff_and_incidents_are_shown_again_as_they_were_seen() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let mut patients = Vec::new();
    for number in ["MRN-1", "MRN-2"] {
        let patient = manager.register(number, "Ames").await.unwrap().patient_id;
        manager.read_file(&patient, None).await.expect("shown");
        patients.push(patient);
    }
    for person in ["ann", "ben", "cleo"] {
        put(&officer, practitioner_role(person)).await.expect("filed");
    }
    link(&officer, "ann", &patients[0]).await.expect("linked");
    let first = propose(&officer, &format!("{SHIPPED}{ADDITION}")).await.expect("proposed");
    let opened = v1::OpenIncidentRequest {
        request_id: request_id(),
        purpose: purpose("HCOMPL"),
        incident: Some(incident(&officer, "Files opened").await),
    };
    let opened = officer.incidents().open_incident(opened).await.expect("opened").into_inner();

    let id = opened.incident_id;
    let mut looking =
        Looking { officer: officer.clone(), incident: id.clone(), shown: Shown::new() };
    looking.look().await;
    all_moves_on(&cluster, &first.policy_id, &id).await;
    looking.look().await;
    let of = |kind| looking.shown.values().filter(move |(shown, _)| *shown == kind);
    for kind in [PERSON, PEOPLE, POLICY, POLICIES, INCIDENT, INCIDENTS] {
        let seen: std::collections::BTreeSet<_> = of(kind).collect();
        assert!(seen.len() > 1, "{kind} was seen in more than one form");
    }
    all_is_changed(&mut cluster, &patients).await;

    // On the other node, which made its views anew.
    let officer = cluster.client(1, "compliance-officer").unwrap();
    all_shown_again(&officer, &looking.shown).await;
    // Whom the incident named is on the trail of whoever saw it again, too.
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patients[1].clone(),
        ..v1::ListAccessesRequest::default()
    };
    let about = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let named = |operation: &str| {
        about.accesses.iter().filter(|access| access.operation.ends_with(operation)).count()
    };
    assert_eq!(named("/Replay"), named("/GetIncident"), "each showing of the incident");
}
