//! The stored forms of documents and their registry: one file and one line a kind.
//!
//! A form that was released is never edited. A kind's next form has a number of its own, and the one before is
//! read still.

mod access_policy;
mod break_glass_review;
mod practitioner_role;
mod privacy_incident;

use domain::{Document, DocumentKind};

use super::read;
use crate::error::{DecodeError, EncodeError};
use crate::mirror::Mirror;

/// The number of the first form of a [`domain::PractitionerRole`].
const PERSON_WITHOUT_DUTIES: u8 = 4;

macro_rules! registry {
    ($($kind:ident in $module:ident;)+) => {
        /// The document's fields.
        pub(super) fn encode(document: &Document) -> Result<Vec<u8>, EncodeError> {
            Ok(match document {
                $(Document::$kind(fields) => postcard::to_stdvec(&$module::$kind::of(fields))?,)+
            })
        }

        /// The document whose form has that number.
        pub(super) fn decode(tag: u8, bytes: &[u8]) -> Result<Document, DecodeError> {
            if tag == PERSON_WITHOUT_DUTIES {
                let before = read::<practitioner_role::WithoutDuties<'_>>(bytes)?;
                return Ok(Document::PractitionerRole(before.upcast().back()?));
            }
            match DocumentKind::from_tag(tag).ok_or(DecodeError::UnknownKind { tag })? {
                $(DocumentKind::$kind => {
                    Ok(Document::$kind(read::<$module::$kind<'_>>(bytes)?.back()?))
                })+
            }
        }
    };
}

registry! {
    AccessPolicy in access_policy;
    BreakGlassReview in break_glass_review;
    PrivacyIncident in privacy_incident;
    PractitionerRole in practitioner_role;
}
