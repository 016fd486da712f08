//! Breaking the glass: what it opens, to whom and until when, and that somebody else looks at it.

pub(crate) mod earlier;
mod lasting;

use api::v1;
use api::v1::break_glass_request::Scope;
use testkit::client::{Client, Token, purpose, request_id};
use testkit::cluster::Cluster;
use testkit::wait::eventually;
use tonic::{Code, Status};

use crate::relationships::newest;
use crate::tools::{PATIENCE, alarm, reason};

const NOT_BROKEN: &str = "GLASS_NOT_BROKEN";
const NO_STEP: &str = "STATUS_STEP_NOT_ALLOWED";

/// An emergency, in words.
pub(crate) fn btg() -> Option<v1::Purpose> {
    let (purpose_of_use, reason) = ("BTG".to_owned(), "found unconscious".to_owned());
    Some(v1::Purpose { purpose_of_use, reason })
}

/// A patient's file, by the patient's id.
pub(crate) fn file_of(patient: &str) -> Scope {
    let patient = v1::patient_selector::Patient::PatientId(patient.to_owned());
    Scope::Patient(v1::PatientSelector { patient: Some(patient) })
}

/// One entry of a patient's file.
pub(crate) fn entry_of(patient: &str, entry_id: &str) -> Scope {
    let Scope::Patient(patient) = file_of(patient) else { panic!("a patient") };
    Scope::Entry(v1::EntryScope { patient: Some(patient), entry_id: entry_id.to_owned() })
}

/// Breaks the glass for as long as can be, or for so many seconds.
pub(crate) async fn break_glass(
    client: &Client,
    scope: Scope,
    seconds: Option<i64>,
) -> Result<v1::EmergencyAccess, Status> {
    let request = v1::BreakGlassRequest {
        purpose: btg(),
        reason_code: "OVRER".to_owned(),
        scope: Some(scope),
        duration: seconds.map(|seconds| api::Duration { seconds, nanos: 0 }),
    };
    let answer = client.emergency().break_glass(request).await?.into_inner();
    assert_eq!(answer.receipt.len(), 32, "it is on record");
    Ok(answer.emergency.expect("an emergency access"))
}

pub(crate) async fn end(client: &Client, id: &str) -> Result<v1::EmergencyAccess, Status> {
    let request = v1::EndEmergencyAccessRequest { purpose: btg(), emergency_id: id.to_owned() };
    let answer = client.emergency().end_emergency_access(request).await?.into_inner();
    Ok(answer.emergency.expect("an emergency access"))
}

/// Reads a file as in an emergency.
async fn read(client: &Client, patient: &str) -> Result<Vec<u8>, Status> {
    let request = v1::GetPatientFileRequest {
        patient_id: patient.to_owned(),
        purpose: btg(),
        ..v1::GetPatientFileRequest::default()
    };
    Ok(client.file().get_patient_file(request).await?.into_inner().receipt)
}

async fn is_barred(client: &Client, patient: &str) {
    let denied = read(client, patient).await.expect_err("the glass is whole");
    assert_eq!((denied.code(), &*reason(&denied)), (Code::PermissionDenied, NOT_BROKEN));
    assert!(denied.message().contains("EmergencyAccessService.BreakGlass"), "{denied}");
}

async fn list(
    officer: &Client,
    state: v1::EmergencyAccessState,
) -> Vec<v1::ReviewedEmergencyAccess> {
    let request = v1::ListEmergencyAccessesRequest {
        purpose: purpose("HCOMPL"),
        state: state.into(),
        ..v1::ListEmergencyAccessesRequest::default()
    };
    let answer = officer.emergency().list_emergency_accesses(request).await;
    answer.expect("listed").into_inner().emergencies
}

pub(crate) async fn review(
    officer: &Client,
    id: &str,
    verdict: v1::ReviewVerdict,
) -> Result<u64, Status> {
    let request = v1::CloseReviewRequest {
        request_id: request_id(),
        purpose: purpose("HCOMPL"),
        emergency_id: id.to_owned(),
        verdict: verdict.into(),
        text: "spoke with the ward".to_owned(),
    };
    Ok(officer.emergency().close_review(request).await?.into_inner().position)
}

/// The trail of an emergency access, the first access first.
async fn accessed(officer: &Client, id: &str) -> Vec<v1::Access> {
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        emergency_id: id.to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let mut accesses =
        officer.audit().list_accesses(request).await.expect("the trail").into_inner().accesses;
    accesses.reverse();
    accesses
}

