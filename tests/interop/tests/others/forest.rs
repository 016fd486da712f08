//! One log in three implementations, grown leaf by leaf, and their verdicts on proofs.

use ct_merkle::RootHash;
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ledger::tree::{TileId, tile_bytes};
use ledger::{FullTile, Hash, Tree, leaf_hash, proof};
use sha2::Sha256;
use sha2::digest::Output;
use tlog_tiles::tile::{Tile, TileReader};
use tlog_tiles::tlog;

/// Leaf `index` of the log with this seed: of any length from 8 bytes, and no two the same (a proof
/// would rightly hold for both of two equal neighbours).
pub(crate) fn leaf(seed: u64, index: u64) -> Vec<u8> {
    let random = Hash::of(&[seed.to_be_bytes(), index.to_be_bytes()].concat()).0;
    let more = usize::from(random[0] % 80);
    [&index.to_be_bytes(), random.repeat(3).get(1..=more).unwrap()].concat()
}

/// What `tlog_tiles` stores of a log: every complete subtree's hash, in its own order.
#[derive(Default)]
struct Stored(Vec<tlog::Hash>);

impl tlog::HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog::Hash>, tlog::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

pub(crate) fn theirs(hash: Hash) -> tlog::Hash {
    tlog::Hash(hash.0)
}

/// The same log three times.
#[derive(Default)]
pub(crate) struct Forest {
    seed: u64,
    tree: Tree,
    full: Vec<FullTile>,
    stored: Stored,
    ct: MemoryBackedTree<Sha256, Vec<u8>>,
}

impl Forest {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(crate) fn leaf(&self, index: u64) -> Vec<u8> {
        leaf(self.seed, index)
    }

    /// Appends leaves until there are so many.
    pub(crate) fn grow(&mut self, size: u64) {
        for index in self.size()..size {
            let leaf = self.leaf(index);
            self.tree.append(leaf_hash(&leaf), &mut self.full);
            let record = tlog::record_hash(&leaf);
            let more = tlog::stored_hashes_for_record_hash(index, record, &self.stored).unwrap();
            self.stored.0.extend(more);
            self.ct.push(leaf);
        }
    }

    /// The root, which all three agree on.
    pub(crate) fn root(&self) -> Hash {
        let root = self.tree.root();
        assert_eq!(tlog::tree_hash(self.size(), &self.stored).unwrap(), theirs(root));
        assert_eq!(self.ct.root().as_bytes().as_slice(), root.0);
        assert_eq!(self.ct.len(), self.size());
        root
    }

    /// The root that the log had at an earlier size, which ours and `tlog_tiles` agree on.
    pub(crate) fn root_at(&self, size: u64) -> Hash {
        let root = proof::root_at(size, |id| self.tile(id)).unwrap();
        assert_eq!(tlog::tree_hash(size, &self.stored).unwrap(), theirs(root));
        root
    }

    /// A tile as a store would serve it.
    fn tile(&self, id: TileId) -> Result<Option<Vec<Hash>>, ()> {
        let kept = || self.full.iter().find(|tile| tile.id == id).map(|tile| tile.hashes.clone());
        Ok(self.tree.unfinished(id).map(<[Hash]>::to_vec).or_else(kept))
    }

    /// That leaf `index` is among the first `size`: the same hashes from ours and `tlog_tiles`, from
    /// `tlog_tiles` reading our tiles, and for the whole log from `ct-merkle`.
    pub(crate) fn inclusion(&self, index: u64, size: u64) -> Vec<Hash> {
        let made = proof::inclusion_proof(index, size, |id| self.tile(id)).unwrap();
        assert_eq!(ours(tlog::prove_record(size, index, &self.stored).unwrap()), made);
        if size == self.size() {
            let by_ct = self.ct.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(by_ct.as_bytes(), tile_bytes(&made));
        }
        made
    }

