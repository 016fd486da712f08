//! Reading the audit trail: who was shown or denied what.

use crate::error::StoreError;
use crate::fold::open_body;
use crate::keys;
use crate::reader::Reader;
use crate::views::PAGE_BYTES;
use ledger::{ActorId, Hash, Header, LeafType, LedgerId, LedgerKind, SubjectId};
use schema::AccessRecord;
use std::ops::{ControlFlow, RangeInclusive};

/// Which access records. Answered from headers alone, without opening a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFilter {
    /// All of them.
    All,
    /// About one subject.
    Subject(SubjectId),
    /// By one actor.
    Actor(ActorId),
}

/// One access record.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessItem {
    /// Leaf index in the access ledger.
    pub position: u64,
    /// Who, when, about whom: in the clear.
    pub header: Header,
    /// What exactly; `None` when its key is missing or destroyed.
    pub record: Option<AccessRecord>,
}

/// A part of the audit trail, the latest first.
#[derive(Debug, Clone, PartialEq)]
pub struct AccessPage {
    /// The records.
    pub items: Vec<AccessItem>,
    /// Pass it as `before` to go on; `None` at the end.
    pub next: Option<u64>,
}

impl Reader<'_> {
    /// Access records, the latest first, of the ledger as it was when it had `size`: those recorded
    /// within `times` (µs UTC), of positions before `before`; at most `limit`, and at most
    /// [`PAGE_BYTES`] of them (one at least).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a record does not match itself.
    pub fn accesses(
        &self,
        filter: AccessFilter,
        times: RangeInclusive<u64>,
        size: u64,
        before: Option<u64>,
        limit: usize,
    ) -> Result<AccessPage, StoreError> {
        let ledger = self.store.only(LedgerKind::Access)?;
        let now = self.store.state(ledger)?;
        let (genesis, size) = (now.state().genesis, size.min(now.size));
        let mut page = AccessPage { items: Vec::new(), next: None };
        let mut bytes = 0;
        let mut last = None;
        let (table, from, end) = self.bounds(ledger, filter, &times, size, before)?;
        self.range_back(table, &from, &end, |key| {
            let position = keys::last_number(key).ok_or_else(|| self.damaged(table, key))?;
            // What waited in a spool is filed later than what happened after it.
            if position >= size {
                return Ok(ControlFlow::Continue(()));
            }
            let record =
                self.record(ledger, position)?.ok_or_else(|| self.damaged(keys::RECORDS, key))?;
            if !times.contains(&record.header.recorded_at) {
                return Ok(ControlFlow::Continue(()));
            }
            bytes += record.body.len();
            let full = page.items.len() >= limit || bytes > PAGE_BYTES;
            if full && !(page.items.is_empty() && limit > 0) {
                page.next = last;
                return Ok(ControlFlow::Break(()));
            }
            let opened = self.open_access(&genesis, &record.header, &record.body)?;
            page.items.push(AccessItem { position, header: record.header, record: opened });
            last = Some(position);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    /// The access record at a position; `None` for anything else, and beyond the ledger's end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the record does not match itself.
    pub fn access(&self, position: u64) -> Result<Option<AccessItem>, StoreError> {
        let ledger = self.store.only(LedgerKind::Access)?;
        let genesis = self.store.state(ledger)?.state().genesis;
        let Some(found) = self.record(ledger, position)? else { return Ok(None) };
        if found.header.leaf == LeafType::Control {
            return Ok(None);
        }
        let record = self.open_access(&genesis, &found.header, &found.body)?;
        Ok(Some(AccessItem { position, header: found.header, record }))
    }

    /// Table, first key and end (exclusive) of the rows that a filter may find.
    fn bounds(
        &self,
        ledger: LedgerId,
        filter: AccessFilter,
        times: &RangeInclusive<u64>,
        size: u64,
        before: Option<u64>,
    ) -> Result<(&'static str, Vec<u8>, Vec<u8>), StoreError> {
        // What is behind `size` need not be looked at where rows are in order of position.
        let to = before.unwrap_or(u64::MAX).min(size);
        Ok(match filter {
            AccessFilter::Subject(subject) => {
                let key = |position| keys::by_subject(ledger, subject, position).to_vec();
                (keys::BY_SUBJECT, key(0), key(to))
            }
            AccessFilter::Actor(actor) => {
                let key = |position| keys::by_actor(ledger, actor, position).to_vec();
                (keys::BY_ACTOR, key(0), key(to))
            }
            AccessFilter::All => {
                // Ordered by time, then position: a page goes on at the time of its last record.
                let at = match before {
                    Some(position) => self
                        .record(ledger, position)?
                        .map_or(u64::MAX, |record| record.header.recorded_at),
                    None => u64::MAX,
                };
                let end = if at <= *times.end() {
                    keys::by_time(ledger, at, to)
                } else {
                    keys::by_time(ledger, *times.end(), u64::MAX)
                };
                let from = keys::by_time(ledger, *times.start(), 0);
                (keys::BY_TIME, from.to_vec(), end.to_vec())
            }
        })
    }

    fn open_access(
        &self,
        genesis: &Hash,
        header: &Header,
        body: &[u8],
    ) -> Result<Option<AccessRecord>, StoreError> {
        let Some(plain) = open_body(self.store, genesis, header, body)? else { return Ok(None) };
        Ok(schema::decode_access(header.envelope_version, &plain).ok())
    }
}
