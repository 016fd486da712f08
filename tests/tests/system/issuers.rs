//! Issuers as hospitals have them: keys that they publish and change, tokens and persons that they take
//! back, and hours in which they are away.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use api::v1;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use testkit::authority::Authority;
use testkit::client::{Client, Token, purpose};
use testkit::cluster::{Cluster, Node};
use testkit::wait::eventually;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use tokio_rustls::rustls::{ServerConfig, crypto, version};
use tonic::Status;

use crate::tools::{PATIENCE, alarm, reason};

const ISSUER: &str = "https://idp.hospital.example";

/// An issuer's key: its name in the set is this number.
struct Key(u8);

impl Key {
    fn signing(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.0; 32])
    }

    /// For this person; `changed` replaces claims.
    fn token(&self, person: &str, changed: &Value) -> Token {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
        let mut claims = json!({
            "iss": ISSUER, "aud": "ledger", "sub": person, "azp": "ward", "roles": ["case-manager"],
            "organisation": "Test Hospital", "exp": now + 3600, "jti": format!("{person}-{}", self.0),
        });
        for (name, value) in changed.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        let header = json!({"alg": "EdDSA", "typ": "JWT", "kid": self.0.to_string()});
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(&header), part(&claims));
        let signature = self.signing().sign(signed.as_bytes()).to_bytes();
        Token(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }

    /// What the issuer publishes if this is its key.
    fn set(&self) -> String {
        let x = URL_SAFE_NO_PAD.encode(self.signing().verifying_key().as_bytes());
        let key = json!({"kty": "OKP", "crv": "Ed25519", "kid": self.0.to_string(), "x": x});
        json!({"keys": [key]}).to_string()
    }
}

