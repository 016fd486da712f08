//! The Merkle tree of a ledger: RFC 6962 hashes, kept and served as C2SP tiles.
//!
//! A leaf hash is SHA-256(0x00 ‖ header), see [`crate::leaf_hash`]; an inner node is
//! SHA-256(0x01 ‖ left ‖ right); the empty tree's root is SHA-256(""). Tile `index` at `level` holds
//! up to 256 hashes; hash `i` in it is the root over the leaves from `(256·index + i)·256^level`, as
//! many as `256^level`. A tile is written once, when it is full; the unfinished one of every level
//! is all that [`Tree`] keeps.

mod path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::Hash;
pub use path::{TileKind, TilePath, TilePathError};

/// Hashes in a full tile.
pub const TILE_WIDTH: usize = 256;

/// Length of a full tile as it is stored and served, in bytes.
pub const TILE_BYTES: usize = TILE_WIDTH * Hash::SIZE;

/// Which tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TileId {
    /// 0 holds leaf hashes; each level up a hash covers 256 times as many leaves. At most 7.
    pub level: u8,
    /// Place within the level, from 0.
    pub index: u64,
}

/// A tile that became full and never changes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FullTile {
    /// Which.
    pub id: TileId,
    /// Its 256 hashes.
    pub hashes: Vec<Hash>,
}

impl FullTile {
    /// As it is stored and served: the hashes one after another.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        tile_bytes(&self.hashes)
    }
}

/// A tile, full or not, as it is stored and served.
#[must_use]
pub fn tile_bytes(hashes: &[Hash]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(hashes.len() * Hash::SIZE);
    hashes.iter().for_each(|hash| bytes.extend_from_slice(&hash.0));
    bytes
}

/// Reads a tile; none when the length is not that of 1 to 256 hashes.
#[must_use]
pub fn tile_hashes(bytes: &[u8]) -> Option<Vec<Hash>> {
    let (hashes, []) = bytes.as_chunks::<{ Hash::SIZE }>() else { return None };
    let fits = !hashes.is_empty() && hashes.len() <= TILE_WIDTH;
    fits.then(|| hashes.iter().copied().map(Hash).collect())
}

/// The right edge of the tree: enough to append and to give the root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    size: u64,
    /// By level, the unfinished tile: at most 255 hashes.
    edge: Vec<Vec<Hash>>,
}

impl Tree {
    /// How many leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash; tiles that it fills are added to `full`, lower levels first.
    pub fn append(&mut self, leaf: Hash, full: &mut Vec<FullTile>) {
        self.size += 1;
        let mut carried = leaf;
        let mut covered = self.size;
        for level in 0_u8.. {
            if self.edge.len() <= usize::from(level) {
                self.edge.push(Vec::new());
            }
            let Some(tile) = self.edge.get_mut(usize::from(level)) else { return };
            tile.push(carried);
            if tile.len() < TILE_WIDTH {
                return;
            }
            let hashes = core::mem::replace(tile, Vec::with_capacity(TILE_WIDTH));
            carried = perfect_root(&hashes);
            covered /= TILE_WIDTH as u64;
            full.push(FullTile { id: TileId { level, index: covered - 1 }, hashes });
        }
    }

    /// The root over all leaves: at most 255 hashes a level, however many leaves.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut right = None;
        for tile in &self.edge {
            right = join_right_edge(tile, right);
        }
        right.unwrap_or_else(|| Hash(Sha256::digest([]).into()))
    }

    /// The hashes of an unfinished tile; none for any other tile.
    #[must_use]
    pub fn unfinished(&self, id: TileId) -> Option<&[Hash]> {
        let covered = u32::from(id.level) + 1;
        let full = self.size.checked_shr(8 * covered).unwrap_or(0);
        let tile = self.edge.get(usize::from(id.level))?;
        (full == id.index && !tile.is_empty()).then_some(tile.as_slice())
    }

    /// The tree over `size` leaves from its unfinished tiles, each read by `tile` as its id and
    /// number of hashes. So a store may keep leaves and full tiles alone: the unfinished tile of
    /// level 0 is the last leaves' hashes, that of a higher level [`tile_root`]s of full tiles.
    ///
    /// # Errors
    /// Those of `tile`; none when a tile has another number of hashes than asked for.
    pub fn restore<E>(
        size: u64,
        mut tile: impl FnMut(TileId, usize) -> Result<Vec<Hash>, E>,
    ) -> Result<Option<Self>, E> {
        let mut edge = Vec::new();
        let mut count = size;
        for level in 0_u8.. {
            if count == 0 {
                break;
            }
            let [width, ..] = count.to_le_bytes();
            let (width, index) = (usize::from(width), count >> 8);
            let hashes =
                if width == 0 { Vec::new() } else { tile(TileId { level, index }, width)? };
            if hashes.len() != width {
                return Ok(None);
            }
            edge.push(hashes);
            count = index;
        }
        Ok(Some(Self { size, edge }))
    }
}

/// The hash by which the level above knows a full tile.
#[must_use]
pub fn tile_root(tile: &FullTile) -> Hash {
    perfect_root(&tile.hashes)
}

/// SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::labelled::<65>(1, &[&left.0, &right.0])
}

/// The root over a power of two of hashes. (Of any other number the last ones would be lost, and
/// of none there is no root: callers cut powers of two.)
pub(crate) fn perfect_root(hashes: &[Hash]) -> Hash {
    let mut layer: Vec<Hash> = hashes.to_vec();
    while layer.len() > 1 {
        layer =
            layer.as_chunks::<2>().0.iter().map(|[left, right]| node_hash(left, right)).collect();
    }
    layer.first().copied().unwrap_or(Hash::ZERO)
}

/// Joins the hashes of one level to what stands right of them, smallest perfect subtree first.
fn join_right_edge(hashes: &[Hash], mut right: Option<Hash>) -> Option<Hash> {
    let mut rest = hashes;
    while !rest.is_empty() {
        let width = 1_usize << rest.len().trailing_zeros();
        let (left, subtree) = rest.split_at_checked(rest.len() - width)?;
        let subtree = perfect_root(subtree);
        right = Some(right.map_or(subtree, |right| node_hash(&subtree, &right)));
        rest = left;
    }
    right
}

#[cfg(test)]
pub(crate) mod tests;
