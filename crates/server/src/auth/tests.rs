//! Tokens: what is accepted, and every way in which one is refused.

mod emergency;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeySize, PublicKeyComponents};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair,
};
use futures::FutureExt as _;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::*;
use crate::keys::public_pem;

struct Key {
    signing: EncodingKey,
    public_pem: Vec<u8>,
}

fn key() -> Key {
    let pair = Ed25519KeyPair::generate().unwrap();
    let pkcs8 = pair.to_pkcs8v1().unwrap();
    let der =
        AsDer::<aws_lc_rs::encoding::PublicKeyX509Der<'_>>::as_der(pair.public_key()).unwrap();
    Key {
        signing: EncodingKey::from_ed_der(pkcs8.as_ref()),
        public_pem: public_pem(der.as_ref()).into_bytes(),
    }
}

fn trusting(keys: &[&Key]) -> Authenticator {
    let pems: Vec<Vec<u8>> = keys.iter().map(|key| key.public_pem.clone()).collect();
    believing(KeySet::of_pems(&pems).unwrap())
}

fn believing(keys: KeySet) -> Authenticator {
    let issuers = BTreeMap::from([("hospital".to_owned(), Issuer::new(keys, AUDIENCE))]);
    let robot = Service { roles: vec![Role::Registrar], organisation: "lab".to_owned() };
    Authenticator::new(issuers, BTreeMap::from([("spiffe://hospital/robot".to_owned(), robot)]))
}

fn now() -> u64 {
    jsonwebtoken::get_current_timestamp()
}

fn claims() -> Value {
    json!({
        "iss": "hospital", "aud": "caseledger", "exp": now() + 600, "nbf": now(),
        "sub": "ada", "azp": "desk", "roles": ["case-manager", "gardener"], "organisation": "ward"
    })
}

