//! Access records.

use super::read;
use crate::error::{DecodeError, EncodeError};
use crate::mirror::{Bytes, Mirror, Text, mirror_enum, mirror_struct};

mirror_enum! {
    AccessKind<'a> = crate::AccessKind {
        Shown,
        Denied,
        Query,
    }
}

mirror_enum! {
    Outcome<'a> = crate::Outcome {
        Shown,
        Denied,
        NotFound,
        Refused,
    }
}

mirror_struct! {
    AccessRecord<'a> = crate::AccessRecord {
        kind: AccessKind<'a>,
        person: Option<Text<'a>>,
        service: Text<'a>,
        roles: Vec<Text<'a>>,
        organisation: Text<'a>,
        purpose: Text<'a>,
        reason: Option<Text<'a>>,
        relationship: Option<Text<'a>>,
        operation: Text<'a>,
        outcome: Outcome<'a>,
        request: Bytes<'a>,
        position: u64,
        first_version: u64,
        version: u64,
        policy_version: Text<'a>,
        deciding: Vec<Text<'a>>,
        masked: Vec<Text<'a>>,
        answer_format: u16,
        count: u32,
        answer_digest: [u8; 32],
        told: Option<Text<'a>>,
        network: Option<Text<'a>>,
        issuer: Option<Text<'a>>,
        emergency: Option<[u8; 16]>,
        circumstances: Vec<Text<'a>>,
        ;
        trail = 0,
        answered_at = 0,
    }
}

/// What the second form has behind the first: of which trail and time the answer was. An access that
/// says neither is stored in the first form.
type Since = (u64, u64);

pub(crate) fn encode_access(record: &crate::AccessRecord) -> Result<Vec<u8>, EncodeError> {
    let first = postcard::to_stdvec(&AccessRecord::of(record))?;
    let since: Since = (record.trail, record.answered_at);
    if since == Since::default() { Ok(first) } else { Ok(postcard::to_extend(&since, first)?) }
}

pub(crate) fn decode_access(bytes: &[u8]) -> Result<crate::AccessRecord, DecodeError> {
    let (first, rest) = postcard::take_from_bytes::<AccessRecord<'_>>(bytes)?;
    let first = first.back()?;
    if rest.is_empty() {
        return Ok(first);
    }
    let (trail, answered_at): Since = read(rest)?;
    Ok(crate::AccessRecord { trail, answered_at, ..first })
}
