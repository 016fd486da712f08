//! May they? A first check by role. Its pass is the only key to what is on file, and both a pass
//! used and a pass refused leave an access record (invariant 7).

use std::sync::Arc;

use store::Store;

use crate::context::{Operation, Role};

/// What a role may do. Later policies narrow it; nothing widens it.
pub(crate) const fn permitted(role: Role, operation: Operation) -> bool {
    use Operation as O;
    match role {
        Role::CaseManager => !matches!(
            operation,
            O::ListAccesses
                | O::Replay
                | O::ReadEntries
                | O::Prove
                | O::ProveContents
                | O::GetNodeStatus
        ),
        Role::Physician | Role::Nurse => !matches!(
            operation,
            O::RegisterPatient
                | O::Import
                | O::ListAccesses
                | O::Replay
                | O::ReadEntries
                | O::Prove
                | O::ProveContents
                | O::GetNodeStatus
        ),
        Role::Registrar => !matches!(
            operation,
            O::GetPatientHistory
                | O::WatchPatientFile
                | O::ListAccesses
                | O::Replay
                | O::ReadEntries
                | O::Prove
                | O::ProveContents
                | O::GetNodeStatus
        ),
        // A bill needs a part of the file; until parts can be masked, it gets none.
        Role::Billing => matches!(operation, O::FindPatient | O::GetHead),
        Role::ComplianceOfficer => matches!(
            operation,
            O::GetPatientFile
                | O::GetPatientHistory
                | O::FindPatient
                | O::ListAccesses
                | O::Replay
                | O::ReadEntries
                | O::Prove
                | O::ProveContents
                | O::GetHead
                | O::GetNodeStatus
        ),
        Role::HospitalIt => matches!(operation, O::GetHead | O::GetNodeStatus),
        Role::Auditor => {
            matches!(
                operation,
                O::ListAccesses | O::ReadEntries | O::Prove | O::GetHead | O::GetNodeStatus
            )
        }
    }
}

/// Proof that the access check said yes. Only this module makes one.
#[derive(Debug)]
pub(crate) struct Pass(());

/// The access check.
pub(crate) fn check(roles: &[Role], operation: Operation) -> Option<Pass> {
    roles.iter().any(|role| permitted(*role, operation)).then_some(Pass(()))
}

/// What is on file, behind the access check.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(Arc<Store>);

impl Shelf {
    pub(crate) const fn new(store: Arc<Store>) -> Self {
        Self(store)
    }

    /// For reading what will be shown, and recorded before it is.
    pub(crate) fn open(&self, _pass: &Pass) -> &Store {
        &self.0
    }

    /// For deciding on a change: nothing read this way may reach an answer.
    pub(crate) fn never_to_be_shown(&self) -> &Arc<Store> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hospital_it_sees_no_patient_data() {
        for operation in [
            Operation::GetPatientFile,
            Operation::GetPatientHistory,
            Operation::FindPatient,
            Operation::WatchPatientFile,
            Operation::ListAccesses,
            Operation::Replay,
            Operation::ReadEntries,
            Operation::Prove,
            Operation::ProveContents,
            Operation::Contribute,
        ] {
            assert!(check(&[Role::HospitalIt], operation).is_none(), "{operation:?}");
        }
    }

    #[test]
    fn only_compliance_and_audit_read_the_trail() {
        for operation in [Operation::ListAccesses, Operation::ReadEntries, Operation::Prove] {
            let readers: Vec<_> =
                Role::ALL.into_iter().filter(|role| permitted(*role, operation)).collect();
            assert_eq!(readers, [Role::ComplianceOfficer, Role::Auditor]);
        }
    }

    #[test]
    fn no_role_no_pass() {
        assert!(check(&[], Operation::GetHead).is_none());
    }
}