fn signed(key: &Key, claims: &Value) -> String {
    encode(&Header::new(Algorithm::EdDSA), claims, &key.signing).unwrap()
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn verify(auth: &Authenticator, token: &str) -> Result<Verified, Refused> {
    auth.verify(Some(format!("Bearer {token}").as_bytes()), &Presented::NotAsked, now())
}

/// Of a token, over a connection whose certificate names this service for so many seconds.
fn verify_with(
    auth: &Authenticator,
    token: Option<&str>,
    service: &str,
    expires: u64,
) -> Result<Verified, Refused> {
    let certificate = Certificate { service: service.to_owned(), expires };
    let value = token.map(|token| format!("Bearer {token}"));
    let presented = Presented::Certificate(Arc::new(certificate));
    auth.verify(value.as_ref().map(|value| value.as_bytes()), &presented, now())
}

#[test]
fn a_good_token_names_the_caller() {
    let key = key();
    let auth = trusting(&[&key]);
    for _ in 0..2 {
        let verified = verify(&auth, &signed(&key, &claims())).unwrap();
        assert_eq!(verified.caller.person.as_deref(), Some("ada"));
        assert_eq!(verified.caller.service, "desk");
        assert_eq!(verified.caller.organisation, "ward");
        assert_eq!(verified.caller.roles, [Role::CaseManager], "unknown roles grant nothing");
    }
}

#[test]
fn either_of_an_issuers_keys_verifies_and_nobody_elses() {
    let (old, new, stranger) = (key(), key(), key());
    let auth = trusting(&[&old, &new]);
    assert!(verify(&auth, &signed(&old, &claims())).is_ok());
    assert!(verify(&auth, &signed(&new, &claims())).is_ok());
    assert_eq!(verify(&auth, &signed(&stranger, &claims())).unwrap_err(), Refused::Signature);
}

#[test]
fn claims_that_do_not_hold_are_refused_by_name() {
    let key = key();
    let auth = trusting(&[&key]);
    let cases = [
        (with("exp", json!(now() - 31)), Refused::Expired),
        (with("exp", Value::Null), Refused::Malformed),
        (with("nbf", json!(now() + 60)), Refused::NotYetValid),
        (with("aud", json!("elsewhere")), Refused::Audience),
        (with("aud", Value::Null), Refused::Audience),
        (with("iss", json!("stranger")), Refused::Issuer),
        (with("roles", Value::Null), Refused::Claims),
        (with("roles", json!("case-manager")), Refused::Malformed),
        (with("sub", json!("x".repeat(257))), Refused::Malformed),
        (with("sub", json!("ada\nbob")), Refused::Malformed),
        (with("azp", json!("desk\u{1b}[2K")), Refused::Malformed),
        (with("organisation", json!("ward\r")), Refused::Malformed),
    ];
    for (claims, expected) in cases {
        assert_eq!(verify(&auth, &signed(&key, &claims)).unwrap_err(), expected, "{claims}");
    }
    let mut nobody = with("sub", Value::Null);
    nobody["azp"] = json!(" ");
    assert_eq!(verify(&auth, &signed(&key, &nobody)).unwrap_err(), Refused::Claims);
}

#[test]
fn skew_is_allowed_but_a_remembered_token_ends_on_time() {
    let key = key();
    let auth = trusting(&[&key]);
    let token = signed(&key, &with("exp", json!(now() - 10)));
    assert!(verify(&auth, &token).is_ok());
    let token = signed(&key, &claims());
    assert!(verify(&auth, &token).is_ok());
    // Far beyond its end the remembered answer is not used; the token itself is checked anew.
    assert!(auth.cache.get(&cache::hash(token.as_bytes()), 0, now() + 601).is_none());
}

#[test]
fn an_hmac_with_the_public_key_as_secret_is_refused() {
    let key = key();
    let auth = trusting(&[&key]);
    let secret = EncodingKey::from_secret(&key.public_pem);
    let token = encode(&Header::new(Algorithm::HS256), &claims(), &secret).unwrap();
    assert_eq!(verify(&auth, &token).unwrap_err(), Refused::Algorithm);
}

#[test]
fn an_unsigned_token_is_refused() {
    use base64::Engine as _;
    let key = key();
    let auth = trusting(&[&key]);
    let b64 = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    for header in [r#"{"alg":"none","typ":"JWT"}"#, r#"{"alg":"EdDSA","typ":"JWT"}"#] {
        for signature in ["", "AAAA"] {
            let token =
                format!("{}.{}.{signature}", b64.encode(header), b64.encode(claims().to_string()));
            assert!(verify(&auth, &token).is_err(), "{header}");
        }
    }
}

#[test]
fn a_changed_token_is_refused() {
    let key = key();
    let auth = trusting(&[&key]);
    let good = signed(&key, &claims());
    let other = signed(&key, &with("sub", json!("eve")));
    let head_and_signature =
        |token: &str| token.split('.').map(str::to_owned).collect::<Vec<String>>();
    let (good, other) = (head_and_signature(&good), head_and_signature(&other));
    let mixed = format!("{}.{}.{}", good[0], other[1], good[2]);
    assert_eq!(verify(&auth, &mixed).unwrap_err(), Refused::Signature);
}

#[test]
fn headers_that_hold_no_token_are_refused() {
    let auth = trusting(&[&key()]);
    assert_eq!(auth.verify(None, &Presented::NotAsked, now()).unwrap_err(), Refused::Missing);
    for (header, expected) in [
        (&b""[..], Refused::Missing),
        (b"Basic abc", Refused::Missing),
        (b"Bearer ", Refused::Malformed),
        (b"Bearer a.b", Refused::Malformed),
        (b"Bearer ....", Refused::Malformed),
        (b"bearer \xff\xfe.\xff.\xff", Refused::Malformed),
    ] {
        assert_eq!(auth.verify(Some(header), &Presented::NotAsked, now()).unwrap_err(), expected);
    }
    let long = format!("Bearer {}", "a".repeat(MAX_TOKEN + 1));
    assert_eq!(
        auth.verify(Some(long.as_bytes()), &Presented::NotAsked, now()).unwrap_err(),
        Refused::Malformed
    );
}

#[test]
fn every_reason_has_its_own_code() {
    let codes: std::collections::BTreeSet<&str> = Refused::ALL.map(Refused::code).into();
    assert_eq!(codes.len(), Refused::ALL.len());
}

#[test]
fn the_interface_names_every_reason() {
    use prost::Message as _;
    let set = prost_types::FileDescriptorSet::decode(api::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.name() == "caseledger/v1/file.proto").unwrap();
    let locations = &file.source_code_info.as_ref().unwrap().location;
    // Above `syntax` (path 12), at the top of the file, is its table of codes.
    let syntax = locations.iter().find(|location| location.path == [12]).unwrap();
    let comment = syntax.leading_comments();
    let words: Vec<&str> = comment.split(|c: char| !c.is_ascii_uppercase() && c != '_').collect();
    // Peers speak another service, which no client does.
    for refused in Refused::ALL.into_iter().filter(|refused| *refused != Refused::Peer) {
        assert!(words.contains(&refused.code()), "{} is not in the comment", refused.code());
    }
}

#[test]
fn a_key_of_another_kind_is_named() {
    let pem = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_vec();
    let error = KeySet::of_pems(&[key().public_pem, pem]).unwrap_err();
    assert!(error.to_string().contains("key 2"), "{error}");
}

/// An issuer's key in a set, and how tokens are signed with it.
struct Published {
    jwk: Value,
    signing: EncodingKey,
    algorithm: Algorithm,
}

fn b64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

fn ed25519(kid: &str) -> Published {
    let pair = Ed25519KeyPair::generate().unwrap();
    Published {
        jwk: json!({"kid": kid, "kty": "OKP", "crv": "Ed25519", "use": "sig",
                    "x": b64(pair.public_key().as_ref())}),
        signing: EncodingKey::from_ed_der(pair.to_pkcs8v1().unwrap().as_ref()),
        algorithm: Algorithm::EdDSA,
    }
}

fn es256(kid: &str) -> Published {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    Published {
        jwk: json!({"kid": kid, "kty": "EC", "crv": "P-256", "x": b64(x), "y": b64(y)}),
        signing: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()),
        algorithm: Algorithm::ES256,
    }
}

