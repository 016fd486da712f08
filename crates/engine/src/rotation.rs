//! Keys wrapped anew under another version of the key-encryption key, while the node works.
//!
//! The bucket's entry with the system's keys says under which version all keys are to be. Once somebody
//! has wrapped that one anew (`caseledgerd kek rotate`), every node that knows both versions does the
//! same to the other entries, one after the other, each replaced by the revision that it was made from:
//! whoever comes second finds the work done. What is left is told by the entries themselves, so it does
//! not matter who is killed when. Nodes take the new wraps from the bucket like any other entry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use journal::{BucketFailure, KeyChange};
use ledger::NodeId;
use vault::{KekReport, Vault, VaultError};

use crate::clock::random;
use crate::keys::Upkeep;

/// The alarm of an entry that could not be wrapped anew.
const NOT_WRAPPED: &str = "KEYS_NOT_WRAPPED_ANEW";

/// What the bucket has shown of versions since it is watched.
#[derive(Debug)]
pub(crate) struct Rotation {
    node: NodeId,
    /// By entry.
    under: BTreeMap<String, u32>,
    /// Entries to be wrapped anew.
    due: BTreeSet<String>,
    /// The version under which all are to be.
    wanted: Option<u32>,
    /// Those that could not be: tried again at the next look.
    failed: BTreeSet<String>,
    /// The broker failed: not before the next look.
    paused: bool,
    /// Something was due at the last look.
    told: bool,
    /// What this node's own entry says.
    reported: Option<KekReport>,
}

impl Rotation {
    pub(crate) fn new(node: NodeId) -> Self {
        Self {
            node,
            under: BTreeMap::new(),
            due: BTreeSet::new(),
            failed: BTreeSet::new(),
            wanted: None,
            paused: false,
            told: false,
            reported: None,
        }
    }

    /// Takes note of a change that was taken in already.
    pub(crate) fn note(&mut self, change: &KeyChange, vault: &Vault) {
        let KeyChange { name, bytes, .. } = change;
        if KekReport::is_name(name) {
            if *name == KekReport::name(self.node) && bytes.is_none() {
                self.reported = None;
            }
            return;
        }
        // One that is malformed was refused, with an alarm.
        let under = bytes.as_ref().and_then(|bytes| vault::wrapped_under(name, bytes).ok()?);
        match under {
            Some(version) => self.under.insert(name.clone(), version),
            None => self.under.remove(name),
        };
        let wanted = vault.kek_version().ok().flatten();
        let older = |version: &u32| wanted.is_some_and(|wanted| *version < wanted);
        if wanted != self.wanted {
            self.wanted = wanted;
            let due = self.under.iter().filter(|(_, version)| older(version));
            self.due = due.map(|(name, _)| name.clone()).collect();
        } else if under.as_ref().is_some_and(older) {
            self.due.insert(name.clone());
        } else {
            self.due.remove(name);
        }
    }

    /// Whether an entry is to be wrapped anew now.
    pub(crate) fn is_due(&self) -> bool {
        !self.paused && !self.due.is_empty()
    }

    /// Any one that is due: nodes that begin at different places seldom do the same twice.
    fn pick(&self) -> Option<String> {
        let place = random::<16>().map(|id| format!("batch.{}", ledger::KeyId(id)));
        let after = place.ok().and_then(|place| self.due.range(place..).next());
        after.or(self.due.first()).cloned()
    }

    fn tell(&mut self) {
        let left = self.due.len();
        if let Some(version) = self.wanted.filter(|_| left > 0 || self.told) {
            let of = self.under.len();
            tracing::info!(
                version,
                left,
                of,
                "entries of keys are wrapped anew under another version of the key-encryption key"
            );
        }
        self.told = left > 0;
    }
}

impl Upkeep {
    /// Wraps one entry anew.
    pub(crate) async fn wrap_one_anew(&self, rotation: &mut Rotation) {
        let Some(name) = rotation.pick() else { return };
        let entry = match self.bucket.get(&name).await {
            Ok(entry) => entry,
            Err(_) => {
                // That the broker is away is told already.
                rotation.paused = true;
                return;
            }
        };
        let anew = match entry.map(|entry| (self.vault.rewrap(&name, &entry.bytes), entry)) {
            Some((Ok(Some(anew)), entry)) => Some((anew, entry.revision)),
            // Another node was quicker, or it was deleted, and is put back and shown once more.
            Some((Ok(None), _)) | None => None,
            Some((Err(error), _)) => {
                self.not_wrapped(&name, &error);
                rotation.failed.insert(name.clone());
                None
            }
        };
        if let Some((anew, revision)) = anew {
            match self.bucket.update(&name, anew.into(), revision).await {
                Ok(_) | Err(BucketFailure::Changed { .. }) => {}
                Err(error) => {
                    tracing::warn!(%error, name, "an entry of keys could not be replaced");
                    rotation.paused = true;
                    return;
                }
            }
        }
        // Whatever is there now, the bucket shows it.
        rotation.due.remove(&name);
    }

