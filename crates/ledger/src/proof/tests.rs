use super::*;
use crate::tree::tests::{by_definition, grown, leaves};
use crate::tree::{FullTile, Tree};
use base64::Engine as _;
use proptest::prelude::*;
use std::path::PathBuf;

fn at(place: u64) -> usize {
    usize::try_from(place).unwrap()
}

/// Serves tiles as a store does: the unfinished ones from the tree, the rest from what was kept.
fn serve<'a>(
    tree: &'a Tree,
    full: &'a [FullTile],
) -> impl FnMut(TileId) -> Result<Option<Vec<Hash>>, ()> + use<'a> {
    move |id| {
        let kept = || full.iter().find(|tile| tile.id == id).map(|tile| tile.hashes.clone());
        Ok(tree.unfinished(id).map(<[Hash]>::to_vec).or_else(kept))
    }
}

#[test]
fn every_leaf_of_every_small_tree_is_proven_and_nothing_else() {
    let leaves = leaves(40);
    let (tree, full) = grown(&leaves);
    for size in 1..=40 {
        let root = by_definition(&leaves[..at(size)]);
        for index in 0..size {
            let proof = inclusion_proof(index, size, serve(&tree, &full)).unwrap();
            let leaf = &leaves[at(index)];
            assert!(verify_inclusion(index, size, leaf, &proof, &root), "{index} of {size}");
            assert!(!verify_inclusion(index + 1, size, leaf, &proof, &root));
            assert!(!verify_inclusion(index, size, &Hash::ZERO, &proof, &root));
            let longer = [proof.as_slice(), &[Hash::ZERO]].concat();
            assert!(!verify_inclusion(index, size, leaf, &longer, &root));
        }
        for first in 1..=size {
            let old = by_definition(&leaves[..at(first)]);
            let proof = consistency_proof(first, size, serve(&tree, &full)).unwrap();
            assert!(verify_consistency(first, size, &old, &root, &proof), "{first} to {size}");
            assert!(!verify_consistency(first, size, &Hash::ZERO, &root, &proof));
            assert!(!verify_consistency(first, size, &old, &Hash::ZERO, &proof));
        }
    }
}

#[test]
fn proofs_for_older_sizes_come_from_tiles_that_are_full_now() {
    let leaves = leaves(70_000);
    let (tree, full) = grown(&leaves);
    for size in [1, 255, 256, 257, 511, 65_536, 65_537, 66_000, 70_000_u64] {
        let root = root_at(size, serve(&tree, &full)).unwrap();
        assert_eq!(root, by_definition(&leaves[..at(size)]), "{size}");
        for index in [0, size / 2, size - 1] {
            let proof = inclusion_proof(index, size, serve(&tree, &full)).unwrap();
            assert!(verify_inclusion(index, size, &leaves[at(index)], &proof, &root));
        }
        let proof = consistency_proof(size, 70_000, serve(&tree, &full)).unwrap();
        assert!(verify_consistency(size, 70_000, &root, &tree.root(), &proof), "{size}");
    }
}

#[test]
fn every_range_of_every_small_tree_is_proven_and_nothing_else() {
    let leaves = leaves(24);
    let (tree, full) = grown(&leaves);
    for size in 1..=24 {
        let root = by_definition(&leaves[..at(size)]);
        for (first, end) in
            (0..size).flat_map(|first| (first + 1..=size).map(move |end| (first, end)))
        {
            let proof = range_proof(first, end, size, serve(&tree, &full)).unwrap();
            let range = &leaves[at(first)..at(end)];
            assert_eq!(root_of_range(first, range, size, &proof), Some(root), "{first}..{end}");
            assert_ne!(root_of_range(first, &range[1..], size, &proof), Some(root));
            assert_ne!(root_of_range(first + 1, range, size, &proof), Some(root));
            // Of another size as well only where nothing behind the range is shown.
            assert!(end < size || root_of_range(first, range, size + 1, &proof) != Some(root));
            let mut other = range.to_vec();
            other[at(end - first) / 2].0[5] ^= 4;
            assert_ne!(root_of_range(first, &other, size, &proof), Some(root));
            let longer = [proof.as_slice(), &[Hash::ZERO]].concat();
            assert_eq!(root_of_range(first, range, size, &longer), None);
        }
    }
    let out = |first, end| range_proof(first, end, 24, serve(&tree, &full)).is_err();
    assert!(out(3, 3) && out(5, 3) && out(3, 25));
}

