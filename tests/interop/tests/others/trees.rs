//! Trees, tiles and proofs.

use ledger::tree::TileId;
use ledger::{Hash, Tree};
use proptest::prelude::*;
use tlog_tiles::tile::TileHashReader;
use tlog_tiles::tlog;

use crate::forest::{Forest, Served, continues, is_included, ours, theirs};

/// Random logs: two seconds in all.
const CASES: u32 = 150;
/// Damages tried on each proof.
const DAMAGES: u64 = 8;

/// Sizes of logs: small ones and some about the edges of tiles.
fn sizes() -> impl Strategy<Value = u64> {
    prop_oneof![
        1 => 1_u64..10,
        4 => 1_u64..3_000,
        2 => (1_u64..9, 0_u64..5).prop_map(|(tiles, offset)| 256 * tiles + offset - 2),
    ]
}

/// A stream of numbers for one case, so that damages need no strategies of their own.
struct Numbers(u64, u64);

impl Numbers {
    /// From 0 to below `end`, which is not 0.
    fn below(&mut self, end: u64) -> u64 {
        self.1 += 1;
        let hash = Hash::of(&[self.0.to_be_bytes(), self.1.to_be_bytes()].concat()).0;
        u64::from_be_bytes(*hash.first_chunk().unwrap()) % end
    }

    /// Another one below `end`, which is more than 1.
    fn other(&mut self, than: u64, end: u64) -> u64 {
        (than + 1 + self.below(end - 1)) % end
    }

    fn flip(&mut self, hash: &mut Hash) {
        let bit = usize::try_from(self.below(256)).unwrap();
        hash.0[bit / 8] ^= 1 << (bit % 8);
    }

    /// One bit of one hash changed, the last one lost, one put in or two exchanged; what came out
    /// the same is none.
    fn damage(&mut self, proof: &[Hash]) -> Option<Vec<Hash>> {
        let mut damaged = proof.to_vec();
        let place = |numbers: &mut Self, end| usize::try_from(numbers.below(end)).unwrap();
        let count = proof.len() as u64;
        match self.below(4) {
            0 if count > 0 => {
                let at = place(self, count);
                self.flip(&mut damaged[at]);
            }
            1 if count > 0 => drop(damaged.pop()),
            2 if count > 1 => damaged.swap(place(self, count), place(self, count)),
            _ => damaged.insert(place(self, count + 1), Hash::of(&self.1.to_be_bytes())),
        }
        (damaged != proof).then_some(damaged)
    }
}

/// One leaf's proof in the first `size` leaves: good for all, and damaged for none.
fn inclusion_is_one(forest: &Forest, index: u64, size: u64, numbers: &mut Numbers) {
    let (root, leaf) = (forest.root_at(size), forest.leaf(index));
    let proof = forest.inclusion(index, size);
    assert!(is_included(index, size, &leaf, &proof, root), "{index} of {size}");
    for _ in 0..DAMAGES {
        if let Some(damaged) = numbers.damage(&proof) {
            assert!(!is_included(index, size, &leaf, &damaged, root), "{index} of {size}: damaged");
        }
        let mut wrong = root;
        numbers.flip(&mut wrong);
        assert!(!is_included(index, size, &leaf, &proof, wrong), "another root");
        let mut wrong = leaf.clone();
        let bit = usize::try_from(numbers.below(8 * leaf.len() as u64)).unwrap();
        wrong[bit / 8] ^= 1 << (bit % 8);
        assert!(!is_included(index, size, &wrong, &proof, root), "another leaf");
        assert!(!is_included(size + numbers.below(3), size, &leaf, &proof, root), "beyond the end");
        if size > 1 {
            let wrong = numbers.other(index, size);
            assert!(!is_included(wrong, size, &leaf, &proof, root), "{index} as {wrong} of {size}");
        }
        if forest.size() > 1 {
            // A size comes with its root. (The path of a leaf is the same in trees of several sizes,
            // so a root with a size that is not its own proves nothing; that all three then say the
            // same is held here too.)
            let wrong = 1 + numbers.other(size - 1, forest.size());
            let wrong_root = forest.root_at(wrong);
            assert!(!is_included(index, wrong, &leaf, &proof, wrong_root), "{size} as {wrong}");
            is_included(index, wrong, &leaf, &proof, root);
        }
    }
}

