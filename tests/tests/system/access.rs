//! Nothing is shown or denied without a record of it, and nothing filed is overwritten.

use std::time::{Duration, Instant};

use api::v1;
use testkit::client::{Client, Token, purpose, request_id};
use testkit::cluster::Cluster;
use testkit::wait::eventually;
use tonic::Code;

use crate::access_table::{call, list_somebody, rpcs, states_a_purpose};
use crate::emergency::btg;
use crate::relay::Relay;
use crate::tools::PATIENCE;
use crate::verifier::{fetch, with_http};

async fn accesses(client: &Client, patient_id: &str) -> Vec<v1::Access> {
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient_id.to_owned(),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    client.audit().list_accesses(request).await.expect("the trail").into_inner().accesses
}

#[tokio::test]
async fn invariant_7_no_answer_without_its_access_record() {
    let cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let registered =
        cluster.client(0, "registrar").unwrap().register("MRN-1", "Ames").await.unwrap();
    let patient = registered.patient_id;
    nurse.file_note(&patient, "slept well", &request_id(), None).await.unwrap();
    assert!(accesses(&officer, &patient).await.is_empty(), "a plain write shows nothing");

    let read = nurse.read_file(&patient, None).await.unwrap();
    let trail = accesses(&officer, &patient).await;
    let shown = trail.iter().find(|access| access.person == "nurse-1").expect("the reading");
    assert_eq!(shown.hash, read.receipt, "the receipt names the access record");
    assert_eq!(shown.purpose_of_use, "TREAT");
    assert_eq!(shown.operation, "PatientFileService/GetPatientFile");
    assert_eq!(shown.shown_version_to, 2);

    let trail = accesses(&officer, &patient).await;
    let newest = trail.first().expect("reading the trail is on the trail");
    assert_eq!(newest.person, "compliance-officer-1");

    let denied = cluster.client(0, "hospital-it").unwrap().read_file(&patient, None).await;
    assert_eq!(denied.expect_err("IT sees no patient").code(), Code::PermissionDenied);
    let trail = accesses(&officer, &patient).await;
    let denial = trail.iter().find(|access| access.person == "hospital-it-1").expect("the denial");
    assert_eq!(denial.kind(), v1::AccessKind::Denied);
}

/// What the HTTP side shows on record, beside the RPCs.
const OVER_HTTP: [&str; 2] = ["tile/entries/000.p/1", "control/0"];

/// What files and need not show: without the broker that is refused.
const WRITES: [&str; 12] = [
    "RegisterPatient",
    "Contribute",
    "SettleRequest",
    "Import",
    "PutPractitionerRole",
    "LinkOwnFile",
    "ProposePolicy",
    "AdoptPolicy",
    "WithdrawPolicy",
    "CloseReview",
    "OpenIncident",
    "AmendIncident",
];

/// Calls everything that states a purpose, and asks for everything that is shown over HTTP, each in the
/// name of a reader of its own. When `hampered`, the way to the broker is not what it should be; the node is
/// killed the moment it has answered, and started again when `mended`. What it answered is on record then.
async fn answered_is_on_record(
    cluster: &mut Cluster,
    at: &str,
    hampered: impl Fn(&Cluster),
    mended: impl Fn(&Cluster),
) {
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    // What the table has replayed: an access that showed nothing.
    cluster.client(0, "billing").unwrap().read_file(&patient, None).await.expect_err("denied");
    list_somebody(&cluster.client(0, "compliance-officer").unwrap(), &patient).await;
    let head = cluster.agreed().await.expect("a checkpoint of it").swap_remove(0);
    let (_, prefix) = head.origin.split_once('/').expect("name and path");
    let asked = rpcs().into_iter().filter(|rpc| states_a_purpose(rpc));
    let asked = asked.chain(OVER_HTTP.map(|path| format!("GET /{prefix}/{path}")));
    let mut answered = 0;
    for what in asked {
        let files = what.starts_with("PatientFileService/") || what.starts_with("ImportService/");
        let breaks = what.ends_with("/BreakGlass") || what.ends_with("/EndEmergencyAccess");
        let (role, why) = match (files, breaks) {
            (true, _) => ("case-manager", purpose("TREAT")),
            (_, true) => ("case-manager", btg()),
            (_, false) => ("compliance-officer", purpose("HCOMPL")),
        };
        let person = format!("reader of {what}");
        let token = Token::signed(&cluster.node(0).state, role, &person).unwrap();
        let client = cluster.node(0).client(&token).unwrap();
        hampered(cluster);
        let ended = match what.strip_prefix("GET ") {
            Some(path) => {
                let (status, body) = fetch(at, path, Some(&token.0)).await;
                assert!(status == 200 && !body.is_empty(), "{what}: {status}");
                Ok(())
            }
            None => call(&client, &what, &patient, &why).await,
        };
        cluster.node_mut(0).kill().expect("killed at the answer");
        mended(cluster);
        cluster.node_mut(0).spawn().expect("started");
        cluster.node(0).serving().await.expect("it serves");
        if WRITES.iter().any(|method| what.ends_with(method)) {
            continue;
        }
        // That there is no such incident is an answer, too.
        if !what.ends_with("/GetIncident") {
            ended.unwrap_or_else(|status| panic!("{what}: {status}"));
        }
        answered += 1;
        let officer = cluster.client(0, "compliance-officer").unwrap();
        let on_record = eventually(PATIENCE, "what was spooled is filed", async || {
            let request = v1::ListAccessesRequest {
                purpose: purpose("HCOMPL"),
                person: person.clone(),
                ..v1::ListAccessesRequest::default()
            };
            let trail = officer.audit().list_accesses(request).await?.into_inner().accesses;
            anyhow::ensure!(!trail.is_empty(), "{what} was answered and is not on record");
            Ok(())
        });
        on_record.await.expect("on record");
    }
    let asked = "four of files, two of the trail, two of evidence, three each of staff, policies and \
                 emergencies, two of incidents, two over HTTP";
    assert_eq!(answered, 21, "{asked}");
}

