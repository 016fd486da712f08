//! Views and what lies beside the ledgers, as far as it can be told without a key. Rows by which
//! accesses are found are compared whole (`compare`); of sealed rows only whom they are about.

use super::compare::Replayed;
use super::finding::Finding;
use super::tables::Tables;
use crate::keys::{self, MetaTag};
use crate::rebuild::VIEW_VERSION;
use crate::rows;
use domain::Kind;
use ledger::{LedgerKind, Lookup, Override};

/// Tables of sealed rows.
const SEALED: [&str; 3] = [keys::FILES, keys::TERMS, keys::IDENTIFIERS];

pub(super) fn check(
    tables: &Tables,
    replayed: &Replayed,
    unchecked: &mut Vec<String>,
) -> Result<(), Finding> {
    let ledger = replayed.state.ledger;
    if !replayed.views_ready {
        unchecked.push(format!(
            "views of {ledger}: they are not there in version {VIEW_VERSION}, the node makes them \
             anew when it starts"
        ));
    }
    for table in SEALED {
        sealed(tables, replayed, table)?;
    }
    unfolded(tables, replayed)?;
    meta(tables, replayed)?;
    foreign(tables, replayed)
}

/// Whom a sealed row is about has records.
fn sealed(tables: &Tables, replayed: &Replayed, table: &'static str) -> Result<(), Finding> {
    let ledger = replayed.state.ledger;
    if replayed.views_ready && tables.is_to_come(table) {
        return Err(Finding::file(table, "the table is missing"));
    }
    tables.each(table, ledger, |key, _| {
        if !fits(table, key) || ledger.kind != LedgerKind::Records {
            return Err(Finding::too_many(table, key));
        }
        // Its key is a keyed hash; whose it is stands in the row, sealed.
        if table == keys::IDENTIFIERS {
            return Ok(());
        }
        let Ok(head) = keys::subject(key).map_or(Ok(None), |subject| replayed.memory.head(subject));
        match head {
            Some(_) => Ok(()),
            None => Err(Finding::row(table, key, "whom the row is about has no record")),
        }
    })
}

/// Whether a sealed row's key is one of its table.
fn fits(table: &str, key: &[u8]) -> bool {
    let section = key.get(21).copied();
    match (table, key.len()) {
        (keys::FILES, 21) | (keys::TERMS, 53) | (keys::IDENTIFIERS, 37) => true,
        (keys::FILES, 22) => section == Some(0),
        (keys::FILES, 38) => section.and_then(Kind::from_tag).is_some(),
        (_, _) => false,
    }
}

/// What is noted as not folded is a record of that subject and version.
fn unfolded(tables: &Tables, replayed: &Replayed) -> Result<(), Finding> {
    let ledger = replayed.state.ledger;
    tables.each(keys::UNFOLDED, ledger, |key, row| {
        let version = keys::last_number(key).unwrap_or_default();
        let place = keys::subject(key).map(|subject| keys::chain(ledger, subject, version));
        let place = place.filter(|place| key == place && ledger.kind == LedgerKind::Records);
        let place = place.ok_or_else(|| Finding::too_many(keys::UNFOLDED, key))?;
        let chain = tables.get(keys::CHAINS, &place)?;
        let chain = chain.and_then(|row| rows::decode_chain(&row)).map(|chain| chain.position);
        match chain {
            Some(position) if rows::decode_number(row) == Some(position) => Ok(()),
            Some(_) => Err(Finding::row(keys::UNFOLDED, key, "it names another position")),
            None => Err(Finding::row(keys::UNFOLDED, key, "there is no such record")),
        }
    })
}

/// Rows of `meta` that are checked nowhere else decode, and there are no others.
fn meta(tables: &Tables, replayed: &Replayed) -> Result<(), Finding> {
    let ledger = replayed.state.ledger;
    let is = |key: &[u8], tag| key == keys::meta(ledger, tag);
    tables.each(keys::META, ledger, |key, row| {
        let checked =
            [MetaTag::State, MetaTag::ViewVersion, MetaTag::LastCheckpoint, MetaTag::Witnessed];
        let decodes = checked.into_iter().any(|tag| is(key, tag))
            || (is(key, MetaTag::Override) && Override::decode(row).is_some())
            || (is(key, MetaTag::KnownEnd) && rows::decode_number(row).is_some())
            || (is(key, MetaTag::NewestCheckpoint) && rows::decode_number(row).is_some());
        match decodes {
            true => Ok(()),
            false => Err(Finding::row(keys::META, key, "the row does not decode")),
        }
    })
}

/// Messages of another history are kept under their hash.
fn foreign(tables: &Tables, replayed: &Replayed) -> Result<(), Finding> {
    tables.each(keys::FOREIGN, replayed.state.ledger, |key, message| {
        let hash = vault::body_hash(message);
        match key.len() == 45 && key.ends_with(&hash.0) {
            true => Ok(()),
            false => Err(Finding::row(keys::FOREIGN, key, "the message is not that of its key")),
        }
    })
}
