//! What a trial of access policies says of masking is what their adoption changes.

use std::collections::BTreeMap;
use std::time::SystemTime;

use api::v1;
use api::v1::try_policy_request::Tried;
use testkit::client::Client;
use testkit::cluster::Cluster;
use tonic::Code;

use super::{
    Mixed, condition, contribute, file, history, labelled, mixed, note, on_record, page, then,
    watch, whole,
};
use crate::policies::{SHIPPED, adopt, propose, tried};
use crate::tools::reason;

/// What this hospital wants otherwise: more masked for some, less for others.
const OURS: &str = r#"
@id("nurses-see-no-conditions")
forbid (
  principal in Caseledger::Role::"nurse",
  action == Caseledger::Action::"SeeEntry",
  resource
)
when { resource.kind == "condition" };

@id("billing-sees-notes")
permit (
  principal in Caseledger::Role::"billing",
  action == Caseledger::Action::"SeeEntry",
  resource
)
when { resource.kind == "note" };

@id("registrars-see-conditions")
permit (
  principal in Caseledger::Role::"registrar",
  action == Caseledger::Action::"SeeEntry",
  resource
)
when { resource.kind == "condition" };

@id("billing-sees-no-encounters")
forbid (
  principal in Caseledger::Role::"billing",
  action == Caseledger::Action::"SeeEntry",
  resource
)
when { resource.kind == "encounter" };

@id("managers-see-no-psychiatry")
forbid (
  principal in Caseledger::Role::"case-manager",
  action == Caseledger::Action::"SeeEntry",
  resource in Caseledger::Label::"PSY"
);
"#;

/// Who reads for what.
const READERS: [(&str, &str); 6] = [
    ("physician", "TREAT"),
    ("nurse", "TREAT"),
    ("case-manager", "CAREMGT"),
    ("case-manager", "HPAYMT"),
    ("registrar", "PATADMIN"),
    ("billing", "HPAYMT"),
];

/// What was filed from the early version on, one delivery of a watch each.
const WATCHED: [&str; 3] = ["the early change", "its new label", "the last change"];

/// Reads pages, the history and a watch; the access record of each reading, by who read what.
async fn readings(
    cluster: &Cluster,
    patient: &str,
    early: u64,
) -> BTreeMap<(usize, &'static str), v1::Access> {
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let mut readings = BTreeMap::new();
    for (index, (role, code)) in READERS.into_iter().enumerate() {
        let client = cluster.client(0, role).unwrap();
        let notes = v1::GetPatientFileRequest {
            kinds: vec![v1::Kind::Note.into()],
            ..whole(patient, code)
        };
        let pages = [
            ("page", whole(patient, code)),
            ("notes", notes),
            ("short page", v1::GetPatientFileRequest { page_size: 2, ..whole(patient, code) }),
            ("page of then", then(patient, code, early)),
        ];
        let mut receipts = Vec::new();
        for (what, request) in pages {
            receipts.push((what, page(&client, request).await.1));
        }
        if !["billing", "registrar"].contains(&role) {
            receipts.push(("history", history(&client, patient, code).await.1));
        }
        if code == "TREAT" {
            let mut watch = watch(&client, patient, early).await;
            for what in WATCHED {
                let next = watch.message().await.expect("no error").expect("not ended");
                assert!(next.change.is_some(), "all of it is on file already");
                receipts.push((what, next.receipt));
            }
        }
        for (what, receipt) in receipts {
            readings.insert((index, what), on_record(&officer, &receipt).await);
        }
    }
    readings
}

/// What an answer masks now and did not, and what it does not any more.
type Otherwise = (v1::PolicyChange, Vec<String>, Vec<String>);

/// How an answer came to mask otherwise, if it did.
fn otherwise(before: &v1::Access, after: &v1::Access) -> Option<Otherwise> {
    let without = |some: &v1::Access, others: &v1::Access| {
        let mut names = some.masked.clone();
        names.retain(|name| !others.masked.contains(name));
        names
    };
    let (more, less) = (without(after, before), without(before, after));
    let change = match (more.is_empty(), less.is_empty()) {
        (true, true) => return None,
        (false, true) => v1::PolicyChange::Masked,
        (true, false) => v1::PolicyChange::Unmasked,
        (false, false) => v1::PolicyChange::MaskedOtherwise,
    };
    Some((change, more, less))
}

