//! An issuer's public keys, each with the one algorithm that it verifies.
//!
//! The algorithm belongs to the key, never to the token: a token that names another is refused before
//! its signature is looked at, so no key is ever used as what it is not.

use std::fmt;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

use crate::files;

/// Algorithms that an issuer may sign with. No HMAC: whoever could verify could then sign.
pub(super) const ACCEPTED: [Algorithm; 4] =
    [Algorithm::EdDSA, Algorithm::ES256, Algorithm::RS256, Algorithm::PS256];

/// Keys taken from one set. Issuers publish two to five; each is tried for a name at most once.
const MAX_KEYS: usize = 64;

/// The keys of one issuer.
#[derive(Debug, Clone, Default)]
pub struct KeySet(Vec<Key>);

/// One key.
#[derive(Clone)]
pub(super) struct Key {
    /// The name that tokens give it (`kid`); a key from a PEM file has none and is tried for every token.
    name: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
    pub(super) id: KeyId,
}

/// Tells a key from others: SHA-256 of all that it is.
pub(super) type KeyId = [u8; 32];

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key")
            .field("name", &self.name)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

impl Key {
    fn new(name: Option<String>, algorithm: Algorithm, decoding: DecodingKey) -> Self {
        let (first, second) = match decoding.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => (bytes.as_slice(), &[][..]),
            DecodingKeyKind::RsaModulusExponent { n, e } => (n.as_slice(), e.as_slice()),
        };
        let (name_bytes, algorithm_name) =
            (name.as_deref().unwrap_or_default(), format!("{algorithm:?}"));
        let mut all = Vec::new();
        // Each with its length: nothing of one can pass for another's.
        for part in [name_bytes.as_bytes(), algorithm_name.as_bytes(), first, second] {
            all.extend_from_slice(&part.len().to_be_bytes());
            all.extend_from_slice(part);
        }
        Self { name, algorithm, decoding, id: files::fingerprint(&all) }
    }
}

/// Keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BadKeys {
    /// A PEM file holds something else.
    #[error("key {0} is not an Ed25519 public key in PEM form (SubjectPublicKeyInfo)")]
    Pem(usize, #[source] jsonwebtoken::errors::Error),
    /// A key set is not one.
    #[error("it is not a JSON Web Key Set: an object with the list `keys`")]
    NotASet(#[source] serde_json::Error),
    /// A key set has none that this node can use.
    #[error(
        "none of its {0} keys can be used: each needs `kid` and must be for signatures with EdDSA \
         (Ed25519), ES256, RS256 or PS256"
    )]
    NoneUsable(usize),
}

#[derive(Deserialize)]
struct Set {
    // Read one by one: a key of a kind that nobody here knows does not spoil the others.
    keys: Vec<Value>,
}

impl KeySet {
    /// Ed25519 public keys, each a PEM file's content.
    ///
    /// # Errors
    /// One that is no such key; it is named by its place, from 1.
    pub fn of_pems<T: AsRef<[u8]>>(pems: &[T]) -> Result<Self, BadKeys> {
        let key = |(place, pem): (usize, &T)| {
            let decoding = DecodingKey::from_ed_pem(pem.as_ref())
                .map_err(|source| BadKeys::Pem(place + 1, source))?;
            Ok(Key::new(None, Algorithm::EdDSA, decoding))
        };
        pems.iter().enumerate().map(key).collect::<Result<_, _>>().map(Self)
    }

    /// A JSON Web Key Set (RFC 7517). Keys for other uses or algorithms, and those without a name, are
    /// left out.
    ///
    /// # Errors
    /// Not a set, or none of its keys can be used.
    pub fn of_jwks(json: &[u8]) -> Result<Self, BadKeys> {
        let set: Set = serde_json::from_slice(json).map_err(BadKeys::NotASet)?;
        let keys: Vec<Key> = set.keys.iter().filter_map(key).take(MAX_KEYS).collect();
        if keys.is_empty() { Err(BadKeys::NoneUsable(set.keys.len())) } else { Ok(Self(keys)) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none: the issuer was not reached yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this key is still among them, under the same name.
    pub(super) fn holds(&self, id: &KeyId) -> bool {
        self.0.iter().any(|key| key.id == *id)
    }

    /// Those that a token may have been signed with, if it names its key so.
    pub(super) fn named<'a>(&'a self, kid: Option<&'a str>) -> impl Iterator<Item = &'a Key> {
        self.0.iter().filter(move |key| match &key.name {
            None => true,
            Some(name) => kid == Some(name),
        })
    }
}

fn key(value: &Value) -> Option<Key> {
    let jwk = Jwk::deserialize(value).ok()?;
    let name = jwk.common.key_id.clone()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let algorithm = algorithm(&jwk)?;
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    Some(Key::new(Some(name), algorithm, decoding))
}

/// The one algorithm that a key is for: the one it states, if it is of that kind. One that states none
/// is for the first of its kind; an RSA key then for RS256, which OpenID Connect names as the default.
#[expect(clippy::wildcard_enum_match_arm, reason = "the foreign enum is non-exhaustive")]
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    let possible: &[(KeyAlgorithm, Algorithm)] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => {
            &[(KeyAlgorithm::RS256, Algorithm::RS256), (KeyAlgorithm::PS256, Algorithm::PS256)]
        }
        AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
            &[(KeyAlgorithm::ES256, Algorithm::ES256)]
        }
        AlgorithmParameters::OctetKeyPair(curve) if curve.curve == EllipticCurve::Ed25519 => {
            &[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)]
        }
        _ => &[],
    };
    let stated = jwk.common.key_algorithm;
    possible
        .iter()
        .find(|(name, _)| stated.is_none_or(|stated| stated == *name))
        .map(|(_, algorithm)| *algorithm)
}