#[tokio::test]
async fn the_glass_is_broken_for_one_patient_and_one_person_and_all_of_it_is_on_record() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (nurse, officer) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "compliance-officer").unwrap());
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let other = registrar.register("MRN-2", "Bell").await.unwrap().patient_id;
    is_barred(&nurse, &patient).await;

    let emergency = break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    assert!(emergency.open && emergency.person == "nurse-1", "{emergency:?}");
    let receipts = [read(&nurse, &patient).await, read(&nurse, &patient).await];
    is_barred(&nurse, &other).await;
    is_barred(&cluster.client(0, "physician").unwrap(), &patient).await;
    let ended = end(&nurse, &emergency.id).await.expect("ended");
    assert!(!ended.open && ended.end_time.is_some(), "{ended:?}");
    is_barred(&nurse, &patient).await;

    let trail = accessed(&officer, &emergency.id).await;
    let told: Vec<_> = trail
        .iter()
        .map(|one| (one.operation.rsplit('/').next().unwrap(), one.patient_id.as_str()))
        .collect();
    let of_patient = patient.as_str();
    let expected = [
        ("BreakGlass", ""),
        ("BreakGlass", of_patient),
        ("GetPatientFile", of_patient),
        ("GetPatientFile", of_patient),
        ("EndEmergencyAccess", ""),
        ("EndEmergencyAccess", of_patient),
    ];
    assert_eq!(told, expected, "and neither what was denied nor what others did");
    let read = [&trail[2].hash, &trail[3].hash];
    assert_eq!(read.map(Clone::clone), receipts.map(|receipt| receipt.expect("read")));
    assert_eq!((&*trail[2].purpose_of_use, &*trail[2].reason), ("BTG", "found unconscious"));
    assert_eq!(trail[2].deciding_ids, ["treat"]);
    assert_eq!(trail[0].deciding_ids, ["emergency"]);
    let broken = alarm(&officer, "GLASS_BROKEN").await;
    assert_eq!(broken.count, 1, "told at the start, not at each reading");
    assert!(!broken.text.contains("unconscious") && !broken.text.contains(of_patient));
}

#[tokio::test]
async fn that_the_glass_is_broken_is_told_until_it_was_reviewed_also_after_a_kill() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = cluster.client(0, "registrar").unwrap();
    let patient = patient.register("MRN-1", "Ames").await.unwrap().patient_id;
    let access = break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    alarm(&officer, "GLASS_BROKEN").await;
    cluster.node_mut(0).kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("it serves");
    alarm(&officer, "GLASS_BROKEN").await;
    end(&nurse, &access.id).await.expect("ended");
    alarm(&officer, "GLASS_BROKEN").await;
    review(&officer, &access.id, v1::ReviewVerdict::Justified).await.expect("reviewed");
    let over = eventually(PATIENCE, "the alarm is over", async || {
        let alarms = officer.status().await?.alarms;
        anyhow::ensure!(alarms.iter().all(|one| one.code != "GLASS_BROKEN"), "{alarms:?}");
        Ok(())
    });
    over.await.expect("nothing waits for anybody");
}

#[tokio::test]
async fn what_cannot_be_an_emergency_access_is_refused() {
    let cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let ward = || Scope::Unit("Ward 3".to_owned());
    for (scope, seconds) in [
        (file_of(&patient), 4 * 3_600 + 1),
        (ward(), 12 * 3_600 + 1),
        (file_of(&patient), 0),
        (file_of(&patient), -1),
        (Scope::Unit("  ".to_owned()), 60),
    ] {
        let refused = break_glass(&nurse, scope, Some(seconds)).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{seconds}: {refused}");
    }
    let longest = break_glass(&nurse, ward(), Some(12 * 3_600)).await.expect("a whole shift");
    assert!(longest.open);
    let nobody = break_glass(&nurse, file_of(&"ab".repeat(16)), None).await.expect_err("nobody");
    assert_eq!(nobody.code(), Code::NotFound);
    let number = |value: &str| {
        let issuer = "https://hospital.example/mrn".to_owned();
        let number = v1::PatientNumber { issuer, value: value.to_owned() };
        let patient = Some(v1::patient_selector::Patient::Number(number));
        Scope::Patient(v1::PatientSelector { patient })
    };
    let unknown = break_glass(&nurse, number("MRN-9"), None).await.expect_err("nobody");
    assert_eq!(unknown.code(), Code::NotFound);
    let known = break_glass(&nurse, number("MRN-1"), None).await.expect("by number");
    assert_eq!(known.scope, Some(v1::emergency_access::Scope::PatientId(patient.clone())));
    read(&nurse, &patient).await.expect("it is open");

    let asked = |code: &str, purpose: Option<v1::Purpose>| v1::BreakGlassRequest {
        purpose,
        reason_code: code.to_owned(),
        scope: Some(ward()),
        duration: None,
    };
    for (code, why) in [("", btg()), ("CURIOUS", btg()), ("OVRER", purpose("BTG"))] {
        let refused = nurse.emergency().break_glass(asked(code, why)).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{code}: {refused}");
    }
    let otherwise = nurse.emergency().break_glass(asked("OVRER", purpose("TREAT"))).await;
    assert_eq!(otherwise.expect_err("no emergency").code(), Code::PermissionDenied);
    let theirs = end(&cluster.client(0, "physician").unwrap(), &known.id).await;
    assert_eq!(theirs.expect_err("another's").code(), Code::NotFound);
}

