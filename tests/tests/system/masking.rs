//! Entries that a caller may not see are masked in every answer, and stay so when it is replayed.

use std::collections::BTreeMap;
use std::process::Command;

use api::v1;
use api::v1::change::Change;
use api::v1::entry::Detail;
use api::v1::event::Event;
use api::v1::get_patient_file_request::AsOf;
use prost::Message;
use testkit::client::{Client, Token, purpose, request_id};
use testkit::cluster::{Cluster, program, run};
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::emergency::{break_glass, file_of};
use crate::tools::{databases, reason};

mod everywhere;
mod one_entry;
mod predicted;

const ACT_CODE: &str = "http://terminology.hl7.org/CodeSystem/v3-ActCode";

/// An entry of a kind that says this, with these labels.
fn entry(status: &str, detail: Detail, text: &str, labels: &[&str]) -> v1::Entry {
    v1::Entry {
        status: status.to_owned(),
        code: Some(v1::CodeableConcept { text: text.to_owned(), coding: Vec::new() }),
        labels: codes(labels),
        note: format!("more of {text}"),
        detail: Some(detail),
        ..v1::Entry::default()
    }
}

fn codes(labels: &[&str]) -> Vec<v1::Coding> {
    let label = |code: &&str| v1::Coding {
        system: ACT_CODE.to_owned(),
        code: (*code).to_owned(),
        ..v1::Coding::default()
    };
    labels.iter().map(label).collect()
}

fn note(text: &str, labels: &[&str]) -> v1::Entry {
    let detail = v1::Note { text: format!("all of {text}"), ..v1::Note::default() };
    entry("", Detail::NoteDetail(detail), text, labels)
}

fn condition(text: &str, labels: &[&str]) -> v1::Entry {
    entry("active", Detail::Condition(v1::Condition::default()), text, labels)
}

fn procedure(text: &str, labels: &[&str]) -> v1::Entry {
    entry("completed", Detail::Procedure(v1::Procedure::default()), text, labels)
}

fn encounter(text: &str, labels: &[&str]) -> v1::Entry {
    let class =
        v1::Coding { system: ACT_CODE.to_owned(), code: "AMB".to_owned(), ..v1::Coding::default() };
    let detail = v1::Encounter { class: Some(class), ..v1::Encounter::default() };
    entry("finished", Detail::EncounterDetail(detail), text, labels)
}

fn added(entry: v1::Entry) -> Change {
    Change::AddEntry(v1::AddEntry { entry: Some(entry) })
}

/// Changes an entry's labels and nothing else.
fn labelled(entry_id: &str, labels: &[&str]) -> Change {
    Change::AmendEntry(v1::AmendEntry {
        entry_id: entry_id.to_owned(),
        entry: Some(v1::Entry { labels: codes(labels), ..v1::Entry::default() }),
        update_mask: Some(api::FieldMask { paths: vec!["labels".to_owned()] }),
        how: v1::Amendment::Amendment.into(),
        reason: "because of marker-reason".to_owned(),
    })
}

fn retitled(entry_id: &str, title: &str) -> Change {
    let code = v1::CodeableConcept { text: title.to_owned(), ..v1::CodeableConcept::default() };
    Change::AmendEntry(v1::AmendEntry {
        entry_id: entry_id.to_owned(),
        entry: Some(v1::Entry { code: Some(code), ..v1::Entry::default() }),
        update_mask: Some(api::FieldMask { paths: vec!["code".to_owned()] }),
        how: v1::Amendment::Correction.into(),
        reason: "because of marker-title".to_owned(),
    })
}

fn retracted(entry_id: &str) -> Change {
    let reason = "slip of marker-retraction".to_owned();
    Change::RetractEntry(v1::RetractEntry { entry_id: entry_id.to_owned(), reason })
}

/// A purpose, with a reason.
fn why(code: &str) -> Option<v1::Purpose> {
    let (purpose_of_use, reason) = (code.to_owned(), "found unconscious".to_owned());
    Some(v1::Purpose { purpose_of_use, reason })
}

