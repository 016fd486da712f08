//! The sealed envelope of a credential, version 1: a label for people and, under it, what is sealed.
//!
//! ```text
//! <label, lines of text>
//! -----BEGIN CASELEDGER EMERGENCY CREDENTIAL-----
//! <base64 of: version 1 (1 byte) ‖ salt (16) ‖ AES-256-GCM of the content ‖ tag (16)>
//! -----END CASELEDGER EMERGENCY CREDENTIAL-----
//! ```
//!
//! The key is HKDF-SHA-256(code, salt, "caseledger/emergency/v1"). A code has 125 random bits, so nobody
//! guesses it however quick the derivation is. The salt is new for every envelope, and so is the key: its
//! one nonce is zero. Associated data is the label, line by line without the spaces around: whoever writes
//! another name on an envelope cannot open it any more, and printing, scanning and other systems' line ends
//! do no harm. A code is 25 characters of Crockford's base 32, which has none that people mistake for another.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::keys::{self, KeyFileError};

const VERSION: u8 = 1;
const SALT: usize = 16;
const INFO: &[u8] = b"caseledger/emergency/v1";
const PEM_LABEL: &str = "CASELEDGER EMERGENCY CREDENTIAL";
const BEGIN: &str = "-----BEGIN CASELEDGER EMERGENCY CREDENTIAL-----";
const END: &str = "-----END CASELEDGER EMERGENCY CREDENTIAL-----";

/// Crockford's base 32: no I, L, O or U.
const DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// Characters of a code, and how many of them are written together.
const CODE: usize = 25;
const GROUP: usize = 5;

/// Why an envelope is none, or stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Something else.
    #[error("it is no envelope of an emergency credential, or only a part of one")]
    None,
    /// Made by another version.
    #[error("it is an envelope of another version; open it with that version of this program")]
    Version,
    /// The code is not one.
    #[error("a code has {CODE} letters and digits, written as five groups of five")]
    NotACode,
    /// Another's code, or what is written on it or in it was changed.
    #[error("the code belongs to another envelope, or this one was changed")]
    Closed,
}

/// What opens an envelope. It prints, to be written down.
#[derive(Clone, PartialEq, Eq)]
pub struct Code(Zeroizing<[u8; CODE]>);

impl Code {
    /// A new one.
    ///
    /// # Errors
    /// The machine gives no random numbers.
    pub fn random() -> Result<Self, KeyFileError> {
        let mut code = Zeroizing::new(keys::random::<CODE>()?);
        for byte in code.iter_mut() {
            // 256 is a multiple of 32: each digit is as likely.
            *byte = DIGITS.get(usize::from(*byte % 32)).copied().unwrap_or_default();
        }
        Ok(Self(code))
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, digit) in self.0.iter().enumerate() {
            if place > 0 && place % GROUP == 0 {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*digit))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code").finish_non_exhaustive()
    }
}

impl FromStr for Code {
    type Err = EnvelopeError;

    /// As people type it: small letters, other groups, O for 0, I and L for 1.
    fn from_str(typed: &str) -> Result<Self, EnvelopeError> {
        let mut code = Zeroizing::new([0; CODE]);
        let meant = typed.bytes().filter(|byte| *byte != b'-' && !byte.is_ascii_whitespace());
        let mut places = code.iter_mut();
        for byte in meant {
            let digit = match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            };
            let place = places.next().filter(|_| DIGITS.contains(&digit));
            *place.ok_or(EnvelopeError::NotACode)? = digit;
        }
        if places.next().is_some() { Err(EnvelopeError::NotACode) } else { Ok(Self(code)) }
    }
}

/// An envelope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    label: String,
    salt: [u8; SALT],
    sealed: Vec<u8>,
}

impl Envelope {
    /// Seals this under a code that nothing else was sealed under.
    ///
    /// # Errors
    /// The library refuses, or the machine gives no random numbers.
    pub fn seal(label: &str, content: &[u8], code: &Code) -> Result<Self, EnvelopeError> {
        let label = trimmed(label);
        let salt = keys::random::<SALT>().map_err(|_| EnvelopeError::Closed)?;
        let mut sealed = content.to_vec();
        key(code, &salt)?
            .seal_in_place_append_tag(nonce(), Aad::from(label.as_bytes()), &mut sealed)
            .map_err(|_| EnvelopeError::Closed)?;
        Ok(Self { label, salt, sealed })
    }

    /// What is in it.
    ///
    /// # Errors
    /// [`EnvelopeError::Closed`].
    pub fn open(&self, code: &Code) -> Result<Vec<u8>, EnvelopeError> {
        let mut opened = self.sealed.clone();
        let content = key(code, &self.salt)?
            .open_in_place(nonce(), Aad::from(self.label.as_bytes()), &mut opened)
            .map_err(|_| EnvelopeError::Closed)?;
        Ok(content.to_vec())
    }
}

impl fmt::Display for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[VERSION], self.salt.as_slice(), &self.sealed].concat();
        write!(f, "{}\n\n{}", self.label, keys::pem(PEM_LABEL, &bytes))
    }
}

impl FromStr for Envelope {
    type Err = EnvelopeError;

    fn from_str(text: &str) -> Result<Self, EnvelopeError> {
        let (label, rest) = text.split_once(BEGIN).ok_or(EnvelopeError::None)?;
        let (base64, _) = rest.split_once(END).ok_or(EnvelopeError::None)?;
        let base64: String = base64.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(base64).map_err(|_| EnvelopeError::None)?;
        let (version, rest) = bytes.split_first().ok_or(EnvelopeError::None)?;
        if *version != VERSION {
            return Err(EnvelopeError::Version);
        }
        let (salt, sealed) = rest.split_first_chunk::<SALT>().ok_or(EnvelopeError::None)?;
        Ok(Self { label: trimmed(label), salt: *salt, sealed: sealed.to_vec() })
    }
}

fn trimmed(label: &str) -> String {
    let lines: Vec<&str> = label.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn key(code: &Code, salt: &[u8; SALT]) -> Result<LessSafeKey, EnvelopeError> {
    let secret = Salt::new(HKDF_SHA256, salt).extract(code.0.as_slice());
    let derived = secret.expand(&[INFO], &AES_256_GCM).map_err(|_| EnvelopeError::Closed)?;
    Ok(LessSafeKey::new(UnboundKey::from(derived)))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}