    fn not_wrapped(&self, name: &str, error: &VaultError) {
        let text = format!("entry {name} of the key bucket could not be wrapped anew: {error}");
        self.alarms.raise(NOT_WRAPPED, None, text);
    }

    /// Says how far it is: in the log, and in this node's entry of the bucket.
    pub(crate) async fn report(&self, rotation: &mut Rotation) {
        rotation.paused = false;
        if rotation.failed.is_empty() {
            self.alarms.clear(NOT_WRAPPED, None);
        }
        let again = std::mem::take(&mut rotation.failed);
        rotation.due.extend(again.into_iter().filter(|name| rotation.under.contains_key(name)));
        rotation.tell();
        let known = self.vault.known_keks();
        let Ok(held) = self.vault.held_keks() else { return };
        let report = KekReport { known, held };
        if rotation.reported.as_ref() == Some(&report) {
            return;
        }
        match self.put_report(&KekReport::name(rotation.node), &report).await {
            Ok(()) => rotation.reported = Some(report),
            // Told already, if it is for long: the bucket is watched on the same connection.
            Err(error) => tracing::debug!(error, "the report of key versions was not stored"),
        }
    }

    /// The entry of before is what tells that a version has left this node: then its wraps leave the
    /// disk, too, before the entry says so, and after a crash in between once more.
    async fn put_report(&self, name: &str, report: &KekReport) -> Result<(), String> {
        let before = self.bucket.get(name).await.map_err(|error| error.to_string())?;
        let told = before.as_ref().map(|entry| KekReport::decode(name, &entry.bytes));
        let told = told.and_then(Result::ok).unwrap_or_default();
        if told == *report {
            return Ok(());
        }
        if told.held.iter().any(|version| !report.held.contains(version)) {
            let vault = Arc::clone(&self.vault);
            let purged = tokio::task::spawn_blocking(move || vault.purge_old_wraps()).await;
            purged.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        }
        let bytes = report.encode().map_err(|error| error.to_string())?;
        let stored = match before {
            Some(entry) => self.bucket.update(name, bytes.into(), entry.revision).await,
            None => self.bucket.create(name, bytes.into()).await,
        };
        stored.map(drop).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vault::{BatchOrigin, KeyEncryptionKey, KeyRing, SYSTEM_ENTRY};

    fn shown(name: &str, bytes: Option<&[u8]>) -> KeyChange {
        KeyChange { name: name.to_owned(), bytes: bytes.map(|b| b.to_vec().into()), revision: 1 }
    }

    #[test]
    fn entries_are_due_from_the_moment_the_systems_keys_are_under_a_newer_version() {
        let kek = |version| KeyEncryptionKey::from_bytes(version, &[7; 32]).unwrap();
        let both = || KeyRing::new([kek(1), kek(2)]).unwrap();
        let (dir, first) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let first = Vault::open(first.path(), kek(1)).unwrap();
        let (system, batch) = (first.mint_system().unwrap(), first.mint_batch().unwrap());
        let vault = Vault::open(dir.path(), both()).unwrap();
        let mut rotation = Rotation::new(NodeId([1; 16]));
        rotation.note(&shown("batch.one", Some(&batch)), &vault);
        assert!(!rotation.is_due(), "nobody said which version is wanted");
        vault.add_system(&system).unwrap();
        vault.add_batch("batch.one", &batch, BatchOrigin::Bucket).unwrap();
        rotation.note(&shown(SYSTEM_ENTRY, Some(&system)), &vault);
        assert!(!rotation.is_due(), "the version is the first");

        let anew = both().rewrap(SYSTEM_ENTRY, &system, 2).unwrap().unwrap();
        vault.add_system(&anew).unwrap();
        rotation.note(&shown(SYSTEM_ENTRY, Some(&anew)), &vault);
        assert_eq!(rotation.pick().as_deref(), Some("batch.one"));
        // A late one of a node that has not heard of it.
        rotation.note(&shown("batch.two", Some(&first.mint_batch().unwrap())), &vault);
        assert_eq!(rotation.due.len(), 2);
        rotation.note(&shown("batch.two", None), &vault);
        let done = vault.rewrap("batch.one", &batch).unwrap().unwrap();
        rotation.note(&shown("batch.one", Some(&done)), &vault);
        assert!(!rotation.is_due());
        // The system's own, put back from an older copy.
        rotation.note(&shown(SYSTEM_ENTRY, Some(&system)), &vault);
        assert_eq!(rotation.pick().as_deref(), Some(SYSTEM_ENTRY));
    }
}
