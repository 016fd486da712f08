//! Proofs (RFC 6962 §2.1, verified as RFC 9162 §2.1.3 and §2.1.4): that a record is in a tree, and
//! that a tree only grew. Made from tiles, verified with nothing but hashes.
//!
//! One matter of policy: a proof from the empty tree is refused, since it shows nothing (everything
//! grew from nothing). Who has no earlier checkpoint accepts the first one by policy, not by proof.

use crate::id::Hash;
use crate::tree::{TILE_WIDTH, TileId, node_hash, perfect_root};

/// Longest proof that is read: one hash a level of a tree of 2^63 leaves.
pub const MAX_PROOF: usize = 63;

/// Why a proof cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError<E> {
    /// The tree has no such leaf, or was never that small, or size 0 was asked for.
    #[error("there is no such leaf or size in a tree of {size} records")]
    OutOfRange {
        /// The size of the tree.
        size: u64,
    },
    /// A tile is missing or too short: the store is damaged.
    #[error("tile {level}/{index} is missing or too short")]
    TileMissing {
        /// The tile's level.
        level: u8,
        /// Its place in the level.
        index: u64,
    },
    /// A tile could not be read.
    #[error("a tile could not be read")]
    Tiles(#[source] E),
}

/// The hashes that lead from leaf `index` to the root over the first `size` leaves.
///
/// `tile` gives a tile's hashes, at least as many as the tree of `size` leaves has there: a full
/// tile serves an older, smaller tree as well.
///
/// # Errors
/// See [`ProofError`].
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    tile: impl FnMut(TileId) -> Result<Option<Vec<Hash>>, E>,
) -> Result<Vec<Hash>, ProofError<E>> {
    if index >= size {
        return Err(ProofError::OutOfRange { size });
    }
    let mut tiles = Tiles { read: tile, cached: Vec::new() };
    let (mut start, mut end, mut proof) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(tiles.root(middle, end)?);
            end = middle;
        } else {
            proof.push(tiles.root(start, middle)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The hashes that show that the tree of `second` leaves continues that of `first`.
///
/// # Errors
/// See [`ProofError`].
pub fn consistency_proof<E>(
    first: u64,
    second: u64,
    tile: impl FnMut(TileId) -> Result<Option<Vec<Hash>>, E>,
) -> Result<Vec<Hash>, ProofError<E>> {
    if first == 0 || first > second {
        return Err(ProofError::OutOfRange { size: second });
    }
    let mut tiles = Tiles { read: tile, cached: Vec::new() };
    let (mut start, mut end, mut proof) = (0, second, Vec::new());
    while first != end {
        let middle = start + split(end - start);
        if first <= middle {
            proof.push(tiles.root(middle, end)?);
            end = middle;
        } else {
            proof.push(tiles.root(start, middle)?);
            start = middle;
        }
    }
    // The verifier knows the first root; where it is not a subtree of the second, it needs the
    // subtree that both share.
    if start > 0 {
        proof.push(tiles.root(start, end)?);
    }
    proof.reverse();
    Ok(proof)
}

/// The root over the first `size` leaves, from tiles: for any size the tree ever had.
///
/// # Errors
/// See [`ProofError`]; size 0 is out of range.
pub fn root_at<E>(
    size: u64,
    tile: impl FnMut(TileId) -> Result<Option<Vec<Hash>>, E>,
) -> Result<Hash, ProofError<E>> {
    if size == 0 {
        return Err(ProofError::OutOfRange { size });
    }
    Tiles { read: tile, cached: Vec::new() }.root(0, size)
}

/// The hashes that lead from leaves `first..end` to the root over the first `size`: those of the
/// largest subtrees outside the range, from left to right.
///
/// # Errors
/// See [`ProofError`]; an empty range is out of range.
pub fn range_proof<E>(
    first: u64,
    end: u64,
    size: u64,
    tile: impl FnMut(TileId) -> Result<Option<Vec<Hash>>, E>,
) -> Result<Vec<Hash>, ProofError<E>> {
    if first >= end || end > size {
        return Err(ProofError::OutOfRange { size });
    }
    let mut tiles = Tiles { read: tile, cached: Vec::new() };
    let mut proof = Vec::new();
    for (start, stop) in outside(first, end, 0, size) {
        proof.push(tiles.root(start, stop)?);
    }
    Ok(proof)
}

/// The root over the first `size` leaves, if `leaves` are those from `first` on and `proof` is of that
/// range; none when there are more or fewer hashes than that takes.
#[must_use]
pub fn root_of_range(first: u64, leaves: &[Hash], size: u64, proof: &[Hash]) -> Option<Hash> {
    let end = first.checked_add(leaves.len() as u64).filter(|end| *end <= size)?;
    if leaves.is_empty() {
        return None;
    }
    let mut range = Range { first, end, leaves, proof: proof.iter() };
    let root = range.root(0, size)?;
    range.proof.next().is_none().then_some(root)
}

/// The largest subtrees of leaves `start..stop` that have none of `first..end`, from left to right.
fn outside(first: u64, end: u64, start: u64, stop: u64) -> Vec<(u64, u64)> {
    if stop <= first || end <= start {
        return vec![(start, stop)];
    }
    if first <= start && stop <= end {
        return Vec::new();
    }
    let middle = start + split(stop - start);
    let (mut left, right) = (outside(first, end, start, middle), outside(first, end, middle, stop));
    left.extend(right);
    left
}

struct Range<'a> {
    first: u64,
    end: u64,
    leaves: &'a [Hash],
    proof: core::slice::Iter<'a, Hash>,
}

impl Range<'_> {
    fn root(&mut self, start: u64, stop: u64) -> Option<Hash> {
        if stop <= self.first || self.end <= start {
            return self.proof.next().copied();
        }
        if self.first <= start && stop - start == 1 {
            let at = usize::try_from(start - self.first).ok()?;
            return self.leaves.get(at).copied();
        }
        let middle = start + split(stop - start);
        Some(node_hash(&self.root(start, middle)?, &self.root(middle, stop)?))
    }
}

