//! FHIR patients through the command line: every resource accounted for, and nothing filed twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use api::v1;
use serde_json::Value;
use testkit::client::{Client, Token, purpose, request_id};
use testkit::cluster::{Cluster, program, run};

/// What the command line imports; a note is FHIR's DocumentReference.
const KINDS: [&str; 13] = [
    "Patient",
    "Condition",
    "AllergyIntolerance",
    "MedicationRequest",
    "Procedure",
    "Observation",
    "Immunization",
    "Encounter",
    "DocumentReference",
    "CareTeam",
    "Consent",
    "ServiceRequest",
    "Task",
];

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The resources of a folder's bundles, as the files themselves have them.
fn resources(folder: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).expect("a folder") {
        let path = file.expect("a file").path();
        if path.extension().is_some_and(|ending| ending == "json") {
            let text = std::fs::read_to_string(path).expect("readable");
            let bundle: Value = serde_json::from_str(&text).expect("JSON");
            let entries = bundle["entry"].as_array().expect("a bundle").iter();
            found.extend(entries.map(|entry| entry["resource"].clone()));
        }
    }
    found
}

fn by_kind(resources: &[Value]) -> BTreeMap<&str, u64> {
    let mut counts = BTreeMap::new();
    for resource in resources {
        *counts.entry(resource["resourceType"].as_str().expect("a type")).or_default() += 1;
    }
    counts
}

/// `caseledger --json import fhir FOLDER`.
fn imported(cluster: &Cluster, folder: &Path) -> Value {
    let node = cluster.node(0);
    let token = Token::signed(&node.state, "case-manager", "importer").expect("a token");
    let output = run(Command::new(program("caseledger").expect("built"))
        .env("CASELEDGER_TOKEN", token.0)
        .args(["--server", &format!("http://{}", node.listen), "--json", "import", "fhir"])
        .arg(folder))
    .expect("imported");
    serde_json::from_str(&output).expect("JSON")
}

fn number(value: &Value, name: &str) -> u64 {
    value[name].as_u64().unwrap_or_default()
}

/// Every resource is in one column, and every refusal has a reason.
fn adds_up(report: &Value, there: &BTreeMap<&str, u64>) {
    for kind in KINDS {
        let row = &report["types"][kind];
        let ended: u64 =
            ["filed", "amended", "unchanged", "refused"].iter().map(|end| number(row, end)).sum();
        let there = there.get(kind).copied().unwrap_or_default();
        assert_eq!((number(row, "read"), ended), (there, there), "{kind}: {row}");
    }
    let refusals = report["refusals"].as_array().expect("refusals");
    let listed = refusals.len() as u64 + number(report, "refusals_not_listed");
    assert_eq!(listed, number(&report["total"], "refused"));
    for refusal in refusals {
        let reason = refusal["reason"].as_str().unwrap_or_default();
        assert!(reason.starts_with("INVALID_ARGUMENT"), "not about the resource: {refusal}");
        assert!(refusal["message"].as_str().is_some_and(|text| !text.is_empty()), "{refusal}");
    }
}

/// Imports a folder twice: everything is accounted for, the second time nothing is filed.
async fn twice(cluster: &Cluster, folder: &Path) -> Value {
    let resources = resources(folder);
    let there = by_kind(&resources);
    let first = imported(cluster, folder);
    adds_up(&first, &there);
    assert_eq!(number(&first["total"], "unchanged"), 0, "nothing was there before");
    let records = cluster.agreed().await.unwrap().swap_remove(0);
    assert_eq!(number(&first, "position"), records.size);
    let again = imported(cluster, folder);
    adds_up(&again, &there);
    let (before, total) = (&first["total"], &again["total"]);
    assert_eq!(number(total, "unchanged"), number(before, "filed"));
    assert_eq!(number(total, "refused"), number(before, "refused"));
    assert_eq!(number(&again, "position"), records.size, "the answers say what they reflect");
    let after = cluster.agreed().await.unwrap().swap_remove(0);
    assert_eq!((after.size, after.root), (records.size, records.root), "nothing is filed again");
    first
}

