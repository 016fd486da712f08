//! Signed notes (c2sp.org/signed-note) with Ed25519 signatures and Ed25519 cosignatures.
//!
//! ```text
//! <text, UTF-8, ending with a line break>
//! <empty line>
//! — <key name> <base64(key id, 4 bytes big-endian ‖ signature)>
//! ```
//!
//! The key id is the first four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key). Type 0x01 signs
//! the text; type 0x04 (c2sp.org/tlog-cosignature) signs `cosignature/v1\ntime <seconds>\n` ‖ text
//! and puts the time, u64 big-endian, before the signature.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::stream::verify;

/// Longest note that is read, in bytes: a checkpoint with [`MAX_SIGNATURES`] is far below it.
pub const MAX_NOTE: usize = 64 * 1024;

/// Most signatures of a note that is read. The format asks for at least 16.
pub const MAX_SIGNATURES: usize = 100;

const DASH: &str = "\u{2014} ";

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// 0x01: the note's text.
    Signature = 1,
    /// 0x04: the text with the time at which the cosigner saw it.
    Cosignature = 4,
}

/// A verifier's key: `<name>+<key id, 8 hex digits>+<base64(type ‖ public key)>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vkey {
    name: String,
    kind: KeyType,
    key: [u8; 32],
}

/// Why a text is no verifier key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VkeyError {
    /// Not three parts, or a name that is empty or has white space or control characters.
    #[error("expected a key as NAME+ID+BASE64")]
    Form,
    /// Neither Ed25519 nor an Ed25519 cosigner, or no point of the curve.
    #[error("key is not an Ed25519 public key")]
    NotEd25519,
    /// The id is not that of name and key.
    #[error("key id does not belong to this name and key")]
    WrongId,
}

impl Vkey {
    /// The verifier's side of a signing key.
    ///
    /// # Errors
    /// When the name is empty or has white space, a control character or a plus sign, or the key is
    /// no point of the curve.
    pub fn new(name: &str, kind: KeyType, key: [u8; 32]) -> Result<Self, VkeyError> {
        if !is_key_name(name) {
            return Err(VkeyError::Form);
        }
        if !VerifyingKey::from_bytes(&key).is_ok_and(|key| !key.is_weak()) {
            return Err(VkeyError::NotEd25519);
        }
        Ok(Self { name: name.to_owned(), kind, key })
    }

    /// The name that signature lines carry.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it signs.
    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.key
    }

    /// First four bytes of SHA-256(name ‖ 0x0A ‖ type ‖ public key).
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, self.kind, &self.key)
    }

    /// Whether this signature is this key's, good or not.
    pub fn claims(&self, signature: &NoteSignature) -> bool {
        signature.name == self.name && signature.key_id == self.id()
    }

    /// The time of a good cosignature, 0 for a good signature, none for a bad one.
    fn check(&self, text: &str, signature: &[u8]) -> Option<u64> {
        match self.kind {
            KeyType::Signature => {
                verify(&self.key, text.as_bytes(), signature.try_into().ok()?).then_some(0)
            }
            KeyType::Cosignature => {
                let (time, signature) = signature.split_first_chunk()?;
                let time = u64::from_be_bytes(*time);
                let message = cosigned(text, time);
                verify(&self.key, message.as_bytes(), signature.try_into().ok()?).then_some(time)
            }
        }
    }
}

impl fmt::Display for Vkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = [&[self.kind as u8], self.key.as_slice()].concat();
        write!(f, "{}+{}+{}", self.name, hex::encode(self.id()), STANDARD.encode(key))
    }
}

impl FromStr for Vkey {
    type Err = VkeyError;

    fn from_str(text: &str) -> Result<Self, VkeyError> {
        // Base64 may hold plus signs, a name may not.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VkeyError::Form);
        };
        let key = STANDARD.decode(key).map_err(|_| VkeyError::Form)?;
        let (kind, key) = match key.split_first() {
            Some((1, key)) => (KeyType::Signature, key),
            Some((4, key)) => (KeyType::Cosignature, key),
            _ => return Err(VkeyError::NotEd25519),
        };
        let key = key.try_into().map_err(|_| VkeyError::NotEd25519)?;
        let vkey = Self::new(name, kind, key)?;
        if hex::encode(vkey.id()) == id { Ok(vkey) } else { Err(VkeyError::WrongId) }
    }
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub key_id: [u8; 4],
    /// What follows the id: the signature, after the time in a cosignature.
    pub signature: Vec<u8>,
}

impl fmt::Display for NoteSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let payload = [self.key_id.as_slice(), &self.signature].concat();
        write!(f, "{DASH}{} {}", self.name, STANDARD.encode(payload))
    }
}

/// A text with signatures, nothing verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    /// In the order of their lines.
    pub signatures: Vec<NoteSignature>,
}