#[tokio::test]
async fn invariant_7_what_was_answered_is_on_record_though_the_broker_hangs_and_the_node_is_killed()
{
    let mut cluster = Cluster::found(1).await.expect("founded");
    let at = with_http(cluster.node(0));
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let hangs = |cluster: &Cluster| cluster.nats.pause().expect("the broker hangs");
    let goes_on = |cluster: &Cluster| cluster.nats.resume().expect("the broker goes on");
    answered_is_on_record(&mut cluster, &at, hangs, goes_on).await;
}

/// A node to which the way to the broker can be made long, and where it serves its ledgers over HTTP.
pub(crate) async fn far_away() -> (Cluster, Relay, String) {
    let mut cluster = Cluster::found(1).await.expect("founded");
    let at = with_http(cluster.node(0));
    let relay = Relay::to(&cluster).await;
    relay.lies_before(&cluster, cluster.node(0));
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    (cluster, relay, at)
}

async fn though_it_takes(latency: Duration) {
    let (mut cluster, relay, at) = far_away().await;
    let (long, short) =
        (|_: &Cluster| relay.takes(latency), |_: &Cluster| relay.takes(Duration::ZERO));
    answered_is_on_record(&mut cluster, &at, long, short).await;
}

#[tokio::test]
async fn invariant_7_what_was_answered_is_on_record_though_the_way_to_the_broker_is_long() {
    though_it_takes(Duration::from_millis(100)).await;
}

/// Longer than an answer waits for the broker: it leaves while its record is on its way.
#[tokio::test]
async fn invariant_7_what_was_answered_is_on_record_though_the_broker_has_it_only_later() {
    though_it_takes(Duration::from_millis(400)).await;
}

/// Nothing is said before the record is durable: with the broker, which is so far away, or, after 200 ms,
/// in the spool alone.
#[tokio::test]
async fn invariant_7_no_byte_leaves_before_its_record_has_reached_the_broker_or_waited_long_enough()
{
    const LATENCY: Duration = Duration::from_millis(100);
    let (cluster, relay, at) = far_away().await;
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.client(0, "billing").unwrap().read_file(&patient, None).await.expect_err("denied");
    let head = cluster.agreed().await.expect("a checkpoint of it").swap_remove(0);
    let (_, prefix) = head.origin.split_once('/').expect("name and path");
    relay.takes(LATENCY);
    for (role, code) in
        [("case-manager", "TREAT"), ("compliance-officer", "HCOMPL"), ("hospital-it", "TREAT")]
    {
        let client = cluster.client(0, role).unwrap();
        for rpc in rpcs().into_iter().filter(|rpc| states_a_purpose(rpc)) {
            // Without a patient it shows nobody anything.
            if rpc.ends_with("SettleRequest") || rpc.ends_with("Import") {
                continue;
            }
            let asked = Instant::now();
            // Answered or denied, it is on record.
            let ended = call(&client, &rpc, &patient, &purpose(code)).await;
            let waited = asked.elapsed();
            assert!(waited >= LATENCY, "{rpc} by {role} said after {waited:?}: {ended:?}");
        }
    }
    let auditor = Token::signed(&cluster.node(0).state, "auditor", "auditor-1").unwrap();
    let nurse = Token::signed(&cluster.node(0).state, "nurse", "nurse-1").unwrap();
    for (token, expected) in [(auditor, 200), (nurse, 403)] {
        for path in OVER_HTTP {
            let asked = Instant::now();
            let (status, _) = fetch(&at, &format!("/{prefix}/{path}"), Some(&token.0)).await;
            let waited = asked.elapsed();
            assert_eq!(status, expected, "{path}");
            assert!(waited >= LATENCY, "{path} after {waited:?}");
        }
    }
}

