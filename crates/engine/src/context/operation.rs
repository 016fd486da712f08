//! What holds of each operation before anybody's file is looked at.

use super::{Operation, Purpose};

impl Operation {
    /// Whether it is for those who broke the glass, with this purpose: all but the breaking itself and its
    /// end are, with BTG.
    pub(crate) fn needs_broken_glass(self, purpose: &str) -> bool {
        let breaks = matches!(self, Self::BreakGlass | Self::EndEmergencyAccess);
        purpose == Purpose::BREAK_GLASS.code() && !breaks
    }

    /// Whether an emergency access can cover it. Those that concern no patient none covers; nor does one
    /// cover importing, which is no emergency's work and would change what stands when it is over.
    pub(crate) const fn can_be_covered(self) -> bool {
        match self {
            Self::Contribute
            | Self::GetPatientFile
            | Self::GetPatientHistory
            | Self::FindPatient
            | Self::WatchPatientFile
            | Self::ListAccesses
            | Self::Replay
            | Self::Prove
            | Self::ProveContents
            | Self::BreakGlass
            | Self::EndEmergencyAccess
            | Self::CloseReview
            | Self::LinkOwnFile
            | Self::GetOwnFile => true,
            Self::RegisterPatient
            | Self::SettleRequest
            | Self::Import
            | Self::ReadEntries
            | Self::ProposePolicy
            | Self::AdoptPolicy
            | Self::WithdrawPolicy
            | Self::GetPolicy
            | Self::ListPolicies
            | Self::TryPolicy
            | Self::ListEmergencyAccesses
            | Self::OpenIncident
            | Self::AmendIncident
            | Self::GetIncident
            | Self::ListIncidents
            | Self::GetNodeStatus
            | Self::PutPractitionerRole
            | Self::GetPractitionerRole
            | Self::ListPractitionerRoles => false,
        }
    }

    /// Whether who is let in and names nobody's file hears NOT_FOUND: then that can also be said of a patient
    /// of whom the caller may not know. Of others it would be another answer than nobody's.
    pub(crate) const fn looks_for_a_patient(self) -> bool {
        matches!(
            self,
            Self::Contribute
                | Self::GetPatientFile
                | Self::GetPatientHistory
                | Self::FindPatient
                | Self::WatchPatientFile
                | Self::Import
                | Self::BreakGlass
                | Self::EndEmergencyAccess
                | Self::LinkOwnFile
                | Self::GetOwnFile
        )
    }

    /// Whether somebody waits for the answer who works with files: imports give way to them, but not to
    /// one another, to a watch's next message or to whoever watches the node.
    pub(crate) const fn goes_first(self) -> bool {
        match self {
            Self::RegisterPatient
            | Self::Contribute
            | Self::SettleRequest
            | Self::GetPatientFile
            | Self::GetPatientHistory
            | Self::FindPatient
            | Self::ListAccesses
            | Self::Replay
            | Self::PutPractitionerRole
            | Self::GetPractitionerRole
            | Self::ListPractitionerRoles
            | Self::LinkOwnFile
            | Self::GetOwnFile
            | Self::ProposePolicy
            | Self::AdoptPolicy
            | Self::WithdrawPolicy
            | Self::GetPolicy
            | Self::ListPolicies
            | Self::BreakGlass
            | Self::EndEmergencyAccess
            | Self::ListEmergencyAccesses
            | Self::CloseReview
            | Self::OpenIncident
            | Self::AmendIncident
            | Self::GetIncident
            | Self::ListIncidents => true,
            Self::WatchPatientFile
            | Self::Import
            | Self::ReadEntries
            | Self::Prove
            | Self::ProveContents
            | Self::TryPolicy
            | Self::GetNodeStatus => false,
        }
    }
}
