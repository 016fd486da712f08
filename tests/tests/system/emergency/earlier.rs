//! An emergency access of another time, of a node that has recorded no access yet.

use std::time::SystemTime;

use ledger::SubjectId;
use schema::{AccessKind, AccessRecord, Outcome};
use testkit::cluster::Node;

use crate::spooled::Spool;

const ID: [u8; 16] = [0xe1; 16];

/// The record of a glass that was broken at this time for an hour.
fn begun(at: u64) -> AccessRecord {
    let until = at + 3_600 * 1_000_000;
    AccessRecord {
        kind: AccessKind::Query,
        person: Some("jdoe".to_owned()),
        service: "testkit".to_owned(),
        roles: vec!["nurse".to_owned()],
        organisation: "Test Hospital".to_owned(),
        purpose: "BTG".to_owned(),
        reason: Some("evacuation".to_owned()),
        relationship: None,
        operation: "EmergencyAccessService/BreakGlass".to_owned(),
        outcome: Outcome::Shown,
        request: Vec::new(),
        position: 0,
        trail: 0,
        answered_at: 0,
        first_version: 0,
        version: 0,
        policy_version: "default/2".to_owned(),
        deciding: vec!["emergency".to_owned()],
        circumstances: Vec::new(),
        masked: Vec::new(),
        answer_format: 1,
        count: 1,
        answer_digest: [0; 32],
        told: Some(format!("reason OVRPS\nunit Ward 3\nfrom {at}\nuntil {until}")),
        network: None,
        issuer: None,
        emergency: Some(ID),
    }
}

/// Now, µs since 1970 UTC.
pub(crate) fn now() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_micros();
    u64::try_from(now).expect("this millennium")
}

/// Spools an emergency access that began then; its id.
pub(crate) fn emergency_access(node: &Node, at: u64) -> String {
    let spool = Spool::of(node);
    let system = spool.vault.system().expect("readable").expect("its keys");
    let term = spool.vault.index_term("register", &[b"emergency_access"]).expect("a term");
    let mut subject = SubjectId([0; 16]);
    subject.0.copy_from_slice(&term[..16]);
    spool.put((subject, system.audit), &begun(at), at);
    hex(&ID)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
