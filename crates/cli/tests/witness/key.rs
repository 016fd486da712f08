//! `caseledger witness key`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ledger::note::{KeyType, Vkey};

use crate::log::Log;
use crate::program::{NAME, Office, caseledger};

#[test]
fn a_key_is_the_owners_alone_and_never_overwritten() {
    let office = Office::of(&[&Log::new(0, "a")]);
    assert_eq!((office.vkey.name(), office.vkey.kind()), (NAME, KeyType::Cosignature));
    let file = office.path("key");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let before = fs::read(&file).unwrap();
    let again = caseledger(&["witness", "key", "--name", NAME, "-o", &file]);
    assert_eq!(again.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&again.stderr).contains("never overwritten"));
    assert_eq!(fs::read(&file).unwrap(), before);
    let other = office.path("other");
    let made = caseledger(&["--json", "witness", "key", "--name", NAME, "-o", &other]);
    let told: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
    let vkey: Vkey = told["vkey"].as_str().unwrap().parse().unwrap();
    assert_ne!(vkey, office.vkey);
    let wrong = caseledger(&["witness", "key", "--name", "a b", "-o", &office.path("third")]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(!fs::exists(office.path("third")).unwrap());
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let log = Log::new(3, "a");
    let office = Office::of(&[&log]);
    let folder = tempfile::tempdir().unwrap();
    log.write(folder.path());
    let readable = fs::Permissions::from_mode(0o640);
    fs::set_permissions(office.path("key"), readable).unwrap();
    assert_eq!(office.look(folder.path().to_str().unwrap()).0, 2);
    fs::set_permissions(office.path("key"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(office.path("key"), "no key").unwrap();
    assert_eq!(office.look(folder.path().to_str().unwrap()).0, 2);
}
