//! Record bodies: padding, sealing, opening.
//!
//! ```text
//! body       salt (32, fresh) ‖ ciphertext (a size class) ‖ tag (16)
//! plaintext  length u32 LE ‖ content ‖ zeros up to the class: 256 B, 512 B, 1 KiB, … 256 KiB
//! record key HKDF-SHA-256(data key, salt, "caseledger/body/v1" ‖ genesis hash ‖ record id)
//!            → key (32) ‖ nonce (12)
//! commitment SHA-256("caseledger/key-commitment/v1" ‖ record key)
//! associated "caseledger/body/v1" ‖ header up to, not including, the three sealing fields
//! body hash  SHA-256(body)
//! ```
//! The fresh salt gives every sealing a key of its own, so the derived nonce never meets a second
//! message. The commitment is checked first: AES-GCM alone would let one ciphertext open under two
//! keys with different contents. It follows from the record key, so that this can be handed out and
//! checked without the patient's.

use crate::data_key::{DataKey, derive};
use crate::key_encryption::fill_random;
use crate::{KeyState, Vault, VaultError};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest};
use ledger::{Hash, Header};
use zeroize::Zeroizing;

/// Bodies are padded to powers of two from this size (bytes), so that a length says little.
pub const SMALLEST_SIZE_CLASS: usize = 256;
/// The largest class: the limit of a body (design, section 7).
pub const LARGEST_SIZE_CLASS: usize = 256 * 1024;
/// The most bytes of content that fit into a body: the largest class less the length prefix.
pub const LARGEST_PLAIN: usize = LARGEST_SIZE_CLASS - LENGTH_PREFIX;

const LENGTH_PREFIX: usize = 4;
const SALT: usize = 32;
const TAG: usize = 16;
const SUITE_AES_256_GCM_HKDF_SHA_256: u8 = 1;
const BODY_LABEL: &[u8] = b"caseledger/body/v1";
const COMMITMENT_LABEL: &[u8] = b"caseledger/key-commitment/v1";

/// Length of a record key in bytes: an AES-256 key and a GCM nonce.
pub const RECORD_KEY: usize = 32 + 12;

/// The size class (bytes of padded plaintext) for `content` bytes; `None` above the limit.
#[must_use]
pub fn size_class(content: usize) -> Option<usize> {
    if content > LARGEST_PLAIN {
        return None;
    }
    Some((content + LENGTH_PREFIX).next_power_of_two().max(SMALLEST_SIZE_CLASS))
}

/// SHA-256 of a whole body: what the header's `body_hash` holds.
#[must_use]
pub fn body_hash(body: &[u8]) -> Hash {
    let mut hash = [0_u8; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, body).as_ref());
    Hash(hash)
}

struct RecordKey {
    key: LessSafeKey,
    nonce: [u8; 12],
    commitment: [u8; 32],
    secret: Zeroizing<[u8; RECORD_KEY]>,
}

fn record_key(
    genesis: &Hash,
    header: &Header,
    key: &DataKey,
    salt: &[u8],
) -> Result<RecordKey, VaultError> {
    let mut okm = Zeroizing::new([0_u8; RECORD_KEY]);
    let info: [&[u8]; 3] = [BODY_LABEL, &genesis.0, &header.record_id.0];
    derive(salt, key.secret(), &info, okm.as_mut_slice())?;
    let (aead, rest) =
        okm.split_first_chunk::<32>().ok_or(VaultError::Crypto("derive a record key"))?;
    let nonce = rest.try_into().map_err(|_| VaultError::Crypto("derive a record key"))?;
    let key =
        UnboundKey::new(&AES_256_GCM, aead).map_err(|_| VaultError::Crypto("take a record key"))?;
    let mut commitment = digest::Context::new(&digest::SHA256);
    commitment.update(COMMITMENT_LABEL);
    commitment.update(okm.as_slice());
    let commitment = commitment.finish().as_ref().try_into();
    let commitment = commitment.map_err(|_| VaultError::Crypto("derive a record key"))?;
    Ok(RecordKey { key: LessSafeKey::new(key), nonce, commitment, secret: okm })
}

fn associated(header: &Header) -> Vec<u8> {
    let prefix = header.sealed_prefix();
    let mut aad = Vec::with_capacity(BODY_LABEL.len() + prefix.len());
    aad.extend_from_slice(BODY_LABEL);
    aad.extend_from_slice(&prefix);
    aad
}

