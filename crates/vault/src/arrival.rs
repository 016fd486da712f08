//! What is known of the keys' arrival at this node.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::Vault;

/// Kept in memory only: after a start the bucket shows everything once more.
#[derive(Debug, Default)]
pub(crate) struct Arrival {
    all: AtomicBool,
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
}
