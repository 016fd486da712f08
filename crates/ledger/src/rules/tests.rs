//! The invariants that the verdict upholds, each in a test of its name. What a single rule refuses
//! is in the modules below.

use super::*;
use crate::block::{Content, Item};
use crate::id::{Hash, LedgerId, NodeId, SubjectId};
use crate::stream::stream_hash;
use crate::testing::*;
use proptest::prelude::*;

mod commitments;
mod contributions;
mod membership;
mod messages;

const OTHER: NodeId = NodeId([2; 16]);

/// What somebody does to the stream. Numbers are taken modulo what is there.
#[derive(Clone, Debug)]
enum Act {
    /// A contribution under this id, on these subjects, decided now.
    File {
        node: bool,
        id: u64,
        subjects: Vec<u8>,
    },
    /// One decided now and published after the next act.
    Delay {
        id: u64,
        subject: u8,
    },
    /// An earlier message again.
    Replay(usize),
    Abandon(u64),
    Junk(Vec<u8>),
    /// An earlier message with a byte changed.
    Spoil {
        message: usize,
        place: usize,
    },
}

fn any_act() -> impl Strategy<Value = Act> {
    let subjects = || proptest::collection::vec(1_u8..5, 1..4);
    prop_oneof![
        6 => (any::<bool>(), 0_u64..40, subjects())
            .prop_map(|(node, id, subjects)| Act::File { node, id, subjects }),
        2 => (0_u64..40, 1_u8..5).prop_map(|(id, subject)| Act::Delay { id, subject }),
        1 => any::<usize>().prop_map(Act::Replay),
        1 => (0_u64..40).prop_map(Act::Abandon),
        1 => proptest::collection::vec(any::<u8>(), 0..40).prop_map(Act::Junk),
        1 => (any::<usize>(), any::<usize>())
            .prop_map(|(message, place)| Act::Spoil { message, place }),
    ]
}

/// Plays acts on a ledger of two nodes and gives it with everything that was applied.
fn play(acts: &[Act]) -> World {
    let mut world = World::records();
    world.admit(OTHER);
    let mut delayed: Option<Vec<u8>> = None;
    for act in acts {
        let late = delayed.take();
        match act {
            Act::File { node, id, subjects } => {
                let node = if *node { NODE } else { OTHER };
                let subjects: Vec<SubjectId> = subjects.iter().map(|of| subject(*of)).collect();
                let draft = world.draft_by(node, *id, &subjects);
                let message = world.seal_by(node, vec![Item::Contribution(draft)]);
                world.apply(&message);
            }
            Act::Delay { id, subject: of } => {
                let draft = world.draft(*id, &[subject(*of)]);
                delayed = Some(world.seal_by(NODE, vec![Item::Contribution(draft)]));
            }
            Act::Replay(which) => {
                let message = world.messages[which % world.messages.len()].clone();
                world.apply(&message);
            }
            Act::Abandon(id) => {
                world.offer(vec![Item::Abandonment(contribution_id(*id))]);
            }
            Act::Junk(bytes) => {
                world.apply(bytes);
            }
            Act::Spoil { message, place } => {
                let mut spoilt = world.messages[message % world.messages.len()].clone();
                if !spoilt.is_empty() {
                    let place = place % spoilt.len();
                    spoilt[place] ^= 0x40;
                }
                world.apply(&spoilt);
            }
        }
        if let Some(message) = late {
            world.apply(&message);
        }
    }
    world
}