/// Every entry of the patient with this number.
async fn entries(client: &Client, value: &str) -> Vec<v1::EntryState> {
    let find = v1::FindPatientRequest {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: value.to_owned(),
        purpose: purpose("TREAT"),
    };
    let patient_id = client.file().find_patient(find).await.expect("found").into_inner().patient_id;
    let mut entries = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = v1::GetPatientFileRequest {
            patient_id: patient_id.clone(),
            purpose: purpose("TREAT"),
            page_token,
            ..v1::GetPatientFileRequest::default()
        };
        let page = client.file().get_patient_file(request).await.expect("a page").into_inner();
        entries.extend(page.file.expect("the file").entries);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return entries;
        }
    }
}

#[tokio::test]
async fn the_samples_are_on_file_after_one_import_and_the_same_after_two() {
    let cluster = Cluster::start(1).await.expect("a node");
    let samples = repository().join("deploy/samples");
    let report = twice(&cluster, &samples).await;
    assert!(number(&report["types"]["Patient"], "filed") >= 12, "at least twelve people");

    let text = std::fs::read_to_string(samples.join("siobhan-ni-dhonnchadha.json")).unwrap();
    let bundle: Value = serde_json::from_str(&text).unwrap();
    let sent = bundle["entry"].as_array().unwrap().iter();
    let sent = sent.filter(|entry| {
        let kind = entry["resource"]["resourceType"].as_str().unwrap();
        kind != "Patient" && KINDS.contains(&kind)
    });
    let client = cluster.client(0, "case-manager").unwrap();
    let on_file = entries(&client, "MRN-100482").await;
    assert_eq!(on_file.len(), sent.count(), "each resource is an entry");
    assert!(on_file.iter().all(|state| state.revision == 1 && !state.retracted));
}

/// A corpus that is too large for the repository, where there is one.
#[tokio::test]
async fn a_corpus_is_on_file_after_one_import_and_the_same_after_two() {
    let Some(corpus) = testkit::shared::folder("data/synthea") else { return };
    let cluster = Cluster::start(1).await.expect("a node");
    let report = twice(&cluster, &corpus).await;
    assert_eq!(number(&report["types"]["Patient"], "filed"), 48, "all patients");
}

pub(crate) fn item(number: u64, content: Option<v1::import_item::Content>) -> v1::ImportItem {
    let mrn = v1::PatientNumber {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: "MRN-1".to_owned(),
    };
    v1::ImportItem {
        number,
        source: Some(v1::SourceId { system: "urn:ward".to_owned(), value: number.to_string() }),
        patient: Some(v1::PatientSelector {
            patient: Some(v1::patient_selector::Patient::Number(mrn)),
        }),
        content,
        ..v1::ImportItem::default()
    }
}

pub(crate) fn entry(date: &str) -> Option<v1::import_item::Content> {
    let entry = v1::Entry {
        status: "active".to_owned(),
        code: Some(v1::CodeableConcept { text: "Cough".to_owned(), coding: Vec::new() }),
        effective: Some(v1::Effective { value: Some(v1::effective::Value::At(date.to_owned())) }),
        detail: Some(v1::entry::Detail::Condition(v1::Condition::default())),
        ..v1::Entry::default()
    };
    Some(v1::import_item::Content::Entry(Box::new(entry)))
}

fn identity() -> Option<v1::import_item::Content> {
    let identity = v1::Identity {
        identifiers: vec![v1::Identifier {
            issuer: "https://hospital.example/mrn".to_owned(),
            value: "MRN-1".to_owned(),
            ..v1::Identifier::default()
        }],
        names: vec![v1::HumanName { family: "Ames".to_owned(), ..v1::HumanName::default() }],
        ..v1::Identity::default()
    };
    Some(v1::import_item::Content::Identity(Box::new(identity)))
}

pub(crate) async fn results(
    client: &Client,
    items: Vec<v1::ImportItem>,
) -> BTreeMap<u64, v1::ImportResult> {
    results_of(client, items.into_iter().map(|item| vec![item])).await
}

