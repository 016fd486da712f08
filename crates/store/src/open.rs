//! Opening: what must hold before anything is answered or applied.
//!
//! 1. No damage was met when the node ran last (see `damage`).
//! 2. RocksDB opens: its log and manifest are whole (see `options`).
//! 3. Each ledger's state decodes, and its genesis is the one configured.
//! 4. The unfinished tiles are made from the last headers and the last full tiles, and the map of
//!    subjects from its rows: its root is the one in the last commitment.
//! 5. The last messages, put together again, have the stream hashes kept with them; the last of
//!    these is the state's; nothing lies behind it.
//! 6. At the point of `position.json` the database has the same stream hash, size and root. One that
//!    is behind it may be opened, but has a floor.
//!
//! A database that fails 1, 2, 3, 4 or 5 by wrong bytes is set aside and begun anew.
//!
//! What lies further back is checked when it is read.

use crate::apply::decode_state;
use crate::damage::{self, SetAside};
use crate::error::{StoreError, damaged};
use crate::keys::{self, MetaTag};
use crate::lately::Lately;
use crate::position::{Floor, PositionFile, position_file};
use crate::reader::Reader;
use crate::spool::Spool;
use crate::store::{Ledger, LedgerPin, Store};
use crate::{OpenError, options, rows};
use ledger::commitment::{self, Commitment, Subjects};
use ledger::tree::{TILE_WIDTH, tile_hashes, tile_root};
use ledger::{FullTile, Hash, Header, LedgerId, Map, State, TileId, Tree, leaf_hash};
use rocksdb::{ColumnFamilyDescriptor, DB, Options, WriteBatch};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, OnceLock};
use vault::Vault;

/// Messages at the end that are put together again at every start: a full batch of the largest.
const TAIL: u64 = 16;

const DATABASE: &str = "ledger";
const SPOOL: &str = "spool";

/// What opening needs at every step.
struct Opening<'a> {
    dir: &'a Path,
    pins: &'a [LedgerPin],
    vault: Arc<Vault>,
}

pub(crate) fn open(dir: &Path, pins: &[LedgerPin], vault: Arc<Vault>) -> Result<Store, OpenError> {
    let opening = Opening { dir, pins, vault };
    let path = dir.join(DATABASE);
    let mut set_aside = Vec::new();
    if let Some(why) = damage::marked(dir) {
        set_aside.push(aside(&path, DATABASE, why)?);
    } else if !path.join("CURRENT").exists() && PositionFile::load(dir)?.tells_of_any() {
        let why = "it is gone".to_owned();
        set_aside.push(SetAside { name: DATABASE, kept: None, why });
    }
    damage::unmark(dir).map_err(|source| OpenError::SetAside { path: path.clone(), source })?;
    // Ledgers and spool may both be damaged; a fresh one that is damaged again is the disk's fault.
    let mut store = loop {
        match opening.attempt() {
            Err(error) if error.is_damage() && set_aside.len() < 3 => {
                let spool =
                    matches!(&error, OpenError::Damaged { path, .. } if path.ends_with(SPOOL));
                let name = if spool { SPOOL } else { DATABASE };
                set_aside.push(aside(&dir.join(name), name, crate::error::causes(&error))?);
            }
            opened => break opened?,
        }
    };
    // What an attempt met, it marked; that database is set aside, and the one now open is whole.
    damage::unmark(dir).map_err(|source| OpenError::SetAside { path: path.clone(), source })?;
    let began = store.ledgers.keys().any(|id| store.state(*id).is_ok_and(|at| at.sequence > 0));
    if began && !position_file(dir).exists() {
        let why = "position.json is gone: nothing tells whether this node was further than its \
                   database"
            .to_owned();
        set_aside.push(SetAside { name: "position", kept: None, why });
    }
    store.set_aside = set_aside;
    Ok(store)
}

fn aside(path: &Path, name: &'static str, why: String) -> Result<SetAside, OpenError> {
    let kept = match path.exists() {
        true => Some(damage::set_aside(path).map_err(|source| {
            let path = path.to_path_buf();
            OpenError::SetAside { path, source }
        })?),
        false => None,
    };
    Ok(SetAside { name, kept, why })
}

impl Opening<'_> {
    fn attempt(&self) -> Result<Store, OpenError> {
        let position = PositionFile::load(self.dir)?;
        let path = self.dir.join(DATABASE);
        let new = !path.join("CURRENT").exists();
        let in_spool = self.dir.join(SPOOL);
        let spool = Spool::open(&in_spool).map_err(|source| failed_at(&in_spool, source))?;
        let db = database(&path, new, self.pins)
            .map_err(|source| OpenError::Database { path: path.clone(), source })?;
        let mut ledgers = BTreeMap::new();
        for pin in self.pins {
            let floor = position.kept(pin.ledger)?;
            ledgers.insert(pin.ledger, Ledger::new(State::new(pin.ledger, pin.genesis), floor));
        }
        let store = Store {
            db,
            vault: Arc::clone(&self.vault),
            ledgers,
            position: Mutex::new(position),
            spool,
            dir: self.dir.to_path_buf(),
            set_aside: Vec::new(),
            damage: OnceLock::new(),
            views: AtomicU64::new(0),
            lately: Lately::default(),
        };
        for pin in self.pins {
            check_ledger(&store, pin, &path)?;
        }
        if new {
            store.mark_views_ready().map_err(|source| failed_at(&path, source))?;
        }
        store.lock(&store.position).map_err(|source| failed_at(&path, source))?.trust();
        Ok(store)
    }
}