/// An encounter in a unit, in this status.
fn encounter(unit: &str, status: &str) -> v1::Change {
    let class = v1::Coding {
        system: "http://terminology.hl7.org/CodeSystem/v3-ActCode".to_owned(),
        code: "IMP".to_owned(),
        display: "inpatient encounter".to_owned(),
        ..v1::Coding::default()
    };
    let entry = v1::Entry {
        status: status.to_owned(),
        unit: unit.to_owned(),
        detail: Some(v1::entry::Detail::EncounterDetail(v1::Encounter {
            class: Some(class),
            ..v1::Encounter::default()
        })),
        ..v1::Entry::default()
    };
    v1::Change { change: Some(v1::change::Change::AddEntry(v1::AddEntry { entry: Some(entry) })) }
}

#[tokio::test]
async fn a_unit_s_patients_are_those_whose_encounter_names_it_and_goes_on() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (nurse, manager) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "case-manager").unwrap());
    let mut patients = Vec::new();
    for (number, unit, status) in [
        ("MRN-1", "Ward 3", "in-progress"),
        ("MRN-2", "Ward 3", "finished"),
        ("MRN-3", "Ward 3", "cancelled"),
        ("MRN-4", "Ward 30", "in-progress"),
    ] {
        let patient = manager.register(number, "Ames").await.unwrap().patient_id;
        let request = v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("CAREMGT"),
            patient_id: patient.clone(),
            expected_version: None,
            changes: vec![encounter(unit, status)],
        };
        manager.file().contribute(request).await.expect("filed");
        patients.push(patient);
    }
    break_glass(&nurse, Scope::Unit("Ward 3".to_owned()), None).await.expect("broken");
    read(&nurse, &patients[0]).await.expect("a patient of the ward");
    for elsewhere in &patients[1..] {
        is_barred(&nurse, elsewhere).await;
    }
}

#[tokio::test]
async fn an_emergency_access_expires_by_itself() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (nurse, officer) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "compliance-officer").unwrap());
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let short = break_glass(&nurse, file_of(&patient), Some(1)).await.expect("broken");
    let over = eventually(PATIENCE, "it expires", async || {
        let open = list(&officer, v1::EmergencyAccessState::Open).await;
        anyhow::ensure!(open.is_empty(), "{open:?}");
        Ok(())
    });
    over.await.expect("expired");
    is_barred(&nurse, &patient).await;
    let [over] = &list(&officer, v1::EmergencyAccessState::Ended).await[..] else { panic!("one") };
    let over = over.emergency.clone().unwrap();
    assert_eq!((over.id, over.open, over.end_time), (short.id.clone(), false, None));
    let ended = end(&nurse, &short.id).await.expect("it is over already");
    assert_eq!(ended.end_time, None, "and stays as it was");
}

#[tokio::test]
async fn every_node_knows_who_broke_the_glass() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let nurses = [cluster.client(0, "nurse").unwrap(), cluster.client(1, "nurse").unwrap()];
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("both have the patient");
    let emergency = break_glass(&nurses[0], file_of(&patient), None).await.expect("broken");
    read(&nurses[0], &patient).await.expect("at once where it was granted");
    cluster.agreed().await.expect("both have the trail");
    read(&nurses[1], &patient).await.expect("and at the other");
    end(&nurses[1], &emergency.id).await.expect("ended there");
    is_barred(&nurses[1], &patient).await;
    cluster.agreed().await.expect("both have the trail");
    is_barred(&nurses[0], &patient).await;
}

