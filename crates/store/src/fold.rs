//! Writing views: what each record changes in the rows that answers are read from.
//!
//! A view never stops apply: a record whose key is not here, or whose body does not open, is
//! applied without its view, and its place is noted in `unfolded`. Verdicts, positions and roots
//! are the same on every node whatever keys it has.

use crate::reader::Reader;
use crate::{Store, StoreError, keys};
use domain::{Authors, Entry, EntryState, Event, Stamp};
use ledger::{Control, Hash, Header, LeafType, LedgerId, LedgerKind, SubjectId};
use rocksdb::WriteBatch;
use std::collections::btree_map::Entry::{Occupied, Vacant};
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::Arc;
use vault::{DataKey, KeyPurpose, Opened, VaultError};

/// Label of the index terms of patients' identifiers.
pub(crate) const IDENTIFIER_TERM: &str = "identifier";

/// Folds records into a batch. What it staged itself it sees, before the batch is written.
pub(crate) struct Fold<'a> {
    pub(crate) store: &'a Store,
    pub(crate) ledger: LedgerId,
    pub(crate) batch: WriteBatch,
    pub(crate) reader: &'a Reader<'a>,
    genesis: Hash,
    /// Latest row of every entry touched, sealed once at the end: an entry amended ten times in one
    /// batch is written once. Rows, not states: a batch seldom needs a state again, and keeping those
    /// of all its entries is some forty allocations for each. In the order of their keys, in which
    /// RocksDB takes them more cheaply.
    entries: BTreeMap<[u8; 38], (Vec<u8>, Arc<DataKey>)>,
    /// Who wrote lately in every file touched, likewise.
    authors: BTreeMap<SubjectId, (Authors, Arc<DataKey>)>,
    /// Whose the numbers are that this batch assigns or releases, by their index terms.
    holders: HashMap<[u8; 32], Option<SubjectId>>,
    /// The rows in the database are being replaced: they are not what stands before a record.
    anew: bool,
}

impl<'a> Fold<'a> {
    pub(crate) fn new(
        store: &'a Store,
        reader: &'a Reader<'a>,
        ledger: LedgerId,
        genesis: Hash,
    ) -> Self {
        Self {
            store,
            ledger,
            batch: WriteBatch::default(),
            reader,
            genesis,
            entries: BTreeMap::new(),
            authors: BTreeMap::new(),
            holders: HashMap::new(),
            anew: false,
        }
    }

    /// For folding subjects from their first record, whatever rows they have.
    pub(crate) fn anew(
        store: &'a Store,
        reader: &'a Reader<'a>,
        ledger: LedgerId,
        genesis: Hash,
    ) -> Self {
        Self { anew: true, ..Self::new(store, reader, ledger, genesis) }
    }

    /// Stages the views of one accepted record.
    pub(crate) fn record(
        &mut self,
        position: u64,
        header: &Header,
        body: &[u8],
    ) -> Result<(), StoreError> {
        match (header.leaf, self.ledger.kind) {
            (LeafType::Control, LedgerKind::Records) => self.control(body),
            (LeafType::Control, LedgerKind::Access) => Ok(()),
            (LeafType::Record, LedgerKind::Access) => self.access(position, header),
            (LeafType::Record, LedgerKind::Records) => self.change(position, header, body),
        }
    }

    /// The batch, with the entries' and authors' final states.
    pub(crate) fn finish(mut self) -> Result<WriteBatch, StoreError> {
        let table = self.store.table(keys::FILES)?;
        for (row_key, (row, key)) in &self.entries {
            let sealed = key.seal_view(row_key, row)?;
            self.batch.put_cf(table, row_key, sealed);
        }
        for (subject, (authors, key)) in &self.authors {
            let row_key = keys::authors(self.ledger, *subject);
            let sealed = key.seal_view(&row_key, &encode(schema::encode_authors(authors))?)?;
            self.batch.put_cf(table, row_key, sealed);
        }
        Ok(self.batch)
    }

    fn access(&mut self, position: u64, header: &Header) -> Result<(), StoreError> {
        let store = self.store;
        access_rows(self.ledger, position, header, |table, key| {
            self.batch.put_cf(store.table(table)?, key, []);
            Ok(())
        })
    }

