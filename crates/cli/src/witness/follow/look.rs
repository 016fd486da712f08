//! Looking at a log: its checkpoint, and from its tiles the proof that it continues an earlier one.

use std::collections::HashMap;

use ledger::checkpoint::Checkpoint;
use ledger::note::SignedNote;
use ledger::policy::Policy;
use ledger::proof::{ProofError, consistency_proof, root_at, verify_consistency};
use ledger::tree::{TILE_WIDTH, tile_hashes};
use ledger::witness::AddCheckpoint;
use ledger::{Hash, TileId, TileKind, TilePath};

use crate::output::thousands;
use crate::source::Source;
use crate::verify::Found;

/// The log's newest checkpoint, as the policy asks.
pub(super) async fn newest(
    source: &mut Source,
    policy: &Policy,
) -> Result<(SignedNote, Checkpoint), Found> {
    let damaged = |error: &dyn std::fmt::Display| Found::Damaged(format!("checkpoint: {error}"));
    let note = String::from_utf8(source.read("checkpoint").await?).map_err(|e| damaged(&e))?;
    let note: SignedNote = note.parse().map_err(|error| damaged(&error))?;
    let checkpoint = policy.open(&note).map_err(|error| damaged(&error))?;
    Ok((note, checkpoint))
}

/// Whether the log has fewer records than were cosigned: it may be a copy that lags, where another
/// root is proof of a fork.
pub(super) fn is_behind(known: Option<&Checkpoint>, checkpoint: &Checkpoint) -> bool {
    known.is_some_and(|known| checkpoint.size < known.size)
}

/// The request that shows to a witness that `checkpoint` continues `known`, recomputed from tiles.
pub(super) async fn prove(
    source: &mut Source,
    known: Option<&Checkpoint>,
    note: SignedNote,
    checkpoint: &Checkpoint,
) -> Result<AddCheckpoint, Found> {
    let old = known.map_or(0, |known| known.size);
    if is_behind(known, checkpoint) {
        return Err(Found::Forked(format!(
            "it has {} records, and {} were cosigned: the end is gone",
            thousands(checkpoint.size),
            thousands(old)
        )));
    }
    let size = checkpoint.size;
    let mut tiles = Tiles { source, size, read: HashMap::new() };
    let mut proof = Vec::new();
    if let Some(known) = known.filter(|known| known.size > 0) {
        if size > old {
            let before = tiles.solve(|tile| root_at(old, tile)).await?;
            proof = tiles.solve(|tile| consistency_proof(old, size, tile)).await?;
            // First that the tiles are those of the new root, whatever they say of the old one:
            // else a flipped bit in one would pass for a fork.
            if !verify_consistency(old, size, &before, &checkpoint.root, &proof) {
                return Err(Found::Damaged(tiles.not_of_root()));
            }
            same(known, &before)?;
        } else {
            same(known, &checkpoint.root)?;
        }
    } else if size > 0 && tiles.solve(|tile| root_at(size, tile)).await? != checkpoint.root {
        return Err(Found::Damaged(tiles.not_of_root()));
    }
    Ok(AddCheckpoint { old, proof, note })
}

fn same(known: &Checkpoint, root: &Hash) -> Result<(), Found> {
    if known.root == *root {
        return Ok(());
    }
    let size = thousands(known.size);
    Err(Found::Forked(format!("its first {size} records are not those that were cosigned")))
}

/// The tiles of a tree of `size` leaves, read as they are asked for.
struct Tiles<'s> {
    source: &'s mut Source,
    size: u64,
    read: HashMap<TileId, Vec<Hash>>,
}

impl Tiles<'_> {
    /// Computes something, and reads what it lacks until it lacks nothing: a few tiles a level.
    async fn solve<T>(
        &mut self,
        compute: impl Fn(
            &dyn Fn(TileId) -> Result<Option<Vec<Hash>>, TileId>,
        ) -> Result<T, ProofError<TileId>>,
    ) -> Result<T, Found> {
        loop {
            let computed = compute(&|id| self.read.get(&id).cloned().map(Some).ok_or(id));
            match computed {
                Ok(computed) => return Ok(computed),
                Err(ProofError::Tiles(lacking)) => {
                    let hashes = self.tile(lacking).await?;
                    self.read.insert(lacking, hashes);
                }
                Err(error @ (ProofError::OutOfRange { .. } | ProofError::TileMissing { .. })) => {
                    return Err(Found::Damaged(error.to_string()));
                }
            }
        }
    }

    async fn tile(&mut self, id: TileId) -> Result<Vec<Hash>, Found> {
        let full = TilePath::full(id);
        let hashes = self.size.checked_shr(8 * u32::from(id.level)).unwrap_or(0);
        let width = hashes.saturating_sub(id.index.saturating_mul(TILE_WIDTH as u64));
        let width = u16::try_from(width).unwrap_or(full.width).min(full.width);
        let path = TilePath { kind: TileKind::Hashes(id.level), index: id.index, width };
        let bytes = match self.source.read(&path.to_string()).await {
            Ok(bytes) => bytes,
            Err(missing) if path.is_full() => return Err(missing.into()),
            // A log may take an unfinished tile away once the full one is there.
            Err(missing) => self.source.read(&full.to_string()).await.map_err(|_| missing)?,
        };
        let hashes = tile_hashes(&bytes).filter(|hashes| hashes.len() >= usize::from(width));
        hashes.ok_or_else(|| Found::Damaged(format!("{path}: is not {width} hashes")))
    }

    /// Which they were: one of them is not what the log signed.
    fn not_of_root(&self) -> String {
        let mut read: Vec<TileId> = self.read.keys().copied().collect();
        read.sort();
        let read: Vec<String> = read.into_iter().map(|id| TilePath::full(id).to_string()).collect();
        format!("the checkpoint's root is not that of its tiles: one of {}", read.join(", "))
    }
}
