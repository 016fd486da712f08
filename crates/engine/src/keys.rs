//! Keeps this node's vault in step with the bucket of wrapped keys, and keys made ahead.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use journal::KeyBucket;
use ledger::SubjectId;
use store::Store;
use tokio::sync::{Notify, watch};
use vault::{BatchOrigin, PatientKeyIds, SubjectKeyIds, SystemKeyIds, Vault};

use crate::Failure;
use crate::alarms::Alarms;
use crate::clock::random;
use crate::engine::Engine;
use domain::PatientId;

/// The bucket's entry with the system's keys, made by `caseledgerd init`.
pub const SYSTEM_ENTRY: &str = "system";
/// Below so many spare patients new batches are made: an import registers some hundreds a second.
const LOW_WATER: usize = 1_024;
/// Subjects refolded at once when the system's keys arrive; the next start takes the rest.
const UNFOLDED: usize = 100_000;
/// How often the reserve is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The task that keeps keys coming.
pub(crate) struct Upkeep {
    pub(crate) bucket: KeyBucket,
    pub(crate) vault: Arc<Vault>,
    pub(crate) store: Arc<Store>,
    pub(crate) alarms: Arc<Alarms>,
    /// Told once the system's keys and spare ones are here.
    pub(crate) ready: watch::Sender<bool>,
    /// Told when spare keys run low.
    pub(crate) low: Arc<Notify>,
}

impl Upkeep {
    /// Runs until the engine is dropped.
    pub(crate) async fn run(self) {
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let mut changes = self.bucket.watch(1);
            loop {
                tokio::select! {
                    change = changes.next() => match change {
                        Some(Ok(change)) => {
                            self.alarms.clear("KEY_BUCKET_UNREADABLE", None);
                            // A deletion here is no destruction: only the ledger's record is.
                            if let Some(bytes) = change.bytes {
                                self.take_in(&change.name, &bytes);
                            }
                        }
                        Some(Err(error)) => {
                            let text = format!("the bucket of wrapped keys cannot be read: {error}");
                            self.alarms.raise("KEY_BUCKET_UNREADABLE", None, text);
                            break;
                        }
                        None => break,
                    },
                    _ = look.tick() => self.provide().await,
                    () = self.low.notified() => self.provide().await,
                }
            }
            look.tick().await;
        }
    }

    fn take_in(&self, name: &str, bytes: &[u8]) {
        let added = if name == SYSTEM_ENTRY {
            self.vault.add_system(bytes).map(|()| Vec::new())
        } else {
            self.vault.add_batch(name, bytes, BatchOrigin::Bucket)
        };
        match added {
            Ok(subjects) if name == SYSTEM_ENTRY => {
                // The registry's key may be what was missing.
                self.refold(&self.store.unfolded_subjects(UNFOLDED).unwrap_or_default());
                self.refold(&subjects);
            }
            Ok(subjects) => self.refold(&subjects),
            Err(error) => self.alarms.raise(
                "KEYS_REFUSED",
                None,
                format!("entry {name} of the key bucket was refused: {error}"),
            ),
        }
    }

    /// Records that came before their keys get their views now.
    fn refold(&self, subjects: &[SubjectId]) {
        for subject in subjects {
            if let Err(error) = self.store.refold(*subject) {
                self.alarms.raise(
                    "VIEW_NOT_FOLDED",
                    None,
                    format!("a view could not be folded: {error}"),
                );
            }
        }
    }

    /// Makes keys ahead. They go into the bucket first, so that no patient is ever given a key that
    /// other nodes cannot get.
    async fn provide(&self) {
        if !matches!(self.vault.system(), Ok(Some(_))) {
            return;
        }
        if self.vault.unused() > 0 {
            self.ready.send_replace(true);
        }
        while self.vault.unused() < LOW_WATER {
            match self.mint().await {
                Ok(()) => self.alarms.clear("KEYS_LOW", None),
                Err(why) => {
                    let text = format!("no keys for new patients could be made: {why}");
                    self.alarms.raise("KEYS_LOW", None, text);
                    break;
                }
            }
        }
        if self.vault.unused() > 0 {
            self.ready.send_replace(true);
        }
    }

    async fn mint(&self) -> Result<(), String> {
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
        let taken = self.vault.take_patient()?;
        if self.vault.unused() < LOW_WATER / 2 {
            self.keys_low.notify_one();
        }
        taken.ok_or_else(|| Failure::NotFiled {
            why: "there are no keys for new patients; they are being made".to_owned(),
        })
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