    fn change(&mut self, position: u64, header: &Header, body: &[u8]) -> Result<(), StoreError> {
        let folded = match self.event(header, body)? {
            Some(event) => self.event_rows(position, header, event)?,
            None => false,
        };
        if !folded {
            let key = keys::unfolded(self.ledger, header.subject, header.version);
            let table = self.store.table(keys::UNFOLDED)?;
            self.batch.put_cf(table, key, position.to_be_bytes());
        }
        Ok(())
    }

    /// The event of a record; `None` when it cannot be read here and now, for whatever reason.
    fn event(&self, header: &Header, body: &[u8]) -> Result<Option<Event>, StoreError> {
        open_event(self.store, &self.genesis, header, body)
    }

    /// Stages what an event changes; false when its key went since it was opened.
    fn event_rows(
        &mut self,
        position: u64,
        header: &Header,
        event: Event,
    ) -> Result<bool, StoreError> {
        if let Event::IdentifierAssigned { identifier_system, identifier_value, patient }
        | Event::IdentifierReleased { identifier_system, identifier_value, patient } = &event
        {
            let parts = [identifier_system.as_bytes(), identifier_value.as_bytes()];
            let term = self.store.vault.index_term(IDENTIFIER_TERM, &parts)?;
            let patient = SubjectId(patient.0);
            if matches!(event, Event::IdentifierAssigned { .. }) {
                self.assign(term, patient)?;
            } else if self.holder(&term)? == Some(patient) {
                self.release(term, patient)?;
            }
            return Ok(true);
        }
        // Registers are small, and read from their records.
        if let Event::DocumentFiled { .. } = event {
            return Ok(true);
        }
        let Some(key) = self.store.vault.data_key(header.data_key)? else { return Ok(false) };
        let stamp = stamp(position, header);
        match event {
            Event::PatientRegistered { identity } | Event::IdentityAmended { identity, .. } => {
                let row_key = keys::file(self.ledger, header.subject);
                let plain = encode(schema::encode_identity_row(&identity, &stamp, header.version))?;
                let sealed = key.seal_view(&row_key, &plain)?;
                self.batch.put_cf(self.store.table(keys::FILES)?, row_key, sealed);
            }
            Event::EntryAdded { id, ref entry } | Event::EntryAmended { id, ref entry, .. } => {
                let kind = entry.detail.kind();
                let row_key = keys::entry(self.ledger, header.subject, kind, id);
                self.wrote(header.subject, entry, &stamp, &key)?;
                let before = self.entry(&row_key, &key)?;
                self.put_entry(row_key, key, domain::evolve_entry(before, event, stamp))?;
            }
            Event::EntryRetracted { id, .. } => {
                for kind in domain::Kind::ALL {
                    let row_key = keys::entry(self.ledger, header.subject, *kind, id);
                    if let Some(before) = self.entry(&row_key, &key)? {
                        let after = domain::evolve_entry(Some(before), event, stamp);
                        self.put_entry(row_key, key, after)?;
                        break;
                    }
                }
            }
            Event::IdentifierAssigned { .. }
            | Event::IdentifierReleased { .. }
            | Event::DocumentFiled { .. } => {}
        }
        Ok(true)
    }

    fn put_entry(
        &mut self,
        row_key: [u8; 38],
        key: Arc<DataKey>,
        state: Option<EntryState>,
    ) -> Result<(), StoreError> {
        if let Some(state) = state {
            self.entries.insert(row_key, (encode(schema::encode_entry(&state))?, key));
        }
        Ok(())
    }

    /// An entry as it stands before this record: staged in this batch, or in the database.
    fn entry(&self, row_key: &[u8; 38], key: &DataKey) -> Result<Option<EntryState>, StoreError> {
        if let Some((row, _)) = self.entries.get(row_key) {
            let read = schema::decode_entry(row);
            return read.map(Some).map_err(|_| StoreError::Encoding(keys::FILES));
        }
        if self.anew { Ok(None) } else { self.reader.entry_row(row_key, key) }
    }

