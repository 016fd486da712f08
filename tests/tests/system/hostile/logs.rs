//! Texts that would write lines of their own into the log, colour them, or end its JSON: from whoever calls,
//! with credentials and without. What is a patient's is not in the log at all.

use api::v1;
use serde_json::{Value, json};
use testkit::client::{Client, Token, purpose, request_id};
use testkit::cluster::{Cluster, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::still_serves;
use crate::verifier::with_http;

/// Stands in everything that is a patient's.
const PATIENTS: &str = "Zwetschkenknoedel";
/// Stands in everything else that callers say.
const CALLERS: &str = "Marillenroester";
/// Begins a line, colours it, and ends a text and an object.
const EVIL: &str = "\r\n2026-11-26T00:00:00Z ERROR caseledgerd: \u{1b}[31mowned\u{1b}[0m\u{9b}2K\u{2028}\"}{\"a\":\"";
/// The same without what a header cannot hold.
const EVIL_TEXT: &str =
    "2026-11-26T00:00:00Z ERROR caseledgerd: owned\"}{\"a\":\" %0d%0a %1b[31m \\n \\u001b";

fn patients() -> String {
    format!("{PATIENTS}{EVIL}{PATIENTS}")
}

fn callers() -> String {
    format!("{CALLERS}{EVIL}{CALLERS}")
}

/// All that our own programs have to say.
async fn talkative(format: &str) -> (Cluster, String) {
    let mut cluster = Cluster::found(1).await.expect("founded");
    let at = with_http(cluster.node(0));
    let file = cluster.node(0).state.join("config.toml");
    let text = std::fs::read_to_string(&file).expect("configuration");
    let crates =
        ["server", "engine", "store", "vault", "journal", "ledger", "schema", "caseledgerd"];
    let filter = crates.map(|name| format!("{name}=trace")).join(",");
    let quiet = "format = \"text\"\nfilter = \"info,async_nats=warn\"";
    assert!(text.contains(quiet), "{text}");
    let text = text.replace(quiet, &format!("format = \"{format}\"\nfilter = \"debug,{filter}\""));
    std::fs::write(&file, text).expect("written");
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    (cluster, at)
}

/// Files and asks what is refused, and what is not, with hostile texts wherever there is text.
async fn files_and_asks(cluster: &Cluster, client: &Client) {
    let patient =
        client.register(&format!("{PATIENTS}-1"), PATIENTS).await.expect("on file").patient_id;
    let (mut file, said) = (client.file(), patients());
    let why = |reason| Some(v1::Purpose { purpose_of_use: "BTG".to_owned(), reason });
    // Control characters are refused, the others are not.
    let because = why(format!("{PATIENTS} {EVIL_TEXT}"));
    let names = |family: &str| {
        vec![v1::HumanName { family: family.to_owned(), ..v1::HumanName::default() }]
    };
    for (id, purpose, family) in [
        (request_id(), because.clone(), said.clone()),
        (request_id(), why(patients()), PATIENTS.to_owned()),
        (request_id(), purpose("TREAT"), format!("{PATIENTS}\"}}{{\"a\":\"")),
        (callers(), purpose("TREAT"), PATIENTS.to_owned()),
        (format!("{CALLERS} {EVIL_TEXT}"), purpose("TREAT"), PATIENTS.to_owned()),
        (request_id(), purpose(&callers()), PATIENTS.to_owned()),
    ] {
        let identity = v1::Identity {
            names: names(&family),
            preferred_name: said.clone(),
            birth_date: said.clone(),
            ..v1::Identity::default()
        };
        let request =
            v1::RegisterPatientRequest { request_id: id, purpose, identity: Some(identity) };
        file.register_patient(request).await.expect_err("no date");
    }
    for value in [said.clone(), format!("{PATIENTS}-2 {EVIL_TEXT}")] {
        let request = v1::FindPatientRequest { issuer: callers(), value, purpose: because.clone() };
        // Refused for its texts, or not found.
        file.find_patient(request).await.expect_err("nobody's");
    }
    for text in [said.clone(), format!("{PATIENTS} {EVIL_TEXT}")] {
        // Control characters are refused, the others are not.
        let _either = client.file_note(&patient, &text, &request_id(), None).await;
    }
    for patient_id in [patient, callers(), said] {
        let request = v1::GetPatientFileRequest {
            patient_id,
            purpose: because.clone(),
            page_token: callers(),
            ..v1::GetPatientFileRequest::default()
        };
        file.get_patient_file(request).await.expect_err("no such page");
    }
    let nosy = cluster.client_of(0, "billing", &format!("{CALLERS} {EVIL_TEXT}")).unwrap();
    let first = v1::GetPatientHistoryRequest { purpose: because, ..<_>::default() };
    nosy.file().get_patient_history(first).await.expect_err("not theirs");
}

/// Tokens, good and bad, with hostile claims; none lets anybody in.
async fn presents(node: &Node) {
    let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    for (claim, value) in [
        ("iss", json!(callers())),
        ("aud", json!(callers())),
        ("sub", json!(callers())),
        ("azp", json!(callers())),
        ("organisation", json!(callers())),
        ("exp", json!(callers())),
    ] {
        let mut claims = json!({
            "iss": "caseledger-quickstart", "aud": "caseledger", "sub": "mallory", "azp": "testkit",
            "roles": ["case-manager", callers()], "organisation": "Test Hospital", "exp": now + 3600,
        });
        claims[claim] = value;
        let token = Token::of_claims(&node.state, &claims).expect("signed");
        let client = Client::new(node.listen, &token).expect("a client");
        client.heads().await.expect_err(claim);
    }
}

/// Requests over HTTP/1.1 as no client sends them.
async fn asks_for_tiles(at: &str) {
    let token = format!("{CALLERS}\u{9b}{EVIL_TEXT}");
    for path in [
        format!("/{CALLERS}%0d%0a{CALLERS}%1b%5b31m/tile/entries/000"),
        format!("/records.0.0/{CALLERS}/control/%22%7d%7b{CALLERS}"),
        format!("/{CALLERS}\u{1b}[31m"),
    ] {
        let mut stream = TcpStream::connect(at).await.expect("connected");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: ledger\r\nUser-Agent: {token}\r\nX-Request-Id: {token}\r\n\
             Authorization: Bearer {token}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("answered");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 4"), "{path}: {answer}");
    }
}

/// What a caller may write into the metadata of a call, and into its path.
async fn calls_with_metadata(node: &Node) {
    let token = Token::signed(&node.state, "auditor", "auditor-1").expect("a token");
    let client = Client::new(node.listen, &token).expect("a client");
    let mut request = tonic::Request::new(v1::GetHeadRequest::default());
    for name in ["user-agent", "x-request-id", "traceparent", "grpc-timeout", "x-forwarded-for"] {
        let value = format!("{CALLERS} {EVIL_TEXT}").parse().expect("a header");
        request.metadata_mut().insert(name, value);
    }
    // A deadline that is none may be refused or ignored.
    let _either = client.ledger().get_head(request).await;
    let mut raw = client.raw();
    raw.ready().await.expect("connected");
    let path =
        format!("/caseledger.v1.PatientFileService/{CALLERS}\"%0a%1b[31m").replace('[', "%5b");
    let path: http::uri::PathAndQuery = path.replace('"', "%22").parse().expect("a path");
    let codec = tonic_prost::ProstCodec::<v1::GetHeadRequest, v1::GetHeadResponse>::default();
    let message = tonic::Request::new(v1::GetHeadRequest::default());
    raw.unary(message, path, codec).await.expect_err("no such method");
}

/// The log once all of this was sent.
async fn log_of(format: &str) -> String {
    let (cluster, at) = talkative(format).await;
    let client = cluster.client(0, "case-manager").unwrap();
    files_and_asks(&cluster, &client).await;
    presents(cluster.node(0)).await;
    asks_for_tiles(&at).await;
    calls_with_metadata(cluster.node(0)).await;
    still_serves(&cluster).await;
    let log = std::fs::read(cluster.node(0).log()).expect("the log");
    let log = String::from_utf8(log).expect("text");
    assert!(log.contains("answered"), "it tells of calls: {log}");
    let told = log.lines().find(|line| line.contains(PATIENTS));
    assert_eq!(told, None, "a patient's in the log");
    let control = |c: char| (c.is_control() && c != '\n') || c == '\u{2028}';
    let told = log.lines().find(|line| line.contains(control) || line.contains("owned"));
    assert_eq!(told, None, "a caller wrote into the log");
    log
}

#[tokio::test]
async fn nobody_writes_lines_into_a_log_of_text_and_no_patient_is_in_it() {
    let log = log_of("text").await;
    for line in log.lines().filter(|line| !line.starts_with("caseledgerd: node ")) {
        // Each begins with the time, and then the level.
        let level = line.split_ascii_whitespace().nth(1);
        let known = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"];
        assert!(
            line.starts_with("20") && level.is_some_and(|level| known.contains(&level)),
            "{line:?}"
        );
    }
}

#[tokio::test]
async fn nobody_ends_the_json_of_a_log_and_no_patient_is_in_it() {
    let log = log_of("json").await;
    for line in log.lines().filter(|line| !line.starts_with("caseledgerd: node ")) {
        let object: Value = serde_json::from_str(line).expect(line);
        assert!(object["timestamp"].is_string() && object["level"].is_string(), "{line}");
    }
}
