//! Credentials that lay sealed: one person's, for some hours from the first use.

use tempfile::TempDir;

use super::*;

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

/// A node that accepts this key's for 12 hours, of at most 100 days; what was used is in this folder.
fn node(folder: &TempDir, key: &Key) -> Authenticator {
    let file = folder.path().join("emergency.json");
    let mut issuer = Issuer::new(KeySet::of_pems(&[&key.public_pem]).unwrap(), AUDIENCE);
    let emergency = Emergency::load(file, 12 * HOUR, 100 * DAY).unwrap();
    issuer.emergency = Some(Arc::new(emergency));
    Authenticator::new(BTreeMap::from([("hospital".to_owned(), issuer)]), BTreeMap::new())
}

/// Sealed now, for 90 days.
fn sealed(changed: &Value) -> Value {
    let mut claims = json!({
        "iss": "hospital", "aud": "caseledger", "nbf": now(), "exp": now() + 90 * DAY, "jti": "e-1",
        "sub": "ada", "roles": ["physician"], "organisation": "ward"
    });
    for (name, value) in changed.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

fn verify_at(auth: &Authenticator, token: &str, time: u64) -> Result<Verified, Refused> {
    auth.verify(Some(format!("Bearer {token}").as_bytes()), &Presented::NotAsked, time)
}

#[test]
fn it_ends_hours_after_its_first_use_here_however_often_it_is_used_and_the_node_started() {
    let (folder, key) = (TempDir::new().unwrap(), key());
    let auth = node(&folder, &key);
    let (token, unused) = (signed(&key, &sealed(&json!({}))), sealed(&json!({"jti": "e-2"})));
    let first = now() + DAY;
    assert!(auth.emergencies().is_empty());
    let verified = verify_at(&auth, &token, first).unwrap();
    assert_eq!(verified.caller.person.as_deref(), Some("ada"));
    assert_eq!(verified.caller.issuer.as_deref(), Some("hospital"));
    assert_eq!((verified.expires, verified.ended), (first + 12 * HOUR, Refused::Expired));
    assert_eq!(auth.emergencies(), [("e-1".to_owned(), first, first + 12 * HOUR)]);

    let auth = node(&folder, &key);
    assert_eq!(auth.emergencies().len(), 1, "told again after a start");
    let later = verify_at(&auth, &token, first + 11 * HOUR).unwrap();
    assert_eq!(later.expires, first + 12 * HOUR, "counted from the first use");
    assert_eq!(verify_at(&auth, &token, first + 12 * HOUR).unwrap_err(), Refused::Expired);
    let unused = verify_at(&auth, &signed(&key, &unused), first + 12 * HOUR).unwrap();
    assert_eq!(unused.expires, first + 24 * HOUR, "another one is not concerned");
}

#[test]
fn opened_on_its_last_day_it_ends_with_that() {
    let (folder, key) = (TempDir::new().unwrap(), key());
    let token = sealed(&json!({"exp": now() + HOUR}));
    let verified = verify(&node(&folder, &key), &signed(&key, &token)).unwrap();
    assert!(verified.expires <= now() + HOUR);
}

#[test]
fn nobodys_and_what_is_good_for_too_long_is_refused_and_not_counted_as_used() {
    let (folder, key) = (TempDir::new().unwrap(), key());
    let auth = node(&folder, &key);
    let cases = [
        (json!({"jti": null}), Refused::Emergency),
        (json!({"jti": "line\nbreak"}), Refused::Emergency),
        (json!({"jti": "x".repeat(65)}), Refused::Emergency),
        (json!({"nbf": null}), Refused::Emergency),
        (json!({"sub": null, "azp": "desk"}), Refused::Emergency),
        (json!({"sub": " ", "azp": "desk"}), Refused::Emergency),
        (json!({"exp": now() + 101 * DAY}), Refused::Emergency),
        (json!({"nbf": now() - 400 * DAY, "exp": now() - DAY}), Refused::Expired),
        (json!({"roles": null}), Refused::Claims),
    ];
    for (changed, expected) in cases {
        let refused = verify(&auth, &signed(&key, &sealed(&changed))).unwrap_err();
        assert_eq!(refused, expected, "{changed}");
    }
    let strangers = signed(&super::key(), &sealed(&json!({})));
    assert_eq!(verify(&auth, &strangers).unwrap_err(), Refused::Signature);
    assert!(auth.emergencies().is_empty());
    assert!(!folder.path().join("emergency.json").exists());
}

#[tokio::test]
async fn taken_back_it_is_refused_its_streams_end_and_nobody_is_told_of_it_any_more() {
    let (folder, key) = (TempDir::new().unwrap(), key());
    let auth = node(&folder, &key);
    let mut changes = auth.emergency_changes();
    let token = signed(&key, &sealed(&json!({})));
    let held = verify(&auth, &token).unwrap();
    changes.next().await;
    changes.mark_seen();
    assert!(auth.taken_back(&held).now_or_never().is_none());
    revoke(&auth, &json!({"jti": ["e-1"]}));
    changes.next().await;
    assert_eq!(verify(&auth, &token).unwrap_err(), Refused::Revoked);
    assert_eq!(auth.taken_back(&held).await, Refused::Revoked);
    assert!(auth.emergencies().is_empty());
}

#[test]
fn where_its_use_cannot_be_written_down_it_is_refused() {
    let (folder, key) = (TempDir::new().unwrap(), key());
    let auth = node(&folder, &key);
    let gone = folder.path().to_owned();
    folder.close().unwrap();
    let token = signed(&key, &sealed(&json!({})));
    assert_eq!(verify(&auth, &token).unwrap_err(), Refused::FirstUse);
    std::fs::create_dir(&gone).unwrap();
    assert!(verify(&auth, &token).is_ok(), "once it can, it is accepted");
    std::fs::remove_dir_all(gone).unwrap();
}

#[test]
fn a_node_that_cannot_tell_what_was_used_does_not_start() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("emergency.json");
    for text in ["", "{\"e-1\": {\"first_used\": 1", "[]"] {
        std::fs::write(&file, text).unwrap();
        let refused = Emergency::load(file.clone(), HOUR, DAY).unwrap_err().to_string();
        assert!(refused.contains("emergency.json: does not say"), "{refused}");
    }
}
