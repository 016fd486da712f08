//! The stored forms of the kinds and their registry: one file and one line a kind.

mod allergy_intolerance;
mod care_team;
mod condition;
mod consent;
mod encounter;
mod immunization;
mod medication_request;
mod note;
mod observation;
mod procedure;
mod service_request;
mod task;

use domain::{Detail, Kind};

use super::read;
use crate::error::{DecodeError, EncodeError};
use crate::mirror::Mirror;

macro_rules! registry {
    ($($kind:ident in $module:ident;)+) => {
        /// The kind's own fields.
        pub(super) fn encode(detail: &Detail) -> Result<Vec<u8>, EncodeError> {
            Ok(match detail {
                $(Detail::$kind(fields) => postcard::to_stdvec(&$module::$kind::of(fields))?,)+
            })
        }

        /// The detail of the kind with that tag.
        pub(super) fn decode(tag: u8, bytes: &[u8]) -> Result<Detail, DecodeError> {
            match Kind::from_tag(tag).ok_or(DecodeError::UnknownKind { tag })? {
                $(Kind::$kind => Ok(Detail::$kind(read::<$module::$kind<'_>>(bytes)?.back()?)),)+
            }
        }
    };
}

registry! {
    Condition in condition;
    AllergyIntolerance in allergy_intolerance;
    MedicationRequest in medication_request;
    Procedure in procedure;
    Observation in observation;
    Immunization in immunization;
    Encounter in encounter;
    Note in note;
    CareTeam in care_team;
    Consent in consent;
    ServiceRequest in service_request;
    Task in task;
}