/// The same of items that come together in messages.
async fn results_of(
    client: &Client,
    messages: impl Iterator<Item = Vec<v1::ImportItem>>,
) -> BTreeMap<u64, v1::ImportResult> {
    let first = v1::ImportRequest { purpose: purpose("RECORDMGT"), items: Vec::new() };
    let rest = messages.map(|items| v1::ImportRequest { purpose: None, items });
    let requests: Vec<_> = [first].into_iter().chain(rest).collect();
    let answers = client.import().import(tokio_stream::iter(requests)).await.expect("begun");
    let mut answers = answers.into_inner();
    let mut results = BTreeMap::new();
    while let Some(answer) = answers.message().await.expect("no item ends the stream") {
        let told = answer.results.iter().any(|result| {
            matches!(result.status(), v1::ImportStatus::Unchanged | v1::ImportStatus::Amended)
        });
        assert!(!told || answer.receipt.len() == 32, "what was on file is a showing: {answer:?}");
        for result in answer.results {
            assert!(results.insert(result.number, result).is_none(), "one result an item");
        }
    }
    results
}

#[tokio::test]
async fn a_bad_item_never_ends_the_stream() {
    use v1::ImportStatus::{Filed, Refused, Unchanged};
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let mut unknown = item(7, entry("2019"));
    let number = v1::PatientNumber { issuer: "urn:x".to_owned(), value: "none".to_owned() };
    let patient = Some(v1::patient_selector::Patient::Number(number));
    unknown.patient = Some(v1::PatientSelector { patient });
    let items = vec![
        item(1, identity()),
        item(2, entry("2019")),
        item(3, entry("0000-13-45")),
        item(4, None),
        v1::ImportItem { source: None, ..item(5, entry("2019")) },
        v1::ImportItem { patient: None, ..item(6, entry("2019")) },
        unknown,
        item(8, entry("2020-02")),
    ];
    let told = results(&client, items.clone()).await;
    let ends: Vec<_> = told.values().map(v1::ImportResult::status).collect();
    assert_eq!(ends, [Filed, Filed, Refused, Refused, Refused, Refused, Refused, Filed]);
    let field = |number: u64| told[&number].violations[0].field.as_str();
    assert_eq!(field(3), "entry.effective.at");
    assert_eq!((field(5), field(6)), ("source", "patient"));
    assert_eq!(told[&7].reason, "PATIENT_UNKNOWN");
    assert!(told.values().all(|result| !result.retryable));

    let again = results(&client, items).await;
    let ends: Vec<_> = again.values().map(v1::ImportResult::status).collect();
    assert_eq!(
        ends,
        [Unchanged, Unchanged, Refused, Refused, Refused, Refused, Refused, Unchanged]
    );
    assert_eq!(again[&2].entry_id, told[&2].entry_id);
}

/// Files one change made by hand.
async fn by_hand(client: &Client, patient_id: &str, change: v1::change::Change) {
    let request = v1::ContributeRequest {
        request_id: request_id(),
        purpose: purpose("TREAT"),
        patient_id: patient_id.to_owned(),
        expected_version: None,
        changes: vec![v1::Change { change: Some(change) }],
    };
    client.file().contribute(request).await.expect("filed");
}

