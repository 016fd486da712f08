//! Following a file, and reading it as it was, as it is elsewhere, and page by page.

use std::collections::BTreeSet;
use std::time::Duration;

use api::v1;
use api::v1::get_patient_file_request::AsOf;
use testkit::client::{Client, Token, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

use crate::relationships::{practitioner_role, put};
use crate::tools::many_notes;

type Watch = Streaming<v1::WatchPatientFileResponse>;

async fn watch(
    client: &Client,
    patient_id: &str,
    from_version: u64,
) -> Result<Watch, tonic::Status> {
    let request = v1::WatchPatientFileRequest {
        patient_id: patient_id.to_owned(),
        purpose: purpose("TREAT"),
        from_version,
    };
    Ok(client.file().watch_patient_file(request).await?.into_inner())
}

/// The next change: its version, and the delivery's receipt.
async fn change(watch: &mut Watch) -> (u64, Vec<u8>) {
    loop {
        let message = watch.message().await.expect("no error").expect("not ended");
        let Some(change) = message.change else { continue };
        assert!(message.position > change.position, "the change is among what is covered");
        return (change.version, message.receipt);
    }
}

/// Accesses through the watch, oldest first.
async fn deliveries(cluster: &Cluster, patient_id: &str) -> Vec<v1::Access> {
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient_id.to_owned(),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let trail = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let watched = |access: &v1::Access| access.operation == "PatientFileService/WatchPatientFile";
    let mut found: Vec<_> = trail.accesses.into_iter().filter(watched).collect();
    found.reverse();
    found
}

fn at(patient_id: &str, as_of: Option<AsOf>) -> v1::GetPatientFileRequest {
    v1::GetPatientFileRequest {
        patient_id: patient_id.to_owned(),
        purpose: purpose("TREAT"),
        as_of,
        page_size: 200,
        ..v1::GetPatientFileRequest::default()
    }
}

#[tokio::test]
async fn a_watch_delivers_in_order_on_record_and_goes_on_where_it_left_off() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap();
    let (id, position) = (patient.patient_id, Some(patient.position));
    // Followed on the node that does not write, once it has heard of the patient.
    let watcher = cluster.client(1, "physician").unwrap();
    cluster.client(1, "nurse").unwrap().read_file(&id, position).await.unwrap();
    let mut following = watch(&watcher, &id, 0).await.expect("a watch");
    let mut receipts = vec![change(&mut following).await];
    let mut filing = tokio::task::JoinSet::new();
    for number in 0..5 {
        let (manager, id) = (manager.clone(), id.clone());
        filing.spawn(async move {
            manager.file_note(&id, &format!("note {number}"), &request_id(), None).await
        });
    }
    for _ in 0..5 {
        receipts.push(change(&mut following).await);
    }
    while let Some(filed) = filing.join_next().await {
        filed.unwrap().expect("filed");
    }
    drop(following);
    for _ in 0..3 {
        manager.file_note(&id, "while nobody watched", &request_id(), None).await.unwrap();
    }
    let mut resumed = watch(&watcher, &id, 7).await.expect("resumed");
    for _ in 0..3 {
        receipts.push(change(&mut resumed).await);
    }
    let versions: Vec<u64> = receipts.iter().map(|(version, _)| *version).collect();
    assert_eq!(versions, [1, 2, 3, 4, 5, 6, 7, 8, 9], "each once, in order");

    cluster.agreed().await.expect("both nodes have the trail");
    let trail = deliveries(&cluster, &id).await;
    let on_record: Vec<_> =
        trail.iter().map(|access| (access.shown_version_to, access.hash.clone())).collect();
    assert_eq!(on_record, receipts, "each delivery is on the trail, under its receipt");
    assert!(trail.iter().all(|access| access.person == "physician-1"));
}

#[tokio::test]
async fn a_watch_needs_permission_and_ends_with_the_token() {
    let cluster = Cluster::start(1).await.expect("a node");
    let registrar = cluster.client(0, "registrar").unwrap();
    let patient = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let nurse = cluster.client(0, "nurse").unwrap();
    let nobody = watch(&nurse, "0123456789abcdef0123456789abcdef", 0).await;
    assert_eq!(nobody.expect_err("nobody").code(), Code::NotFound);
    let denied = watch(&registrar, &patient, 0).await.expect_err("a registrar follows no file");
    assert_eq!(denied.code(), Code::PermissionDenied);
    let outcomes: Vec<_> =
        deliveries(&cluster, &patient).await.into_iter().map(|access| access.outcome).collect();
    assert_eq!(outcomes, ["denied"], "the denial is on the trail");

    let soon = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() + 2;
    let claims = serde_json::json!({
        "iss": "caseledger-quickstart", "aud": "caseledger", "sub": "nurse-2", "azp": "testkit",
        "roles": ["nurse"], "organisation": "Test Hospital", "exp": soon,
    });
    let token = Token::of_claims(&cluster.node(0).state, &claims).unwrap();
    let brief = Client::new(cluster.node(0).listen, &token).unwrap();
    let mut following = watch(&brief, &patient, 0).await.expect("still good");
    assert_eq!(change(&mut following).await.0, 1);
    let ended = following.message().await.expect_err("the token ends, and the watch with it");
    assert_eq!(ended.code(), Code::Unauthenticated);
    assert_eq!(ended.get_details_error_info().expect("error info").reason, "TOKEN_EXPIRED");
}

