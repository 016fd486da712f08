//! The registry of hospital numbers: an issuer's numbers hash into 65,536 buckets, each a subject
//! with a chain, so that two registrations of one number link to one chain and cannot both win.

use domain::{Identifier, Identity};
use ledger::SubjectId;

use crate::Failure;
use crate::engine::Engine;
use crate::filing::first_half;

/// HL7 v2 table 0203 code of a medical record number.
const MEDICAL_RECORD: &str = "MR";

/// The identifiers that name one patient: the medical record numbers (v2-0203 `MR`); without any,
/// the first identifier. Other numbers (insurance, passport) are shared or mistyped too often to
/// decide who somebody is.
pub(crate) fn numbers(identity: &Identity) -> Vec<Identifier> {
    let medical = |identifier: &&Identifier| {
        identifier
            .kind
            .as_ref()
            .is_some_and(|kind| kind.coding.iter().any(|coding| coding.code == MEDICAL_RECORD))
    };
    let known =
        |identifier: &&Identifier| !identifier.system.is_empty() && !identifier.value.is_empty();
    let mut numbers: Vec<Identifier> =
        identity.identifiers.iter().filter(known).filter(medical).cloned().collect();
    if numbers.is_empty() {
        numbers.extend(identity.identifiers.iter().find(known).cloned());
    }
    numbers.dedup_by(|a, b| a.system == b.system && a.value == b.value);
    numbers
}

impl Engine {
    /// The bucket that a number is registered in.
    pub(crate) fn bucket(&self, number: &Identifier) -> Result<SubjectId, Failure> {
        let issuer = number.system.as_bytes();
        let term = self.vault.index_term("registry/number", &[issuer, number.value.as_bytes()])?;
        let bucket = [term.first().copied().unwrap_or(0), term.get(1).copied().unwrap_or(0)];
        Ok(SubjectId(first_half(&self.vault.index_term("registry/bucket", &[issuer, &bucket])?)))
    }
}
