//! What an access showed is shown again, byte for byte, whatever happened since.

mod documents;
mod emergencies;
mod formats;

use std::collections::BTreeMap;
use std::sync::Arc;

use api::v1;
use prost::Message;
use testkit::client::{Client, purpose, request_id};
use testkit::cluster::Cluster;
use tonic::{Code, Status};

use crate::tools::{databases, reason, some_notes};

/// Accesses that are remembered.
const ACCESSES: usize = 10_000;
/// Callers at once.
const CALLERS: usize = 16;
const PATIENTS: u32 = 12;

/// An answer as it was given: its type, and its bytes.
type Answer = (&'static str, Vec<u8>);
/// Answers by their receipts.
type Shown = BTreeMap<Vec<u8>, Answer>;

const FILE: &str = "caseledger.v1.PatientFile";
const HISTORY: &str = "caseledger.v1.GetPatientHistoryResponse";
const CHANGE: &str = "caseledger.v1.FiledEvent";
const FOUND: &str = "caseledger.v1.FindPatientResponse";
const TRAIL: &str = "caseledger.v1.ListAccessesResponse";
const TOLD: &str = "google.protobuf.StringValue";

/// Every answer is shown again, byte for byte.
async fn all_shown_again(officer: &Client, shown: &Shown) {
    let accesses = trail(officer).await;
    for (receipt, (kind, bytes)) in shown {
        let access = accesses.get(receipt).expect("every receipt is on the trail");
        let again = replay(officer, access.position).await;
        let again = again.unwrap_or_else(|status| panic!("{kind} {access:?}: {status}"));
        let answer = again.answer.expect("an answer");
        assert_eq!(answer.type_url, format!("type.googleapis.com/{kind}"));
        assert!(answer.value == *bytes, "{kind} of {access:?} is another");
    }
}

/// Numbers that look like chance and are the same every time (xorshift64*).
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = u32::try_from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32);
        drawn.unwrap_or_default() % end
    }

    fn once_in(&mut self, times: u32) -> bool {
        self.below(times) == 0
    }
}

/// One caller of the hospital, with what it was shown.
struct Caller {
    manager: Client,
    officer: Client,
    patients: Arc<Vec<String>>,
    chance: Chance,
    shown: Shown,
}

impl Caller {
    async fn look(&mut self) {
        let patient_id = self.patients[self.chance.below(PATIENTS) as usize].clone();
        match self.chance.below(20) {
            0..=8 => self.read(patient_id).await,
            9..=11 => self.history(patient_id).await,
            12..=13 => self.find().await,
            14 => self.trail(patient_id).await,
            15 => self.follow(patient_id).await,
            16 => self.again().await,
            17 => self.register_again().await,
            _ => self.file(patient_id).await,
        }
    }

