//! Tokens that were never issued for this, and floods of them.

use api::v1::GetPatientFileRequest;
use api::v1::patient_file_service_client::PatientFileServiceClient;
use serde_json::{Value, json};
use testkit::client::{Client, Token};
use testkit::cluster::Cluster;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::still_serves;

/// `{"alg":"none","typ":"JWT"}` and `{"alg":"HS256","typ":"JWT"}`.
const UNSIGNED: &str = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
const SHARED_KEY: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

fn now() -> i64 {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    i64::try_from(now).expect("a time")
}

fn claims(changed: &Value) -> Value {
    let mut claims = json!({
        "iss": "caseledger-quickstart", "aud": "caseledger", "sub": "mallory", "azp": "testkit",
        "roles": ["case-manager"], "organisation": "Test Hospital", "exp": now() + 3600,
    });
    for (name, value) in changed.as_object().expect("claims") {
        claims.as_object_mut().expect("claims").insert(name.clone(), value.clone());
    }
    claims
}

/// Tokens and the reason that each is refused for.
fn bad_tokens(cluster: &Cluster, stranger: &Cluster) -> Vec<(Token, &'static str)> {
    let state = &cluster.node(0).state;
    let with = |changed: Value| Token::of_claims(state, &claims(&changed)).expect("signed");
    let good = with(json!({})).0;
    let nurse = with(json!({"sub": "nurse-1", "roles": ["nurse"]})).0;
    let parts: Vec<&str> = good.split('.').collect();
    let [header, payload, _] = parts.as_slice() else { panic!("a token has three parts") };
    let (_, others_signature) = nurse.rsplit_once('.').expect("a signature");
    let forged = Token::of_claims(&stranger.node(0).state, &claims(&json!({}))).expect("signed");
    vec![
        (with(json!({"exp": now() - 60})), "TOKEN_EXPIRED"),
        (with(json!({"nbf": now() + 600})), "TOKEN_NOT_YET_VALID"),
        (with(json!({"aud": "payroll"})), "TOKEN_AUDIENCE"),
        (with(json!({"iss": "elsewhere"})), "TOKEN_ISSUER_UNKNOWN"),
        (with(json!({"roles": null})), "TOKEN_CLAIMS"),
        (with(json!({"roles": "case-manager"})), "TOKEN_MALFORMED"),
        (with(json!({"sub": "a".repeat(8 * 1024)})), "TOKEN_MALFORMED"),
        (forged, "TOKEN_SIGNATURE"),
        (Token(format!("{header}.{payload}.{others_signature}")), "TOKEN_SIGNATURE"),
        (Token(format!("{UNSIGNED}.{payload}.")), "TOKEN_MALFORMED"),
        (Token(format!("{UNSIGNED}.{payload}.{others_signature}")), "TOKEN_MALFORMED"),
        (Token(format!("{SHARED_KEY}.{payload}.{others_signature}")), "TOKEN_ALGORITHM"),
        (Token("no-token".to_owned()), "TOKEN_MALFORMED"),
        (Token(String::new()), "TOKEN_MALFORMED"),
    ]
}

fn refused(status: &Status, reason: &str) {
    assert_eq!(status.code(), Code::Unauthenticated, "{reason}: {status:?}");
    let info = status.get_details_error_info().expect("error info");
    assert_eq!(info.reason, reason);
}

/// How many records each ledger has.
async fn sizes(cluster: &Cluster) -> Vec<u64> {
    cluster.agreed().await.expect("at rest").iter().map(|head| head.size).collect()
}

#[tokio::test]
async fn a_token_that_is_not_good_is_refused_with_the_reason() {
    let cluster = Cluster::start(1).await.expect("a node");
    let stranger = Cluster::found(1).await.expect("another hospital's keys");
    let node = cluster.node(0).listen;
    let heads = sizes(&cluster).await;
    for (token, reason) in bad_tokens(&cluster, &stranger) {
        let client = Client::new(node, &token).unwrap();
        refused(&client.register("MRN-1", "Ames").await.expect_err(reason), reason);
        refused(&client.read_file("", None).await.expect_err(reason), reason);
    }
    let channel = tonic::transport::Endpoint::try_from(format!("http://{node}")).unwrap();
    let mut nobody = PatientFileServiceClient::new(channel.connect().await.unwrap());
    let status = nobody.get_patient_file(GetPatientFileRequest::default()).await;
    refused(&status.expect_err("no token"), "CREDENTIALS_MISSING");
    assert_eq!(heads, sizes(&cluster).await, "who is nobody leaves no record");
    still_serves(&cluster).await;
}

#[tokio::test]
async fn a_flood_of_bad_tokens_grows_neither_the_trail_nor_the_log() {
    const CONNECTIONS: usize = 10;
    const CALLS: usize = 1_000;
    let cluster = Cluster::start(1).await.expect("a node");
    let stranger = Cluster::found(1).await.expect("another hospital's keys");
    let heads = sizes(&cluster).await;
    let log = |cluster: &Cluster| std::fs::read_to_string(cluster.node(0).log()).unwrap();
    let lines = log(&cluster).lines().count();
    let tokens = bad_tokens(&cluster, &stranger);
    let mut calling = tokio::task::JoinSet::new();
    for (token, reason) in tokens.iter().cycle().take(CONNECTIONS) {
        let client = Client::new(cluster.node(0).listen, token).unwrap();
        for _ in 0..CALLS {
            let (client, reason) = (client.clone(), *reason);
            calling.spawn(async move {
                refused(&client.read_file("", None).await.expect_err(reason), reason);
            });
        }
    }
    let mut answered = 0;
    while let Some(answer) = calling.join_next().await {
        answer.expect("refused as it should be");
        answered += 1;
    }
    assert_eq!(answered, CONNECTIONS * CALLS);
    assert_eq!(sizes(&cluster).await, heads, "a flood leaves no record");
    // Each source and reason makes a line when its count doubles, in each of at most a few minutes.
    let grown = log(&cluster).lines().count() - lines;
    assert!(grown < 500, "{answered} refusals made {grown} lines");
    still_serves(&cluster).await;
}
