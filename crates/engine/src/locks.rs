//! At most one contribution under way a chain on this node (invariant 2): commands on one patient
//! wait for each other here instead of losing races at apply.

use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

/// Two patients share a lock once in so many pairs; 4,096 commands in flight rarely meet.
const SLOTS: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Locks(Vec<Arc<Mutex<()>>>);

impl Locks {
    pub(crate) fn new() -> Self {
        Self((0..SLOTS).map(|_| Arc::default()).collect())
    }

    /// Holds all of these until the guards are dropped. Always taken in one order, so that nobody
    /// waits in a circle.
    pub(crate) async fn hold(&self, names: &[&[u8]]) -> Vec<OwnedMutexGuard<()>> {
        let mut slots: Vec<usize> = names.iter().map(|name| slot(name)).collect();
        slots.sort_unstable();
        slots.dedup();
        let mut guards = Vec::with_capacity(slots.len());
        for slot in slots {
            if let Some(lock) = self.0.get(slot) {
                guards.push(Arc::clone(lock).lock_owned().await);
            }
        }
        guards
    }
}

/// Names are random or hashed ids: their first bytes spread evenly.
fn slot(name: &[u8]) -> usize {
    name.iter()
        .take(8)
        .fold(0_usize, |sum, byte| sum.wrapping_mul(257).wrapping_add(usize::from(*byte)))
        % SLOTS
}