/// Seals `plain` and fills the header's key commitment, body length and body hash.
pub(crate) fn seal(
    genesis: &Hash,
    header: &mut Header,
    plain: &[u8],
    key: &DataKey,
) -> Result<Vec<u8>, VaultError> {
    check_suite(header)?;
    if header.data_key != key.id() {
        return Err(VaultError::WrongKey { named: header.data_key, given: key.id() });
    }
    let too_large = || VaultError::BodyTooLarge { size: plain.len(), limit: LARGEST_PLAIN };
    let class = size_class(plain.len()).ok_or_else(too_large)?;
    let length = u32::try_from(plain.len()).map_err(|_| too_large())?;
    let mut salt = [0_u8; SALT];
    fill_random(&mut salt)?;
    let record = record_key(genesis, header, key, &salt)?;

    let mut body = Vec::with_capacity(SALT + class + TAG);
    body.extend_from_slice(&salt);
    body.extend_from_slice(&length.to_le_bytes());
    body.extend_from_slice(plain);
    body.resize(SALT + class, 0);
    let (_, content) = body.split_at_mut_checked(SALT).ok_or(VaultError::Crypto("seal a body"))?;
    let tag = record
        .key
        .seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(record.nonce),
            Aad::from(associated(header)),
            content,
        )
        .map_err(|_| VaultError::Crypto("seal a body"))?;
    body.extend_from_slice(tag.as_ref());

    header.key_commitment = Hash(record.commitment);
    header.body_length = u32::try_from(body.len()).map_err(|_| too_large())?;
    header.body_hash = body_hash(&body);
    Ok(body)
}

/// A body that was opened, with the key that opens it alone. It does not print.
pub struct OpenedBody {
    /// What it says.
    pub plain: Vec<u8>,
    /// The record key, see the module's layout.
    pub record_key: Zeroizing<[u8; RECORD_KEY]>,
}

impl std::fmt::Debug for OpenedBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedBody").finish_non_exhaustive()
    }
}

/// Opens a body: length, hash, commitment, seal and padding must all match the header.
pub(crate) fn open(
    genesis: &Hash,
    header: &Header,
    body: &[u8],
    key: &DataKey,
) -> Result<OpenedBody, VaultError> {
    let tampered = |check| VaultError::Tampered { record: header.record_id, check };
    check_suite(header)?;
    if usize::try_from(header.body_length) != Ok(body.len()) {
        return Err(tampered("length"));
    }
    if body_hash(body) != header.body_hash {
        return Err(tampered("hash"));
    }
    let (salt, sealed) = body.split_first_chunk::<SALT>().ok_or_else(|| tampered("length"))?;
    let record = record_key(genesis, header, key, salt)?;
    constant_time::verify_slices_are_equal(&record.commitment, &header.key_commitment.0)
        .map_err(|_| tampered("commitment"))?;
    let mut content = sealed.to_vec();
    let padded = record
        .key
        .open_in_place(
            Nonce::assume_unique_for_key(record.nonce),
            Aad::from(associated(header)),
            content.as_mut_slice(),
        )
        .map_err(|_| tampered("seal"))?;
    let plain = unpad(padded).map(<[u8]>::to_vec).ok_or_else(|| tampered("padding"))?;
    Ok(OpenedBody { plain, record_key: record.secret })
}

impl Vault {
    /// Opens a body for somebody who is to check it without the patient's key: with the record key,
    /// which opens this body and no other. `None` when the patient's is not here or was destroyed.
    ///
    /// # Errors
    /// [`VaultError::Tampered`] when body and header do not belong together.
    pub fn hand_out(
        &self,
        genesis: &Hash,
        header: &Header,
        body: &[u8],
    ) -> Result<Option<OpenedBody>, VaultError> {
        match self.key_state(header.data_key)? {
            KeyState::Missing | KeyState::Destroyed => Ok(None),
            KeyState::Here(key) => open(genesis, header, body, &key).map(Some),
        }
    }
}

/// Canonical only: the class is the smallest that fits, the fill is zero.
fn unpad(padded: &[u8]) -> Option<&[u8]> {
    let (length, rest) = padded.split_first_chunk::<LENGTH_PREFIX>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if size_class(length)? != padded.len() {
        return None;
    }
    let (plain, fill) = rest.split_at_checked(length)?;
    fill.iter().all(|byte| *byte == 0).then_some(plain)
}

fn check_suite(header: &Header) -> Result<(), VaultError> {
    if header.suite == SUITE_AES_256_GCM_HKDF_SHA_256 {
        Ok(())
    } else {
        Err(VaultError::UnknownSuite { record: header.record_id, suite: header.suite })
    }
}
