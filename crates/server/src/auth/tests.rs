//! Tokens: what is accepted, and every way in which one is refused.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use jsonwebtoken::{EncodingKey, Header, encode};
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
    let pems = keys.iter().map(|key| key.public_pem.clone()).collect();
    Authenticator::new(&BTreeMap::from([("hospital".to_owned(), pems)])).unwrap()
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
    auth.verify(Some(format!("Bearer {token}").as_bytes()), now())
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
    assert!(auth.cache.get(&cache::hash(token.as_bytes()), now() + 601).is_none());
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
    assert_eq!(auth.verify(None, now()).unwrap_err(), Refused::Missing);
    for (header, expected) in [
        (&b""[..], Refused::Missing),
        (b"Basic abc", Refused::Missing),
        (b"Bearer ", Refused::Malformed),
        (b"Bearer a.b", Refused::Malformed),
        (b"Bearer ....", Refused::Malformed),
        (b"bearer \xff\xfe.\xff.\xff", Refused::Malformed),
    ] {
        assert_eq!(auth.verify(Some(header), now()).unwrap_err(), expected);
    }
    let long = format!("Bearer {}", "a".repeat(MAX_TOKEN + 1));
    assert_eq!(auth.verify(Some(long.as_bytes()), now()).unwrap_err(), Refused::Malformed);
}

#[test]
fn every_reason_has_its_own_code() {
    let codes: std::collections::BTreeSet<&str> = Refused::ALL.map(Refused::code).into();
    assert_eq!(codes.len(), Refused::ALL.len());
}

#[test]
fn a_key_of_another_kind_is_named() {
    let pem = b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n".to_vec();
    let issuers = BTreeMap::from([("hospital".to_owned(), vec![pem])]);
    let error = Authenticator::new(&issuers).unwrap_err();
    assert!(error.to_string().contains("issuer hospital: key 1"));
}
