//! The glass broken for one entry: that one is shown and no other, in every answer and in its replay.

use std::time::SystemTime;

use api::v1::break_glass_request::Scope;
use api::v1::emergency_access::Scope as Opened;
use api::v1::try_policy_response::Part;
use tonic::Status;

use super::*;
use crate::emergency::{end, entry_of};
use crate::policies::SHIPPED;

async fn is_barred(client: &Client, patient: &str) {
    let denied = client.file().get_patient_file(whole(patient, "BTG")).await;
    not_broken(&denied.expect_err("no emergency access covers it"));
}

fn not_broken(denied: &Status) {
    assert_eq!((denied.code(), &*reason(denied)), (Code::PermissionDenied, "GLASS_NOT_BROKEN"));
}

/// The ids of all entries of the file.
async fn entries(cluster: &Cluster, patient: &str) -> Vec<String> {
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let (file, _) = page(&officer, whole(patient, "HCOMPL")).await;
    file.entries.into_iter().map(|state| state.entry_id).collect()
}

/// What a nurse sees in an emergency is one entry, if it is there yet, and that there are others.
fn only(file: &v1::PatientFile, id: &str) -> bool {
    assert_eq!(file.identity.as_ref().expect("who it is").names[0].family, "Ames");
    let (open, masked): (Vec<_>, Vec<_>) = file.entries.iter().partition(|state| !state.masked);
    assert!(open.iter().all(|state| state.entry_id == id), "{open:?}");
    assert!(masked.iter().all(|state| **state == hidden(&state.entry_id)), "{masked:?}");
    !open.is_empty()
}

/// Whether an event of a history may be shown where this entry is open alone, and is.
fn only_of(filed: &v1::FiledEvent, id: &str) -> bool {
    match event(filed) {
        Event::PatientRegistered(_) => false,
        Event::EntryAdded(added) => added.entry_id == id,
        Event::EntryAmended(amended) => amended.entry_id == id,
        Event::EntryRetracted(retracted) => retracted.entry_id == id,
        Event::EntryMasked(masked) => {
            assert_ne!(masked.entry_id, id);
            false
        }
        other => panic!("{other:?}"),
    }
}

/// Everything that a nurse can read in an emergency, by its receipts.
async fn read_all(
    nurse: &Client,
    patient: &str,
    id: &str,
    version: u64,
) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut shown = BTreeMap::new();
    // Twice now: nothing of it is taken from what others read.
    for request in [whole(patient, "BTG"), whole(patient, "BTG")] {
        let (file, receipt) = page(nurse, request).await;
        assert!(only(&file, id), "{file:?}");
        shown.insert(receipt, file.encode_to_vec());
    }
    let mut there = 0;
    for version in 1..=version {
        let (file, receipt) = page(nurse, then(patient, "BTG", version)).await;
        there += u64::from(only(&file, id));
        shown.insert(receipt, file.encode_to_vec());
    }
    assert!(there > 0 && there < version, "it was not there from the beginning");
    let (events, receipt) = history(nurse, patient, "BTG").await;
    let told = events.iter().filter(|event| only_of(event, id)).count();
    assert!(told > 0 && events.len() as u64 == version);
    let alone = v1::GetPatientHistoryResponse { events, ..<_>::default() };
    shown.insert(receipt, alone.encode_to_vec());
    let request = v1::WatchPatientFileRequest {
        patient_id: patient.to_owned(),
        purpose: why("BTG"),
        from_version: 1,
    };
    let mut watch = nurse.file().watch_patient_file(request).await.expect("a watch").into_inner();
    let mut watched = 0;
    for _ in 1..=version {
        let message = watch.message().await.expect("no error").expect("not ended");
        let change = message.change.expect("a change");
        watched += usize::from(only_of(&change, id));
        shown.insert(message.receipt, change.encode_to_vec());
    }
    assert_eq!(watched, told);
    shown
}

async fn is_replayed(officer: &Client, shown: BTreeMap<Vec<u8>, Vec<u8>>) {
    for (receipt, bytes) in shown {
        let access = on_record(officer, &receipt).await;
        let asked = v1::ReplayRequest { purpose: purpose("HCOMPL"), position: access.position };
        let again = officer.audit().replay(asked).await.expect("replayed").into_inner();
        assert!(again.answer.expect("an answer").value == bytes, "{access:?} was another");
        assert_eq!(on_record(officer, &again.receipt).await.masked, access.masked);
    }
}

