//! An emergency access of an earlier day, put into the spool of a node that does not run and has
//! recorded no access yet: it files it at its next start, as it was recorded.

use std::time::SystemTime;

use ledger::{
    ActorId, Base, Block, Content, Contribution, ContributionId, Hash, Header, Item, LeafType,
    LedgerId, RecordId, SealedRecord, SubjectId,
};
use schema::{AccessKind, AccessRecord, Outcome};
use testkit::cluster::Node;

use crate::tools::{Pen, databases};

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

/// Spools an emergency access that began so long ago, in µs; its id.
pub(super) fn emergency_access(node: &Node, ago: u64) -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_micros();
    let now = u64::try_from(now).expect("this millennium");
    let at = now - ago;
    let pen = Pen::of(&node.state);
    let (store, vault) = databases(node);
    let chain = SubjectId(pen.node.0);
    assert_eq!(store.head(LedgerId::ACCESS, chain).expect("readable"), None, "no access yet");
    let system = vault.system().expect("readable").expect("its keys");
    let term = vault.index_term("register", &[b"emergency_access"]).expect("a term");
    let mut subject = SubjectId([0; 16]);
    subject.0.copy_from_slice(&term[..16]);
    let id = ContributionId([7; 32]);
    let mut header = Header {
        format: ledger::header::HEADER_FORMAT,
        leaf: LeafType::Record,
        suite: ledger::header::SUITE_SEALED,
        ledger: LedgerId::ACCESS,
        record_id: RecordId([7; 16]),
        contribution_id: id,
        index: 0,
        count: 1,
        subject,
        version: 1,
        previous: Hash::ZERO,
        recorded_at: at,
        node: pen.node,
        actor: ActorId([7; 16]),
        envelope_version: schema::CURRENT_ENVELOPE,
        data_key: system.audit,
        key_commitment: Hash::ZERO,
        body_length: 0,
        body_hash: Hash::ZERO,
    };
    let plain = schema::encode_access(&begun(at)).expect("encoded");
    let key = vault.data_key(system.audit).expect("readable").expect("the key");
    let body = vault.seal_body(&pen.access, &mut header, &plain, &key).expect("sealed");
    let records = vec![SealedRecord { header: header.encode(), body }];
    let one = Contribution { id, request_digest: Hash::ZERO, reads: Vec::new(), records };
    let state = store.state(LedgerId::ACCESS).expect("its state");
    let content = Content {
        sealed_at: now.max(state.time),
        base: Base { sequence: state.sequence, stream_hash: state.stream_hash },
        items: vec![Item::Contribution(one)],
    };
    let block = Block::seal(LedgerId::ACCESS, pen.node, &content, &pen.key, &pen.access);
    store.spool().put(1, &block.expect("sealed"), 1).expect("spooled");
    hex(&ID)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
