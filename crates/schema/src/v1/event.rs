//! Events.

use std::borrow::Cow;

use domain::{DocumentId, PatientId};
use serde::{Deserialize, Serialize};

use super::document;
use super::entry::Entry;
use super::identity::Identity;
use super::read;
use super::value::Id;
use crate::error::{DecodeError, EncodeError};
use crate::mirror::{Bytes, Mirror, Text, mirror_enum};

mirror_enum! {
    #[expect(clippy::enum_variant_names, reason = "the names are the domain's")]
    Amendment<'a> = domain::Amendment {
        Correction,
        Amendment,
        Augmentation,
    }
}

/// An event. The order of the variants, and of the fields in each, is the format.
#[derive(Serialize, Deserialize)]
enum Event<'a> {
    PatientRegistered {
        identity: Identity<'a>,
    },
    IdentityAmended {
        identity: Identity<'a>,
        changed: Vec<Text<'a>>,
        how: Amendment<'a>,
        reason: Text<'a>,
    },
    EntryAdded {
        id: Id,
        entry: Entry<'a>,
    },
    EntryAmended {
        id: Id,
        entry: Entry<'a>,
        changed: Vec<Text<'a>>,
        how: Amendment<'a>,
        reason: Text<'a>,
    },
    EntryRetracted {
        id: Id,
        reason: Text<'a>,
    },
    IdentifierAssigned {
        identifier_system: Text<'a>,
        identifier_value: Text<'a>,
        patient: [u8; 16],
    },
    IdentifierReleased {
        identifier_system: Text<'a>,
        identifier_value: Text<'a>,
        patient: [u8; 16],
    },
    DocumentFiled {
        id: [u8; 16],
        kind: u8,
        author: Text<'a>,
        reason: Text<'a>,
        document: Bytes<'a>,
    },
}

pub(crate) fn encode_event(event: &domain::Event) -> Result<Vec<u8>, EncodeError> {
    Ok(postcard::to_stdvec(&of(event)?)?)
}

pub(crate) fn decode_event(bytes: &[u8]) -> Result<domain::Event, DecodeError> {
    back(read(bytes)?)
}

pub(crate) fn summary_of_entry(bytes: &[u8]) -> Result<Option<(u8, String)>, DecodeError> {
    match read(bytes)? {
        Event::EntryAdded { entry, .. } | Event::EntryAmended { entry, .. } => {
            Ok(Some((entry.kind, entry.summary.into_owned())))
        }
        Event::PatientRegistered { .. }
        | Event::IdentityAmended { .. }
        | Event::EntryRetracted { .. }
        | Event::IdentifierAssigned { .. }
        | Event::IdentifierReleased { .. }
        | Event::DocumentFiled { .. } => Ok(None),
    }
}

fn of(event: &domain::Event) -> Result<Event<'_>, EncodeError> {
    Ok(match event {
        domain::Event::PatientRegistered { identity } => {
            Event::PatientRegistered { identity: Mirror::of(identity) }
        }
        domain::Event::IdentityAmended { identity, changed, how, reason } => {
            Event::IdentityAmended {
                identity: Mirror::of(identity),
                changed: Mirror::of(changed),
                how: Mirror::of(how),
                reason: Mirror::of(reason),
            }
        }
        domain::Event::EntryAdded { id, entry } => {
            Event::EntryAdded { id: Mirror::of(id), entry: Entry::of(entry)? }
        }
        domain::Event::EntryAmended { id, entry, changed, how, reason } => Event::EntryAmended {
            id: Mirror::of(id),
            entry: Entry::of(entry)?,
            changed: Mirror::of(changed),
            how: Mirror::of(how),
            reason: Mirror::of(reason),
        },
        domain::Event::EntryRetracted { id, reason } => {
            Event::EntryRetracted { id: Mirror::of(id), reason: Mirror::of(reason) }
        }
        domain::Event::IdentifierAssigned { identifier_system, identifier_value, patient } => {
            Event::IdentifierAssigned {
                identifier_system: Mirror::of(identifier_system),
                identifier_value: Mirror::of(identifier_value),
                patient: patient.0,
            }
        }
        domain::Event::IdentifierReleased { identifier_system, identifier_value, patient } => {
            Event::IdentifierReleased {
                identifier_system: Mirror::of(identifier_system),
                identifier_value: Mirror::of(identifier_value),
                patient: patient.0,
            }
        }
        domain::Event::DocumentFiled { id, document, author, reason } => Event::DocumentFiled {
            id: id.0,
            kind: document.kind().tag(),
            author: Mirror::of(author),
            reason: Mirror::of(reason),
            document: Bytes(Cow::Owned(document::encode(document)?)),
        },
    })
}

fn back(event: Event<'_>) -> Result<domain::Event, DecodeError> {
    Ok(match event {
        Event::PatientRegistered { identity } => {
            domain::Event::PatientRegistered { identity: identity.back()? }
        }
        Event::IdentityAmended { identity, changed, how, reason } => {
            domain::Event::IdentityAmended {
                identity: identity.back()?,
                changed: changed.back()?,
                how: how.back()?,
                reason: reason.back()?,
            }
        }
        Event::EntryAdded { id, entry } => {
            domain::Event::EntryAdded { id: id.back()?, entry: entry.back()? }
        }
        Event::EntryAmended { id, entry, changed, how, reason } => domain::Event::EntryAmended {
            id: id.back()?,
            entry: entry.back()?,
            changed: changed.back()?,
            how: how.back()?,
            reason: reason.back()?,
        },
        Event::EntryRetracted { id, reason } => {
            domain::Event::EntryRetracted { id: id.back()?, reason: reason.back()? }
        }
        Event::IdentifierAssigned { identifier_system, identifier_value, patient } => {
            domain::Event::IdentifierAssigned {
                identifier_system: identifier_system.back()?,
                identifier_value: identifier_value.back()?,
                patient: PatientId(patient),
            }
        }
        Event::IdentifierReleased { identifier_system, identifier_value, patient } => {
            domain::Event::IdentifierReleased {
                identifier_system: identifier_system.back()?,
                identifier_value: identifier_value.back()?,
                patient: PatientId(patient),
            }
        }
        Event::DocumentFiled { id, kind, author, reason, document } => {
            domain::Event::DocumentFiled {
                id: DocumentId(id),
                document: document::decode(kind, &document.0)?,
                author: author.back()?,
                reason: reason.back()?,
            }
        }
    })
}
