//! Privacy incidents: whom they affect is derived from the trail, what is due is told, and all that
//! is shown is on record.

use std::time::SystemTime;

use api::v1;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::{Code, Status};

use crate::tools::{alarm, reason};

/// A time so many days ago.
fn days_ago(days: i64) -> Option<api::Timestamp> {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let seconds = i64::try_from(now).expect("this millennium") - days * 24 * 3_600;
    Some(api::Timestamp { seconds, nanos: 0 })
}

pub(crate) fn incident(accesses: &[u64]) -> v1::PrivacyIncident {
    v1::PrivacyIncident {
        title: "Files of colleagues opened".to_owned(),
        description: "A report from the ward".to_owned(),
        discover_time: days_ago(61),
        access_positions: accesses.to_vec(),
        ..v1::PrivacyIncident::default()
    }
}

pub(crate) async fn open(
    officer: &Client,
    incident: v1::PrivacyIncident,
) -> Result<v1::OpenIncidentResponse, Status> {
    let request = v1::OpenIncidentRequest {
        request_id: request_id(),
        purpose: purpose("HCOMPL"),
        incident: Some(incident),
    };
    Ok(officer.incidents().open_incident(request).await?.into_inner())
}

async fn amend(
    officer: &Client,
    id: &str,
    revision: u32,
    incident: v1::PrivacyIncident,
) -> Result<u64, Status> {
    let request = v1::AmendIncidentRequest {
        request_id: request_id(),
        purpose: purpose("HCOMPL"),
        incident_id: id.to_owned(),
        incident: Some(incident),
        reason: "as it went on".to_owned(),
        expected_revision: revision,
    };
    Ok(officer.incidents().amend_incident(request).await?.into_inner().position)
}

pub(crate) async fn get(officer: &Client, id: &str) -> Result<v1::GetIncidentResponse, Status> {
    let request = v1::GetIncidentRequest {
        purpose: purpose("HCOMPL"),
        incident_id: id.to_owned(),
        ..v1::GetIncidentRequest::default()
    };
    Ok(officer.incidents().get_incident(request).await?.into_inner())
}

async fn listed(officer: &Client, open_only: bool) -> Vec<v1::IncidentSummary> {
    let request = v1::ListIncidentsRequest {
        purpose: purpose("HCOMPL"),
        open_only,
        ..v1::ListIncidentsRequest::default()
    };
    officer.incidents().list_incidents(request).await.expect("listed").into_inner().incidents
}

/// Where this person's accesses stand.
pub(crate) async fn accesses_of(officer: &Client, person: &str) -> Vec<v1::Access> {
    let mut request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: person.to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let mut accesses = Vec::new();
    loop {
        let page = officer.audit().list_accesses(request.clone()).await.expect("the trail");
        let page = page.into_inner();
        accesses.extend(page.accesses);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return accesses;
        }
    }
}

fn assessed(incident: v1::PrivacyIncident) -> v1::PrivacyIncident {
    let factor = |level: v1::RiskLevel| {
        Some(v1::RiskFactor { level: level.into(), text: "names and diagnoses".to_owned() })
    };
    let assessment = v1::RiskAssessment {
        nature: factor(v1::RiskLevel::High),
        recipient: factor(v1::RiskLevel::Medium),
        acquired: factor(v1::RiskLevel::High),
        mitigated: factor(v1::RiskLevel::Low),
        conclusion: v1::RiskConclusion::Breach.into(),
    };
    v1::PrivacyIncident { assessment: Some(assessment), ..incident }
}

fn told(mut incident: v1::PrivacyIncident) -> v1::PrivacyIncident {
    incident.notices.push(v1::IncidentNotice {
        recipient: v1::NoticeRecipient::Individual.into(),
        notice_time: days_ago(0),
        how: "first-class mail".to_owned(),
    });
    incident
}

/// It is refused for this field.
fn is_faulty<T: std::fmt::Debug>(answer: Result<T, Status>, field: &str) {
    let refused = answer.expect_err(field);
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    assert!(refused.message().starts_with(field), "{refused}");
}