/// Replays messages over a "database" that is written every `batch` messages, as a node would that
/// applies them in other batches.
fn replay(messages: &[Vec<u8>], genesis: Hash, batch: usize) -> (State, Memory, Vec<Applied>) {
    let mut state = State::new(LedgerId::RECORDS, genesis);
    let (mut stored, mut all) = (Memory::default(), Vec::new());
    for chunk in messages.chunks(batch) {
        let mut overlay = Overlay::new(&stored);
        let mut fresh = Vec::new();
        for message in chunk {
            let sequence = state.sequence + 1;
            let applied = state.apply(&overlay, sequence, message).unwrap();
            overlay.add(&applied);
            fresh.push(applied);
        }
        fresh.iter().for_each(|applied| stored.add(applied));
        // What a restart keeps is what was stored; the subjects follow from the records.
        let bytes = postcard::to_allocvec(&state).unwrap();
        let subjects = state.subjects;
        state = State { subjects, ..postcard::from_bytes(&bytes).unwrap() };
        all.extend(fresh);
    }
    (state, stored, all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Nodes that applied the same messages have the same verdicts, positions, heads, settled ids,
    /// tiles and root, however they batched them and wherever they restarted.
    #[test]
    fn invariant_1_one_order_one_verdict(
        acts in proptest::collection::vec(any_act(), 1..40),
        batch in 1_usize..9,
    ) {
        let world = play(&acts);
        let (state, memory, applied) = replay(&world.messages, world.state.genesis, batch);
        let (again, _, once_more) = replay(&world.messages, world.state.genesis, usize::MAX);
        prop_assert_eq!(&state, &world.state);
        prop_assert_eq!(&again, &world.state);
        prop_assert_eq!(&memory, &world.memory);
        prop_assert_eq!(&applied, &once_more);
        prop_assert_eq!(state.root(), world.state.root());
    }

    /// Positions have no gap, every chain's records link, and no id is accepted twice.
    #[test]
    fn accepted_records_form_chains_without_gaps(
        acts in proptest::collection::vec(any_act(), 1..40),
    ) {
        let world = play(&acts);
        let (state, _, applied) = replay(&world.messages, world.state.genesis, 5);
        let mut heads = std::collections::BTreeMap::new();
        let mut ids = std::collections::BTreeSet::new();
        let mut position = 0;
        for applied in &applied {
            for record in &applied.records {
                let message = &world.messages[usize::try_from(applied.sequence).unwrap() - 1];
                prop_assert_eq!(record.position, position);
                prop_assert_eq!(record.header_bytes(message), record.header.encode());
                prop_assert_eq!(Hash::of(record.body(message)), record.header.body_hash);
                let (version, hash) =
                    heads.insert(record.header.chain(), (record.header.version, record.leaf))
                        .unwrap_or((0, Hash::ZERO));
                prop_assert_eq!(record.header.version, version + 1);
                prop_assert_eq!(record.header.previous, hash);
                position += 1;
            }
            if let BlockVerdict::Judged(verdicts) = &applied.verdict {
                for verdict in verdicts {
                    if let ItemVerdict::Accepted { contribution, .. } = verdict {
                        prop_assert!(ids.insert(*contribution));
                    }
                }
            }
        }
        prop_assert_eq!(position, state.size());
    }
}

/// The broker's time stamps, keys and views cannot enter the verdict, since apply is not given them;
/// and what it is given it does not change while it judges.
#[test]
fn invariant_1_a_failed_look_up_changes_nothing() {
    /// History whose heads cannot be read.
    struct Broken<'a>(&'a Memory);
    impl Lookup for Broken<'_> {
        type Error = &'static str;
        fn head(&self, _: SubjectId) -> Result<Option<ChainHead>, Self::Error> {
            Err("the disk is gone")
        }
        fn settled(&self, id: &crate::id::ContributionId) -> Result<Option<Settled>, Self::Error> {
            let Ok(settled) = self.0.settled(id);
            Ok(settled)
        }
        fn stream_hash_at(&self, _: u64) -> Result<Option<Hash>, Self::Error> {
            Ok(None)
        }
        fn destroyed(&self, _: crate::id::KeyId) -> Result<bool, Self::Error> {
            Ok(false)
        }
    }
    let mut world = World::records();
    let items = vec![
        Item::Abandonment(contribution_id(7)),
        Item::Contribution(world.draft(1, &[subject(1)])),
    ];
    let message = world.seal_by(NODE, items);
    let before = world.state.clone();
    let failed = world.state.apply(&Broken(&world.memory), 2, &message);
    assert_eq!(failed, Err(ApplyError::Lookup("the disk is gone")));
    assert_eq!(world.state, before);
    assert!(world.try_apply(&message).is_ok(), "and it can be tried again");
}

/// Two writers decide on the same head; both blocks are published; one is accepted, the other void.
/// The loser decides anew and is accepted under the same id.
#[test]
fn invariant_2_apply_decides_not_publish() {
    let mut world = World::records();
    world.admit(OTHER);
    let first = world.draft_by(NODE, 1, &[subject(1)]);
    let second = world.draft_by(OTHER, 2, &[subject(1), subject(2)]);
    let one = world.seal_by(NODE, vec![Item::Contribution(first)]);
    let two = world.seal_by(OTHER, vec![Item::Contribution(second)]);
    assert!(is_accepted(&judged(&world.apply(&one))[0]));
    let lost = world.apply(&two);
    assert_eq!(void(&judged(&lost)[0]), VoidReason::Stale);
    assert!(lost.records.is_empty() && lost.heads.is_empty() && lost.settled.is_empty());
    assert_eq!(world.head(subject(2)), None, "void whole, the untouched subject too");

    let anew = world.draft_by(OTHER, 2, &[subject(1), subject(2)]);
    let again = world.seal_by(OTHER, vec![Item::Contribution(anew)]);
    assert!(is_accepted(&judged(&world.apply(&again))[0]), "void does not settle the id");
    assert_eq!(world.head(subject(1)).unwrap().version, 2);
}

/// Two registrations of one hospital number read and append to one bucket of the registry.
#[test]
fn invariant_2_two_registrations_of_one_number_cannot_both_win() {
    let (bucket, ann, bea) = (subject(9), subject(1), subject(2));
    let mut world = World::records();
    world.admit(OTHER);
    let drafts =
        [world.draft_by(NODE, 1, &[ann, bucket]), world.draft_by(OTHER, 2, &[bea, bucket])];
    let [first, second] = drafts;
    let one = world.seal_by(NODE, vec![Item::Contribution(first)]);
    let two = world.seal_by(OTHER, vec![Item::Contribution(second)]);
    assert!(is_accepted(&judged(&world.apply(&one))[0]));
    assert_eq!(void(&judged(&world.apply(&two))[0]), VoidReason::Stale);
    assert_eq!((world.head(ann).is_some(), world.head(bea)), (true, None));
}

