//! Wrapped keys and the batches that carry them: the stored form of the key bucket's entries.
//!
//! A batch is postcard of [`KeyBatch`]; the entry `system` is postcard of [`SystemKeys`]. A key
//! whose ciphertext is empty was destroyed; its id stays, so that a reader can say which key is
//! gone. A batch of 256 patients is about 53 KB (two wrapped keys of 95 bytes and the subject),
//! far below the broker's 1 MiB message.

use crate::VaultError;
use crate::key_encryption::KeyEncryptionKey;
use ledger::{KeyId, SubjectId};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The entry with the system's keys, made by `caseledgerd init`. The version of the key-encryption key
/// that it is under is the one under which all keys are to be.
pub const SYSTEM_ENTRY: &str = "system";

/// Patients whose keys one entry of the bucket holds (design, section 3): neither a new patient
/// nor the broker's memory pays for an entry of its own.
pub const KEYS_PER_BATCH: usize = 256;

/// What a key may be used for. Bound into its wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum KeyPurpose {
    /// Bodies and views of one subject.
    File,
    /// Access records about one subject; outlives the file's key, as the law asks.
    Audit,
    /// Index terms and digests.
    Index,
    /// Rows that belong to no single patient.
    System,
}

impl KeyPurpose {
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::File => 1,
            Self::Audit => 2,
            Self::Index => 3,
            Self::System => 4,
        }
    }
}

/// A data key, encrypted under the key-encryption key. Safe to store and to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappedKey {
    /// Random id, named by record headers.
    pub id: KeyId,
    /// Whom the key is about.
    pub subject: SubjectId,
    /// What it may be used for.
    pub purpose: KeyPurpose,
    /// Version of the key-encryption key.
    pub kek_version: u32,
    /// Random nonce of the wrap.
    pub nonce: [u8; 12],
    /// 32 bytes of key and 16 of tag; empty when destroyed.
    pub ciphertext: Vec<u8>,
}

impl WrappedKey {
    /// Whether only the id is left.
    #[must_use]
    pub fn is_destroyed(&self) -> bool {
        self.ciphertext.is_empty()
    }

    /// A key of which only the id is left.
    pub(crate) fn destroyed(
        id: KeyId,
        subject: SubjectId,
        purpose: KeyPurpose,
        kek_version: u32,
    ) -> Self {
        Self { id, subject, purpose, kek_version, nonce: [0; 12], ciphertext: Vec::new() }
    }

    fn erase(&mut self) {
        self.nonce = [0; 12];
        self.ciphertext = Vec::new();
    }
}

/// The keys of one patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatientKeys {
    /// The patient's random id.
    pub subject: SubjectId,
    /// Seals the file's bodies and views.
    pub file: WrappedKey,
    /// Seals the records of who saw the file.
    pub audit: WrappedKey,
}

/// One entry of the key bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyBatch {
    /// At most [`KEYS_PER_BATCH`].
    pub entries: Vec<PatientKeys>,
}

impl KeyBatch {
    /// Makes fresh keys for `patients` new patients with fresh random ids.
    pub(crate) fn mint(kek: &KeyEncryptionKey, patients: usize) -> Result<Self, VaultError> {
        let mut entries = Vec::with_capacity(patients);
        for _ in 0..patients {
            let mut subject = [0_u8; 16];
            crate::key_encryption::fill_random(&mut subject)?;
            let subject = SubjectId(subject);
            let file = kek.mint(subject, KeyPurpose::File)?;
            let audit = kek.mint(subject, KeyPurpose::Audit)?;
            entries.push(PatientKeys { subject, file, audit });
        }
        Ok(Self { entries })
    }

    /// The entry's stored bytes.
    ///
    /// # Errors
    /// Never for a batch of at most [`KEYS_PER_BATCH`] entries.
    pub fn encode(&self) -> Result<Vec<u8>, VaultError> {
        if self.entries.len() > KEYS_PER_BATCH {
            return Err(malformed("", "it holds more than 256 patients"));
        }
        postcard::to_stdvec(self).map_err(|_| malformed("", "it cannot be encoded"))
    }

