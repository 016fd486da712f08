//! Who may not know of a patient does not learn whether there is one: not from what they are told, how often
//! something is listed, or how long it takes.

use std::time::{Duration, Instant};

use api::v1;
use testkit::client::{Client, purpose};
use testkit::cluster::Cluster;
use tonic::{Code, Status};

use crate::access_table::{call, rpcs, states_a_purpose};

/// No patient's: ids are random, and this one was never given out.
const NOBODY: &str = "0123456789abcdef0123456789abcdef";

/// All of an answer's error that a caller sees.
fn told(status: &Status) -> (Code, String, Vec<u8>, String) {
    let headers =
        format!("{:?}", status.metadata().clone().into_headers().keys().collect::<Vec<_>>());
    (status.code(), status.message().to_owned(), status.details().to_vec(), headers)
}

async fn trail_of(officer: &Client, person: &str) -> Vec<v1::Access> {
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: person.to_owned(),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    officer.audit().list_accesses(request).await.expect("the trail").into_inner().accesses
}

fn by_number(number: &str) -> v1::FindPatientRequest {
    v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: number.to_owned(),
        purpose: purpose("TREAT"),
    }
}

#[tokio::test]
async fn a_denial_is_the_same_of_a_patient_and_of_nobody_and_both_are_on_record() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    let mut compared = 0;
    for role in ["hospital-it", "billing", "auditor", "registrar", "nurse"] {
        for rpc in rpcs().into_iter().filter(|rpc| states_a_purpose(rpc)) {
            let person = format!("{role} of {rpc}");
            let client = cluster.client_of(0, role, &person).unwrap();
            // Nobody's purpose: what the role may do otherwise is denied, too.
            let ask = async |patient: &str, number: &str| {
                let ended = if rpc.ends_with("/FindPatient") {
                    client.file().find_patient(by_number(number)).await.map(drop)
                } else {
                    call(&client, &rpc, patient, &purpose("TRAIN")).await
                };
                (ended, client.heads().await.expect("heads")[1].size)
            };
            let before = client.heads().await.expect("heads")[1].size;
            let (of_one, after_one) = ask(&patient, "MRN-1").await;
            let (of_nobody, after_both) = ask(NOBODY, "MRN-2").await;
            let (Err(of_one), Err(of_nobody)) = (of_one, of_nobody) else { continue };
            if of_one.code() != Code::PermissionDenied {
                continue;
            }
            assert_eq!(told(&of_one), told(&of_nobody), "{rpc} by {role}");
            // Whoever has credentials sees how long the ledger is.
            assert_eq!((after_one - before, after_both - after_one), (1, 1), "{rpc} by {role}");
            let trail = trail_of(&officer, &person).await;
            assert_eq!(trail.len(), 2, "{rpc} by {role}: {trail:?}");
            assert!(trail.iter().all(|access| access.kind() == v1::AccessKind::Denied));
            compared += 1;
        }
    }
    assert!(compared >= 50, "only {compared} denials were compared");
}

#[tokio::test]
async fn what_is_not_found_is_the_same_however_it_is_not_found_and_on_record() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    let curious = cluster.client_of(0, "nurse", "curious").unwrap();
    let read = async |patient_id: &str, as_of| {
        let request = v1::GetPatientFileRequest {
            patient_id: patient_id.to_owned(),
            purpose: purpose("TREAT"),
            as_of,
            ..v1::GetPatientFileRequest::default()
        };
        curious.file().get_patient_file(request).await.expect_err("not found")
    };
    use v1::get_patient_file_request::AsOf;
    let before = api::Timestamp { seconds: 1_000_000_000, nanos: 0 };
    let all = [
        read(NOBODY, None).await,
        read("ffffffffffffffffffffffffffffffff", None).await,
        read(&patient, Some(AsOf::Version(2))).await,
        read(&patient, Some(AsOf::Time(before))).await,
        read(NOBODY, Some(AsOf::Version(2))).await,
        read(NOBODY, Some(AsOf::Time(before))).await,
        curious.file().find_patient(by_number("MRN-2")).await.expect_err("not found"),
    ];
    assert_eq!(all[0].code(), Code::NotFound);
    for one in &all {
        assert_eq!(told(one), told(&all[0]));
    }
    assert_eq!(trail_of(&officer, "curious").await.len(), all.len(), "each is on record");

    // Nor does the trail say of whom it has nothing whether there is such a patient.
    let about = async |patient_id: &str| {
        let request = v1::ListAccessesRequest {
            purpose: purpose("HCOMPL"),
            patient_id: patient_id.to_owned(),
            ..v1::ListAccessesRequest::default()
        };
        let listed = officer.audit().list_accesses(request).await.expect("a list").into_inner();
        (listed.accesses.len(), listed.next_page_token)
    };
    let unread = manager.register("MRN-3", "Bell").await.expect("registered").patient_id;
    assert_eq!(about(&unread).await, about(NOBODY).await);
}

/// In turns, so that whatever else the machine does slows both alike; medians, of which a pause of either
/// moves none; and a bound that only another way through the node would exceed.
#[tokio::test]
async fn a_denial_takes_as_long_of_a_patient_as_of_nobody() {
    const CALLERS: usize = 8;
    /// Pairs of one caller, who is heard for sixty denials a minute.
    const PAIRS: usize = 28;
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    let mut took: [Vec<Duration>; 2] = Default::default();
    for caller in 0..CALLERS {
        let client = cluster.client_of(0, "billing", &format!("curious {caller}")).unwrap();
        client.heads().await.expect("connected");
        for pair in 0..PAIRS {
            for turn in [pair % 2, 1 - pair % 2] {
                let asked = Instant::now();
                let denied = client.read_file([&patient, NOBODY][turn], None).await;
                took[turn].push(asked.elapsed());
                assert_eq!(denied.expect_err("denied").code(), Code::PermissionDenied);
            }
        }
    }
    let [of_one, of_nobody] = took.map(|mut took| {
        took.sort();
        took[took.len() / 2]
    });
    let (least, most) = (of_one.min(of_nobody), of_one.max(of_nobody));
    assert!(most < least * 2, "medians: {of_one:?} of a patient, {of_nobody:?} of nobody");
}
