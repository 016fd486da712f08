//! Configurations that load, and the errors of those that do not.

use vault::KekSource;

use super::*;

const GOOD: &str = r#"
[node]
id = "000102030405060708090a0b0c0d0e0f"
data = "data"
kek = "keys/kek"
block_key = "keys/block.key"
checkpoint_key = "/elsewhere/checkpoint.key"
cosigner_key = "keys/cosigner.key"
[grpc]
listen = "127.0.0.1:0"
[nats]
url = "nats://127.0.0.1:4222"
monitor = ["http://127.0.0.1:8222"]
[ledgers]
records = "1111111111111111111111111111111111111111111111111111111111111111"
access = "2222222222222222222222222222222222222222222222222222222222222222"
[[issuers]]
name = "hospital"
keys = ["keys/issuer.pub.pem"]
[[peers]]
node = "ff0102030405060708090a0b0c0d0e0f"
address = "http://127.0.0.1:7001"
"#;

const KEYS: &str = r#"keys = ["keys/issuer.pub.pem"]"#;
const ROBOT: &str = r#"
[[services]]
name = "spiffe://hospital/robot"
roles = ["registrar"]
organisation = "lab"
[[peers]]"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("/state/config.toml"))
}

fn error(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "the case changes nothing: {from}");
    parse(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn paths_are_relative_to_the_file() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.node.data, Path::new("/state/data"));
    assert_eq!(config.node.kek, Keks::one(KekSource::File("/state/keys/kek".into())));
    assert_eq!(config.node.checkpoint_key, Path::new("/elsewhere/checkpoint.key"));
    assert_eq!(config.issuers[0].keys[0], Path::new("/state/keys/issuer.pub.pem"));
    assert_eq!(config.log.format, LogFormat::Text);
    assert_eq!(config.nats.replicas, 1);
    assert_eq!(config.node.time_zone, "UTC".parse().unwrap());
}

#[test]
fn key_encryption_keys_have_versions_and_are_written_as_they_are_read() {
    let both = "kek = { 1 = \"/a/kek\", 2 = \"env:CASELEDGER_KEK\" }";
    for written in ["kek = \"/a/kek\"", both, "kek = { 2 = \"/a/kek\" }"] {
        let config = parse(&GOOD.replacen("kek = \"keys/kek\"", written, 1)).unwrap();
        let again = config.node.kek.written(|text| format!("\"{text}\""));
        assert_eq!(format!("kek = {again}"), written);
    }
}

#[test]
fn credentials_are_read_from_where_the_configuration_is() {
    let issuer =
        "jwks = \"https://idp.hospital.example/keys\"\njwks_ca = \"idp.pem\"\nrevoked = \"r.json\"";
    let tls =
        "[grpc.tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\nclient_ca = \"/ca.pem\"\n[nats]";
    let text = GOOD.replace(KEYS, issuer).replace("[nats]", tls).replace("[[peers]]", ROBOT);
    let config = parse(&text).unwrap();
    let issuer = &config.issuers[0];
    assert!(
        matches!(&issuer.jwks, Some(Jwks::Url(url)) if url.host() == Some("idp.hospital.example"))
    );
    assert_eq!(issuer.audience, "caseledger");
    assert_eq!(issuer.revoked.as_deref(), Some(Path::new("/state/r.json")));
    assert_eq!(issuer.jwks_ca.as_deref(), Some(Path::new("/state/idp.pem")));
    let tls = config.grpc.tls.as_ref().unwrap();
    assert_eq!(
        (&*tls.certificate, &*tls.key),
        (Path::new("/state/c.pem"), Path::new("/state/k.pem"))
    );
    assert_eq!(tls.client_ca.as_deref(), Some(Path::new("/ca.pem")));
    assert_eq!(config.services[0].roles, [engine::Role::Registrar]);
    for here in ["http://127.0.0.1:1/k", "http://[::1]:1/k", "http://localhost:1/k", "keys.json"] {
        assert!(parse(&GOOD.replace(KEYS, &format!("jwks = \"{here}\""))).is_ok(), "{here}");
    }
}

const EMERGENCY: &str = r#"
[emergency]
name = "https://emergency.hospital.example"
keys = ["emergency.pub.pem"]
revoked = "revoked.json"
[[peers]]"#;

