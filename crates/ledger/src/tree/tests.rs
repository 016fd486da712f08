use super::*;
use crate::header::leaf_hash;

/// The definition of RFC 6962 §2.1, word for word.
pub(crate) fn by_definition(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => Hash::of(b""),
        [leaf] => *leaf,
        leaves => {
            let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
            node_hash(&by_definition(left), &by_definition(right))
        }
    }
}

pub(crate) fn leaves(count: u64) -> Vec<Hash> {
    (0..count).map(|index| leaf_hash(&index.to_be_bytes())).collect()
}

pub(crate) fn grown(leaves: &[Hash]) -> (Tree, Vec<FullTile>) {
    let (mut tree, mut full) = (Tree::default(), Vec::new());
    for leaf in leaves {
        tree.append(*leaf, &mut full);
    }
    (tree, full)
}

#[test]
fn roots_of_rfc_6962() {
    let entries = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];
    let roots = [
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];
    let (mut tree, mut full) = (Tree::default(), Vec::new());
    assert_eq!(tree.root().to_string(), roots[0]);
    for (entry, root) in entries.iter().zip(&roots[1..]) {
        tree.append(leaf_hash(&hex::decode(entry).unwrap()), &mut full);
        assert_eq!(tree.root().to_string(), *root);
    }
    assert!(full.is_empty());
}

#[test]
fn every_size_around_a_tile_has_the_defined_root() {
    let leaves = leaves(66_000);
    let (mut tree, mut full) = (Tree::default(), Vec::new());
    for (leaf, size) in leaves.iter().zip(1_usize..) {
        tree.append(*leaf, &mut full);
        let near = |edge: usize| size.abs_diff(edge) < 3;
        if size < 600 || near(65_536) || near(65_792) || size % 9_973 == 0 {
            assert_eq!(tree.root(), by_definition(&leaves[..size]), "size {size}");
        }
    }
    // 257 full tiles of leaves and one of their roots.
    assert_eq!(full.len(), 258);
    let upper = full.iter().find(|tile| tile.id.level == 1).unwrap();
    assert_eq!((upper.id.index, upper.hashes[3]), (0, by_definition(&leaves[768..1024])));
    let ninth = full.iter().find(|tile| tile.id == TileId { level: 0, index: 9 }).unwrap();
    assert_eq!(ninth.hashes, leaves[9 * 256..10 * 256]);
    assert_eq!(tile_hashes(&ninth.to_bytes()).as_ref(), Some(&ninth.hashes));
    assert_eq!(ninth.to_bytes().len(), TILE_BYTES);
}

#[test]
fn a_tree_is_restored_from_its_unfinished_tiles() {
    for size in [0, 1, 255, 256, 257, 65_535, 65_536, 65_793] {
        let leaves = leaves(size);
        let (tree, full) = grown(&leaves);
        let restored = Tree::restore(size, |id, width| {
            Ok::<_, ()>(match id.level {
                0 => leaves[leaves.len() - width..].to_vec(),
                level => full
                    .iter()
                    .filter(|tile| tile.id.level == level - 1 && tile.id.index / 256 == id.index)
                    .map(tile_root)
                    .collect(),
            })
        });
        let restored = restored.unwrap().unwrap();
        assert_eq!((restored.root(), restored.size()), (tree.root(), size));
        let (mut one, mut other, mut a, mut b) = (tree, restored, Vec::new(), Vec::new());
        for leaf in &leaves[..leaves.len().min(300)] {
            one.append(*leaf, &mut a);
            other.append(*leaf, &mut b);
        }
        assert_eq!((one.root(), a), (other.root(), b), "size {size}");
    }
    assert_eq!(Tree::restore(3, |_, _| Ok::<_, ()>(Vec::new())), Ok(None));
}

#[test]
fn unfinished_tiles_are_known_by_their_id() {
    let leaves = leaves(600);
    let (tree, _) = grown(&leaves);
    let id = |level, index| TileId { level, index };
    assert_eq!(tree.unfinished(id(0, 2)), Some(&leaves[512..]));
    assert_eq!(tree.unfinished(id(1, 0)).map(<[Hash]>::len), Some(2));
    for other in [id(0, 1), id(0, 3), id(1, 1), id(2, 0), id(200, 0)] {
        assert_eq!(tree.unfinished(other), None, "{other:?}");
    }
}

#[test]
fn tiles_of_a_wrong_length_are_refused() {
    assert_eq!(tile_hashes(&[]), None);
    assert_eq!(tile_hashes(&[0; 33]), None);
    assert_eq!(tile_hashes(&[0; TILE_BYTES + 32]), None);
    assert_eq!(tile_hashes(&[1; 32]), Some(vec![Hash([1; 32])]));
}
