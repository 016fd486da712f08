//! What lies beside the ledgers: the spool, messages of another history, the stream's identity, the
//! last checkpoint.

use crate::error::{StoreError, damaged};
use crate::keys::{self, MetaTag};
use crate::rows;
use crate::{Store, options};
use ledger::{Hash, LedgerId, LedgerKind};
use rocksdb::{IteratorMode, WriteBatch};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// Most bytes that wait in the spool (design, section 7): at 1 KB an access record a million
/// disclosures without a broker, after which reads end.
pub const MAX_SPOOL_BYTES: u64 = 1024 * 1024 * 1024;

impl Store {
    /// Puts a block into the spool under a number of the caller's, synced. The same number again
    /// replaces it. `newest` is the version of the newest access record in it: it stays known when
    /// the block is gone, so that a spool that was dropped shows (design, invariant 10).
    ///
    /// # Errors
    /// [`StoreError::SpoolFull`] at [`MAX_SPOOL_BYTES`].
    pub fn spool_put(&self, number: u64, block: &[u8], newest: u64) -> Result<(), StoreError> {
        let key = keys::spool(number);
        let before = self.reader().get(keys::SPOOL, &key)?.map_or(0, |old| length(&old));
        let used = self.spool_bytes().saturating_sub(before);
        let more = length(block);
        if used + more > MAX_SPOOL_BYTES {
            return Err(StoreError::SpoolFull { used, limit: MAX_SPOOL_BYTES });
        }
        let mut batch = WriteBatch::default();
        batch.put_cf(self.table(keys::SPOOL)?, key, block);
        let meta = keys::meta(self.only(LedgerKind::Access)?, MetaTag::SpoolNewest);
        batch.put_cf(self.table(keys::META)?, meta, newest.to_be_bytes());
        self.write_aside(batch)?;
        self.spool_bytes.fetch_add(more, Ordering::SeqCst);
        self.spool_bytes.fetch_sub(before, Ordering::SeqCst);
        Ok(())
    }

    /// Version of the newest access record that was ever spooled here; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not decode.
    pub fn spool_newest(&self) -> Result<Option<u64>, StoreError> {
        let key = keys::meta(self.only(LedgerKind::Access)?, MetaTag::SpoolNewest);
        self.reader().row(keys::META, &key, rows::decode_number)
    }

