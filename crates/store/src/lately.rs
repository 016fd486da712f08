//! What was written lately and is asked for at every command: chain heads, and who is registered.
//! Without it an eighth of a node's time under commands went into reading rows, most of them these.

use ledger::{ChainHead, LedgerId, SubjectId};
use quick_cache::sync::Cache;

/// Chains and patients remembered: more than a hospital works on in a day; about 150 bytes each.
const REMEMBERED: usize = 65_536;

/// Rows in memory. The database stays the truth: whoever misses here asks there.
#[derive(Debug)]
pub(crate) struct Lately {
    heads: Cache<(LedgerId, SubjectId), ChainHead>,
    registered: Cache<SubjectId, ()>,
}

impl Default for Lately {
    fn default() -> Self {
        Self { heads: Cache::new(REMEMBERED), registered: Cache::new(REMEMBERED) }
    }
}

impl Lately {
    /// The head of a chain, if it moved lately.
    pub(crate) fn head(&self, ledger: LedgerId, chain: SubjectId) -> Option<ChainHead> {
        self.heads.get(&(ledger, chain))
    }

    /// Where a chain stands, once that is written. Only for apply: whoever put in what they read
    /// could put an older head over a newer one.
    pub(crate) fn moved(&self, ledger: LedgerId, chain: SubjectId, head: ChainHead) {
        self.heads.insert((ledger, chain), head);
    }

    /// Whether a file is known to have an identity. It never loses it, but may become unreadable.
    pub(crate) fn is_registered(&self, subject: SubjectId) -> bool {
        self.registered.get(&subject).is_some()
    }

    /// Some files may have become unreadable for good.
    pub(crate) fn forget_registered(&self) {
        self.registered.clear();
    }

    /// A file has an identity.
    pub(crate) fn registered(&self, subject: SubjectId) {
        self.registered.insert(subject, ());
    }
}