#[tokio::test]
async fn what_was_changed_by_hand_survives_the_same_import() {
    use v1::ImportStatus::{Amended, Filed, Refused, Unchanged};
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let items = || vec![item(1, identity()), item(2, entry("2019"))];
    let told = results(&client, items()).await;
    assert!(told.values().all(|result| result.status() == Filed), "{told:?}");
    let (patient_id, entry_id) = (told[&2].patient_id.clone(), told[&2].entry_id.clone());
    let mask = |name: &str| Some(api::FieldMask { paths: vec![name.to_owned()] });
    let alias = v1::Identity { alias: "Ada".to_owned(), ..v1::Identity::default() };
    let identity_by_hand = v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(alias),
        update_mask: mask("alias"),
        how: v1::Amendment::Amendment.into(),
        reason: "asked".to_owned(),
    });
    by_hand(&client, &patient_id, identity_by_hand).await;
    let entry_by_hand = v1::change::Change::AmendEntry(v1::AmendEntry {
        entry_id: entry_id.clone(),
        entry: Some(v1::Entry { status: "resolved".to_owned(), ..v1::Entry::default() }),
        update_mask: mask("status"),
        how: v1::Amendment::Amendment.into(),
        reason: "seen".to_owned(),
    });
    by_hand(&client, &patient_id, entry_by_hand).await;
    let states = || entries(&client, "MRN-1");
    let told = results(&client, items()).await;
    assert!(told.values().all(|result| result.status() == Unchanged), "{told:?}");
    let standing = states().await.remove(0);
    assert_eq!((standing.revision, standing.entry.unwrap().status), (2, "resolved".to_owned()));
    let file = client.read_file(&patient_id, None).await.unwrap().file.unwrap();
    assert_eq!(file.identity.unwrap().alias, "Ada");

    let changed = || vec![item(2, entry("2020"))];
    assert_eq!(results(&client, changed()).await[&2].status(), Amended);
    assert_eq!(results(&client, changed()).await[&2].status(), Unchanged);
    let retraction = v1::RetractEntry { entry_id, reason: "wrong patient".to_owned() };
    by_hand(&client, &patient_id, v1::change::Change::RetractEntry(retraction)).await;
    assert_eq!(results(&client, changed()).await[&2].status(), Unchanged);
    let refused = results(&client, vec![item(2, entry("2021"))]).await.remove(&2).expect("told");
    let told = (refused.status(), refused.reason.as_str(), refused.violations.len());
    assert_eq!(told, (Refused, "ENTRY_RETRACTED", 0), "there is no field to correct");
    assert!(states().await.is_empty(), "it stays retracted");
}

fn born(date: &str) -> v1::ImportItem {
    let Some(v1::import_item::Content::Identity(mut identity)) = identity() else { unreachable!() };
    date.clone_into(&mut identity.birth_date);
    item(1, Some(v1::import_item::Content::Identity(identity)))
}

/// A correction that leaves a patient this hospital number and no other.
fn number_corrected(value: &str) -> v1::change::Change {
    let number = v1::Identifier {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: value.to_owned(),
        ..v1::Identifier::default()
    };
    v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(v1::Identity { identifiers: vec![number], ..v1::Identity::default() }),
        update_mask: Some(api::FieldMask { paths: vec!["identifiers".to_owned()] }),
        how: v1::Amendment::Correction.into(),
        reason: "mistyped".to_owned(),
    })
}

#[tokio::test]
async fn an_identity_goes_back_to_what_it_was_and_follows_its_number() {
    use v1::ImportStatus::{Amended, Filed, Unchanged};
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let told = async |date| results(&client, vec![born(date)]).await.remove(&1).expect("a result");
    let patient_id = told("1990").await.patient_id;
    for (date, status) in
        [("1990", Unchanged), ("1991", Amended), ("1990", Amended), ("1990", Unchanged)]
    {
        let told = told(date).await;
        assert_eq!((told.status(), &told.patient_id), (status, &patient_id), "{date}");
        let file = client.read_file(&patient_id, None).await.unwrap().file.unwrap();
        assert_eq!(file.identity.unwrap().birth_date, date);
    }
    // The number was another patient's: a correction gives it back.
    let corrected = number_corrected("MRN-2");
    by_hand(&client, &patient_id, corrected).await;
    let new = told("1990").await;
    assert_eq!(new.status(), Filed);
    assert_ne!(new.patient_id, patient_id, "whoever has the number now");
    let again = told("1990").await;
    assert_eq!((again.status(), again.patient_id), (Unchanged, new.patient_id));
}