async fn contribute(
    client: &Client,
    patient: &str,
    code: &str,
    changes: Vec<Change>,
) -> Result<v1::ContributeResponse, tonic::Status> {
    let request = v1::ContributeRequest {
        request_id: request_id(),
        purpose: why(code),
        patient_id: patient.to_owned(),
        expected_version: None,
        changes: changes.into_iter().map(|change| v1::Change { change: Some(change) }).collect(),
    };
    Ok(client.file().contribute(request).await?.into_inner())
}

/// Files an entry to treat; its id.
async fn file(client: &Client, patient: &str, entry: v1::Entry) -> String {
    let filed = contribute(client, patient, "TREAT", vec![added(entry)]).await.expect("filed");
    filed.entry_ids[0].clone()
}

async fn page(client: &Client, request: v1::GetPatientFileRequest) -> (v1::PatientFile, Vec<u8>) {
    let page = client.file().get_patient_file(request).await.expect("a page").into_inner();
    (page.file.expect("a file"), page.receipt)
}

fn whole(patient: &str, code: &str) -> v1::GetPatientFileRequest {
    v1::GetPatientFileRequest {
        patient_id: patient.to_owned(),
        purpose: why(code),
        include_retracted: true,
        page_size: 200,
        ..v1::GetPatientFileRequest::default()
    }
}

fn then(patient: &str, code: &str, version: u64) -> v1::GetPatientFileRequest {
    v1::GetPatientFileRequest { as_of: Some(AsOf::Version(version)), ..whole(patient, code) }
}

async fn history(client: &Client, patient: &str, code: &str) -> (Vec<v1::FiledEvent>, Vec<u8>) {
    let request = v1::GetPatientHistoryRequest {
        patient_id: patient.to_owned(),
        purpose: why(code),
        page_size: 200,
        ..v1::GetPatientHistoryRequest::default()
    };
    let page = client.file().get_patient_history(request).await.expect("a history").into_inner();
    (page.events, page.receipt)
}

/// Of an entry that is masked nothing else is said.
fn hidden(id: &str) -> v1::EntryState {
    v1::EntryState { entry_id: id.to_owned(), masked: true, ..v1::EntryState::default() }
}

/// The texts of entries that are shown, and the ids of those that are masked.
fn seen(file: &v1::PatientFile) -> (Vec<&str>, Vec<&str>) {
    let (mut shown, mut masked) = (Vec::new(), Vec::new());
    for state in &file.entries {
        if state.masked {
            assert_eq!(*state, hidden(&state.entry_id), "nothing else is said");
            masked.push(state.entry_id.as_str());
        } else {
            let entry = state.entry.as_ref().expect("an entry");
            shown.push(entry.code.as_ref().expect("a code").text.as_str());
        }
    }
    (shown, masked)
}

/// What is on record under a receipt.
async fn on_record(officer: &Client, receipt: &[u8]) -> v1::Access {
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        receipt: receipt.to_vec(),
        ..v1::ListAccessesRequest::default()
    };
    let found = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    found.accesses.into_iter().next().expect("the access")
}

/// A file with something of each kind that a policy speaks of.
struct Mixed {
    patient: String,
    psychiatric: String,
    therapy: String,
}

async fn mixed(cluster: &Cluster) -> Mixed {
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    file(&manager, &patient, note("plain note", &["N"])).await;
    let psychiatric = file(&manager, &patient, note("psychiatric note", &["R", "PSY"])).await;
    let therapy = file(&manager, &patient, note("therapy note", &["PSYTHPN"])).await;
    file(&manager, &patient, condition("asthma", &[])).await;
    file(&manager, &patient, procedure("appendectomy", &[])).await;
    file(&manager, &patient, encounter("visit", &[])).await;
    Mixed { patient, psychiatric, therapy }
}

