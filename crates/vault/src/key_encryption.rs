//! Key-encryption keys: the key that wraps all others, and the versions of it that a node knows.
//!
//! A version is a number that every wrapped key names. While a hospital changes from one version to the
//! next every node knows both (see [`KeyRing`]); where each comes from is `source`'s affair.

use crate::VaultError;
use crate::batch::{KeyPurpose, WrappedKey};
use crate::data_key::DataKey;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, hmac};
use ledger::{KeyId, SubjectId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use zeroize::Zeroizing;

const WRAP_LABEL: &[u8] = b"caseledger/wrap/v1";
const CHECK_LABEL: &[u8] = b"caseledger/kek-check/v1";

/// Bytes of every key.
pub(crate) const KEY_BYTES: usize = 32;

/// The bytes of a key, on the heap: moving them leaves no copy behind, and dropping them wipes them.
pub(crate) type Secret = Zeroizing<Box<[u8]>>;

/// Room for a key.
pub(crate) fn blank() -> Secret {
    Zeroizing::new(vec![0; KEY_BYTES].into_boxed_slice())
}

/// One version of the key that wraps all other keys.
pub struct KeyEncryptionKey {
    version: u32,
    key: LessSafeKey,
    /// Tells it from other keys of the same version, and nobody anything else.
    check: [u8; 8],
}

/// A version of the key-encryption key at a node: equal where the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownKek {
    /// Its number.
    pub version: u32,
    /// The first 8 bytes of HMAC-SHA-256 under the key, of a label and the version.
    pub check: [u8; 8],
}

impl std::fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyEncryptionKey").field("version", &self.version).finish_non_exhaustive()
    }
}

impl KeyEncryptionKey {
    /// Takes a key that the caller already holds.
    ///
    /// # Errors
    /// When the cryptographic library refuses the key.
    pub fn from_bytes(version: u32, bytes: &[u8; KEY_BYTES]) -> Result<Self, VaultError> {
        Self::from_slice(version, bytes)
    }

    pub(crate) fn from_slice(version: u32, bytes: &[u8]) -> Result<Self, VaultError> {
        let unbound = UnboundKey::new(&AES_256_GCM, bytes)
            .map_err(|_| VaultError::Crypto("take the key-encryption key"))?;
        let label = [CHECK_LABEL, &version.to_be_bytes()].concat();
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, bytes), &label);
        let check = tag.as_ref().first_chunk().copied().unwrap_or_default();
        Ok(Self { version, key: LessSafeKey::new(unbound), check })
    }

    /// Reads the key from a file of mode 0600 (or stricter).
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or it is not 64 hexadecimal digits.
    pub fn from_file(path: &Path, version: u32) -> Result<Self, VaultError> {
        Self::from_slice(version, &crate::source::file(path)?)
    }

    /// The version that wrapped keys name.
    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Makes a fresh random data key and wraps it.
    pub(crate) fn mint(
        &self,
        subject: SubjectId,
        purpose: KeyPurpose,
    ) -> Result<WrappedKey, VaultError> {
        let mut id = [0_u8; 16];
        fill_random(&mut id)?;
        let mut secret = blank();
        fill_random(&mut secret)?;
        self.wrap(KeyId(id), subject, purpose, &secret)
    }

    /// Wraps a key under a fresh random nonce: 2^32 wraps under one key are allowed so, and a million
    /// patients need 2^21.
    fn wrap(
        &self,
        id: KeyId,
        subject: SubjectId,
        purpose: KeyPurpose,
        secret: &[u8],
    ) -> Result<WrappedKey, VaultError> {
        let mut nonce = [0_u8; 12];
        fill_random(&mut nonce)?;
        let aad = wrap_aad(id, subject, purpose, self.version);
        // Encrypted where it stands, so that it is in the clear nowhere else.
        let mut ciphertext = Zeroizing::new(Vec::with_capacity(KEY_BYTES + 16));
        ciphertext.extend_from_slice(secret);
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut *ciphertext,
            )
            .map_err(|_| VaultError::Crypto("wrap a key"))?;
        let ciphertext = ciphertext.to_vec();
        Ok(WrappedKey { id, subject, purpose, kek_version: self.version, nonce, ciphertext })
    }

    /// Only the exact id, subject, purpose and version that a key was wrapped for open it.
    fn open(&self, wrapped: &WrappedKey) -> Result<Secret, VaultError> {
        let aad = wrap_aad(wrapped.id, wrapped.subject, wrapped.purpose, wrapped.kek_version);
        let mut content = Zeroizing::new(wrapped.ciphertext.clone());
        let plain = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(wrapped.nonce),
                Aad::from(aad),
                content.as_mut_slice(),
            )
            .map_err(|_| VaultError::WrapTampered { key: wrapped.id })?;
        let mut secret = blank();
        if plain.len() != secret.len() {
            return Err(VaultError::WrapTampered { key: wrapped.id });
        }
        secret.copy_from_slice(plain);
        Ok(secret)
    }
}

