//! The key database of a node that is stopped, looked at without any key-encryption key: nothing is
//! unwrapped, nothing is changed.
//!
//! A batch's row has the hash of the batch as it came, and the batch is made again from the rows of its
//! keys. So it shows when a wrapped key was exchanged, as long as none of its batch is destroyed.

use crate::VaultError;
use crate::batch::{KEYS_PER_BATCH, KeyBatch, KeyPurpose, PatientKeys, SystemKeys, WrappedKey};
use crate::database::{BATCHES, Database, KEYS, KeyRow, META, SUBJECTS, UNUSED, damaged};
use crate::keystore::SYSTEM_ROW;
use ledger::{KeyId, SubjectId};
use std::collections::BTreeMap;
use std::path::Path;

/// 32 bytes of key and 16 of tag.
const WRAPPED_BYTES: usize = 48;

/// The key database of a stopped node, to be looked at.
#[derive(Debug)]
pub struct Inspection {
    database: Database,
}

/// What is kept under a key's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// A wrapped key.
    Key {
        /// Whom it is about.
        subject: SubjectId,
        /// What it may be used for.
        purpose: KeyPurpose,
    },
    /// That the key was destroyed.
    Destroyed,
}

/// How much was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeysSeen {
    /// Wrapped keys.
    pub keys: u64,
    /// The same by the version of the key-encryption key that they are under: more than one when a
    /// rotation has not ended on this node.
    pub by_version: BTreeMap<u32, u64>,
    /// Keys that were destroyed.
    pub destroyed: u64,
    /// Subjects whose key ids are known.
    pub subjects: u64,
    /// Batches that were compared with their hash.
    pub batches: u64,
    /// Batches that cannot be: a key of theirs is destroyed.
    pub batches_not_compared: u64,
}

impl Inspection {
    /// Opens the key database at `dir/keys`, for reading only.
    ///
    /// # Errors
    /// When it is not there, cannot be read or is damaged.
    pub fn open(dir: &Path) -> Result<Self, VaultError> {
        Ok(Self { database: Database::open_read_only(dir)? })
    }