/// An identity with this medical record number and a family's account, from a source of its own.
fn spouse(number: u64, record: &str, name: &str) -> v1::ImportItem {
    let mut identifiers = vec![v1::Identifier {
        issuer: "https://hospital.example/account".to_owned(),
        value: "7".to_owned(),
        ..v1::Identifier::default()
    }];
    identifiers.push(v1::Identifier {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: record.to_owned(),
        kind: Some(v1::CodeableConcept {
            coding: vec![v1::Coding {
                system: "http://terminology.hl7.org/CodeSystem/v2-0203".to_owned(),
                code: "MR".to_owned(),
                ..v1::Coding::default()
            }],
            text: String::new(),
        }),
        ..v1::Identifier::default()
    });
    let names = vec![v1::HumanName { family: name.to_owned(), ..v1::HumanName::default() }];
    let identity = v1::Identity { identifiers, names, ..v1::Identity::default() };
    let mut item = item(number, Some(v1::import_item::Content::Identity(Box::new(identity))));
    let patient = v1::patient_selector::Patient::Number(v1::PatientNumber {
        issuer: "https://hospital.example/mrn".to_owned(),
        value: record.to_owned(),
    });
    item.patient = Some(v1::PatientSelector { patient: Some(patient) });
    item
}

#[tokio::test]
async fn who_shares_another_number_is_not_taken_for_who_is_on_file() {
    use v1::ImportStatus::{Amended, Filed, Refused};
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let told = async |item: v1::ImportItem| {
        let number = item.number;
        results(&client, vec![item]).await.remove(&number).expect("a result")
    };
    let one = told(spouse(1, "MRN-1", "Ames")).await;
    assert_eq!(one.status(), Filed);
    let other = told(spouse(2, "MRN-2", "Brown")).await;
    assert_eq!((other.status(), other.reason.as_str()), (Refused, "IDENTIFIERS_DISAGREE"));
    assert_eq!(other.patient_id, "", "it names nobody");
    let file = client.read_file(&one.patient_id, None).await.unwrap().file.unwrap();
    assert_eq!(file.identity.unwrap().names[0].family, "Ames");
    // Its own source may correct the number, and the first one still names the patient.
    for (source, record) in [(1, "MRN-3"), (4, "MRN-1")] {
        let corrected = told(spouse(source, record, "Ames")).await;
        assert_eq!((corrected.status(), &corrected.patient_id), (Amended, &one.patient_id));
    }
}

/// The same, of a source that does not say what kind of numbers they are.
fn untyped(number: u64, record: &str, of: impl FnOnce(&mut v1::Identity)) -> v1::ImportItem {
    let mut item = spouse(number, record, "Ames");
    if let Some(v1::import_item::Content::Identity(identity)) = &mut item.content {
        identity.identifiers.iter_mut().for_each(|identifier| identifier.kind = None);
        of(identity);
    }
    item
}

#[tokio::test]
async fn an_identity_that_filed_nothing_leads_no_entries_to_who_shares_a_number() {
    use v1::ImportStatus::{Refused, Unchanged};
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let ames = || {
        untyped(1, "MRN-1", |identity| {
            let value = Some(v1::deceased::Value::At("1980".to_owned()));
            identity.deceased = Some(v1::Deceased { value });
        })
    };
    let patient_id = results(&client, vec![ames()]).await.remove(&1).expect("told").patient_id;
    // Found by the account alone, and born after whose it is died.
    let brown = untyped(2, "MRN-2", |identity| "1990".clone_into(&mut identity.birth_date));
    let mut of_brown = item(3, entry("2019"));
    of_brown.patient = brown.patient.clone();
    let told = results(&client, vec![brown, of_brown.clone()]).await;
    let (identity, of_brown) = (&told[&2], &told[&3]);
    assert_eq!((identity.status(), identity.patient_id.as_str()), (Refused, ""), "{identity:?}");
    assert!(identity.violations[0].field.contains("deceased"), "{identity:?}");
    assert_eq!((of_brown.status(), of_brown.reason.as_str()), (Refused, "PATIENT_UNKNOWN"));
    assert!(entries(&client, "MRN-1").await.is_empty(), "nothing of another person");

    // The number goes, the account stays: the identity is the same, and its number nobody's.
    let number = |issuer: &str, value: &str| v1::Identifier {
        issuer: format!("https://hospital.example/{issuer}"),
        value: value.to_owned(),
        ..v1::Identifier::default()
    };
    let identifiers = vec![number("account", "7"), number("mrn", "MRN-9")];
    let corrected = v1::change::Change::AmendIdentity(v1::AmendIdentity {
        identity: Some(v1::Identity { identifiers, ..v1::Identity::default() }),
        update_mask: Some(api::FieldMask { paths: vec!["identifiers".to_owned()] }),
        how: v1::Amendment::Correction.into(),
        reason: "mistyped".to_owned(),
    });
    by_hand(&client, &patient_id, corrected).await;
    let told = results(&client, vec![ames(), item(4, entry("2020"))]).await;
    assert_eq!(told[&1].status(), Unchanged, "{:?}", told[&1]);
    assert_eq!(told[&4].reason, "PATIENT_UNKNOWN");
}

