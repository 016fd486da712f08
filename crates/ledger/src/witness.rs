//! What a witness of logs is asked and decides (c2sp.org/tlog-witness). The body of `add-checkpoint`:
//!
//! ```text
//! old <size of the checkpoint that the witness cosigned last, 0 for none>
//! <base64 hash>          the consistency proof from there, at most 63 lines
//! <empty line>
//! <the new checkpoint, a signed note>
//! ```
//!
//! [`consider`] answers it, and [`Accepted::cosign`] makes what the witness then knows. Whoever calls
//! them keeps [`Known`] where a crash cannot take it, before the cosignature leaves, and lets nobody
//! else decide meanwhile: the promise of a witness is never to cosign two trees of which neither
//! continues the other.

use core::fmt;
use core::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::SigningKey;

use crate::checkpoint::{Checkpoint, CheckpointError, base64_hash, decimal};
use crate::id::Hash;
use crate::note::{MAX_NOTE, NoteSignature, SignedNote, Vkey};
use crate::proof::{MAX_PROOF, verify_consistency};
use crate::tree::Tree;

/// Longest request that is read, in bytes: the longest old size, 63 lines of 44 characters of base64,
/// the empty line, and the longest note.
pub const MAX_REQUEST: usize = "old 18446744073709551615\n".len() + MAX_PROOF * 45 + 1 + MAX_NOTE;

/// Content type of the body `<size>\n` with which a stale request is answered.
pub const SIZE_TYPE: &str = "text/x.tlog.size";

/// A request for a cosignature, nothing of it verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the checkpoint from which the proof leads; 0 for none.
    pub old: u64,
    /// The consistency proof (RFC 6962 §2.1.2).
    pub proof: Vec<Hash>,
    /// The checkpoint to cosign.
    pub note: SignedNote,
}

/// Why a checkpoint is not cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a request, or its note is not a checkpoint, or too long to be cosigned.
    #[error("the request is not: old SIZE, proof lines, an empty line, a signed checkpoint")]
    Malformed,
    /// The witness knows no key of this origin.
    #[error("this witness does not know the log that the checkpoint names")]
    UnknownLog,
    /// No known key of the log signed it, or the signature of one does not hold.
    #[error("the checkpoint is not signed by a key of the log that this witness knows")]
    NotSigned,
    /// The old size is above the checkpoint's.
    #[error("the old size is above the size of the checkpoint")]
    OldAboveNew,
    /// The old size is not the one on record.
    #[error("the newest checkpoint cosigned here has size {size}: prove from there")]
    Stale {
        /// The size on record.
        size: u64,
    },
    /// The proof does not show that the checkpoint continues the one on record.
    #[error("the proof does not show that the checkpoint continues the one cosigned before")]
    WrongProof,
    /// The size on record with another root: the log signed two histories.
    #[error("another root was cosigned for this size: the log has forked")]
    WrongRoot,
}

impl Refused {
    /// The HTTP status that says so.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::OldAboveNew => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::Stale { .. } | Self::WrongRoot => 409,
            Self::WrongProof => 422,
        }
    }
}

impl AddCheckpoint {
    /// Which log it is about; none when its note is no checkpoint. Not verified.
    #[must_use]
    pub fn origin(&self) -> Option<String> {
        self.note.text().parse().ok().map(|checkpoint: Checkpoint| checkpoint.origin)
    }
}

impl fmt::Display for AddCheckpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{}", STANDARD.encode(hash.0))?;
        }
        write!(f, "\n{}", self.note)
    }
}

impl FromStr for AddCheckpoint {
    type Err = Refused;

    /// Reads a request: what it reads prints as it stood.
    fn from_str(text: &str) -> Result<Self, Refused> {
        let (head, note) = text.split_once("\n\n").ok_or(Refused::Malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).and_then(decimal);
        let proof: Option<Vec<Hash>> = lines.take(MAX_PROOF + 1).map(base64_hash).collect();
        let proof = proof.filter(|hashes| hashes.len() <= MAX_PROOF);
        let note = note.parse().map_err(|_| Refused::Malformed)?;
        Ok(Self {
            old: old.ok_or(Refused::Malformed)?,
            proof: proof.ok_or(Refused::Malformed)?,
            note,
        })
    }
}

