//! Policies that speak of units and of the time of day: what they would have changed, and that they hold.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use api::v1;
use api::v1::try_policy_request::Tried;
use testkit::client::Client;
use testkit::cluster::Cluster;

use super::{SHIPPED, adopt, bills, propose, tried};
use crate::relationships::{add, newest, practitioner_role, put, read, stay};

/// A zone in which clocks are never set, half an hour off the full ones.
const ZONE: &str = "Asia/Kolkata";
const AHEAD: u64 = 5 * 60 + 30;
const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
const A_DAY: u64 = 24 * 60;

/// Minutes since 1970 by the clocks there.
fn minutes_there() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs() / 60 + AHEAD
}

/// As access records tell it.
fn told(minutes: u64) -> String {
    let day = DAYS[usize::try_from(minutes / A_DAY % 7).expect("few")];
    format!("time:{day} {:02}:{:02}", minutes / 60 % 24, minutes % 60)
}

/// What holds from three hours before a time of day to three hours after it, also around midnight.
fn around(minutes: u64) -> String {
    let (from, to) = ((minutes + A_DAY - 180) % A_DAY, (minutes + 180) % A_DAY);
    let or = if from < to { "&&" } else { "||" };
    format!(
        "(context.timeOfDay >= duration(\"{from}m\") {or} context.timeOfDay < duration(\"{to}m\"))"
    )
}

/// Nurses read in their units at this time of the day, physicians twelve hours later, and billing reads how
/// files of its units came to be at this time.
fn ours(now: u64) -> String {
    let (here, later) = (around(now), around(now + A_DAY / 2));
    let day = DAYS.map(|day| format!("Caseledger::DayOfWeek::\"{day}\"")).join(", ");
    format!(
        r#"{SHIPPED}
@id("nurses-in-their-units")
forbid (principal in Caseledger::Role::"nurse", action in Caseledger::Action::"Read", resource)
unless {{ context.units.containsAny(principal.units) }};

@id("nurses-at-their-hours")
forbid (principal in Caseledger::Role::"nurse", action in Caseledger::Action::"Read", resource)
unless {{ {here} && context.dayOfWeek in [{day}] }};

@id("physicians-at-their-hours")
forbid (principal in Caseledger::Role::"physician", action in Caseledger::Action::"Read", resource)
unless {{ {later} }};

@id("billing-at-its-hours")
permit (
  principal in Caseledger::Role::"billing",
  action == Caseledger::Action::"GetPatientHistory",
  resource
)
when {{ {here} && context.units.containsAny(principal.units) }};
"#
    )
}

/// A hospital in that zone, still to be started.
async fn hospital() -> Cluster {
    let cluster = Cluster::found(1).await.expect("founded");
    let file = cluster.node(0).state.join("config.toml");
    let config = std::fs::read_to_string(&file).expect("written");
    let there = config.replacen("time_zone = \"UTC\"", &format!("time_zone = \"{ZONE}\""), 1);
    assert_ne!(config, there, "a new node's zone is UTC, and said");
    std::fs::write(&file, there).expect("written");
    cluster
}

/// Who works where: ann, pat and bill in 4-west, dora in none, but she is on call for 4-east.
async fn staff(cluster: &Cluster) {
    let it = cluster.client(0, "hospital-it").unwrap();
    for person in ["ann", "pat", "bill"] {
        let units = vec!["4-west".to_owned()];
        put(&it, v1::PractitionerRole { units, ..practitioner_role(person) }).await.expect("filed");
    }
    let (start, end) = ("2020-01-01T20:00:00+05:30".to_owned(), "2999-01-01T08:00:00Z".to_owned());
    let duties =
        vec![v1::Duty { unit: "4-east".to_owned(), period: Some(v1::Period { start, end }) }];
    put(&it, v1::PractitionerRole { duties, ..practitioner_role("dora") }).await.expect("filed");
}

/// Everybody looks at everybody; who was let in to whom.
async fn looks(cluster: &Cluster, patients: &[String; 2]) -> BTreeMap<(String, String), bool> {
    let mut ended = BTreeMap::new();
    for (role, person) in [
        ("nurse", "ann"),
        ("nurse", "ben"),
        ("nurse", "dora"),
        ("physician", "pat"),
        ("billing", "bill"),
    ] {
        let client = cluster.client_of(0, role, person).unwrap();
        for patient in patients {
            let answer = match role {
                "billing" => bills(&client, patient).await,
                _ => read(&client, patient, "TREAT").await.map(drop),
            };
            ended.insert((person.to_owned(), patient.clone()), answer.is_ok());
        }
    }
    ended
}