#[tokio::test]
async fn entries_follow_a_number_that_is_corrected_while_their_stream_lasts() {
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let (items, outgoing) = tokio::sync::mpsc::channel(1);
    let first = v1::ImportRequest { purpose: purpose("RECORDMGT"), items: Vec::new() };
    items.send(first).await.expect("sent");
    let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
    let mut answers = client.import().import(outgoing).await.expect("begun").into_inner();
    let mut told = async |item| {
        let message = v1::ImportRequest { purpose: None, items: vec![item] };
        items.send(message).await.expect("sent");
        let answer = answers.message().await.expect("an answer").expect("it goes on");
        answer.results.into_iter().next().expect("a result").patient_id
    };
    let mistaken = told(item(1, identity())).await;
    assert_eq!(told(item(2, entry("2019"))).await, mistaken);
    by_hand(&client, &mistaken, number_corrected("MRN-2")).await;
    let owner = client.register("MRN-1", "Brown").await.expect("registered anew").patient_id;
    assert_ne!(owner, mistaken);
    assert_eq!(told(item(3, entry("2020"))).await, owner, "whoever has the number now");
    assert_eq!(told(item(4, entry("2021"))).await, owner, "and goes on having it");
}

#[tokio::test]
async fn two_imports_of_one_patient_at_once_end_in_one_file() {
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let sent = || results(&client, vec![born("1990"), item(2, entry("2019"))]);
    let (one, other) = tokio::join!(sent(), sent());
    assert_eq!(one[&1].patient_id, other[&1].patient_id);
    let statuses = [one[&1].status(), other[&1].status()];
    assert!(statuses.contains(&v1::ImportStatus::Filed), "{statuses:?}");
    assert!(statuses.contains(&v1::ImportStatus::Unchanged), "{statuses:?}");
}

/// A panel of thirty results in a unit that is none: it is filed with more remarks than it has text.
fn panel() -> Option<v1::import_item::Content> {
    let quantity = v1::Quantity {
        value: "1".to_owned(),
        system: "http://unitsofmeasure.org".to_owned(),
        code: "x".repeat(40),
        ..v1::Quantity::default()
    };
    let words =
        |text: &str| Some(v1::CodeableConcept { text: text.to_owned(), coding: Vec::new() });
    let value = v1::observation_value::Value::Quantity(quantity);
    let component = v1::ObservationComponent {
        code: words("part"),
        value: Some(v1::ObservationValue { value: Some(value) }),
        ..v1::ObservationComponent::default()
    };
    let component = vec![component; 30];
    let entry = v1::Entry {
        status: "final".to_owned(),
        code: words("panel"),
        detail: Some(v1::entry::Detail::Observation(v1::Observation {
            component,
            ..v1::Observation::default()
        })),
        ..v1::Entry::default()
    };
    Some(v1::import_item::Content::Entry(Box::new(entry)))
}

#[tokio::test]
async fn what_is_too_large_for_one_contribution_is_filed_in_several() {
    let cluster = Cluster::start(1).await.expect("a node");
    let client = cluster.client(0, "case-manager").unwrap();
    let panels = (2..142).map(|number| item(number, panel()));
    let sent: Vec<_> = [item(1, identity())].into_iter().chain(panels).collect();
    for status in [v1::ImportStatus::Filed, v1::ImportStatus::Unchanged] {
        let told = results_of(&client, [sent.clone()].into_iter()).await;
        assert_eq!(told.len(), 141);
        let other = told.values().find(|result| result.status() != status);
        assert!(other.is_none(), "{other:?}");
    }
}