/// With the algorithm that the set states, if it states one.
fn rsa(kid: &str, stated: Option<&str>, algorithm: Algorithm) -> Published {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = PublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let mut jwk = json!({"kid": kid, "kty": "RSA", "use": "sig",
                         "n": b64(&public.n), "e": b64(&public.e)});
    if let Some(stated) = stated {
        jwk["alg"] = json!(stated);
    }
    let private = AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let pem = crate::keys::private_pem(private.as_ref());
    Published { jwk, signing: EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap(), algorithm }
}

fn set(keys: &[&Published]) -> KeySet {
    let keys: Vec<Value> = keys.iter().map(|key| key.jwk.clone()).collect();
    KeySet::of_jwks(json!({"keys": keys}).to_string().as_bytes()).unwrap()
}

fn signed_by(key: &Published, algorithm: Algorithm, kid: Option<&str>) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, &claims(), &key.signing).unwrap()
}

#[test]
fn every_kind_of_published_key_verifies_by_its_name() {
    let keys = [
        ed25519("ed"),
        es256("ec"),
        rsa("rs", None, Algorithm::RS256),
        rsa("ps", Some("PS256"), Algorithm::PS256),
    ];
    let auth = believing(set(&keys.iter().collect::<Vec<_>>()));
    for key in &keys {
        let kid = key.jwk["kid"].as_str();
        let good = signed_by(key, key.algorithm, kid);
        assert!(verify(&auth, &good).is_ok(), "{kid:?}");
        let nameless = signed_by(key, key.algorithm, None);
        assert_eq!(verify(&auth, &nameless).unwrap_err(), Refused::Key, "{kid:?}");
    }
}

#[test]
fn a_key_verifies_by_its_own_algorithm_alone() {
    let (rs, ps) = (rsa("rs", None, Algorithm::RS256), rsa("ps", Some("PS256"), Algorithm::PS256));
    let (ec, ed) = (es256("ec"), ed25519("ed"));
    let auth = believing(set(&[&rs, &ps, &ec, &ed]));
    // The same RSA key could do both; a token does not choose.
    let cases = [
        (&rs, Algorithm::PS256, "rs"),
        (&ps, Algorithm::RS256, "ps"),
        (&rs, Algorithm::RS512, "rs"),
        (&ec, Algorithm::ES256, "rs"),
        (&rs, Algorithm::RS256, "ec"),
        (&ed, Algorithm::EdDSA, "ec"),
    ];
    for (key, algorithm, kid) in cases {
        let token = signed_by(key, algorithm, Some(kid));
        assert_eq!(verify(&auth, &token).unwrap_err(), Refused::Algorithm, "{algorithm:?} {kid}");
    }
    // Another's signature under a good name.
    let stranger = rsa("rs", None, Algorithm::RS256);
    let forged = signed_by(&stranger, Algorithm::RS256, Some("rs"));
    assert_eq!(verify(&auth, &forged).unwrap_err(), Refused::Signature);
    // HMAC, with what is public as the secret.
    for secret in [rs.jwk["n"].to_string(), rs.jwk.to_string(), ec.jwk["x"].to_string()] {
        let header = Header { kid: Some("rs".to_owned()), ..Header::new(Algorithm::HS256) };
        let secret = EncodingKey::from_secret(secret.as_bytes());
        let token = encode(&header, &claims(), &secret).unwrap();
        assert_eq!(verify(&auth, &token).unwrap_err(), Refused::Algorithm);
    }
}