#[tokio::test]
async fn one_entry_is_shown_and_no_other_until_it_is_over_and_replayed_so() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, psychiatric, therapy } = mixed(&cluster).await;
    let (nurse, physician) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "physician").unwrap());
    let officer = cluster.client(0, "compliance-officer").unwrap();
    // Before and after what is opened had other labels, and beside one of its own class.
    file(&physician, &patient, note("another of the ward", &["R", "PSY"])).await;
    let late = vec![labelled(&psychiatric, &["PSY"]), labelled(&therapy, &["R", "PSYTHPN"])];
    contribute(&physician, &patient, "TREAT", late).await.expect("filed");
    let as_ever = page(&nurse, whole(&patient, "TREAT")).await.0;
    assert!(seen(&as_ever).1.contains(&psychiatric.as_str()), "masked for a nurse");
    is_barred(&nurse, &patient).await;

    let opened = break_glass(&nurse, entry_of(&patient, &psychiatric), None).await;
    let opened = opened.expect("broken");
    let scope = v1::OpenedEntry { patient_id: patient.clone(), entry_id: psychiatric.clone() };
    assert_eq!(opened.scope, Some(Opened::Entry(scope)));
    let lasts = opened.expire_time.unwrap().seconds - opened.start_time.unwrap().seconds;
    assert_eq!(lasts, 4 * 3_600);
    let shown = read_all(&nurse, &patient, &psychiatric, 10).await;
    let (now, receipt) = page(&nurse, whole(&patient, "BTG")).await;
    assert_eq!(seen(&now).0, ["psychiatric note"]);
    assert_eq!(now.entries.len(), entries(&cluster, &patient).await.len(), "the rest is masked");
    let access = on_record(&officer, &receipt).await;
    assert_eq!(access.emergency_id, opened.id);
    assert_eq!(access.circumstances, [format!("entry:{psychiatric}")]);
    let kinds =
        ["condition:", "encounter:", "note:N", "note:PSY,R", "note:PSYTHPN,R", "procedure:"];
    assert_eq!(access.masked, kinds.map(|kind| format!("other {kind}")));
    let ordinary = page(&nurse, whole(&patient, "TREAT")).await.0;
    assert_eq!(ordinary, as_ever, "the rest is read for the ordinary purpose");
    is_barred(&physician, &patient).await;

    end(&nurse, &opened.id).await.expect("ended");
    is_barred(&nurse, &patient).await;
    let after = page(&nurse, whole(&patient, "TREAT")).await.0;
    assert_eq!(after, as_ever, "masked again");
    let changed = vec![retracted(&psychiatric), labelled(&therapy, &[])];
    contribute(&physician, &patient, "TREAT", changed).await.expect("filed");
    cluster.node_mut(0).stop().await.expect("stopped");
    let (store, _) = databases(cluster.node(0));
    store.drop_views().expect("dropped");
    store.close().expect("closed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("it serves");
    is_replayed(&officer, shown).await;
    predicts_nothing(&officer).await;
    break_glass(&nurse, entry_of(&patient, &psychiatric), None).await.expect("it was retracted");
    assert!(only(&page(&nurse, whole(&patient, "BTG")).await.0, &psychiatric));
}

/// By the policies that decided, all of the trail is decided as it was.
async fn predicts_nothing(officer: &Client) {
    let request = v1::TryPolicyRequest {
        purpose: purpose("HCOMPL"),
        tried: Some(v1::try_policy_request::Tried::Text(SHIPPED.to_owned())),
        start_time: Some(SystemTime::UNIX_EPOCH.into()),
        ..v1::TryPolicyRequest::default()
    };
    let mut parts = officer.policies().try_policy(request).await.expect("tried").into_inner();
    while let Some(part) = parts.message().await.expect("no error") {
        if let Some(Part::Ended(sums)) = part.part {
            assert_eq!((sums.would_be_denied, sums.would_be_allowed), (0, 0), "{sums:?}");
            assert_eq!((sums.would_be_masked, sums.would_be_unmasked), (0, 0), "{sums:?}");
            assert!(sums.looked_at > 30 && sums.not_judged == 0, "{sums:?}");
            return;
        }
    }
    panic!("it did not end");
}