fn database(path: &Path, new: bool, pins: &[LedgerPin]) -> Result<DB, rocksdb::Error> {
    let opened_with = options::database(new);
    let mut tables = options::tables()?;
    let found = if new { Vec::new() } else { DB::list_cf(&opened_with, path)? };
    let former: Vec<_> =
        keys::FORMER_VIEWS.into_iter().filter(|name| found.iter().any(|one| one == name)).collect();
    // RocksDB opens no database of which a table is not named.
    tables.extend(former.iter().map(|name| ColumnFamilyDescriptor::new(*name, Options::default())));
    let mut db = DB::open_cf_descriptors(&opened_with, path, tables)?;
    if let (false, Some(meta)) = (former.is_empty(), db.cf_handle(keys::META)) {
        // First: an earlier version that is put back must not take what is left for its views.
        let mut batch = WriteBatch::default();
        for pin in pins {
            batch.delete_cf(meta, keys::meta(pin.ledger, MetaTag::ViewVersion));
        }
        db.write_opt(batch, &options::synced())?;
    }
    for name in former {
        db.drop_cf(name)?;
    }
    Ok(db)
}

/// Damage, or a disk that fails: what is called damaged somebody may remove.
fn failed_at(path: &Path, source: StoreError) -> OpenError {
    let (path, source) = (path.to_path_buf(), Box::new(source));
    match source.is_damage() {
        true => OpenError::Damaged { path, source },
        false => OpenError::Unreadable { path, source },
    }
}

fn check_ledger(store: &Store, pin: &LedgerPin, path: &Path) -> Result<(), OpenError> {
    let failed = |source| failed_at(path, source);
    let reader = store.reader();
    let ledger = pin.ledger;
    let state = load(&reader, ledger).map_err(failed)?;
    if let Some(state) = state {
        if state.genesis != pin.genesis {
            let (found, configured) = (state.genesis, pin.genesis);
            return Err(OpenError::OtherGenesis { ledger, found, configured });
        }
        check_tail(&reader, &state).map_err(failed)?;
        store.publish(state).map_err(failed)?;
    }
    match &store.ledger(ledger).map_err(failed)?.floor {
        Some(floor) => check_position(store, &reader, ledger, floor, path),
        None => Ok(()),
    }
}

/// The state with its tree; `None` when nothing was ever applied.
fn load(reader: &Reader<'_>, ledger: LedgerId) -> Result<Option<State>, StoreError> {
    let key = keys::meta(ledger, MetaTag::State);
    let Some((size, mut state)) = reader.row(keys::META, &key, decode_state)? else {
        // Without a state there must be no message either.
        let prefix = ledger.to_bytes();
        reader.range(keys::BLOCKS, &prefix, keys::after_prefix(&prefix), |_, _| {
            Err(damaged(keys::META, &key))
        })?;
        return Ok(None);
    };
    if state.ledger != ledger {
        return Err(damaged(keys::META, &key));
    }
    let tree = Tree::restore(size, |id, width| {
        if id.level == 0 {
            last_leaves(reader, ledger, id, width)
        } else {
            roots(reader, ledger, id, width)
        }
    })?;
    state.tree = tree.ok_or_else(|| damaged(keys::TILES, &ledger.to_bytes()))?;
    state.subjects = subjects(reader, ledger, size)?;
    Ok(Some(state))
}

