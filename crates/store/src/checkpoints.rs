//! Signed checkpoints as the nodes filed them: one row for each size and node, newest signature.
//! What a node signed of a size earlier stays in its block.

use crate::fold::Fold;
use crate::keys;
use crate::reader::Reader;
use crate::{Store, StoreError, rows};
use ledger::checkpoint::Checkpoint;
use ledger::note::{NoteSignature, SignedNote};
use ledger::{Applied, BlockVerdict, Frame, Item, ItemVerdict, LedgerId, NodeId, State};
use rocksdb::WriteBatch;
use std::ops::ControlFlow;

/// A checkpoint as one node signed it. Nothing of it is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FiledCheckpoint {
    /// Whose block brought it.
    pub node: NodeId,
    /// The note.
    pub note: SignedNote,
}

/// Stages the checkpoints that a judged block brought.
pub(crate) fn stage(
    fold: &mut Fold<'_>,
    message: &[u8],
    applied: &Applied,
    state: &State,
) -> Result<(), StoreError> {
    for (size, FiledCheckpoint { node, note }) in brought(message, applied, state) {
        let key = keys::checkpoint(fold.ledger, size, node);
        let filed = fold.reader.row(keys::CHECKPOINTS, &key, parse)?;
        // Else it is of an earlier block that was published once more.
        if filed.is_none_or(|(filed, _)| cosigned_at(&filed) <= cosigned_at(&note)) {
            fold.batch.put_cf(fold.store.table(keys::CHECKPOINTS)?, key, note.to_string());
        }
    }
    Ok(())
}

/// The checkpoints that a judged block brought, with their sizes. What is none, or is of another
/// ledger or of more than there was, is in the block alone: it takes no part in any verdict.
pub(crate) fn brought(
    message: &[u8],
    applied: &Applied,
    state: &State,
) -> Vec<(u64, FiledCheckpoint)> {
    let mut brought = Vec::new();
    let BlockVerdict::Judged(items) = &applied.verdict else { return brought };
    if !items.contains(&ItemVerdict::Checkpoint) {
        return brought;
    }
    let (origin, size) = (state.origin(), state.size());
    let Ok(frame) = Frame::parse(message) else { return brought };
    let Ok(content) = frame.content() else { return brought };
    for item in &content.items {
        let Item::Checkpoint(bytes) = item else { continue };
        let Some((note, checkpoint)) = parse(bytes) else { continue };
        if checkpoint.origin == origin && (1..=size).contains(&checkpoint.size) {
            brought.push((checkpoint.size, FiledCheckpoint { node: frame.node, note }));
        }
    }
    brought
}

/// When the note says that it was cosigned, seconds since 1970 UTC.
fn cosigned_at(note: &SignedNote) -> u64 {
    let cosigned = |line: &NoteSignature| match line.signature.split_first_chunk::<8>() {
        Some((time, signature)) if signature.len() == 64 => u64::from_be_bytes(*time),
        _ => 0,
    };
    note.signatures.iter().map(cosigned).max().unwrap_or(0)
}

pub(crate) fn parse(bytes: &[u8]) -> Option<(SignedNote, Checkpoint)> {
    let note: SignedNote = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    let checkpoint = note.text().parse().ok()?;
    Some((note, checkpoint))
}

impl Reader<'_> {
    /// What nodes signed of this size.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not decode.
    pub fn checkpoints(
        &self,
        ledger: LedgerId,
        size: u64,
    ) -> Result<Vec<FiledCheckpoint>, StoreError> {
        let prefix = keys::checkpoints(ledger, size);
        let mut filed = Vec::new();
        self.range(keys::CHECKPOINTS, &prefix, keys::after_prefix(&prefix), |key, row| {
            let node = key.last_chunk::<16>().map(|node| NodeId(*node));
            let (node, (note, _)) =
                node.zip(parse(row)).ok_or_else(|| self.damaged(keys::CHECKPOINTS, key))?;
            filed.push(FiledCheckpoint { node, note });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(filed)
    }

    /// The largest size below `end` of which a node signed a checkpoint.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not decode.
    pub fn checkpoint_before(&self, ledger: LedgerId, end: u64) -> Result<Option<u64>, StoreError> {
        let mut found = None;
        let (from, end) = (keys::checkpoints(ledger, 0), keys::checkpoints(ledger, end));
        self.range_back(keys::CHECKPOINTS, &from, &end, |key| {
            let size = key.get(5..13).and_then(|size| size.try_into().ok());
            found = Some(
                size.map(u64::from_be_bytes).ok_or_else(|| self.damaged(keys::CHECKPOINTS, key))?,
            );
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}

impl Store {
    /// Remembers that this node is about to sign this checkpoint, so that it never signs another that
    /// disagrees; synced.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_last_checkpoint(
        &self,
        ledger: LedgerId,
        checkpoint: &Checkpoint,
    ) -> Result<(), StoreError> {
        let text = checkpoint.to_string();
        self.put_meta(ledger, keys::MetaTag::LastCheckpoint, text.as_bytes())
    }

    /// Remembers the newest size that a majority has signed, with the note of it that witnesses have
    /// cosigned, which no block brings; and forgets what was signed of smaller ones: the blocks keep
    /// it. Not synced: after a crash an older one is known.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn set_newest_checkpoint(
        &self,
        ledger: LedgerId,
        size: u64,
        witnessed: Option<&SignedNote>,
    ) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let (meta, key) = (self.table(keys::META)?, |tag| keys::meta(ledger, tag));
        batch.put_cf(meta, key(keys::MetaTag::NewestCheckpoint), size.to_be_bytes());
        if let Some(note) = witnessed {
            batch.put_cf(meta, key(keys::MetaTag::Witnessed), note.to_string());
        }
        let table = self.table(keys::CHECKPOINTS)?;
        // One by one: they are few, and range tombstones would slow every later look.
        let (from, end) = (keys::checkpoints(ledger, 0), keys::checkpoints(ledger, size));
        self.reader().range(keys::CHECKPOINTS, &from, Some(end.to_vec()), |key, _| {
            batch.delete_cf(table, key);
            Ok(ControlFlow::Continue(()))
        })?;
        self.db.write(batch).map_err(|source| StoreError::Database { action: "write", source })
    }

    /// The newest size that a majority had signed when this node last knew.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row is no number.
    pub fn newest_checkpoint(&self, ledger: LedgerId) -> Result<Option<u64>, StoreError> {
        let key = keys::meta(ledger, keys::MetaTag::NewestCheckpoint);
        self.reader().row(keys::META, &key, rows::decode_number)
    }

    /// The newest note that witnesses had cosigned when this node last knew. Nothing of it is verified.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row is no note.
    pub fn witnessed(&self, ledger: LedgerId) -> Result<Option<SignedNote>, StoreError> {
        let key = keys::meta(ledger, keys::MetaTag::Witnessed);
        self.reader().row(keys::META, &key, |row| Some(parse(row)?.0))
    }

    /// The largest checkpoint that this node ever signed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row is none.
    pub fn last_checkpoint(&self, ledger: LedgerId) -> Result<Option<Checkpoint>, StoreError> {
        let key = keys::meta(ledger, keys::MetaTag::LastCheckpoint);
        self.reader().row(keys::META, &key, |row| std::str::from_utf8(row).ok()?.parse().ok())
    }
}
