//! Reading views: the file as it is now.

use crate::error::{StoreError, damaged};
use crate::fold::{IDENTIFIER_TERM, encode};
use crate::reader::{Go, Reader};
use crate::{keys, rows};
use domain::{Authors, EntryId, EntryState, Identity, Kind, PatientId, Stamp};
use ledger::{LedgerId, LedgerKind, SubjectId};
use std::ops::ControlFlow;
use std::sync::Arc;
use vault::{DataKey, VaultError};

/// Most bytes of a page. A page ends early rather than outgrow a gRPC message of 4 MiB:
/// 200 notes of 64 KiB would be 13 MiB.
pub const PAGE_BYTES: usize = 2 * 1024 * 1024;

/// Who a file is about, and how far it reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileHeader {
    /// The identity as it stands.
    pub identity: Identity,
    /// When and by whom it was last changed.
    pub stamp: Stamp,
    /// The file's version: of its latest record, whatever that changed.
    pub version: u64,
}

/// A file from its beginning: its head, who wrote in it lately, a page of its entries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileRows {
    /// As [`Reader::file_header`] gives it.
    pub header: FileHeader,
    /// Who wrote in its last records, as of the last that filed or amended an entry: see
    /// [`Authors::forget`].
    pub authors: Authors,
    /// As [`Reader::entries`] gives it.
    pub page: EntriesPage,
}

/// A part of a file's entries, by section and id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntriesPage {
    /// The entries, retracted ones too.
    pub entries: Vec<EntryState>,
    /// Pass it as `after` to go on; `None` at the end.
    pub next: Option<Vec<u8>>,
}

impl EntriesPage {
    /// The page that [`Reader::entries`] makes of the rows, made of the states that a file's records
    /// fold to: the same entries, and the same `next`.
    ///
    /// # Errors
    /// When a state cannot be encoded.
    pub fn of(
        states: impl IntoIterator<Item = EntryState>,
        kinds: &[Kind],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Self, StoreError> {
        let mut states: Vec<_> = states
            .into_iter()
            .filter(|state| kinds.is_empty() || kinds.contains(&state.entry.kind()))
            .map(|state| (place(&state), state))
            .filter(|(place, _)| after.is_none_or(|after| place.as_slice() > after))
            .collect();
        states.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        let mut page = Self::default();
        let mut room = Room::of(limit);
        for (_, state) in states {
            let ended = if room.has_place() {
                let bytes = encode(schema::encode_entry(&state))?.len();
                page.add(&mut room, state, bytes)
            } else {
                page.ends()
            };
            if ended.is_break() {
                break;
            }
        }
        Ok(page)
    }

    /// Adds an entry of so many bytes, unless the page ends before it; its first always fits.
    fn add(&mut self, room: &mut Room, state: EntryState, bytes: usize) -> ControlFlow<()> {
        if room.bytes < bytes && !self.entries.is_empty() {
            return self.ends();
        }
        room.bytes = room.bytes.saturating_sub(bytes);
        room.entries = room.entries.saturating_sub(1);
        self.entries.push(state);
        ControlFlow::Continue(())
    }

    /// There is more than fits.
    fn ends(&mut self) -> ControlFlow<()> {
        self.next = self.entries.last().map(place);
        ControlFlow::Break(())
    }
}

/// What still fits on a page: entries, and bytes of them as they are encoded. (Not as they are
/// stored, so that a page of the file as it was ends where that of the views did.)
struct Room {
    entries: usize,
    bytes: usize,
}

impl Room {
    fn of(limit: usize) -> Self {
        Self { entries: limit, bytes: PAGE_BYTES }
    }

    fn has_place(&self) -> bool {
        self.entries > 0
    }
}

/// Where an entry stands in a file: its kind, then its id; the end of its row's key.
fn place(state: &EntryState) -> Vec<u8> {
    let mut place = vec![state.entry.kind().tag()];
    place.extend_from_slice(&state.id.0);
    place
}

/// A walk through a file's entries, to make a page of them.
struct Walk<'a> {
    ledger: LedgerId,
    subject: SubjectId,
    kinds: &'a [Kind],
    /// The first key that may be on the page.
    from: Vec<u8>,
    room: Room,
    page: EntriesPage,
}

impl<'a> Walk<'a> {
    fn new(
        ledger: LedgerId,
        subject: SubjectId,
        kinds: &'a [Kind],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Self {
        let from = match after {
            // The key directly behind the last one shown.
            Some(after) => [keys::file(ledger, subject).as_slice(), after, &[0]].concat(),
            None => keys::entries(ledger, subject).to_vec(),
        };
        Self { ledger, subject, kinds, from, room: Room::of(limit), page: EntriesPage::default() }
    }

