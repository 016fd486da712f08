//! Keeps this node's vault in step with the bucket of wrapped keys, and keys made ahead.
//!
//! What the bucket shows is taken into the vault, and what the vault has and the bucket no longer
//! shows is put back, whether it was deleted or overwritten: neither destroys anything, only the
//! ledger's record does. Any number of nodes may do so at once: an entry is created once, and replaced
//! only by whoever has seen what is replaced (`rotation`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use journal::{BucketFailure, ConnectionState, CreateError, KeyBucket, KeyChange};
use ledger::{NodeId, SubjectId};
use store::Store;
use tokio::sync::{Notify, watch};
use vault::{
    BatchOrigin, KekReport, PatientKeyIds, SYSTEM_ENTRY, SubjectKeyIds, SystemKeyIds, Vault,
    VaultError,
};

use crate::Failure;
use crate::alarms::Alarms;
use crate::clock::random;
use crate::engine::Engine;
use crate::rotation::Rotation;
use crate::views;
use domain::PatientId;

/// Below so many spare patients new batches are made: an import registers some hundreds a second.
const LOW_WATER: usize = 1_024;
/// How often the reserve is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// How often a node puts one entry back in the place of another, until it is started anew.
const PUT_BACK: u32 = 8;

/// The alarm of entries that stand in the bucket and are not taken in.
const REFUSED: &str = "KEYS_REFUSED";

/// The alarm of a key database that could not be written; over when it gives out keys again.
const STOPPED: &str = "KEYS_STOPPED";

/// Whether the key database could not be written. That it could not be read stops nothing.
fn is_unwritten(error: &VaultError) -> bool {
    !error.is_damage() && matches!(error, VaultError::Database { action: "write", .. })
}

/// What the bucket showed since it is watched.
struct Listing {
    names: BTreeSet<String>,
    /// Revisions of entries that stand in the place of what this node has.
    overwritten: BTreeMap<String, u64>,
    /// How often each was found to be so since the start.
    times: BTreeMap<String, u32>,
    /// Entries that were not taken in and are not put back either.
    refused: BTreeSet<String>,
    /// The newest revision.
    seen: u64,
    /// Since the last look.
    news: bool,
    /// Nothing was missing or overwritten, or what was is back.
    whole: bool,
}

impl Listing {
    /// Nothing yet; that there is no news means something only after a whole moment.
    fn new(times: BTreeMap<String, u32>) -> Self {
        let (names, overwritten, refused) = Default::default();
        Self { names, overwritten, times, refused, seen: 0, news: true, whole: false }
    }

    /// Whether an entry that was overwritten at this revision is to be put back: not for ever, for another
    /// node may take this one's for the wrong one.
    fn goes_back(&mut self, change: &KeyChange) -> bool {
        let times = self.times.entry(change.name.clone()).or_insert(0);
        *times += 1;
        let goes_back = *times <= PUT_BACK;
        if goes_back {
            self.overwritten.insert(change.name.clone(), change.revision);
            self.whole = false;
        }
        goes_back
    }

    fn note(&mut self, change: &KeyChange) {
        self.news = true;
        self.seen = change.revision;
        self.overwritten.remove(&change.name);
        self.refused.remove(&change.name);
        if change.bytes.is_some() {
            self.names.insert(change.name.clone());
        } else {
            self.names.remove(&change.name);
            self.whole = false;
        }
    }
}

/// The task that keeps keys coming.
pub(crate) struct Upkeep {
    pub(crate) node: NodeId,
    pub(crate) bucket: KeyBucket,
    pub(crate) connection: watch::Receiver<ConnectionState>,
    pub(crate) vault: Arc<Vault>,
    pub(crate) store: Arc<Store>,
    pub(crate) alarms: Arc<Alarms>,
    /// Told once the system's keys and spare ones are here.
    pub(crate) ready: watch::Sender<bool>,
    /// Told when spare keys run low.
    pub(crate) low: Arc<Notify>,
    /// Whether all views are made.
    pub(crate) views: watch::Receiver<bool>,
}