#[tokio::test]
async fn a_flood_of_denials_does_not_fill_the_ledger() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let curious = cluster.client(0, "billing").unwrap();
    for _ in 0..60 {
        let denied = curious.read_file(&patient, None).await.expect_err("billing reads no file");
        assert_eq!(denied.code(), Code::PermissionDenied);
    }
    for _ in 0..200 {
        let refused = curious.read_file(&patient, None).await.expect_err("nor now");
        assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    }
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let denials =
        accesses(&officer, &patient).await.into_iter().filter(|one| one.outcome == "denied");
    assert_eq!(denials.count(), 60, "the rest are counted");
    let status = officer.status().await.expect("a status");
    let alarm = status.alarms.iter().find(|alarm| alarm.code == "DENIALS_FLOOD");
    assert!(alarm.expect("somebody is told").text.starts_with("188 calls of one caller"));
    manager.read_file(&patient, None).await.expect("others are served");
    let allowed = v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: "MRN-1".to_owned(),
        purpose: purpose("HPAYMT"),
    };
    curious.file().find_patient(allowed).await.expect("what is theirs, they still may");
}

#[tokio::test]
async fn an_import_is_denied_once_whatever_it_would_have_brought() {
    use v1::patient_selector::Patient;
    let cluster = Cluster::start(1).await.expect("a node");
    let (nurse, officer) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "compliance-officer").unwrap());
    let registrar = cluster.client(0, "registrar").unwrap();
    let mut items = Vec::new();
    for number in ["MRN-1", "MRN-2", "MRN-3"] {
        let patient = registrar.register(number, "Ames").await.unwrap().patient_id;
        let patient = Some(v1::PatientSelector { patient: Some(Patient::PatientId(patient)) });
        items.push(v1::ImportItem { patient, ..v1::ImportItem::default() });
    }
    let Some(Patient::PatientId(first)) = items[0].patient.clone().and_then(|one| one.patient)
    else {
        panic!("named by id")
    };
    let sent = v1::ImportRequest { purpose: purpose("RECORDMGT"), items };
    let mut answer = nurse.import().import(tokio_stream::once(sent)).await.unwrap().into_inner();
    let denied = answer.message().await.expect_err("a nurse does not import");
    assert_eq!(denied.code(), Code::PermissionDenied);
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "nurse-1".to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    assert_eq!(trail.accesses.len(), 1, "{trail:?}");
    let trail = accesses(&officer, &first).await;
    let denial = trail.iter().find(|access| access.person == "nurse-1").expect("the denial");
    assert_eq!(denial.kind(), v1::AccessKind::Denied);
}

#[tokio::test]
async fn a_query_and_the_patients_it_showed_are_one_contribution() {
    let cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    registrar.read_file(&patient, None).await.expect("read");
    accesses(&officer, "").await;
    let trail = accesses(&officer, "").await;
    let [shown, query, reading] = trail.as_slice() else { panic!("three: {trail:?}") };
    assert_eq!(query.kind(), v1::AccessKind::Query);
    assert_eq!((&shown.patient_id, shown.position), (&patient, query.position + 1));
    assert_eq!(shown.contribution_id, query.contribution_id);
    assert_eq!(reading.contribution_id.len(), 32);
    assert_ne!(reading.contribution_id, query.contribution_id);
}

#[tokio::test]
async fn a_list_goes_on_in_pages_of_another_size() {
    let cluster = Cluster::start(1).await.expect("a node");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    for _ in 0..3 {
        accesses(&officer, "").await;
    }
    let page = |page_size, page_token| v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        page_size,
        page_token,
        ..v1::ListAccessesRequest::default()
    };
    let first = officer.audit().list_accesses(page(2, String::new())).await.expect("a page");
    let first = first.into_inner();
    let rest = officer.audit().list_accesses(page(1, first.next_page_token)).await;
    let rest = rest.expect("a shorter page").into_inner();
    assert_eq!((first.accesses.len(), rest.accesses.len()), (2, 1));
    let (last, next) = (first.accesses.last().expect("two"), rest.accesses.first().expect("one"));
    assert!(next.position < last.position, "newest first, none twice");
}

