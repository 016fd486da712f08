//! Reading records: one, a chain, a message bit for bit, a file as it was.
//!
//! Every record read is checked: its header decodes to its own place, its body has the header's
//! hash, and along a chain every header's `previous` is the hash of the one before, up to the head.

use crate::error::StoreError;
use crate::fold::{open_event, stamp};
use crate::message::{Form, put_together};
use crate::reader::Reader;
use crate::views::PAGE_BYTES;
use crate::{keys, rows};
use domain::{Event, PatientFile, Stamp};
use ledger::{
    Hash, Header, LeafType, LedgerId, LedgerKind, SubjectId, commitment, leaf_hash, stream_hash,
};
use std::ops::{ControlFlow, RangeInclusive};
use vault::{OpenedBody, VaultError};

/// A record as it is stored, checked against its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// Leaf index.
    pub position: u64,
    /// The header, decoded.
    pub header: Header,
    /// The header's bytes: the Merkle leaf.
    pub header_bytes: Vec<u8>,
    /// The body: sealed, or clear in a control record.
    pub body: Vec<u8>,
}

/// A file as it was, folded from its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folded {
    /// The file at the version asked for.
    pub file: PatientFile,
    /// Positions of records that could not be opened: their keys are missing or destroyed.
    pub unreadable: Vec<u64>,
}

/// One version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// Leaf index.
    pub position: u64,
    /// Who, when, which version.
    pub header: Header,
    /// What happened; `None` when its key is missing or destroyed.
    pub event: Option<Event>,
}

impl HistoryItem {
    /// Where, when and by whom it was filed.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        stamp(self.position, &self.header)
    }
}

/// A part of a subject's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryPage {
    /// In order of version.
    pub items: Vec<HistoryItem>,
    /// The version to go on with; `None` at the end.
    pub next: Option<u64>,
}