#[tokio::test]
async fn each_role_sees_of_a_file_what_is_theirs_and_the_record_says_what_was_masked() {
    let cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, psychiatric, therapy } = mixed(&cluster).await;
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let all = ["visit", "asthma", "appendectomy", "plain note", "psychiatric note", "therapy note"];
    let unprotected = ["visit", "asthma", "appendectomy", "plain note"];
    let sees: [(&str, &str, Vec<&str>); 9] = [
        ("physician", "TREAT", all.to_vec()),
        ("physician", "HQUALIMP", unprotected.to_vec()),
        ("nurse", "TREAT", unprotected.to_vec()),
        ("nurse", "BTG", all.to_vec()),
        ("case-manager", "CAREMGT", all[..5].to_vec()),
        ("case-manager", "HPAYMT", unprotected.to_vec()),
        ("registrar", "PATADMIN", vec!["visit"]),
        ("billing", "HPAYMT", vec!["visit", "appendectomy"]),
        ("compliance-officer", "HCOMPL", all.to_vec()),
    ];
    let nurse = cluster.client(0, "nurse").unwrap();
    break_glass(&nurse, file_of(&patient), None).await.expect("the glass is broken");
    for (role, code, wanted) in sees {
        // Twice: the second time it was rendered before.
        for _ in 0..2 {
            let client = cluster.client(0, role).unwrap();
            let (shown, receipt) = page(&client, whole(&patient, code)).await;
            let (mut texts, masked) = seen(&shown);
            texts.sort_unstable_by_key(|text| all.iter().position(|one| one == text));
            assert_eq!(texts, wanted, "{role} for {code}");
            assert_eq!(masked.len(), all.len() - wanted.len(), "the rest is there, and masked");
            assert_eq!(shown.identity.as_ref().unwrap().names[0].family, "Ames");
            let access = on_record(&officer, &receipt).await;
            assert_eq!(access.masked.is_empty(), masked.is_empty(), "{access:?}");
            assert_eq!((access.count, access.answer_format), (6, 2));
        }
    }
    let nurse = cluster.client(0, "nurse").unwrap();
    let (shown, receipt) = page(&nurse, whole(&patient, "TREAT")).await;
    let mut masked = [psychiatric.as_str(), therapy.as_str()];
    masked.sort_unstable();
    assert_eq!(seen(&shown).1, masked);
    assert_eq!(on_record(&officer, &receipt).await.masked, ["note:PSY,R", "note:PSYTHPN"]);
    let notes = v1::GetPatientFileRequest {
        kinds: vec![v1::Kind::Note.into()],
        ..whole(&patient, "TREAT")
    };
    let (shown, receipt) = page(&nurse, notes).await;
    assert_eq!(seen(&shown), (vec!["plain note"], Vec::new()), "their kind is not told");
    assert_eq!(on_record(&officer, &receipt).await.masked.len(), 2, "the record tells of them");
    let curious = cluster.client(0, "billing").unwrap();
    let denied = curious.file().get_patient_file(whole(&patient, "TREAT")).await;
    assert_eq!(denied.expect_err("not to treat").code(), Code::PermissionDenied);
}

#[tokio::test]
async fn the_command_line_says_what_is_masked() {
    let cluster = Cluster::start(1).await.expect("a node");
    let Mixed { psychiatric, .. } = mixed(&cluster).await;
    let node = cluster.node(0);
    let ask = |arguments: &[&str]| {
        let token = Token::signed(&node.state, "nurse", "nurse-1").expect("a token");
        let output = run(Command::new(program("caseledger").expect("built"))
            .env("CASELEDGER_TOKEN", token.0)
            .args(["--server", &format!("http://{}", node.listen)])
            .args(arguments));
        output.expect("answered")
    };
    let text = ask(&["file", "show", "MRN-1"]);
    assert!(text.contains("\nMasked (2): ") && text.contains(&psychiatric), "{text}");
    assert!(text.contains("plain note") && !text.contains("psychiatric"), "{text}");
    let text = ask(&["file", "history", "MRN-1"]);
    assert!(text.contains("masked") && text.contains(&psychiatric), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&ask(&["--json", "file", "show", "MRN-1"])).expect("JSON");
    let entries = json["file"]["entries"].as_array().expect("entries");
    let masked: Vec<_> = entries.iter().filter(|state| state["masked"] == true).collect();
    assert_eq!(masked.len(), 2);
    assert!(masked.iter().all(|state| state.get("entry").is_none()), "{masked:?}");
}

