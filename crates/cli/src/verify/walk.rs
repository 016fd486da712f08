//! The entries of a log, one bundle after the other, each checked against those before it and against
//! the tiles.

use ledger::audit::{Audit, EntryFault};
use ledger::checkpoint::Checkpoint;
use ledger::tree::{TILE_WIDTH, tile_bytes};
use ledger::{FullTile, Hash, TileId, TileKind, TilePath};

use super::Found;
use crate::source::Source;

/// A log as far as it was read.
pub(super) struct Walk<'s> {
    source: &'s mut Source,
    audit: Audit,
    full: Vec<FullTile>,
    /// Used again for each file of a folder: memory fresh from the kernel took a twentieth of the time.
    entries: Vec<u8>,
    tile: Vec<u8>,
}

impl<'s> Walk<'s> {
    /// Before the first entry of the ledger whose genesis record has this hash.
    pub(super) fn new(source: &'s mut Source, genesis: Hash) -> Self {
        let (audit, full) = (Audit::new(genesis), Vec::new());
        Self { source, audit, full, entries: Vec::new(), tile: Vec::new() }
    }

    /// What was found of it so far.
    pub(super) fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The next up to 256 of `size` entries: each follows those before, is what the level-0 tile has, and
    /// does not contradict a checkpoint that was kept. Then the tiles that became full.
    pub(super) async fn bundle(
        &mut self,
        size: u64,
        kept: Option<&Checkpoint>,
    ) -> Result<(), Found> {
        let (first, wide) = (self.audit.size(), TILE_WIDTH as u64);
        let width = u16::try_from((size - first).min(wide)).unwrap_or(u16::MAX);
        let path = TilePath { kind: TileKind::Entries, index: first / wide, width };
        self.source.read_into(&path.to_string(), &mut self.entries).await?;
        let wrong = |what: String| Found::Damaged(format!("{path}: {what}"));
        let (mut rest, mut leaves) = (self.entries.as_slice(), Vec::with_capacity(TILE_WIDTH));
        for position in first..first + u64::from(width) {
            let cut = || wrong(format!("ends within record {position}"));
            let (length, after) = rest.split_first_chunk::<2>().ok_or_else(cut)?;
            let length = usize::from(u16::from_be_bytes(*length));
            let (entry, after) = after.split_at_checked(length).ok_or_else(cut)?;
            let added = self.audit.add(entry, &mut self.full);
            leaves.push(added.map_err(|fault| wrong(format!("record {position} {fault}")))?);
            rest = after;
            if self.audit.awaits().is_some() {
                control(self.source, &mut self.audit, position).await?;
            }
            continued(&self.audit, kept)?;
        }
        if !rest.is_empty() {
            return Err(wrong("goes on behind its last record".to_owned()));
        }
        self.lowest(TilePath { kind: TileKind::Hashes(0), ..path }, &leaves, path).await?;
        for tile in core::mem::take(&mut self.full).iter().filter(|tile| tile.id.level > 0) {
            self.same(TilePath::full(tile.id), &tile.to_bytes()).await?;
        }
        Ok(())
    }

    /// The lowest tile has the hashes of the entries that were read from `entries`.
    async fn lowest(
        &mut self,
        path: TilePath,
        leaves: &[Hash],
        entries: TilePath,
    ) -> Result<(), Found> {
        self.source.read_into(&path.to_string(), &mut self.tile).await?;
        let own = tile_bytes(leaves);
        if self.tile == own {
            return Ok(());
        }
        // Whichever of them it is, here they differ first.
        let (one, other) = (self.tile.chunks(Hash::SIZE), own.chunks(Hash::SIZE));
        let alike = one.zip(other).take_while(|(one, other)| one == other).count() as u64;
        let first = entries.index * TILE_WIDTH as u64;
        let what = format!("record {}: {entries} and {path} do not agree", first + alike);
        Err(Found::Damaged(what))
    }

    /// The unfinished tiles above the lowest.
    pub(super) async fn unfinished(&mut self) -> Result<(), Found> {
        let (mut level, mut hashes) = (1, self.audit.size() / TILE_WIDTH as u64);
        while hashes > 0 {
            let index = hashes / TILE_WIDTH as u64;
            if let Some(hashes) = self.audit.tree().unfinished(TileId { level, index }) {
                let width = u16::try_from(hashes.len()).unwrap_or(u16::MAX);
                let path = TilePath { kind: TileKind::Hashes(level), index, width };
                let wanted = tile_bytes(hashes);
                self.same(path, &wanted).await?;
            }
            (level, hashes) = (level + 1, index);
        }
        Ok(())
    }

    async fn same(&mut self, path: TilePath, wanted: &[u8]) -> Result<(), Found> {
        self.source.read_into(&path.to_string(), &mut self.tile).await?;
        if self.tile == wanted {
            return Ok(());
        }
        Err(Found::Damaged(format!("{path}: is not the tile of these records")))
    }
}

/// The body of the control record at `position`, which was just taken.
async fn control(source: &mut Source, audit: &mut Audit, position: u64) -> Result<(), Found> {
    let path = format!("control/{position}");
    let body = source.read(&path).await?;
    audit.control(&body).map_err(|fault| {
        let what = format!("{path}: record {position} {fault}");
        if matches!(fault, EntryFault::UnknownRules { .. }) {
            Found::Incomplete(what)
        } else {
            Found::Damaged(what)
        }
    })
}

/// Where a kept checkpoint ends, it has the same root.
fn continued(audit: &Audit, kept: Option<&Checkpoint>) -> Result<(), Found> {
    match kept.filter(|kept| kept.size == audit.size()) {
        Some(kept) if audit.root() != kept.root => Err(Found::Forked(format!(
            "the first {} records are not those that the kept checkpoint covers",
            kept.size
        ))),
        Some(_) | None => Ok(()),
    }
}
