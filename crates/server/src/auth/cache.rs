//! Verified tokens by hash, so that a caller's thousand calls cost one signature check.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{SHA256, digest};

use super::Verified;

/// Tokens remembered in one generation. A token's entry has about 400 bytes, so both generations
/// together stay below 7 MiB; a hospital has some thousand tokens in use at once.
const GENERATION: usize = 8_192;

/// SHA-256 of a token: a dump of this process shows no usable token.
pub(super) fn hash(token: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(digest(&SHA256, token).as_ref()) {
        *to = *from;
    }
    bytes
}

/// Two generations: a full one becomes the older and the oldest is dropped whole, so memory is
/// bounded and tokens in use survive, without a list to maintain at every call.
#[derive(Default)]
pub(super) struct TokenCache {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    /// The trust that all of them were verified under.
    trust: u64,
    young: HashMap<[u8; 32], Verified>,
    old: HashMap<[u8; 32], Verified>,
}

impl TokenCache {
    /// The caller, if this token was verified before under this generation of trust and has not expired
    /// at `now`.
    pub(super) fn get(&self, hash: &[u8; 32], trust: u64, now: u64) -> Option<Verified> {
        let mut held = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        if !held.is_of(trust) {
            return None;
        }
        if let Some(verified) = held.young.get(hash) {
            return (now < verified.expires).then(|| verified.clone());
        }
        let verified = held.old.remove(hash)?;
        if now >= verified.expires {
            return None;
        }
        held.insert(*hash, verified.clone());
        Some(verified)
    }

    /// Remembers a token that was verified under this generation of trust, until it expires.
    pub(super) fn put(&self, hash: [u8; 32], verified: Verified, trust: u64, now: u64) {
        if now < verified.expires {
            let mut held = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
            if held.is_of(trust) {
                held.insert(hash, verified);
            }
        }
    }

    /// How many tokens are held, for the test of the bound.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        let held = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        held.young.len() + held.old.len()
    }
}

impl Generations {
    /// Whether what is held is of this generation of trust; what is of an older one is forgotten.
    fn is_of(&mut self, trust: u64) -> bool {
        if self.trust < trust {
            *self = Self { trust, ..Self::default() };
        }
        self.trust == trust
    }

    fn insert(&mut self, hash: [u8; 32], verified: Verified) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(hash, verified);
    }
}

impl std::fmt::Debug for TokenCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenCache").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use engine::Caller;

    use super::*;
    use crate::auth::Refused;

    fn verified(expires: u64) -> Verified {
        let caller = Caller {
            person: Some("p".into()),
            service: String::new(),
            roles: Vec::new(),
            organisation: String::new(),
            network: None,
            issuer: None,
        };
        Verified { caller, expires, ended: Refused::Expired, token: None }
    }

    #[test]
    fn a_token_is_forgotten_when_it_expires() {
        let cache = TokenCache::default();
        cache.put(hash(b"t"), verified(100), 1, 50);
        assert!(cache.get(&hash(b"t"), 1, 99).is_some());
        assert!(cache.get(&hash(b"t"), 1, 100).is_none());
    }

    #[test]
    fn what_was_verified_under_an_earlier_trust_is_forgotten() {
        let cache = TokenCache::default();
        cache.put(hash(b"t"), verified(100), 1, 50);
        assert!(cache.get(&hash(b"t"), 2, 50).is_none());
        // Whoever began to verify before the change does not bring it back.
        cache.put(hash(b"t"), verified(100), 1, 50);
        assert!(cache.get(&hash(b"t"), 1, 50).is_none());
        assert!(cache.get(&hash(b"t"), 2, 50).is_none());
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_in_use() {
        let cache = TokenCache::default();
        cache.put(hash(b"in use"), verified(100), 0, 1);
        for n in 0..(3 * GENERATION) {
            cache.put(hash(&n.to_be_bytes()), verified(100), 0, 1);
            assert!(cache.get(&hash(b"in use"), 0, 1).is_some());
        }
        assert!(cache.len() <= 2 * GENERATION);
    }
}
