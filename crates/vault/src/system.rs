//! The system's keys at work: index terms, digests, and rows that belong to no patient.

use crate::VaultError;
use crate::batch::SystemKeys;
use crate::data_key::{DataKey, derive};
use crate::key_encryption::KeyRing;
use aws_lc_rs::hmac;
use ledger::{KeyId, SubjectId};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Ids of the system's keys, for headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemKeyIds {
    /// The system as a subject.
    pub subject: SubjectId,
    /// Seals access records about no patient in particular.
    pub audit: KeyId,
    /// Index terms and digests.
    pub index: KeyId,
    /// Seals the bodies of registry buckets' chains.
    pub registry: KeyId,
    /// Seals view rows that belong to no single patient.
    pub view: KeyId,
}

/// The opened system keys.
pub(crate) struct System {
    pub(crate) ids: SystemKeyIds,
    /// Under which version of the key-encryption key they came: that of all new keys.
    pub(crate) kek_version: u32,
    pub(crate) view: Arc<DataKey>,
    terms: hmac::Key,
    digests: hmac::Key,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System").field("ids", &self.ids).finish_non_exhaustive()
    }
}

impl System {
    pub(crate) fn open(keks: &KeyRing, keys: &SystemKeys) -> Result<Self, VaultError> {
        let index = keks.unwrap_key(&keys.index)?;
        let derived = |label: &[u8]| -> Result<hmac::Key, VaultError> {
            let mut bytes = Zeroizing::new([0_u8; 32]);
            derive(&[], index.secret(), &[label], bytes.as_mut_slice())?;
            Ok(hmac::Key::new(hmac::HMAC_SHA256, bytes.as_slice()))
        };
        Ok(Self {
            ids: SystemKeyIds {
                subject: keys.subject,
                audit: keys.audit.id,
                index: keys.index.id,
                registry: keys.registry.id,
                view: keys.view.id,
            },
            kek_version: keys.index.kek_version,
            view: Arc::new(keks.unwrap_key(&keys.view)?),
            terms: derived(b"caseledger/index-term/v1")?,
            digests: derived(b"caseledger/digest/v1")?,
        })
    }

    pub(crate) fn term(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        mac(&self.terms, label, parts)
    }

    pub(crate) fn digest(&self, label: &str, bytes: &[u8]) -> [u8; 32] {
        mac(&self.digests, label, &[bytes])
    }
}

/// HMAC-SHA-256 over label and parts, each behind its length (u64 BE): no two lists of parts give
/// the same input.
fn mac(key: &hmac::Key, label: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    let mut update = |part: &[u8]| {
        // usize is at most 64 bits on every platform that RocksDB runs on
        let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
        context.update(&length.to_be_bytes());
        context.update(part);
    };
    update(label.as_bytes());
    parts.iter().copied().for_each(&mut update);
    let tag = context.sign();
    let mut out = [0_u8; 32];
    out.copy_from_slice(tag.as_ref());
    out
}