/// The next change of a watch.
async fn change(watch: &mut tonic::Streaming<v1::WatchPatientFileResponse>) -> v1::FiledEvent {
    loop {
        let message = watch.message().await.expect("no error").expect("not ended");
        if let Some(change) = message.change {
            return change;
        }
    }
}

async fn watch(
    client: &Client,
    patient: &str,
    from_version: u64,
) -> tonic::Streaming<v1::WatchPatientFileResponse> {
    let patient_id = patient.to_owned();
    let request =
        v1::WatchPatientFileRequest { patient_id, purpose: purpose("TREAT"), from_version };
    client.file().watch_patient_file(request).await.expect("a watch").into_inner()
}

fn event(filed: &v1::FiledEvent) -> &Event {
    filed.event.as_ref().and_then(|event| event.event.as_ref()).expect("it says something")
}

fn is_masked(filed: &v1::FiledEvent, id: &str) -> bool {
    *event(filed) == Event::EntryMasked(v1::EntryMasked { entry_id: id.to_owned() })
}

#[tokio::test]
async fn what_was_labelled_late_shows_neither_through_its_history_nor_through_the_file_of_then() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (nurse, physician) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "physician").unwrap());
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let mut live = watch(&nurse, &patient, 1).await;
    let id = file(&physician, &patient, note("marker", &[])).await;
    let opened = [change(&mut live).await, change(&mut live).await];
    assert!(matches!(event(&opened[1]), Event::EntryAdded(_)), "it had no label yet");
    assert_eq!(seen(&page(&nurse, then(&patient, "TREAT", 2)).await.0).0, ["marker"]);
    for changes in [labelled(&id, &["HIV"]), retracted(&id)] {
        contribute(&physician, &patient, "TREAT", vec![changes]).await.expect("filed");
        assert!(is_masked(&change(&mut live).await, &id), "what was done is not told");
    }

    let (events, _) = history(&nurse, &patient, "TREAT").await;
    assert_eq!(events.len(), 4);
    assert!(events[1..].iter().all(|event| is_masked(event, &id)), "{events:?}");
    let mut behind = watch(&nurse, &patient, 2).await;
    for _ in 2..=4 {
        assert!(is_masked(&change(&mut behind).await, &id), "nor through a watch");
    }
    for version in 2..=4 {
        let (then, _) = page(&nurse, then(&patient, "TREAT", version)).await;
        assert_eq!(then.entries, [hidden(&id)], "version {version}");
    }
    let standing =
        v1::GetPatientFileRequest { include_retracted: false, ..whole(&patient, "TREAT") };
    let (now, _) = page(&nurse, standing.clone()).await;
    assert_eq!(now.entries, [hidden(&id)], "whether it was taken back is not told");
    assert!(page(&physician, standing).await.0.entries.is_empty(), "it was");
    let (events, _) = history(&physician, &patient, "TREAT").await;
    assert!(matches!(event(&events[3]), Event::EntryRetracted(_)));
}