    /// Takes in an entry's row if it belongs on the page, and tells where to go on.
    fn entry(
        &mut self,
        reader: &Reader<'_>,
        key: &DataKey,
        row_key: &[u8],
        row: &[u8],
    ) -> Result<Go, StoreError> {
        if row_key < self.from.as_slice() {
            return Ok(Go::To(self.from.clone()));
        }
        if let Some(elsewhere) = self.elsewhere(row_key) {
            return Ok(elsewhere);
        }
        if !self.room.has_place() {
            return Ok(self.page.ends().into());
        }
        let plain = reader.open_row(key, keys::FILES, row_key, row)?;
        let state = schema::decode_entry(&plain).map_err(|_| damaged(keys::FILES, row_key))?;
        Ok(self.page.add(&mut self.room, state, plain.len()).into())
    }

    /// Where to go on from an entry that is of none of the kinds; none where it is of one, or all are
    /// wanted.
    fn elsewhere(&self, row_key: &[u8]) -> Option<Go> {
        let tag = row_key.get(keys::file(self.ledger, self.subject).len())?;
        if self.kinds.is_empty() || self.kinds.iter().any(|kind| kind.tag() == *tag) {
            return None;
        }
        let next = self.kinds.iter().filter(|kind| kind.tag() > *tag).min_by_key(|kind| kind.tag());
        Some(match next {
            Some(kind) => Go::To(keys::section(self.ledger, self.subject, *kind).to_vec()),
            None => Go::Out,
        })
    }
}

