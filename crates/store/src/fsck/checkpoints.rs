//! What nodes signed, how far the node said that it was, and what somebody kept.

use super::LedgerSeen;
use super::compare::Replayed;
use super::finding::{Finding, Place};
use super::replay::Step;
use super::tables::Tables;
use crate::checkpoints::{brought, parse};
use crate::keys::{self, MetaTag};
use crate::position::PositionFile;
use crate::rows;
use ledger::checkpoint::Checkpoint;
use ledger::cosigned::{Cosigned, cosigner_vkey, log_vkey};
use ledger::note::{NoteError, SignedNote};
use ledger::proof::{self, ProofError};
use ledger::tree::tile_hashes;
use ledger::{Hash, LedgerId, NodeId, State, Tree};
use std::collections::BTreeMap;

const POSITION: &str = "position.json";
const KEPT: &str = "checkpoint";

/// The checkpoints that blocks brought, as far as they are, or have to be, in the table.
///
/// Below the newest size that a majority signed the table may have forgotten them. Of several that a
/// node signed of one size it has one; which depends on how blocks came together.
#[derive(Debug)]
pub(super) struct Brought {
    newest: u64,
    stored: BTreeMap<[u8; 29], Vec<u8>>,
    /// Whether the one that is stored was among them.
    found: BTreeMap<[u8; 29], bool>,
}

impl Brought {
    pub(super) fn stored(tables: &Tables, ledger: LedgerId) -> Result<Self, Finding> {
        let key = keys::meta(ledger, MetaTag::NewestCheckpoint);
        let newest = match tables.get(keys::META, &key)? {
            Some(row) => rows::decode_number(&row)
                .ok_or_else(|| Finding::row(keys::META, &key, "the row does not decode"))?,
            None => 0,
        };
        let mut stored = BTreeMap::new();
        tables.each(keys::CHECKPOINTS, ledger, |key, row| {
            let key = key.try_into().map_err(|_| Finding::too_many(keys::CHECKPOINTS, key))?;
            stored.insert(key, row.to_vec());
            Ok(())
        })?;
        Ok(Self { newest, stored, found: BTreeMap::new() })
    }

    pub(super) fn add(&mut self, ledger: LedgerId, step: &Step<'_>) {
        for (size, filed) in brought(step.message, step.applied, step.state) {
            let key = keys::checkpoint(ledger, size, filed.node);
            let stored = self.stored.get(&key);
            if stored.is_some() || size >= self.newest {
                let same = stored.is_some_and(|row| *row == filed.note.to_string().as_bytes());
                *self.found.entry(key).or_default() |= same;
            }
        }
    }
}

/// Every checkpoint in the table: a block brought it, its node signed it, and it is of this tree. How
/// many are. What another node signed is that node's affair, and only told.
pub(super) fn check(
    tables: &Tables,
    replayed: &Replayed,
    own: Option<NodeId>,
    unchecked: &mut Vec<String>,
) -> Result<u64, Finding> {
    let Replayed { state, filed, .. } = replayed;
    if let Some(key) = filed.stored.keys().find(|key| !filed.found.contains_key(*key)) {
        return Err(Finding::too_many(keys::CHECKPOINTS, key));
    }
    let mut others = 0;
    for (key, same) in &filed.found {
        let size = key.get(5..13).and_then(rows::decode_number).unwrap_or_default();
        let place = Place::Position(size);
        let row = filed.stored.get(key);
        let row = row.ok_or_else(|| Finding::missing(keys::CHECKPOINTS, key).at(place))?;
        if !same {
            return Err(Finding::differs(keys::CHECKPOINTS, key).at(place));
        }
        let node = key.last_chunk::<16>().map_or(NodeId::ZERO, |node| NodeId(*node));
        match wrong(tables, state, node, row)? {
            None => {}
            Some(what) if own.is_none_or(|own| own == node) => {
                return Err(Finding::row(keys::CHECKPOINTS, key, what).at(place));
            }
            Some(what) => {
                others += 1;
                unchecked.push(format!(
                    "the checkpoint of {size} records of {} that node {node} filed, with which \
                     something is wrong there, not here: {what}",
                    state.ledger
                ));
            }
        }
    }
    newest(filed, state)?;
    last(tables, state)?;
    witnessed(tables, state)?;
    Ok((filed.stored.len() as u64).saturating_sub(others))
}