/// Why a text is no signed note, or not an acceptable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Too long, no line break at the end, control characters, no empty line, or a bad signature
    /// line.
    #[error("text is not a signed note")]
    Form,
    /// A known key's signature does not hold: the note is refused whatever else is on it.
    #[error("a signature of a known key does not hold")]
    BadSignature,
    /// No signature is by a known key.
    #[error("note is not signed by a known key")]
    NotSigned,
}

/// A known key's good signature on a note.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<'k> {
    /// The key.
    pub key: &'k Vkey,
    /// Seconds since the Unix epoch at which a cosigner saw the note; 0 for a plain signature.
    pub time: u64,
}

impl SignedNote {
    /// A note without signatures.
    ///
    /// # Errors
    /// When the text does not end with a line break or has other control characters.
    pub fn new(text: String) -> Result<Self, NoteError> {
        if text.ends_with('\n') && text.len() <= MAX_NOTE && !text.contains(is_forbidden) {
            Ok(Self { text, signatures: Vec::new() })
        } else {
            Err(NoteError::Form)
        }
    }

    /// The text with its final line break: what is signed.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Adds a plain signature (type 0x01).
    pub fn sign(&mut self, name: &str, key: &SigningKey) {
        let signature = key.sign(self.text.as_bytes()).to_bytes().to_vec();
        self.push(name, KeyType::Signature, key, signature);
    }

    /// Adds a cosignature (type 0x04) as of `time`, seconds since the Unix epoch.
    pub fn cosign(&mut self, name: &str, key: &SigningKey, time: u64) {
        let signature = key.sign(cosigned(&self.text, time).as_bytes()).to_bytes();
        let payload = [time.to_be_bytes().as_slice(), &signature].concat();
        self.push(name, KeyType::Cosignature, key, payload);
    }

    fn push(&mut self, name: &str, kind: KeyType, key: &SigningKey, signature: Vec<u8>) {
        let key_id = key_id(name, kind, &key.verifying_key().to_bytes());
        self.signatures.push(NoteSignature { name: name.to_owned(), key_id, signature });
    }

    /// The good signatures of known keys, one a key. Unknown keys are passed over.
    ///
    /// # Errors
    /// When a known key's signature does not hold, or none is by a known key.
    pub fn verify<'k>(&self, keys: &'k [Vkey]) -> Result<Vec<Verified<'k>>, NoteError> {
        let mut verified: Vec<Verified<'k>> = Vec::new();
        for signature in &self.signatures {
            for key in keys.iter().filter(|key| key.claims(signature)) {
                let time =
                    key.check(&self.text, &signature.signature).ok_or(NoteError::BadSignature)?;
                if !verified.iter().any(|earlier| earlier.key == key) {
                    verified.push(Verified { key, time });
                }
            }
        }
        if verified.is_empty() { Err(NoteError::NotSigned) } else { Ok(verified) }
    }
}

impl fmt::Display for SignedNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|signature| writeln!(f, "{signature}"))
    }
}

impl FromStr for SignedNote {
    type Err = NoteError;

    fn from_str(note: &str) -> Result<Self, NoteError> {
        // The separator is the last empty line; the text keeps its own final line break.
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Form)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Form)?;
        if note.len() > MAX_NOTE || lines.split('\n').count() > MAX_SIGNATURES {
            return Err(NoteError::Form);
        }
        let mut parsed = Self::new(format!("{text}\n"))?;
        for line in lines.split('\n') {
            parsed.signatures.push(parse_signature(line).ok_or(NoteError::Form)?);
        }
        Ok(parsed)
    }
}

fn parse_signature(line: &str) -> Option<NoteSignature> {
    let (name, payload) = line.strip_prefix(DASH)?.split_once(' ')?;
    let payload = STANDARD.decode(payload).ok()?;
    let (key_id, signature) = payload.split_first_chunk()?;
    (is_key_name(name) && !signature.is_empty()).then(|| NoteSignature {
        name: name.to_owned(),
        key_id: *key_id,
        signature: signature.to_vec(),
    })
}

/// The format asks for no white space and no plus sign. Control characters are refused in the text
/// alone there, but by other verifiers anywhere in a note: a name that has one signs for nobody.
fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c == '+' || is_forbidden(c))
}

fn is_forbidden(c: char) -> bool {
    c < ' ' && c != '\n'
}

fn cosigned(text: &str, time: u64) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

fn key_id(name: &str, kind: KeyType, key: &[u8; 32]) -> [u8; 4] {
    let mut digest = Sha256::new();
    digest.update(name);
    digest.update([b'\n', kind as u8]);
    digest.update(key);
    let [a, b, c, d, ..]: [u8; 32] = digest.finalize().into();
    [a, b, c, d]
}

#[cfg(test)]
mod tests;