#[tokio::test]
async fn an_incident_goes_from_its_discovery_to_its_closure_and_names_whom_it_affects() {
    let cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let curious = cluster.client_of(0, "nurse", "curious").unwrap();
    let mut patients = Vec::new();
    for number in ["MRN-1", "MRN-2", "MRN-3"] {
        patients.push(registrar.register(number, "Ames").await.unwrap().patient_id);
    }
    for patient in &patients[..2] {
        curious.read_file(patient, None).await.expect("read");
    }
    registrar.read_file(&patients[2], None).await.expect("read by somebody else");
    let denied = cluster.client_of(0, "auditor", "curious").unwrap();
    denied.read_file(&patients[2], None).await.expect_err("who is denied was shown nothing");
    let trail = accesses_of(&officer, "curious").await;
    let positions: Vec<_> = trail.iter().map(|access| access.position).collect();
    assert_eq!(positions.len(), 3, "the denial is one of them");
    let mut affected = patients[..2].to_vec();
    affected.sort();

    let opened = open(&officer, incident(&positions)).await.expect("opened");
    let id = opened.incident_id;
    let state = get(&officer, &id).await.expect("shown");
    assert_eq!(state.affected_patient_ids, affected, "derived from the trail");
    let shown = state.incident.expect("its state");
    assert!(shown.notice_overdue && shown.affected_count == 2 && shown.revision == 1);
    let discovered = shown.incident.and_then(|one| one.discover_time).expect("a discovery").seconds;
    let due = shown.notice_due_time.expect("a due date").seconds;
    assert_eq!(due - discovered, 60 * 24 * 3_600);
    let raised = alarm(&officer, "INCIDENT_NOTICE_OVERDUE").await;
    assert!(raised.text.starts_with("1 privacy incident(s)"), "{raised:?}");
    // That it named them is on their record.
    for patient in &affected {
        let about = v1::ListAccessesRequest {
            purpose: purpose("HCOMPL"),
            patient_id: patient.clone(),
            ..v1::ListAccessesRequest::default()
        };
        let trail = officer.audit().list_accesses(about).await.unwrap().into_inner().accesses;
        assert!(trail.iter().any(|one| one.operation.ends_with("/GetIncident")), "{trail:?}");
    }

    let stale = amend(&officer, &id, 2, assessed(incident(&positions))).await;
    assert_eq!(stale.expect_err("another revision").code(), Code::Aborted);
    amend(&officer, &id, 1, assessed(incident(&positions))).await.expect("assessed");
    let closure = "it is over".to_owned();
    let untold = v1::PrivacyIncident { closure, ..assessed(incident(&positions)) };
    is_faulty(amend(&officer, &id, 2, untold).await, "incident.notices");
    amend(&officer, &id, 2, told(assessed(incident(&positions)))).await.expect("told");
    let state = get(&officer, &id).await.unwrap().incident.unwrap();
    assert!(!state.notice_overdue && state.change_reason == "as it went on", "{state:?}");
    let status = officer.status().await.expect("a status");
    assert!(status.alarms.iter().all(|one| one.code != "INCIDENT_NOTICE_OVERDUE"), "{status:?}");
    let closure = "everybody was told".to_owned();
    let closed = v1::PrivacyIncident { closure, ..told(assessed(incident(&positions))) };
    amend(&officer, &id, 3, closed.clone()).await.expect("closed");
    assert!(listed(&officer, true).await.is_empty());
    let [one] = &listed(&officer, false).await[..] else { panic!("one") };
    assert_eq!((one.open, one.conclusion()), (false, v1::RiskConclusion::Breach));
    let title = "Another".to_owned();
    let changed = amend(&officer, &id, 4, v1::PrivacyIncident { title, ..closed.clone() }).await;
    let changed = changed.expect_err("it is closed");
    assert_eq!(reason(&changed), "STATUS_STEP_NOT_ALLOWED");
    assert!(changed.message().contains("reopen it"), "{changed}");
    let again = v1::PrivacyIncident { closure: String::new(), ..closed };
    amend(&officer, &id, 4, again).await.expect("opened again");
}

