//! Listeners with certificates, and services that are who their certificates say.

use std::path::Path;
use std::process::Command;

use api::v1;
use api::v1::break_glass_request::Scope;
use serde_json::json;
use testkit::authority::{Authority, Certified};
use testkit::client::{Client, Tls, Token, purpose, request_id};
use testkit::cluster::{Cluster, Node, program, run};
use testkit::wait::eventually;
use tonic::Status;

use crate::emergency::{break_glass, end, review};
use crate::policies::{SHIPPED, adopt, propose};
use crate::tools::{PATIENCE, alarm, reason};
use crate::verifier::{fetch_over, with_http};

const DESK: &str = "spiffe://hospital.example/desk";
const ROBOT: &str = "spiffe://hospital.example/robot";

const WATCH: &str = "spiffe://hospital.example/watch";

const SERVICES_GOVERN: &str = r#"
@id("services-govern")
permit (
  principal in Caseledger::Role::"compliance-officer",
  action in Caseledger::Action::"Govern",
  resource
)
when { !(principal has person) };
"#;

/// Changes a node's configuration.
fn configure(node: &Node, change: impl FnOnce(String) -> String) {
    let file = node.state.join("config.toml");
    let text = std::fs::read_to_string(&file).expect("configuration");
    std::fs::write(&file, change(text)).expect("written");
}

/// Has a node listen with a certificate of this authority; `more` is added to `[grpc.tls]`.
fn secure(node: &mut Node, authority: &Authority, own: Option<Certified>, more: &str) {
    let folder = node.state.clone();
    std::fs::write(folder.join("authority.pem"), &authority.pem).expect("written");
    let certified = authority.server(node.listen.ip()).expect("a certificate");
    certified.write(&folder, "node").expect("written");
    configure(node, |text| {
        format!("{text}\n[grpc.tls]\ncertificate = \"node.pem\"\nkey = \"node.key.pem\"\n{more}")
    });
    node.tls = Some(Tls { authority: authority.pem.clone(), own });
}

/// A node that asks for certificates, at which the testkit's own clients show one of their service.
async fn asking(authority: &Authority) -> Cluster {
    let mut cluster = Cluster::found(1).await.expect("founded");
    let own = authority.service("testkit").expect("a certificate");
    let services = format!(
        "client_ca = \"authority.pem\"\n[[services]]\nname = \"{ROBOT}\"\nroles = [\"registrar\"]\n\
         organisation = \"Laboratory\"\n[[services]]\nname = \"{WATCH}\"\n\
         roles = [\"compliance-officer\"]\norganisation = \"Test Hospital\"\n"
    );
    secure(cluster.node_mut(0), authority, Some(own), &services);
    cluster.node_mut(0).spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    cluster
}

/// Seconds since 1970 UTC.
fn now() -> u64 {
    std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs()
}

fn token(node: &Node, azp: Option<&str>) -> Token {
    let mut claims = json!({
        "iss": "caseledger-quickstart", "aud": "caseledger", "sub": "ada", "exp": now() + 3600,
        "roles": ["case-manager"], "organisation": "Test Hospital",
    });
    if let Some(azp) = azp {
        claims["azp"] = json!(azp);
    }
    Token::of_claims(&node.state, &claims).expect("signed")
}

/// A client that trusts the authority and shows this certificate.
fn showing(
    node: &Node,
    authority: &Authority,
    own: Option<&Certified>,
    token: Option<&Token>,
) -> Client {
    let tls = Tls { authority: authority.pem.clone(), own: own.cloned() };
    Client::secure(node.listen, &tls, token).expect("a client")
}

async fn refusal(client: &Client) -> Status {
    client.read_file("0123456789abcdef0123456789abcdef", None).await.expect_err("refused")
}

fn log(node: &Node) -> String {
    std::fs::read_to_string(node.log()).expect("the node's log")
}

