//! Two nodes on one broker: one order, one verdict, one patient.

use std::collections::BTreeSet;

use api::v1;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::Code;
use tonic_types::StatusExt;

use crate::relationships::newest;
use crate::tools::filed_since;

/// The version that a conflict names.
fn current_version(status: &tonic::Status) -> u64 {
    let info = status.get_details_error_info().expect("error info");
    info.metadata.get("current_version").expect("the current version").parse().expect("a number")
}

#[tokio::test]
async fn invariant_1_one_order_one_verdict() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let clients =
        [cluster.client(0, "case-manager").unwrap(), cluster.client(1, "case-manager").unwrap()];
    let mut patients = Vec::new();
    for number in 0..8 {
        let client = clients.get(number % 2).unwrap();
        let registered = client.register(&format!("MRN-{number}"), "Ames").await.unwrap();
        patients.push(registered.patient_id);
    }
    let mut filing = tokio::task::JoinSet::new();
    for round in 0..40 {
        let client = clients.get(round % 2).unwrap().clone();
        let patient = patients.get(round % patients.len()).unwrap().clone();
        filing.spawn(async move {
            client.file_note(&patient, &format!("round {round}"), &request_id(), None).await
        });
    }
    let mut position = 0;
    while let Some(filed) = filing.join_next().await {
        position = position.max(filed.unwrap().expect("filed").position);
    }
    for patient in &patients {
        let one = clients[0].read_file(patient, Some(position)).await.unwrap();
        let other = clients[1].read_file(patient, Some(position)).await.unwrap();
        assert_eq!(one.file, other.file, "both nodes show the same file");
        assert_eq!(one.file.unwrap().entries.len(), 5);
    }
    let heads = cluster.agreed().await.expect("the same heads");
    assert_eq!(heads[0].size, position, "every record is counted");
    let shown = 2 * patients.len() as u64;
    assert_eq!(heads[1].size, 1 + 2 + shown, "genesis, two admissions, each reading");
}

#[tokio::test]
async fn invariant_2_apply_decides_ten_racers_one_wins() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let clients = [cluster.client(0, "nurse").unwrap(), cluster.client(1, "nurse").unwrap()];
    let registrar = cluster.client(0, "registrar").unwrap();
    let registered = registrar.register("MRN-1", "Ames").await.unwrap();
    // The second node has to have heard of the patient before it can be raced on there.
    clients[1].read_file(&registered.patient_id, Some(registered.position)).await.unwrap();
    let mut version = registered.version;
    for round in 0..200 {
        let mut race = tokio::task::JoinSet::new();
        for racer in 0..10 {
            let client = clients.get(racer % 2).unwrap().clone();
            let patient = registered.patient_id.clone();
            race.spawn(async move {
                let text = format!("round {round} racer {racer}");
                client.file_note(&patient, &text, &request_id(), Some(version)).await
            });
        }
        let mut won = Vec::new();
        let mut told = BTreeSet::new();
        while let Some(outcome) = race.join_next().await {
            match outcome.unwrap() {
                Ok(filed) => won.push(filed),
                Err(status) => {
                    assert_eq!(status.code(), Code::Aborted, "{status:?}");
                    told.insert(current_version(&status));
                }
            }
        }
        assert_eq!(won.len(), 1, "exactly one wins round {round}");
        version += 1;
        assert_eq!(won[0].version, version);
        assert_eq!(told, BTreeSet::from([version]), "the others are told the current version");
        let position = Some(won[0].position);
        for client in &clients {
            client.read_file(&registered.patient_id, position).await.unwrap();
        }
    }
}

#[tokio::test]
async fn without_an_expected_version_all_ten_land() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let clients = [cluster.client(0, "nurse").unwrap(), cluster.client(1, "nurse").unwrap()];
    let registered =
        cluster.client(0, "registrar").unwrap().register("MRN-1", "Ames").await.unwrap();
    clients[1].read_file(&registered.patient_id, Some(registered.position)).await.unwrap();
    let mut race = tokio::task::JoinSet::new();
    for racer in 0..10 {
        let client = clients.get(racer % 2).unwrap().clone();
        let patient = registered.patient_id.clone();
        race.spawn(async move {
            client.file_note(&patient, &format!("racer {racer}"), &request_id(), None).await
        });
    }
    let mut versions = BTreeSet::new();
    let mut position = 0;
    while let Some(filed) = race.join_next().await {
        let filed = filed.unwrap().expect("filed");
        versions.insert(filed.version);
        position = position.max(filed.position);
    }
    assert_eq!(versions, (2..=11).collect(), "ten versions, none lost, none twice");
    let file = clients[1].read_file(&registered.patient_id, Some(position)).await.unwrap();
    assert_eq!(file.file.unwrap().entries.len(), 10);
}

