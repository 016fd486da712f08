//! What is known of a caller and a patient when it is decided whether one may see the other.

use domain::PatientId;

use crate::Failure;
use crate::context::Context;
use crate::engine::Engine;

/// What access policies are told beyond the call itself. Part of what a decision is remembered by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// How the caller has to do with the patient, as the access record names it; none if not at all,
    /// or if nobody in particular is concerned.
    pub relationship: Option<String>,
    /// The emergency access that the caller has opened and that covers the patient.
    pub emergency: Option<[u8; 16]>,
}

impl Engine {
    /// What is known of the caller and the patient.
    pub(crate) fn facts(
        &self,
        _ctx: &Context,
        _patient: Option<PatientId>,
    ) -> Result<Facts, Failure> {
        Ok(Facts::default())
    }
}