#[test]
fn what_cannot_be_proven_is_named() {
    let leaves = leaves(300);
    let (tree, full) = grown(&leaves);
    let out = Err(ProofError::OutOfRange { size: 300 });
    assert_eq!(inclusion_proof(300, 300, serve(&tree, &full)), out);
    assert_eq!(consistency_proof(0, 300, serve(&tree, &full)), out);
    assert_eq!(consistency_proof(301, 300, serve(&tree, &full)), out);
    let none = |_| Ok::<_, ()>(None);
    let missing = Err(ProofError::TileMissing { level: 0, index: 1 });
    assert_eq!(inclusion_proof(3, 300, none), missing);
    assert_eq!(inclusion_proof(3, 300, |_| Err(())), Err(ProofError::Tiles(())));
}

proptest! {
    #[test]
    fn a_changed_proof_does_not_hold(
        size in 2_u64..1000,
        index: u64,
        place: usize,
        bit in 0_usize..256,
    ) {
        let leaves = leaves(size);
        let (tree, full) = grown(&leaves);
        let index = index % size;
        let mut proof = inclusion_proof(index, size, serve(&tree, &full)).unwrap();
        let leaf = &leaves[at(index)];
        prop_assert!(verify_inclusion(index, size, leaf, &proof, &tree.root()));
        let place = place % proof.len();
        proof[place].0[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(!verify_inclusion(index, size, leaf, &proof, &tree.root()));
    }
}

/// The public vectors of transparency-dev/merkle, where they are at hand: 98 inclusion and 98
/// consistency proofs, of each of which 6 are good. Every one is held to what it wants; none is left
/// out. In some a bare reading of the RFC leaves the verdict open, and it is policy, ours as theirs:
/// nothing is in or grows from a tree of size 0, not even with an empty proof, and a hash that is not
/// of 32 bytes makes a proof bad (here it cannot even be expressed).
#[test]
fn the_public_vectors_agree() {
    let Some(root) = testkit::shared::folder("vectors/merkle") else { return };
    let inclusion = vectors(&root.join("inclusion"));
    let consistency = vectors(&root.join("consistency"));
    for vectors in [&inclusion, &consistency] {
        let good = vectors.iter().filter(|(_, vector)| vector["wantErr"] == false).count();
        assert_eq!((vectors.len(), good), (98, 6));
    }
    for (path, vector) in &inclusion {
        let number = |name: &str| vector[name].as_u64().unwrap();
        let held = (|| {
            let leaf = hash(&vector["leafHash"])?;
            let (proof, root) = (proof(&vector["proof"])?, root_or_stand_in(&vector["root"]));
            Some(verify_inclusion(number("leafIdx"), number("treeSize"), &leaf, &proof, &root))
        })();
        assert_eq!(held != Some(true), vector["wantErr"].as_bool().unwrap(), "{path:?}");
    }
    for (path, vector) in &consistency {
        let number = |name: &str| vector[name].as_u64().unwrap();
        let held = (|| {
            let (old, new) =
                (root_or_stand_in(&vector["root1"]), root_or_stand_in(&vector["root2"]));
            let proof = proof(&vector["proof"])?;
            Some(verify_consistency(number("size1"), number("size2"), &old, &new, &proof))
        })();
        assert_eq!(held != Some(true), vector["wantErr"].as_bool().unwrap(), "{path:?}");
    }
}

fn vectors(folder: &std::path::Path) -> Vec<(PathBuf, serde_json::Value)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(vectors(&path));
        } else {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, serde_json::from_str(&text).unwrap()));
        }
    }
    found
}

/// None for a hash that is not 32 bytes: it cannot even be expressed here.
fn hash(value: &serde_json::Value) -> Option<Hash> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str()?).unwrap();
    Hash::from_slice(&bytes)
}

/// Some vectors have texts for roots that are only compared with each other, and in one they are
/// right to be equal: their hashes stand in for them.
fn root_or_stand_in(value: &serde_json::Value) -> Hash {
    hash(value).unwrap_or_else(|| Hash::of(value.as_str().unwrap().as_bytes()))
}

fn proof(value: &serde_json::Value) -> Option<Vec<Hash>> {
    value.as_array().map_or(Some(Vec::new()), |hashes| hashes.iter().map(hash).collect())
}
