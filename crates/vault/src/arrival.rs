//! What is known of the keys' arrival at this node.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use ledger::SubjectId;

use crate::Vault;

/// Kept in memory only: after a start the bucket shows everything once more.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    all: AtomicBool,
    /// Subjects, and whether making their views is worth a try.
    to_fold: Mutex<BTreeMap<SubjectId, bool>>,
}

impl Arrival {
    fn to_fold(&self) -> MutexGuard<'_, BTreeMap<SubjectId, bool>> {
        self.to_fold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vault {
    /// Everything that the bucket holds was added: a key that is missing now does not come by itself.
    pub fn note_all_arrived(&self) {
        self.arrival.all.store(true, Ordering::Release);
    }

    /// Whether everything that the bucket holds was added once since the vault was opened. Until then a key
    /// that is missing may merely be late.
    #[must_use]
    pub fn has_all_arrived(&self) -> bool {
        self.arrival.all.load(Ordering::Acquire)
    }

    /// Notes subjects whose keys have come, or may have, since their views were made.
    pub fn note_to_fold(&self, subjects: impl IntoIterator<Item = SubjectId>) {
        self.arrival.to_fold().extend(subjects.into_iter().map(|subject| (subject, true)));
    }

    /// Whether a subject's views have yet to be made with its keys. It is noted before its keys are here: if
    /// they are, and it is not, then its views are made with them.
    #[must_use]
    pub fn is_to_fold(&self, subject: SubjectId) -> bool {
        self.arrival.to_fold().contains_key(&subject)
    }

    /// Those of them that can be tried: not what is damaged.
    #[must_use]
    pub fn to_fold(&self) -> Vec<SubjectId> {
        let to_fold = self.arrival.to_fold();
        to_fold.iter().filter(|(_, try_it)| **try_it).map(|(subject, _)| *subject).collect()
    }

    /// Whether there are none, damaged or not.
    #[must_use]
    pub fn has_folded_all(&self) -> bool {
        self.arrival.to_fold().is_empty()
    }

    /// A subject's views cannot be made before the node is started anew: a record is damaged. Trying again
    /// and again would keep what is applied waiting each time.
    pub fn note_damaged(&self, subject: SubjectId) {
        self.arrival.to_fold().insert(subject, false);
    }

    /// A subject's views are made with its keys.
    pub fn note_folded(&self, subject: SubjectId) {
        self.arrival.to_fold().remove(&subject);
    }
}