    async fn read(&mut self, patient_id: String) {
        let chance = &mut self.chance;
        let kinds = match chance.below(3) {
            0 => vec![v1::Kind::Note.into()],
            1 => vec![v1::Kind::Observation.into(), v1::Kind::Note.into()],
            _ => Vec::new(),
        };
        let version = u64::from(1 + chance.below(4));
        let as_of = v1::get_patient_file_request::AsOf::Version(version);
        let mut request = v1::GetPatientFileRequest {
            patient_id,
            purpose: purpose("TREAT"),
            page_size: 1 + chance.below(9),
            include_retracted: chance.once_in(2),
            as_of: chance.once_in(3).then_some(as_of),
            kinds,
            ..v1::GetPatientFileRequest::default()
        };
        for _ in 0..2 {
            let page = self.manager.file().get_patient_file(request.clone()).await;
            let page = page.expect("a page").into_inner();
            self.shown.insert(page.receipt, (FILE, page.file.unwrap().encode_to_vec()));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
    }

    async fn history(&mut self, patient_id: String) {
        let request = v1::GetPatientHistoryRequest {
            patient_id,
            purpose: purpose("TREAT"),
            // sometimes beyond the end
            from_version: if self.chance.once_in(9) {
                1_000_000
            } else {
                self.chance.below(9).into()
            },
            page_size: 1 + self.chance.below(9),
            ..v1::GetPatientHistoryRequest::default()
        };
        let page = self.manager.file().get_patient_history(request).await.expect("a history");
        let page = page.into_inner();
        let alone = v1::GetPatientHistoryResponse { events: page.events, ..<_>::default() };
        self.shown.insert(page.receipt, (HISTORY, alone.encode_to_vec()));
    }

    async fn find(&mut self) {
        let request = v1::FindPatientRequest {
            issuer: "https://hospital.example/mrn".to_owned(),
            value: format!("MRN-{}", self.chance.below(PATIENTS)),
            purpose: purpose("TREAT"),
        };
        let found = self.manager.file().find_patient(request).await.expect("found").into_inner();
        let alone = v1::FindPatientResponse { patient_id: found.patient_id, ..<_>::default() };
        self.shown.insert(found.receipt, (FOUND, alone.encode_to_vec()));
    }

    async fn trail(&mut self, patient_id: String) {
        let mut request = v1::ListAccessesRequest {
            purpose: purpose("HCOMPL"),
            page_size: 1 + self.chance.below(9),
            ..v1::ListAccessesRequest::default()
        };
        match self.chance.below(3) {
            0 => request.patient_id = patient_id,
            1 => request.person = "case-manager-0".to_owned(),
            _ => {}
        }
        for _ in 0..2 {
            let page = self.officer.audit().list_accesses(request.clone()).await;
            let page = page.expect("a page of the trail").into_inner();
            let alone = v1::ListAccessesResponse { accesses: page.accesses, ..<_>::default() };
            self.shown.insert(page.receipt, (TRAIL, alone.encode_to_vec()));
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() {
                break;
            }
        }
    }

    async fn follow(&mut self, patient_id: String) {
        let from_version = self.chance.below(3).into();
        let request =
            v1::WatchPatientFileRequest { patient_id, purpose: purpose("TREAT"), from_version };
        let watch = self.manager.file().watch_patient_file(request).await.expect("a watch");
        let first = watch.into_inner().message().await.expect("no error").expect("a change");
        self.shown.insert(first.receipt, (CHANGE, first.change.unwrap().encode_to_vec()));
    }

    /// Has the newest access but a few replayed, whosever it was.
    async fn again(&mut self) {
        let request = v1::ListAccessesRequest {
            purpose: purpose("HCOMPL"),
            page_size: 5,
            ..v1::ListAccessesRequest::default()
        };
        let page = self.officer.audit().list_accesses(request).await.expect("the trail");
        let page = page.into_inner();
        let alone = v1::ListAccessesResponse { accesses: page.accesses, ..<_>::default() };
        let Some(one) = alone.accesses.last().map(|access| access.position) else { return };
        let shown = replay(&self.officer, one).await.expect("shown again");
        if let (Some(answer), Some(kind)) = (&shown.answer, shown.answer.as_ref().and_then(kind)) {
            self.shown.insert(shown.receipt.clone(), (kind, answer.value.clone()));
        }
        self.shown.insert(page.receipt, (TRAIL, alone.encode_to_vec()));
    }

    /// Files what is remarked on, what is not, and what is refused.
    async fn file(&mut self, patient_id: String) {
        let unit = if self.chance.once_in(2) { "mg/dL" } else { "mg/dl" };
        let entry = v1::AddEntry { entry: Some(glucose(unit)) };
        let observed = v1::Change { change: Some(v1::change::Change::AddEntry(entry)) };
        let request = v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("TREAT"),
            patient_id: patient_id.clone(),
            expected_version: None,
            changes: vec![observed, Client::note("seen on the round")],
        };
        let filed = self.manager.file().contribute(request).await.expect("filed").into_inner();
        assert_eq!(filed.receipt.is_empty(), filed.findings.is_empty());
        if !filed.receipt.is_empty() {
            let line = |one: &v1::Finding| {
                let place = one.field.rsplit_once("entry.").map_or("", |(_, place)| place);
                format!("{} {place}", one.code)
            };
            let told: Vec<_> = filed.findings.iter().map(line).collect();
            self.shown.insert(filed.receipt, (TOLD, told.join("\n").encode_to_vec()));
        }
        if self.chance.once_in(3) {
            let retract = v1::RetractEntry {
                entry_id: filed.entry_ids[1].clone(),
                reason: "slip".to_owned(),
            };
            let change = v1::change::Change::RetractEntry(retract);
            for _ in 0..2 {
                let request = v1::ContributeRequest {
                    request_id: request_id(),
                    purpose: purpose("TREAT"),
                    patient_id: patient_id.clone(),
                    expected_version: None,
                    changes: vec![v1::Change { change: Some(change.clone()) }],
                };
                // The second time it is refused: it is retracted already.
                let _ = self.manager.file().contribute(request).await;
            }
        }
    }

    /// Whose the number is that somebody else shall have.
    async fn register_again(&mut self) {
        let number = format!("MRN-{}", self.chance.below(PATIENTS));
        let found = self.manager.register(&number, "Somebody").await.expect("on file");
        assert!(found.existed);
        let alone = v1::FindPatientResponse { patient_id: found.patient_id, ..<_>::default() };
        self.shown.insert(found.receipt, (FOUND, alone.encode_to_vec()));
    }
}