#[tokio::test]
async fn a_watch_ends_with_the_employment_however_much_is_still_to_be_delivered() {
    let cluster = Cluster::start(1).await.expect("a node");
    let it = cluster.client(0, "hospital-it").unwrap();
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    many_notes(&manager, &patient, 200).await;
    put(&it, practitioner_role("ann")).await.expect("listed");
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    let mut following = watch(&ann, &patient, 0).await.expect("a watch");
    assert_eq!(change(&mut following).await.0, 1);
    let period = Some(v1::Period { start: "2020-01-01".to_owned(), end: "2020-12-31".to_owned() });
    put(&it, v1::PractitionerRole { period, ..practitioner_role("ann") }).await.expect("ended");
    let over = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let ended = loop {
        match following.message().await {
            Ok(message) => assert!(message.is_some(), "it says why it ends"),
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::PermissionDenied, "{ended}");
    cluster.agreed().await.expect("all of it is on the trail");
    let after = |access: &&v1::Access| {
        let at = access.recorded_at.expect("a time");
        let seconds = Duration::from_secs(at.seconds.try_into().expect("this millennium"));
        access.outcome == "shown"
            && seconds + Duration::from_nanos(at.nanos.try_into().expect("not negative")) > over
    };
    let delivered = deliveries(&cluster, &patient).await;
    let late = delivered.iter().filter(after).count();
    assert!(late <= 1, "{late} of {} were let in when it was over", delivered.len());
}

#[tokio::test]
async fn a_file_is_shown_as_it_was_at_a_version_or_a_time() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    manager.file_note(&patient, "first", &request_id(), None).await.unwrap();
    let identity = v1::Identity {
        names: vec![v1::HumanName { family: "Bell".to_owned(), ..v1::HumanName::default() }],
        ..v1::Identity::default()
    };
    let marries = v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(identity),
        update_mask: Some(api::FieldMask { paths: vec!["names".to_owned()] }),
        how: v1::Amendment::Amendment.into(),
        reason: "married".to_owned(),
    });
    let request = v1::ContributeRequest {
        request_id: request_id(),
        purpose: purpose("CAREMGT"),
        patient_id: patient.clone(),
        expected_version: Some(2),
        changes: vec![v1::Change { change: Some(marries) }],
    };
    manager.file().contribute(request).await.expect("amended");
    manager.file_note(&patient, "second", &request_id(), None).await.unwrap();
    let history = v1::GetPatientHistoryRequest {
        patient_id: patient.clone(),
        purpose: purpose("CAREMGT"),
        ..v1::GetPatientHistoryRequest::default()
    };
    let events = manager.file().get_patient_history(history).await.unwrap().into_inner().events;
    let filed: Vec<_> = events.iter().map(|event| event.recorded_at.expect("a time")).collect();
    assert_eq!(filed.len(), 4);

    let shown = async |as_of| {
        let answer = manager.file().get_patient_file(at(&patient, Some(as_of))).await?;
        let file = answer.into_inner().file.expect("the file");
        let family = file.identity.expect("who it is").names[0].family.clone();
        Ok::<_, tonic::Status>((file.version, file.entries.len(), family))
    };
    let then = [(1, 0, "Ames"), (2, 1, "Ames"), (3, 1, "Bell"), (4, 2, "Bell")];
    for ((version, entries, family), time) in then.into_iter().zip(filed) {
        let expected = (version, entries, family.to_owned());
        assert_eq!(shown(AsOf::Version(version)).await.unwrap(), expected);
        assert_eq!(shown(AsOf::Time(time)).await.unwrap(), expected, "at the time of filing");
        let nanos = i128::from(time.seconds) * 1_000_000_000 + i128::from(time.nanos) - 1_000;
        let before = api::Timestamp {
            seconds: i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap(),
            nanos: i32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap(),
        };
        match shown(AsOf::Time(before)).await {
            Ok((earlier, ..)) => assert_eq!(earlier, version - 1, "a microsecond before"),
            Err(status) => assert_eq!((version, status.code()), (1, Code::NotFound)),
        }
    }
    let later = shown(AsOf::Version(5)).await.expect_err("there is no fifth version");
    assert_eq!(later.code(), Code::NotFound);
}

