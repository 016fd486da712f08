//! A bounded cache of unwrapped keys.
//!
//! Two generations: what is used moves to the young one; when that is full the old one is dropped
//! and the young one grows old. Within a factor of two of true least-recently-used, without a list.

use crate::data_key::DataKey;
use ledger::KeyId;
use std::collections::HashMap;
use std::sync::Arc;

/// Keys a generation holds. An unwrapped key with its expanded AES schedule is below 1 KiB, so
/// both generations stay below 32 MiB; 16,384 patients are more than a hospital works on in a day.
pub(crate) const GENERATION: usize = 16_384;

#[derive(Debug)]
pub(crate) struct KeyCache {
    generation: usize,
    young: HashMap<KeyId, Arc<DataKey>>,
    old: HashMap<KeyId, Arc<DataKey>>,
}

impl KeyCache {
    pub(crate) fn new(generation: usize) -> Self {
        Self { generation, young: HashMap::new(), old: HashMap::new() }
    }

    pub(crate) fn get(&mut self, id: KeyId) -> Option<Arc<DataKey>> {
        if let Some(key) = self.young.get(&id) {
            return Some(Arc::clone(key));
        }
        let key = self.old.remove(&id)?;
        self.put(id, Arc::clone(&key));
        Some(key)
    }

    pub(crate) fn put(&mut self, id: KeyId, key: Arc<DataKey>) {
        if self.young.len() >= self.generation {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id, key);
    }

    pub(crate) fn forget(&mut self, id: KeyId) {
        self.young.remove(&id);
        self.old.remove(&id);
    }
}
