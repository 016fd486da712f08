//! The Merkle tree as stored: full tiles from the database, unfinished ones from the state.

use crate::error::{StoreError, read_error};
use crate::reader::Reader;
use crate::store::Snapshot;
use crate::{keys, rows};
use ledger::proof::{self, ProofError};
use ledger::tree::{TILE_BYTES, TILE_WIDTH, tile_bytes, tile_hashes};
use ledger::{Hash, LedgerId, LedgerKind, SubjectId, TileId, Tree, leaf_hash};
use std::ops::ControlFlow;

impl Reader<'_> {
    /// A tile as it is served (hashes one after another): full, or unfinished as of now. `None`
    /// beyond the tree.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row is not a full tile.
    pub fn tile(&self, ledger: LedgerId, id: TileId) -> Result<Option<Vec<u8>>, StoreError> {
        let snapshot = self.store.state(ledger)?;
        Ok(self.hashes(&snapshot, id)?.map(|hashes| tile_bytes(&hashes)))
    }

    /// The hashes from a record to the root over the first `size` records.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSize`] when the ledger is shorter, [`StoreError::Damaged`] when a tile
    /// is.
    pub fn inclusion_proof(
        &self,
        ledger: LedgerId,
        position: u64,
        size: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let snapshot = self.state_with(ledger, size)?;
        proof::inclusion_proof(position, size, |id| self.hashes(&snapshot, id))
            .map_err(|error| self.failed(ledger, error))
    }

    /// The hashes that show that the tree of `second` records continues that of `first`.
    ///
    /// # Errors
    /// As [`Reader::inclusion_proof`].
    pub fn consistency_proof(
        &self,
        ledger: LedgerId,
        first: u64,
        second: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let snapshot = self.state_with(ledger, second)?;
        proof::consistency_proof(first, second, |id| self.hashes(&snapshot, id))
            .map_err(|error| self.failed(ledger, error))
    }

    /// The hashes that lead from the leaves `first..end` to the root over the first `size`.
    ///
    /// # Errors
    /// As [`Reader::inclusion_proof`].
    pub fn range_proof(
        &self,
        ledger: LedgerId,
        first: u64,
        end: u64,
        size: u64,
    ) -> Result<Vec<Hash>, StoreError> {
        let snapshot = self.state_with(ledger, size)?;
        proof::range_proof(first, end, size, |id| self.hashes(&snapshot, id))
            .map_err(|error| self.failed(ledger, error))
    }

    /// The root over the first `size` records, for any size the ledger ever had.
    ///
    /// # Errors
    /// As [`Reader::inclusion_proof`].
    pub fn root_at(&self, ledger: LedgerId, size: u64) -> Result<Hash, StoreError> {
        let snapshot = self.state_with(ledger, size)?;
        if size == 0 {
            return Ok(Tree::default().root());
        }
        proof::root_at(size, |id| self.hashes(&snapshot, id))
            .map_err(|error| self.failed(ledger, error))
    }

    /// The headers of `width` records from `256 · index` on as C2SP tlog-tiles asks of an entry bundle:
    /// each with its length, u16 big-endian, before it. `None` beyond the tree.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a header is not what the tree has at its place.
    pub fn entry_bundle(
        &self,
        ledger: LedgerId,
        index: u64,
        width: usize,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let id = TileId { level: 0, index };
        let leaves = self.hashes(&self.store.state(ledger)?, id)?.unwrap_or_default();
        let Some(leaves) = leaves.get(..width) else { return Ok(None) };
        let first = index.saturating_mul(TILE_WIDTH as u64);
        let mut bundle = Vec::new();
        for (position, leaf) in (first..).zip(leaves) {
            let key = keys::record(ledger, position);
            let found = self.row(keys::RECORDS, &key, |row| {
                let (header, _) = rows::split_record(row)?;
                let length = u16::try_from(header.len()).ok()?;
                (leaf_hash(header) == *leaf).then(|| {
                    bundle.extend_from_slice(&length.to_be_bytes());
                    bundle.extend_from_slice(header);
                })
            })?;
            found.ok_or_else(|| self.damaged(keys::RECORDS, &key))?;
        }
        Ok(Some(bundle))
    }

    /// The bytes of every leaf `first..end`, commitments too. What they are proved by shows that none
    /// is another.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when one is missing.
    pub fn leaves(
        &self,
        ledger: LedgerId,
        first: u64,
        end: u64,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        let (from, behind) = (keys::record(ledger, first), keys::record(ledger, end));
        let mut leaves = Vec::new();
        let mut next = first;
        self.range(keys::RECORDS, &from, Some(behind.to_vec()), |key, row| {
            let leaf = rows::split_record(row).filter(|_| keys::last_number(key) == Some(next));
            leaves.push(leaf.ok_or_else(|| self.damaged(keys::RECORDS, key))?.0.to_vec());
            next += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        if next == end {
            Ok(leaves)
        } else {
            Err(self.damaged(keys::RECORDS, &keys::record(ledger, next)))
        }
    }

    /// Positions of the records about a subject before a position, in order: of a chain in `records`,
    /// from an index in `access`. The map of subjects shows whether they are all.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a version is missing between others.
    pub fn about(
        &self,
        ledger: LedgerId,
        subject: SubjectId,
        before: u64,
    ) -> Result<Vec<u64>, StoreError> {
        if ledger.kind == LedgerKind::Records || subject == SubjectId::ZERO {
            let mut positions = self.chain(ledger, subject, 1..=u64::MAX - 1)?;
            positions.truncate(positions.partition_point(|position| *position < before));
            return Ok(positions);
        }
        let (from, end) =
            (keys::by_subject(ledger, subject, 0), keys::by_subject(ledger, subject, before));
        let mut positions = Vec::new();
        self.range(keys::BY_SUBJECT, &from, Some(end.to_vec()), |key, _| {
            positions
                .push(keys::last_number(key).ok_or_else(|| self.damaged(keys::BY_SUBJECT, key))?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(positions)
    }

    /// Whether a leaf stands at a position of the tree.
    pub(crate) fn is_leaf(
        &self,
        ledger: LedgerId,
        position: u64,
        leaf: &Hash,
    ) -> Result<bool, StoreError> {
        let width = TILE_WIDTH as u64;
        let id = TileId { level: 0, index: position / width };
        let at = usize::try_from(position % width).unwrap_or(usize::MAX);
        let key = keys::tile(ledger, id.level, id.index);
        if let Some(tile) = self.get(keys::TILES, &key)? {
            let (hashes, _) = tile.as_chunks::<{ Hash::SIZE }>();
            return Ok(hashes.get(at) == Some(&leaf.0));
        }
        let hashes = self.hashes(&self.store.state(ledger)?, id)?;
        Ok(hashes.is_some_and(|hashes| hashes.get(at) == Some(leaf)))
    }

    fn state_with(&self, ledger: LedgerId, size: u64) -> Result<Snapshot, StoreError> {
        let snapshot = self.store.state(ledger)?;
        if size > snapshot.size {
            return Err(StoreError::NoSuchSize { ledger, asked: size, size: snapshot.size });
        }
        Ok(snapshot)
    }

    fn hashes(&self, now: &Snapshot, id: TileId) -> Result<Option<Vec<Hash>>, StoreError> {
        let state = now.state();
        if let Some(hashes) = state.tree.unfinished(id) {
            return Ok(Some(hashes.to_vec()));
        }
        let key = keys::tile(state.ledger, id.level, id.index);
        // Not from the reader's moment: the state is newer, and a tile that was unfinished then may
        // be full in it. A full tile never changes.
        let table = self.store.table(keys::TILES)?;
        let row = self.store.db.get_pinned_cf(table, key);
        match row.map_err(|error| self.store.met(read_error(keys::TILES, &key, error)))? {
            None => Ok(None),
            Some(row) if row.len() == TILE_BYTES => Ok(tile_hashes(&row)),
            Some(_) => Err(self.damaged(keys::TILES, &key)),
        }
    }

    fn failed(&self, ledger: LedgerId, error: ProofError<StoreError>) -> StoreError {
        match error {
            ProofError::Tiles(error) => error,
            ProofError::TileMissing { level, index } => {
                self.damaged(keys::TILES, &keys::tile(ledger, level, index))
            }
            ProofError::OutOfRange { size } => StoreError::NoSuchSize { ledger, asked: 0, size },
        }
    }
}