impl Upkeep {
    /// Runs until the engine is dropped.
    pub(crate) async fn run(self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        self.tell_ready();
        let mut times = BTreeMap::new();
        loop {
            let mut changes = self.bucket.watch(1);
            let mut shown = Listing::new(times);
            let mut rotation = Rotation::new(self.node);
            loop {
                tokio::select! {
                    change = changes.next() => match change {
                        Some(Ok(change)) => {
                            shown.note(&change);
                            if let Some(bytes) = &change.bytes {
                                self.take_in(&change, bytes, &mut shown).await;
                            }
                            rotation.note(&change, &self.vault);
                        }
                        Some(Err(error)) => {
                            self.unreadable(&error.to_string());
                            break;
                        }
                        None => break,
                    },
                    _ = look.tick() => {
                        self.fold_again(&shown).await;
                        self.provide().await;
                        self.keep_whole(&mut shown).await;
                        self.report(&mut rotation).await;
                    }
                    () = self.low.notified() => self.provide().await,
                    () = std::future::ready(()), if rotation.is_due() => {
                        self.wrap_one_anew(&mut rotation).await;
                    }
                }
            }
            times = shown.times;
            if let Err(why) = self.make_anew().await {
                self.unreadable(&why);
            }
            look.tick().await;
        }
    }

    fn unreadable(&self, why: &str) {
        if *self.connection.borrow() != ConnectionState::Connected {
            // That the broker is away is told already.
            return;
        }
        let text = format!("the bucket of wrapped keys cannot be read or restored: {why}");
        self.alarms.raise("KEY_BUCKET_UNREADABLE", None, text);
    }

    /// Looks, once the bucket has shown nothing new for a moment, whether it shows everything.
    async fn keep_whole(&self, shown: &mut Listing) {
        if std::mem::take(&mut shown.news) {
            return;
        }
        if !shown.whole {
            self.make_whole(shown).await;
        }
        if shown.whole && shown.refused.is_empty() {
            self.alarms.clear(REFUSED, None);
            self.tell_all_arrived(shown).await;
        }
    }

    /// Tells once that all keys of the bucket are here. A bucket without the system's is not whole: other
    /// nodes put back what it had.
    async fn tell_all_arrived(&self, shown: &Listing) {
        if self.vault.has_all_arrived() || !shown.names.contains(SYSTEM_ENTRY) {
            return;
        }
        // It may have been slow to show more.
        if let Ok(Some(bucket)) = self.bucket.inspect().await
            && shown.seen >= bucket.last
        {
            self.vault.note_all_arrived();
        }
    }

    async fn make_whole(&self, shown: &mut Listing) {
        let mut back = 0;
        let put_back = self.put_back(shown, &mut back).await;
        if back > 0 {
            let text = format!(
                "{back} {} deleted or overwritten in the bucket of wrapped keys and put back \
                 from this node's keys; find out who writes there",
                if back == 1 { "entry was" } else { "entries were" }
            );
            self.alarms.raise("KEYS_PUT_BACK", None, text);
        }
        match put_back {
            Ok(()) => {
                shown.whole = true;
                self.alarms.clear("KEY_BUCKET_UNREADABLE", None);
            }
            Err(why) => self.unreadable(&why),
        }
    }