#[tokio::test]
async fn a_list_is_not_begun_anew_by_a_node_that_has_not_heard_of_where_it_ended() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let nurse = cluster.client(0, "nurse").unwrap();
    let officers = [0, 1].map(|index| cluster.client(index, "compliance-officer").unwrap());
    cluster.agreed().await.expect("agreed");
    cluster.nats.kill().expect("killed");
    for node in &cluster.nodes {
        node.condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    }
    for unit in ["Ward 3", "Ward 4"] {
        break_glass(&nurse, Scope::Unit(unit.to_owned()), None).await.expect("broken");
    }
    let mut request = v1::ListEmergencyAccessesRequest {
        purpose: purpose("HCOMPL"),
        page_size: 1,
        ..v1::ListEmergencyAccessesRequest::default()
    };
    let page = officers[0].emergency().list_emergency_accesses(request.clone()).await;
    request.page_token = page.expect("a page").into_inner().next_page_token;
    assert!(!request.page_token.is_empty(), "there is another");
    let there = officers[1].emergency().list_emergency_accesses(request.clone()).await;
    let there = there.expect_err("it has heard of neither");
    assert_eq!((there.code(), &*reason(&there)), (Code::Unavailable, "CATCHING_UP"));
    officers[0].emergency().list_emergency_accesses(request).await.expect("the second page");
}

#[tokio::test]
async fn an_end_that_is_on_record_counts_though_its_caller_went_away() {
    let cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let operator = cluster.client(0, "hospital-it").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let emergency = break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    let waiting = async |some: bool| {
        eventually(PATIENCE, "the spool", async || {
            let bytes = operator.status().await?.spool_bytes;
            anyhow::ensure!((bytes > 0) == some, "{bytes} bytes wait in the spool");
            Ok(())
        })
        .await
    };
    waiting(false).await.expect("all is filed");
    // The end is in the spool at once, and its caller is kept for the broker's 200 ms, and goes before
    // that, unless this machine is slow.
    cluster.nats.pause().expect("paused");
    tokio::select! {
        ended = end(&nurse, &emergency.id) => drop(ended.expect("ended")),
        spooled = waiting(true) => spooled.expect("it is on record"),
    }
    let over = eventually(PATIENCE, "the glass is whole", async || {
        let barred = read(&nurse, &patient).await.err().map(|status| reason(&status));
        anyhow::ensure!(barred.as_deref() == Some(NOT_BROKEN), "{barred:?}");
        Ok(())
    });
    over.await.expect("what is on record counts");
    cluster.nats.resume().expect("resumed");
}

#[tokio::test]
async fn invariant_10_the_glass_breaks_without_the_broker_and_stays_broken_when_the_node_dies() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("a head");
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    let emergency = break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    read(&nurse, &patient).await.expect("open");

    cluster.node_mut(0).kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    read(&nurse, &patient).await.expect("it knows from its spool");

    cluster.nats.restart().await.expect("back");
    cluster.node(0).serving().await.expect("serving");
    cluster.agreed().await.expect("what waited is on the trail");
    read(&nurse, &patient).await.expect("still open");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let trail = accessed(&officer, &emergency.id).await;
    let readings = trail.iter().filter(|one| one.operation.ends_with("/GetPatientFile"));
    assert_eq!(readings.count(), 3, "{trail:?}");
}

#[tokio::test]
async fn what_ended_without_the_broker_stays_ended_when_the_node_dies() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let emergency = break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    read(&nurse, &patient).await.expect("open");
    cluster.agreed().await.expect("its beginning is on the trail");
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    end(&nurse, &emergency.id).await.expect("its end waits in the spool");

    cluster.node_mut(0).kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    is_barred(&nurse, &patient).await;
}

