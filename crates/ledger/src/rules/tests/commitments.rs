//! What apply itself puts into the ledger.

use crate::audit::{Audit, EntryFault};
use crate::block::Item;
use crate::checkpoint::Checkpoint;
use crate::commitment::{self, Commitment, EVERY, Leaf};
use crate::completeness::{Completeness, NotShown};
use crate::id::{Hash, LedgerId, SubjectId};
use crate::map::Summary;
use crate::proof::range_proof;
use crate::testing::{NODE, World, founding_block, subject};
use crate::tree::Tree;
use crate::{Frame, Settled, TileId, leaf_hash};

/// A ledger beyond two commitments, contributions standing on both sides of them, and its leaves.
fn long(ledger: LedgerId) -> (World, Vec<Vec<u8>>) {
    let founded = founding_block(ledger);
    let content = Frame::parse(&founded.block).unwrap().content().unwrap();
    let Item::Contribution(first) = &content.items[0] else { panic!("a contribution") };
    let mut leaves: Vec<Vec<u8>> =
        first.records.iter().map(|record| record.header.to_vec()).collect();
    let mut world = World::new(ledger);
    let (mut number, mut moved) = (0_u64, Vec::new());
    while world.state.size() < 2 * EVERY + 300 {
        number += 1;
        let subjects: Vec<SubjectId> =
            (0..200).map(|n| subject(1 + ((number * 7 + n * n) % 90) as u8)).collect();
        let draft = world.draft(number, &subjects);
        let id = draft.id;
        let message = world.seal_by(NODE, vec![Item::Contribution(draft)]);
        let applied = world.apply(&message);
        let mut committed = applied.committed.into_iter().peekable();
        for (index, record) in (0..).zip(&applied.records) {
            if let Some(due) = committed.next_if(|due| due.position < record.position) {
                moved.push((due.position, due.changed));
                leaves.push(due.bytes);
            }
            leaves.push(record.header_bytes(&message).to_vec());
            let [(_, Settled::Accepted { first_position, .. })] = applied.settled[..] else {
                panic!("{id} is settled")
            };
            assert_eq!(record.position, commitment::place(first_position, index));
        }
        leaves.extend(committed.map(|due| due.bytes));
    }
    let positions: Vec<u64> = moved.iter().map(|(position, _)| *position).collect();
    assert_eq!(positions, [EVERY - 1, 2 * EVERY - 1]);
    (world, leaves)
}

fn audited(world: &World, leaves: &[Vec<u8>]) -> Result<Hash, (usize, EntryFault)> {
    let (mut audit, mut full) = (Audit::new(world.state.genesis), Vec::new());
    for (at, leaf) in leaves.iter().enumerate() {
        audit.add(leaf, &mut full).map_err(|fault| (at, fault))?;
        if audit.awaits().is_some() {
            let body = world.control_body(leaf_hash(leaf)).unwrap_or_default();
            audit.control(&body).map_err(|fault| (at, fault))?;
        }
    }
    Ok(audit.root())
}

#[test]
fn every_4096th_leaf_commits_to_all_before_it_on_either_side_of_a_contribution() {
    for ledger in [LedgerId::RECORDS, LedgerId::ACCESS] {
        let (world, leaves) = long(ledger);
        assert_eq!(audited(&world, &leaves), Ok(world.state.root()));
        let at = usize::try_from(2 * EVERY - 1).unwrap();
        let Ok(Leaf::Commitment(last)) = Leaf::decode(&leaves[at]) else { panic!("a commitment") };
        let map = world.state.subjects.map();
        let expected = Commitment::new(ledger, 2 * EVERY - 1, map);
        assert_eq!(last, expected);
        let about = subject(5);
        let mut says = Summary::NONE;
        for (position, leaf) in (0..).zip(&leaves[..at]) {
            if let Ok(Leaf::Record(header)) = Leaf::decode(leaf)
                && header.subject == about
            {
                says.add(position, &leaf_hash(leaf));
            }
        }
        assert!(says.count > 20);
        assert_eq!(map.prove(about).verify(about, &last.root), Ok(Some(says)));
        assert_eq!(map.prove(subject(200)).verify(subject(200), &last.root), Ok(None));
    }
}

#[test]
fn a_commitment_to_anything_else_or_at_another_place_is_found() {
    let (world, leaves) = long(LedgerId::ACCESS);
    let at = usize::try_from(EVERY - 1).unwrap();
    let fault = |leaves: &[Vec<u8>]| audited(&world, leaves).unwrap_err();
    let Ok(Leaf::Commitment(right)) = Leaf::decode(&leaves[at]) else { panic!("a commitment") };
    let mut root = right;
    root.root.0[9] ^= 1;
    for wrong in [
        Commitment { subjects: right.subjects - 1, ..right },
        Commitment { position: right.position + EVERY, ..right },
        Commitment { ledger: LedgerId::RECORDS, ..right },
        root,
    ] {
        let mut forged = leaves.clone();
        forged[at] = wrong.encode();
        assert_eq!(fault(&forged), (at, EntryFault::Commitment), "{wrong:?}");
    }
    let mut without = leaves.clone();
    without.remove(at);
    assert_eq!(fault(&without), (at, EntryFault::Commitment));
    let mut early = leaves;
    early.swap(at, at - 1);
    assert_eq!(fault(&early), (at - 1, EntryFault::Commitment));
}

