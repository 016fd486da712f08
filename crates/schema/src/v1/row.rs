//! View rows: what the events fold into.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::entry::Entry;
use super::event::Amendment;
use super::identity::Identity;
use super::read;
use super::value::Id;
use crate::error::{DecodeError, EncodeError};
use crate::mirror::{Mirror, Text, mirror_struct};

#[derive(Serialize, Deserialize)]
struct Stamp {
    position: u64,
    version: u64,
    recorded_at: u64,
    actor: [u8; 16],
}

impl Stamp {
    fn of(stamp: &domain::Stamp) -> Self {
        let domain::Stamp { position, version, recorded_at, actor } = *stamp;
        Self { position, version, recorded_at, actor }
    }

    fn back(self) -> domain::Stamp {
        let Self { position, version, recorded_at, actor } = self;
        domain::Stamp { position, version, recorded_at, actor }
    }
}

mirror_struct! {
    Change<'a> = domain::Change {
        fields: Vec<Text<'a>>,
        how: Amendment<'a>,
        reason: Text<'a>,
    }
}

#[derive(Serialize, Deserialize)]
struct EntryRow<'a> {
    id: Id,
    revision: u32,
    filed: Stamp,
    changed: Stamp,
    last_change: Option<Change<'a>>,
    retracted: Option<Text<'a>>,
    entry: Entry<'a>,
}

#[derive(Serialize, Deserialize)]
struct IdentityRow<'a> {
    version: u64,
    stamp: Stamp,
    identity: Identity<'a>,
}

#[derive(Serialize, Deserialize)]
struct Last {
    version: u64,
    at: u64,
}

#[derive(Serialize, Deserialize)]
struct AuthorsRow<'a> {
    filed: Vec<([u8; 16], Last)>,
    named: Vec<(Text<'a>, Last)>,
}

impl Last {
    fn of(last: &domain::Last) -> Self {
        let domain::Last { version, at } = *last;
        Self { version, at }
    }

    fn back(self) -> domain::Last {
        let Self { version, at } = self;
        domain::Last { version, at }
    }
}

pub(crate) fn encode_entry(
    state: &domain::EntryState,
    row_format: u8,
) -> Result<Vec<u8>, EncodeError> {
    let row = EntryRow {
        id: Mirror::of(&state.id),
        revision: state.revision,
        filed: Stamp::of(&state.filed),
        changed: Stamp::of(&state.changed),
        last_change: Mirror::of(&state.last_change),
        retracted: Mirror::of(&state.retracted),
        entry: Entry::of(&state.entry)?,
    };
    Ok(postcard::to_extend(&row, vec![row_format])?)
}

pub(crate) fn decode_entry(bytes: &[u8]) -> Result<domain::EntryState, DecodeError> {
    let row: EntryRow<'_> = read(bytes)?;
    Ok(domain::EntryState {
        id: row.id.back()?,
        entry: row.entry.back()?,
        revision: row.revision,
        filed: row.filed.back(),
        changed: row.changed.back(),
        last_change: row.last_change.back()?,
        retracted: row.retracted.back()?,
    })
}

pub(crate) fn encode_identity_row(
    identity: &domain::Identity,
    stamp: &domain::Stamp,
    version: u64,
    row_format: u8,
) -> Result<Vec<u8>, EncodeError> {
    let row = IdentityRow { version, stamp: Stamp::of(stamp), identity: Mirror::of(identity) };
    Ok(postcard::to_extend(&row, vec![row_format])?)
}

pub(crate) fn decode_identity_row(
    bytes: &[u8],
) -> Result<(domain::Identity, domain::Stamp, u64), DecodeError> {
    let row: IdentityRow<'_> = read(bytes)?;
    Ok((row.identity.back()?, row.stamp.back(), row.version))
}

pub(crate) fn encode_authors(
    authors: &domain::Authors,
    row_format: u8,
) -> Result<Vec<u8>, EncodeError> {
    let named = authors.named.iter();
    let row = AuthorsRow {
        filed: authors.filed.iter().map(|(actor, last)| (*actor, Last::of(last))).collect(),
        named: named.map(|(who, last)| (Cow::Borrowed(who.as_str()), Last::of(last))).collect(),
    };
    Ok(postcard::to_extend(&row, vec![row_format])?)
}

pub(crate) fn decode_authors(bytes: &[u8]) -> Result<domain::Authors, DecodeError> {
    let row: AuthorsRow<'_> = read(bytes)?;
    let named = row.named.into_iter();
    Ok(domain::Authors {
        filed: row.filed.into_iter().map(|(actor, last)| (actor, last.back())).collect(),
        named: named.map(|(who, last)| (who.into_owned(), last.back())).collect(),
    })
}
