//! The vault and the bucket's entries: keys that are made ahead and go into the bucket, keys that come
//! from there, and keys that go back when the bucket has lost them.

use crate::batch::{
    KEYS_PER_BATCH, KeyBatch, KeyPurpose, PatientKeys, SYSTEM_ENTRY, SystemKeys, WrappedKey,
};
use crate::database::{BATCHES, Database, KEYS, KeyRow, META, SUBJECTS, UNUSED, damaged};
use crate::keystore::{SYSTEM_ROW, lock};
use crate::system::System;
use crate::{KnownKek, Vault, VaultError};
use ledger::{KeyId, SubjectId};
use rocksdb::WriteBatch;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Where a row of `batches` says whether this node made the batch; before it the hash, after it the
/// subjects.
const MADE_HERE: usize = 32;

/// Who made a batch of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BatchOrigin {
    /// This node, just now: its patients may be given out by [`Vault::take_patient`].
    ThisNode,
    /// It was read from the bucket: another node's, or our own from before our disk was lost, when
    /// nobody knows which of it is used. Its keys open bodies; its patients are never given out.
    Bucket,
}

/// What is kept of an entry, by the lowest version of the key-encryption key that its keys are under.
#[derive(Debug, Default)]
pub(crate) struct Held(BTreeMap<String, u32>);

impl Held {
    /// What lies in the database.
    pub(crate) fn of(database: &Database) -> Result<Self, VaultError> {
        let mut held = BTreeMap::new();
        if let Some(bytes) = database.get(META, SYSTEM_ROW)?
            && let Some(version) = crate::wrapped_under(SYSTEM_ENTRY, &bytes)?
        {
            held.insert(SYSTEM_ENTRY.to_owned(), version);
        }
        let wanted = held.get(SYSTEM_ENTRY).copied();
        // One pass over all keys, which are under that version unless a rotation has not ended.
        let mut others: HashMap<[u8; 16], u32> = HashMap::new();
        database.each(KEYS, |id, row| {
            if let KeyRow::Wrapped(key) =
                postcard::from_bytes(row).map_err(|_| database.met(damaged(KEYS, id)))?
                && Some(key.kek_version) != wanted
            {
                let lowest = others.entry(key.subject.0).or_insert(key.kek_version);
                *lowest = key.kek_version.min(*lowest);
            }
            Ok(())
        })?;
        database.each(BATCHES, |name, row| {
            let text = std::str::from_utf8(name).map_err(|_| damaged(BATCHES, name))?;
            let subjects = batch_subjects(name, row)?.iter();
            let lowest = subjects.filter_map(|subject| others.get(subject).copied().or(wanted));
            if let Some(version) = lowest.min() {
                held.insert(text.to_owned(), version);
            }
            Ok(())
        })?;
        Ok(Self(held))
    }

    pub(crate) fn versions(&self) -> BTreeSet<u32> {
        self.0.values().copied().collect()
    }
}

/// How a key stands to the one that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Staged {
    /// There was none: it is.
    New,
    /// Wrapped anew: it is kept in its place.
    Anew,
    /// Nothing to do.
    Same,
    /// Ours is under a newer version.
    Older,
}

impl Vault {
    /// The version of the key-encryption key that all keys are to be under, new ones are made under, and
    /// others wrapped anew: the one that the system's keys came under. `None` before they arrived.
    ///
    /// # Errors
    /// Only after a panic elsewhere.
    pub fn kek_version(&self) -> Result<Option<u32>, VaultError> {
        let system = self.system.read().map_err(|_| VaultError::Poisoned)?;
        Ok(system.as_ref().map(|system| system.kek_version))
    }

    /// The versions of the key-encryption key that this node was given, ascending.
    #[must_use]
    pub fn known_keks(&self) -> Vec<KnownKek> {
        self.keks.known()
    }

    /// The versions that keys kept here are under, ascending.
    ///
    /// # Errors
    /// Only after a panic elsewhere.
    pub fn held_keks(&self) -> Result<Vec<u32>, VaultError> {
        Ok(lock(&self.held)?.versions().into_iter().collect())
    }