    /// Reads an entry; `name` is only for the error.
    ///
    /// # Errors
    /// When the bytes are not a batch, a patient comes twice, or a key names another subject or purpose
    /// than its place.
    pub fn decode(name: &str, bytes: &[u8]) -> Result<Self, VaultError> {
        let batch: Self = decode_whole(name, bytes)?;
        if batch.entries.len() > KEYS_PER_BATCH {
            return Err(malformed(name, "it holds more than 256 patients"));
        }
        let mut subjects = HashSet::new();
        for entry in &batch.entries {
            if !subjects.insert(entry.subject) {
                return Err(malformed(name, "a patient comes twice in it"));
            }
            let in_place =
                |key: &WrappedKey, purpose| key.subject == entry.subject && key.purpose == purpose;
            if !in_place(&entry.file, KeyPurpose::File)
                || !in_place(&entry.audit, KeyPurpose::Audit)
            {
                return Err(malformed(name, "a key stands in another's place"));
            }
        }
        Ok(batch)
    }

    /// Removes a key's ciphertext, so that the entry can be replaced after a destruction. False
    /// when the batch does not hold the key.
    pub fn erase(&mut self, key: KeyId) -> bool {
        let mut found = false;
        for entry in &mut self.entries {
            for wrapped in [&mut entry.file, &mut entry.audit] {
                if wrapped.id == key {
                    wrapped.erase();
                    found = true;
                }
            }
        }
        found
    }
}

/// The system's own keys: the bucket's entry `system`, made once by `init`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemKeys {
    /// The system as a subject: queries and unknown patients are recorded under it.
    pub subject: SubjectId,
    /// Seals access records that are about no patient in particular.
    pub audit: WrappedKey,
    /// Index terms and digests.
    pub index: WrappedKey,
    /// Seals the bodies of registry buckets' chains.
    pub registry: WrappedKey,
    /// Seals view rows that belong to no single patient.
    pub view: WrappedKey,
}

impl SystemKeys {
    pub(crate) fn mint(kek: &KeyEncryptionKey) -> Result<Self, VaultError> {
        let mut subject = [0_u8; 16];
        crate::key_encryption::fill_random(&mut subject)?;
        let subject = SubjectId(subject);
        Ok(Self {
            subject,
            audit: kek.mint(subject, KeyPurpose::Audit)?,
            index: kek.mint(subject, KeyPurpose::Index)?,
            registry: kek.mint(subject, KeyPurpose::File)?,
            view: kek.mint(subject, KeyPurpose::System)?,
        })
    }

    /// The entry's stored bytes.
    ///
    /// # Errors
    /// Never in practice; the encoder has no failing field.
    pub fn encode(&self) -> Result<Vec<u8>, VaultError> {
        postcard::to_stdvec(self).map_err(|_| malformed("system", "it cannot be encoded"))
    }

    /// Reads the entry `system`.
    ///
    /// # Errors
    /// When the bytes are not the system's keys.
    pub fn decode(bytes: &[u8]) -> Result<Self, VaultError> {
        let keys: Self = decode_whole("system", bytes)?;
        let in_place =
            |key: &WrappedKey, purpose| key.subject == keys.subject && key.purpose == purpose;
        if in_place(&keys.audit, KeyPurpose::Audit)
            && in_place(&keys.index, KeyPurpose::Index)
            && in_place(&keys.registry, KeyPurpose::File)
            && in_place(&keys.view, KeyPurpose::System)
        {
            Ok(keys)
        } else {
            Err(malformed("system", "a key stands in another's place"))
        }
    }

    pub(crate) fn all(&self) -> [&WrappedKey; 4] {
        [&self.audit, &self.index, &self.registry, &self.view]
    }

    pub(crate) fn all_mut(&mut self) -> [&mut WrappedKey; 4] {
        [&mut self.audit, &mut self.index, &mut self.registry, &mut self.view]
    }

    /// Whether both hold the same keys for the same uses, however wrapped.
    pub(crate) fn names_the_keys_of(&self, other: &Self) -> bool {
        let uses = |keys: &Self| keys.all().map(|key| (key.id, key.subject, key.purpose));
        uses(self) == uses(other)
    }
}

pub(crate) fn decode_whole<'a, T: Deserialize<'a>>(
    name: &str,
    bytes: &'a [u8],
) -> Result<T, VaultError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(malformed(name, "bytes follow its end")),
        Err(_) => Err(malformed(name, "its bytes are not a batch of keys")),
    }
}

fn malformed(name: &str, why: &'static str) -> VaultError {
    VaultError::MalformedBatch { batch: name.to_owned(), why }
}
