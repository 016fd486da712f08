//! Values that every kind of entry is built from.

use std::borrow::Cow;

use domain::{Decimal, EntryId, FhirDateTime, PatientId};
use serde::{Deserialize, Serialize};

use crate::error::DecodeError;
use crate::mirror::{Mirror, Text, mirror_enum, mirror_struct};

/// A date or time, as its text.
#[derive(Serialize, Deserialize)]
pub(crate) struct Moment<'a>(Cow<'a, str>);

impl<'a> Mirror<'a> for Moment<'a> {
    type Plain = FhirDateTime;

    fn of(plain: &'a FhirDateTime) -> Self {
        Self(Cow::Borrowed(plain.as_str()))
    }

    fn back(self) -> Result<FhirDateTime, DecodeError> {
        FhirDateTime::parse(&self.0).map_err(|_| DecodeError::Malformed)
    }
}

/// A decimal number, as its text.
#[derive(Serialize, Deserialize)]
pub(crate) struct Number<'a>(Cow<'a, str>);

impl<'a> Mirror<'a> for Number<'a> {
    type Plain = Decimal;

    fn of(plain: &'a Decimal) -> Self {
        Self(Cow::Borrowed(plain.as_str()))
    }

    fn back(self) -> Result<Decimal, DecodeError> {
        Decimal::parse(&self.0).map_err(|_| DecodeError::Malformed)
    }
}

/// An entry's id: 16 bytes without a length.
#[derive(Serialize, Deserialize)]
pub(crate) struct Id([u8; 16]);

impl<'a> Mirror<'a> for Id {
    type Plain = EntryId;

    fn of(plain: &'a EntryId) -> Self {
        Self(plain.0)
    }

    fn back(self) -> Result<EntryId, DecodeError> {
        Ok(EntryId(self.0))
    }
}

/// A patient's id: 16 bytes without a length.
#[derive(Serialize, Deserialize)]
pub(crate) struct FileId([u8; 16]);

impl<'a> Mirror<'a> for FileId {
    type Plain = PatientId;

    fn of(plain: &'a PatientId) -> Self {
        Self(plain.0)
    }

    fn back(self) -> Result<PatientId, DecodeError> {
        Ok(PatientId(self.0))
    }
}

mirror_struct! {
    Coding<'a> = domain::Coding {
        system: Text<'a>,
        version: Option<Text<'a>>,
        code: Text<'a>,
        display: Option<Text<'a>>,
    }
}

mirror_struct! {
    Concept<'a> = domain::CodeableConcept {
        coding: Vec<Coding<'a>>,
        text: Option<Text<'a>>,
    }
}

mirror_struct! {
    Period<'a> = domain::Period {
        start: Option<Moment<'a>>,
        end: Option<Moment<'a>>,
    }
}

mirror_enum! {
    Effective<'a> = domain::Effective {
        At(moment: Moment<'a>),
        During(period: Period<'a>),
    }
}

mirror_struct! {
    Quantity<'a> = domain::Quantity {
        value: Number<'a>,
        comparator: Option<Text<'a>>,
        unit: Option<Text<'a>>,
        system: Option<Text<'a>>,
        code: Option<Text<'a>>,
    }
}

mirror_struct! {
    Actor<'a> = domain::Actor {
        reference: Text<'a>,
        display: Option<Text<'a>>,
    }
}

mirror_struct! {
    SourceId<'a> = domain::SourceId {
        system: Text<'a>,
        value: Text<'a>,
    }
}
