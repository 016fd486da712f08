//! One entry: the envelope that all kinds share, and the kind's own fields as bytes.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::kind;
use super::value::{Actor, Coding, Concept, Effective, Id, Moment, SourceId};
use crate::error::{DecodeError, EncodeError};
use crate::mirror::{Bytes, Mirror, Text, mirror_enum, mirror_struct};

mirror_enum! {
    Severity<'a> = domain::Severity {
        Remark,
        Violation,
    }
}

mirror_struct! {
    Finding<'a> = domain::Finding {
        code: Text<'a>,
        severity: Severity<'a>,
        field: Text<'a>,
        text: Text<'a>,
    }
}

mirror_struct! {
    Override<'a> = domain::Override {
        finding_code: Text<'a>,
        reason: Text<'a>,
    }
}

/// An entry. The kind's tag and the summary come first, so that a build that does not know the
/// kind can still say what it is.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry<'a> {
    pub(crate) kind: u8,
    pub(crate) summary: Text<'a>,
    status: Option<Text<'a>>,
    code: Concept<'a>,
    effective: Option<Effective<'a>>,
    recorded_date: Option<Moment<'a>>,
    recorder: Option<Actor<'a>>,
    asserter: Option<Actor<'a>>,
    verifier: Option<Actor<'a>>,
    encounter: Option<Id>,
    unit: Option<Text<'a>>,
    labels: Vec<Coding<'a>>,
    source: Option<SourceId<'a>>,
    delivered: Option<[u8; 32]>,
    note: Option<Text<'a>>,
    detail: Bytes<'a>,
    findings: Vec<Finding<'a>>,
    overrides: Vec<Override<'a>>,
}

impl<'a> Entry<'a> {
    pub(crate) fn of(entry: &'a domain::Entry) -> Result<Self, EncodeError> {
        Ok(Self {
            kind: entry.kind().tag(),
            summary: Cow::Owned(entry.summary()),
            status: Mirror::of(&entry.status),
            code: Mirror::of(&entry.code),
            effective: Mirror::of(&entry.effective),
            recorded_date: Mirror::of(&entry.recorded_date),
            recorder: Mirror::of(&entry.recorder),
            asserter: Mirror::of(&entry.asserter),
            verifier: Mirror::of(&entry.verifier),
            encounter: Mirror::of(&entry.encounter),
            unit: Mirror::of(&entry.unit),
            labels: Mirror::of(&entry.labels),
            source: Mirror::of(&entry.source),
            delivered: entry.delivered,
            note: Mirror::of(&entry.note),
            detail: Bytes(Cow::Owned(kind::encode(&entry.detail)?)),
            findings: Mirror::of(&entry.findings),
            overrides: Mirror::of(&entry.overrides),
        })
    }

    pub(crate) fn back(self) -> Result<domain::Entry, DecodeError> {
        Ok(domain::Entry {
            status: self.status.back()?,
            code: self.code.back()?,
            effective: self.effective.back()?,
            recorded_date: self.recorded_date.back()?,
            recorder: self.recorder.back()?,
            asserter: self.asserter.back()?,
            verifier: self.verifier.back()?,
            encounter: self.encounter.back()?,
            unit: self.unit.back()?,
            labels: self.labels.back()?,
            source: self.source.back()?,
            delivered: self.delivered,
            note: self.note.back()?,
            detail: kind::decode(self.kind, &self.detail.0)?,
            findings: self.findings.back()?,
            overrides: self.overrides.back()?,
        })
    }
}

/// What its source says of an entry, and nothing that this system adds: the summary, findings.
pub(crate) fn encode_delivered_entry(entry: &domain::Entry) -> Result<Vec<u8>, EncodeError> {
    let (summary, findings) = (Cow::Borrowed(""), Vec::new());
    let said = Entry { summary, findings, delivered: None, ..Entry::of(entry)? };
    Ok(postcard::to_stdvec(&said)?)
}