    /// Takes in who filed or amended an entry.
    fn wrote(
        &mut self,
        subject: SubjectId,
        entry: &Entry,
        stamp: &Stamp,
        key: &Arc<DataKey>,
    ) -> Result<(), StoreError> {
        let (authors, _) = match self.authors.entry(subject) {
            Occupied(staged) => staged.into_mut(),
            Vacant(first) => {
                let before = match self.anew {
                    true => Authors::default(),
                    false => self.reader.authors_row(&keys::authors(self.ledger, subject), key)?,
                };
                first.insert((before, Arc::clone(key)))
            }
        };
        authors.wrote(entry, stamp);
        Ok(())
    }

    fn assign(&mut self, term: [u8; 32], patient: SubjectId) -> Result<(), StoreError> {
        let row_key = keys::identifier(self.ledger, &term);
        let sealed = self.store.vault.system_view_key()?.seal_view(&row_key, &patient.0)?;
        self.batch.put_cf(self.store.table(keys::IDENTIFIERS)?, row_key, sealed);
        let term_key = keys::term(self.ledger, patient, &term);
        self.batch.put_cf(self.store.table(keys::TERMS)?, term_key, []);
        self.holders.insert(term, Some(patient));
        Ok(())
    }

    fn release(&mut self, term: [u8; 32], patient: SubjectId) -> Result<(), StoreError> {
        let row_key = keys::identifier(self.ledger, &term);
        self.batch.delete_cf(self.store.table(keys::IDENTIFIERS)?, row_key);
        let term_key = keys::term(self.ledger, patient, &term);
        self.batch.delete_cf(self.store.table(keys::TERMS)?, term_key);
        self.holders.insert(term, None);
        Ok(())
    }

    /// Whose a number is before this record: as staged in this batch, or in the database.
    fn holder(&self, term: &[u8; 32]) -> Result<Option<SubjectId>, StoreError> {
        if let Some(holder) = self.holders.get(term) {
            return Ok(*holder);
        }
        if self.anew { Ok(None) } else { self.reader.identifier_row(self.ledger, term) }
    }

    /// A destroyed file key takes its subject's views along. The rows are unreadable anyway; the
    /// search terms are not.
    fn control(&mut self, body: &[u8]) -> Result<(), StoreError> {
        match self.erased(body)? {
            Some(subject) => self.erase(subject),
            None => Ok(()),
        }
    }

    /// Whose file key a control record destroyed, if it did.
    pub(crate) fn erased(&self, body: &[u8]) -> Result<Option<SubjectId>, StoreError> {
        // Apply accepts control records only when they decode; of an unknown kind there is no view.
        let Ok(Control::KeyDestroyed { key, subject, .. }) = Control::decode(body) else {
            return Ok(None);
        };
        let file_key = self.store.vault.keys_of(subject)?.map(|ids| ids.file);
        Ok((file_key == Some(key)).then_some(subject))
    }

    /// Stages the removal of all views of a subject.
    pub(crate) fn erase(&mut self, subject: SubjectId) -> Result<(), StoreError> {
        let (store, ledger) = (self.store, self.ledger);
        let mut terms: Vec<[u8; 32]> = Vec::new();
        let prefix = keys::file(ledger, subject);
        self.reader.range(keys::TERMS, &prefix, keys::after_prefix(&prefix), |key, _| {
            terms.extend(key.last_chunk::<32>());
            Ok(ControlFlow::Continue(()))
        })?;
        let staged = self.holders.iter().filter(|(_, of)| **of == Some(subject));
        terms.extend(staged.map(|(term, _)| *term));
        for term in &terms {
            // A number that another patient has been given meanwhile stays that patient's, and one
            // that cannot be told whose it is stays too: it names nobody who can be read.
            let holder = self.holder(term).unwrap_or_else(|error| {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "a number of an erased file stays: its row does not open");
                None
            });
            if holder == Some(subject) {
                let row_key = keys::identifier(ledger, term);
                self.batch.delete_cf(store.table(keys::IDENTIFIERS)?, row_key);
            }
            self.batch.delete_cf(store.table(keys::TERMS)?, keys::term(ledger, subject, term));
        }
        self.entries.retain(|row_key, _| !row_key.starts_with(&prefix));
        self.authors.remove(&subject);
        self.erase_rows(subject)
    }

    /// Stages the removal of a subject's own rows; identifiers stay.
    pub(crate) fn erase_rows(&mut self, subject: SubjectId) -> Result<(), StoreError> {
        let prefix = keys::file(self.ledger, subject);
        let end = keys::after_prefix(&prefix).unwrap_or_default();
        for name in [keys::FILES, keys::UNFOLDED] {
            self.batch.delete_range_cf(self.store.table(name)?, prefix.as_slice(), &end);
        }
        Ok(())
    }
}