/// With a unit that is UCUM, or that only looks so.
fn glucose(unit: &str) -> v1::Entry {
    let coding = v1::Coding {
        system: "http://loinc.org".to_owned(),
        code: "2345-7".to_owned(),
        ..v1::Coding::default()
    };
    let quantity = v1::Quantity {
        value: "95".to_owned(),
        system: "http://unitsofmeasure.org".to_owned(),
        code: unit.to_owned(),
        ..v1::Quantity::default()
    };
    let value = v1::observation_value::Value::Quantity(quantity);
    let value = Some(v1::ObservationValue { value: Some(value) });
    let observation = v1::Observation { value, ..v1::Observation::default() };
    v1::Entry {
        code: Some(v1::CodeableConcept { text: "Glucose".to_owned(), coding: vec![coding] }),
        status: "final".to_owned(),
        detail: Some(v1::entry::Detail::Observation(observation)),
        ..v1::Entry::default()
    }
}

fn kind(answer: &api::Any) -> Option<&'static str> {
    let name = answer.type_url.strip_prefix("type.googleapis.com/")?;
    [FILE, HISTORY, CHANGE, FOUND, TRAIL, TOLD].into_iter().find(|known| *known == name)
}

async fn replay(officer: &Client, position: u64) -> Result<v1::ReplayResponse, Status> {
    let asked = v1::ReplayRequest { purpose: purpose("HCOMPL"), position };
    Ok(officer.audit().replay(asked).await?.into_inner())
}

/// Everything on the trail, by receipt.
async fn trail(officer: &Client) -> BTreeMap<Vec<u8>, v1::Access> {
    let mut request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        page_size: 200,
        ..v1::ListAccessesRequest::default()
    };
    let mut trail = BTreeMap::new();
    loop {
        let page = officer.audit().list_accesses(request.clone()).await.expect("the trail");
        let page = page.into_inner();
        trail.extend(page.accesses.into_iter().map(|access| (access.hash.clone(), access)));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return trail;
        }
    }
}

/// Callers that look here and there, until so many answers are remembered.
async fn looked(cluster: &Cluster, patients: &Arc<Vec<String>>) -> Shown {
    let mut callers = tokio::task::JoinSet::new();
    for seed in 1..=CALLERS {
        let mut caller = Caller {
            manager: cluster.client(0, "case-manager").unwrap(),
            officer: cluster.client(0, "compliance-officer").unwrap(),
            patients: Arc::clone(patients),
            chance: Chance(seed as u64),
            shown: Shown::new(),
        };
        callers.spawn(async move {
            while caller.shown.len() < ACCESSES.div_ceil(CALLERS) {
                caller.look().await;
            }
            caller.shown
        });
    }
    let mut shown = Shown::new();
    while let Some(more) = callers.join_next().await {
        shown.extend(more.expect("a caller"));
    }
    shown
}

/// What was filed since, and a node that makes its views anew.
async fn all_is_changed(cluster: &mut Cluster, patients: &[String]) {
    let manager = cluster.client(0, "case-manager").unwrap();
    for patient in patients {
        some_notes(&manager, patient, 3).await;
        let identity =
            v1::Identity { birth_date: "1961-02-03".to_owned(), ..v1::Identity::default() };
        let mask = api::FieldMask { paths: vec!["birth_date".to_owned()] };
        let amend = v1::AmendIdentity {
            identity: Some(identity),
            update_mask: Some(mask),
            how: v1::Amendment::Amendment.into(),
            reason: "told".to_owned(),
        };
        let request = v1::ContributeRequest {
            request_id: request_id(),
            purpose: purpose("TREAT"),
            patient_id: patient.clone(),
            expected_version: None,
            changes: vec![v1::Change { change: Some(v1::change::Change::AmendIdentity(amend)) }],
        };
        manager.file().contribute(request).await.expect("amended");
    }
    cluster.agreed().await.expect("both nodes have all");
    cluster.node_mut(1).stop().await.expect("stopped");
    let (store, _) = databases(cluster.node(1));
    store.drop_views().expect("dropped");
    store.close().expect("closed");
    cluster.node_mut(1).spawn().expect("started");
    cluster.node(1).serving().await.expect("it serves");
}

