//! What messages make against what is stored.
//!
//! Records and blocks are compared row by row as the messages go by, heads with the last state, the
//! map of subjects by its root. Of the other tables, whose order is not the ledger's, there is a count
//! and a sum over a keyed hash of every row: once of the rows that the messages make, once of those
//! that are stored. The key is random and made after everything was written, so nobody can have made
//! other rows of the same sum. Only when they differ are the rows themselves gone through.

use super::finding::{Finding, Place};
use super::replay::{Step, replay};
use super::tables::{Rows, Tables};
use super::{FsckProgress, KeyUse, KeyUses, checkpoints};
use crate::apply::{decode_state, encode_state, rows_of};
use crate::fold::access_rows;
use crate::keys::{self, MetaTag};
use crate::position::PositionFile;
use crate::rebuild::VIEW_VERSION;
use crate::rows;
use crate::store::LedgerPin;
use ledger::{Authority, LeafType, LedgerId, LedgerKind, Lookup, Map, Memory, State};
use std::collections::BTreeMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};

/// Tables compared by their sums.
const SUMMED: [&str; 7] = [
    keys::CHAINS,
    keys::SETTLED,
    keys::DESTROYED,
    keys::TILES,
    keys::BY_SUBJECT,
    keys::BY_ACTOR,
    keys::BY_TIME,
];

/// Those of them that are views.
const FOUND_BY: [&str; 3] = [keys::BY_SUBJECT, keys::BY_ACTOR, keys::BY_TIME];

/// A ledger whose messages are all judged again, and whose rows are what they make.
#[derive(Debug)]
pub(super) struct Replayed {
    pub(super) state: State,
    pub(super) memory: Memory,
    pub(super) uses: KeyUses,
    pub(super) filed: checkpoints::Brought,
    /// Whether the views are there, in this program's version.
    pub(super) views_ready: bool,
    /// Where the ledger was at the sequence that `position.json` names.
    pub(super) then: Option<(u64, Authority)>,
}

/// A count and a sum of rows, whatever their order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    count: u64,
    sum: u64,
}

impl Sum {
    fn add(&mut self, hashes: &RandomState, key: &[u8], row: &[u8]) {
        let mut hasher = hashes.build_hasher();
        hasher.write_usize(key.len());
        hasher.write(key);
        hasher.write(row);
        self.count += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}

/// What goes by of a ledger.
struct Pass<'a> {
    hashes: RandomState,
    records: Rows<'a>,
    sums: BTreeMap<&'static str, Sum>,
    heads: u64,
    uses: KeyUses,
    filed: checkpoints::Brought,
    floor: Option<u64>,
    then: Option<(u64, Authority)>,
}

/// Judges a ledger's messages again and compares the rows that they make.
pub(super) fn ledger(
    tables: &Tables,
    pin: LedgerPin,
    position: &PositionFile,
    progress: &mut impl FnMut(FsckProgress),
) -> Result<Replayed, Finding> {
    let ledger = pin.ledger;
    let key = keys::meta(ledger, MetaTag::State);
    let stored = tables.get(keys::META, &key)?;
    let total = stored.as_deref().and_then(decode_state).map_or(0, |(_, state)| state.sequence);
    let floor = position
        .kept(ledger)
        .map_err(|error| Finding::file("position.json", crate::error::causes(&error)))?;
    let mut pass = Pass {
        hashes: RandomState::new(),
        records: tables.rows(keys::RECORDS, ledger)?,
        sums: BTreeMap::new(),
        heads: 0,
        uses: KeyUses::new(),
        filed: checkpoints::Brought::stored(tables, ledger)?,
        floor: floor.map(|floor| floor.sequence),
        then: None,
    };
    let (state, memory) = replay(tables, pin, |step| {
        pass.step(step)?;
        let done = step.state.sequence;
        progress(FsckProgress { ledger, done, total: total.max(done) });
        Ok(())
    })?;
    pass.records.end()?;
    let made = (state.sequence > 0).then(|| encode_state(&state)).transpose()?;
    if stored.as_deref() != made.as_deref() {
        let what = "the state is not what the messages make";
        return Err(Finding::row(keys::META, &key, what).at(Place::Sequence(state.sequence)));
    }
    let views_ready = views_ready(tables, ledger)?;
    let summed = SUMMED.into_iter().filter(|name| views_ready || !FOUND_BY.contains(name));
    for table in summed {
        let wanted = pass.sums.get(table).copied().unwrap_or_default();
        let mut found = Sum::default();
        tables.each(table, ledger, |key, row| {
            found.add(&pass.hashes, key, row);
            Ok(())
        })?;
        if found != wanted {
            return Err(first_difference(tables, pin, table)?);
        }
    }
    if !heads_match(tables, ledger, &memory, pass.heads)? {
        return Err(first_difference(tables, pin, keys::HEADS)?);
    }
    if !subjects_match(tables, &state)? {
        return Err(first_difference(tables, pin, keys::SUBJECTS)?);
    }
    let Pass { uses, filed, then, .. } = pass;
    Ok(Replayed { state, memory, uses, filed, views_ready, then })
}

