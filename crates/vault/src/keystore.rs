//! The vault itself.

use crate::VaultError;
use crate::batch::{KEYS_PER_BATCH, KeyBatch, KeyPurpose, PatientKeys, SystemKeys, WrappedKey};
use crate::cache::{GENERATION, KeyCache};
use crate::data_key::DataKey;
use crate::database::{BATCHES, Database, KEYS, KeyRow, META, SUBJECTS, UNUSED, damaged};
use crate::key_encryption::KeyEncryptionKey;
use crate::system::{System, SystemKeyIds};
use ledger::{Hash, Header, KeyId, SubjectId};
use quick_cache::sync::Cache;
use rocksdb::WriteBatch;
use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// Patients set apart by one synced write. A crash wastes at most this many pairs of keys, and a
/// sync is paid once in 64 registrations.
const RESERVE: usize = 64;

const SYSTEM_ROW: &[u8] = b"system";

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

/// The key ids of an existing patient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubjectKeyIds {
    /// Seals the file.
    pub file: KeyId,
    /// Seals the records of who saw it.
    pub audit: KeyId,
}

/// A fresh patient id with its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatientKeyIds {
    /// The new patient.
    pub subject: SubjectId,
    /// Seals the file.
    pub file: KeyId,
    /// Seals the records of who saw it.
    pub audit: KeyId,
}

/// Whether a key can be used here and now.
#[derive(Debug, Clone)]
pub enum KeyState {
    /// Unwrapped and ready.
    Here(Arc<DataKey>),
    /// Not on this node yet; its batch may still arrive.
    Missing,
    /// Gone for ever.
    Destroyed,
}

/// What opening a body gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    /// The content, without padding.
    Plain(Vec<u8>),
    /// Its key is not on this node yet.
    KeyMissing,
    /// Its key was destroyed.
    KeyDestroyed,
}

#[derive(Debug, Default)]
struct Reserve {
    ready: VecDeque<PatientKeyIds>,
    last: Option<[u8; 16]>,
    on_disk: usize,
}

/// All keys of one node. Shared by reference; every method may be called from any thread.
#[derive(Debug)]
pub struct Vault {
    database: Database,
    kek: KeyEncryptionKey,
    cache: Mutex<KeyCache>,
    /// Key ids of patients asked for lately.
    subjects: Cache<SubjectId, SubjectKeyIds>,
    reserve: Mutex<Reserve>,
    system: RwLock<Option<Arc<System>>>,
}

impl Vault {
    /// Opens (or makes) the key database at `dir/keys`.
    ///
    /// # Errors
    /// When the database is damaged, in use, or its system keys do not unwrap under `kek`.
    pub fn open(dir: &Path, kek: KeyEncryptionKey) -> Result<Self, VaultError> {
        let database = Database::open(dir)?;
        let system = match database.get(META, SYSTEM_ROW)? {
            Some(bytes) => Some(Arc::new(System::open(&kek, &SystemKeys::decode(&bytes)?)?)),
            None => None,
        };
        let on_disk = database.unused_after(None, usize::MAX)?.len();
        Ok(Self {
            database,
            kek,
            cache: Mutex::new(KeyCache::new(GENERATION)),
            subjects: Cache::new(2 * GENERATION),
            reserve: Mutex::new(Reserve { on_disk, ..Reserve::default() }),
            system: RwLock::new(system),
        })
    }