#[tokio::test]
async fn nobody_reviews_their_own_emergency_access() {
    let cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let both = serde_json::json!({
        "iss": "caseledger-quickstart", "aud": "caseledger", "sub": "jdoe", "azp": "testkit",
        "roles": ["nurse", "compliance-officer"], "organisation": "Test Hospital",
        "exp": 4_000_000_000_u64,
    });
    let both = Token::of_claims(&cluster.node(0).state, &both).unwrap();
    let both = cluster.node(0).client(&both).unwrap();
    let emergency = break_glass(&both, file_of(&patient), None).await.expect("broken");
    let open = list(&officer, v1::EmergencyAccessState::Unreviewed).await;
    let due = open[0].review.as_ref().expect("a review from the start").due_time.unwrap();
    assert_eq!(due.seconds - emergency.start_time.unwrap().seconds, 72 * 3_600);

    let early = review(&officer, &emergency.id, v1::ReviewVerdict::Justified).await;
    let early = early.expect_err("more could be opened afterwards");
    assert_eq!((early.code(), &*reason(&early)), (Code::FailedPrecondition, NO_STEP));
    assert!(early.message().contains("still open"), "{early}");
    end(&both, &emergency.id).await.expect("ended");
    let own = review(&both, &emergency.id, v1::ReviewVerdict::Justified).await;
    let own = own.expect_err("their own");
    assert_eq!((own.code(), &*reason(&own)), (Code::FailedPrecondition, "SAME_PERSON"));
    let told = newest(&officer, &patient, &emergency.person).await;
    assert_eq!(
        (&*told.operation, &*told.outcome),
        ("EmergencyAccessService/CloseReview", "refused")
    );
    let unknown = review(&officer, &"ab".repeat(16), v1::ReviewVerdict::Justified).await;
    assert_eq!(unknown.expect_err("no such emergency access").code(), Code::NotFound);
    let silent = review(&officer, &emergency.id, v1::ReviewVerdict::Unspecified).await;
    assert_eq!(silent.expect_err("no verdict").code(), Code::InvalidArgument);
    review(&officer, &emergency.id, v1::ReviewVerdict::NotJustified).await.expect("closed");
    assert!(list(&officer, v1::EmergencyAccessState::Unreviewed).await.is_empty());
    let [one] = &list(&officer, v1::EmergencyAccessState::Ended).await[..] else { panic!("one") };
    let review = one.review.as_ref().expect("a review");
    assert_eq!(review.verdict(), v1::ReviewVerdict::NotJustified);
    assert_eq!((&*review.reviewer, &*review.text), ("compliance-officer-1", "spoke with the ward"));
    // The list names the patient, so that is on record.
    let about = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient,
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(about).await.unwrap().into_inner().accesses;
    let listed =
        trail.iter().filter(|one| one.operation.ends_with("/ListEmergencyAccesses")).count();
    assert_eq!(listed, 2, "the two lists that named them");
}

#[tokio::test]
async fn reviews_that_are_overdue_raise_an_alarm_until_they_are_closed() {
    const DAY: u64 = 24 * 3_600 * 1_000_000;
    let mut cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    cluster.node_mut(0).stop().await.expect("stopped");
    let id = earlier::emergency_access(cluster.node(0), earlier::now() - 4 * DAY);
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let raised = alarm(&officer, "REVIEWS_OVERDUE").await;
    assert!(raised.text.starts_with("1 emergency access(es)"), "{raised:?}");
    let overdue = list(&officer, v1::EmergencyAccessState::Overdue).await;
    let [one] = &overdue[..] else { panic!("one: {overdue:?}") };
    assert_eq!(one.emergency.as_ref().unwrap().id, id);
    assert!(one.review.as_ref().unwrap().overdue);
    // An inquiry that goes on is no verdict that closes it.
    review(&officer, &id, v1::ReviewVerdict::FurtherInquiry).await.expect("filed");
    let inquiry = list(&officer, v1::EmergencyAccessState::Overdue).await;
    let inquiry = inquiry[0].review.clone().expect("a review");
    assert_eq!(inquiry.verdict(), v1::ReviewVerdict::FurtherInquiry);
    assert!(inquiry.overdue && inquiry.close_time.is_none(), "{inquiry:?}");
    alarm(&officer, "REVIEWS_OVERDUE").await;
    review(&officer, &id, v1::ReviewVerdict::Justified).await.expect("closed");
    for verdict in [v1::ReviewVerdict::Justified, v1::ReviewVerdict::NotJustified] {
        let refused = review(&officer, &id, verdict).await.expect_err("the verdict is final");
        assert_eq!((refused.code(), &*reason(&refused)), (Code::FailedPrecondition, NO_STEP));
        assert!(refused.message().contains("closed by compliance-officer-1 at 2"), "{refused}");
    }
    assert!(list(&officer, v1::EmergencyAccessState::Overdue).await.is_empty());
    let status = officer.status().await.expect("a status");
    assert!(status.alarms.iter().all(|alarm| alarm.code != "REVIEWS_OVERDUE"), "{status:?}");
}