/// Files conditions and notes until a condition's id is before a note's: entries are looked at in the order
/// of their ids, and the condition alone will be opened.
async fn one_of_each(client: &Client, patient: &str) -> [String; 2] {
    let (mut conditions, mut notes) = (Vec::new(), Vec::new());
    loop {
        conditions.push(file(client, patient, condition("hay fever", &[])).await);
        notes.push(file(client, patient, note("seen", &[])).await);
        if let (Some(first), Some(last)) = (conditions.iter().min(), notes.iter().max())
            && first < last
        {
            return [first.clone(), last.clone()];
        }
    }
}

#[tokio::test]
async fn what_a_trial_says_would_be_masked_is_masked_after_adoption_and_nothing_else() {
    let cluster = Cluster::start(1).await.expect("a node");
    let Mixed { patient, .. } = mixed(&cluster).await;
    let physician = cluster.client(0, "physician").unwrap();
    let both = one_of_each(&physician, &patient).await;
    let late = file(&physician, &patient, condition("melancholy", &[])).await;
    let early = page(&physician, whole(&patient, "TREAT")).await.0.version;
    // Labelled late: what it was before is masked by that, too.
    let relabelled = vec![labelled(&late, &["PSY"])];
    contribute(&physician, &patient, "TREAT", relabelled).await.expect("labelled");
    let registrar = cluster.client(0, "registrar").unwrap();
    let asthma = file(&physician, &patient, condition("hay fever", &[])).await;
    cluster.agreed().await.expect("all of it is on the trail");

    let began = SystemTime::now();
    let before = readings(&cluster, &patient, early).await;
    let amendment = || vec![labelled(&asthma, &["N"])];
    let denied = contribute(&registrar, &patient, "PATADMIN", amendment()).await;
    let denied = denied.expect_err("it is masked");
    assert_eq!((denied.code(), reason(&denied).as_str()), (Code::PermissionDenied, "ENTRY_MASKED"));
    // One of them stays hidden.
    let of_both = || both.iter().map(|id| labelled(id, &["N"])).collect();
    let denied = contribute(&registrar, &patient, "PATADMIN", of_both()).await;
    assert_eq!(reason(&denied.expect_err("both are masked")), "ENTRY_MASKED");
    cluster.agreed().await.expect("all of it is on the trail");
    let ended = SystemTime::now();

    let officer = |person| cluster.client_of(0, "compliance-officer", person).unwrap();
    let (ada, ben) = (officer("ada"), officer("ben"));
    let text = format!("{SHIPPED}{OURS}");
    let proposed = propose(&ada, &text).await.expect("proposed");
    let policy = Tried::PolicyId(proposed.policy_id.clone());
    let told = tried(&ben, policy, (began, Some(ended)), 10_000).await.expect("tried");
    adopt(&ben, &proposed.policy_id).await.expect("adopted by another");
    let after = readings(&cluster, &patient, early).await;
    contribute(&registrar, &patient, "PATADMIN", amendment()).await.expect("it is seen now");
    let denied = contribute(&registrar, &patient, "PATADMIN", of_both()).await;
    assert_eq!(reason(&denied.expect_err("the note is masked")), "ENTRY_MASKED");

    let mut predicted: BTreeMap<u64, Otherwise> = BTreeMap::new();
    let mut let_in = 0;
    for one in &told.accesses {
        let call = one.call.as_ref().expect("a call");
        if call.change() == v1::PolicyChange::Allowed {
            assert_eq!(call.operation, "PatientFileService/Contribute");
            let_in += 1;
            continue;
        }
        let otherwise = (call.change(), one.masked.clone(), one.unmasked.clone());
        assert!(predicted.insert(one.position, otherwise).is_none(), "each once");
    }
    assert_eq!(let_in, 1, "the change that was denied for what it would change");
    let happened: BTreeMap<u64, Otherwise> = before
        .iter()
        .filter_map(|(what, access)| Some((access.position, otherwise(access, &after[what])?)))
        .collect();
    assert_eq!(predicted, happened, "predicted on the left");
    let more = happened.values().filter(|(_, more, _)| !more.is_empty()).count() as u64;
    let less = happened.values().filter(|(_, _, less)| !less.is_empty()).count() as u64;
    let both = happened.values().filter(|one| one.0 == v1::PolicyChange::MaskedOtherwise).count();
    let all = happened.len() as u64;
    assert!(more >= 6 && less >= 6 && both >= 2 && all < before.len() as u64, "{happened:?}");
    let sums = &told.ended;
    assert_eq!((sums.would_be_masked, sums.would_be_unmasked), (more, less), "{sums:?}");
    assert_eq!((sums.would_be_denied, sums.would_be_allowed, sums.not_judged), (0, 1, 0));
}
