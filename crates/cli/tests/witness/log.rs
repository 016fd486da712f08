//! Logs to be witnessed: leaves that are made up, and all that follows from them.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fs;
use std::path::Path;

use ledger::checkpoint::Checkpoint;
use ledger::note::{KeyType, SignedNote, Vkey};
use ledger::proof::consistency_proof;
use ledger::tree::tile_bytes;
use ledger::witness::AddCheckpoint;
use ledger::{Hash, SigningKey, TileId, TileKind, TilePath, Tree};

pub(crate) const ORIGIN: &str = "ledger.hospital.example/records.0.0/ab";

/// A log with one key, which is made of `seed`.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) origin: &'static str,
    pub(crate) seed: u8,
    pub(crate) leaves: Vec<Hash>,
}

impl Log {
    /// A log of so many leaves, of a history that is called `branch`.
    pub(crate) fn new(size: usize, branch: &str) -> Self {
        let log = Self { origin: ORIGIN, seed: 1, leaves: Vec::new() };
        log.grown(size, branch)
    }

    /// With more leaves behind these.
    pub(crate) fn grown(&self, count: usize, branch: &str) -> Self {
        let mut log = self.clone();
        let from = log.leaves.len();
        let leaf = |place| Hash::of(format!("{branch} {place}").as_bytes());
        log.leaves.extend((from..from + count).map(leaf));
        log
    }

    /// Its first leaves.
    pub(crate) fn first(&self, size: usize) -> Self {
        Self { leaves: self.leaves[..size].to_vec(), ..self.clone() }
    }

    pub(crate) fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    fn tree(&self) -> (Tree, HashMap<TileId, Vec<Hash>>) {
        let (mut tree, mut full) = (Tree::default(), Vec::new());
        self.leaves.iter().for_each(|leaf| tree.append(*leaf, &mut full));
        (tree, full.into_iter().map(|tile| (tile.id, tile.hashes)).collect())
    }

    pub(crate) fn root(&self) -> Hash {
        self.tree().0.root()
    }

    pub(crate) fn key(&self) -> SigningKey {
        SigningKey::from_bytes(&[self.seed; 32])
    }

    pub(crate) fn note(&self) -> SignedNote {
        let origin = self.origin.to_owned();
        let checkpoint = Checkpoint { origin, size: self.size(), root: self.root() };
        let mut note = checkpoint.to_note().unwrap();
        note.sign(self.origin, &self.key());
        note
    }

    /// What a witness is asked that cosigned `old` leaves before.
    pub(crate) fn request(&self, old: u64) -> AddCheckpoint {
        let (tree, full) = self.tree();
        let tile = |id: TileId| -> Result<_, Infallible> {
            Ok(full.get(&id).cloned().or_else(|| tree.unfinished(id).map(<[_]>::to_vec)))
        };
        let proves = old > 0 && old < self.size();
        let proof =
            if proves { consistency_proof(old, self.size(), tile).unwrap() } else { Vec::new() };
        AddCheckpoint { old, proof, note: self.note() }
    }

    /// A policy that names its key and asks for no more.
    pub(crate) fn policy(&self) -> String {
        let key = self.key().verifying_key().to_bytes();
        let vkey = Vkey::new(self.origin, KeyType::Signature, key).unwrap();
        format!("log {vkey}\nquorum none\n")
    }

    /// Writes it as a folder of tiles. The checkpoint comes last and at once, so that whoever reads
    /// meanwhile never sees one whose tiles are not there.
    pub(crate) fn write(&self, folder: &Path) {
        let put = |path: TilePath, hashes: &[Hash]| {
            let file = folder.join(path.to_string());
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, tile_bytes(hashes)).unwrap();
        };
        let (tree, full) = self.tree();
        full.iter().for_each(|(id, hashes)| put(TilePath::full(*id), hashes));
        let (mut level, mut hashes) = (0, self.size());
        while hashes > 0 {
            let index = hashes / 256;
            if let Some(edge) = tree.unfinished(TileId { level, index }) {
                let width = u16::try_from(edge.len()).unwrap();
                put(TilePath { kind: TileKind::Hashes(level), index, width }, edge);
            }
            (level, hashes) = (level + 1, index);
        }
        fs::write(folder.join("checkpoint.part"), self.note().to_string()).unwrap();
        fs::rename(folder.join("checkpoint.part"), folder.join("checkpoint")).unwrap();
    }
}
