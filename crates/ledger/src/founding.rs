//! Block 1: what `caseledgerd init` writes on an empty stream, once in a ledger's life.

use ed25519_dalek::SigningKey;

use crate::block::{Base, Block, BlockError, Content, Contribution, Item};
use crate::control::{Control, Genesis, NodeKeys};
use crate::header::{HEADER_FORMAT, Header, LeafType, SUITE_CLEAR, leaf_hash};
use crate::id::{ActorId, ContributionId, Hash, KeyId, LedgerId, NodeId, RecordId, SubjectId};
use crate::rules::{RULES, is_sound};

/// Who founds a ledger.
#[derive(Clone, Debug)]
pub struct Founding<'a> {
    /// The ledger.
    pub ledger: LedgerId,
    /// First part of its origin: a schema-less URL such as `ledger.hospital.example`.
    pub name: &'a str,
    /// Now, microseconds since the Unix epoch, UTC.
    pub created_at: u64,
    /// Ed25519 public keys of the administrators.
    pub administrators: &'a [[u8; 32]],
    /// How many of them must sign a control record.
    pub threshold: u8,
    /// The administrators who sign the first admission: place in `administrators`, and key.
    pub signers: &'a [(u8, &'a SigningKey)],
    /// The first node.
    pub node: NodeId,
    /// Its block key, which signs block 1.
    pub block_key: &'a SigningKey,
    /// Ed25519 public key of its checkpoint signatures.
    pub checkpoint_key: [u8; 32],
    /// Ed25519 public key of its cosignatures.
    pub cosigner_key: [u8; 32],
}

/// A founded ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Founded {
    /// Hash of the genesis record: to be pinned by every node and verifier.
    pub genesis: Hash,
    /// Block 1.
    pub block: Vec<u8>,
}

/// Why a ledger cannot be founded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoundingError {
    /// The name or the administrators cannot found a ledger.
    #[error(
        "name must be 1 to 128 bytes without white space or '+', administrators 1 to 255 different \
         Ed25519 keys, threshold between 1 and their number"
    )]
    Unsound,
    /// Fewer signers than the threshold, or a signer whose key is not the administrator's.
    #[error("the first admission needs the signatures of {threshold} different administrators")]
    NotSigned {
        /// How many are needed.
        threshold: u8,
    },
    /// The block is too large, which only hundreds of signatures can make it.
    #[error("block 1 cannot be sealed")]
    Block(#[from] BlockError),
}

/// Builds block 1: the genesis record and the first node's admission.
///
/// Record and contribution ids come from the genesis itself, so the same founding gives the same
/// bytes and needs no source of randomness.
///
/// # Errors
/// See [`FoundingError`].
pub fn found(founding: &Founding<'_>) -> Result<Founded, FoundingError> {
    let body = Genesis {
        ledger: founding.ledger,
        created_at: founding.created_at,
        administrators: founding.administrators.to_vec(),
        threshold: founding.threshold,
        rules: RULES,
        name: founding.name.to_owned(),
    };
    if !is_sound(&body, founding.ledger) {
        return Err(FoundingError::Unsound);
    }
    let genesis = Control::Genesis(body);
    let seed = Hash::of(&[b"caseledger/founding/v1", genesis.encode().as_slice()].concat());
    let first = genesis.into_record(founding.header(&seed, 0, Hash::ZERO));
    let hash = leaf_hash(&first.header);

    let mut admission = Control::NodeAdmitted {
        node: founding.node,
        keys: NodeKeys {
            block: founding.block_key.verifying_key().to_bytes(),
            checkpoint: founding.checkpoint_key,
            cosigner: founding.cosigner_key,
        },
        signatures: Vec::new(),
    };
    for (administrator, key) in founding.signers {
        admission.sign(&hash, *administrator, key);
    }
    let threshold = founding.threshold;
    if !admission.is_signed_by(&hash, founding.administrators, threshold) {
        return Err(FoundingError::NotSigned { threshold });
    }
    let second = admission.into_record(founding.header(&seed, 1, hash));
    let contribution = Contribution {
        id: ContributionId(seed.0),
        request_digest: Hash::ZERO,
        reads: Vec::new(),
        records: vec![first, second],
    };
    let content = Content {
        sealed_at: founding.created_at,
        base: Base::START,
        items: vec![Item::Contribution(contribution)],
    };
    let block = Block::seal(founding.ledger, founding.node, &content, founding.block_key, &hash)?;
    Ok(Founded { genesis: hash, block })
}

impl Founding<'_> {
    fn header(&self, seed: &Hash, index: u16, previous: Hash) -> Header {
        let [low, high] = index.to_be_bytes();
        let digest = Hash::of(&[seed.0.as_slice(), &[low, high]].concat());
        let random = digest.0.first_chunk().copied().unwrap_or_default();
        Header {
            format: HEADER_FORMAT,
            leaf: LeafType::Control,
            suite: SUITE_CLEAR,
            ledger: self.ledger,
            record_id: RecordId::new(self.created_at / 1000, random),
            contribution_id: ContributionId(seed.0),
            index,
            count: 2,
            subject: SubjectId::ZERO,
            version: u64::from(index) + 1,
            previous,
            recorded_at: self.created_at,
            node: self.node,
            actor: ActorId::ZERO,
            envelope_version: 0,
            data_key: KeyId::ZERO,
            key_commitment: Hash::ZERO,
            body_length: 0,
            body_hash: Hash::ZERO,
        }
    }
}

#[cfg(test)]
mod tests;