impl Reader<'_> {
    /// The record at a position, compared with its body and with its leaf in the tree; `None`
    /// beyond the ledger's end, and where a commitment stands.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it does not match.
    pub fn record(
        &self,
        ledger: LedgerId,
        position: u64,
    ) -> Result<Option<StoredRecord>, StoreError> {
        // What is written may not be in the state yet, and so not in its tree: a moment later it is.
        if position >= self.store.state(ledger)?.size {
            return Ok(None);
        }
        let Some(record) = self.unproven(ledger, position)? else { return Ok(None) };
        if self.is_leaf(ledger, position, &leaf_hash(&record.header_bytes))? {
            Ok(Some(record))
        } else {
            Err(self.damaged("records: leaf", &keys::record(ledger, position)))
        }
    }

    /// A record's body opened for somebody who is to check it, with the key of that record alone.
    /// `None` for a control record, when the key is not here or was destroyed, and when it does not
    /// open with it.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn hand_out(&self, record: &StoredRecord) -> Result<Option<OpenedBody>, StoreError> {
        if record.header.leaf == LeafType::Control {
            return Ok(None);
        }
        let genesis = self.store.state(record.header.ledger)?.state().genesis;
        match self.store.vault.hand_out(&genesis, &record.header, &record.body) {
            Ok(opened) => Ok(opened),
            // It is shown as it is: whoever checks it sees the same.
            Err(VaultError::Tampered { .. } | VaultError::UnknownSuite { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// A record that the caller compares with its chain: its body matches its header.
    fn unproven(
        &self,
        ledger: LedgerId,
        position: u64,
    ) -> Result<Option<StoredRecord>, StoreError> {
        if commitment::is_at(position) {
            return Ok(None);
        }
        let key = keys::record(ledger, position);
        self.row(keys::RECORDS, &key, |row| {
            let (header_bytes, body) = rows::split_record(row)?;
            let header = Header::decode(header_bytes).ok()?;
            let matches = header.ledger == ledger && header.body_hash == vault::body_hash(body);
            matches.then(|| StoredRecord {
                position,
                header,
                header_bytes: header_bytes.to_vec(),
                body: body.to_vec(),
            })
        })
    }

    /// The message at a sequence, bit for bit as it came; `None` beyond what is applied.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when what is put together does not have the stream hash.
    pub fn message(&self, ledger: LedgerId, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let key = keys::block(ledger, sequence);
        let row = self.row(keys::BLOCKS, &key, |row| {
            let (hash, form) = row.split_first_chunk::<32>()?;
            match postcard::take_from_bytes::<Form>(form).ok()? {
                (form, []) => Some((Hash(*hash), form)),
                _ => None,
            }
        })?;
        let Some((hash, form)) = row else { return Ok(None) };
        let message = put_together(form, |position, put| {
            let record = keys::record(ledger, position);
            let found = self.row(keys::RECORDS, &record, |row| {
                rows::split_record(row).map(|(header, body)| put(header, body))
            })?;
            found.ok_or_else(|| self.damaged(keys::RECORDS, &record))
        })?;
        let before = self
            .stream_hash_at(ledger, sequence.saturating_sub(1))?
            .ok_or_else(|| self.damaged(keys::BLOCKS, &key))?;
        if stream_hash(&before, sequence, &message) != hash {
            return Err(self.damaged("blocks: stream hash", &key));
        }
        Ok(Some(message))
    }

    /// Positions of a chain's versions, in order; versions that do not exist are left out at the
    /// end.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a version is missing between others.
    pub fn chain(
        &self,
        ledger: LedgerId,
        chain: SubjectId,
        versions: RangeInclusive<u64>,
    ) -> Result<Vec<u64>, StoreError> {
        let mut next = (*versions.start()).max(1);
        let end = keys::chain(ledger, chain, versions.end().saturating_add(1));
        let from = keys::chain(ledger, chain, next);
        let mut positions = Vec::new();
        self.range(keys::CHAINS, &from, Some(end.to_vec()), |key, row| {
            let row = rows::decode_chain(row).ok_or_else(|| self.damaged(keys::CHAINS, key))?;
            if keys::last_number(key) != Some(next) {
                return Err(self.damaged("chains: a version is missing", key));
            }
            next = next.saturating_add(1);
            positions.push(row.position);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(positions)
    }

    /// Visits a chain's records in order of version, each checked against the one before it and the
    /// last one against the chain's head, until `visit` breaks.
    pub(crate) fn walk(
        &self,
        ledger: LedgerId,
        chain: SubjectId,
        versions: RangeInclusive<u64>,
        mut visit: impl FnMut(StoredRecord) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let Some(head) = self.head(ledger, chain)? else { return Ok(()) };
        let last = (*versions.end()).min(head.version);
        let first = (*versions.start()).max(1);
        if first > last {
            return Ok(());
        }
        let mut previous = (first == 1).then_some(Hash::ZERO);
        let mut version = first;
        for position in self.chain(ledger, chain, first..=last)? {
            let key = keys::record(ledger, position);
            let record = self
                .unproven(ledger, position)?
                .ok_or_else(|| self.damaged(keys::RECORDS, &key))?;
            let leaf = leaf_hash(&record.header_bytes);
            let in_place = record.header.chain() == chain
                && record.header.version == version
                && previous.is_none_or(|previous| record.header.previous == previous)
                && (version != head.version || leaf == head.hash);
            if !in_place {
                return Err(self.damaged("records: link to the chain", &key));
            }
            previous = Some(leaf);
            version = version.saturating_add(1);
            if visit(record)?.is_break() {
                return Ok(());
            }
        }
        if version == last.saturating_add(1) {
            Ok(())
        } else {
            Err(self.damaged("chains: a version is missing", &keys::chain(ledger, chain, version)))
        }
    }

    /// The file as it was at a version (or the latest, if that is earlier), from its records.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a record does not match.
    pub fn fold(&self, subject: SubjectId, version: u64) -> Result<Folded, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let genesis = self.store.state(ledger)?.state().genesis;
        let mut folded = Folded { file: PatientFile::default(), unreadable: Vec::new() };
        if version == 0 {
            return Ok(folded);
        }
        self.walk(ledger, subject, 1..=version, |record| {
            folded.file.version = record.header.version;
            match open_event(self.store, &genesis, &record.header, &record.body)? {
                Some(event) => {
                    let stamp = stamp(record.position, &record.header);
                    domain::evolve(&mut folded.file, &event, stamp);
                }
                None => folded.unreadable.push(record.position),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(folded)
    }

    /// A subject's records from a version on: at most `limit`, and at most [`PAGE_BYTES`] of them
    /// (one at least).
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a record does not match.
    pub fn history(
        &self,
        subject: SubjectId,
        from: u64,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let genesis = self.store.state(ledger)?.state().genesis;
        let mut page = HistoryPage { items: Vec::new(), next: None };
        let mut bytes = 0;
        let to = from.max(1).saturating_add(u64::try_from(limit).unwrap_or(u64::MAX));
        self.walk(ledger, subject, from..=to, |record| {
            bytes += record.body.len();
            let full = page.items.len() >= limit || bytes > PAGE_BYTES;
            if full && !(page.items.is_empty() && limit > 0) {
                page.next = Some(record.header.version);
                return Ok(ControlFlow::Break(()));
            }
            let event = open_event(self.store, &genesis, &record.header, &record.body)?;
            let StoredRecord { position, header, .. } = record;
            page.items.push(HistoryItem { position, header, event });
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(page)
    }

    /// The version that was the latest at a time (µs UTC): of the records at or before it the last.
    /// 0 before the first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not match.
    pub fn version_at(&self, subject: SubjectId, time: u64) -> Result<u64, StoreError> {
        self.last_version(subject, |row| row.recorded_at <= time)
    }

    /// The version that was the latest when the ledger had so many leaves. 0 before the first.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not match.
    pub fn version_within(&self, subject: SubjectId, size: u64) -> Result<u64, StoreError> {
        self.last_version(subject, |row| row.position < size)
    }

    /// The last version of which something holds that, once it does not, never holds again: times
    /// never decrease along a chain, and positions grow, so the search is binary.
    fn last_version(
        &self,
        subject: SubjectId,
        holds: impl Fn(&rows::ChainRow) -> bool,
    ) -> Result<u64, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let Some(head) = self.head(ledger, subject)? else { return Ok(0) };
        // of `at` it holds (0 is the beginning), of `after` it does not
        let (mut at, mut after) = (0, head.version.saturating_add(1));
        while after - at > 1 {
            let middle = at + (after - at) / 2;
            let key = keys::chain(ledger, subject, middle);
            let row = self
                .row(keys::CHAINS, &key, rows::decode_chain)?
                .ok_or_else(|| self.damaged(keys::CHAINS, &key))?;
            if holds(&row) {
                at = middle;
            } else {
                after = middle;
            }
        }
        Ok(at)
    }
}
