//! The vault itself.

use crate::VaultError;
use crate::arrival::Arrival;
use crate::batch::SystemKeys;
use crate::cache::{GENERATION, KeyCache};
use crate::data_key::DataKey;
use crate::database::{Database, KEYS, KeyRow, META, SUBJECTS, UNUSED, damaged};
use crate::entries::Held;
use crate::key_encryption::KeyRing;
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

/// The row of `meta` that holds the system's keys.
pub(crate) const SYSTEM_ROW: &[u8] = b"system";

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
pub(crate) struct Reserve {
    ready: VecDeque<PatientKeyIds>,
    last: Option<[u8; 16]>,
    pub(crate) on_disk: usize,
}

/// All keys of one node. Shared by reference; every method may be called from any thread.
#[derive(Debug)]
pub struct Vault {
    pub(crate) database: Database,
    pub(crate) keks: KeyRing,
    cache: Mutex<KeyCache>,
    /// Key ids of patients asked for lately.
    pub(crate) subjects: Cache<SubjectId, SubjectKeyIds>,
    pub(crate) reserve: Mutex<Reserve>,
    pub(crate) system: RwLock<Option<Arc<System>>>,
    /// Which version of the key-encryption key each entry's keys are kept under.
    pub(crate) held: Mutex<Held>,
    pub(crate) arrival: Arrival,
}

impl Vault {
    /// Opens (or makes) the key database at `dir/keys`.
    ///
    /// # Errors
    /// When the database is damaged, in use, or holds keys under another version of the key-encryption
    /// key than `keks` has, or the system keys do not unwrap.
    pub fn open(dir: &Path, keks: impl Into<KeyRing>) -> Result<Self, VaultError> {
        let (database, keks) = (Database::open(dir)?, keks.into());
        let held = Held::of(&database)?;
        if let Some(version) = held.versions().into_iter().find(|version| !keks.knows(*version)) {
            return Err(VaultError::UnknownKek { version, known: keks.named() });
        }
        let system = match database.get(META, SYSTEM_ROW)? {
            Some(bytes) => Some(Arc::new(System::open(&keks, &SystemKeys::decode(&bytes)?)?)),
            None => None,
        };
        let on_disk = database.unused_after(None, usize::MAX)?.len();
        Ok(Self {
            database,
            keks,
            cache: Mutex::new(KeyCache::new(GENERATION)),
            subjects: Cache::new(2 * GENERATION),
            reserve: Mutex::new(Reserve { on_disk, ..Reserve::default() }),
            system: RwLock::new(system),
            held: Mutex::new(held),
            arrival: Arrival::default(),
        })
    }

    /// Damage that was met in the key database since it was opened; what is intact is still handed out. It
    /// is put down for the next start: see [`crate::damage_met`].
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.database.damage()
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
                let key = Arc::new(self.keks.unwrap_key(&wrapped)?);
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

    /// Whether a key is neither here nor destroyed: it has yet to arrive, or was lost here.
    ///
    /// # Errors
    /// As [`Vault::key_state`].
    pub fn is_missing(&self, id: KeyId) -> Result<bool, VaultError> {
        Ok(matches!(self.key_state(id)?, KeyState::Missing))
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
        self.database.purge_old_versions(Some(&id.0))
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

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>, VaultError> {
    mutex.lock().map_err(|_| VaultError::Poisoned)
}