impl Pass<'_> {
    fn step(&mut self, step: &Step<'_>) -> Result<(), Finding> {
        let (ledger, applied) = (step.state.ledger, step.applied);
        let Self { hashes, records, sums, .. } = self;
        every_row(step, |table, key, row| match table {
            keys::RECORDS => records.expect(key, row).map_err(|found| {
                let position = keys::last_number(key).map(Place::Position);
                Finding { place: position, ..found }
            }),
            keys::BLOCKS if step.row == row => Ok(()),
            keys::BLOCKS => Err(Finding::differs(table, key)),
            // Compared with the last state.
            keys::HEADS | keys::SUBJECTS => Ok(()),
            table => {
                sums.entry(table).or_default().add(hashes, key, row);
                Ok(())
            }
        })?;
        for (chain, _) in &applied.heads {
            let Ok(before) = step.memory.head(*chain);
            self.heads += u64::from(before.is_none());
        }
        for record in applied.records.iter().filter(|one| one.header.leaf == LeafType::Record) {
            let named = (record.header.data_key, record.header.subject);
            let (position, version) = (record.position, record.header.version);
            self.uses.entry(named).or_insert(KeyUse { position, version });
        }
        self.filed.add(ledger, step);
        if self.floor == Some(applied.sequence) {
            self.then = Some((step.state.size(), step.state.authority.clone()));
        }
        Ok(())
    }
}

/// Every row that a message makes and that needs no key.
fn every_row(
    step: &Step<'_>,
    mut put: impl FnMut(&'static str, &[u8], &[u8]) -> Result<(), Finding>,
) -> Result<(), Finding> {
    let ledger = step.state.ledger;
    rows_of(ledger, step.message, step.applied, &mut put)?;
    if ledger.kind == LedgerKind::Access {
        let accesses = step.applied.records.iter().filter(|it| it.header.leaf == LeafType::Record);
        for record in accesses {
            access_rows(ledger, record.position, &record.header, |table, key| {
                put(table, key, &[])
            })?;
        }
    }
    Ok(())
}

fn views_ready(tables: &Tables, ledger: LedgerId) -> Result<bool, Finding> {
    let key = keys::meta(ledger, MetaTag::ViewVersion);
    match tables.get(keys::META, &key)?.as_deref().map(<[u8; 4]>::try_from) {
        None => Ok(false),
        Some(Ok(version)) => Ok(u32::from_be_bytes(version) == VIEW_VERSION),
        Some(Err(_)) => Err(Finding::row(keys::META, &key, "the row does not decode")),
    }
}

fn heads_match(
    tables: &Tables,
    ledger: LedgerId,
    memory: &Memory,
    chains: u64,
) -> Result<bool, Finding> {
    let (mut count, mut same) = (0, true);
    tables.each(keys::HEADS, ledger, |key, row| {
        count += 1;
        let Ok(head) = keys::subject(key).map_or(Ok(None), |chain| memory.head(chain));
        let in_place = key.len() == keys::file(ledger, ledger::SubjectId::ZERO).len();
        same &= in_place && head.is_some() && rows::decode_head(row) == head;
        Ok(())
    })?;
    Ok(same && count == chains)
}

fn subjects_match(tables: &Tables, state: &State) -> Result<bool, Finding> {
    let (mut said, mut same) = (Vec::new(), true);
    tables.each(keys::SUBJECTS, state.ledger, |key, row| {
        match keys::subject(key).zip(rows::decode_summary(row)) {
            Some(row) if key.len() == keys::file(state.ledger, row.0).len() => said.push(row),
            Some(_) | None => same = false,
        }
        Ok(())
    })?;
    // Two maps of one root say the same.
    Ok(same && Map::new(said).root() == state.subjects.map().root())
}

/// Goes through a table's rows one by one: the first, in the ledger's order, that is missing or has
/// other bytes, else the first that nothing makes.
fn first_difference(
    tables: &Tables,
    pin: LedgerPin,
    table: &'static str,
) -> Result<Finding, Finding> {
    // By key, the last message that made the row, and the row.
    let mut made = BTreeMap::<Vec<u8>, (u64, Vec<u8>)>::new();
    replay(tables, pin, |step| {
        every_row(step, |of, key, row| {
            if of == table {
                made.insert(key.to_vec(), (step.applied.sequence, row.to_vec()));
            }
            Ok(())
        })
    })?;
    let (mut too_many, mut first) = (None, None::<(u64, Finding)>);
    let mut note = |sequence, found: Finding| {
        if first.as_ref().is_none_or(|(earlier, _)| sequence < *earlier) {
            first = Some((sequence, found.at(Place::Sequence(sequence))));
        }
    };
    tables.each(table, pin.ledger, |key, row| {
        match made.remove(key) {
            Some((_, wanted)) if wanted == row => {}
            Some((sequence, _)) => note(sequence, Finding::differs(table, key)),
            None => {
                too_many.get_or_insert_with(|| Finding::too_many(table, key));
            }
        }
        Ok(())
    })?;
    for (key, (sequence, _)) in made {
        note(sequence, Finding::missing(table, &key));
    }
    let found = first.map(|(_, found)| found).or(too_many);
    Ok(found.unwrap_or_else(|| Finding::file(table, "it changed while it was read")))
}