fn is_about(leaf: &[u8], subject: SubjectId) -> bool {
    matches!(Leaf::decode(leaf), Ok(Leaf::Record(header)) if header.subject == subject)
}

/// What shows all about a subject in the first `size` leaves, made without the store.
fn shown(ledger: LedgerId, leaves: &[Vec<u8>], of: SubjectId) -> (Completeness, Checkpoint) {
    let size = leaves.len() as u64;
    let (mut tree, mut full, mut subjects) =
        (Tree::default(), Vec::new(), commitment::Subjects::default());
    for (position, bytes) in (0..).zip(leaves) {
        let leaf = leaf_hash(bytes);
        tree.append(leaf, &mut full);
        match Leaf::decode(bytes).unwrap() {
            Leaf::Record(header) => subjects.add(position, header.subject, leaf),
            Leaf::Commitment(found) => assert_eq!(subjects.commit(ledger, position).0, found),
        }
    }
    let tile = |id: TileId| -> Result<_, ()> {
        let kept = full.iter().find(|tile| tile.id == id).map(|tile| tile.hashes.clone());
        Ok(tree.unfinished(id).map(<[Hash]>::to_vec).or(kept))
    };
    let first = (size / EVERY * EVERY).saturating_sub(1);
    let cut = usize::try_from(first).unwrap();
    let before = (0..).zip(&leaves[..cut]).filter(|(_, leaf)| is_about(leaf, of));
    let completeness = Completeness {
        map: (first > 0).then(|| subjects.map().prove(of)),
        before: before.map(|(position, leaf)| (position, leaf.clone())).collect(),
        first,
        since: leaves[cut..].to_vec(),
        hashes: range_proof(first, size, size, tile).unwrap(),
    };
    (completeness, Checkpoint { origin: "here".to_owned(), size, root: tree.root() })
}

#[test]
fn a_list_that_is_complete_is_shown_to_be_and_no_other() {
    let ledger = LedgerId::ACCESS;
    let (_, leaves) = long(ledger);
    for size in [300, EVERY - 1, EVERY, EVERY + 1, 2 * EVERY + 300] {
        let leaves = &leaves[..usize::try_from(size).unwrap()];
        let often = match Leaf::decode(&leaves[20]) {
            Ok(Leaf::Record(header)) => header.subject,
            other => panic!("{other:?}"),
        };
        for of in [often, SubjectId::ZERO, subject(200)] {
            let (right, checkpoint) = shown(ledger, leaves, of);
            let all: Vec<(u64, &[u8])> = (0..)
                .zip(leaves)
                .filter(|(_, leaf)| is_about(leaf, of))
                .map(|(position, leaf)| (position, leaf.as_slice()))
                .collect();
            assert_eq!(all.is_empty(), of == subject(200));
            assert_eq!(right.verify(of, ledger, &checkpoint), Ok(all));

            let fault = |change: &dyn Fn(&mut Completeness)| {
                let mut wrong = right.clone();
                change(&mut wrong);
                wrong.verify(of, ledger, &checkpoint).unwrap_err()
            };
            assert_eq!(fault(&|it| drop(it.since.pop())), NotShown::Since);
            assert_eq!(fault(&|it| it.since[0][9] ^= 1), NotShown::Since);
            assert_eq!(fault(&|it| it.hashes.push(Hash::ZERO)), NotShown::Since);
            if size < EVERY {
                assert_eq!(
                    fault(&|it| it.before.push((1, leaves[1].clone()))),
                    NotShown::Commitment
                );
                continue;
            }
            assert_eq!(fault(&|it| it.map = None), NotShown::Commitment);
            assert_eq!(fault(&|it| it.map.as_mut().unwrap().siblings[0].0[3] ^= 1), NotShown::Map);
            assert_eq!(fault(&|it| it.before.push((1, vec![7]))), NotShown::Leaf(1));
            let given = right.before.len();
            let counted = given as u64;
            if let [.., last] = right.before.as_slice() {
                for left_out in [0, given / 2, given - 1] {
                    let not_all = NotShown::NotAll { counted, given: counted - 1 };
                    assert_eq!(fault(&|it| drop(it.before.remove(left_out))), not_all);
                }
                let (moved, later) = (right.before[0].0 + 1, last.0);
                if given > 1 {
                    let swapped = fault(&|it| it.before.swap(0, 1));
                    assert!(matches!(swapped, NotShown::Leaf(_)), "{swapped:?}");
                    let elsewhere = fault(&|it| it.before[0].0 = moved);
                    let named = matches!(elsewhere, NotShown::NotAll { .. } | NotShown::Leaf(_));
                    assert!(named, "{elsewhere:?}");
                }
                assert_eq!(fault(&|it| it.before.push(last.clone())), NotShown::Leaf(later));
            }
        }
    }
}