/// What a witness knows of one log: the newest checkpoint that it cosigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl Known {
    /// Reads what the witness with the key `own` kept of the log `origin`: the note that it cosigned.
    ///
    /// # Errors
    /// When it is not a checkpoint of this log, or not cosigned by the witness: what was kept is
    /// damaged, or is another's. A witness that took it for nothing would begin anew.
    pub fn open(text: &str, origin: &str, own: &Vkey) -> Result<Self, CheckpointError> {
        let note: SignedNote = text.parse()?;
        let (checkpoint, _) = Checkpoint::open(&note, origin, core::slice::from_ref(own))?;
        Ok(Self { checkpoint, note })
    }

    /// The checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// The note, the witness's cosignature last.
    #[must_use]
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// The witness's cosignature.
    #[must_use]
    pub fn cosignature(&self) -> Option<&NoteSignature> {
        self.note.signatures.last()
    }
}

/// A checkpoint that may be cosigned. Only [`consider`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl Accepted {
    /// Cosigns it as of `time`, seconds since 1970 UTC. Of the signatures that came with it, those by
    /// `keep` stay, one a key: anybody can add lines to a note, and a witness passes on none that
    /// nobody vouches for.
    ///
    /// # Errors
    /// [`Refused::Malformed`] when the note would be longer than any that is read.
    pub fn cosign(
        self,
        keep: &[Vkey],
        own: &Vkey,
        key: &SigningKey,
        time: u64,
    ) -> Result<Known, Refused> {
        let Self { checkpoint, mut note } = self;
        let came = core::mem::take(&mut note.signatures);
        let by = |key: &Vkey| came.iter().find(|line| key.claims(line)).cloned();
        note.signatures.extend(keep.iter().filter(|key| *key != own).filter_map(by));
        note.cosign(own.name(), key, time);
        // Kept and never read again it would stop the witness.
        let note = note.to_string().parse().map_err(|_| Refused::Malformed)?;
        Ok(Known { checkpoint, note })
    }
}

/// Whether a witness that knows this of the log may cosign the checkpoint, in the order of the
/// specification's checks. `keys` are those of all logs that it serves; whose name is the
/// checkpoint's origin, signs as its log.
///
/// # Errors
/// See [`Refused`].
pub fn consider(
    known: Option<&Known>,
    request: &AddCheckpoint,
    keys: &[Vkey],
) -> Result<Accepted, Refused> {
    let new: Checkpoint = request.note.text().parse().map_err(|_| Refused::Malformed)?;
    let keys: Vec<Vkey> = keys.iter().filter(|key| key.name() == new.origin).cloned().collect();
    if keys.is_empty() {
        return Err(Refused::UnknownLog);
    }
    request.note.verify(&keys).map_err(|_| Refused::NotSigned)?;
    if request.old > new.size {
        return Err(Refused::OldAboveNew);
    }
    let empty = Tree::default().root();
    let (size, root) =
        known.map_or((0, empty), |known| (known.checkpoint.size, known.checkpoint.root));
    if request.old != size {
        return Err(Refused::Stale { size });
    }
    if new.size == 0 && new.root != empty {
        return Err(Refused::WrongProof);
    }
    if size == 0 || size == new.size {
        if !request.proof.is_empty() {
            return Err(Refused::WrongProof);
        }
        if size == new.size && root != new.root {
            return Err(Refused::WrongRoot);
        }
    } else if !verify_consistency(size, new.size, &root, &new.root, &request.proof) {
        return Err(Refused::WrongProof);
    }
    Ok(Accepted { checkpoint: new, note: request.note.clone() })
}

#[cfg(test)]
mod tests;
