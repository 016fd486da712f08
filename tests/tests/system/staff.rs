//! The staff directory: who keeps it, and what it closes.

use std::process::Command;

use api::v1;
use testkit::client::{Client, Token, purpose, request_id};
use testkit::cluster::{Cluster, program, run};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::relationships::{newest, practitioner_role, put, read};
use crate::tools::reason;

fn because(code: &str) -> Option<v1::Purpose> {
    Some(v1::Purpose { purpose_of_use: code.to_owned(), reason: "as told".to_owned() })
}

pub(crate) async fn link(client: &Client, person: &str, patient_id: &str) -> Result<(), Status> {
    let request = v1::LinkOwnFileRequest {
        request_id: request_id(),
        purpose: because("HCOMPL"),
        person: person.to_owned(),
        patient_id: patient_id.to_owned(),
    };
    client.staff().link_own_file(request).await.map(drop)
}

async fn own_file(client: &Client, person: &str) -> Result<String, Status> {
    let request = v1::GetOwnFileRequest { purpose: purpose("HCOMPL"), person: person.to_owned() };
    Ok(client.staff().get_own_file(request).await?.into_inner().patient_id)
}

pub(crate) async fn get(
    client: &Client,
    person: &str,
) -> Result<v1::PractitionerRoleState, Status> {
    let request =
        v1::GetPractitionerRoleRequest { purpose: purpose("HOPERAT"), person: person.to_owned() };
    let found = client.staff().get_practitioner_role(request).await?.into_inner();
    Ok(found.state.expect("a person"))
}

/// The fields that a call was refused for.
fn fields(refused: &Status) -> Vec<String> {
    let violations = refused.get_details_bad_request().expect("the fields").field_violations;
    violations.into_iter().map(|violation| violation.field).collect()
}

#[tokio::test]
async fn the_directory_is_kept_by_those_who_may_and_every_reading_is_on_record() {
    let cluster = Cluster::start(2).await.expect("nodes");
    let it = cluster.client(0, "hospital-it").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    for person in ["cleo", "ann", "ben"] {
        put(&it, practitioner_role(person)).await.expect("filed");
    }
    let again = put(&it, practitioner_role("ann")).await.expect_err("it says just that already");
    assert_eq!(reason(&again), "NOTHING_CHANGED");
    let references = vec!["two\nlines".to_owned()];
    let wrong = v1::PractitionerRole { references, ..practitioner_role("ann") };
    let wrong = put(&officer, wrong).await.expect_err("a reference is one line");
    assert_eq!(fields(&wrong), ["practitioner_role.references[0]"]);
    let unreasoned = v1::PutPractitionerRoleRequest {
        request_id: request_id(),
        purpose: purpose("HOPERAT"),
        practitioner_role: Some(practitioner_role("ann")),
    };
    let unreasoned =
        officer.staff().put_practitioner_role(unreasoned).await.expect_err("no reason");
    assert_eq!(fields(&unreasoned), ["purpose.reason"]);
    let units = vec!["4-west".to_owned()];
    put(&officer, v1::PractitionerRole { units, ..practitioner_role("ann") }).await.expect("filed");
    let ann = get(&it, "ann").await.expect("listed");
    assert_eq!((ann.revision, ann.changed_by.as_str()), (2, "compliance-officer-1"));
    assert_eq!(ann.reason, "as personnel says");
    assert_eq!(ann.practitioner_role.unwrap().units, ["4-west"]);
    assert_eq!(get(&it, "nobody").await.expect_err("not listed").code(), Code::NotFound);
    let mut listed = Vec::new();
    let mut request = v1::ListPractitionerRolesRequest {
        purpose: purpose("HOPERAT"),
        page_size: 2,
        page_token: String::new(),
    };
    loop {
        let page = it.staff().list_practitioner_roles(request.clone()).await.unwrap().into_inner();
        assert_eq!(page.receipt.len(), 32);
        listed.extend(page.states.into_iter().filter_map(|state| state.practitioner_role));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let people: Vec<_> = listed.iter().map(|role| role.person.as_str()).collect();
    assert_eq!(people, ["ann", "ben", "cleo"]);
    for role in ["case-manager", "nurse", "registrar", "auditor"] {
        let curious = cluster.client(0, role).unwrap();
        assert_eq!(get(&curious, "ann").await.expect_err(role).code(), Code::PermissionDenied);
        let filed = put(&curious, practitioner_role("dan")).await.expect_err(role);
        assert_eq!(filed.code(), Code::PermissionDenied);
    }
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        person: "hospital-it-1".to_owned(),
        ..v1::ListAccessesRequest::default()
    };
    let trail = officer.audit().list_accesses(request).await.unwrap().into_inner().accesses;
    let told: Vec<_> = trail
        .iter()
        .map(|access| (access.operation.rsplit('/').next().unwrap(), access.outcome.as_str()))
        .collect();
    let (get, list) = ("GetPractitionerRole", "ListPractitionerRoles");
    // The last, that what was to be filed stands there already.
    let put = ("PutPractitionerRole", "refused");
    let shown = [(list, "shown"), (list, "shown"), (get, "not-found"), (get, "shown"), put];
    assert_eq!(told, shown);
}