    /// The spool's blocks in order of number.
    ///
    /// # Errors
    /// Each item may be damaged.
    pub fn spool_iter(
        &self,
    ) -> Result<impl Iterator<Item = Result<(u64, Vec<u8>), StoreError>> + '_, StoreError> {
        let rows = self.db.iterator_cf(self.table(keys::SPOOL)?, IteratorMode::Start);
        Ok(rows.map(|row| {
            let (key, block) =
                row.map_err(|error| crate::error::read_error(keys::SPOOL, &[], error))?;
            let number = rows::decode_number(&key).ok_or_else(|| damaged(keys::SPOOL, &key))?;
            Ok((number, block.into_vec()))
        }))
    }

    /// Removes the blocks up to and with `number`: they are applied.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn spool_remove(&self, upto: u64) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        let mut bytes = 0;
        let table = self.table(keys::SPOOL)?;
        // One by one: the spool is short, and range tombstones would slow its next reader.
        self.reader().range(keys::SPOOL, &keys::spool(0), None, |key, block| {
            if rows::decode_number(key).is_none_or(|number| number > upto) {
                return Ok(ControlFlow::Break(()));
            }
            batch.delete_cf(table, key);
            bytes += length(block);
            Ok(ControlFlow::Continue(()))
        })?;
        if batch.is_empty() {
            return Ok(());
        }
        self.write_aside(batch)?;
        self.spool_bytes.fetch_sub(bytes, Ordering::SeqCst);
        Ok(())
    }

    /// Bytes in the spool.
    #[must_use]
    pub fn spool_bytes(&self) -> u64 {
        self.spool_bytes.load(Ordering::SeqCst)
    }

    /// Keeps a message that the broker had under a sequence where another one belongs. Kept for
    /// people to look at; the same message again changes nothing.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn keep_foreign(
        &self,
        ledger: LedgerId,
        sequence: u64,
        message: &[u8],
    ) -> Result<(), StoreError> {
        let key = keys::foreign(ledger, sequence, &vault::body_hash(message));
        let mut batch = WriteBatch::default();
        batch.put_cf(self.table(keys::FOREIGN)?, key, message);
        self.write_aside(batch)
    }

    /// The foreign messages of a ledger: sequence, hash and length of each, in order of sequence.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not match its key.
    pub fn foreign(&self, ledger: LedgerId) -> Result<Vec<(u64, Hash, usize)>, StoreError> {
        let prefix = ledger.to_bytes();
        let mut found = Vec::new();
        self.reader().range(
            keys::FOREIGN,
            &prefix,
            keys::after_prefix(&prefix),
            |key, message| {
                let hash = vault::body_hash(message);
                let sequence = key
                    .get(prefix.len()..prefix.len() + 8)
                    .and_then(rows::decode_number)
                    .filter(|_| key.ends_with(&hash.0))
                    .ok_or_else(|| damaged(keys::FOREIGN, key))?;
                found.push((sequence, hash, message.len()));
                Ok(ControlFlow::Continue(()))
            },
        )?;
        Ok(found)
    }

    /// Remembers which stream is applied: when the broker created it (nanoseconds since 1970).
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_stream_identity(&self, ledger: LedgerId, created: i128) -> Result<(), StoreError> {
        self.put_meta(ledger, MetaTag::StreamIdentity, &created.to_be_bytes())
    }

    /// Which stream was applied; `None` before the first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not decode.
    pub fn stream_identity(&self, ledger: LedgerId) -> Result<Option<i128>, StoreError> {
        let key = keys::meta(ledger, MetaTag::StreamIdentity);
        self.reader().row(keys::META, &key, |row| row.try_into().ok().map(i128::from_be_bytes))
    }

    /// Remembers that the stream goes on to `last`, far beyond what is applied: after a start
    /// without a broker, too, it is known that what is here is not nearly all.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_known_end(&self, ledger: LedgerId, last: u64) -> Result<(), StoreError> {
        self.put_meta(ledger, MetaTag::KnownEnd, &last.to_be_bytes())
    }

    /// The end that was remembered last; `None` if none ever was.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not decode.
    pub fn known_end(&self, ledger: LedgerId) -> Result<Option<u64>, StoreError> {
        self.ledger(ledger)?;
        self.reader().row(keys::META, &keys::meta(ledger, MetaTag::KnownEnd), rows::decode_number)
    }

    /// Remembers the last checkpoint that left this node, so that no other of its size ever does.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_last_checkpoint(&self, ledger: LedgerId, note: &str) -> Result<(), StoreError> {
        self.put_meta(ledger, MetaTag::LastCheckpoint, note.as_bytes())
    }

    /// The last checkpoint that left this node.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row is no text.
    pub fn last_checkpoint(&self, ledger: LedgerId) -> Result<Option<String>, StoreError> {
        let key = keys::meta(ledger, MetaTag::LastCheckpoint);
        self.reader().row(keys::META, &key, |row| String::from_utf8(row.to_vec()).ok())
    }

    fn put_meta(&self, ledger: LedgerId, tag: MetaTag, value: &[u8]) -> Result<(), StoreError> {
        self.ledger(ledger)?;
        let mut batch = WriteBatch::default();
        batch.put_cf(self.table(keys::META)?, keys::meta(ledger, tag), value);
        self.write_aside(batch)
    }

    fn write_aside(&self, batch: WriteBatch) -> Result<(), StoreError> {
        self.db
            .write_opt(batch, &options::synced())
            .map_err(|source| StoreError::Database { action: "write", source })
    }
}

pub(crate) fn length(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LedgerPin;
    use vault::{KeyEncryptionKey, Vault};

    #[test]
    fn a_full_spool_refuses_and_names_its_limit() {
        let dir = tempfile::tempdir().unwrap();
        let kek = KeyEncryptionKey::from_bytes(1, &[1; 32]).unwrap();
        let vault = std::sync::Arc::new(Vault::open(dir.path(), kek).unwrap());
        let pin = LedgerPin { ledger: LedgerId::ACCESS, genesis: Hash::ZERO };
        let store = Store::open(dir.path(), &[pin], vault).unwrap();
        store.spool_bytes.store(MAX_SPOOL_BYTES - 10, Ordering::SeqCst);
        store.spool_put(1, &[7; 10], 1).unwrap();
        // the same number again takes no more room
        store.spool_put(1, &[8; 10], 1).unwrap();
        let error = store.spool_put(2, &[7], 2).unwrap_err();
        assert!(matches!(error, StoreError::SpoolFull { used: MAX_SPOOL_BYTES, .. }), "{error}");
        assert!(error.to_string().contains(&MAX_SPOOL_BYTES.to_string()), "{error}");
    }
}