#[tokio::test]
async fn only_that_entry_is_changed_and_the_widest_or_last_access_is_used() {
    let cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, psychiatric, therapy } = mixed(&cluster).await;
    let nurse = cluster.client(0, "nurse").unwrap();
    let one = break_glass(&nurse, entry_of(&patient, &psychiatric), None).await.expect("broken");
    for changes in [
        vec![retitled(&therapy, "Title R")],
        vec![retitled(&psychiatric, "Title R"), retitled(&therapy, "Title R")],
        vec![retitled(&psychiatric, "Title R"), added(note("beside it", &[]))],
        vec![added(note("beside it", &[]))],
    ] {
        let denied = contribute(&nurse, &patient, "BTG", changes).await.expect_err("denied");
        not_broken(&denied);
    }
    let both = vec![retitled(&psychiatric, "Title R"), retitled(&psychiatric, "Title V")];
    contribute(&nurse, &patient, "BTG", both).await.expect("of that entry alone");
    let found = v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: "MRN-1".to_owned(),
        purpose: why("BTG"),
    };
    nurse.file().find_patient(found).await.expect("found");

    let last = break_glass(&nurse, entry_of(&patient, &therapy), None).await.expect("broken");
    let btg = || whole(&patient, "BTG");
    assert!(only(&page(&nurse, btg()).await.0, &therapy), "begun last");
    let first = vec![retitled(&psychiatric, "Title PSY")];
    contribute(&nurse, &patient, "BTG", first).await.expect("under the first, which covers it");
    let whole = break_glass(&nurse, file_of(&patient), None).await.expect("broken");
    break_glass(&nurse, entry_of(&patient, &psychiatric), None).await.expect("broken");
    assert_eq!(seen(&page(&nurse, btg()).await.0).0.len(), 6, "the whole file is wider");
    let other = vec![retitled(&therapy, "Title R")];
    contribute(&nurse, &patient, "BTG", other).await.expect("under the widest");
    end(&nurse, &whole.id).await.expect("ended");
    assert!(only(&page(&nurse, btg()).await.0, &psychiatric), "begun last of those left");
    for id in [&one.id, &last.id] {
        end(&nurse, id).await.expect("ended");
        assert!(only(&page(&nurse, btg()).await.0, &psychiatric));
    }
}

#[tokio::test]
async fn an_entry_that_is_not_in_the_file_is_not_found_as_a_patient_is_not() {
    let cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, psychiatric, .. } = mixed(&cluster).await;
    let (nurse, manager) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "case-manager").unwrap());
    let other = manager.register("MRN-2", "Bell").await.unwrap().patient_id;
    let nobody = "ab".repeat(16);
    for scope in [
        entry_of(&other, &psychiatric),
        entry_of(&patient, &nobody),
        entry_of(&nobody, &psychiatric),
    ] {
        let unknown = break_glass(&nurse, scope, None).await.expect_err("not on file");
        assert_eq!(unknown.code(), Code::NotFound);
    }
    let nameless = Scope::Entry(v1::EntryScope { entry_id: psychiatric.clone(), patient: None });
    for (scope, seconds) in [
        (entry_of(&patient, &psychiatric), 4 * 3_600 + 1),
        (entry_of(&patient, ""), 60),
        (entry_of(&patient, "5f"), 60),
        (nameless, 60),
    ] {
        let refused = break_glass(&nurse, scope, Some(seconds)).await.expect_err("refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    is_barred(&nurse, &patient).await;
}

#[tokio::test]
async fn invariant_10_one_entry_stays_the_only_one_without_the_broker_and_when_the_node_dies() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, psychiatric, .. } = mixed(&cluster).await;
    let (nurse, officer) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "compliance-officer").unwrap());
    cluster.agreed().await.expect("a head");
    cluster.nats.kill().expect("killed");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    break_glass(&nurse, entry_of(&patient, &psychiatric), None).await.expect("broken");
    let mut shown = read_all(&nurse, &patient, &psychiatric, 7).await;
    cluster.node_mut(0).kill().expect("killed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).condition(v1::LedgerCondition::ReadOnly).await.expect("it reads");
    shown.extend(read_all(&nurse, &patient, &psychiatric, 7).await);
    cluster.nats.restart().await.expect("back");
    cluster.node(0).serving().await.expect("serving");
    cluster.agreed().await.expect("what waited is on the trail");
    is_replayed(&officer, shown).await;
}

#[tokio::test]
async fn the_command_line_breaks_the_glass_for_one_entry_and_lists_it() {
    let cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, psychiatric, .. } = mixed(&cluster).await;
    let node = cluster.node(0);
    let ask = |role: &str, arguments: &[&str]| {
        let token = Token::signed(&node.state, role, &format!("{role}-1")).expect("a token");
        let output = run(Command::new(program("caseledger").expect("built"))
            .env("CASELEDGER_TOKEN", token.0)
            .args(["--server", &format!("http://{}", node.listen)])
            .args(arguments));
        output.expect("answered")
    };
    let start = ["emergency", "start", "MRN-1", "--entry", &psychiatric, "--code", "OVRPJ"];
    let text = ask("nurse", &[&start[..], &["--reason", "restless"]].concat());
    let opens = format!("entry {psychiatric} of patient {patient}");
    assert!(text.contains(&opens), "{text}");
    let show = ["file", "show", "MRN-1", "--purpose", "BTG", "--reason", "restless"];
    let text = ask("nurse", &show);
    assert!(text.contains("psychiatric note") && !text.contains("plain note"), "{text}");
    assert!(text.contains("\nMasked (5): "), "{text}");
    let text = ask("compliance-officer", &["emergency", "list"]);
    assert!(text.contains(&opens) && text.contains("OPEN until"), "{text}");
}
