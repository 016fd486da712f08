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
fn errors_name_file_and_key() {
    let cases = [
        ("kek = \"keys/kek\"", "kek = 7", "kek"),
        ("kek = \"keys/kek\"", "kek = {}", "no version"),
        ("kek = \"keys/kek\"", "kek = { 0 = \"keys/kek\" }", "'0' is no version"),
        ("kek = \"keys/kek\"", "kek = \"pkcs11:token=a\"", "object is missing"),
        ("url =", "uri =", "uri"),
        ("data = \"data\"\n", "", "data"),
        ("127.0.0.1:0", "somewhere", "listen"),
        ("id = \"00", "id = \"zz", "id"),
        ("[\"http://127.0.0.1:8222\"]", "[]", "nats.monitor"),
        ("[nats]", "[nats]\nreplicas = 2", "nats.replicas"),
        ("keys = [\"keys/issuer.pub.pem\"]", "keys = []", "issuers[0].keys"),
        ("ff0102", "000102", "peers[0].node"),
        ("http://127.0.0.1:7001", "127.0.0.1:7001", "peers[0].address"),
    ];
    for (from, to, key) in cases {
        let text = error(from, to);
        assert!(text.contains("/state/config.toml"), "{text}");
        assert!(text.contains(key), "{key} is not in: {text}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nowhere/config.toml")).unwrap_err();
    assert!(error.to_string().contains("/nowhere/config.toml"));
}
