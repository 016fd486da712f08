//! Control records: who may write, by which rules, which keys are gone.

use super::*;
use crate::control::{Control, NodeKeys};
use crate::id::KeyId;
use crate::testing::node_keys;

fn retirement(node: NodeId) -> Control {
    Control::NodeRetired { node, signatures: Vec::new() }
}

fn raise(rules: u16) -> Control {
    Control::RulesRaised { rules, signatures: Vec::new() }
}

fn destruction(key: KeyId) -> Control {
    Control::KeyDestroyed { key, subject: subject(1), signatures: Vec::new() }
}

fn verdict(world: &World, control: Control) -> ItemVerdict {
    let mut world = world.clone();
    let contribution = world.control(500, control);
    world.file(contribution)
}

#[test]
fn a_node_writes_from_its_admission_to_its_retirement() {
    let mut world = World::records();
    world.admit(OTHER);
    assert_eq!(world.state.authority.active_count(), 2);
    let draft = world.draft_by(OTHER, 1, &[subject(1)]);
    let message = world.seal_by(OTHER, vec![Item::Contribution(draft)]);
    assert!(is_accepted(&judged(&world.apply(&message))[0]));

    let retire = world.control(2, retirement(OTHER));
    assert!(is_accepted(&world.file(retire)));
    let message = world.seal_by(OTHER, Vec::new());
    assert_eq!(refusal(&world.apply(&message)), Refusal::RetiredNode);
    assert_eq!(world.state.authority.active_count(), 1);
}

#[test]
fn admission_counts_from_the_next_block() {
    let mut world = World::records();
    let admitted = world.control(1, admission(OTHER));
    let message = world.seal_by(NODE, vec![Item::Contribution(admitted)]);
    let by_other = world.seal_by(OTHER, Vec::new());
    assert_eq!(refusal(&world.clone().apply(&by_other)), Refusal::NotAMember);
    world.apply(&message);
    assert_eq!(judged(&world.apply(&by_other)), [], "base is older, membership is not");
}

#[test]
fn what_was_used_never_comes_back() {
    let mut world = World::records();
    let old = world.control(1, admission(OTHER));
    assert!(is_accepted(&world.file(old)));
    let retire = world.control(2, retirement(OTHER));
    assert!(is_accepted(&world.file(retire)));

    assert_eq!(void(&verdict(&world, admission(OTHER))), VoidReason::NotAuthorised);
    let of = |node: u8, keys: NodeKeys| Control::NodeAdmitted {
        node: NodeId([node; 16]),
        keys,
        signatures: Vec::new(),
    };
    let with = |node: u8, block: u8, checkpoint: u8| of(node, node_keys(block, checkpoint));
    let cosigning = |cosigner| of(3, NodeKeys { cosigner, ..node_keys(3, 103) });
    assert!(is_accepted(&verdict(&world, with(3, 3, 103))));
    let refused = [
        with(0, 3, 103),             // the id that stands for none
        with(3, 2, 103),             // a retired node's block key
        with(3, 3, 102),             // its checkpoint key
        with(3, 102, 103),           // its checkpoint key as a block key
        with(3, 3, 3),               // one key for both
        with(3, ADMINISTRATOR, 103), // an administrator's key
        cosigning(public(152)),      // a retired node's cosigner key
        cosigning(public(103)),      // its own checkpoint key
        of(3, NodeKeys { block: [0; 32], ..node_keys(3, 103) }), // a weak key
    ];
    for control in refused {
        assert_eq!(void(&verdict(&world, control)), VoidReason::NotAuthorised);
    }
}

#[test]
fn control_records_need_the_administrators() {
    let mut world = World::records();
    world.admit(OTHER);
    let controls =
        [admission(NodeId([3; 16])), retirement(OTHER), raise(2), destruction(KeyId([8; 16]))];
    for control in controls {
        assert!(is_accepted(&verdict(&world, control.clone())));
        let mut trial = world.clone();
        let unsigned = trial.control_unsigned(1, &control);
        assert_eq!(void(&trial.file(unsigned)), VoidReason::NotAuthorised);
        let mut forged = control;
        forged.sign(&world.state.genesis, 0, &key(block_seed(NODE)));
        let forged = trial.control_unsigned(2, &forged);
        assert_eq!(void(&trial.file(forged)), VoidReason::NotAuthorised);
        assert_eq!(trial.state.authority, world.state.authority);
    }
}

