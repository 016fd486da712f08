//! The key-encryption key: read from a file that only its owner may read.
//!
//! The file holds 64 hexadecimal digits, a line end at most after them. Production keeps the key
//! in a PKCS#11 module; the file is what a quickstart and the tests use.

use crate::VaultError;
use crate::batch::{KeyPurpose, WrappedKey};
use crate::data_key::DataKey;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ledger::{KeyId, SubjectId};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use zeroize::Zeroizing;

const WRAP_LABEL: &[u8] = b"caseledger/wrap/v1";

/// The key that wraps all other keys, with its version.
pub struct KeyEncryptionKey {
    version: u32,
    key: LessSafeKey,
}

impl std::fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyEncryptionKey").field("version", &self.version).finish_non_exhaustive()
    }
}

impl KeyEncryptionKey {
    /// Takes a key that the caller already holds, as a PKCS#11 provider or a test does.
    ///
    /// # Errors
    /// When the cryptographic library refuses the key.
    pub fn from_bytes(version: u32, bytes: &[u8; 32]) -> Result<Self, VaultError> {
        let unbound = UnboundKey::new(&AES_256_GCM, bytes)
            .map_err(|_| VaultError::Crypto("take the key-encryption key"))?;
        Ok(Self { version, key: LessSafeKey::new(unbound) })
    }

    /// Reads the key from a file of mode 0600 (or stricter).
    ///
    /// # Errors
    /// When the file cannot be read, others may read it, or it is not 64 hexadecimal digits.
    pub fn from_file(path: &Path, version: u32) -> Result<Self, VaultError> {
        let fail = |source| VaultError::KeyFile { path: path.to_path_buf(), source };
        let mode = std::fs::metadata(path).map_err(fail)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(VaultError::KeyFileMode { path: path.to_path_buf(), mode });
        }
        let text = Zeroizing::new(std::fs::read(path).map_err(fail)?);
        let mut bytes = Zeroizing::new([0_u8; 32]);
        hex::decode_to_slice(text.trim_ascii(), bytes.as_mut_slice())
            .map_err(|_| VaultError::KeyFileContent { path: path.to_path_buf() })?;
        Self::from_bytes(version, &bytes)
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
        let mut nonce = [0_u8; 12];
        fill_random(&mut nonce)?;
        let mut secret = Zeroizing::new(Vec::with_capacity(48));
        secret.resize(32, 0);
        fill_random(secret.as_mut_slice())?;
        let id = KeyId(id);
        let aad = wrap_aad(id, subject, purpose, self.version);
        // 2^32 wraps under one key are allowed with random nonces; a million patients need 2^21.
        self.key
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(aad),
                &mut *secret,
            )
            .map_err(|_| VaultError::Crypto("wrap a key"))?;
        let ciphertext = secret.to_vec();
        Ok(WrappedKey { id, subject, purpose, kek_version: self.version, nonce, ciphertext })
    }

    /// Unwraps a key. Only the exact id, subject, purpose and version it was wrapped for open it.
    pub(crate) fn unwrap_key(&self, wrapped: &WrappedKey) -> Result<DataKey, VaultError> {
        if wrapped.kek_version != self.version {
            return Err(VaultError::OtherKeyVersion {
                key: wrapped.id,
                wrapped: wrapped.kek_version,
                ours: self.version,
            });
        }
        let aad = wrap_aad(wrapped.id, wrapped.subject, wrapped.purpose, wrapped.kek_version);
        let mut secret = Zeroizing::new(wrapped.ciphertext.clone());
        let plain = self
            .key
            .open_in_place(
                Nonce::assume_unique_for_key(wrapped.nonce),
                Aad::from(aad),
                secret.as_mut_slice(),
            )
            .map_err(|_| VaultError::WrapTampered { key: wrapped.id })?;
        let bytes: &[u8; 32] =
            (&*plain).try_into().map_err(|_| VaultError::WrapTampered { key: wrapped.id })?;
        DataKey::new(wrapped.id, wrapped.subject, wrapped.purpose, Zeroizing::new(*bytes))
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