    /// Makes keys for [`KEYS_PER_BATCH`] new patients: the bytes of one bucket entry. Nothing is
    /// kept until [`Vault::add_batch`]; put the entry into the bucket first, so that no patient is
    /// ever given a key that other nodes cannot get.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn mint_batch(&self) -> Result<Vec<u8>, VaultError> {
        KeyBatch::mint(&self.kek, KEYS_PER_BATCH)?.encode()
    }

    /// Makes the system's keys: the bytes of the bucket entry `system`, for `init`.
    ///
    /// # Errors
    /// When the random source fails.
    pub fn mint_system(&self) -> Result<Vec<u8>, VaultError> {
        SystemKeys::mint(&self.kek)?.encode()
    }

    /// Keeps a batch, synced. Adding it again changes nothing; a key that was destroyed here stays
    /// destroyed, and an entry whose key was emptied without a destruction here takes nothing away.
    /// Returns the subjects whose keys are new on this node: their views may now be folded.
    ///
    /// # Errors
    /// When the bytes are malformed or bring another key under a known id.
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
        let mut write = WriteBatch::default();
        let mut new = Vec::new();
        let mut unused = 0;
        for entry in &batch.entries {
            let file_is_new = self.stage_key(name, &entry.file, &mut write)?;
            let audit_is_new = self.stage_key(name, &entry.audit, &mut write)?;
            if file_is_new || audit_is_new {
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
        write.put_cf(self.database.table(BATCHES)?, name.as_bytes(), &row);
        self.database.write(write)?;
        reserve.on_disk += unused;
        Ok(new)
    }

    /// Stages a key's row; false when there is one already.
    fn stage_key(
        &self,
        batch: &str,
        key: &WrappedKey,
        write: &mut WriteBatch,
    ) -> Result<bool, VaultError> {
        match self.database.key_row(&key.id.0)? {
            None if key.is_destroyed() => Ok(false),
            None => {
                let row = postcard::to_stdvec(&KeyRow::Wrapped(key.clone()))
                    .map_err(|_| damaged(KEYS, &key.id.0))?;
                write.put_cf(self.database.table(KEYS)?, key.id.0, row);
                Ok(true)
            }
            Some(KeyRow::Wrapped(kept)) if kept == *key || key.is_destroyed() => Ok(false),
            Some(KeyRow::Destroyed) => Ok(false),
            Some(KeyRow::Wrapped(_)) => {
                Err(VaultError::KeyConflict { key: key.id, batch: batch.to_owned() })
            }
        }
    }

    /// Keeps the system's keys, synced. Adding the same again changes nothing.
    ///
    /// # Errors
    /// When the bytes are malformed, do not unwrap, or differ from the system keys kept.
    pub fn add_system(&self, bytes: &[u8]) -> Result<(), VaultError> {
        let keys = SystemKeys::decode(bytes)?;
        let opened = Arc::new(System::open(&self.kek, &keys)?);
        let mut system = self.system.write().map_err(|_| VaultError::Poisoned)?;
        let mut write = WriteBatch::default();
        for key in keys.all() {
            self.stage_key("system", key, &mut write)?;
        }
        if let Some(kept) = self.database.get(META, SYSTEM_ROW)? {
            if kept == bytes {
                return Ok(());
            }
            return Err(VaultError::KeyConflict { key: keys.index.id, batch: "system".to_owned() });
        }
        write.put_cf(self.database.table(META)?, SYSTEM_ROW, bytes);
        self.database.write(write)?;
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
        let (subjects, rest) = row.get(MADE_HERE + 1..).unwrap_or_default().as_chunks::<16>();
        if !rest.is_empty() {
            return Err(damaged(BATCHES, name.as_bytes()));
        }
        let entry = |subject: &[u8; 16]| {
            let subject = SubjectId(*subject);
            let ids = self.keys_of(subject)?.ok_or_else(|| damaged(SUBJECTS, &subject.0))?;
            let file = self.wrapped(ids.file, subject, KeyPurpose::File)?;
            let audit = self.wrapped(ids.audit, subject, KeyPurpose::Audit)?;
            Ok(PatientKeys { subject, file, audit })
        };
        let entries = subjects.iter().map(entry).collect::<Result<_, VaultError>>()?;
        KeyBatch { entries }.encode().map(Some)
    }

    fn wrapped(
        &self,
        id: KeyId,
        subject: SubjectId,
        purpose: KeyPurpose,
    ) -> Result<WrappedKey, VaultError> {
        match self.database.key_row(&id.0)? {
            Some(KeyRow::Wrapped(key)) => Ok(key),
            // A key that had been destroyed when its batch came has no row.
            Some(KeyRow::Destroyed) | None => {
                Ok(WrappedKey::destroyed(id, subject, purpose, self.kek.version()))
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

    /// Ids of the system's keys; `None` before they arrived.
    ///
    /// # Errors
    /// Only after a panic elsewhere.
    pub fn system(&self) -> Result<Option<SystemKeyIds>, VaultError> {
        Ok(self.system.read().map_err(|_| VaultError::Poisoned)?.as_ref().map(|s| s.ids))
    }

    /// A key, with the difference between "not yet" and "never again".
    ///
    /// # Errors
    /// When the row is damaged or does not unwrap.
    pub fn key_state(&self, id: KeyId) -> Result<KeyState, VaultError> {
        if let Some(key) = lock(&self.cache)?.get(id) {
            return Ok(KeyState::Here(key));
        }
        match self.database.key_row(&id.0)? {
            None => Ok(KeyState::Missing),
            Some(KeyRow::Destroyed) => Ok(KeyState::Destroyed),
            Some(KeyRow::Wrapped(wrapped)) => {
                let key = Arc::new(self.kek.unwrap_key(&wrapped)?);
                let mut cache = lock(&self.cache)?;
                // a destruction may have passed between the read and here
                if matches!(self.database.key_row(&id.0)?, Some(KeyRow::Wrapped(_))) {
                    cache.put(id, Arc::clone(&key));
                    Ok(KeyState::Here(key))
                } else {
                    Ok(KeyState::Destroyed)
                }
            }
        }
    }

    /// A key that can be used; `None` when it is missing or destroyed.
    ///
    /// # Errors
    /// When the row is damaged or does not unwrap.
    pub fn data_key(&self, id: KeyId) -> Result<Option<Arc<DataKey>>, VaultError> {
        match self.key_state(id)? {
            KeyState::Here(key) => Ok(Some(key)),
            KeyState::Missing | KeyState::Destroyed => Ok(None),
        }
    }

    /// The key ids of a patient; `None` when its batch has not arrived. Ids stay when the keys
    /// are destroyed.
    ///
    /// # Errors
    /// When the row is damaged.
    pub fn keys_of(&self, subject: SubjectId) -> Result<Option<SubjectKeyIds>, VaultError> {
        if let Some(ids) = self.subjects.get(&subject) {
            return Ok(Some(ids));
        }
        let Some(bytes) = self.database.get(SUBJECTS, &subject.0)? else { return Ok(None) };
        let ids: [u8; 32] =
            bytes.as_slice().try_into().map_err(|_| damaged(SUBJECTS, &subject.0))?;
        let (file, audit) = split_ids(&ids);
        let ids = SubjectKeyIds { file, audit };
        self.subjects.insert(subject, ids);
        Ok(Some(ids))
    }

    /// The next new patient of this node's batches. Marked as used, synced, before it is given
    /// out. `None` when there is none left: mint a batch.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn take_patient(&self) -> Result<Option<PatientKeyIds>, VaultError> {
        let mut reserve = lock(&self.reserve)?;
        if reserve.ready.is_empty() {
            self.refill(&mut reserve)?;
        }
        Ok(reserve.ready.pop_front())
    }

    /// Starts after the last row taken, not at the front: there lie the tombstones of all taken
    /// before, and every refill would walk over them.
    fn refill(&self, reserve: &mut Reserve) -> Result<(), VaultError> {
        let mut rows = self.database.unused_after(reserve.last, RESERVE)?;
        if rows.is_empty() && reserve.last.is_some() {
            rows = self.database.unused_after(None, RESERVE)?;
        }
        if rows.is_empty() {
            return Ok(());
        }
        let mut write = WriteBatch::default();
        for (subject, _) in &rows {
            write.delete_cf(self.database.table(UNUSED)?, subject);
        }
        self.database.write(write)?;
        reserve.on_disk = reserve.on_disk.saturating_sub(rows.len());
        reserve.last = rows.last().map(|(subject, _)| *subject);
        reserve.ready.extend(rows.iter().map(|(subject, ids)| {
            let (file, audit) = split_ids(ids);
            PatientKeyIds { subject: SubjectId(*subject), file, audit }
        }));
        Ok(())
    }

    /// How many patients [`Vault::take_patient`] can still give out.
    #[must_use]
    pub fn unused(&self) -> usize {
        let reserve = self.reserve.lock().unwrap_or_else(PoisonError::into_inner);
        reserve.ready.len() + reserve.on_disk
    }

    /// Destroys a key on this node, for ever: the row is overwritten and the old one compacted
    /// away. Destroying it again changes nothing; a key that never arrived is marked, so that it
    /// cannot arrive later.
    ///
    /// # Errors
    /// When the database cannot be written; then the key may still be there: call again.
    pub fn destroy(&self, id: KeyId) -> Result<(), VaultError> {
        let mut cache = lock(&self.cache)?;
        let row = postcard::to_stdvec(&KeyRow::Destroyed).map_err(|_| damaged(KEYS, &id.0))?;
        let mut write = WriteBatch::default();
        write.put_cf(self.database.table(KEYS)?, id.0, row);
        self.database.write(write)?;
        cache.forget(id);
        drop(cache);
        self.database.purge_old_versions(&id.0)
    }

    /// Seals a body under `key`, which the header must name, and fills the header's key
    /// commitment, body length and body hash. The header is otherwise complete: all that stands
    /// before these fields is bound to the body.
    ///
    /// # Errors
    /// When the content is above [`crate::LARGEST_PLAIN`] or the header names another key.
    pub fn seal_body(
        &self,
        genesis: &Hash,
        header: &mut Header,
        plain: &[u8],
        key: &DataKey,
    ) -> Result<Vec<u8>, VaultError> {
        crate::body::seal(genesis, header, plain, key)
    }

    /// Opens a body with the key that its header names.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] when body and header do not belong together.
    pub fn open_body(
        &self,
        genesis: &Hash,
        header: &Header,
        body: &[u8],
    ) -> Result<Opened, VaultError> {
        match self.key_state(header.data_key)? {
            KeyState::Missing => Ok(Opened::KeyMissing),
            KeyState::Destroyed => Ok(Opened::KeyDestroyed),
            KeyState::Here(key) => {
                let opened = crate::body::open(genesis, header, body, &key)?;
                Ok(Opened::Plain(opened.plain))
            }
        }
    }

    /// The key for view rows that belong to no single patient.
    ///
    /// # Errors
    /// [`VaultError::NoSystemKeys`] before they arrived.
    pub fn system_view_key(&self) -> Result<Arc<DataKey>, VaultError> {
        Ok(Arc::clone(&self.opened_system()?.view))
    }

    /// A keyed search term: the same parts under the same label always give the same 32 bytes,
    /// and nobody without the index key can tell which parts they were.
    ///
    /// # Errors
    /// [`VaultError::NoSystemKeys`] before they arrived.
    pub fn index_term(&self, label: &str, parts: &[&[u8]]) -> Result<[u8; 32], VaultError> {
        Ok(self.opened_system()?.term(label, parts))
    }

    /// A keyed digest of a request or an answer: comparable by us, a guess for nobody else.
    ///
    /// # Errors
    /// [`VaultError::NoSystemKeys`] before they arrived.
    pub fn digest(&self, label: &str, bytes: &[u8]) -> Result<Hash, VaultError> {
        Ok(Hash(self.opened_system()?.digest(label, bytes)))
    }

    fn opened_system(&self) -> Result<Arc<System>, VaultError> {
        let system = self.system.read().map_err(|_| VaultError::Poisoned)?;
        system.as_ref().map(Arc::clone).ok_or(VaultError::NoSystemKeys)
    }
}

fn split_ids(ids: &[u8; 32]) -> (KeyId, KeyId) {
    let mut file = [0_u8; 16];
    let mut audit = [0_u8; 16];
    for (to, from) in file.iter_mut().chain(audit.iter_mut()).zip(ids) {
        *to = *from;
    }
    (KeyId(file), KeyId(audit))
}

fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, VaultError> {
    mutex.lock().map_err(|_| VaultError::Poisoned)
}
