//! Checkpoints (c2sp.org/tlog-checkpoint) and proofs that travel alone (c2sp.org/tlog-proof).
//!
//! ```text
//! <origin>
//! <tree size, decimal>
//! <root, base64>
//! ```

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::id::{Hash, LedgerId};
use crate::note::{NoteError, SignedNote, Verified, Vkey};
use crate::proof::{MAX_PROOF, verify_inclusion};

const PROOF_HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A ledger's origin: `<name>/<ledger>/<genesis hash, hex>`. It ends in the genesis hash, so that
/// nobody can found another ledger of the same origin.
#[must_use]
pub fn origin(name: &str, ledger: LedgerId, genesis: &Hash) -> String {
    format!("{name}/{ledger}/{genesis}")
}

/// A tree head, not signed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many leaves.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

/// Why a text is no checkpoint, or a proof does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// Not three lines, a size with a sign or leading zeros, or a root that is not 32 bytes.
    #[error("note is not a checkpoint")]
    Form,
    /// A checkpoint of another log.
    #[error("checkpoint is of another ledger")]
    WrongOrigin,
    /// Not signed as it should be.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not a tlog-proof, or one that does not lead to the checkpoint's root.
    #[error("proof does not lead to the checkpoint's root")]
    Proof,
}

impl Checkpoint {
    /// The note to sign.
    ///
    /// # Errors
    /// When the origin is empty or has control characters.
    pub fn to_note(&self) -> Result<SignedNote, CheckpointError> {
        if self.origin.is_empty() || self.origin.contains('\n') {
            return Err(CheckpointError::Form);
        }
        Ok(SignedNote::new(self.to_string())?)
    }

    /// Verifies a signed checkpoint of the log `origin` under the keys a verifier knows, and says
    /// who signed. How many of them must have is the verifier's policy.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn open<'k>(
        note: &SignedNote,
        origin: &str,
        keys: &'k [Vkey],
    ) -> Result<(Self, Vec<Verified<'k>>), CheckpointError> {
        let verified = note.verify(keys)?;
        let checkpoint: Self = note.text().parse()?;
        if checkpoint.origin != origin {
            return Err(CheckpointError::WrongOrigin);
        }
        Ok((checkpoint, verified))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, STANDARD.encode(self.root.0))
    }
}

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    /// Reads the text of a note. Extension lines are allowed by the format and passed over.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.strip_suffix('\n').ok_or(CheckpointError::Form)?.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError::Form);
        };
        if origin.is_empty() || lines.any(str::is_empty) {
            return Err(CheckpointError::Form);
        }
        let size = decimal(size).ok_or(CheckpointError::Form)?;
        let root = base64_hash(root).ok_or(CheckpointError::Form)?;
        Ok(Self { origin: origin.to_owned(), size, root })
    }
}

/// An inclusion proof with the checkpoint it leads to: a file that a person can keep and hand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Leaf index.
    pub index: u64,
    /// The leaf's sibling first.
    pub proof: Vec<Hash>,
    /// The signed checkpoint, with its cosignatures.
    pub checkpoint: SignedNote,
}

impl TlogProof {
    /// Verifies that `leaf` is at [`TlogProof::index`] in the log `origin`, and says who signed the
    /// checkpoint.
    ///
    /// # Errors
    /// See [`CheckpointError`].
    pub fn verify<'k>(
        &self,
        leaf: &Hash,
        origin: &str,
        keys: &'k [Vkey],
    ) -> Result<(Checkpoint, Vec<Verified<'k>>), CheckpointError> {
        let (checkpoint, verified) = Checkpoint::open(&self.checkpoint, origin, keys)?;
        let Checkpoint { size, root, .. } = &checkpoint;
        if verify_inclusion(self.index, *size, leaf, &self.proof, root) {
            Ok((checkpoint, verified))
        } else {
            Err(CheckpointError::Proof)
        }
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{PROOF_HEADER}\nindex {}", self.index)?;
        for hash in &self.proof {
            writeln!(f, "{}", STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

impl FromStr for TlogProof {
    type Err = CheckpointError;

    /// Reads a proof; an `extra` line, which nothing vouches for, is passed over.
    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or(CheckpointError::Proof)?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(PROOF_HEADER) {
            return Err(CheckpointError::Proof);
        }
        lines.next_if(|line| line.starts_with("extra "));
        let index = lines
            .next()
            .and_then(|line| line.strip_prefix("index "))
            .and_then(decimal)
            .ok_or(CheckpointError::Proof)?;
        let proof: Option<Vec<Hash>> = lines.take(MAX_PROOF + 1).map(base64_hash).collect();
        let proof = proof.filter(|hashes| hashes.len() <= MAX_PROOF);
        let proof = proof.ok_or(CheckpointError::Proof)?;
        Ok(Self { index, proof, checkpoint: checkpoint.parse()? })
    }
}

/// One spelling a number: digits, no sign, no leading zeros.
pub(crate) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

pub(crate) fn base64_hash(text: &str) -> Option<Hash> {
    Hash::from_slice(&STANDARD.decode(text).ok()?)
}

#[cfg(test)]
mod tests;