#[tokio::test]
async fn a_label_that_is_taken_off_does_not_open_what_was_filed_under_it() {
    let cluster = Cluster::start(1).await.expect("a node");
    let (nurse, physician) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "physician").unwrap());
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let id = file(&physician, &patient, note("marker", &["ETH"])).await;
    let declassified = vec![labelled(&id, &[])];
    contribute(&physician, &patient, "TREAT", declassified).await.expect("it is in the history");
    assert_eq!(seen(&page(&nurse, whole(&patient, "TREAT")).await.0).0, ["marker"]);
    assert_eq!(page(&nurse, then(&patient, "TREAT", 2)).await.0.entries, [hidden(&id)]);
    let (events, _) = history(&nurse, &patient, "TREAT").await;
    assert!(is_masked(&events[1], &id));
    assert!(matches!(event(&events[2]), Event::EntryAmended(_)));
}

#[tokio::test]
async fn who_may_not_see_an_entry_may_not_change_it() {
    let cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, psychiatric, .. } = mixed(&cluster).await;
    let (nurse, officer) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "compliance-officer").unwrap());
    let before = page(&officer, whole(&patient, "HCOMPL")).await.0;
    for change in [labelled(&psychiatric, &[]), retracted(&psychiatric)] {
        let changes = vec![added(note("beside it", &[])), change];
        let denied = contribute(&nurse, &patient, "TREAT", changes).await.expect_err("masked");
        assert_eq!(denied.code(), Code::PermissionDenied);
        assert_eq!(reason(&denied), "ENTRY_MASKED");
        let info = denied.get_details_error_info().unwrap();
        assert_eq!(info.metadata["break_glass"], "possible");
    }
    assert_eq!(page(&officer, whole(&patient, "HCOMPL")).await.0, before, "nothing was filed");
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "nurse-1".to_owned(),
        outcome: "denied".to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let page = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let denials = page.accesses;
    assert_eq!(denials.len(), 2, "every denial is on record");
    for denial in denials {
        assert_eq!(denial.masked, ["note:PSY,R"]);
        assert_eq!(denial.deciding_ids, ["specially-protected"]);
        assert_eq!(denial.patient_id, patient);
    }
    break_glass(&nurse, file_of(&patient), None).await.expect("the glass is broken");
    let opened = contribute(&nurse, &patient, "BTG", vec![retitled(&psychiatric, "Crisis")]).await;
    opened.expect("it opens what is masked");
    let own = vec![added(note("of the nurse's own", &["PSY"]))];
    contribute(&nurse, &patient, "TREAT", own).await.expect("a new one may have a label");
}

/// Imports an entry that a source delivers under its only number.
async fn imported(client: &Client, patient: &str, entry: v1::Entry) -> v1::ImportResult {
    let selector = v1::patient_selector::Patient::PatientId(patient.to_owned());
    let item = v1::ImportItem {
        number: 1,
        source: Some(v1::SourceId { system: "urn:lab".to_owned(), value: "1".to_owned() }),
        patient: Some(v1::PatientSelector { patient: Some(selector) }),
        content: Some(v1::import_item::Content::Entry(Box::new(entry))),
        ..v1::ImportItem::default()
    };
    let sent = v1::ImportRequest { purpose: purpose("PATADMIN"), items: vec![item] };
    let answers = client.import().import(tokio_stream::once(sent)).await.expect("begun");
    let mut answers = answers.into_inner();
    let mut results = Vec::new();
    while let Some(answer) = answers.message().await.expect("no item ends the stream") {
        results.extend(answer.results);
    }
    results.pop().expect("a result")
}

#[tokio::test]
async fn an_import_changes_nothing_that_is_masked_and_does_not_tell_whether_it_would() {
    use v1::ImportStatus::{Amended, Filed, Refused, Unchanged};
    let cluster = Cluster::start(1).await.expect("a node");
    let (manager, registrar) =
        (cluster.client(0, "case-manager").unwrap(), cluster.client(0, "registrar").unwrap());
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let filed = imported(&registrar, &patient, condition("asthma", &[])).await;
    assert_eq!(filed.status(), Filed, "{filed:?}");
    for again in ["asthma", "gout"] {
        let refused = imported(&registrar, &patient, condition(again, &[])).await;
        assert_eq!(refused.status(), Refused);
        assert_eq!((refused.reason.as_str(), refused.retryable), ("ENTRY_MASKED", false));
        assert!(refused.entry_id.is_empty());
    }
    let unchanged = imported(&manager, &patient, condition("asthma", &[])).await;
    assert_eq!(unchanged.status(), Unchanged);
    let amended = imported(&manager, &patient, condition("gout", &[])).await;
    assert_eq!(amended.status(), Amended);
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient,
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let refusals = trail.accesses.iter().filter(|access| access.masked == ["condition:"]);
    assert_eq!(refusals.count(), 2, "each is on record");
}