#[tokio::test]
async fn what_was_written_on_one_node_is_read_on_the_other() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let writer = cluster.client(0, "case-manager").unwrap();
    let reader = cluster.client(1, "case-manager").unwrap();
    let registered = writer.register("MRN-1", "Ames").await.unwrap();
    let patient = registered.patient_id;
    let mut position = registered.position;
    for round in 0..100_usize {
        let file = reader.read_file(&patient, Some(position)).await.expect("read").file.unwrap();
        assert_eq!(file.entries.len(), round, "one's own writes are there");
        let filed = writer.file_note(&patient, "another", &request_id(), None).await;
        position = filed.unwrap().position;
    }
    let ahead =
        v1::GetPatientFileRequest { at_least_position: Some(position + 1), ..at(&patient, None) };
    let mut request = tonic::Request::new(ahead);
    request.set_timeout(Duration::from_millis(500));
    let status = reader.file().get_patient_file(request).await.expect_err("not written yet");
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(status.get_details_error_info().expect("info").reason, "NOT_ANSWERED");
}

#[tokio::test]
async fn a_long_file_is_read_page_by_page() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let mut filed = BTreeSet::new();
    for count in [200, 200, 50] {
        let request = v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("TREAT"),
            patient_id: patient.clone(),
            expected_version: None,
            changes: (0..count).map(|number| Client::note(&format!("{number}"))).collect(),
        };
        let answer = manager.file().contribute(request).await.expect("filed").into_inner();
        filed.extend(answer.entry_ids);
    }
    assert_eq!(filed.len(), 450);
    let mut request = at(&patient, None);
    let mut pages = Vec::new();
    let mut seen = Vec::new();
    loop {
        let page = manager.file().get_patient_file(request.clone()).await.unwrap().into_inner();
        let entries = page.file.unwrap().entries;
        pages.push(entries.len());
        seen.extend(entries.into_iter().map(|state| state.entry_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
        refused_elsewhere(&cluster, &request).await;
    }
    assert_eq!(pages, [200, 200, 50]);
    assert_eq!(seen, filed.into_iter().collect::<Vec<_>>(), "each once, by id");

    let mut history = v1::GetPatientHistoryRequest {
        patient_id: patient,
        purpose: purpose("TREAT"),
        page_size: 200,
        ..v1::GetPatientHistoryRequest::default()
    };
    let mut versions = Vec::new();
    loop {
        let page = manager.file().get_patient_history(history.clone()).await.unwrap().into_inner();
        versions.extend(page.events.into_iter().map(|event| event.version));
        if page.next_page_token.is_empty() {
            break;
        }
        history.page_token = page.next_page_token;
    }
    assert_eq!(versions, (1..=451).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_history_does_not_end_where_another_node_has_no_more_of_it_yet() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let behind = cluster.client(1, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    cluster.agreed().await.expect("both have the patient");
    cluster.node_mut(1).stop().await.expect("stopped");
    manager.file_note(&patient, "another", &request_id(), None).await.expect("filed");
    let mut history = v1::GetPatientHistoryRequest {
        patient_id: patient,
        purpose: purpose("TREAT"),
        page_size: 1,
        ..v1::GetPatientHistoryRequest::default()
    };
    let first = manager.file().get_patient_history(history.clone()).await.unwrap().into_inner();
    history.page_token = first.next_page_token;
    // It is near the end, as far as it can know, but does not have the second version.
    cluster.nats.kill().expect("killed");
    cluster.node_mut(1).spawn().expect("started");
    cluster.node(1).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    let mut request = tonic::Request::new(history.clone());
    request.set_timeout(Duration::from_millis(500));
    let status = behind.file().get_patient_history(request).await.expect_err("not the last page");
    assert_eq!(status.get_details_error_info().expect("info").reason, "NOT_ANSWERED", "{status:?}");
    cluster.nats.restart().await.expect("back");
    cluster.node(1).serving().await.expect("serving");
    let second = behind.file().get_patient_history(history).await.expect("read").into_inner();
    let versions: Vec<_> = second.events.iter().map(|event| event.version).collect();
    assert_eq!((versions, second.next_page_token.as_str()), (vec![2], ""));
}

/// A page token is good for one caller and one question.
async fn refused_elsewhere(cluster: &Cluster, request: &v1::GetPatientFileRequest) {
    let other_question = v1::GetPatientFileRequest { include_retracted: true, ..request.clone() };
    let asked = [("case-manager", other_question), ("nurse", request.clone())];
    for (role, request) in asked {
        let client = cluster.client(0, role).unwrap();
        let status = client.file().get_patient_file(request).await.expect_err("another's token");
        assert_eq!(status.code(), Code::InvalidArgument);
        let bad = status.get_details_bad_request().expect("the field").field_violations;
        assert_eq!(bad[0].field, "page_token");
    }
}