impl Reader<'_> {
    /// The head of a file; `None` when it is not registered or its key is missing or destroyed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not open or decode.
    pub fn file_header(&self, subject: SubjectId) -> Result<Option<FileHeader>, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let row_key = keys::file(ledger, subject);
        let Some(row) = self.get(keys::FILES, &row_key)? else { return Ok(None) };
        let Some(key) = self.file_key(subject)? else { return Ok(None) };
        let (identity, stamp) = self.identity_row(&key, &row_key, &row)?;
        let version = self.version_of(ledger, subject)?;
        Ok(Some(FileHeader { identity, stamp, version }))
    }

    /// [`Reader::file_header`], who wrote in the file lately, and [`Reader::entries`]. A file's rows lie
    /// together, so one walk finds them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not open or decode.
    pub fn file(
        &self,
        subject: SubjectId,
        kinds: &[Kind],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Option<FileRows>, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let Some(key) = self.file_key(subject)? else { return Ok(None) };
        let (file, authors_at) = (keys::file(ledger, subject), keys::authors(ledger, subject));
        let mut walk = Walk::new(ledger, subject, kinds, after, limit);
        let (mut identity, mut authors) = (None, Authors::default());
        self.range_in_parts(keys::FILES, &file, keys::after_prefix(&file), |row_key, row| {
            if row_key == file {
                identity = Some(self.identity_row(&key, row_key, row)?);
            } else if identity.is_none() {
                return Ok(Go::Out);
            } else if row_key == authors_at {
                authors = self.open_authors(&key, row_key, row)?;
            } else {
                return walk.entry(self, &key, row_key, row);
            }
            Ok(Go::On)
        })?;
        let Some((identity, stamp)) = identity else { return Ok(None) };
        let version = self.version_of(ledger, subject)?;
        let header = FileHeader { identity, stamp, version };
        Ok(Some(FileRows { header, authors, page: walk.page }))
    }

    /// The version of a file; `None` when it is not registered or its key is missing or destroyed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not decode.
    pub fn file_version(&self, subject: SubjectId) -> Result<Option<u64>, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let row_key = keys::file(ledger, subject);
        let lately = &self.store.lately;
        if !lately.is_registered(subject) {
            if self.get(keys::FILES, &row_key)?.is_none() {
                return Ok(None);
            }
            lately.registered(subject);
        }
        if self.file_key(subject)?.is_none() {
            return Ok(None);
        }
        self.version_of(ledger, subject).map(Some)
    }

    /// One entry; `None` when the file has none of that id or its key is missing or destroyed.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not open or decode.
    pub fn entry(&self, subject: SubjectId, id: EntryId) -> Result<Option<EntryState>, StoreError> {
        self.entry_among(subject, id, Kind::ALL)
    }

    /// The same when it is known to be of one of these kinds: each is looked up.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not open or decode.
    pub fn entry_among(
        &self,
        subject: SubjectId,
        id: EntryId,
        kinds: &[Kind],
    ) -> Result<Option<EntryState>, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let Some(key) = self.file_key(subject)? else { return Ok(None) };
        for kind in kinds {
            let row_key = keys::entry(ledger, subject, *kind, id);
            if let Some(state) = self.entry_row(&row_key, &key)? {
                return Ok(Some(state));
            }
        }
        Ok(None)
    }

    /// A page of entries: of some kinds or, if none is named, all; at most `limit`, and at most
    /// [`PAGE_BYTES`] (one entry at least). `after` is the `next` of the page before.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not open or decode.
    pub fn entries(
        &self,
        subject: SubjectId,
        kinds: &[Kind],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<EntriesPage, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let Some(key) = self.file_key(subject)? else { return Ok(EntriesPage::default()) };
        let mut walk = Walk::new(ledger, subject, kinds, after, limit);
        let end = keys::after_prefix(&keys::file(ledger, subject));
        self.range_in_parts(keys::FILES, &walk.from.clone(), end, |row_key, row| {
            walk.entry(self, &key, row_key, row)
        })?;
        Ok(walk.page)
    }

    /// Positions of a subject's records that its views do not show, because their keys are missing
    /// or they do not open. Empty for most.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when a row does not decode.
    pub fn unfolded(&self, subject: SubjectId) -> Result<Vec<u64>, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let prefix = keys::file(ledger, subject);
        let mut positions = Vec::new();
        self.range(keys::UNFOLDED, &prefix, keys::after_prefix(&prefix), |key, row| {
            let position = rows::decode_number(row).ok_or_else(|| damaged(keys::UNFOLDED, key))?;
            positions.push(position);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(positions)
    }

    /// The patient to whom an issuer gave a number; `None` when nobody has it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not open; the vault's error when the system's keys
    /// are not here.
    pub fn find_identifier(
        &self,
        issuer: &str,
        value: &str,
    ) -> Result<Option<PatientId>, StoreError> {
        let ledger = self.store.only(LedgerKind::Records)?;
        let parts = [issuer.as_bytes(), value.as_bytes()];
        let term = self.store.vault.index_term(IDENTIFIER_TERM, &parts)?;
        Ok(self.identifier_row(ledger, &term)?.map(|subject| PatientId(subject.0)))
    }

    /// The patient to whom the number with this index term was given.
    pub(crate) fn identifier_row(
        &self,
        ledger: LedgerId,
        term: &[u8; 32],
    ) -> Result<Option<SubjectId>, StoreError> {
        let row_key = keys::identifier(ledger, term);
        let Some(row) = self.get(keys::IDENTIFIERS, &row_key)? else { return Ok(None) };
        let key = self.store.vault.system_view_key()?;
        let plain = self.open_row(&key, keys::IDENTIFIERS, &row_key, &row)?;
        let id = plain.try_into().map_err(|_| damaged(keys::IDENTIFIERS, &row_key))?;
        Ok(Some(SubjectId(id)))
    }

    pub(crate) fn entry_row(
        &self,
        row_key: &[u8; 38],
        key: &DataKey,
    ) -> Result<Option<EntryState>, StoreError> {
        let Some(row) = self.get(keys::FILES, row_key)? else { return Ok(None) };
        let plain = self.open_row(key, keys::FILES, row_key, &row)?;
        schema::decode_entry(&plain).map(Some).map_err(|_| damaged(keys::FILES, row_key))
    }

    pub(crate) fn authors_row(
        &self,
        row_key: &[u8; 22],
        key: &DataKey,
    ) -> Result<Authors, StoreError> {
        let Some(row) = self.get(keys::FILES, row_key)? else { return Ok(Authors::default()) };
        self.open_authors(key, row_key, &row)
    }

    fn open_authors(
        &self,
        key: &DataKey,
        row_key: &[u8],
        row: &[u8],
    ) -> Result<Authors, StoreError> {
        let plain = self.open_row(key, keys::FILES, row_key, row)?;
        schema::decode_authors(&plain).map_err(|_| damaged(keys::FILES, row_key))
    }

    fn identity_row(
        &self,
        key: &DataKey,
        row_key: &[u8],
        row: &[u8],
    ) -> Result<(Identity, Stamp), StoreError> {
        let plain = self.open_row(key, keys::FILES, row_key, row)?;
        let (identity, stamp, _) =
            schema::decode_identity_row(&plain).map_err(|_| damaged(keys::FILES, row_key))?;
        Ok((identity, stamp))
    }

    /// Of a file that is on file.
    fn version_of(&self, ledger: LedgerId, subject: SubjectId) -> Result<u64, StoreError> {
        let head = self.head(ledger, subject)?;
        let head = head.ok_or_else(|| damaged(keys::HEADS, &keys::head(ledger, subject)))?;
        Ok(head.version)
    }

    fn file_key(&self, subject: SubjectId) -> Result<Option<Arc<DataKey>>, StoreError> {
        match self.store.vault.keys_of(subject)? {
            Some(ids) => Ok(self.store.vault.data_key(ids.file)?),
            None => Ok(None),
        }
    }

    fn open_row(
        &self,
        key: &DataKey,
        table: &'static str,
        row_key: &[u8],
        row: &[u8],
    ) -> Result<Vec<u8>, StoreError> {
        match key.open_view(row_key, row) {
            Err(VaultError::ViewTampered) => Err(self.store.met(damaged(table, row_key))),
            other => Ok(other?),
        }
    }
}
