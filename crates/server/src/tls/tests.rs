//! What certificates are read as, and files that make none.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::PermissionsExt as _;

use futures::{Stream, StreamExt as _};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SanType};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::server::TcpIncoming;

use super::connection::Connection;
use super::*;
use crate::auth::Authenticator;
use crate::gate::Gate;

fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

fn dns(text: &str) -> SanType {
    SanType::DnsName(text.try_into().unwrap())
}

/// The service that a certificate with these names is read as.
fn service(names: Vec<SanType>, common: &[&str]) -> Option<String> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = names;
    params.distinguished_name = DistinguishedName::new();
    for name in common {
        params.distinguished_name.push(DnType::CommonName, *name);
    }
    params.not_after = rcgen::date_time_ymd(2030, 1, 1);
    let signed = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
    let read = Certificate::read(signed.der())?;
    assert_eq!(read.expires, 1_893_456_000, "the first second of 2030");
    Some(read.service)
}

#[test]
fn the_first_uri_names_the_service_else_the_first_dns_name_else_the_common_name() {
    let named = |names, common: &[&str]| service(names, common).unwrap();
    let all = vec![dns("desk.hospital.example"), uri("spiffe://hospital/desk"), uri("urn:b")];
    assert_eq!(named(all, &["desk"]), "spiffe://hospital/desk");
    let names = vec![dns("desk.hospital.example"), dns("b.example")];
    assert_eq!(named(names, &["desk"]), "desk.hospital.example");
    assert_eq!(named(Vec::new(), &["desk"]), "desk");
    assert_eq!(named(Vec::new(), &["Anmeldung Süd"]), "Anmeldung Süd");
    let address = SanType::IpAddress([127, 0, 0, 1].into());
    assert_eq!(named(vec![address], &["desk"]), "desk");
}

#[test]
fn a_certificate_that_names_nobody_is_read_as_nobody() {
    assert_eq!(service(Vec::new(), &[]), None);
    for common in [" ", "line\nbreak", &"x".repeat(257)] {
        assert_eq!(service(Vec::new(), &[common]), None, "{common}");
    }
    assert_eq!(Certificate::read(b"no certificate"), None);
}

struct Files {
    folder: TempDir,
    config: config::Tls,
}

impl Files {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name);
        let config = config::Tls {
            certificate: path("c.pem"),
            key: path("k.pem"),
            client_ca: Some(path("ca.pem")),
        };
        let files = Self { folder, config };
        files.renew();
        files
    }

    /// Another certificate, its own authority, and its key.
    fn renew(&self) {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        self.write("c.pem", &certificate);
        self.write("ca.pem", &certificate);
        self.write("k.pem", &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn load(&self) -> Result<(Tls, Reload), TlsError> {
        Tls::load("grpc.tls", &self.config, HTTP2)
    }
}

#[test]
fn what_cannot_be_used_is_named() {
    let files = Files::new();
    assert!(files.load().is_ok());
    let told = |name: &str, text: &str| {
        let files = Files::new();
        files.write(name, text);
        store::causes(&files.load().unwrap_err())
    };
    for (name, what) in [
        ("c.pem", "holds no certificate"),
        ("k.pem", "holds no private key"),
        ("ca.pem", "holds no certificate"),
    ] {
        let told = told(name, "nothing of the kind");
        assert!(told.contains(name) && told.contains(what), "{told}");
    }
    let other = told("k.pem", &KeyPair::generate().unwrap().serialize_pem());
    assert!(other.contains("c.pem: does not go with its key"), "{other}");
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(&files.config.key, open).unwrap();
    let exposed = files.load().unwrap_err().to_string();
    assert!(exposed.contains("others can read it"), "{exposed}");
    std::fs::remove_file(&files.config.key).unwrap();
    let missing = files.load().unwrap_err().to_string();
    assert!(missing.contains("k.pem: cannot be read"), "{missing}");
}

#[test]
fn a_renewed_certificate_is_taken_and_half_of_one_is_not() {
    let files = Files::new();
    let (tls, mut reload) = files.load().unwrap();
    let first = Arc::clone(&tls.current.borrow());
    let same = |tls: &Tls| Arc::ptr_eq(&first, &tls.current.borrow());
    reload.look().unwrap();
    assert!(same(&tls), "nothing has changed");
    files.write("k.pem", &KeyPair::generate().unwrap().serialize_pem());
    let told = reload.look().unwrap_err();
    assert!(told.contains("does not go with its key"), "{told}");
    assert!(same(&tls), "the earlier one stays");
    files.renew();
    reload.look().unwrap();
    assert!(!same(&tls));
}

/// Whether the node holds a connection: one that it does not take is closed at once.
async fn held(
    stream: &mut TcpStream,
    incoming: &mut (impl Stream<Item = io::Result<Connection>> + Unpin),
) -> Option<Connection> {
    let mut byte = [0];
    tokio::select! {
        taken = incoming.next() => Some(taken.expect("it listens").expect("taken")),
        read = stream.read(&mut byte) => {
            assert_eq!(read.expect("closed in order"), 0);
            None
        }
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_until_one_ends() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = Gate::new(Arc::new(Authenticator::new(BTreeMap::new(), BTreeMap::new())));
    let mut incoming = Box::pin(incoming(TcpIncoming::from(listener), None, gate, 2));
    let mut connect = async || {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let taken = held(&mut stream, &mut incoming).await;
        (stream, taken)
    };
    let (_first, one) = connect().await;
    let (_second, two) = connect().await;
    assert!(one.is_some() && two.is_some());
    for _ in 0..3 {
        assert!(connect().await.1.is_none(), "all places are taken");
    }
    drop(one);
    assert!(connect().await.1.is_some(), "a place is free again");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_begin_with_the_preface_is_let_go() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let gate = Gate::new(Arc::new(Authenticator::new(BTreeMap::new(), BTreeMap::new())));
    let mut incoming = Box::pin(incoming(TcpIncoming::from(listener), None, gate, 2));
    let mut bytes = [0; 24];

    let mut silent = TcpStream::connect(address).await.unwrap();
    silent.write_all(b"PRI * HTTP/2.0\r\n").await.unwrap();
    let mut taken = held(&mut silent, &mut incoming).await.expect("taken");
    let read = taken.read_exact(&mut bytes).await.expect_err("it does not go on");
    assert_eq!(read.kind(), io::ErrorKind::TimedOut);

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    let mut taken = held(&mut client, &mut incoming).await.expect("taken");
    taken.read_exact(&mut bytes).await.expect("the preface");
    let hour = std::time::Duration::from_secs(3_600);
    let next = tokio::time::timeout(hour, taken.read(&mut bytes)).await;
    assert!(next.is_err(), "from here on it is the protocol that asks whether it lives");
}