#[tokio::test]
async fn what_was_masked_is_masked_in_its_replay_whatever_happened_since() {
    let mut cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, psychiatric, .. } = mixed(&cluster).await;
    let (nurse, physician) =
        (cluster.client(0, "nurse").unwrap(), cluster.client(0, "physician").unwrap());
    let officer = cluster.client(0, "compliance-officer").unwrap();
    // One that is labelled late, so that what is masked was not when it was filed.
    let late = file(&physician, &patient, note("late", &[])).await;
    contribute(&physician, &patient, "TREAT", vec![labelled(&late, &["SDV"])]).await.unwrap();
    let mut shown: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for request in [whole(&patient, "TREAT"), then(&patient, "TREAT", 8)] {
        let (file, receipt) = page(&nurse, request).await;
        assert!(!seen(&file).1.is_empty());
        shown.insert(receipt, file.encode_to_vec());
    }
    let (events, receipt) = history(&nurse, &patient, "TREAT").await;
    let alone = v1::GetPatientHistoryResponse { events, ..<_>::default() };
    shown.insert(receipt, alone.encode_to_vec());
    let delivered = watch(&nurse, &patient, 8).await.message().await.unwrap().unwrap();
    assert!(is_masked(delivered.change.as_ref().unwrap(), &late));
    shown.insert(delivered.receipt, delivered.change.unwrap().encode_to_vec());
    let (open, receipt) = page(&physician, whole(&patient, "TREAT")).await;
    shown.insert(receipt, open.encode_to_vec());

    for id in [&psychiatric, &late] {
        contribute(&physician, &patient, "TREAT", vec![labelled(id, &[])]).await.expect("filed");
    }
    let opened = page(&nurse, whole(&patient, "TREAT")).await.0;
    assert_eq!(seen(&opened).1.len(), 1, "by now only the therapy note is masked");
    cluster.node_mut(0).stop().await.expect("stopped");
    let (store, _) = databases(cluster.node(0));
    store.drop_views().expect("dropped");
    store.close().expect("closed");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("it serves");

    for (receipt, bytes) in shown {
        let access = on_record(&officer, &receipt).await;
        let asked = v1::ReplayRequest { purpose: purpose("HCOMPL"), position: access.position };
        let again = officer.audit().replay(asked).await.expect("replayed").into_inner();
        assert!(again.answer.unwrap().value == bytes, "{access:?} was another");
        // The replay, too, is on record with what it masked, and is replayed.
        let replay = on_record(&officer, &again.receipt).await;
        assert_eq!(replay.masked, access.masked);
        let asked = v1::ReplayRequest { purpose: purpose("HCOMPL"), position: replay.position };
        let once_more = officer.audit().replay(asked).await.expect("replayed").into_inner();
        assert!(once_more.answer.unwrap().value == bytes);
    }
    let bodies = v1::ProveRequest {
        purpose: purpose("HCOMPL"),
        ledger: None,
        about: Some(v1::prove_request::About::PatientId(patient)),
        contents: true,
    };
    let mut evidence = officer.evidence().prove(bodies).await.expect("proved").into_inner();
    let mut all = String::new();
    while let Some(part) = evidence.message().await.expect("whole") {
        all.push_str(&format!("{part:?}"));
    }
    assert!(all.contains("all of psychiatric note") && !all.contains("EntryMasked"));
}