    /// What is kept under a key's id; none when it never came.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn holder(&self, id: KeyId) -> Result<Option<Holder>, VaultError> {
        Ok(self.database.key_row(&id.0)?.map(|row| match row {
            KeyRow::Wrapped(WrappedKey { subject, purpose, .. }) => {
                Holder::Key { subject, purpose }
            }
            KeyRow::Destroyed => Holder::Destroyed,
        }))
    }

    /// Whether anything is known of a subject's keys.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn knows(&self, subject: SubjectId) -> Result<bool, VaultError> {
        Ok(self.database.get(SUBJECTS, &subject.0)?.is_some())
    }

    /// The system's subject; none before its keys came.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn system(&self) -> Result<Option<SubjectId>, VaultError> {
        let row = self.database.get(META, SYSTEM_ROW)?;
        Ok(row.map(|bytes| SystemKeys::decode(&bytes)).transpose()?.map(|keys| keys.subject))
    }

    /// Looks at every row: it decodes, is in its place, and agrees with the others.
    ///
    /// # Errors
    /// [`VaultError::Damaged`] or [`VaultError::MalformedBatch`] for the first that does not.
    pub fn check(&self) -> Result<KeysSeen, VaultError> {
        let mut seen = KeysSeen::default();
        self.database.each(META, |key, row| match key {
            SYSTEM_ROW => self.system_row(row),
            _ => Err(damaged(META, key)),
        })?;
        let system = self.system()?;
        self.database.each(KEYS, |key, row| self.key(key, row, system, &mut seen))?;
        self.database.each(SUBJECTS, |key, row| {
            seen.subjects += 1;
            self.subject(key, row)
        })?;
        self.database.each(BATCHES, |key, row| self.batch(key, row, &mut seen))?;
        self.database.each(UNUSED, |key, row| {
            let same = self.database.get(SUBJECTS, key)?.as_deref() == Some(row);
            same.then_some(()).ok_or_else(|| damaged(UNUSED, key))
        })?;
        Ok(seen)
    }

    fn system_row(&self, row: &[u8]) -> Result<(), VaultError> {
        for key in SystemKeys::decode(row)?.all() {
            if self.database.key_row(&key.id.0)? != Some(KeyRow::Wrapped(key.clone())) {
                return Err(damaged(KEYS, &key.id.0));
            }
        }
        Ok(())
    }

    fn key(
        &self,
        key: &[u8],
        row: &[u8],
        system: Option<SubjectId>,
        seen: &mut KeysSeen,
    ) -> Result<(), VaultError> {
        let decoded = postcard::from_bytes::<KeyRow>(row).ok();
        // One spelling: what does not come back the same was not written by us.
        let decoded = decoded.filter(|it| postcard::to_stdvec(it).is_ok_and(|again| again == row));
        match decoded.ok_or_else(|| damaged(KEYS, key))? {
            KeyRow::Destroyed => {
                seen.destroyed += 1;
                (key.len() == 16).then_some(()).ok_or_else(|| damaged(KEYS, key))
            }
            KeyRow::Wrapped(wrapped) => {
                seen.keys += 1;
                *seen.by_version.entry(wrapped.kek_version).or_default() += 1;
                let named = match self.database.get(SUBJECTS, &wrapped.subject.0)? {
                    Some(ids) => ids.chunks(16).any(|id| id == key),
                    None => system == Some(wrapped.subject),
                };
                let in_place = wrapped.id.0 == key && wrapped.ciphertext.len() == WRAPPED_BYTES;
                (named && in_place).then_some(()).ok_or_else(|| damaged(KEYS, key))
            }
        }
    }

    /// The two keys that are named are the subject's, as far as they are here.
    fn subject(&self, key: &[u8], row: &[u8]) -> Result<(), VaultError> {
        let wrong = || damaged(SUBJECTS, key);
        let subject = SubjectId(key.try_into().map_err(|_| wrong())?);
        let (ids, []) = row.as_chunks::<16>() else { return Err(wrong()) };
        if ids.len() != 2 {
            return Err(wrong());
        }
        for (id, wanted) in ids.iter().zip([KeyPurpose::File, KeyPurpose::Audit]) {
            match self.holder(KeyId(*id))? {
                Some(Holder::Key { subject: of, purpose })
                    if (of, purpose) != (subject, wanted) =>
                {
                    return Err(wrong());
                }
                Some(Holder::Key { .. } | Holder::Destroyed) | None => {}
            }
        }
        Ok(())
    }

    fn batch(&self, key: &[u8], row: &[u8], seen: &mut KeysSeen) -> Result<(), VaultError> {
        let wrong = || damaged(BATCHES, key);
        let name = std::str::from_utf8(key).map_err(|_| wrong())?;
        let (hash, rest) = row.split_first_chunk::<32>().ok_or_else(wrong)?;
        let Some((0 | 1, subjects)) = rest.split_first() else { return Err(wrong()) };
        let (subjects, []) = subjects.as_chunks::<16>() else { return Err(wrong()) };
        if subjects.len() > KEYS_PER_BATCH {
            return Err(wrong());
        }
        let mut entries = Vec::with_capacity(subjects.len());
        for subject in subjects {
            let ids = self.database.get(SUBJECTS, subject)?.ok_or_else(wrong)?;
            let (ids, []) = ids.as_chunks::<16>() else { return Err(wrong()) };
            let mut wrapped = Vec::with_capacity(2);
            for id in ids {
                let Some(KeyRow::Wrapped(key)) = self.database.key_row(id)? else { continue };
                wrapped.push(key);
            }
            // Of a destroyed key the batch has something that is not here.
            let Ok([file, audit]) = <[WrappedKey; 2]>::try_from(wrapped) else {
                seen.batches_not_compared += 1;
                return Ok(());
            };
            entries.push(PatientKeys { subject: SubjectId(*subject), file, audit });
        }
        let bytes = KeyBatch { entries }.encode()?;
        KeyBatch::decode(name, &bytes)?;
        if crate::body_hash(&bytes).0 != *hash {
            return Err(wrong());
        }
        seen.batches += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{BatchOrigin, KeyEncryptionKey, Vault};
    use rocksdb::{DB, IteratorMode, Options};

    fn filled(dir: &Path) -> Vault {
        let vault = Vault::open(dir, KeyEncryptionKey::from_bytes(1, &[42; 32]).unwrap()).unwrap();
        vault.add_system(&vault.mint_system().unwrap()).unwrap();
        for name in ["one", "two"] {
            let batch = vault.mint_batch().unwrap();
            vault.add_batch(name, &batch, BatchOrigin::ThisNode).unwrap();
        }
        vault
    }

    #[test]
    fn what_the_vault_wrote_is_in_order_also_behind_a_destroyed_key() {
        let dir = tempfile::tempdir().unwrap();
        let vault = filled(dir.path());
        let patient = vault.take_patient().unwrap().unwrap();
        drop(vault);
        let seen = Inspection::open(dir.path()).unwrap().check().unwrap();
        let by_version = BTreeMap::from([(1, 1028)]);
        let (keys, subjects, batches) = (1028, 512, 2);
        let wanted = KeysSeen { keys, by_version, subjects, batches, ..KeysSeen::default() };
        assert_eq!(seen, wanted);
        let vault = Vault::open(dir.path(), KeyEncryptionKey::from_bytes(1, &[42; 32]).unwrap());
        vault.unwrap().destroy(patient.file).unwrap();
        let inspection = Inspection::open(dir.path()).unwrap();
        let seen = inspection.check().unwrap();
        assert_eq!((seen.destroyed, seen.batches, seen.batches_not_compared), (1, 1, 1));
        assert_eq!(inspection.holder(patient.file).unwrap(), Some(Holder::Destroyed));
        let audit = Holder::Key { subject: patient.subject, purpose: KeyPurpose::Audit };
        assert_eq!(inspection.holder(patient.audit).unwrap(), Some(audit));
        assert_eq!(inspection.holder(KeyId([1; 16])).unwrap(), None);
    }

    #[test]
    fn a_flipped_bit_in_any_row_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        drop(filled(dir.path()));
        let names = ["default", KEYS, SUBJECTS, BATCHES, UNUSED, META];
        for table in [KEYS, SUBJECTS, BATCHES, UNUSED, META] {
            for round in 0..12 {
                let open = || DB::open_cf(&Options::default(), dir.path().join("keys"), names);
                let db = open().unwrap();
                let rows = db.iterator_cf(db.cf_handle(table).unwrap(), IteratorMode::Start);
                let all: Vec<_> = rows.map(Result::unwrap).collect();
                let (key, before) = &all[round * 41 % all.len()];
                let mut after = before.to_vec();
                let at = round * 29 % after.len();
                after[at] ^= 0x80;
                db.put_cf(db.cf_handle(table).unwrap(), key, after).unwrap();
                drop(db);
                let found = Inspection::open(dir.path()).unwrap().check();
                assert!(found.is_err(), "{table}, byte {at} of row {}", hex::encode(key));
                let db = open().unwrap();
                db.put_cf(db.cf_handle(table).unwrap(), key, before).unwrap();
                drop(db);
                Inspection::open(dir.path()).unwrap().check().unwrap();
            }
        }
    }
}
