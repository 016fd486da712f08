//! The audit trail as the store answers it.

use crate::world::{ACCESS, ACTOR, Draft, NODE, World};
use ledger::{Applied, Item, SubjectId};
use schema::{AccessKind, AccessRecord, Outcome};
use std::ops::ControlFlow;
use store::AccessFilter;
use vault::PatientKeyIds;

fn record(reason: &str) -> AccessRecord {
    AccessRecord {
        kind: AccessKind::Shown,
        person: Some("nurse-7".to_owned()),
        service: "ward".to_owned(),
        roles: vec!["nurse".to_owned()],
        organisation: "hospital".to_owned(),
        purpose: "TREAT".to_owned(),
        reason: Some(reason.to_owned()),
        relationship: None,
        operation: "PatientFileService/GetPatientFile".to_owned(),
        outcome: Outcome::Shown,
        request: Vec::new(),
        position: 4,
        trail: 0,
        answered_at: 0,
        first_version: 1,
        version: 3,
        policy_version: "1".to_owned(),
        deciding: Vec::new(),
        masked: Vec::new(),
        answer_format: 1,
        count: 1,
        answer_digest: [0; 32],
        told: None,
        network: None,
        issuer: None,
        emergency: None,
        circumstances: Vec::new(),
    }
}

pub(crate) fn show(world: &mut World, patients: &[PatientKeyIds]) -> Applied {
    let drafts: Vec<Draft> = patients
        .iter()
        .map(|keys| Draft {
            chain: SubjectId(NODE.0),
            subject: keys.subject,
            key: keys.audit,
            plain: schema::encode_access(&record("round")).unwrap(),
        })
        .collect();
    let contribution = world.contribution(ACCESS, &drafts);
    let block = world.block(ACCESS, vec![Item::Contribution(contribution)]);
    let applied = world.give(ACCESS, block);
    assert_eq!(applied.records.len(), patients.len(), "{:?}", applied.verdict);
    applied
}

#[test]
fn accesses_are_found_by_subject_actor_and_time_the_latest_first() {
    let mut world = World::new();
    let (one, two) = (world.patient(), world.patient());
    let mut times = Vec::new();
    for _ in 0..5 {
        let applied = show(&mut world, &[one, two]);
        times.push(applied.records[0].header.recorded_at);
    }
    let reader = world.store().reader();
    let positions = |filter, times, before, limit| {
        let page = reader.accesses(filter, times, u64::MAX, before, limit).unwrap();
        let found: Vec<u64> = page.items.iter().map(|item| item.position).collect();
        (found, page.next)
    };
    let all = 0..=u64::MAX;
    let of_one = AccessFilter::Subject(one.subject);
    assert_eq!(positions(of_one, all.clone(), None, 3), (vec![10, 8, 6], Some(6)));
    assert_eq!(positions(of_one, all.clone(), Some(6), 3), (vec![4, 2], None));
    let by = AccessFilter::Actor(ACTOR);
    assert_eq!(positions(by, all.clone(), Some(5), 9), (vec![4, 3, 2], None));
    let middle = times[1]..=times[3];
    assert_eq!(positions(AccessFilter::All, middle.clone(), None, 4), (vec![9, 8, 7, 6], Some(6)));
    assert_eq!(positions(AccessFilter::All, middle.clone(), Some(6), 4), (vec![5, 4], None));
    assert_eq!(positions(of_one, middle, None, 9), (vec![8, 6, 4], None));
    let item = reader.accesses(of_one, all.clone(), u64::MAX, None, 1).unwrap().items.remove(0);
    assert_eq!(item.record, Some(record("round")));
    assert_eq!(item.header.subject, one.subject);
    let nobody = AccessFilter::Subject(SubjectId([1; 16]));
    assert_eq!(positions(nobody, all, None, 9), (vec![], None));
}

#[test]
fn who_looked_outlives_the_file_and_its_key() {
    let mut world = World::new();
    let one = world.patient();
    show(&mut world, &[one]);
    world.vault.destroy(one.file).unwrap();
    let filter = AccessFilter::Subject(one.subject);
    let page = world.store().reader().accesses(filter, 0..=u64::MAX, u64::MAX, None, 9).unwrap();
    assert!(page.items[0].record.is_some());
    world.vault.destroy(one.audit).unwrap();
    let page = world.store().reader().accesses(filter, 0..=u64::MAX, u64::MAX, None, 9).unwrap();
    assert_eq!(page.items[0].record, None);
    assert_eq!(page.items[0].header.actor, ACTOR, "the header still says who");
}

#[test]
fn the_index_is_rebuilt_from_headers_alone() {
    let mut world = World::new();
    let one = world.patient();
    show(&mut world, &[one]);
    world.vault.destroy(one.audit).unwrap();
    world.store().rebuild_views(|_, _| ControlFlow::Continue(())).unwrap();
    for filter in [AccessFilter::All, AccessFilter::Actor(ACTOR)] {
        let page =
            world.store().reader().accesses(filter, 0..=u64::MAX, u64::MAX, None, 9).unwrap();
        assert_eq!(page.items.len(), 1);
    }
}