#[tokio::test]
async fn the_directory_is_kept_from_the_command_line() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let node = cluster.node(0);
    let staff = |role: &str, arguments: &[&str]| {
        let token = Token::signed(&node.state, role, &format!("{role}-1")).expect("a token");
        run(Command::new(program("caseledger").expect("built"))
            .env("CASELEDGER_TOKEN", token.0)
            .args(["--server", &format!("http://{}", node.listen), "staff"])
            .args(arguments))
    };
    let mut put = vec!["put", "ann", "--name", "Ann Lee", "--unit", "4-west"];
    let end = "2026-11-28T08:00:00+01:00";
    let night = &format!("4-east=2026-11-27T20:00:00+01:00/{end}");
    put.extend(["--until", "2999-12-31", "--on-call", night]);
    assert_eq!(staff("hospital-it", &put).expect("filed").trim(), "filed: ann");
    let shown = staff("hospital-it", &["show", "ann"]).expect("shown");
    assert!(shown.contains("Ann Lee") && shown.contains("until 2999-12-31"), "{shown}");
    assert!(shown.contains(night), "as it was typed: {shown}");
    let listed = staff("hospital-it", &["list", "--json"]).expect("listed");
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(listed["people"][0]["practitioner_role"]["units"][0], "4-west");
    let duty = &listed["people"][0]["practitioner_role"]["duties"][0];
    assert_eq!(
        (duty["unit"].as_str(), duty["period"]["end"].as_str()),
        (Some("4-east"), Some(end))
    );
    let whole_day =
        ["put", "ann", "--name", "Ann Lee", "--on-call", "4-east=2026-11-27/2026-11-28"];
    let refused = staff("hospital-it", &[&whole_day[..], &["--reason", "rota"]].concat());
    refused.expect_err("from which hour?");
    let own = ["own-file", "ann", "--patient", &patient, "--reason", "told"];
    staff("hospital-it", &own).expect_err("not for IT");
    staff("compliance-officer", &own).expect("linked");
    let told = staff("compliance-officer", &["own-file", "ann"]).expect("shown");
    assert_eq!(told.trim(), patient);
    staff("compliance-officer", &["own-file", "ann", "--none", "--reason", "not her"]).expect("no");
    let told = staff("compliance-officer", &["own-file", "ann"]).expect("an answer, too");
    assert!(told.starts_with("no patient file is linked to ann;"), "{told}");
    let nobody = ["own-file", "bob", "--patient", &patient, "--reason", "told"];
    let why = staff("compliance-officer", &nobody).expect_err("not in the directory");
    assert!(format!("{why:?}").contains("caseledger staff put"), "{why:?}");
}

#[tokio::test]
async fn whose_employment_has_ended_may_do_nothing_on_any_node() {
    let cluster = Cluster::start(2).await.expect("nodes");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let it = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    read(&ann, &patient, "TREAT").await.expect("who is not listed is judged by the token");
    assert!(newest(&officer, &patient, "ann").await.circumstances.is_empty());
    let until = |end: &str| {
        let period = Some(v1::Period { start: "2020".to_owned(), end: end.to_owned() });
        v1::PractitionerRole { period, ..practitioner_role("ann") }
    };
    put(&it, until("2999-12-31")).await.expect("employed");
    read(&ann, &patient, "TREAT").await.expect("she works here");
    assert_eq!(newest(&officer, &patient, "ann").await.circumstances, ["employed"]);
    put(&it, until("2021-12-31")).await.expect("gone");
    let ended = async |client: &Client, code| {
        let status = read(client, &patient, code).await.expect_err("denied");
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "FORBIDDEN")
        );
    };
    ended(&ann, "TREAT").await;
    ended(&ann, "BTG").await;
    let access = newest(&officer, &patient, "ann").await;
    assert_eq!(access.deciding_ids, ["employment-ended"]);
    assert_eq!(access.circumstances, ["not-employed"]);
    // The other node has the same directory.
    let elsewhere = cluster.client_of(1, "nurse", "ann").unwrap();
    let position = manager.read_file(&patient, None).await.unwrap().position;
    cluster.client(1, "case-manager").unwrap().read_file(&patient, Some(position)).await.unwrap();
    ended(&elsewhere, "TREAT").await;
}