/// What is wrong with a checkpoint of the table.
fn wrong(
    tables: &Tables,
    state: &State,
    node: NodeId,
    row: &[u8],
) -> Result<Option<&'static str>, Finding> {
    let Some((note, checkpoint)) = parse(row) else {
        return Ok(Some("the row is no checkpoint"));
    };
    if checkpoint.root != root_at(tables, state, checkpoint.size)? {
        return Ok(Some("it is of another tree: its root is not the one over so many records"));
    }
    let signed = state.authority.members.get(&node).is_some_and(|member| {
        Cosigned::new(checkpoint).add(&state.name, node, &member.keys, &note)
    });
    Ok((!signed).then_some("it is not signed with the keys of its node"))
}

fn newest(filed: &Brought, state: &State) -> Result<(), Finding> {
    let mut sizes = filed.stored.keys().filter_map(|key| rows::decode_number(key.get(5..13)?));
    if filed.newest == 0 || sizes.any(|size| size == filed.newest) {
        return Ok(());
    }
    let key = keys::meta(state.ledger, MetaTag::NewestCheckpoint);
    Err(Finding::row(keys::META, &key, "no checkpoint of the newest size is kept"))
}

/// What this node signed last is of this tree.
fn last(tables: &Tables, state: &State) -> Result<(), Finding> {
    let key = keys::meta(state.ledger, MetaTag::LastCheckpoint);
    let Some(row) = tables.get(keys::META, &key)? else { return Ok(()) };
    let last: Option<Checkpoint> = std::str::from_utf8(&row).ok().and_then(|row| row.parse().ok());
    let what = match last {
        None => "the row is no checkpoint",
        Some(last) if last.origin != state.origin() => "the node signed one of another ledger",
        Some(last) if last.size > state.size() => {
            let what = format!(
                "this node signed a checkpoint of {} records and has {}: it is behind",
                last.size,
                state.size()
            );
            return Err(Finding {
                key: hex::encode(key),
                ..Finding::other(state.ledger, keys::META, what)
            });
        }
        Some(last) if last.root != root_at(tables, state, last.size)? => {
            "what this node signed last is of another tree"
        }
        Some(_) => return Ok(()),
    };
    Err(Finding::row(keys::META, &key, what))
}

/// What witnesses had cosigned last is of this tree; whose signatures count, the node's configuration says.
fn witnessed(tables: &Tables, state: &State) -> Result<(), Finding> {
    let key = keys::meta(state.ledger, MetaTag::Witnessed);
    let Some(row) = tables.get(keys::META, &key)? else { return Ok(()) };
    let what = match parse(&row) {
        None => "the row is no checkpoint",
        Some((_, one)) if one.origin != state.origin() => {
            "what witnesses cosigned last is of another ledger"
        }
        Some((_, one))
            if one.size > state.size() || one.root != root_at(tables, state, one.size)? =>
        {
            "what witnesses cosigned last is of another tree"
        }
        Some(_) => return Ok(()),
    };
    Err(Finding::row(keys::META, &key, what))
}

/// The ledger is where `position.json` says that it was, or further on the same way.
pub(super) fn against_position(
    tables: &Tables,
    replayed: &Replayed,
    position: &PositionFile,
    unchecked: &mut Vec<String>,
) -> Result<(), Finding> {
    let Replayed { state, memory, then, .. } = replayed;
    let ledger = state.ledger;
    let floor = position
        .kept(ledger)
        .map_err(|error| Finding::file(POSITION, crate::error::causes(&error)))?;
    let Some(floor) = floor else {
        return match (state.sequence, position.tells_of_any()) {
            (0, _) => Ok(()),
            (_, true) => {
                unchecked
                    .push(format!("how far the node was in {ledger}: {POSITION} does not tell"));
                Ok(())
            }
            (_, false) => {
                let what = "it is gone, or tells of no ledger: nothing shows whether the node was \
                            further than its database";
                Err(Finding::unread(POSITION, what))
            }
        };
    };
    let other = |what: String| {
        Err(Finding::other(ledger, POSITION, what).at(Place::Sequence(floor.sequence)))
    };
    if floor.sequence > state.sequence {
        return other(format!(
            "the database ends at message {}, the node was further",
            state.sequence
        ));
    }
    let Ok(hash) = ledger::Lookup::stream_hash_at(memory, floor.sequence);
    if hash != Some(floor.stream_hash) {
        return other("the database has another stream hash there".to_owned());
    }
    match then {
        Some((size, _)) if *size != floor.size => {
            other(format!("the database has {size} records there, not {}", floor.size))
        }
        Some((_, authority)) if *authority != floor.authority => {
            other("the database has other members there".to_owned())
        }
        Some(_) | None if root_at(tables, state, floor.size)? != floor.root => {
            other("the database has another root there".to_owned())
        }
        Some(_) | None => Ok(()),
    }
}