#[tokio::test]
async fn a_service_is_who_its_certificate_says() {
    let authority = Authority::new("Hospital").expect("an authority");
    let cluster = asking(&authority).await;
    let node = cluster.node(0);
    let desk = authority.service(DESK).expect("a certificate");

    // For whom the token was issued, and for nobody else.
    let own = showing(node, &authority, Some(&desk), Some(&token(node, Some(DESK))));
    let patient = own.register("MRN-1", "Ames").await.expect("registered").patient_id;
    own.read_file(&patient, None).await.expect("read");
    let others = showing(node, &authority, Some(&desk), Some(&token(node, Some("testkit"))));
    assert_eq!(reason(&refusal(&others).await), "TOKEN_SERVICE_MISMATCH");
    let anybodys = showing(node, &authority, Some(&desk), Some(&token(node, None)));
    anybodys.read_file(&patient, None).await.expect("a token of no service is its bearer's");

    // Alone where the configuration says so.
    let alone = showing(node, &authority, Some(&desk), None);
    assert_eq!(reason(&refusal(&alone).await), "CREDENTIALS_MISSING");
    let robot = authority.service(ROBOT).expect("a certificate");
    let robot = showing(node, &authority, Some(&robot), None);
    robot.read_file(&patient, None).await.expect("a registrar may");
    let not_its_role = robot.heads().await.map(|heads| heads.len());
    assert_eq!(not_its_role.expect("a registrar may"), 2);
    assert!(robot.status().await.is_err(), "a registrar does not look after nodes");

    let request = v1::ListAccessesRequest {
        purpose: purpose("HCOMPL"),
        patient_id: patient,
        ..v1::ListAccessesRequest::default()
    };
    let officer = cluster.client(0, "compliance-officer").unwrap();
    let trail = officer.audit().list_accesses(request).await.expect("the trail").into_inner();
    let who: Vec<(&str, &str, &str)> = trail
        .accesses
        .iter()
        .map(|access| (&*access.person, &*access.service, &*access.organisation))
        .collect();
    let expected =
        [("", ROBOT, "Laboratory"), ("ada", DESK, "Test Hospital"), ("ada", DESK, "Test Hospital")];
    assert_eq!(who, expected, "newest first");
}

#[tokio::test]
async fn a_service_alone_is_nobody_s_second_person() {
    let authority = Authority::new("Hospital").expect("an authority");
    let cluster = asking(&authority).await;
    let watch = authority.service(WATCH).expect("a certificate");
    let watch = showing(cluster.node(0), &authority, Some(&watch), None);
    let officer = |person| cluster.client_of(0, "compliance-officer", person).unwrap();
    let (ada, ben) = (officer("ada"), officer("ben"));
    // The shipped policies do not let a service alone come so far.
    let ours = format!("{SHIPPED}{SERVICES_GOVERN}");
    let proposed = propose(&ada, &ours).await.expect("proposed");
    adopt(&ben, &proposed.policy_id).await.expect("adopted by another");
    let proposed = propose(&ada, SHIPPED).await.expect("proposed");
    let refused = adopt(&watch, &proposed.policy_id).await.expect_err("whoever may use it");
    assert_eq!(reason(&refused), "SAME_PERSON", "{refused}");
    assert!(refused.message().contains("a service"), "{refused}");

    let nurse = cluster.client(0, "nurse").unwrap();
    let ward = Scope::Unit("Ward 3".to_owned());
    let emergency = break_glass(&nurse, ward, None).await.expect("broken");
    end(&nurse, &emergency.id).await.expect("ended");
    let refused = review(&watch, &emergency.id, v1::ReviewVerdict::Justified).await;
    assert_eq!(reason(&refused.expect_err("whoever may use it")), "SAME_PERSON");
    review(&ada, &emergency.id, v1::ReviewVerdict::Justified).await.expect("a person");
}

#[tokio::test]
async fn without_a_good_certificate_nobody_is_anybody() {
    let authority = Authority::new("Hospital").expect("an authority");
    let cluster = asking(&authority).await;
    let node = cluster.node(0);
    let good = token(node, Some(DESK));

    let none = showing(node, &authority, None, Some(&good));
    assert_eq!(reason(&refusal(&none).await), "CERTIFICATE_MISSING");
    none.is_serving("PatientFileService").await.expect("health answers everybody");
    // What a proxy would say of certificates is no certificate.
    let mut request = tonic::Request::new(v1::GetPatientFileRequest::default());
    for name in ["x-forwarded-client-cert", "x-ssl-client-s-dn", "x-client-cert", "ssl-client-cert"]
    {
        request.metadata_mut().insert(name, format!("URI={DESK}").parse().expect("a value"));
    }
    let status = none.file().get_patient_file(request).await.expect_err("refused");
    assert_eq!(reason(&status), "CERTIFICATE_MISSING");

    let stranger = Authority::new("Hospital").expect("another of the same name");
    assert!(!log(node).contains("CERTIFICATE_REFUSED"));
    for (who, shown) in [
        ("another authority's", stranger.service(DESK).expect("a certificate")),
        ("an expired one", authority.service_until(DESK, now() - 60).expect("a certificate")),
        ("a server's", authority.server(node.listen.ip()).expect("a certificate")),
    ] {
        let refused = refusal(&showing(node, &authority, Some(&shown), Some(&good))).await;
        assert_eq!(reason(&refused), "", "{who} is not even connected: {refused:?}");
    }
    // The client may hear of it first. A count is logged when it doubles.
    let counted = eventually(PATIENCE, "refusals are counted", async || {
        let log = log(node);
        let lines = log.matches("reason=\"CERTIFICATE_REFUSED\" count=").count();
        anyhow::ensure!(lines >= 2, "{lines} lines in {log}");
        Ok(())
    });
    counted.await.expect("counted");

    // In the clear there is nobody, and a client trusts no other node's certificate.
    let clear = Client::new(node.listen, &good).expect("a client");
    assert_eq!(reason(&refusal(&clear).await), "");
    let own = authority.service(DESK).expect("a certificate");
    let tricked = showing(node, &stranger, Some(&own), Some(&good));
    assert_eq!(reason(&refusal(&tricked).await), "");
    let cased = showing(node, &authority, Some(&own), Some(&good));
    cased.register(&request_id(), "Ames").await.expect("the good one still is somebody");
}

