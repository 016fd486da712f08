//! One contribution: what voids it, and that it is void whole.

use super::*;
use crate::block::Contribution;
use crate::header::Header;
use crate::id::{ContributionId, KeyId};

type Change = fn(&mut Header);

fn edited(world: &World, change: impl FnOnce(&mut Header)) -> Contribution {
    let mut draft = world.draft(1, &[subject(1)]);
    edit(&mut draft.records[0], change);
    draft
}

/// A ledger with one record in subject 1's chain.
fn started() -> World {
    let mut world = World::records();
    let draft = world.draft(100, &[subject(1)]);
    assert!(is_accepted(&world.file(draft)));
    world
}

#[test]
fn a_contribution_may_touch_several_subjects_and_one_several_times() {
    let mut world = started();
    let draft = world.draft(1, &[subject(1), subject(2), subject(1), subject(2), subject(1)]);
    let verdict = world.file(draft);
    let expected =
        ItemVerdict::Accepted { contribution: contribution_id(1), first_position: 3, count: 5 };
    assert_eq!(verdict, expected);
    assert_eq!(world.head(subject(1)).unwrap().version, 4);
    assert_eq!(world.head(subject(1)).unwrap().position, 7);
    assert_eq!(world.head(subject(2)).unwrap().version, 2);
}

#[test]
fn links_may_point_at_records_earlier_in_the_block() {
    let mut world = started();
    let mut ahead = world.clone();
    let first = world.draft(1, &[subject(1)]);
    assert!(is_accepted(&ahead.file(first.clone())));
    let second = ahead.draft(2, &[subject(1)]);
    let items = [second, first].map(Item::Contribution);
    let verdicts = world.clone().offer(items.to_vec());
    assert_eq!(void(&verdicts[0]), VoidReason::Stale, "not at later ones");
    assert!(is_accepted(&verdicts[1]));
    let verdicts = world.offer(items.into_iter().rev().collect());
    assert!(verdicts.iter().all(is_accepted));
}

#[test]
fn a_void_contribution_leaves_no_trace_for_later_items() {
    let mut world = started();
    let mut broken = world.draft(1, &[subject(2), subject(1)]);
    edit(&mut broken.records[1], |header| header.version = 9);
    let good = world.draft(2, &[subject(2)]);
    let verdicts = world.offer([broken, good].map(Item::Contribution).to_vec());
    assert_eq!(void(&verdicts[0]), VoidReason::Stale);
    assert!(is_accepted(&verdicts[1]));
}

#[test]
fn every_part_of_a_link_is_compared() {
    let mut world = started();
    let changes: [Change; 6] = [
        |header| header.version = 1,
        |header| header.version = 3,
        |header| header.version = 0,
        |header| header.version = u64::MAX,
        |header| header.previous = Hash::ZERO,
        |header| header.previous.0[31] ^= 1,
    ];
    for change in changes {
        let draft = edited(&world, change);
        assert_eq!(void(&world.clone().file(draft)), VoidReason::Stale);
    }
    let mut first = world.draft(1, &[subject(3)]);
    edit(&mut first.records[0], |header| header.previous.0[0] = 1);
    assert_eq!(void(&world.file(first)), VoidReason::Stale);
}

#[test]
fn a_contribution_that_disagrees_with_itself_is_malformed() {
    let mut world = started();
    let changes: [Change; 15] = [
        |header| header.ledger = LedgerId::ACCESS,
        |header| header.ledger.shard = 1,
        |header| header.node = OTHER,
        |header| header.contribution_id = ContributionId::ZERO,
        |header| header.index = 1,
        |header| header.count = 2,
        |header| header.count = 0,
        |header| header.body_length += 1,
        |header| header.body_hash.0[0] ^= 1,
        |header| header.suite = 0,
        |header| header.suite = 2,
        |header| header.format = 2,
        |header| header.subject = SubjectId::ZERO,
        |header| header.leaf = crate::LeafType::Control,
        |header| {
            header.leaf = crate::LeafType::Control;
            header.suite = 0;
            header.subject = SubjectId::ZERO;
        },
    ];
    for (place, change) in changes.into_iter().enumerate() {
        let draft = edited(&world, change);
        assert_eq!(void(&world.clone().file(draft)), VoidReason::Malformed, "change {place}");
    }
    let mut body = world.draft(1, &[subject(1)]);
    body.records[0].body[0] ^= 1;
    assert_eq!(void(&world.clone().file(body)), VoidReason::Malformed);
    let mut named = world.draft(1, &[subject(1)]);
    named.id = contribution_id(2);
    assert_eq!(void(&world.clone().file(named)), VoidReason::Malformed);
    let mut header = world.draft(1, &[subject(1)]);
    header.records[0].header.push(0);
    assert_eq!(void(&world.clone().file(header)), VoidReason::Malformed);
    let mut swapped = world.draft(1, &[subject(2), subject(3)]);
    swapped.records.swap(0, 1);
    assert_eq!(void(&world.clone().file(swapped)), VoidReason::Malformed);
    let mut short = world.draft(1, &[subject(2), subject(3)]);
    short.records.pop();
    assert_eq!(void(&world.file(short)), VoidReason::Malformed);
}

#[test]
fn every_pair_read_must_still_hold() {
    let world = started();
    let reading = |reads: &[(SubjectId, u64)]| {
        let mut draft = world.draft(1, &[subject(2)]);
        draft.reads = reads.to_vec();
        world.clone().file(draft)
    };
    assert!(is_accepted(&reading(&[(subject(1), 1), (subject(2), 0), (subject(9), 0)])));
    for wrong in [(subject(1), 0), (subject(1), 2), (subject(9), 1)] {
        assert_eq!(void(&reading(&[(subject(1), 1), wrong])), VoidReason::ReadChanged);
    }
    // What changes earlier in the same block counts.
    let mut trial = world.clone();
    let change = world.draft(2, &[subject(1)]);
    let mut reader = world.draft(1, &[subject(2)]);
    reader.reads = vec![(subject(1), 1)];
    let verdicts = trial.offer([change, reader].map(Item::Contribution).to_vec());
    assert_eq!(void(&verdicts[1]), VoidReason::ReadChanged);
}