/// The ledger continues every checkpoint of it that somebody kept. The first file that is not what an
/// admitted node signed is handed back: it must not keep the others from being compared.
pub(super) fn against_kept(
    tables: &Tables,
    replayed: &Replayed,
    kept: &[(SignedNote, Checkpoint)],
) -> Result<Option<Finding>, Finding> {
    let state = &replayed.state;
    let (origin, mut keys) = (state.origin(), Vec::new());
    for (node, member) in &state.authority.members {
        keys.extend(log_vkey(&origin, &member.keys));
        keys.extend(cosigner_vkey(&state.name, *node, &member.keys));
    }
    let mut doubtful = None;
    for (note, one) in kept {
        match note.verify(&keys) {
            Ok(_) if one.origin == origin => continues(tables, state, one)?,
            Err(NoteError::BadSignature) => {
                let why = "it is not what was signed, so not what was kept";
                doubtful.get_or_insert_with(|| spoilt(one, why));
            }
            Err(NoteError::NotSigned | NoteError::Form) if one.origin == origin => {
                doubtful.get_or_insert_with(|| not_signed(state, one));
            }
            Ok(_) | Err(NoteError::NotSigned | NoteError::Form) => {}
        }
    }
    Ok(doubtful)
}

fn continues(tables: &Tables, state: &State, one: &Checkpoint) -> Result<(), Finding> {
    let what = if one.size > state.size() {
        format!(
            "it has {} records, the kept checkpoint {}: the end is gone",
            state.size(),
            one.size
        )
    } else if one.root != root_at(tables, state, one.size)? {
        format!("its first {} records are not those that the kept checkpoint covers", one.size)
    } else {
        return Ok(());
    };
    Err(Finding::other(state.ledger, KEPT, what).at(Place::Position(one.size)))
}

/// Whoever signed it, retired since or not, was admitted before; unless that is gone with the end.
fn not_signed(state: &State, one: &Checkpoint) -> Finding {
    if one.size <= state.size() {
        return spoilt(one, "no node that this ledger admitted has signed it");
    }
    let what = format!(
        "it has {} records, and the kept checkpoint of {} is signed by no node admitted up to here: it is \
         spoilt, or the end of this ledger, with who signed, is gone",
        state.size(),
        one.size
    );
    Finding::other(state.ledger, KEPT, what).at(Place::Position(one.size))
}

/// A file that was spoilt accuses nobody.
fn spoilt(one: &Checkpoint, why: &str) -> Finding {
    let what = format!(
        "the kept one of {} records of {}: {why}. Take another copy of it, as `caseledger ledger \
         checkpoint` printed it",
        one.size, one.origin
    );
    Finding::unread(KEPT, what)
}

/// None of the kept checkpoints is of a ledger that is not here.
pub(super) fn all_are_of(
    seen: &[LedgerSeen],
    kept: &[(SignedNote, Checkpoint)],
) -> Result<(), Finding> {
    match kept.iter().find(|(_, one)| !seen.iter().any(|it| it.origin == one.origin)) {
        Some((_, one)) => {
            let what = format!("it is of {}, which is not here", one.origin);
            let found = Finding::file(KEPT, what);
            Err(Finding { verdict: super::Verdict::Other, ..found })
        }
        None => Ok(()),
    }
}

/// The root over the first `size` leaves. The full tiles are compared by then.
fn root_at(tables: &Tables, state: &State, size: u64) -> Result<Hash, Finding> {
    if size == 0 {
        return Ok(Tree::default().root());
    }
    let root = proof::root_at(size, |id| {
        if let Some(hashes) = state.tree.unfinished(id) {
            return Ok(Some(hashes.to_vec()));
        }
        let key = keys::tile(state.ledger, id.level, id.index);
        Ok(tables.get(keys::TILES, &key)?.and_then(|row| tile_hashes(&row)))
    });
    root.map_err(|error| match error {
        ProofError::Tiles(found) => found,
        ProofError::TileMissing { level, index } => {
            Finding::missing(keys::TILES, &keys::tile(state.ledger, level, index))
        }
        ProofError::OutOfRange { size } => {
            Finding::file(POSITION, format!("there is no root over {size} records"))
        }
    })
}