/// A web server that publishes one document.
struct Issuer {
    port: u16,
    published: Arc<Mutex<String>>,
    asked: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Issuer {
    /// At this port of this machine, 0 for a free one.
    async fn at(port: u16, published: String, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (published, asked) = (Arc::new(Mutex::new(published)), Arc::new(AtomicUsize::new(0)));
        let (all, count) = (Arc::clone(&published), Arc::clone(&asked));
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                let body = all.lock().expect("whole").clone();
                match &tls {
                    None => answer(stream, &body).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            answer(stream, &body).await;
                        }
                    }
                }
            }
        });
        Self { port, published, asked, serving }
    }

    fn publishes(&self, document: String) {
        *self.published.lock().expect("whole") = document;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// Goes away; nobody listens at its port any more.
    async fn away(self) {
        self.serving.abort();
        self.serving.await.expect_err("cancelled");
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, body: &str) {
    let mut request = [0; 1024];
    let read = stream.read(&mut request).await.unwrap_or(0);
    let told = request[..read].starts_with(b"GET /keys HTTP/1.1\r\n");
    let status = if told { "200 OK" } else { "404 Not Found" };
    let answer = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // Whoever asked may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

/// A node that trusts one more issuer, of which the configuration says this.
async fn trusting(source: &str) -> Cluster {
    let cluster = starting(source).await;
    cluster.node(0).serving().await.expect("serving");
    cluster
}

/// The same, while it starts.
async fn starting(source: &str) -> Cluster {
    let mut cluster = Cluster::found(1).await.expect("founded");
    let file = cluster.node(0).state.join("config.toml");
    let text = std::fs::read_to_string(&file).expect("configuration");
    let issuer =
        format!("{text}\n[[issuers]]\nname = \"{ISSUER}\"\naudience = \"ledger\"\n{source}\n");
    std::fs::write(&file, issuer).expect("written");
    cluster.node_mut(0).spawn().expect("started");
    cluster
}

async fn tried(node: &Node, token: &Token) -> Result<(), Status> {
    let client = Client::new(node.listen, token).expect("a client");
    let request = v1::GetHeadRequest { ledger: None };
    client.ledger().get_head(request).await.map(drop)
}

async fn refused(node: &Node, token: &Token, expected: &str) {
    let status = tried(node, token).await.expect_err(expected);
    assert_eq!(reason(&status), expected, "{status:?}");
}

async fn accepted_soon(node: &Node, token: &Token) {
    let accepted = eventually(PATIENCE, "the token is accepted", async || {
        tried(node, token).await.map_err(anyhow::Error::from)
    });
    accepted.await.expect("accepted");
}

/// Puts a file in place of another at once.
fn put(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join("put"), text).expect("written");
    std::fs::rename(folder.join("put"), folder.join(name)).expect("in place");
}

#[tokio::test]
async fn published_keys_change_and_the_last_good_ones_outlast_their_issuer() {
    let (first, second, third) = (Key(1), Key(2), Key(3));
    let issuer = Issuer::at(0, first.set(), None).await;
    let port = issuer.port;
    let cluster = trusting(&format!("jwks = \"http://127.0.0.1:{port}/keys\"")).await;
    let node = cluster.node(0);
    let operator = cluster.client(0, "hospital-it").unwrap();
    let nothing = json!({});

    tried(node, &first.token("ada", &nothing)).await.expect("fetched before the first call");
    refused(node, &first.token("ada", &json!({"aud": "caseledger"})), "TOKEN_AUDIENCE").await;
    refused(node, &first.token("ada", &json!({"iss": "caseledger-quickstart"})), "TOKEN_SIGNATURE")
        .await;

    // A key that nobody has heard of is fetched, but not at every token that names one.
    issuer.publishes(second.set());
    let (began, asked) = (Instant::now(), issuer.asked());
    for person in 0..200 {
        refused(node, &third.token(&person.to_string(), &nothing), "TOKEN_KEY_UNKNOWN").await;
    }
    accepted_soon(node, &second.token("ada", &nothing)).await;
    let apart = usize::try_from(began.elapsed().as_secs() / 5).expect("a number");
    assert!(issuer.asked() - asked <= apart + 1, "the issuer is asked at most every 5 seconds");
    refused(node, &first.token("ada", &nothing), "TOKEN_KEY_UNKNOWN").await;

    issuer.away().await;
    refused(node, &third.token("ada", &nothing), "TOKEN_KEY_UNKNOWN").await;
    let raised = alarm(&operator, "CREDENTIALS_OUTDATED").await;
    assert!(
        raised.text.contains(&format!("127.0.0.1:{port} cannot be reached")),
        "{}",
        raised.text
    );
    assert!(raised.text.contains("(since 20"), "{}", raised.text);
    tried(node, &second.token("bob", &nothing)).await.expect("the last good keys stay");

    // A page that is no set of keys changes nothing either; the next good one does.
    let issuer = Issuer::at(port, "<html>sorry</html>".to_owned(), None).await;
    let no_set = eventually(PATIENCE, "the page is looked at", async || {
        refused(node, &third.token("ada", &nothing), "TOKEN_KEY_UNKNOWN").await;
        let text = alarm(&operator, "CREDENTIALS_OUTDATED").await.text;
        anyhow::ensure!(text.contains("not a JSON Web Key Set"), "{text}");
        Ok(())
    });
    no_set.await.expect("told");
    tried(node, &second.token("cyd", &nothing)).await.expect("the last good keys stay");
    issuer.publishes(third.set());
    accepted_soon(node, &third.token("ada", &nothing)).await;
    let alarms = operator.status().await.expect("status").alarms;
    assert!(alarms.iter().all(|alarm| alarm.code != "CREDENTIALS_OUTDATED"), "{alarms:?}");
}

#[tokio::test]
async fn keys_over_https_are_those_of_whom_the_authority_names() {
    let authority = Authority::new("Hospital").expect("an authority");
    let stranger = Authority::new("Hospital").expect("another of the same name");
    let key = Key(1);
    let tls = |authority: &Authority| {
        let own = authority.server([127, 0, 0, 1].into()).expect("a certificate");
        let provider = crypto::aws_lc_rs::default_provider();
        let config = ServerConfig::builder_with_provider(provider.into())
            .with_protocol_versions(&[&version::TLS13])
            .expect("TLS 1.3")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).expect("PEM")],
                PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("PEM"),
            );
        Some(TlsAcceptor::from(Arc::new(config.expect("a certificate and its key"))))
    };
    let false_one = Issuer::at(0, key.set(), tls(&stranger)).await;
    let port = false_one.port;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("authority.pem");
    std::fs::write(&file, &authority.pem).expect("written");
    let source =
        format!("jwks = \"https://127.0.0.1:{port}/keys\"\njwks_ca = \"{}\"", file.display());
    let cluster = trusting(&source).await;
    let node = cluster.node(0);
    let raised = alarm(&cluster.client(0, "hospital-it").unwrap(), "CREDENTIALS_OUTDATED").await;
    assert!(raised.text.contains("invalid peer certificate"), "{}", raised.text);
    refused(node, &key.token("ada", &json!({})), "TOKEN_ISSUER_UNREACHED").await;
    false_one.away().await;
    let _true_one = Issuer::at(port, key.set(), tls(&authority)).await;
    accepted_soon(node, &key.token("ada", &json!({}))).await;
}