#[tokio::test]
async fn two_nodes_registering_one_number_make_one_patient() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let clients =
        [cluster.client(0, "registrar").unwrap(), cluster.client(1, "registrar").unwrap()];
    for number in 0..25 {
        let number = format!("MRN-{number}");
        let (one, other) = tokio::join!(
            clients[0].register(&number, "Ames"),
            clients[1].register(&number, "Ames")
        );
        let (one, other) = (one.unwrap(), other.unwrap());
        assert_eq!(one.patient_id, other.patient_id, "one patient");
        assert!(one.existed != other.existed, "one registered it, the other found it");
    }
}

#[tokio::test]
async fn a_repeated_request_returns_its_first_outcome() {
    let cluster = Cluster::start(2).await.expect("two nodes");
    let nurse: [Client; 2] =
        [cluster.client(0, "nurse").unwrap(), cluster.client(1, "nurse").unwrap()];
    let registered =
        cluster.client(0, "registrar").unwrap().register("MRN-1", "Ames").await.unwrap();
    let id = request_id();
    let first = nurse[0].file_note(&registered.patient_id, "once", &id, None).await.unwrap();
    nurse[1].read_file(&registered.patient_id, Some(first.position)).await.unwrap();
    let again = nurse[1].file_note(&registered.patient_id, "once", &id, None).await.unwrap();
    assert!(again.repeated_request && !first.repeated_request);
    assert_eq!((again.version, again.position), (first.version, first.position));
    assert_eq!(again.entry_ids, first.entry_ids);
    let other = nurse[1].file_note(&registered.patient_id, "something else", &id, None).await;
    let status = other.expect_err("the id was used with another payload");
    let info = status.get_details_error_info().expect("error info");
    assert_eq!(info.reason, "REQUEST_ID_REUSED");
}

/// Gives a patient these hospital numbers and no others.
async fn amend(
    client: &Client,
    patient_id: &str,
    how: v1::Amendment,
    numbers: &[&str],
) -> Result<v1::ContributeResponse, tonic::Status> {
    let identifier = |number: &&str| v1::Identifier {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: (*number).to_owned(),
        ..v1::Identifier::default()
    };
    let identifiers = numbers.iter().map(identifier).collect();
    let identity = v1::Identity { identifiers, ..v1::Identity::default() };
    let change = v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(identity),
        update_mask: Some(api::FieldMask { paths: vec!["identifiers".to_owned()] }),
        how: how.into(),
        reason: "mistyped".to_owned(),
    });
    let request = v1::ContributeRequest {
        request_id: request_id(),
        purpose: purpose("PATADMIN"),
        patient_id: patient_id.to_owned(),
        expected_version: None,
        changes: vec![v1::Change { change: Some(change) }],
    };
    Ok(client.file().contribute(request).await?.into_inner())
}

#[tokio::test]
async fn one_number_never_belongs_to_two_patients() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let one = manager.register("MRN-1", "Ames").await.unwrap();
    let other = manager.register("MRN-2", "Brown").await.unwrap();
    let refused = amend(&manager, &other.patient_id, v1::Amendment::Correction, &["MRN-1"])
        .await
        .expect_err("it is the other's");
    assert_eq!(refused.get_details_error_info().expect("error info").reason, "IDENTIFIER_TAKEN");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    for patient in [&one.patient_id, &other.patient_id] {
        let access = newest(&officer, patient, "case-manager-1").await;
        assert!(access.operation.ends_with("/Contribute"), "{access:?}");
        assert_eq!(access.outcome, "refused", "whose number it is says something of both");
    }
    amend(&manager, &other.patient_id, v1::Amendment::Correction, &["MRN-3"])
        .await
        .expect("a free number");
    let again = manager.register("MRN-3", "Brown").await.unwrap();
    assert!(again.existed, "a number given by an amendment is found");
    assert_eq!(again.patient_id, other.patient_id);
    assert_ne!(again.patient_id, one.patient_id);
    // That a number is the patient's already decides too: the bucket that says so is named as read.
    amend(&manager, &other.patient_id, v1::Amendment::Correction, &["MRN-3", "second"])
        .await
        .expect("another number beside it");
    let block = filed_since(&cluster, 0).await.pop().expect("a block");
    let content = ledger::Frame::parse(&block).unwrap().content().unwrap();
    let [ledger::Item::Contribution(contribution)] = content.items.as_slice() else {
        panic!("one contribution")
    };
    assert_eq!(contribution.records.len(), 2, "only the other number is assigned");
    assert!(matches!(contribution.reads.as_slice(), [(_, 1)]), "{:?}", contribution.reads);
}