#[test]
fn emergencies_have_an_issuer_of_their_own_and_bounds() {
    let with = |text: &str| parse(&GOOD.replace("[[peers]]", text));
    let emergency = with(EMERGENCY).unwrap().emergency.unwrap();
    assert_eq!(emergency.keys, [Path::new("/state/emergency.pub.pem")]);
    assert_eq!(emergency.revoked, Path::new("/state/revoked.json"));
    assert_eq!((&*emergency.audience, emergency.hours, emergency.days), ("caseledger", 12, 100));
    for (from, to, key) in [
        ("https://emergency.hospital.example", "hospital", "emergency.name"),
        ("https://emergency.hospital.example", "", "emergency.name"),
        ("[\"emergency.pub.pem\"]", "[]", "emergency.keys"),
        ("revoked = \"revoked.json\"", "", "revoked"),
        ("revoked =", "hours = 0\nrevoked =", "emergency.hours"),
        ("revoked =", "hours = 73\nrevoked =", "emergency.hours"),
        ("revoked =", "days = 401\nrevoked =", "emergency.days"),
        ("revoked =", "audience = \"\"\nrevoked =", "emergency.audience"),
    ] {
        assert!(EMERGENCY.contains(from), "the case changes nothing: {from}");
        let error = with(&EMERGENCY.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(error.contains(key), "{key} is not in: {error}");
    }
}

#[test]
fn errors_name_file_and_key() {
    let cases = [
        ("kek = \"keys/kek\"", "kek = 7", "kek"),
        ("kek = \"keys/kek\"", "kek = {}", "no version"),
        ("kek = \"keys/kek\"", "kek = { 0 = \"keys/kek\" }", "'0' is no version"),
        ("kek = \"keys/kek\"", "kek = \"pkcs11:token=a\"", "object is missing"),
        ("[grpc]", "time_zone = \"Europe/Berlni\"\n[grpc]", "no time zone \"Europe/Berlni\""),
        ("[grpc]", "time_zone = \"\"\n[grpc]", "such as \"Europe/Berlin\""),
        ("url =", "uri =", "uri"),
        ("data = \"data\"\n", "", "data"),
        ("127.0.0.1:0", "somewhere", "listen"),
        ("id = \"00", "id = \"zz", "id"),
        ("[\"http://127.0.0.1:8222\"]", "[]", "nats.monitor"),
        ("[nats]", "[nats]\nreplicas = 2", "nats.replicas"),
        ("keys = [\"keys/issuer.pub.pem\"]", "keys = []", "issuers[0].keys"),
        ("ff0102", "000102", "peers[0].node"),
        ("http://127.0.0.1:7001", "127.0.0.1:7001", "peers[0].address"),
        ("http://127.0.0.1:7001", "https://127.0.0.1:7001", "grpc.peer_ca"),
        (KEYS, "", "issuers[0].keys"),
        (KEYS, "keys = [\"a\"]\njwks = \"b\"", "issuers[0].jwks"),
        (KEYS, "jwks = \"http://idp.hospital.example/keys\"", "issuers[0].jwks"),
        (KEYS, "jwks = \"a\"\naudience = \"\"", "issuers[0].audience"),
        ("[[peers]]", ROBOT, "grpc.tls.client_ca"),
        (
            "[[peers]]",
            "[[services]]\nname = \"a\"\norganisation = \"b\"\nroles = [\"surgeon\"]\n[[peers]]",
            "unknown role",
        ),
    ];
    for (from, to, key) in cases {
        let text = error(from, to);
        assert!(text.contains("/state/config.toml"), "{text}");
        assert!(text.contains(key), "{key} is not in: {text}");
    }
}

#[test]
fn a_witness_is_its_key_whatever_its_name() {
    let key = "witness.example/w1+24c2fdca+BHun0VNAaOinILs4fYx9M8U2nh2Uos9enWj6iwn0agfE";
    let key: Vkey = key.parse().unwrap();
    let named = |name: &str| Vkey::new(name, KeyType::Cosignature, *key.public_key()).unwrap();
    let with = |keys: &[Vkey]| {
        let known =
            |key: &Vkey| format!("[[witnesses.known]]\nkey = \"{key}\"\nurl = \"http://w\"\n");
        let known: String = keys.iter().map(known).collect();
        parse(&format!("{GOOD}[witnesses]\nquorum = {}\n{known}", keys.len()))
    };
    assert!(with(std::slice::from_ref(&key)).is_ok());
    for twice in [key.name(), "another.example"] {
        let error = with(&[key.clone(), named(twice)]).unwrap_err().to_string();
        assert!(error.contains("witnesses.known[1].key"), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nowhere/config.toml")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/config.toml"));
}