/// A block published twice does no harm, at once or much later.
#[test]
fn invariant_2_a_block_published_twice_does_no_harm() {
    let mut world = World::records();
    let draft = world.draft(1, &[subject(1)]);
    let message = world.seal_by(NODE, vec![Item::Contribution(draft)]);
    let ItemVerdict::Accepted { first_position, .. } = judged(&world.apply(&message))[0] else {
        panic!()
    };
    let (size, root) = (world.state.size(), world.state.root());
    let duplicate = VoidReason::Duplicate { first_position };
    assert_eq!(void(&judged(&world.apply(&message))[0]), duplicate);
    assert_eq!((world.state.size(), world.state.root()), (size, root));
    for number in 2..50 {
        let draft = world.draft(number, &[subject(1)]);
        assert!(is_accepted(&world.file(draft)));
    }
    assert_eq!(void(&judged(&world.apply(&message))[0]), duplicate);
}

/// Whichever applies first, acceptance or abandonment, is final.
#[test]
fn invariant_4_settled_once_for_ever() {
    let mut world = World::records();
    let late = world.draft(1, &[subject(1)]);
    let id = late.id;
    let abandoned = world.offer(vec![Item::Abandonment(id)]);
    assert_eq!(abandoned, [ItemVerdict::Abandoned { contribution: id }]);
    assert_eq!(void(&world.file(late)), VoidReason::Abandoned);
    let anew = world.draft(1, &[subject(2)]);
    assert_eq!(void(&world.file(anew)), VoidReason::Abandoned);

    let draft = world.draft(2, &[subject(1)]);
    let id = draft.id;
    assert!(is_accepted(&world.file(draft)));
    let ignored = vec![ItemVerdict::Ignored { contribution: id }];
    assert_eq!(world.offer(vec![Item::Abandonment(id)]), ignored);
    let Ok(settled) = world.memory.settled(&id);
    assert!(matches!(settled, Some(Settled::Accepted { first_position: 2, count: 1, .. })));
}

/// A gap stops apply, and so does a message that was already applied.
#[test]
fn invariant_5_a_gap_is_damage() {
    let mut world = World::records();
    let message = world.seal_by(NODE, Vec::new());
    let before = world.state.clone();
    for got in [0, 1, 3, u64::MAX] {
        let stopped = world.state.apply(&world.memory, got, &message);
        assert_eq!(stopped, Err(ApplyError::Gap { expected: 2, got }));
        assert_eq!(world.state, before);
    }
}

/// A block whose writer stood on another history is refused and named.
#[test]
fn invariant_5_a_changed_past_is_refused() {
    let mut world = World::records();
    for number in 0..3 {
        let draft = world.draft(number, &[subject(1)]);
        assert!(is_accepted(&world.file(draft)));
    }
    let (old, now) = (world.state.stream_hash, world.state.sequence);
    let Ok(second) = world.memory.stream_hash_at(2);
    let good = [base(0, Hash::ZERO), base(2, second.unwrap()), base(now, old)];
    let bad = [
        base(0, old),
        base(2, old),
        base(now, Hash::ZERO),
        base(now + 1, old),
        base(u64::MAX, old),
    ];
    let on = |world: &World, base| {
        let draft = world.draft(77, &[subject(7)]);
        let items = vec![Item::Contribution(draft)];
        world.seal_content(NODE, &Content { sealed_at: START, base, items })
    };
    for base in bad {
        let mut world = world.clone();
        let message = on(&world, base);
        let (size, root, hash) = (world.state.size(), world.state.root(), world.state.stream_hash);
        let applied = world.apply(&message);
        assert_eq!(refusal(&applied), Refusal::BadBase(base));
        assert_eq!(applied.node, Some(NODE));
        assert_eq!((world.state.size(), world.state.root()), (size, root));
        assert_eq!(applied.stream_hash, stream_hash(&hash, now + 1, &message), "kept all the same");
    }
    for base in good {
        let mut world = world.clone();
        let message = on(&world, base);
        assert!(is_accepted(&judged(&world.apply(&message))[0]));
    }
}

/// A stream hash that should be known and is not is damage, not a verdict.
#[test]
fn invariant_5_missing_history_stops_apply() {
    let mut world = World::records();
    let at_1 = world.state.base();
    let filler = world.seal_by(NODE, Vec::new());
    world.apply(&filler);
    let content = Content { sealed_at: START, base: at_1, items: Vec::new() };
    let message = world.seal_content(NODE, &content);
    let stopped = world.state.apply(&Memory::default(), 3, &message);
    assert_eq!(stopped, Err(ApplyError::HistoryMissing { sequence: 1 }));
}
