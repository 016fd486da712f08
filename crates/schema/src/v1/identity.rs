//! Who a patient file is about.

use super::value::{Coding, Concept, Moment, Period, SourceId};
use crate::error::EncodeError;
use crate::mirror::{Mirror, Text, mirror_enum, mirror_struct};

mirror_struct! {
    Identifier<'a> = domain::Identifier {
        system: Text<'a>,
        value: Text<'a>,
        r#use: Option<Text<'a>>,
        kind: Option<Concept<'a>>,
        period: Option<Period<'a>>,
    }
}

mirror_struct! {
    HumanName<'a> = domain::HumanName {
        r#use: Option<Text<'a>>,
        text: Option<Text<'a>>,
        family: Option<Text<'a>>,
        given: Vec<Text<'a>>,
        prefix: Vec<Text<'a>>,
        suffix: Vec<Text<'a>>,
        period: Option<Period<'a>>,
    }
}

mirror_struct! {
    Address<'a> = domain::Address {
        r#use: Option<Text<'a>>,
        line: Vec<Text<'a>>,
        city: Option<Text<'a>>,
        district: Option<Text<'a>>,
        state: Option<Text<'a>>,
        postal_code: Option<Text<'a>>,
        country: Option<Text<'a>>,
        text: Option<Text<'a>>,
        period: Option<Period<'a>>,
    }
}

mirror_struct! {
    ContactPoint<'a> = domain::ContactPoint {
        system: Option<Text<'a>>,
        value: Text<'a>,
        r#use: Option<Text<'a>>,
        rank: Option<u32>,
        period: Option<Period<'a>>,
    }
}

mirror_enum! {
    Deceased<'a> = domain::Deceased {
        At(moment: Moment<'a>),
        Yes,
        No,
    }
}

mirror_struct! {
    Identity<'a> = domain::Identity {
        identifiers: Vec<Identifier<'a>>,
        names: Vec<HumanName<'a>>,
        preferred_name: Option<Text<'a>>,
        birth_date: Option<Moment<'a>>,
        deceased: Option<Deceased<'a>>,
        sex: Option<Text<'a>>,
        sex_at_birth: Option<Text<'a>>,
        gender_identity: Option<Concept<'a>>,
        language: Option<Coding<'a>>,
        interpreter_needed: Option<bool>,
        addresses: Vec<Address<'a>>,
        telecoms: Vec<ContactPoint<'a>>,
        unidentified: bool,
        alias: Option<Text<'a>>,
        confidential_telecoms: Vec<ContactPoint<'a>>,
        confidential_addresses: Vec<Address<'a>>,
        labels: Vec<Coding<'a>>,
        source: Option<SourceId<'a>>,
        delivered: Option<[u8; 32]>,
    }
}

/// What its source says of who a file is about.
pub(crate) fn encode_delivered_identity(
    identity: &domain::Identity,
) -> Result<Vec<u8>, EncodeError> {
    let said = Identity { delivered: None, ..Mirror::of(identity) };
    Ok(postcard::to_stdvec(&said)?)
}
