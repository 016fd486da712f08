//! An unwrapped data key and what it encrypts directly: view rows.
//!
//! View row, stored form: nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16). The key is
//! HKDF-SHA-256(data key, no salt, "caseledger/view/v1"), so a view row and a record body never
//! share a key; the associated data is the row's own key, so rows cannot be swapped. Nonces are
//! random: 2^32 rows under one patient's key are allowed, no file comes near.

use crate::VaultError;
use crate::batch::KeyPurpose;
use crate::key_encryption::{Secret, fill_random};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf;
use ledger::{KeyId, SubjectId};
use zeroize::Zeroizing;

const VIEW_LABEL: &[u8] = b"caseledger/view/v1";

/// A data key in the clear. Held in memory only; wiped when dropped; never printed.
pub struct DataKey {
    id: KeyId,
    subject: SubjectId,
    purpose: KeyPurpose,
    secret: Secret,
    view: LessSafeKey,
}

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataKey").field("id", &self.id).finish_non_exhaustive()
    }
}

impl DataKey {
    pub(crate) fn new(
        id: KeyId,
        subject: SubjectId,
        purpose: KeyPurpose,
        secret: Secret,
    ) -> Result<Self, VaultError> {
        let mut view = Zeroizing::new([0_u8; 32]);
        derive(&[], &secret, &[VIEW_LABEL], view.as_mut_slice())?;
        let view = UnboundKey::new(&AES_256_GCM, view.as_slice())
            .map_err(|_| VaultError::Crypto("take a view key"))?;
        Ok(Self { id, subject, purpose, secret, view: LessSafeKey::new(view) })
    }

    /// The id that headers name.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// Whom the key is about.
    #[must_use]
    pub fn subject(&self) -> SubjectId {
        self.subject
    }

    /// What the key may be used for.
    #[must_use]
    pub fn purpose(&self) -> KeyPurpose {
        self.purpose
    }

    pub(crate) fn secret(&self) -> &[u8] {
        &self.secret
    }

    /// Encrypts a view row that will be stored under `row_key`.
    ///
    /// # Errors
    /// Only when the cryptographic library fails.
    pub fn seal_view(&self, row_key: &[u8], plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        let mut nonce = [0_u8; NONCE_LEN];
        fill_random(&mut nonce)?;
        let mut row = Vec::with_capacity(NONCE_LEN + plain.len() + 16);
        row.extend_from_slice(&nonce);
        row.extend_from_slice(plain);
        let (_, content) =
            row.split_at_mut_checked(NONCE_LEN).ok_or(VaultError::Crypto("seal a view row"))?;
        let tag = self
            .view
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(row_key),
                content,
            )
            .map_err(|_| VaultError::Crypto("seal a view row"))?;
        row.extend_from_slice(tag.as_ref());
        Ok(row)
    }

    /// Opens a view row that was stored under `row_key`.
    ///
    /// # Errors
    /// [`VaultError::ViewTampered`] when the row, its place or the key is another.
    pub fn open_view(&self, row_key: &[u8], row: &[u8]) -> Result<Vec<u8>, VaultError> {
        let (nonce, content) =
            row.split_first_chunk::<NONCE_LEN>().ok_or(VaultError::ViewTampered)?;
        let mut content = content.to_vec();
        let length = self
            .view
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(row_key),
                content.as_mut_slice(),
            )
            .map_err(|_| VaultError::ViewTampered)?
            .len();
        content.truncate(length);
        Ok(content)
    }
}

/// HKDF-SHA-256 into `out`.
pub(crate) fn derive(
    salt: &[u8],
    secret: &[u8],
    info: &[&[u8]],
    out: &mut [u8],
) -> Result<(), VaultError> {
    struct Length(usize);
    impl hkdf::KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(secret)
        .expand(info, Length(out.len()))
        .and_then(|okm| okm.fill(out))
        .map_err(|_| VaultError::Crypto("derive a key"))
}
