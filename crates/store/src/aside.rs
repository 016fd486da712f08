//! What lies beside the ledgers: messages of another history, the last checkpoint, an override.

use crate::error::{StoreError, damaged};
use crate::keys::{self, MetaTag};
use crate::rows;
use crate::{Store, options};
use ledger::{Hash, LedgerId, Override};
use rocksdb::WriteBatch;
use std::ops::ControlFlow;

impl Store {
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

    /// Keeps the administrators' override for this node, in place of any before.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_override(&self, ledger: LedgerId, kept: &Override) -> Result<(), StoreError> {
        self.put_meta(ledger, MetaTag::Override, &kept.encode())
    }

    /// The override that this node keeps and has not filed yet.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not decode.
    pub fn kept_override(&self, ledger: LedgerId) -> Result<Option<Override>, StoreError> {
        let key = keys::meta(ledger, MetaTag::Override);
        self.reader().row(keys::META, &key, Override::decode)
    }

    /// Forgets the override: what it was for is filed and applied.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn remove_override(&self, ledger: LedgerId) -> Result<(), StoreError> {
        let mut batch = WriteBatch::default();
        batch.delete_cf(self.table(keys::META)?, keys::meta(ledger, MetaTag::Override));
        self.write_aside(batch)
    }

    pub(crate) fn put_meta(
        &self,
        ledger: LedgerId,
        tag: MetaTag,
        value: &[u8],
    ) -> Result<(), StoreError> {
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