#[tokio::test]
async fn of_a_query_all_whom_it_showed_are_affected_and_what_is_not_so_is_refused() {
    let cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let found = v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: "MRN-1".to_owned(),
        purpose: purpose("TREAT"),
    };
    cluster.client_of(0, "nurse", "curious").unwrap().file().find_patient(found).await.unwrap();
    let trail = accesses_of(&officer, "curious").await;
    let query = trail.iter().find(|access| access.patient_id.is_empty()).expect("the query");
    let twice = incident(&[query.position, query.position]);
    let id = open(&officer, twice).await.expect("opened").incident_id;
    let state = get(&officer, &id).await.unwrap();
    assert_eq!(state.affected_patient_ids, [patient]);
    let stored = state.incident.and_then(|state| state.incident).expect("an incident");
    assert_eq!(stored.access_positions, [query.position], "once");

    let future = v1::PrivacyIncident { discover_time: days_ago(-1), ..incident(&[]) };
    let closure = "nothing was opened".to_owned();
    let unassessed = v1::PrivacyIncident { closure, ..incident(&[]) };
    let mut early = told(incident(&[]));
    early.notices[0].notice_time = days_ago(63);
    let mut late = told(incident(&[]));
    late.notices[0].notice_time = days_ago(-2);
    let untitled = v1::PrivacyIncident { title: String::new(), ..incident(&[]) };
    for (wrong, field) in [
        (incident(&[0]), "incident.access_positions"),
        (future, "incident.discover_time"),
        (untitled, "incident.title"),
        (unassessed, "incident.assessment"),
        (early, "incident.notices[0].notice_time"),
        (late, "incident.notices[0].notice_time"),
    ] {
        is_faulty(open(&officer, wrong).await, field);
    }
    // Another node may have it: who only names what was shown there names nothing wrong.
    let beyond = open(&officer, incident(&[1_000_000])).await.expect_err("not here yet");
    assert_eq!((beyond.code(), reason(&beyond).as_str()), (Code::Unavailable, "NOT_ANSWERED"));
    // The day of the discovery, and today, as they may be dated on the other side of the earth.
    for days in [62, -1] {
        let mut dated = told(incident(&[]));
        dated.notices[0].notice_time = days_ago(days);
        open(&officer, dated).await.expect("a day's slack");
    }
    let unknown = get(&officer, &"ab".repeat(16)).await.expect_err("no such incident");
    assert_eq!(unknown.code(), Code::NotFound);
    let unknown = amend(&officer, &"ab".repeat(16), 1, incident(&[])).await;
    assert_eq!(unknown.expect_err("no such incident").code(), Code::NotFound);
}

#[tokio::test]
async fn two_hundred_patients_are_named_on_a_page_however_long_the_reason_is() {
    let cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let curious = cluster.client_of(0, "nurse", "curious").unwrap();
    let mut patients = Vec::new();
    for number in 0..200 {
        let registered = registrar.register(&format!("MRN-{number}"), "Ames").await.unwrap();
        curious.read_file(&registered.patient_id, None).await.expect("read");
        patients.push(registered.patient_id);
    }
    patients.sort();
    let long = "x".repeat(4 * 1024);
    let because =
        || Some(v1::Purpose { purpose_of_use: "HCOMPL".to_owned(), reason: long.clone() });
    let request = v1::ListAccessesRequest {
        purpose: because(),
        person: "curious".to_owned(),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let listed = officer.audit().list_accesses(request).await.expect("a page").into_inner();
    let positions: Vec<_> = listed.accesses.iter().map(|access| access.position).collect();
    assert_eq!(positions.len(), 200);
    let id = open(&officer, incident(&positions)).await.expect("opened").incident_id;
    let request = v1::GetIncidentRequest {
        purpose: because(),
        incident_id: id,
        page_size: 200,
        ..v1::GetIncidentRequest::default()
    };
    let shown = officer.incidents().get_incident(request).await.expect("shown").into_inner();
    assert_eq!(shown.affected_patient_ids, patients);

    // The reason stands once, in the query's own record, which the patients' name.
    let kept = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        receipt: shown.receipt,
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(kept).await.expect("the trail").into_inner().accesses;
    let [query] = &trail[..] else { panic!("the query's record alone: {}", trail.len()) };
    assert_eq!(query.reason, long);
    let about = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patients[0].clone(),
        ..v1::ListAccessesRequest::default()
    };
    let trail =
        officer.audit().list_accesses(about).await.expect("the trail").into_inner().accesses;
    let named = trail.iter().find(|access| access.operation.ends_with("/GetIncident"));
    let named = named.expect("it is on their record");
    assert_eq!((named.person.as_str(), named.reason.as_str()), ("compliance-officer-1", ""));
    assert_eq!(named.contribution_id, query.contribution_id);
}