#[test]
fn time_never_goes_back_in_a_chain() {
    let mut world = World::records();
    let mut first = world.draft(1, &[subject(1)]);
    edit(&mut first.records[0], |header| header.recorded_at = START + 10);
    assert!(is_accepted(&world.file(first)));
    let at = |time| {
        let mut draft = world.draft(2, &[subject(1)]);
        edit(&mut draft.records[0], |header| header.recorded_at = time);
        world.clone().file(draft)
    };
    assert_eq!(void(&at(START + 9)), VoidReason::TimeBackwards);
    assert!(is_accepted(&at(START + 10)));
    // Nor within one contribution.
    let mut pair = world.draft(2, &[subject(2), subject(2)]);
    edit(&mut pair.records[0], |header| header.recorded_at = START + 5);
    let hash = crate::leaf_hash(&pair.records[0].header);
    edit(&mut pair.records[1], |header| {
        header.previous = hash;
        header.recorded_at = START + 4;
    });
    assert_eq!(void(&world.file(pair)), VoidReason::TimeBackwards);
}

#[test]
fn the_past_closes_after_a_minute_in_records_only() {
    let late = |ledger, behind: i64| {
        let mut world = World::new(ledger);
        let time = START + 100 * SECOND;
        let mut draft = world.draft(1, &[subject(1)]);
        let at = time.checked_add_signed(-behind).unwrap();
        edit(&mut draft.records[0], |header| header.recorded_at = at);
        let items = vec![Item::Contribution(draft)];
        let content = Content { sealed_at: time, base: world.state.base(), items };
        let message = world.seal_content(NODE, &content);
        judged(&world.apply(&message))[0]
    };
    let minute = MAX_AGE as i64;
    assert!(is_accepted(&late(LedgerId::RECORDS, minute)));
    assert_eq!(void(&late(LedgerId::RECORDS, minute + 1)), VoidReason::TooOld);
    assert!(is_accepted(&late(LedgerId::RECORDS, -minute)));
    assert_eq!(void(&late(LedgerId::RECORDS, -minute - 1)), VoidReason::TooNew);
    assert!(is_accepted(&late(LedgerId::ACCESS, minute + 1)), "a spool may wait");
    assert!(is_accepted(&late(LedgerId::ACCESS, -minute - 1)));
}

#[test]
fn age_is_measured_against_the_ledgers_time_not_the_blocks() {
    let mut world = World::records();
    let old = world.draft(1, &[subject(1)]);
    let base = world.state.base();
    let later = Content { sealed_at: START + 61 * SECOND, base, items: Vec::new() };
    let message = world.seal_content(NODE, &later);
    let late = Content { sealed_at: START, base, items: vec![Item::Contribution(old)] };
    let late = world.seal_content(NODE, &late);
    assert!(is_accepted(&judged(&world.clone().apply(&late))[0]));
    world.apply(&message);
    assert_eq!(void(&judged(&world.apply(&late))[0]), VoidReason::TooOld);
}

/// In `access` the chain is the node's, whoever the records are about.
#[test]
fn access_records_form_a_chain_a_node() {
    let mut world = World::new(LedgerId::ACCESS);
    world.admit(OTHER);
    let draft = world.draft(1, &[subject(1), subject(2), subject(1)]);
    assert!(is_accepted(&world.file(draft)));
    assert_eq!(world.head(SubjectId(NODE.0)).unwrap().version, 3);
    assert_eq!(world.head(subject(1)).unwrap().version, 3, "subject 1 has node 1's id");
    assert_eq!(world.head(subject(2)), None);
    let by_other = world.draft_by(OTHER, 2, &[subject(1)]);
    let message = world.seal_by(OTHER, vec![Item::Contribution(by_other)]);
    assert!(is_accepted(&judged(&world.apply(&message))[0]));
    assert_eq!(world.head(SubjectId(OTHER.0)).unwrap().version, 1);
    // A dropped spool shows: the next record does not link.
    let mut dropped = world.draft(3, &[subject(1)]);
    edit(&mut dropped.records[0], |header| header.version += 1);
    assert_eq!(void(&world.file(dropped)), VoidReason::Stale);
}

#[test]
fn the_largest_contribution_is_accepted_and_one_more_is_not() {
    let world = World::records();
    let subjects = vec![subject(1); 256];
    assert!(is_accepted(&world.clone().file(world.draft(1, &subjects))));
    let crowd = world.draft(1, &vec![subject(1); 257]);
    assert_eq!(void(&messages::unchecked(&world, crowd)), VoidReason::Malformed);
    let mut reading = world.draft(1, &[subject(1)]);
    reading.reads = vec![(subject(2), 0); crate::block::MAX_CONTRIBUTION_READS];
    assert!(is_accepted(&world.clone().file(reading.clone())));
    reading.reads.push((subject(2), 0));
    assert_eq!(void(&messages::unchecked(&world, reading)), VoidReason::Malformed);
}

#[test]
fn a_key_that_was_never_destroyed_is_never_looked_up() {
    let mut world = started();
    assert!(!world.state.any_key_destroyed);
    let draft = edited(&world, |header| header.data_key = KeyId([42; 16]));
    assert!(is_accepted(&world.file(draft)));
}
