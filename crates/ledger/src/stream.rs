//! The stream hash and signed heads: what a node has applied, in 32 bytes, and its word for it.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::id::Hash;

const HEAD_LABEL: &[u8] = b"caseledger/head/v1";

/// H(s) = SHA-256(H(s−1) ‖ s as u64 big-endian ‖ the message's payload); H(0) is [`Hash::ZERO`].
#[must_use]
pub fn stream_hash(previous: &Hash, sequence: u64, message: &[u8]) -> Hash {
    let mut digest = Sha256::new();
    digest.update(previous.0);
    digest.update(sequence.to_be_bytes());
    digest.update(message);
    Hash(digest.finalize().into())
}

/// A node's word, under its block key, that its stream hash at `sequence` is `hash`.
///
/// Ed25519 over "caseledger/head/v1" ‖ genesis hash ‖ sequence u64 big-endian ‖ hash. The genesis
/// hash names the ledger, so that a head of one ledger is no head of another.
#[must_use]
pub fn sign_head(key: &SigningKey, genesis: &Hash, sequence: u64, hash: &Hash) -> [u8; 64] {
    key.sign(&head_message(genesis, sequence, hash)).to_bytes()
}

/// Whether `signature` is [`sign_head`]'s under `key` (a member's block key). False for a key that
/// is no point of the curve.
#[must_use]
pub fn verify_head(
    key: &[u8; 32],
    genesis: &Hash,
    sequence: u64,
    hash: &Hash,
    signature: &[u8; 64],
) -> bool {
    verify(key, &head_message(genesis, sequence, hash), signature)
}

/// Strict Ed25519 verification: no weak keys, no second signature for the same message.
pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    VerifyingKey::from_bytes(key)
        .is_ok_and(|key| key.verify_strict(message, &Signature::from_bytes(signature)).is_ok())
}

fn head_message(genesis: &Hash, sequence: u64, hash: &Hash) -> Vec<u8> {
    [HEAD_LABEL, &genesis.0, &sequence.to_be_bytes(), &hash.0].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_hash_is_bound_to_order_and_content() {
        let first = stream_hash(&Hash::ZERO, 1, b"a");
        let by_hand = [&[0; 32][..], &[0, 0, 0, 0, 0, 0, 0, 1], b"a"].concat();
        assert_eq!(first, Hash::of(&by_hand));
        assert_ne!(first, stream_hash(&Hash::ZERO, 2, b"a"));
        assert_ne!(stream_hash(&first, 2, b"b"), stream_hash(&Hash::ZERO, 2, b"b"));
    }

    #[test]
    fn a_head_holds_for_one_ledger_sequence_hash_and_key() {
        let key = SigningKey::from_bytes(&[7; 32]);
        let public = key.verifying_key().to_bytes();
        let (genesis, hash) = (Hash([1; 32]), Hash([2; 32]));
        let signature = sign_head(&key, &genesis, 9, &hash);
        assert!(verify_head(&public, &genesis, 9, &hash, &signature));
        assert!(!verify_head(&public, &Hash([3; 32]), 9, &hash, &signature));
        assert!(!verify_head(&public, &genesis, 8, &hash, &signature));
        assert!(!verify_head(&public, &genesis, 9, &genesis, &signature));
        assert!(!verify_head(&[0; 32], &genesis, 9, &hash, &signature));
    }
}