    /// That the first `second` leaves continue the first `first`, made by all as above.
    pub(crate) fn consistency(&self, first: u64, second: u64) -> Vec<Hash> {
        let made = proof::consistency_proof(first, second, |id| self.tile(id)).unwrap();
        assert_eq!(ours(tlog::prove_tree(second, first, &self.stored).unwrap()), made);
        if second == self.size() {
            let by_ct = self.ct.prove_consistency(usize::try_from(second - first).unwrap());
            assert_eq!(by_ct.as_bytes(), tile_bytes(&made));
        }
        made
    }
}

/// Our tiles as `tlog_tiles` asks for them; one bit of what it reads may be spoilt.
pub(crate) struct Served<'a> {
    pub(crate) forest: &'a Forest,
    pub(crate) spoilt: Option<(TileId, usize)>,
}

impl TileReader for Served<'_> {
    fn height(&self) -> u8 {
        8
    }

    fn read_tiles(&self, tiles: &[Tile]) -> Result<Vec<Vec<u8>>, tlog::Error> {
        let read = |tile: &Tile| {
            let id = TileId { level: tile.level(), index: tile.level_index() };
            let mut hashes = self.forest.tile(id).unwrap().ok_or(tlog::Error::InvalidTile)?;
            hashes.truncate(usize::try_from(tile.width()).unwrap());
            let mut bytes = tile_bytes(&hashes);
            if let Some((spoilt, bit)) = self.spoilt
                && spoilt == id
            {
                let bit = bit % (8 * bytes.len());
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Ok(bytes)
        };
        tiles.iter().map(read).collect()
    }

    fn save_tiles(&self, _: &[Tile], _: &[Vec<u8>]) {}
}

pub(crate) fn ours(hashes: Vec<tlog::Hash>) -> Vec<Hash> {
    hashes.into_iter().map(|hash| Hash(hash.0)).collect()
}

fn all(hashes: &[Hash]) -> Vec<tlog::Hash> {
    hashes.iter().copied().map(theirs).collect()
}

fn ct_root(root: Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new(Output::<Sha256>::from(root.0), size)
}

/// The verdict of all three on an inclusion proof; they must agree.
#[track_caller]
pub(crate) fn is_included(
    index: u64,
    size: u64,
    leaf: &Vec<u8>,
    hashes: &[Hash],
    root: Hash,
) -> bool {
    let held = proof::verify_inclusion(index, size, &leaf_hash(leaf), hashes, &root);
    let record = tlog::record_hash(leaf);
    let by_tiles = tlog::check_record(&all(hashes), size, theirs(root), index, record).is_ok();
    let by_ct = ct_merkle::InclusionProof::try_from_bytes(tile_bytes(hashes))
        .and_then(|bytes| ct_root(root, size).verify_inclusion(leaf, index, &bytes))
        .is_ok();
    assert_eq!(
        (held, held),
        (by_tiles, by_ct),
        "leaf {index} of {size}: ours, tlog_tiles, ct-merkle"
    );
    held
}

/// The verdict of all three on a consistency proof; they must agree.
#[track_caller]
pub(crate) fn continues(first: (u64, Hash), second: (u64, Hash), hashes: &[Hash]) -> bool {
    let held = proof::verify_consistency(first.0, second.0, &first.1, &second.1, hashes);
    let (old, new) = (theirs(first.1), theirs(second.1));
    let by_tiles = tlog::check_tree(&all(hashes), second.0, new, first.0, old).is_ok();
    let by_ct = ct_merkle::ConsistencyProof::try_from_bytes(tile_bytes(hashes))
        .and_then(|bytes| {
            let old = ct_root(first.1, first.0);
            ct_root(second.1, second.0).verify_consistency(&old, &bytes)
        })
        .is_ok();
    let sizes = (first.0, second.0);
    assert_eq!((held, held), (by_tiles, by_ct), "{sizes:?}: ours, tlog_tiles, ct-merkle");
    held
}