#[tokio::test]
async fn ten_thousand_answers_are_shown_again_byte_for_byte_after_everything_changed() {
    let mut cluster = Cluster::start(2).await.expect("two nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let mut patients = Vec::new();
    for number in 0..PATIENTS {
        let patient = manager.register(&format!("MRN-{number}"), "Ames").await.unwrap();
        some_notes(&manager, &patient.patient_id, 5).await;
        patients.push(patient.patient_id);
    }
    let patients = Arc::new(patients);
    let shown = looked(&cluster, &patients).await;
    assert!(shown.len() >= ACCESSES);
    for kind in [FILE, HISTORY, CHANGE, FOUND, TRAIL, TOLD] {
        assert!(shown.values().any(|(shown, _)| *shown == kind), "{kind} was among them");
    }
    all_is_changed(&mut cluster, &patients).await;

    // On the other node, which made its views anew.
    let officer = cluster.client(1, "compliance-officer").unwrap();
    let trail = Arc::new(trail(&officer).await);
    let shown = Arc::new(shown);
    let mut checking = tokio::task::JoinSet::new();
    for part in 0..CALLERS {
        let (officer, trail, shown) = (officer.clone(), Arc::clone(&trail), Arc::clone(&shown));
        checking.spawn(async move {
            for (receipt, (kind, bytes)) in shown.iter().skip(part).step_by(CALLERS) {
                let access = trail.get(receipt).expect("every receipt is on the trail");
                let again = replay(&officer, access.position).await;
                let again = again.unwrap_or_else(|status| panic!("{kind} {access:?}: {status}"));
                let answer = again.answer.expect("an answer");
                assert_eq!(answer.type_url, format!("type.googleapis.com/{kind}"));
                assert!(answer.value == *bytes, "{kind} of {access:?} is another");
                assert_eq!(again.access.as_ref(), Some(access));
            }
        });
    }
    while let Some(checked) = checking.join_next().await {
        checked.expect("all as it was");
    }
}

#[tokio::test]
async fn what_showed_nothing_and_what_a_write_told_are_replayed_too_and_replays_are_on_record() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let biller = cluster.client(0, "billing").unwrap();
    biller.read_file(&patient, None).await.expect_err("billing reads no file");
    manager.read_file("0123456789abcdef0123456789abcdef", None).await.expect_err("nobody");
    let filed = manager.file_note(&patient, "seen", &request_id(), None).await.unwrap();
    let retract = v1::RetractEntry { entry_id: filed.entry_ids[0].clone(), reason: "slip".into() };
    let request = |id: String| v1::ContributeRequest {
        request_id: id,
        purpose: purpose("TREAT"),
        patient_id: patient.clone(),
        expected_version: None,
        changes: vec![v1::Change {
            change: Some(v1::change::Change::RetractEntry(retract.clone())),
        }],
    };
    manager.file().contribute(request(request_id())).await.expect("retracted");
    let again = manager.file().contribute(request(request_id())).await;
    let again = again.expect_err("retracted already");
    assert!(again.message().starts_with("changes[0]: "), "it says which change: {again}");

    let before = trail(&officer).await;
    let of = |operation: &str, outcome: &str| {
        let mut found = before
            .values()
            .filter(|one| one.operation.ends_with(operation) && one.outcome == outcome);
        let only = found.next().unwrap_or_else(|| panic!("no {operation} {outcome}")).clone();
        assert!(found.next().is_none(), "{operation} {outcome} is there once");
        only
    };
    for nothing in [of("GetPatientFile", "denied"), of("GetPatientFile", "not-found")] {
        let again = replay(&officer, nothing.position).await.expect("replayed");
        assert_eq!(again.answer, None, "nothing was shown");
    }
    let refused = of("Contribute", "refused");
    assert_eq!(refused.request.len(), 32, "what was to be filed does not stand in the trail");
    let again = replay(&officer, refused.position).await.expect("replayed");
    assert_eq!(again.answer.unwrap().value, "ENTRY_RETRACTED".to_owned().encode_to_vec());

    let beyond = replay(&officer, 1_000_000).await.expect_err("there is no such access");
    assert_eq!(beyond.code(), Code::NotFound);
    let control = replay(&officer, 1).await.expect_err("no access: a node was admitted");
    assert_eq!(control.code(), Code::NotFound);
    let auditor = cluster.client(0, "auditor").unwrap();
    let denied = replay(&auditor, refused.position).await.expect_err("contents are not theirs");
    assert_eq!(reason(&denied), "NOT_PERMITTED");

    let replays: Vec<_> = trail(&officer)
        .await
        .into_values()
        .filter(|access| access.operation == "AuditService/Replay")
        .collect();
    let ended = |outcome: &str| replays.iter().filter(|one| one.outcome == outcome).count();
    assert_eq!((ended("shown"), ended("not-found"), ended("denied")), (3, 2, 1));
    let about = replays.iter().filter(|access| access.patient_id == patient).count();
    assert_eq!(
        about, 3,
        "the denial of then, the refusal, and the denial of now are the patient's"
    );
    let told = replay(&officer, again.access.unwrap().position).await.expect("replayed");
    assert!(
        replays.iter().any(|one| one.answer_digest == told.access.as_ref().unwrap().answer_digest)
    );
}