#[test]
fn the_last_node_and_unknown_nodes_are_not_retired() {
    let mut world = World::records();
    assert_eq!(void(&verdict(&world, retirement(NODE))), VoidReason::NotAuthorised);
    world.admit(OTHER);
    assert_eq!(void(&verdict(&world, retirement(NodeId([9; 16])))), VoidReason::NotAuthorised);
    assert!(is_accepted(&verdict(&world, retirement(NODE))));
}

#[test]
fn a_second_genesis_founds_nothing() {
    let world = World::records();
    let genesis = Control::Genesis(crate::Genesis {
        ledger: LedgerId::RECORDS,
        created_at: START,
        administrators: vec![public(66)],
        threshold: 1,
        rules: 1,
        name: "mine".to_owned(),
    });
    assert_eq!(void(&verdict(&world, genesis)), VoidReason::NotAuthorised);
}

#[test]
fn a_control_record_stands_alone() {
    let mut world = World::records();
    let mut mixed = world.draft(1, &[subject(1), subject(2)]);
    let control = world.control(1, admission(OTHER)).records.remove(0);
    mixed.records[1] = control;
    edit(&mut mixed.records[1], |header| {
        header.index = 1;
        header.count = 2;
    });
    assert_eq!(void(&world.file(mixed)), VoidReason::Malformed);
    let mut unknown = world.control(2, admission(OTHER));
    let header = crate::Header::decode(&unknown.records[0].header).unwrap();
    unknown.records[0] = seal(header, &[9, 1, 2, 3]);
    assert_eq!(void(&world.file(unknown)), VoidReason::Malformed);
}

/// Raised rules bind from the next block on; a program that does not know them stops there.
#[test]
fn invariant_1_unknown_rules_stop_apply() {
    let mut world = World::records();
    for old in [0, 1] {
        assert_eq!(void(&verdict(&world, raise(old))), VoidReason::NotAuthorised);
    }
    let raised = world.control(1, raise(2));
    let after = world.draft(2, &[subject(1)]);
    let verdicts = world.offer(vec![Item::Contribution(raised), Item::Contribution(after)]);
    assert!(verdicts.iter().all(is_accepted), "the block itself is judged by the old rules");
    let before = world.state.clone();
    for message in [world.seal_by(NODE, Vec::new()), b"junk".to_vec()] {
        assert_eq!(world.try_apply(&message), Err(ApplyError::UnknownRules { rules: 2 }));
    }
    assert_eq!(world.state, before);
}

#[test]
fn nothing_new_under_a_destroyed_key() {
    let mut world = World::records();
    let used = world.draft(1, &[subject(1)]);
    let key = crate::Header::decode(&used.records[0].header).unwrap().data_key;
    assert!(is_accepted(&world.file(used)));
    let late = world.draft(2, &[subject(1)]);
    let destroyed = world.control(3, destruction(key));
    let verdicts = world.offer(vec![Item::Contribution(destroyed), Item::Contribution(late)]);
    assert!(is_accepted(&verdicts[0]));
    assert_eq!(void(&verdicts[1]), VoidReason::KeyDestroyed, "in the same block already");
    let later = world.draft(4, &[subject(1)]);
    assert_eq!(void(&world.file(later)), VoidReason::KeyDestroyed);
    assert_eq!(void(&verdict(&world, destruction(key))), VoidReason::KeyDestroyed);

    let mut other = world.draft(5, &[subject(1)]);
    edit(&mut other.records[0], |header| header.data_key = KeyId([77; 16]));
    assert!(is_accepted(&world.file(other)), "another key is not touched");
}

#[test]
fn the_trail_goes_on_under_a_destroyed_key() {
    let mut world = World::new(LedgerId::ACCESS);
    let used = world.draft(1, &[subject(1)]);
    let key = crate::Header::decode(&used.records[0].header).unwrap().data_key;
    let destroyed = world.control(2, destruction(key));
    assert!(is_accepted(&world.file(destroyed)));
    assert!(is_accepted(&world.file(used)));
}