    /// Makes the bucket where there is none, if this node can fill it.
    async fn make_anew(&self) -> Result<(), String> {
        if self.bucket.inspect().await.map_err(|error| error.to_string())?.is_some() {
            return Ok(());
        }
        if self.vault.system_entry().map_err(|error| error.to_string())?.is_none() {
            return Err("there is none, and this node has no keys to fill it with".to_owned());
        }
        match self.bucket.create_bucket().await {
            // Another node was quicker.
            Ok(()) | Err(CreateError::Exists { .. }) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes the entries that this vault has and the bucket has not, and counts them. One that is
    /// damaged here keeps no other from it.
    async fn put_back(&self, shown: &Listing, back: &mut usize) -> Result<(), String> {
        self.make_anew().await?;
        let mut damaged = None;
        let mut names = vec![SYSTEM_ENTRY.to_owned()];
        names.extend(self.vault.batches().map_err(|error| error.to_string())?);
        for name in &names {
            let overwritten = shown.overwritten.get(name).copied();
            if overwritten.is_none() && shown.names.contains(name) {
                continue;
            }
            // What was not shown yet may be there all the same.
            if overwritten.is_none()
                && self.bucket.get(name).await.map_err(|error| error.to_string())?.is_some()
            {
                continue;
            }
            let entry = match name.as_str() {
                SYSTEM_ENTRY => self.vault.system_entry(),
                name => self.vault.batch(name),
            };
            let entry = match entry {
                Ok(Some(entry)) => entry,
                Ok(None) => continue,
                Err(error) => {
                    damaged.get_or_insert_with(|| format!("entry {name}: {error}"));
                    continue;
                }
            };
            let stored = match overwritten {
                Some(revision) => self.bucket.update(name, entry.into(), revision).await,
                None => self.bucket.create(name, entry.into()).await,
            };
            match stored {
                Ok(_) => *back += 1,
                // Another node's copy, in which another key may be destroyed; or what is there now is
                // shown, and looked at, once more.
                Err(BucketFailure::Exists { .. } | BucketFailure::Changed { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        damaged.map_or(Ok(()), Err)
    }

    async fn take_in(&self, change: &KeyChange, bytes: &[u8], shown: &mut Listing) {
        let name = change.name.as_str();
        if KekReport::is_name(name) {
            return;
        }
        let added = if name == SYSTEM_ENTRY {
            let added = self.vault.add_system(bytes);
            // The registry's key may be what was missing. And what was left at the start waits for no other
            // entry than this, if it was refused.
            self.fold(views::fold_rest).await;
            added.map(|()| Vec::new())
        } else {
            self.vault.add_batch(name, bytes, BatchOrigin::Bucket)
        };
        match added {
            Ok(subjects) => {
                self.fold(move |store, vault, alarms| views::fold(store, vault, subjects, alarms))
                    .await;
            }
            Err(error)
                if self.vault.is_overwritten(name, bytes, &error).unwrap_or(false)
                    && shown.goes_back(change) =>
            {
                tracing::warn!(%error, name, "an entry of keys was overwritten and is put back");
            }
            Err(error) => {
                shown.refused.insert(change.name.clone());
                let text = format!("entry {name} of the key bucket was refused: {error}");
                self.alarms.raise(REFUSED, None, text);
            }
        }
    }

    /// What could not be folded when its key came is tried again. Not before the system's entry was shown:
    /// then all that was left at the start is folded.
    async fn fold_again(&self, shown: &Listing) {
        if shown.names.contains(SYSTEM_ENTRY) && !self.vault.to_fold().is_empty() {
            self.fold(|store, vault, alarms| views::fold(store, vault, vault.to_fold(), alarms))
                .await;
        }
    }

    /// Records that came before their keys get their views now, off the runtime: a long file takes a
    /// while. While all views are made that is done in the end.
    async fn fold(&self, fold: impl FnOnce(&Store, &Vault, &Alarms) + Send + 'static) {
        if !*self.views.borrow() {
            return;
        }
        let (store, vault) = (Arc::clone(&self.store), Arc::clone(&self.vault));
        let alarms = Arc::clone(&self.alarms);
        if let Err(error) = tokio::task::spawn_blocking(move || fold(&store, &vault, &alarms)).await
        {
            tracing::error!(%error, "views could not be folded");
        }
    }

    /// Makes keys ahead. They go into the bucket first, so that no patient is ever given a key that
    /// other nodes cannot get.
    async fn provide(&self) {
        if !matches!(self.vault.system(), Ok(Some(_))) {
            return;
        }
        self.tell_ready();
        while self.vault.unused() < LOW_WATER {
            match self.mint().await {
                Ok(()) => self.alarms.clear("KEYS_LOW", None),
                Err(why) => {
                    let text = format!("no keys for new patients could be made: {why}");
                    self.alarms.keep("KEYS_LOW", None, text);
                    break;
                }
            }
        }
        self.tell_ready();
    }

    /// Whether this node can seal does not depend on the broker.
    fn tell_ready(&self) {
        if matches!(self.vault.system(), Ok(Some(_))) && self.vault.unused() > 0 {
            self.ready.send_replace(true);
        }
    }

    /// Whether the bucket's entry with the system's keys is this node's own, or to be replaced by it. If it
    /// does not open here, others do not open what this node makes: it may be an older copy, from before a
    /// rotation.
    async fn check_system(&self) -> Result<(), String> {
        let entry = self.bucket.get(SYSTEM_ENTRY).await.map_err(|error| error.to_string())?;
        let Some(entry) = entry else { return Ok(()) };
        let Err(error) = self.vault.add_system(&entry.bytes) else { return Ok(()) };
        if self.vault.is_overwritten(SYSTEM_ENTRY, &entry.bytes, &error).unwrap_or(false) {
            return Ok(());
        }
        Err(format!("the system's keys in the bucket of keys are refused: {error}"))
    }

    async fn mint(&self) -> Result<(), String> {
        self.check_system().await?;
        let batch = self.vault.mint_batch().map_err(|error| error.to_string())?;
        let id: [u8; 16] = random().map_err(|error| error.to_string())?;
        let name = format!("batch.{}", ledger::KeyId(id));
        self.bucket.create(&name, batch.clone().into()).await.map_err(|error| error.to_string())?;
        self.vault
            .add_batch(&name, &batch, BatchOrigin::ThisNode)
            .map_err(|error| error.to_string())?;
        Ok(())
    }
}

impl Engine {
    /// Keys for a new patient.
    pub(crate) fn take_keys(&self) -> Result<PatientKeyIds, Failure> {
        let taken = self.vault.take_patient().map_err(|error| self.keys_stopped(error))?;
        if taken.is_some() {
            self.alarms.clear(STOPPED, None);
        }
        if self.vault.unused() < LOW_WATER / 2 {
            self.keys_low.notify_one();
        }
        taken.ok_or_else(|| Failure::NotFiled {
            why: "there are no keys for new patients; they are being made".to_owned(),
        })
    }

    /// A key database that could not be written may take nothing more before the node is started anew.
    fn keys_stopped(&self, error: VaultError) -> Failure {
        if !is_unwritten(&error) {
            return error.into();
        }
        let text = format!(
            "{}: nobody new can be registered here, and keys made elsewhere do not arrive. If the disk is \
             full, make room; then start the node anew",
            store::causes(&error)
        );
        self.alarms.keep(STOPPED, None, text);
        Failure::NotFiled { why: "this node's key database cannot be written".to_owned() }
    }

    /// Keys of a patient on file.
    pub(crate) fn keys_of(&self, patient: PatientId) -> Result<SubjectKeyIds, Failure> {
        self.vault.keys_of(SubjectId(patient.0))?.ok_or_else(|| Failure::NotFiled {
            why: "the file's keys have not reached this node yet".to_owned(),
        })
    }

    pub(crate) fn system(&self) -> Result<SystemKeyIds, Failure> {
        self.vault.system()?.ok_or_else(|| Failure::Unavailable {
            why: "the system's keys have not reached this node yet".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use vault::KeyEncryptionKey;

    use super::*;

    #[test]
    fn only_a_write_that_failed_says_that_no_more_keys_are_taken_in() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Vault::open(dir.path(), KeyEncryptionKey::from_bytes(1, &[4; 32]).unwrap());
        let _held = open().unwrap();
        let Err(VaultError::Database { source, .. }) = open() else { panic!("opened twice") };
        let failed = |action| VaultError::Database { action, source: source.clone() };
        assert!(is_unwritten(&failed("write")));
        assert!(!["read a row", "list rows"].map(failed).iter().any(is_unwritten));
    }
}
