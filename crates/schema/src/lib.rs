//! The stored form of every event, view row and access record.
//!
//! One module a version (`v1`), each a set of structs that mirror the domain's and are encoded
//! with postcard. A version that was released is never edited: golden bytes in `golden/` hold it
//! still, and a change is a new module, with an upcast from the one before. What is read always
//! comes out as the domain's present types.
//!
//! This crate is deliberately not the place of rules (that is `domain`), nor of encryption
//! (`vault`): bytes go in and out in the clear. `store` and `engine` build on it.
//!
//! Adding a kind of entry: one file in `v1/kind/` and one line in its registry. The envelope stays
//! at its version, because an entry carries its kind's tag, a summary line and the kind's own
//! fields as bytes of their own: an older build reads all but those.

mod access;
mod error;
mod mirror;
mod v1;

pub use access::{AccessKind, AccessRecord, Outcome};
pub use error::{DecodeError, EncodeError};

use domain::{Authors, Entry, EntryState, Event, Identity, Stamp};

/// The body envelope version that is written; it stands in the record's header.
pub const CURRENT_ENVELOPE: u16 = 1;

/// First byte of a view row. Rows are rebuilt when it changes, never upcast.
const ROW_FORMAT: u8 = 1;

/// The stored form of an event, in the version [`CURRENT_ENVELOPE`].
///
/// # Errors
/// [`EncodeError`] if postcard refuses, which no value of these types makes it do.
pub fn encode_event(event: &Event) -> Result<Vec<u8>, EncodeError> {
    v1::encode_event(event)
}

/// Reads an event of any version known.
///
/// # Errors
/// [`DecodeError`]: the version or the entry's kind is not known to this build, or the bytes are
/// no stored event.
pub fn decode_event(envelope_version: u16, bytes: &[u8]) -> Result<Event, DecodeError> {
    match envelope_version {
        1 => v1::decode_event(bytes),
        version => Err(DecodeError::UnknownVersion { version }),
    }
}

/// The kind's tag and the summary line of the entry that an event files or amends, also of a kind
/// that this build does not know; `None` for other events. The summary is patient data.
///
/// # Errors
/// [`DecodeError`]: the version is not known to this build, or the bytes are no stored event.
pub fn summary_of_entry(
    envelope_version: u16,
    bytes: &[u8],
) -> Result<Option<(u8, String)>, DecodeError> {
    match envelope_version {
        1 => v1::summary_of_entry(bytes),
        version => Err(DecodeError::UnknownVersion { version }),
    }
}

/// What a source delivers of an entry, for [`Entry::delivered`]: the entry without its findings and
/// that digest. Always in the form of version 1: in another, every source would seem to say
/// something new.
///
/// # Errors
/// [`EncodeError`] if postcard refuses, which no value of these types makes it do.
pub fn encode_delivered_entry(entry: &Entry) -> Result<Vec<u8>, EncodeError> {
    v1::encode_delivered_entry(entry)
}

/// What a source delivers of who a file is about, as [`encode_delivered_entry`].
///
/// # Errors
/// [`EncodeError`] if postcard refuses, which no value of these types makes it do.
pub fn encode_delivered_identity(identity: &Identity) -> Result<Vec<u8>, EncodeError> {
    v1::encode_delivered_identity(identity)
}

/// The stored form of an access record, in the version [`CURRENT_ENVELOPE`].
///
/// # Errors
/// [`EncodeError`] if postcard refuses, which no value of these types makes it do.
pub fn encode_access(record: &AccessRecord) -> Result<Vec<u8>, EncodeError> {
    v1::encode_access(record)
}

/// Reads an access record of any version known.
///
/// # Errors
/// [`DecodeError`]: the version is not known to this build, or the bytes are no access record.
pub fn decode_access(envelope_version: u16, bytes: &[u8]) -> Result<AccessRecord, DecodeError> {
    match envelope_version {
        1 => v1::decode_access(bytes),
        version => Err(DecodeError::UnknownVersion { version }),
    }
}

/// The view row of an entry as it stands.
///
/// # Errors
/// [`EncodeError`] if postcard refuses, which no value of these types makes it do.
pub fn encode_entry(state: &EntryState) -> Result<Vec<u8>, EncodeError> {
    v1::encode_entry(state, ROW_FORMAT)
}

/// Reads the view row of an entry.
///
/// # Errors
/// [`DecodeError`]: the row's format or the entry's kind is not known to this build, or the bytes
/// are no entry row.
pub fn decode_entry(row: &[u8]) -> Result<EntryState, DecodeError> {
    v1::decode_entry(unwrap_row(row)?)
}

/// The view row of who a file is about, when that was last changed, and the subject's chain
/// version that it reflects.
///
/// # Errors
/// [`EncodeError`] if postcard refuses, which no value of these types makes it do.
pub fn encode_identity_row(
    identity: &Identity,
    stamp: &Stamp,
    version: u64,
) -> Result<Vec<u8>, EncodeError> {
    v1::encode_identity_row(identity, stamp, version, ROW_FORMAT)
}

/// Reads the view row of who a file is about.
///
/// # Errors
/// [`DecodeError`]: the row's format is not known to this build, or the bytes are no identity row.
pub fn decode_identity_row(row: &[u8]) -> Result<(Identity, Stamp, u64), DecodeError> {
    v1::decode_identity_row(unwrap_row(row)?)
}

/// The view row of who wrote in a file lately.
///
/// # Errors
/// [`EncodeError`] if postcard refuses, which no value of these types makes it do.
pub fn encode_authors(authors: &Authors) -> Result<Vec<u8>, EncodeError> {
    v1::encode_authors(authors, ROW_FORMAT)
}

/// Reads the view row of who wrote in a file lately.
///
/// # Errors
/// [`DecodeError`]: the row's format is not known to this build, or the bytes are no such row.
pub fn decode_authors(row: &[u8]) -> Result<Authors, DecodeError> {
    v1::decode_authors(unwrap_row(row)?)
}

fn unwrap_row(row: &[u8]) -> Result<&[u8], DecodeError> {
    match row.split_first() {
        Some((&ROW_FORMAT, rest)) => Ok(rest),
        Some((format, _)) => Err(DecodeError::UnknownVersion { version: u16::from(*format) }),
        None => Err(DecodeError::Malformed),
    }
}

#[cfg(test)]
mod tests;