/// Tells `put` the rows by which an access record is found: table and key; they have no value.
pub(crate) fn access_rows<E>(
    ledger: LedgerId,
    position: u64,
    header: &Header,
    mut put: impl FnMut(&'static str, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    put(keys::BY_SUBJECT, &keys::by_subject(ledger, header.subject, position))?;
    put(keys::BY_ACTOR, &keys::by_actor(ledger, header.actor, position))?;
    put(keys::BY_TIME, &keys::by_time(ledger, header.recorded_at, position))
}

pub(crate) fn encode(row: Result<Vec<u8>, schema::EncodeError>) -> Result<Vec<u8>, StoreError> {
    row.map_err(|_| StoreError::Encoding("views"))
}

/// Where and when a record was filed.
pub(crate) fn stamp(position: u64, header: &Header) -> Stamp {
    Stamp {
        position,
        version: header.version,
        recorded_at: header.recorded_at,
        actor: header.actor.0,
    }
}

/// Opens and decodes a change. `None` when its key is missing or destroyed, when the body was not
/// sealed for this header or under a key that cannot say this, or when its envelope is unknown: what a
/// member signed cannot be undone, and one unreadable record must not close the others. Failures of
/// this node's own key database are errors.
pub(crate) fn open_event(
    store: &Store,
    genesis: &Hash,
    header: &Header,
    body: &[u8],
) -> Result<Option<Event>, StoreError> {
    let plain = match open_body(store, genesis, header, body)? {
        Some(plain) => plain,
        None => return Ok(None),
    };
    match schema::decode_event(header.envelope_version, &plain) {
        Ok(event) if may_say(store, header, &event)? => Ok(Some(event)),
        Ok(_) => {
            tracing::warn!(record = %header.record_id,
                "a body is sealed under a key that cannot say it; its record stays without a view");
            Ok(None)
        }
        Err(_) => {
            tracing::warn!(record = %header.record_id, envelope = header.envelope_version,
                "a body does not decode; its record stays without a view");
            Ok(None)
        }
    }
}

/// Whether the key that sealed an event may say it. What is in a file, only the subject's own file key:
/// under another's it would outlive an erasure, or leave rows that nobody can open. Numbers and documents,
/// only the system's registry key: a patient's cannot claim a number.
fn may_say(store: &Store, header: &Header, event: &Event) -> Result<bool, StoreError> {
    match event {
        Event::IdentifierAssigned { .. }
        | Event::IdentifierReleased { .. }
        | Event::DocumentFiled { .. } => {
            Ok(store.vault.system()?.is_some_and(|system| system.registry == header.data_key))
        }
        Event::PatientRegistered { .. }
        | Event::IdentityAmended { .. }
        | Event::EntryAdded { .. }
        | Event::EntryAmended { .. }
        | Event::EntryRetracted { .. } => {
            let key = store.vault.data_key(header.data_key)?;
            let own = |key: &DataKey| {
                key.subject() == header.subject && key.purpose() == KeyPurpose::File
            };
            Ok(key.is_some_and(|key| own(&key)))
        }
    }
}

/// The clear text of a body; `None` when it cannot be opened here and now.
pub(crate) fn open_body(
    store: &Store,
    genesis: &Hash,
    header: &Header,
    body: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    match store.vault.open_body(genesis, header, body) {
        Ok(Opened::Plain(plain)) => Ok(Some(plain)),
        Ok(Opened::KeyMissing | Opened::KeyDestroyed) => Ok(None),
        Err(
            error @ (VaultError::Tampered { .. }
            | VaultError::UnknownSuite { .. }
            | VaultError::WrapTampered { .. }
            | VaultError::OtherKeyVersion { .. }),
        ) => {
            tracing::warn!(record = %header.record_id, error = &error as &dyn std::error::Error,
                "a body does not open; its record stays without a view");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}