#[tokio::test]
async fn a_page_of_the_trail_fits_a_message_however_much_was_asked() {
    const ASKED: usize = 70;
    let cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    // Each record has a body of 32 KiB: together they are more than one reading of the store.
    let reason = "x".repeat(1_024);
    let find = v1::FindPatientRequest {
        issuer: "x".repeat(14 * 1_024),
        value: "1".to_owned(),
        purpose: Some(v1::Purpose { purpose_of_use: "TREAT".to_owned(), reason }),
    };
    for _ in 0..ASKED {
        let nobody = nurse.file().find_patient(find.clone()).await.expect_err("nobody's number");
        assert_eq!(nobody.code(), Code::NotFound, "{nobody}");
    }
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let mut request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "nurse-1".to_owned(),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let mut pages = Vec::new();
    loop {
        let page = officer.audit().list_accesses(request.clone()).await.expect("the trail");
        let page = page.into_inner();
        pages.push(page.accesses.len());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    assert_eq!((pages.len(), pages.iter().sum::<usize>()), (2, ASKED), "{pages:?}");
}

#[tokio::test]
async fn what_does_not_exist_is_not_found_and_recorded() {
    let cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let nobody = "0123456789abcdef0123456789abcdef";
    let status = nurse.read_file(nobody, None).await.expect_err("nobody");
    assert_eq!(status.code(), Code::NotFound);
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "nurse-1".to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.unwrap().into_inner().accesses;
    assert_eq!(trail.len(), 1, "the attempt is on the trail");
}

#[tokio::test]
async fn invariant_9_nothing_is_overwritten_by_amendments() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let filed = manager.file_note(&patient, "left knee", &request_id(), None).await.unwrap();
    let entry_id = filed.entry_ids[0].clone();
    let Some(v1::change::Change::AddEntry(corrected)) = Client::note("right knee").change else {
        unreachable!("a note is an added entry")
    };
    let change = |change| v1::Change { change: Some(change) };
    let amend = change(v1::change::Change::AmendEntry(v1::AmendEntry {
        entry_id: entry_id.clone(),
        entry: corrected.entry,
        update_mask: Some(api::FieldMask { paths: vec!["detail".to_owned()] }),
        how: v1::Amendment::Correction.into(),
        reason: "wrong side".to_owned(),
    }));
    let retract = change(v1::change::Change::RetractEntry(v1::RetractEntry {
        entry_id: entry_id.clone(),
        reason: "another patient's".to_owned(),
    }));
    for changes in [vec![amend], vec![retract]] {
        let request = v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("CAREMGT"),
            patient_id: patient.clone(),
            expected_version: None,
            changes,
        };
        manager.file().contribute(request).await.expect("filed");
    }
    let request = v1::GetPatientHistoryRequest {
        patient_id: patient.clone(),
        purpose: purpose("CAREMGT"),
        ..v1::GetPatientHistoryRequest::default()
    };
    let history = manager.file().get_patient_history(request).await.unwrap().into_inner().events;
    assert_eq!(history.len(), 4, "registered, added, corrected, retracted");
    let texts = format!("{history:?}");
    assert!(texts.contains("left knee") && texts.contains("right knee"), "both texts stay");

    let as_of = v1::GetPatientFileRequest {
        patient_id: patient,
        purpose: purpose("CAREMGT"),
        as_of: Some(v1::get_patient_file_request::AsOf::Version(2)),
        ..v1::GetPatientFileRequest::default()
    };
    let then = manager.file().get_patient_file(as_of).await.unwrap().into_inner();
    assert!(format!("{:?}", then.file).contains("left knee"), "the file as it was");
}

/// What waits for the broker is told, so that nobody takes a part of the trail for all of it; the listing
/// itself, which is on record too, does not count.
#[tokio::test]
async fn with_a_broker_nothing_waits_that_a_listing_would_lack() {
    let cluster = Cluster::start(1).await.expect("a node");
    let nurse = cluster.client(0, "nurse").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let registered =
        cluster.client(0, "registrar").unwrap().register("MRN-1", "Ames").await.unwrap();
    for _ in 0..10 {
        nurse.read_file(&registered.patient_id, None).await.unwrap();
    }
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: registered.patient_id,
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let whole = eventually(PATIENCE, "nothing waits", async || {
        let page = officer.audit().list_accesses(request.clone()).await?.into_inner();
        anyhow::ensure!(page.waiting_bytes == 0, "{} bytes wait", page.waiting_bytes);
        Ok(page.accesses.iter().filter(|access| access.person == "nurse-1").count())
    });
    assert_eq!(whole.await.expect("an idle node"), 10, "all of them are listed");
}