    /// An entry as it is to be in the bucket, when its keys are under an older version of the
    /// key-encryption key than they are to be; `None` when there is nothing to do. Nothing is kept until
    /// the bucket has it and it is added.
    ///
    /// # Errors
    /// When the entry is malformed, or a key of it does not unwrap.
    pub fn rewrap(&self, name: &str, bytes: &[u8]) -> Result<Option<Vec<u8>>, VaultError> {
        match self.kek_version()? {
            Some(version) => self.keks.rewrap(name, bytes, version),
            None => Ok(None),
        }
    }

    /// Makes wraps that were replaced leave the disk. Takes as long as it takes to write all keys:
    /// seconds for a million patients.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn purge_old_wraps(&self) -> Result<(), VaultError> {
        self.database.purge_old_versions(None)
    }

    /// Makes keys for [`KEYS_PER_BATCH`] new patients: the bytes of one bucket entry. Nothing is
    /// kept until [`Vault::add_batch`]; put the entry into the bucket first, so that no patient is
    /// ever given a key that other nodes cannot get.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn mint_batch(&self) -> Result<Vec<u8>, VaultError> {
        let version = self.kek_version()?.unwrap_or_else(|| self.keks.newest());
        KeyBatch::mint(self.keks.key(version)?, KEYS_PER_BATCH)?.encode()
    }

    /// Makes the system's keys: the bytes of the bucket entry `system`, for `init`.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn mint_system(&self) -> Result<Vec<u8>, VaultError> {
        SystemKeys::mint(self.keks.key(self.keks.newest())?)?.encode()
    }

    /// Keeps a batch, synced. Adding it again changes nothing, and a key that was destroyed here stays
    /// destroyed. The same keys wrapped anew take the old wraps' place, unless they are under an older
    /// version of the key-encryption key. Returns the subjects whose keys are new on this node: their
    /// views may now be folded, and are noted as such unless this node made them (`to_fold`).
    ///
    /// # Errors
    /// When the bytes are malformed, bring a key that no version of the key-encryption key known here
    /// opens, or take away or exchange what is kept here; then nothing is kept of it.
    pub fn add_batch(
        &self,
        name: &str,
        bytes: &[u8],
        origin: BatchOrigin,
    ) -> Result<Vec<SubjectId>, VaultError> {
        let ours = origin == BatchOrigin::ThisNode;
        // held throughout, so that two callers cannot both count one batch's patients as unused
        let mut reserve = lock(&self.reserve)?;
        let mut row = crate::body_hash(bytes).0.to_vec();
        let known = self.database.get(BATCHES, name.as_bytes())?;
        let was_ours = known.as_ref().is_some_and(|known| known.get(MADE_HERE) == Some(&1));
        row.push(u8::from(ours || was_ours));
        let batch = KeyBatch::decode(name, bytes)?;
        batch.entries.iter().for_each(|entry| row.extend_from_slice(&entry.subject.0));
        if known.as_ref() == Some(&row) {
            return Ok(Vec::new());
        }
        if let Some(known) = &known {
            self.keeps_all(name, known, &batch)?;
        }
        let mut write = WriteBatch::default();
        let mut new = Vec::new();
        let (mut unused, mut older) = (0, false);
        for entry in &batch.entries {
            self.keeps_ids(name, entry)?;
            let file = self.stage_key(name, &entry.file, &mut write)?;
            let audit = self.stage_key(name, &entry.audit, &mut write)?;
            older |= file == Staged::Older || audit == Staged::Older;
            if file == Staged::New || audit == Staged::New {
                new.push(entry.subject);
            }
            let ids = [entry.file.id.0, entry.audit.id.0].concat();
            write.put_cf(self.database.table(SUBJECTS)?, entry.subject.0, &ids);
            self.subjects.remove(&entry.subject);
            if ours && !was_ours {
                write.put_cf(self.database.table(UNUSED)?, entry.subject.0, &ids);
                unused += 1;
            }
        }
        if older {
            // What an entry held before it was wrapped anew: it brings nothing.
            return Ok(Vec::new());
        }
        write.put_cf(self.database.table(BATCHES)?, name.as_bytes(), &row);
        if !ours {
            self.note_to_fold(new.iter().copied());
        }
        self.database.write(write)?;
        if !ours {
            // Once more: somebody may have folded them meanwhile, without these keys.
            self.note_to_fold(new.iter().copied());
        }
        self.holds(name, bytes)?;
        reserve.on_disk += unused;
        Ok(new)
    }

    /// Refuses a batch that lacks a subject that it had, unless another has it: the subject would be in no
    /// entry any more, not put back and not wrapped anew.
    fn keeps_all(&self, name: &str, known: &[u8], batch: &KeyBatch) -> Result<(), VaultError> {
        let now: BTreeSet<_> = batch.entries.iter().map(|entry| entry.subject.0).collect();
        let known = batch_subjects(name.as_bytes(), known)?.iter();
        let mut lost: BTreeSet<_> = known.filter(|subject| !now.contains(*subject)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        self.database.each(BATCHES, |other, row| {
            if other != name.as_bytes() {
                for subject in batch_subjects(other, row)? {
                    lost.remove(subject);
                }
            }
            Ok(())
        })?;
        let Some(&subject) = lost.first() else { return Ok(()) };
        let ids = self.keys_of(SubjectId(*subject))?.ok_or_else(|| damaged(SUBJECTS, subject))?;
        Err(conflict(ids.file, name))
    }

    /// Refuses other keys for a subject than those that it has, and any for the system's own.
    fn keeps_ids(&self, name: &str, entry: &PatientKeys) -> Result<(), VaultError> {
        if self.system()?.is_some_and(|system| system.subject == entry.subject) {
            return Err(conflict(entry.file.id, name));
        }
        let Some(kept) = self.keys_of(entry.subject)? else { return Ok(()) };
        for (kept, key) in [(kept.file, &entry.file), (kept.audit, &entry.audit)] {
            // An id that came without its key proves nothing, and gives way to a key that opens.
            let gives_way = !key.is_destroyed() && self.database.key_row(&kept.0)?.is_none();
            if kept != key.id && !gives_way {
                return Err(conflict(kept, name));
            }
        }
        Ok(())
    }

    fn holds(&self, name: &str, bytes: &[u8]) -> Result<(), VaultError> {
        if let Some(version) = crate::wrapped_under(name, bytes)? {
            lock(&self.held)?.0.insert(name.to_owned(), version);
        }
        Ok(())
    }

    /// Stages a key's row, if it is to be another one than is kept.
    fn stage_key(
        &self,
        batch: &str,
        key: &WrappedKey,
        write: &mut WriteBatch,
    ) -> Result<Staged, VaultError> {
        let staged = match self.database.key_row(&key.id.0)? {
            Some(KeyRow::Destroyed) => Staged::Same,
            None if key.is_destroyed() => Staged::Same,
            Some(KeyRow::Wrapped(kept)) if kept == *key => Staged::Same,
            // Only a destruction here takes a key away, not whoever empties it in the bucket.
            Some(KeyRow::Wrapped(_)) if key.is_destroyed() => return Err(conflict(key.id, batch)),
            Some(KeyRow::Wrapped(kept)) if self.keks.check(&kept).is_ok() => {
                if !self.keks.same_key(&kept, key)? {
                    return Err(conflict(key.id, batch));
                }
                // Under one version it is the bucket's that counts, so that all nodes have the same
                // bytes.
                let older = key.kek_version < kept.kek_version;
                if older { Staged::Older } else { Staged::Anew }
            }
            // One that is kept and does not open gives way to one that does.
            None | Some(KeyRow::Wrapped(_)) => {
                self.keks.check(key)?;
                Staged::New
            }
        };
        if matches!(staged, Staged::New | Staged::Anew) {
            let row = postcard::to_stdvec(&KeyRow::Wrapped(key.clone()))
                .map_err(|_| damaged(KEYS, &key.id.0))?;
            write.put_cf(self.database.table(KEYS)?, key.id.0, row);
        }
        Ok(staged)
    }

    /// Keeps the system's keys, synced. Adding the same again changes nothing; wrapped anew they take
    /// the old wraps' place, unless they are under an older version of the key-encryption key.
    ///
    /// # Errors
    /// When the bytes are malformed, do not unwrap, or differ from the system keys kept.
    pub fn add_system(&self, bytes: &[u8]) -> Result<(), VaultError> {
        let keys = SystemKeys::decode(bytes)?;
        let opened = Arc::new(System::open(&self.keks, &keys)?);
        let mut system = self.system.write().map_err(|_| VaultError::Poisoned)?;
        if let Some(kept) = self.database.get(META, SYSTEM_ROW)? {
            if kept == bytes {
                return Ok(());
            }
            if !SystemKeys::decode(&kept)?.names_the_keys_of(&keys) {
                return Err(conflict(keys.index.id, SYSTEM_ENTRY));
            }
        }
        let mut write = WriteBatch::default();
        for key in keys.all() {
            if self.stage_key(SYSTEM_ENTRY, key, &mut write)? == Staged::Older {
                return Ok(());
            }
        }
        write.put_cf(self.database.table(META)?, SYSTEM_ROW, bytes);
        self.database.write(write)?;
        self.holds(SYSTEM_ENTRY, bytes)?;
        *system = Some(opened);
        Ok(())
    }

    /// Whether a batch of that name was added.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn has_batch(&self, name: &str) -> Result<bool, VaultError> {
        Ok(self.database.get(BATCHES, name.as_bytes())?.is_some())
    }

    /// Names of all batches that were added: with [`Vault::batch`], what a lost bucket held.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn batches(&self) -> Result<Vec<String>, VaultError> {
        let names = self.database.keys_in(BATCHES)?;
        names
            .into_iter()
            .map(|name| String::from_utf8(name).map_err(|e| damaged(BATCHES, e.as_bytes())))
            .collect()
    }

    /// A batch as the bucket holds it, put together again from its keys: the bytes that were added,
    /// but of a key that was destroyed since only the id is left. `None` when no batch of that name
    /// was added.
    ///
    /// # Errors
    /// When a row is damaged.
    pub fn batch(&self, name: &str) -> Result<Option<Vec<u8>>, VaultError> {
        let Some(row) = self.database.get(BATCHES, name.as_bytes())? else { return Ok(None) };
        let version = lock(&self.held)?.0.get(name).copied();
        let version = version.unwrap_or_else(|| self.keks.newest());
        let entry = |subject: &[u8; 16]| {
            let subject = SubjectId(*subject);
            let ids = self.keys_of(subject)?.ok_or_else(|| damaged(SUBJECTS, &subject.0))?;
            let file = self.wrapped(ids.file, subject, KeyPurpose::File, version)?;
            let audit = self.wrapped(ids.audit, subject, KeyPurpose::Audit, version)?;
            Ok(PatientKeys { subject, file, audit })
        };
        let subjects = batch_subjects(name.as_bytes(), &row)?;
        let entries = subjects.iter().map(entry).collect::<Result<_, VaultError>>()?;
        KeyBatch { entries }.encode().map(Some)
    }

    fn wrapped(
        &self,
        id: KeyId,
        subject: SubjectId,
        purpose: KeyPurpose,
        version: u32,
    ) -> Result<WrappedKey, VaultError> {
        match self.database.key_row(&id.0)? {
            Some(KeyRow::Wrapped(key)) => Ok(key),
            // A key that had been destroyed when its batch came has no row.
            Some(KeyRow::Destroyed) | None => {
                Ok(WrappedKey::destroyed(id, subject, purpose, version))
            }
        }
    }

    /// The entry `system` as the bucket holds it; `None` before it arrived.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn system_entry(&self) -> Result<Option<Vec<u8>>, VaultError> {
        self.database.get(META, SYSTEM_ROW)
    }
}

fn conflict(key: KeyId, batch: &str) -> VaultError {
    VaultError::KeyConflict { key, batch: batch.to_owned() }
}

/// Whose keys a batch holds, by its row.
fn batch_subjects<'a>(name: &[u8], row: &'a [u8]) -> Result<&'a [[u8; 16]], VaultError> {
    match row.get(MADE_HERE + 1..).unwrap_or_default().as_chunks::<16>() {
        (subjects, []) => Ok(subjects),
        _ => Err(damaged(BATCHES, name)),
    }
}
