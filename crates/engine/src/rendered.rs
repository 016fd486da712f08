//! Rendered of files, rendered lately: a file that is read again is neither opened nor rendered again.
//!
//! A file at a version never changes, so its version is the key and nothing needs to be told when a
//! change is filed. What is masked is part of the key, too: a page remembers the classes of entries that
//! it has, so that a reader who may see them all needs no more than that said. What changes without a version, rows that are made anew or erased, raises the
//! store's generation of views, which drops everything. Whether somebody may see a page, and that
//! they saw it, is not its business: it is asked for after the access check and recorded as any other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::PatientId;
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::access::Pass;
use crate::answers::{FilePage, FileQuery};
use crate::context::AsOf;
use crate::masking::{Class, Masked};

/// Clear text kept in memory at most: a page of 50 entries has about 20 KiB, so 3,000 files that a
/// hospital works on now. With the caches of keys and rows a node stays far below its 1.5 GiB.
const BYTES: u64 = 64 * 1024 * 1024;
/// Rendered that are expected to fit.
const EXPECTED: usize = 4_096;

/// Which page of which file at which version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Of {
    /// [`store::Store::views_generation`] before anything was read.
    views: u64,
    patient: PatientId,
    version: u64,
    /// Of the past: folded anew from the records, not read from the views (should the two ever
    /// differ, each stays what it is), and judged by the classes of entries at this version.
    judged: Option<u64>,
    kinds: Vec<domain::Kind>,
    size: usize,
    after: Option<Vec<u8>>,
    include_retracted: bool,
    masked: Masked,
}

impl Of {
    /// This query's, at this version, when the file was at `newest`; with nothing masked.
    pub(crate) fn version(views: u64, query: &FileQuery, version: u64, newest: u64) -> Self {
        Self {
            views,
            patient: query.patient,
            version,
            judged: (query.as_of != AsOf::Now).then_some(newest),
            kinds: query.kinds.clone(),
            size: query.page_size,
            after: query.after.clone(),
            include_retracted: query.include_retracted,
            masked: Masked::default(),
        }
    }

    /// The same with these classes masked.
    pub(crate) fn masking(self, masked: Masked) -> Self {
        Self { masked, ..self }
    }
}

#[derive(Clone, Debug)]
struct ByBytes;

impl Weighter<Of, Arc<FilePage>> for ByBytes {
    fn weight(&self, of: &Of, page: &Arc<FilePage>) -> u64 {
        let classes: usize = page.classes.iter().map(Class::bytes).sum();
        let more = of.after.as_ref().map_or(0, Vec::len) + of.kinds.len() + classes;
        let more = more + 2 * of.masked.bytes();
        let bytes = page.bytes.len() + page.next.as_ref().map_or(0, Vec::len) + more;
        // With the two structures themselves.
        u64::try_from(bytes).unwrap_or(u64::MAX).saturating_add(256)
    }
}

/// The cache. Shared by reference.
#[derive(Debug)]
pub(crate) struct Rendered {
    pages: Cache<Of, Arc<FilePage>, ByBytes>,
    views: AtomicU64,
}

impl Default for Rendered {
    fn default() -> Self {
        Self { pages: Cache::with_weighter(EXPECTED, BYTES, ByBytes), views: AtomicU64::new(0) }
    }
}

impl Rendered {
    /// The page, if it was rendered and is still here; for whoever passed the access check.
    pub(crate) fn get(&self, _pass: &Pass, of: &Of) -> Option<Arc<FilePage>> {
        self.take(of)
    }

    fn take(&self, of: &Of) -> Option<Arc<FilePage>> {
        // What was made of earlier views is never asked for again; what is erased is to be gone.
        if self.views.fetch_max(of.views, Ordering::SeqCst) < of.views {
            self.pages.clear();
        }
        self.pages.get(of)
    }

    /// Keeps a page, unless the views have changed since it was begun.
    pub(crate) fn put(&self, of: Of, page: &Arc<FilePage>) {
        if of.views >= self.views.load(Ordering::SeqCst) {
            self.pages.insert(of, Arc::clone(page));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use ledger::Hash;

    use super::*;

    fn query() -> FileQuery {
        FileQuery {
            patient: PatientId([1; 16]),
            as_of: AsOf::Now,
            at_least: None,
            kinds: Vec::new(),
            page_size: 50,
            after: None,
            include_retracted: false,
        }
    }

    fn page(bytes: usize) -> Arc<FilePage> {
        let bytes = Bytes::from(vec![7; bytes]);
        Arc::new(FilePage {
            bytes,
            next: None,
            version: 1,
            count: 1,
            digest: Hash::ZERO,
            classes: Vec::new(),
            masked: Masked::default(),
        })
    }

    #[test]
    fn a_page_is_that_of_its_version_and_query_only() {
        let rendered = Rendered::default();
        rendered.put(Of::version(0, &query(), 1, 1), &page(10));
        assert!(rendered.take(&Of::version(0, &query(), 1, 1)).is_some());
        assert!(rendered.take(&Of::version(0, &query(), 2, 2)).is_none());
        let others = [
            FileQuery { patient: PatientId([2; 16]), ..query() },
            FileQuery { as_of: AsOf::Version(1), ..query() },
            FileQuery { kinds: vec![domain::Kind::Note], ..query() },
            FileQuery { page_size: 49, ..query() },
            FileQuery { after: Some(vec![1]), ..query() },
            FileQuery { include_retracted: true, ..query() },
        ];
        for other in others {
            assert!(rendered.take(&Of::version(0, &other, 1, 1)).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_page_of_the_past_is_judged_anew_when_the_file_changes_and_a_masked_one_is_another() {
        let rendered = Rendered::default();
        let past = FileQuery { as_of: AsOf::Version(1), ..query() };
        rendered.put(Of::version(0, &past, 1, 4), &page(10));
        assert!(rendered.take(&Of::version(0, &past, 1, 4)).is_some());
        assert!(rendered.take(&Of::version(0, &past, 1, 5)).is_none());
        let class = Class { kind: domain::Kind::Note, labels: ["PSY".to_owned()].into() };
        let masked = Masked::of([&class]);
        assert!(rendered.take(&Of::version(0, &past, 1, 4).masking(masked)).is_none());
    }

    #[test]
    fn nothing_of_earlier_views_stays() {
        let rendered = Rendered::default();
        rendered.put(Of::version(0, &query(), 1, 1), &page(10));
        assert!(rendered.take(&Of::version(1, &query(), 1, 1)).is_none());
        assert_eq!(rendered.pages.len(), 0);
        rendered.put(Of::version(0, &query(), 1, 1), &page(10));
        assert_eq!(rendered.pages.len(), 0, "begun before what it shows was erased");
    }

    #[test]
    fn it_holds_no_more_than_its_bytes() {
        let rendered = Rendered::default();
        for version in 1..1_000 {
            rendered.put(Of::version(0, &query(), version, version), &page(1024 * 1024));
        }
        assert!(rendered.pages.weight() <= BYTES);
    }
}
