//! Whom this node believes, as it is now: issuers with their keys and revocations, and services that
//! may act alone. It is replaced whole when any of it changes.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use engine::Role;
use serde::Deserialize;
use tokio::sync::Notify;

use super::emergency::Emergency;
use super::keys::KeySet;

/// All of it.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Grows with every change: what was verified under an earlier one is verified again.
    pub(super) generation: u64,
    /// By the name that tokens give as `iss`.
    pub(super) issuers: BTreeMap<String, Issuer>,
    /// By the name that their certificates give.
    pub(super) services: BTreeMap<String, Service>,
}

/// Who issues tokens.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Its public keys.
    pub keys: Arc<KeySet>,
    /// What its tokens name as their audience.
    pub audience: String,
    /// Tokens and persons that it has taken back.
    pub revoked: Arc<Revoked>,
    /// Told when a token names a key that is not among `keys`.
    pub unknown_key: Arc<Notify>,
    /// What holds besides if its tokens are for emergencies alone.
    pub emergency: Option<Arc<Emergency>>,
}

impl Issuer {
    /// An issuer with these keys, for this audience, that has taken nothing back.
    #[must_use]
    pub fn new(keys: KeySet, audience: &str) -> Self {
        Self {
            keys: Arc::new(keys),
            audience: audience.to_owned(),
            revoked: Arc::default(),
            unknown_key: Arc::default(),
            emergency: None,
        }
    }
}

/// What a service may do that acts without a person.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its roles.
    pub roles: Vec<Role>,
    /// On whose behalf.
    pub organisation: String,
}

/// An issuer's revocation list: a JSON object with the lists `jti` (ids of tokens) and `sub` (persons).
///
/// JSON, because half of a list that is just being written does not parse, and would else let the
/// other half in again.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    #[serde(default)]
    jti: HashSet<String>,
    #[serde(default)]
    sub: HashSet<String>,
}

impl Revoked {
    /// Reads a list.
    ///
    /// # Errors
    /// Not such an object.
    pub fn parse(json: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(json)
    }

    /// Whether a token of this id and person was taken back.
    #[must_use]
    pub fn holds(&self, id: Option<&str>, person: Option<&str>) -> bool {
        id.is_some_and(|id| self.jti.contains(id))
            || person.is_some_and(|person| self.sub.contains(person))
    }
}