/// Whether `proof` leads from `leaf` at `index` to the root over `size` leaves.
#[must_use]
pub fn verify_inclusion(index: u64, size: u64, leaf: &Hash, proof: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            climb_to_right_child(&mut node, &mut last);
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// Whether `proof` shows that the tree of `second` leaves and `second_root` continues that of
/// `first` leaves and `first_root`. False for `first` 0, see the module.
#[must_use]
pub fn verify_consistency(
    first: u64,
    second: u64,
    first_root: &Hash,
    second_root: &Hash,
    proof: &[Hash],
) -> bool {
    if first == second {
        return first > 0 && proof.is_empty() && first_root == second_root;
    }
    if first == 0 || first > second {
        return false;
    }
    let (mut node, mut last) = (first - 1, second - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (start, rest) = match proof {
        _ if first.is_power_of_two() => (*first_root, proof),
        [start, rest @ ..] => (*start, rest),
        [] => return false,
    };
    let (mut old, mut new) = (start, start);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            climb_to_right_child(&mut node, &mut last);
        } else {
            new = node_hash(&new, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && !proof.is_empty() && old == *first_root && new == *second_root
}

/// A last node without a sibling is its own parent: such levels have no hash in the proof.
fn climb_to_right_child(node: &mut u64, last: &mut u64) {
    while *node & 1 == 0 && *node != 0 {
        *node >>= 1;
        *last >>= 1;
    }
}

/// The largest power of two below `count`, which is at least 2.
fn split(count: u64) -> u64 {
    1 << (63 - (count - 1).leading_zeros())
}

/// Tiles already read for this proof; neighbouring subtrees come from the same ones.
struct Tiles<F> {
    read: F,
    cached: Vec<(TileId, Vec<Hash>)>,
}

impl<E, F: FnMut(TileId) -> Result<Option<Vec<Hash>>, E>> Tiles<F> {
    /// The root over leaves `start..end`, where `start` is a multiple of the largest subtree.
    fn root(&mut self, start: u64, end: u64) -> Result<Hash, ProofError<E>> {
        let mut right = None;
        let mut end = end;
        while end > start {
            let height = (end - start).trailing_zeros();
            end -= 1 << height;
            let subtree = self.perfect(end, height)?;
            right = Some(right.map_or(subtree, |right| node_hash(&subtree, &right)));
        }
        right.ok_or(ProofError::OutOfRange { size: end })
    }

    /// The root over the 2^height leaves from `start`.
    fn perfect(&mut self, start: u64, height: u32) -> Result<Hash, ProofError<E>> {
        let level = height / 8;
        let first = start >> (8 * level);
        // A height is at most 63, so a level at most 7.
        let level = u8::try_from(level).unwrap_or(u8::MAX);
        let id = TileId { level, index: first / TILE_WIDTH as u64 };
        let [offset, ..] = first.to_le_bytes();
        let offset = usize::from(offset);
        let range = offset..offset + (1 << (height % 8));
        let missing = ProofError::TileMissing { level, index: id.index };
        self.tile(id)?.get(range).map(perfect_root).ok_or(missing)
    }

    fn tile(&mut self, id: TileId) -> Result<&[Hash], ProofError<E>> {
        let place = match self.cached.iter().position(|(cached, _)| *cached == id) {
            Some(place) => place,
            None => {
                let hashes = (self.read)(id).map_err(ProofError::Tiles)?;
                self.cached.push((id, hashes.unwrap_or_default()));
                self.cached.len() - 1
            }
        };
        Ok(self.cached.get(place).map_or(&[], |(_, hashes)| hashes))
    }
}

#[cfg(test)]
mod tests;
