//! Opening: what must hold before anything is answered or applied.
//!
//! 1. RocksDB opens: its log and manifest are whole (see `options`).
//! 2. Where `position.json` tells of a database there is one.
//! 3. Each ledger's state decodes, and its genesis is the one configured.
//! 4. The unfinished tiles are made from the last headers and the last full tiles.
//! 5. The last messages, put together again, have the stream hashes kept with them; the last of
//!    these is the state's; nothing lies behind it.
//! 6. The database is not behind `position.json`, and at that point has the same stream hash, size
//!    and root.
//!
//! What lies further back is checked when it is read, and all of it by `fsck`.

use crate::apply::decode_state;
use crate::error::{StoreError, damaged};
use crate::keys::{self, MetaTag};
use crate::position::{Kept, PositionFile};
use crate::reader::Reader;
use crate::store::{Ledger, LedgerPin, Store};
use crate::{OpenError, options, rows};
use ledger::tree::{TILE_WIDTH, tile_hashes, tile_root};
use ledger::{FullTile, Hash, LedgerId, State, TileId, Tree, leaf_hash};
use rocksdb::DB;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use vault::Vault;

/// Messages at the end that are put together again at every start: a full batch of the largest.
const TAIL: u64 = 16;

const DATABASE: &str = "ledger";

pub(crate) fn open(dir: &Path, pins: &[LedgerPin], vault: Arc<Vault>) -> Result<Store, OpenError> {
    let position = PositionFile::load(dir)?;
    let path = dir.join(DATABASE);
    let exists = path.join("CURRENT").exists();
    if let (false, Some((ledger, sequence))) = (exists, position.any()) {
        return Err(OpenError::Gone { path, ledger, sequence });
    }
    let db = DB::open_cf_descriptors(&options::database(!exists), &path, options::tables())
        .map_err(|source| OpenError::Database { path: path.clone(), source })?;
    let new = |pin: &LedgerPin| (pin.ledger, Ledger::new(State::new(pin.ledger, pin.genesis)));
    let store = Store {
        db,
        vault,
        ledgers: pins.iter().map(new).collect(),
        position: Mutex::new(position),
        spool_bytes: AtomicU64::new(0),
    };
    let damage = |source| OpenError::Damaged { path: path.clone(), source: Box::new(source) };
    for pin in pins {
        check_ledger(&store, pin, &path)?;
    }
    let mut spooled = 0;
    for block in store.spool_iter().map_err(damage)? {
        spooled += crate::aside::length(&block.map_err(damage)?.1);
    }
    store.spool_bytes.store(spooled, Ordering::SeqCst);
    if !exists {
        store.mark_views_ready().map_err(damage)?;
    }
    store.lock(&store.position).map_err(damage)?.trust();
    Ok(store)
}

fn check_ledger(store: &Store, pin: &LedgerPin, path: &Path) -> Result<(), OpenError> {
    let damage =
        |source| OpenError::Damaged { path: PathBuf::from(path), source: Box::new(source) };
    let reader = store.reader();
    let ledger = pin.ledger;
    let state = load(&reader, ledger).map_err(damage)?;
    if let Some(state) = state {
        if state.genesis != pin.genesis {
            let (found, configured) = (state.genesis, pin.genesis);
            return Err(OpenError::OtherGenesis { ledger, found, configured });
        }
        check_tail(&reader, &state).map_err(damage)?;
        store.publish(state).map_err(damage)?;
    }
    let kept = store.lock(&store.position).map_err(damage)?.kept(ledger)?;
    match kept {
        Some(kept) => check_position(store, &reader, ledger, kept, path),
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
    Ok(Some(state))
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

fn check_position(
    store: &Store,
    reader: &Reader<'_>,
    ledger: LedgerId,
    kept: Kept,
    path: &Path,
) -> Result<(), OpenError> {
    let damage =
        |source| OpenError::Damaged { path: PathBuf::from(path), source: Box::new(source) };
    let snapshot = store.state(ledger).map_err(damage)?;
    let sequence = kept.sequence;
    if snapshot.sequence < sequence {
        return Err(OpenError::WentBack { ledger, kept: sequence, found: snapshot.sequence });
    }
    let differs = |what| OpenError::OtherHistory { ledger, sequence, what };
    let found = reader.stream_hash_at(ledger, sequence).map_err(damage)?;
    if found != Some(kept.stream_hash) {
        return Err(differs("stream hash"));
    }
    if snapshot.size < kept.size || (snapshot.sequence == sequence && snapshot.size != kept.size) {
        return Err(differs("size"));
    }
    let root = reader.root_at(ledger, kept.size).map_err(damage)?;
    if root == kept.root { Ok(()) } else { Err(differs("root")) }
}
