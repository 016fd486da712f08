//! Every message again, from its rows, as if it had just come from the stream.

use super::finding::{Finding, Place};
use super::tables::Tables;
use crate::message::{Form, Piece, put_together};
use crate::store::LedgerPin;
use crate::{keys, rows};
use ledger::tree::tile_hashes;
use ledger::{Applied, ApplyError, Hash, Header, LedgerId, Memory, State, leaf_hash, stream_hash};
use std::convert::Infallible;

/// A message that was judged again.
#[derive(Debug)]
pub(super) struct Step<'a> {
    /// After it.
    pub(super) state: &'a State,
    /// Before it.
    pub(super) memory: &'a Memory,
    pub(super) message: &'a [u8],
    pub(super) applied: &'a Applied,
    /// Its row, as stored.
    pub(super) row: &'a [u8],
}

/// Judges all messages of a ledger; `each` hears of one after another.
pub(super) fn replay(
    tables: &Tables,
    pin: LedgerPin,
    mut each: impl FnMut(&Step<'_>) -> Result<(), Finding>,
) -> Result<(State, Memory), Finding> {
    let ledger = pin.ledger;
    let mut state = State::new(ledger, pin.genesis);
    let mut memory = Memory::default();
    tables.each(keys::BLOCKS, ledger, |key, row| {
        let sequence = state.sequence.saturating_add(1);
        let wanted = keys::block(ledger, sequence);
        if key != wanted {
            return Err(out_of_order(key, &wanted).at(Place::Sequence(sequence)));
        }
        let at = |finding: Finding| match finding.place {
            Some(_) => finding,
            None => finding.at(Place::Sequence(sequence)),
        };
        let (stored, form) = split(row).ok_or_else(|| at(undecodable(&wanted)))?;
        let message = message(tables, ledger, form).map_err(at)?;
        if stream_hash(&state.stream_hash, sequence, &message) != stored {
            return Err(blame(tables, &wanted, row).map_or_else(at, at));
        }
        let applied = state
            .apply(&memory, sequence, &message)
            .map_err(|error| at(refused(&wanted, &error)))?;
        let step =
            Step { state: &state, memory: &memory, message: &message, applied: &applied, row };
        each(&step).map_err(at)?;
        memory.add(&applied);
        Ok(())
    })?;
    Ok((state, memory))
}

fn out_of_order(found: &[u8], wanted: &[u8; 13]) -> Finding {
    match found.len() == wanted.len() && found > wanted.as_slice() {
        true => Finding::missing(keys::BLOCKS, wanted),
        false => Finding::too_many(keys::BLOCKS, found),
    }
}

fn undecodable(key: &[u8]) -> Finding {
    Finding::row(keys::BLOCKS, key, "the row does not decode")
}

fn split(row: &[u8]) -> Option<(Hash, Form)> {
    let (hash, form) = row.split_first_chunk::<32>()?;
    match postcard::take_from_bytes(form).ok()? {
        (form, []) => Some((Hash(*hash), form)),
        _ => None,
    }
}

/// A message bit for bit.
fn message(tables: &Tables, ledger: LedgerId, form: Form) -> Result<Vec<u8>, Finding> {
    put_together(form, |position, put| {
        let key = keys::record(ledger, position);
        let at = |finding: Finding| finding.at(Place::Position(position));
        let row = tables.get(keys::RECORDS, &key)?;
        let row = row.ok_or_else(|| at(Finding::missing(keys::RECORDS, &key)))?;
        let (header, body) = rows::split_record(&row)
            .ok_or_else(|| at(Finding::row(keys::RECORDS, &key, "the row does not decode")))?;
        put(header, body);
        Ok(())
    })
}

/// Which row is to blame for a message that does not have its stream hash: the first of its records
/// that other tables contradict, else the message's own.
fn blame(tables: &Tables, key: &[u8; 13], row: &[u8]) -> Result<Finding, Finding> {
    let pieces = match split(row) {
        Some((_, Form::Pieces(pieces))) => pieces,
        Some((_, Form::Whole(_))) | None => Vec::new(),
    };
    let ledger = key.first_chunk().and_then(|id| LedgerId::from_bytes(*id));
    let positions = pieces.iter().flat_map(|piece| match piece {
        Piece::Records { first, count } => *first..first.saturating_add(u64::from(*count)),
        Piece::Bytes(_) => 0..0,
    });
    for (position, ledger) in positions.filter_map(|position| Some((position, ledger?))) {
        if let Some(what) = contradicted(tables, ledger, position)? {
            let found = Finding::row(keys::RECORDS, &keys::record(ledger, position), what);
            return Ok(found.at(Place::Position(position)));
        }
    }
    let what = "put together from this row and the records that it names, the message does not \
                have the stream hash that is stored with it";
    Ok(Finding::row(keys::BLOCKS, key, what))
}

/// What other rows have against a record.
fn contradicted(
    tables: &Tables,
    ledger: LedgerId,
    position: u64,
) -> Result<Option<&'static str>, Finding> {
    let Some(row) = tables.get(keys::RECORDS, &keys::record(ledger, position))? else {
        return Ok(Some("the row is missing"));
    };
    let Some((bytes, body)) = rows::split_record(&row) else {
        return Ok(Some("the row does not decode"));
    };
    let Ok(header) = Header::decode(bytes) else {
        return Ok(Some("its header does not decode"));
    };
    if header.body_hash != vault::body_hash(body) {
        return Ok(Some("its body does not have the hash that its header names"));
    }
    let key = keys::tile(ledger, 0, position / 256);
    let tile = tables.get(keys::TILES, &key)?.and_then(|tile| tile_hashes(&tile));
    let leaf =
        usize::try_from(position % 256).ok().zip(tile).map(|(at, tile)| tile.get(at).copied());
    if leaf.is_some_and(|leaf| leaf != Some(leaf_hash(bytes))) {
        return Ok(Some("its header is not what the tree has at its place"));
    }
    let key = keys::chain(ledger, header.chain(), header.version);
    let chain = tables.get(keys::CHAINS, &key)?.and_then(|row| rows::decode_chain(&row));
    Ok(match chain {
        Some(chain) if chain.position == position && chain.recorded_at == header.recorded_at => {
            None
        }
        Some(_) | None => Some("its chain does not have it here"),
    })
}

fn refused(key: &[u8], error: &ApplyError<Infallible>) -> Finding {
    let what = error.to_string();
    match error {
        ApplyError::UnknownFormat { .. } | ApplyError::UnknownRules { .. } => {
            let Finding { ledger, .. } = Finding::row(keys::BLOCKS, key, "");
            Finding { ledger, key: hex::encode(key), ..Finding::unread(keys::BLOCKS, what) }
        }
        ApplyError::NotOurGenesis { .. }
        | ApplyError::Gap { .. }
        | ApplyError::HistoryMissing { .. }
        | ApplyError::Lookup(_) => Finding::row(keys::BLOCKS, key, what),
    }
}