#[tokio::test]
async fn every_hospital_number_finds_its_patient_and_numbers_of_two_are_refused() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let register = |numbers: &[&str]| {
        let identifier = |number: &&str| v1::Identifier {
            issuer: "https://hospital.example/mrn".to_owned(),
            value: (*number).to_owned(),
            ..v1::Identifier::default()
        };
        let name = v1::HumanName { family: "Ames".to_owned(), ..v1::HumanName::default() };
        let request = v1::RegisterPatientRequest {
            request_id: request_id(),
            purpose: purpose("PATADMIN"),
            identity: Some(v1::Identity {
                identifiers: numbers.iter().map(identifier).collect(),
                names: vec![name],
                ..v1::Identity::default()
            }),
        };
        let mut client = manager.file();
        async move { client.register_patient(request).await.map(tonic::Response::into_inner) }
    };
    let ames = register(&["MRN-1", "MRN-2"]).await.expect("registered").patient_id;
    let again = register(&["MRN-2", "MRN-1"]).await.expect("found");
    assert!(again.existed && again.patient_id == ames, "whichever number comes first");
    for number in ["MRN-1", "MRN-2"] {
        let request = v1::FindPatientRequest {
            issuer: "https://hospital.example/mrn".to_owned(),
            value: number.to_owned(),
            purpose: purpose("TREAT"),
        };
        let found = manager.file().find_patient(request).await.expect("found").into_inner();
        assert_eq!(found.patient_id, ames);
    }
    let other = register(&["MRN-3"]).await.expect("another patient").patient_id;
    let refused = register(&["MRN-1", "MRN-3"]).await.expect_err("numbers of two patients");
    let info = refused.get_details_error_info().expect("error info");
    assert_eq!(info.reason, "IDENTIFIERS_DISAGREE");
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "case-manager-1".to_owned(),
        page_size: 1,
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.expect("listed").into_inner();
    let newest = trail.accesses.first().expect("an access");
    assert!(newest.operation.ends_with("/RegisterPatient"), "that it said so is on record");
    assert_eq!(newest.outcome, "refused");
    for patient in [&ames, &other] {
        let access = crate::relationships::newest(&officer, patient, "case-manager-1").await;
        assert!(access.operation.ends_with("/RegisterPatient"), "{access:?}");
        assert_eq!(access.outcome, "refused", "with each patient whose number was named");
    }
}

#[tokio::test]
async fn a_mistyped_number_goes_to_its_rightful_owner() {
    use v1::Amendment::{Amendment, Correction};
    let cluster = Cluster::start(2).await.expect("two nodes");
    let clients =
        [cluster.client(0, "case-manager").unwrap(), cluster.client(1, "case-manager").unwrap()];
    let mistaken = clients[0].register("MRN-12", "Ames").await.unwrap();
    let corrected =
        amend(&clients[0], &mistaken.patient_id, Correction, &["MRN-21"]).await.unwrap();
    clients[1].read_file(&mistaken.patient_id, Some(corrected.position)).await.unwrap();
    let owner = clients[1].register("MRN-12", "Brown").await.unwrap();
    assert!(!owner.existed && owner.patient_id != mistaken.patient_id, "registered anew");
    let found = clients[1].register("MRN-12", "Brown").await.unwrap();
    assert!(found.existed && found.patient_id == owner.patient_id, "and found by it");
    let found = clients[1].register("MRN-21", "Ames").await.unwrap();
    assert!(found.existed && found.patient_id == mistaken.patient_id);

    // A number that the patient had, and has no longer, still names the patient.
    let merged = amend(&clients[1], &owner.patient_id, Amendment, &["MRN-30"]).await.unwrap();
    clients[0].read_file(&owner.patient_id, Some(merged.position)).await.unwrap();
    for number in ["MRN-12", "MRN-30"] {
        let found = clients[0].register(number, "Brown").await.unwrap();
        assert!(found.existed && found.patient_id == owner.patient_id, "{number}");
    }
    let refused = amend(&clients[0], &mistaken.patient_id, Correction, &["MRN-12"]).await;
    let info = refused.expect_err("it is the other's").get_details_error_info().expect("info");
    assert_eq!(info.reason, "IDENTIFIER_TAKEN");
}