/// The map as the last commitment has it, and the leaves behind that. As far as full tiles go, these and
/// the commitment are compared with them; the unfinished one is made of the rest.
fn subjects(reader: &Reader<'_>, ledger: LedgerId, size: u64) -> Result<Subjects, StoreError> {
    let prefix = ledger.to_bytes();
    let mut said = Vec::new();
    reader.range(keys::SUBJECTS, &prefix, keys::after_prefix(&prefix), |key, row| {
        // A longer key would give the map a subject twice.
        let subject = keys::subject(key).filter(|subject| key == keys::file(ledger, *subject));
        let row = subject.zip(rows::decode_summary(row));
        said.push(row.ok_or_else(|| damaged(keys::SUBJECTS, key))?);
        Ok(ControlFlow::Continue(()))
    })?;
    let map = Map::new(said);
    let behind = size - size % commitment::EVERY;
    if let Some(position) = behind.checked_sub(1) {
        let due = Commitment::new(ledger, position, &map);
        let key = keys::record(ledger, position);
        let due = due.encode();
        let found = reader.row(keys::RECORDS, &key, |row| Some(row.to_vec()))?;
        if found != rows::encode_record(&due, &[])
            || !reader.is_leaf(ledger, position, &leaf_hash(&due))?
        {
            return Err(damaged("subjects: not what the last commitment says", &key));
        }
    }
    let mut subjects = Subjects::new(map);
    let (from, end) = (keys::record(ledger, behind), keys::record(ledger, size));
    let (mut next, full) = (behind, size - size % TILE_WIDTH as u64);
    reader.range(keys::RECORDS, &from, Some(end.to_vec()), |key, row| {
        let found = rows::split_record(row).and_then(|(header, _)| {
            let subject = Header::decode(header).ok()?.subject;
            Some((subject, leaf_hash(header)))
        });
        let in_place = found.filter(|_| key == keys::record(ledger, next));
        let (subject, leaf) = in_place.ok_or_else(|| damaged(keys::RECORDS, key))?;
        if next < full && !reader.is_leaf(ledger, next, &leaf)? {
            return Err(damaged("records: leaf", key));
        }
        subjects.add(next, subject, leaf);
        subjects.advance();
        next += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    if next == size {
        Ok(subjects)
    } else {
        Err(damaged(keys::RECORDS, &keys::record(ledger, next)))
    }
}

/// The unfinished tile of level 0, from headers.
fn last_leaves(
    reader: &Reader<'_>,
    ledger: LedgerId,
    id: TileId,
    width: usize,
) -> Result<Vec<Hash>, StoreError> {
    let first = id.index.saturating_mul(TILE_WIDTH as u64);
    let mut next = first;
    let mut leaves = Vec::with_capacity(width);
    let from = keys::record(ledger, first);
    reader.range(keys::RECORDS, &from, keys::after_prefix(&ledger.to_bytes()), |key, row| {
        let header = rows::split_record(row)
            .map(|(header, _)| header)
            .filter(|_| keys::last_number(key) == Some(next) && leaves.len() < width)
            .ok_or_else(|| damaged("records: end of the ledger", key))?;
        leaves.push(leaf_hash(header));
        next += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(leaves)
}

/// The unfinished tile of a higher level, from the full tiles below.
fn roots(
    reader: &Reader<'_>,
    ledger: LedgerId,
    id: TileId,
    width: usize,
) -> Result<Vec<Hash>, StoreError> {
    let below = id.level.saturating_sub(1);
    let first = id.index.saturating_mul(TILE_WIDTH as u64);
    let width = u64::try_from(width).unwrap_or(u64::MAX);
    (first..first.saturating_add(width))
        .map(|index| {
            let key = keys::tile(ledger, below, index);
            let hashes = reader
                .row(keys::TILES, &key, tile_hashes)?
                .filter(|hashes| hashes.len() == TILE_WIDTH)
                .ok_or_else(|| damaged(keys::TILES, &key))?;
            Ok(tile_root(&FullTile { id: TileId { level: below, index }, hashes }))
        })
        .collect()
}

fn check_tail(reader: &Reader<'_>, state: &State) -> Result<(), StoreError> {
    let ledger = state.ledger;
    let key = keys::block(ledger, state.sequence);
    if reader.stream_hash_at(ledger, state.sequence)? != Some(state.stream_hash) {
        return Err(damaged("blocks: stream hash of the last message", &key));
    }
    let beyond = keys::block(ledger, state.sequence.saturating_add(1));
    reader.range(keys::BLOCKS, &beyond, keys::after_prefix(&ledger.to_bytes()), |key, _| {
        Err(damaged("blocks: end of the stream", key))
    })?;
    let end = keys::record(ledger, state.size());
    reader.range(keys::RECORDS, &end, keys::after_prefix(&ledger.to_bytes()), |key, _| {
        Err(damaged("records: end of the ledger", key))
    })?;
    for sequence in state.sequence.saturating_sub(TAIL - 1).max(1)..=state.sequence {
        let key = keys::block(ledger, sequence);
        reader.message(ledger, sequence)?.ok_or_else(|| damaged(keys::BLOCKS, &key))?;
    }
    Ok(())
}

/// A database that is as far as this node was has the same stream hash, size and root there. One
/// that is behind is compared when it comes there (`apply`).
fn check_position(
    store: &Store,
    reader: &Reader<'_>,
    ledger: LedgerId,
    kept: &Floor,
    path: &Path,
) -> Result<(), OpenError> {
    let failed = |source| failed_at(path, source);
    let snapshot = store.state(ledger).map_err(failed)?;
    let sequence = kept.sequence;
    if snapshot.sequence < sequence {
        return Ok(());
    }
    let differs = |what| OpenError::OtherHistory { ledger, sequence, what };
    let found = reader.stream_hash_at(ledger, sequence).map_err(failed)?;
    if found != Some(kept.stream_hash) {
        return Err(differs("stream hash"));
    }
    if snapshot.size < kept.size || (snapshot.sequence == sequence && snapshot.size != kept.size) {
        return Err(differs("size"));
    }
    let root = reader.root_at(ledger, kept.size).map_err(failed)?;
    if root == kept.root { Ok(()) } else { Err(differs("root")) }
}