/// The versions of the key-encryption key that a node knows, at least one. It opens keys under any of
/// them; under which new keys are wrapped is the vault's to say.
#[derive(Debug)]
pub struct KeyRing {
    keys: BTreeMap<u32, KeyEncryptionKey>,
    newest: u32,
}

impl From<KeyEncryptionKey> for KeyRing {
    fn from(key: KeyEncryptionKey) -> Self {
        let newest = key.version;
        Self { keys: BTreeMap::from([(newest, key)]), newest }
    }
}

impl KeyRing {
    /// Of all these.
    ///
    /// # Errors
    /// When there is none, or two of one version.
    pub fn new(keys: impl IntoIterator<Item = KeyEncryptionKey>) -> Result<Self, VaultError> {
        let mut known = BTreeMap::new();
        for key in keys {
            let version = key.version;
            if known.insert(version, key).is_some() {
                return Err(VaultError::KekTwice { version });
            }
        }
        let newest = *known.last_key_value().ok_or(VaultError::NoKek)?.0;
        Ok(Self { keys: known, newest })
    }

    /// The highest version.
    #[must_use]
    pub fn newest(&self) -> u32 {
        self.newest
    }

    /// All versions, ascending.
    #[must_use]
    pub fn versions(&self) -> Vec<u32> {
        self.keys.keys().copied().collect()
    }

    /// The same, each with what tells its key from others.
    #[must_use]
    pub fn known(&self) -> Vec<KnownKek> {
        let known = |key: &KeyEncryptionKey| KnownKek { version: key.version, check: key.check };
        self.keys.values().map(known).collect()
    }

    pub(crate) fn knows(&self, version: u32) -> bool {
        self.keys.contains_key(&version)
    }

    pub(crate) fn named(&self) -> String {
        self.versions().iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Refuses a key that does not unwrap.
    pub(crate) fn check(&self, wrapped: &WrappedKey) -> Result<(), VaultError> {
        self.of(wrapped)?.open(wrapped).map(drop)
    }

    fn of(&self, wrapped: &WrappedKey) -> Result<&KeyEncryptionKey, VaultError> {
        self.keys.get(&wrapped.kek_version).ok_or_else(|| VaultError::OtherKeyVersion {
            key: wrapped.id,
            wrapped: wrapped.kek_version,
            known: self.named(),
        })
    }

    /// The key of this version.
    pub(crate) fn key(&self, version: u32) -> Result<&KeyEncryptionKey, VaultError> {
        self.keys
            .get(&version)
            .ok_or_else(|| VaultError::UnknownKek { version, known: self.named() })
    }

    /// Unwraps a key.
    pub(crate) fn unwrap_key(&self, wrapped: &WrappedKey) -> Result<DataKey, VaultError> {
        let secret = self.of(wrapped)?.open(wrapped)?;
        DataKey::new(wrapped.id, wrapped.subject, wrapped.purpose, secret)
    }

    /// Whether both are wraps of one key for one use. A second one that does not open is no wrap of it.
    pub(crate) fn same_key(
        &self,
        kept: &WrappedKey,
        other: &WrappedKey,
    ) -> Result<bool, VaultError> {
        let use_of = |key: &WrappedKey| (key.id, key.subject, key.purpose);
        if use_of(kept) != use_of(other) {
            return Ok(false);
        }
        let secret = self.of(kept)?.open(kept)?;
        let other = match self.of(other)?.open(other) {
            Err(VaultError::WrapTampered { .. }) => return Ok(false),
            opened => opened?,
        };
        Ok(constant_time::verify_slices_are_equal(&secret, &other).is_ok())
    }

    /// Wraps a key anew under another version. Of a destroyed one only the version is changed, so that
    /// all nodes give the same bytes.
    pub(crate) fn rewrap_key(
        &self,
        wrapped: &WrappedKey,
        version: u32,
    ) -> Result<WrappedKey, VaultError> {
        let (id, subject, purpose) = (wrapped.id, wrapped.subject, wrapped.purpose);
        if wrapped.is_destroyed() {
            return Ok(WrappedKey::destroyed(id, subject, purpose, version));
        }
        let secret = self.of(wrapped)?.open(wrapped)?;
        self.key(version)?.wrap(id, subject, purpose, &secret)
    }
}

fn wrap_aad(id: KeyId, subject: SubjectId, purpose: KeyPurpose, version: u32) -> Vec<u8> {
    let mut aad = Vec::with_capacity(WRAP_LABEL.len() + 37);
    aad.extend_from_slice(WRAP_LABEL);
    aad.extend_from_slice(&id.0);
    aad.extend_from_slice(&subject.0);
    aad.push(purpose.code());
    aad.extend_from_slice(&version.to_be_bytes());
    aad
}

/// Fills from the operating system's random source.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), VaultError> {
    aws_lc_rs::rand::fill(bytes).map_err(|_| VaultError::Crypto("give random bytes"))
}