/// The circumstances of somebody's newest access to a patient, without the time, and the time.
async fn known(officer: &Client, patient: &str, person: &str) -> (Vec<String>, Option<String>) {
    let circumstances = newest(officer, patient, person).await.circumstances;
    let (mut times, others): (Vec<_>, Vec<_>) =
        circumstances.into_iter().partition(|one| one.starts_with("time:"));
    assert!(times.len() < 2, "{times:?}");
    (others, times.pop())
}

#[tokio::test]
async fn a_set_that_speaks_of_units_and_hours_does_what_a_trial_of_it_predicts() {
    let mut cluster = hospital().await;
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let registrar = cluster.client(0, "registrar").unwrap();
    let ames = registrar.register("MRN-1", "Ames").await.unwrap().patient_id;
    let boone = registrar.register("MRN-2", "Boone").await.unwrap().patient_id;
    add(&registrar, &ames, stay("4-west", Vec::new())).await;
    add(&registrar, &boone, stay("4-east", Vec::new())).await;
    staff(&cluster).await;
    let ada = cluster.client_of(0, "compliance-officer", "ada").unwrap();
    let bea = cluster.client_of(0, "compliance-officer", "bea").unwrap();
    cluster.agreed().await.expect("all of it is on the trail");

    let began = SystemTime::now();
    let patients = [ames.clone(), boone.clone()];
    let before = looks(&cluster, &patients).await;
    let seen = before.iter().map(|((person, _), let_in)| (person.as_str(), *let_in));
    assert!(seen.into_iter().all(|(person, let_in)| let_in == (person != "bill")), "{before:?}");
    let units = ["employed", "staff-unit:4-west", "unit:4-east"].map(ToOwned::to_owned).to_vec();
    assert_eq!(known(&ada, &boone, "ann").await, (units, None), "no policy asks the time");
    cluster.agreed().await.expect("all of it is on the trail");

    let text = ours(minutes_there());
    let proposed = propose(&ada, &text).await.expect("proposed");
    let policy = Tried::PolicyId(proposed.policy_id.clone());
    let predicted = tried(&bea, policy, (began, None), 100).await.expect("tried");
    let differ = predicted.accesses.iter().map(|one| {
        let call = one.call.as_ref().expect("a call");
        let allowed = call.change == i32::from(v1::PolicyChange::Allowed);
        (call.person.clone(), one.patient_id.clone(), allowed)
    });
    let of =
        |person: &str, patient: &str, allowed| (person.to_owned(), patient.to_owned(), allowed);
    let expected = BTreeSet::from([
        of("ann", &boone, false),
        of("ben", &ames, false),
        of("ben", &boone, false),
        of("dora", &ames, false),
        of("pat", &ames, false),
        of("pat", &boone, false),
        of("bill", &ames, true),
    ]);
    assert_eq!(BTreeSet::from_iter(differ), expected, "those and no other");
    assert_eq!((predicted.accesses.len(), predicted.ended.not_judged), (7, 0));

    adopt(&bea, &proposed.policy_id).await.expect("adopted by another");
    let from = minutes_there();
    let after = looks(&cluster, &patients).await;
    let changed = after.iter().filter(|(kind, let_in)| before[*kind] != **let_in);
    let changed = changed.map(|((person, patient), let_in)| of(person, patient, *let_in));
    assert_eq!(BTreeSet::from_iter(changed), expected, "just those");

    let times: Vec<_> = (from..=minutes_there()).map(told).collect();
    for (person, patient, circumstances) in [
        ("ann", &boone, &["employed", "staff-unit:4-west", "unit:4-east"][..]),
        ("dora", &boone, &["employed", "staff-unit:4-east", "unit:4-east"]),
        ("ben", &ames, &["unit:4-west"]),
    ] {
        let (known, time) = known(&ada, patient, person).await;
        assert_eq!(known, circumstances, "{person}");
        assert!(time.as_ref().is_some_and(|time| times.contains(time)), "{time:?} {times:?}");
    }
    let denied = newest(&ada, &boone, "ann").await.deciding_ids;
    assert_eq!(denied, ["nurses-in-their-units"], "it is her hour");
    let denied = newest(&ada, &ames, "pat").await.deciding_ids;
    assert_eq!(denied, ["physicians-at-their-hours"]);
}

#[tokio::test]
async fn a_node_that_is_admitted_is_in_the_zone_of_the_one_that_sponsors_it() {
    let mut cluster = hospital().await;
    let admitted = cluster.admit().expect("admitted");
    let config = std::fs::read_to_string(cluster.node(admitted).state.join("config.toml"));
    let config = config.expect("written");
    assert!(config.contains(&format!("\ntime_zone = \"{ZONE}\"\n")), "{config}");
}
