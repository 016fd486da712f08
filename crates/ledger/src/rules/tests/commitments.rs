//! What apply itself puts into the ledger.

use crate::audit::{Audit, EntryFault};
use crate::block::Item;
use crate::commitment::{self, Commitment, EVERY, Leaf};
use crate::id::{Hash, LedgerId, SubjectId};
use crate::map::Summary;
use crate::testing::{NODE, World, founding_block, subject};
use crate::{Frame, Settled};

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
        let expected = Commitment {
            ledger,
            position: 2 * EVERY - 1,
            subjects: map.subjects(),
            root: map.root(),
        };
        assert_eq!(last, expected);
        let about = subject(5);
        let mut says = Summary::NONE;
        for (position, leaf) in (0..).zip(&leaves[..at]) {
            if let Ok(Leaf::Record(header)) = Leaf::decode(leaf)
                && header.subject == about
            {
                says.add(position, &crate::leaf_hash(leaf));
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
    let mut early = leaves.clone();
    early.swap(at, at - 1);
    assert_eq!(fault(&early), (at - 1, EntryFault::Commitment));
}