#[tokio::test]
async fn ones_own_file_is_closed_and_only_compliance_knows_which_it_is() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let it = cluster.client(0, "hospital-it").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let missing = link(&officer, "ann", &patient).await.expect_err("she is not listed");
    assert_eq!(missing.code(), Code::NotFound);
    put(&it, practitioner_role("ann")).await.expect("listed");
    assert_eq!(own_file(&officer, "ann").await.expect_err("none").code(), Code::NotFound);
    let nobody = link(&officer, "ann", &"7".repeat(32)).await.expect_err("no such file");
    assert_eq!(nobody.code(), Code::NotFound);
    for curious in [&it, &manager] {
        let refused = link(curious, "ann", &patient).await.expect_err("not theirs");
        assert_eq!(refused.code(), Code::PermissionDenied);
    }
    let ann = cluster.client_of(0, "nurse", "ann").unwrap();
    read(&ann, &patient, "TREAT").await.expect("nobody knows yet");
    link(&officer, "ann", &patient).await.expect("linked");
    // That it is so already tells whose file it is.
    let again = link(&officer, "ann", &patient).await.expect_err("it says just that already");
    assert_eq!(reason(&again), "NOTHING_CHANGED");
    let told = newest(&officer, &patient, "compliance-officer-1").await;
    assert_eq!((&*told.operation, &*told.outcome), ("StaffService/LinkOwnFile", "refused"));
    assert_eq!(own_file(&officer, "ann").await.unwrap(), patient);
    assert_eq!(own_file(&it, "ann").await.expect_err("IT").code(), Code::PermissionDenied);
    // What IT files of her later leaves the link as it is.
    let units = vec!["4-west".to_owned()];
    put(&it, v1::PractitionerRole { units, ..practitioner_role("ann") }).await.expect("filed");
    for code in ["TREAT", "BTG", "PATRQT"] {
        let status = read(&ann, &patient, code).await.expect_err("her own");
        assert_eq!(status.code(), Code::PermissionDenied, "{code}");
        assert!(!format!("{status:?}").contains("\"possible\""), "{status:?}");
    }
    let access = newest(&officer, &patient, "ann").await;
    assert_eq!(access.outcome, "denied");
    assert_eq!(access.circumstances, ["employed", "own-file", "staff-unit:4-west"]);
    let written = ann.file_note(&patient, "well", &request_id(), None).await;
    assert_eq!(written.expect_err("nor written").code(), Code::PermissionDenied);
    link(&officer, "ann", "").await.expect("it was somebody else");
    read(&ann, &patient, "TREAT").await.expect("open again");
}

#[tokio::test]
async fn no_officer_takes_their_own_link_away_or_reviews_their_own_file() {
    let cluster = Cluster::start(1).await.expect("a node");
    let manager = cluster.client(0, "case-manager").unwrap();
    let patient = manager.register("MRN-1", "Ames").await.unwrap().patient_id;
    let other = manager.register("MRN-2", "Boone").await.unwrap().patient_id;
    let olga = cluster.client_of(0, "compliance-officer", "olga").unwrap();
    let pia = cluster.client_of(0, "compliance-officer", "pia").unwrap();
    put(&pia, practitioner_role("olga")).await.expect("listed");
    link(&pia, "olga", &patient).await.expect("linked");
    for to in ["", &other, &patient] {
        let status = link(&olga, "olga", to).await.expect_err("her own");
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::PermissionDenied, "FORBIDDEN")
        );
    }
    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient.clone(),
        ..v1::ListAccessesRequest::default()
    };
    let trail = olga.audit().list_accesses(request).await.expect_err("her own trail");
    assert_eq!(trail.code(), Code::PermissionDenied);
    read(&olga, &other, "HCOMPL").await.expect("anybody else's");
}