#[tokio::test]
async fn a_connection_outlives_its_certificate_and_its_credentials_do_not() {
    let authority = Authority::new("Hospital").expect("an authority");
    let cluster = asking(&authority).await;
    let node = cluster.node(0);
    let brief = authority.service_until(DESK, now() + 12).expect("a certificate");
    let desk = showing(node, &authority, Some(&brief), Some(&token(node, Some(DESK))));
    let patient_id = desk.register("MRN-1", "Ames").await.expect("registered").patient_id;
    let request =
        v1::WatchPatientFileRequest { patient_id, purpose: purpose("TREAT"), from_version: 0 };
    let watch = desk.file().watch_patient_file(request).await;
    let mut watch = watch.expect("followed").into_inner();
    let until_error = async {
        loop {
            match watch.message().await {
                Ok(message) => assert!(message.is_some(), "the stream ended well"),
                Err(status) => return reason(&status),
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, until_error).await.expect("the stream ends");
    assert_eq!(ended, "CERTIFICATE_REFUSED");
    assert_eq!(reason(&refusal(&desk).await), "CERTIFICATE_REFUSED", "and is connected still");
}

#[tokio::test]
async fn nodes_and_the_command_line_speak_tls() {
    let authority = Authority::new("Hospital").expect("an authority");
    let mut cluster = Cluster::found(2).await.expect("founded");
    for node in &mut cluster.nodes {
        let own = authority.service("testkit").expect("a certificate");
        secure(node, &authority, Some(own), "client_ca = \"authority.pem\"\n");
        let listen = format!("listen = \"{}\"\n", node.listen);
        configure(node, |text| {
            text.replace("address = \"http://", "address = \"https://").replacen(
                &listen,
                &format!("{listen}peer_ca = \"authority.pem\"\n"),
                1,
            )
        });
        node.spawn().expect("started");
    }
    for node in &cluster.nodes {
        node.serving().await.expect("a majority is reached over TLS");
    }
    let manager = cluster.client(1, "case-manager").unwrap();
    manager.register("MRN-1", "Ames").await.expect("registered");
    cluster.agreed().await.expect("both have it");

    let node = cluster.node(0);
    let desk = authority.service(DESK).expect("a certificate");
    desk.write(&node.state, "desk").expect("written");
    let state = |name: &str| node.state.join(name);
    let mut command = Command::new(program("caseledger").expect("built"));
    command.arg("--server").arg(format!("https://{}", node.listen));
    command.arg("--ca").arg(state("authority.pem"));
    command.arg("--cert").arg(state("desk.pem")).arg("--cert-key").arg(state("desk.key.pem"));
    command.env("CASELEDGER_TOKEN", token(node, Some(DESK)).0);
    let shown = run(command.args(["file", "show", "MRN-1"])).expect("shown");
    assert!(shown.contains("Ames"), "{shown}");
}

#[tokio::test]
async fn a_certificate_is_renewed_without_a_restart_and_half_of_one_changes_nothing() {
    let authority = Authority::new("Hospital").expect("an authority");
    let next = Authority::new("Hospital, next year").expect("an authority");
    let cluster = asking(&authority).await;
    let node = cluster.node(0);
    let operator = cluster.client(0, "hospital-it").unwrap();

    std::fs::write(node.state.join("node.pem"), "-----BEGIN CERT").expect("written");
    let raised = alarm(&operator, "CREDENTIALS_OUTDATED").await;
    assert!(raised.text.contains("node.pem: holds no certificate"), "{}", raised.text);
    assert!(raised.text.contains("(since 20"), "{}", raised.text);
    let anew = cluster.client(0, "case-manager").unwrap();
    anew.register("MRN-1", "Ames").await.expect("the earlier one stays");

    // Both the node's own certificate and whom it accepts, from another authority.
    std::fs::write(node.state.join("authority.pem"), &next.pem).expect("written");
    next.server(node.listen.ip())
        .expect("a certificate")
        .write(&node.state, "node")
        .expect("written");
    let desk = next.service(DESK).expect("a certificate");
    let good = token(node, Some(DESK));
    eventually(PATIENCE, "the next authority's is accepted", async || {
        let client = showing(node, &next, Some(&desk), Some(&good));
        Ok(client.register(&request_id(), "Ames").await?)
    })
    .await
    .expect("renewed");
    let before = cluster.client(0, "case-manager").unwrap();
    assert_eq!(reason(&refusal(&before).await), "", "the earlier authority is over");
    eventually(PATIENCE, "the alarm is over", async || {
        let alarms = operator.status().await?.alarms;
        anyhow::ensure!(
            alarms.iter().all(|alarm| alarm.code != "CREDENTIALS_OUTDATED"),
            "it is not"
        );
        Ok(())
    })
    .await
    .expect("who was connected stays so, and sees it");
}

#[tokio::test]
async fn tiles_are_served_with_a_certificate_too() {
    let authority = Authority::new("Hospital").expect("an authority");
    let mut cluster = Cluster::found(1).await.expect("founded");
    let at = with_http(cluster.node(0));
    let node = cluster.node_mut(0);
    secure(
        node,
        &authority,
        None,
        "[http.tls]\ncertificate = \"node.pem\"\nkey = \"node.key.pem\"\n",
    );
    node.spawn().expect("started");
    cluster.node(0).serving().await.expect("serving");
    let head = cluster.agreed().await.expect("a head").swap_remove(0);
    let prefix = head.origin.split_once('/').expect("name and path").1.to_owned();
    let get = async |path: &str, token: Option<&Token>| {
        let stream = secured(&at, &authority.pem).await;
        let path = format!("/{prefix}/{path}");
        fetch_over(stream, &path, token.map(|token| token.0.as_str())).await
    };
    let (status, _) = get("checkpoint", None).await;
    assert_eq!(status, 200);
    let auditor = Token::signed(&cluster.node(0).state, "auditor", "auditor-1").expect("a token");
    let (status, told) = get("tile/entries/000.p/1", None).await;
    assert_eq!(status, 401);
    assert!(String::from_utf8_lossy(&told).contains("CREDENTIALS_MISSING"));
    let (status, _) = get("tile/entries/000.p/1", Some(&auditor)).await;
    assert_eq!(status, 200);
}

#[test]
fn in_the_clear_a_node_does_not_start_where_others_could_listen_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = in_the_clear(folder.path());
    assert!(refused.contains("would travel in the clear"), "{refused}");
}

/// What a node says that is to listen everywhere without TLS.
fn in_the_clear(folder: &Path) -> String {
    let hash = "1".repeat(64);
    let config = format!(
        "[node]\nid = \"{}\"\ndata = \"d\"\nkek = \"k\"\nblock_key = \"k\"\ncheckpoint_key = \"k\"\n\
         cosigner_key = \"k\"\n[grpc]\nlisten = \"0.0.0.0:0\"\n[nats]\nurl = \"nats://127.0.0.1:1\"\n\
         monitor = [\"http://127.0.0.1:1\"]\n[ledgers]\nrecords = \"{hash}\"\naccess = \"{hash}\"\n",
        "1".repeat(32)
    );
    let file = folder.join("config.toml");
    std::fs::write(&file, config).expect("written");
    let mut node = Command::new(program("caseledgerd").expect("built"));
    run(node.arg("run").arg("--config").arg(file)).expect_err("refused").to_string()
}

/// A TLS connection that trusts this authority.
async fn secured(
    at: &str,
    authority: &str,
) -> tokio_rustls::client::TlsStream<tokio::net::TcpStream> {
    use tokio_rustls::rustls::pki_types::{CertificateDer, pem::PemObject as _};
    use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto, version};
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate");
    roots.add(authority).expect("an authority");
    let config = ClientConfig::builder_with_provider(crypto::aws_lc_rs::default_provider().into())
        .with_protocol_versions(&[&version::TLS13])
        .expect("TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = tokio::net::TcpStream::connect(at).await.expect("connected");
    let host: std::net::SocketAddr = at.parse().expect("an address");
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    connector.connect(host.ip().into(), stream).await.expect("a handshake")
}