/// The proof from the first `first` to the first `second` leaves: good for all, damaged for none.
fn consistency_is_one(forest: &Forest, first: u64, second: u64, numbers: &mut Numbers) {
    let (old, new) = ((first, forest.root_at(first)), (second, forest.root_at(second)));
    let proof = forest.consistency(first, second);
    assert!(continues(old, new, &proof), "{first} to {second}");
    for _ in 0..DAMAGES {
        if let Some(damaged) = numbers.damage(&proof) {
            assert!(!continues(old, new, &damaged), "{first} to {second}: damaged");
        }
        let (mut one, mut other) = (old, new);
        numbers.flip(&mut one.1);
        numbers.flip(&mut other.1);
        assert!(!continues(one, new, &proof), "another first root");
        assert!(!continues(old, other, &proof), "another second root");
        assert!(!continues((0, one.1), new, &proof), "from nothing");
        assert!(first == second || !continues(new, old, &proof), "backwards");
        if forest.size() > 1 {
            let wrong = 1 + numbers.other(first - 1, forest.size());
            let wrong = (wrong, forest.root_at(wrong));
            assert!(!continues(wrong, new, &proof), "{first} as {}", wrong.0);
            continues((wrong.0, old.1), new, &proof);
            let wrong = 1 + numbers.other(second - 1, forest.size());
            let wrong = (wrong, forest.root_at(wrong));
            assert!(!continues(old, wrong, &proof), "{second} as {}", wrong.0);
            continues(old, (wrong.0, new.1), &proof);
        }
    }
}

/// `tlog_tiles` checks our tiles against our root and reads the same proofs from them. What it reads
/// where one bit of a tile has changed holds for nobody. (Mostly it refuses the tile; it leaves some
/// unchecked where several subtrees of the root lie in one tile.)
fn tiles_are_read(forest: &Forest, first: u64, index: u64, bit: usize) {
    let (size, root) = (forest.size(), forest.root());
    let served = Served { forest, spoilt: None };
    let reader = TileHashReader::new(size, theirs(root), &served);
    let right = forest.inclusion(index, size);
    assert_eq!(ours(tlog::prove_record(size, index, &reader).unwrap()), right);
    let consistent = tlog::prove_tree(size, first, &reader).unwrap();
    assert_eq!(ours(consistent), forest.consistency(first, size));
    let spoilt = Some((TileId { level: 0, index: index / 256 }, bit));
    let served = Served { forest, spoilt };
    let reader = TileHashReader::new(size, theirs(root), &served);
    if let Ok(read) = tlog::prove_record(size, index, &reader) {
        let read = ours(read);
        let held = is_included(index, size, &forest.leaf(index), &read, root);
        assert_eq!(held, read == right, "leaf {index} of {size} from a spoilt tile");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn random_logs_have_the_same_roots_and_proofs(seed: u64, old in sizes(), more in sizes()) {
        let mut forest = Forest::new(seed);
        forest.grow(old);
        let earlier = forest.root();
        let (size, mut numbers) = (old.max(more), Numbers(seed, 0));
        forest.grow(size);
        forest.root();
        prop_assert_eq!(forest.root_at(old), earlier);
        for within in [old, size] {
            inclusion_is_one(&forest, numbers.below(within), within, &mut numbers);
        }
        inclusion_is_one(&forest, size - 1, size, &mut numbers);
        consistency_is_one(&forest, old, size, &mut numbers);
        consistency_is_one(&forest, size, size, &mut numbers);
        consistency_is_one(&forest, 1 + numbers.below(size), size, &mut numbers);
        let bit = usize::try_from(numbers.below(1 << 20)).unwrap();
        tiles_are_read(&forest, old, numbers.below(size), bit);
    }
}

/// Every size about the first edges and those of the third level, which random logs never reach.
#[test]
fn the_edges_of_tiles_have_the_same_roots_and_proofs() {
    let edges = [256, 512, 1024, 2048, 4096, 65_536, 65_536 + 256];
    let about = edges.iter().flat_map(|edge| edge - 2..=edge + 2);
    let mut forest = Forest::new(1);
    let mut numbers = Numbers(1, 0);
    let mut last = 1;
    for size in about {
        forest.grow(size);
        forest.root();
        for index in [0, size / 2, size - 1, numbers.below(size)] {
            inclusion_is_one(&forest, index, size, &mut numbers);
        }
        for first in [1, last, size - 1, size, 1 + numbers.below(size)] {
            consistency_is_one(&forest, first, size, &mut numbers);
        }
        let bit = usize::try_from(numbers.below(1 << 20)).unwrap();
        tiles_are_read(&forest, last, numbers.below(size), bit);
        last = size;
    }
}

#[test]
fn the_empty_log_is_the_same_and_proves_nothing() {
    let forest = Forest::new(0);
    assert_eq!(forest.root(), Tree::default().root());
    assert_eq!(tlog::EMPTY_HASH, theirs(forest.root()));
    let (empty, one) = ((0, forest.root()), (1, Hash::of(b"one")));
    // One policy for all three: an empty tree has no leaf, and nothing is shown by growing from it.
    assert!(!is_included(0, 0, &Vec::new(), &[], empty.1));
    assert!(!continues(empty, empty, &[]));
    assert!(!continues(empty, one, &[]));
    assert!(!continues(empty, one, &[one.1]));
}