#[tokio::test]
async fn keys_and_revocations_in_files_are_read_again_and_streams_end() {
    let (first, second) = (Key(1), Key(2));
    let folder = tempfile::tempdir().expect("a folder");
    put(folder.path(), "keys.json", &first.set());
    put(folder.path(), "revoked.json", "{}");
    let at = |name: &str| folder.path().join(name).display().to_string();
    let source = format!("jwks = \"{}\"\nrevoked = \"{}\"", at("keys.json"), at("revoked.json"));
    let cluster = trusting(&source).await;
    let node = cluster.node(0);
    let nothing = json!({});
    let (ada, bob) = (first.token("ada", &nothing), first.token("bob", &nothing));
    let manager = Client::new(node.listen, &ada).expect("a client");
    let patient = manager.register("MRN-1", "Ames").await.expect("registered").patient_id;
    let watch = async |token: &Token| {
        let request = v1::WatchPatientFileRequest {
            patient_id: patient.clone(),
            purpose: purpose("TREAT"),
            from_version: 0,
        };
        let client = Client::new(node.listen, token).expect("a client");
        client.file().watch_patient_file(request).await.expect("followed").into_inner()
    };
    let (mut adas, mut bobs) = (watch(&ada).await, watch(&bob).await);

    // One token, then a whole person.
    put(folder.path(), "revoked.json", r#"{"jti": ["ada-1"]}"#);
    let ended = async |stream: &mut tonic::Streaming<v1::WatchPatientFileResponse>| {
        let until_error = async {
            loop {
                match stream.message().await {
                    Ok(message) => assert!(message.is_some(), "the stream ended well"),
                    Err(status) => return reason(&status),
                }
            }
        };
        tokio::time::timeout(PATIENCE, until_error).await.expect("the stream ends")
    };
    assert_eq!(ended(&mut adas).await, "TOKEN_REVOKED");
    refused(node, &ada, "TOKEN_REVOKED").await;
    tried(node, &first.token("ada", &json!({"jti": "another"})))
        .await
        .expect("another token of hers");
    tried(node, &bob).await.expect("another person");
    put(folder.path(), "revoked.json", r#"{"sub": ["bob"], "jti": ["ada-1"]}"#);
    assert_eq!(ended(&mut bobs).await, "TOKEN_REVOKED");
    refused(node, &bob, "TOKEN_REVOKED").await;
    refused(node, &first.token("bob", &json!({"jti": "another"})), "TOKEN_REVOKED").await;

    // Half a list lets nobody in again.
    put(folder.path(), "revoked.json", r#"{"sub": ["bo"#);
    let operator = cluster.client(0, "hospital-it").unwrap();
    let raised = alarm(&operator, "CREDENTIALS_OUTDATED").await;
    assert!(raised.text.contains("revoked.json: is no revocation list"), "{}", raised.text);
    refused(node, &bob, "TOKEN_REVOKED").await;

    // A key is withdrawn: what it signed is worth nothing any more.
    let mut cyds = watch(&first.token("cyd", &nothing)).await;
    put(folder.path(), "keys.json", &second.set());
    assert_eq!(ended(&mut cyds).await, "TOKEN_KEY_UNKNOWN");
    accepted_soon(node, &second.token("ada", &nothing)).await;
    refused(node, &first.token("cyd", &nothing), "TOKEN_KEY_UNKNOWN").await;
}

#[tokio::test]
async fn a_node_that_waits_for_an_issuer_stops_when_it_is_asked_to() {
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("an address").port();
    let mut cluster = starting(&format!("jwks = \"http://127.0.0.1:{port}/keys\"")).await;
    let asked = tokio::time::timeout(PATIENCE, silent.accept()).await;
    let _unanswered = asked.expect("in time").expect("it asks");
    assert_eq!(cluster.node_mut(0).stop().await.expect("it ends"), 0, "as asked");
    let served = cluster.node(0).data().join("listen.addr");
    assert!(!served.exists(), "it did not serve first");
}