#[test]
fn keys_for_something_else_are_left_out_and_a_set_of_none_is_refused() {
    let good = ed25519("good");
    let changed = |name: &str, value: Value| {
        let mut jwk = ed25519("other").jwk;
        jwk[name] = value;
        jwk
    };
    let others = [
        changed("use", json!("enc")),
        changed("alg", json!("ES256")),
        changed("kid", Value::Null),
        changed("crv", json!("Ed448")),
        changed("x", json!("*")),
        json!({"kid": "hmac", "kty": "oct", "k": b64(b"secret"), "alg": "HS256"}),
        json!({"kid": "p384", "kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
        json!("no key"),
    ];
    let read = |keys: &[Value]| KeySet::of_jwks(json!({"keys": keys}).to_string().as_bytes());
    for other in &others {
        let keys = read(&[other.clone(), good.jwk.clone()]).unwrap();
        assert_eq!(keys.len(), 1, "{other}");
    }
    assert!(matches!(read(&others), Err(BadKeys::NoneUsable(8))));
    assert!(matches!(KeySet::of_jwks(b"<html>"), Err(BadKeys::NotASet(_))));
}

#[test]
fn an_unknown_name_asks_for_the_issuers_new_keys_and_they_are_used() {
    let (old, new) = (ed25519("2025"), ed25519("2026"));
    let auth = believing(set(&[&old]));
    let token = signed_by(&new, Algorithm::EdDSA, Some("2026"));
    assert_eq!(verify(&auth, &token).unwrap_err(), Refused::Key);
    let asked = Arc::clone(&auth.trust.borrow().issuers["hospital"].unknown_key);
    assert!(asked.notified().now_or_never().is_some());
    auth.change("hospital", |issuer| issuer.keys = Arc::new(set(&[&new])));
    assert!(verify(&auth, &token).is_ok());
    let before = signed_by(&old, Algorithm::EdDSA, Some("2025"));
    assert_eq!(verify(&auth, &before).unwrap_err(), Refused::Key);
}

fn revoke(auth: &Authenticator, list: &Value) {
    let list = Revoked::parse(list.to_string().as_bytes()).unwrap();
    auth.change("hospital", |issuer| issuer.revoked = Arc::new(list));
}

#[tokio::test]
async fn what_is_taken_back_is_refused_also_when_it_is_remembered() {
    let key = key();
    let auth = trusting(&[&key]);
    let token = signed(&key, &with("jti", json!("t-1")));
    let other = signed(&key, &with("jti", json!("t-2")));
    let held = verify(&auth, &token).unwrap();
    let kept = verify(&auth, &other).unwrap();
    assert!(auth.taken_back(&held).now_or_never().is_none());
    revoke(&auth, &json!({"jti": ["t-1"]}));
    assert_eq!(verify(&auth, &token).unwrap_err(), Refused::Revoked);
    auth.taken_back(&held).await;
    assert!(verify(&auth, &other).is_ok());
    assert!(auth.taken_back(&kept).now_or_never().is_none());
    revoke(&auth, &json!({"sub": ["ada"]}));
    assert_eq!(verify(&auth, &other).unwrap_err(), Refused::Revoked);
    auth.taken_back(&kept).await;
    revoke(&auth, &json!({}));
    assert!(verify(&auth, &token).is_ok());
}

#[tokio::test]
async fn what_a_withdrawn_key_signed_is_taken_back() {
    let (old, new) = (ed25519("2025"), ed25519("2026"));
    let auth = believing(set(&[&old, &new]));
    let by = |key: &Published, kid| verify(&auth, &signed_by(key, Algorithm::EdDSA, Some(kid)));
    let (first, second) = (by(&old, "2025").unwrap(), by(&new, "2026").unwrap());
    // Told anew, and the same.
    auth.change("hospital", |issuer| issuer.keys = Arc::new(set(&[&new, &old])));
    assert!(auth.taken_back(&first).now_or_never().is_none());
    // Another key by its name is not it.
    let others = set(&[&new, &ed25519("2025")]);
    auth.change("hospital", |issuer| issuer.keys = Arc::new(others));
    assert_eq!(auth.taken_back(&first).await, Refused::Key);
    assert!(auth.taken_back(&second).now_or_never().is_none());
}

#[test]
fn while_no_key_of_an_issuer_is_known_that_is_said() {
    let auth = believing(KeySet::default());
    assert_eq!(verify(&auth, &signed(&key(), &claims())).unwrap_err(), Refused::NoKeys);
    let asked = Arc::clone(&auth.trust.borrow().issuers["hospital"].unknown_key);
    assert!(asked.notified().now_or_never().is_some(), "its keys are asked for");
}

#[test]
fn half_a_revocation_list_is_no_list() {
    for text in ["", r#"{"jti": ["a","#, r#"["a"]"#, r#"{"jit": ["a"]}"#] {
        assert!(Revoked::parse(text.as_bytes()).is_err(), "{text}");
    }
}

#[test]
fn a_certificate_names_the_service_and_no_other_services_token_goes_with_it() {
    let key = key();
    let auth = trusting(&[&key]);
    let desk = signed(&key, &claims());
    let anybody = signed(&key, &with("azp", Value::Null));
    let end = now() + 60;
    let verified = verify_with(&auth, Some(&desk), "desk", end).unwrap();
    assert_eq!((&*verified.caller.service, verified.expires), ("desk", end));
    assert_eq!(verified.ended, Refused::Certificate, "what ends first is named");
    let verified = verify_with(&auth, Some(&anybody), "kiosk", now() + 9_999).unwrap();
    assert_eq!(verified.caller.service, "kiosk");
    assert!(verified.expires <= now() + 600, "the token ends before the certificate");
    assert_eq!(verified.ended, Refused::Expired);
    let refused = verify_with(&auth, Some(&desk), "kiosk", end);
    assert_eq!(refused.unwrap_err(), Refused::Service, "also when the token is remembered");
    let refused = verify_with(&auth, Some(&desk), "desk", now());
    assert_eq!(refused.unwrap_err(), Refused::Certificate, "it ended while the connection stayed");
    let value = format!("Bearer {desk}");
    for (presented, expected) in [
        (Presented::Nothing, Refused::CertificateMissing),
        (Presented::Nameless, Refused::Certificate),
    ] {
        let refused = auth.verify(Some(value.as_bytes()), &presented, now());
        assert_eq!(refused.unwrap_err(), expected);
    }
}

#[test]
fn a_service_acts_alone_where_the_configuration_says_so() {
    let auth = trusting(&[&key()]);
    let end = now() + 60;
    let robot = verify_with(&auth, None, "spiffe://hospital/robot", end).unwrap();
    assert_eq!(robot.caller.person, None);
    assert_eq!(robot.caller.service, "spiffe://hospital/robot");
    assert_eq!((robot.caller.roles, &*robot.caller.organisation), (vec![Role::Registrar], "lab"));
    assert_eq!((robot.expires, robot.ended), (end, Refused::Certificate));
    let refused = verify_with(&auth, None, "desk", end);
    assert_eq!(refused.unwrap_err(), Refused::Missing);
}

#[test]
fn two_authorization_headers_are_one_too_many() {
    let mut headers = HeaderMap::new();
    assert_eq!(authorization(&headers), Ok(None));
    headers.append(header::AUTHORIZATION, header::HeaderValue::from_static("Bearer a"));
    assert_eq!(authorization(&headers), Ok(Some(&b"Bearer a"[..])));
    headers.append(header::AUTHORIZATION, header::HeaderValue::from_static("Bearer a"));
    assert_eq!(authorization(&headers), Err(Refused::Ambiguous));
}
