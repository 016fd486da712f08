use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::assert_golden;

/// Subjects that share long beginnings as well as ones that do not.
fn subject() -> impl Strategy<Value = SubjectId> {
    prop_oneof![
        any::<[u8; 16]>().prop_map(SubjectId),
        (0_u8..6, 0_u8..16).prop_map(|(byte, bit)| {
            let mut id = [0x55; 16];
            id[15] = byte;
            id[0] ^= 1 << (bit % 8);
            SubjectId(id)
        }),
    ]
}

fn leaves() -> impl Strategy<Value = Vec<SubjectLeaf>> {
    let one = (subject(), any::<[u8; 32]>());
    proptest::collection::vec(one, 0..200).prop_map(|leaves| {
        let leaf = |(position, (subject, leaf)): (u64, (SubjectId, [u8; 32]))| SubjectLeaf {
            subject,
            position,
            leaf: Hash(leaf),
        };
        (0..).zip(leaves).map(leaf).collect()
    })
}

/// The map as its definition reads, without any tree.
fn plainly(leaves: &[SubjectLeaf]) -> (BTreeMap<SubjectId, Summary>, Hash) {
    let mut said: BTreeMap<SubjectId, Summary> = BTreeMap::new();
    for leaf in leaves {
        said.entry(leaf.subject).or_insert(Summary::NONE).add(leaf.position, &leaf.leaf);
    }
    let entry = |(subject, summary): (&SubjectId, &Summary)| Entry::new((*subject, *summary));
    let list: Vec<_> = said.iter().map(entry).collect();
    let root = root_of(&list, 0);
    (said, root)
}

proptest! {
    #[test]
    fn however_it_came_to_be_it_is_the_map_of_its_leaves(
        leaves in leaves(),
        cuts in proptest::collection::vec(1_usize..60, 1..8),
    ) {
        let (said, root) = plainly(&leaves);
        let (mut map, mut rest, mut cuts) = (Map::default(), leaves.as_slice(), cuts.iter().cycle());
        while !rest.is_empty() {
            let before = map.clone();
            let (now, later) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
            let changed = map.add(now);
            prop_assert!(changed.iter().all(|(subject, now)| map.get(*subject) == Some(*now)));
            prop_assert_eq!(before.root(), plainly(&leaves[..leaves.len() - rest.len()]).1);
            rest = later;
        }
        prop_assert_eq!(map.root(), root);
        prop_assert_eq!(map.subjects(), said.len() as u64);
        let all = said.into_iter().rev().collect();
        prop_assert_eq!(Map::new(all), map);
    }

    #[test]
    fn what_it_says_is_proved_and_nothing_else(leaves in leaves(), asked in subject(), flip in any::<u16>()) {
        let (said, root) = plainly(&leaves);
        let mut map = Map::default();
        map.add(&leaves);
        for subject in said.keys().copied().chain([asked]) {
            let mut proof = map.prove(subject);
            let says = said.get(&subject).copied();
            prop_assert_eq!(proof.verify(subject, &root), Ok(says));
            prop_assert_eq!(map.get(subject), says);
            // Whoever says something else has another root.
            match &mut proof.end {
                End::Nobody => proof.end = End::Subject(subject, Summary::NONE),
                End::Subject(_, summary) if flip % 2 == 0 => summary.count += 1,
                End::Subject(..) => proof.end = End::Nobody,
            }
            prop_assert_eq!(proof.verify(subject, &root), Err(NotTheRoot));
        }
    }

    #[test]
    fn a_proof_about_another_place_says_nothing(leaves in leaves(), asked in subject()) {
        let mut map = Map::default();
        map.add(&leaves);
        let known: Vec<SubjectId> = match map.prove(asked).end {
            End::Subject(other, _) if other != asked => vec![other],
            End::Subject(..) | End::Nobody => Vec::new(),
        };
        for other in known {
            // The neighbour's own proof is longer or the same; taken for the asked one's place, it
            // must not show that the asked one is unknown where the ways part.
            let mut proof = map.prove(other);
            let parted = (0..MAX_DEPTH).find(|at| bit(other, *at) != bit(asked, *at)).unwrap();
            if proof.siblings.len() > parted {
                prop_assert_eq!(proof.verify(asked, &map.root()), Err(NotTheRoot));
            }
            proof.siblings.push(Hash::ZERO);
            prop_assert_eq!(proof.verify(other, &map.root()), Err(NotTheRoot));
        }
    }
}

#[test]
fn a_subject_that_comes_twice_counts_once() {
    let summary = |last| Summary { count: 1, last, chained: Hash([9; 32]) };
    let subject = |byte| SubjectId([byte; 16]);
    for many in [1, 2 * FEW] {
        let once: Vec<_> = (0..).map(subject).zip((0..).map(summary)).take(many).collect();
        let twice = once.iter().copied().chain([(subject(0), summary(7))]).collect();
        let map = Map::new(twice);
        assert_eq!((map.subjects(), &map), (many as u64, &Map::new(once)));
    }
}

#[test]
fn the_hashes_are_those_of_its_definition() {
    let mut map = Map::default();
    assert_eq!(map.root(), Hash::ZERO);
    let leaf = |subject: u8, position| SubjectLeaf {
        subject: SubjectId([subject; 16]),
        position,
        leaf: Hash([u8::try_from(position).unwrap(); 32]),
    };
    map.add(&[leaf(0x11, 0), leaf(0x12, 1), leaf(0xf0, 2), leaf(0x11, 3)]);
    assert_golden("map_root_v1", &map.root().0);
}
