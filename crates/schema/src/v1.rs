//! Stored forms, version 1: postcard, fields and variants in the order that the structs show.
//! Released: never edit, add `v2` instead.

mod access;
mod document;
mod entry;
mod event;
mod identity;
mod kind;
mod row;
mod value;

use serde::Deserialize;

use crate::error::DecodeError;

pub(crate) use access::{decode_access, encode_access};
pub(crate) use entry::encode_delivered_entry;
pub(crate) use event::{decode_event, encode_event, summary_of_entry};
pub(crate) use identity::encode_delivered_identity;
pub(crate) use row::{
    decode_authors, decode_entry, decode_identity_row, encode_authors, encode_entry,
    encode_identity_row,
};

/// Reads all of the bytes: more than the form needs is as wrong as less.
fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, DecodeError> {
    match postcard::take_from_bytes(bytes)? {
        (value, []) => Ok(value),
        (_, _) => Err(DecodeError::Malformed),
    }
}
