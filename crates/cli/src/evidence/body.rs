//! Opening a record's body with its record key alone, as anybody can who was given that.
//!
//! ```text
//! record key   AES-256 key (32) ‖ nonce (12); SHA-256("caseledger/key-commitment/v1" ‖ record key) stands in the header
//! body         salt (32) ‖ ciphertext ‖ tag (16), AES-256-GCM
//! associated   "caseledger/body/v1" ‖ header up to, not including, key commitment, body length and body hash
//! plaintext    length u32 LE ‖ content ‖ zeros
//! ```

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ledger::{Hash, Header};

const SALT: usize = 32;
/// Bodies are padded to powers of two from here.
const SMALLEST_CLASS: usize = 256;

/// What the body says, in its stored form.
pub(crate) fn open(header: &Header, body: &[u8], record_key: &[u8]) -> Result<Vec<u8>, String> {
    let wrong = |what: &str| what.to_owned();
    let labelled = [b"caseledger/key-commitment/v1".as_slice(), record_key].concat();
    if Hash::of(&labelled) != header.key_commitment {
        return Err(wrong("its key is not the one that its header commits to"));
    }
    let (key, nonce) = record_key
        .split_first_chunk::<32>()
        .and_then(|(key, nonce)| Some((key, <[u8; 12]>::try_from(nonce).ok()?)))
        .ok_or_else(|| wrong("its key has another length"))?;
    let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| wrong("its key is none"))?;
    let associated = [b"caseledger/body/v1".as_slice(), &header.sealed_prefix()].concat();
    let mut content = body.get(SALT..).ok_or_else(|| wrong("its body is too short"))?.to_vec();
    let plain = LessSafeKey::new(key)
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(associated), &mut content)
        .map_err(|_| wrong("its body does not open with its key"))?;
    let (length, rest) =
        plain.split_first_chunk::<4>().ok_or_else(|| wrong("its body is empty"))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let content = rest.get(..length).ok_or_else(|| wrong("its body is cut"))?;
    let class = (length + 4).next_power_of_two().max(SMALLEST_CLASS);
    let padded = plain.len() == class && rest.iter().skip(length).all(|byte| *byte == 0);
    if padded { Ok(content.to_vec()) } else { Err(wrong("its body is not padded as bodies are")) }
}
