//! Who asks, in which role, why, and what they want to do.

mod operation;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A caller whom the server authenticated.
///
/// At least one of `person` and `service` is meaningful: people act through a service, and a
/// service may act alone where the role table allows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The person's stable identifier in the hospital's directory (the token's `sub`).
    pub person: Option<String>,
    /// The calling service, as its client certificate names it, else the token's `azp`.
    pub service: String,
    /// Roles that the token grants, or the configuration to a service that acts alone.
    pub roles: Vec<Role>,
    /// The organisation that employs the person (the token's `org`).
    pub organisation: String,
    /// Network address the call came from, as BALP's `agent.network` wants it.
    pub network: Option<String>,
    /// Who vouched for the person: the token's `iss`; unset without a token.
    pub issuer: Option<String>,
}

/// A functional role, which access policies go by (HL7 "functional role", ISO 21298).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// Keeps files exact, coordinates care, reports.
    CaseManager,
    /// Treats patients.
    Physician,
    /// Nurses patients.
    Nurse,
    /// Registers patients and keeps their identity.
    Registrar,
    /// Bills; finds patients, reads what a bill needs, and files nothing.
    Billing,
    /// Reviews who saw what; reads the audit trail.
    ComplianceOfficer,
    /// Runs the cluster; sees no clinical content.
    HospitalIt,
    /// Checks the ledger and the trail from outside.
    Auditor,
    /// Acts for a patient (45 CFR 164.502(g)), by a consent in that patient's file.
    PatientRepresentative,
}

impl Role {
    /// Every role, in the order in which they are documented.
    pub const ALL: [Self; 9] = [
        Self::CaseManager,
        Self::Physician,
        Self::Nurse,
        Self::Registrar,
        Self::Billing,
        Self::ComplianceOfficer,
        Self::HospitalIt,
        Self::Auditor,
        Self::PatientRepresentative,
    ];

    /// The name used in tokens and on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CaseManager => "case-manager",
            Self::Physician => "physician",
            Self::Nurse => "nurse",
            Self::Registrar => "registrar",
            Self::Billing => "billing",
            Self::ComplianceOfficer => "compliance-officer",
            Self::HospitalIt => "hospital-it",
            Self::Auditor => "auditor",
            Self::PatientRepresentative => "patient-representative",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A role name that no role has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown role; use one of case-manager, physician, nurse, registrar, billing, compliance-officer, hospital-it, auditor, patient-representative"
)]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or(UnknownRole)
    }
}

/// Why a person looks or files: a code of HL7 v3 PurposeOfUse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purpose(&'static str);

impl Purpose {
    /// Codes of HL7 v3 `PurposeOfUse` that a caller may give. The only list of them in the code; the
    /// comment of the interface's `Purpose` shows the same to clients.
    pub const CODES: [&'static str; 33] = [
        "TREAT",
        "CAREMGT",
        "COC",
        "ETREAT",
        "BTG",
        "ERTREAT",
        "CLINTRL",
        "HPAYMT",
        "CLMATTCH",
        "COVAUTH",
        "COVERAGE",
        "ELIGDTRM",
        "ELIGVER",
        "ENROLLM",
        "REMITADV",
        "HOPERAT",
        "HACCRED",
        "HCOMPL",
        "HDIRECT",
        "HLEGAL",
        "HOUTCOMS",
        "HQUALIMP",
        "PATADMIN",
        "PATSFTY",
        "PERFMSR",
        "RECORDMGT",
        "SYSDEV",
        "HTEST",
        "TRAIN",
        "HRESCH",
        "PATRQT",
        "FAMRQT",
        "PUBHLTH",
    ];

    /// The hospital's operation, for calls about a node itself.
    pub const OPERATION: Self = Self("HOPERAT");

    /// Compliance, for a verifier of the ledger.
    pub const COMPLIANCE: Self = Self("HCOMPL");

    /// The purpose with this code.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        Self::CODES.into_iter().find(|known| *known == code).map(Self)
    }

    /// Emergency access to what is not open otherwise ("break the glass").
    pub(crate) const BREAK_GLASS: Self = Self("BTG");

    /// Whether the caller must say in their own words why: whoever breaks the glass.
    #[must_use]
    pub fn needs_reason(&self) -> bool {
        self.0 == "BTG"
    }

    /// The code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.0
    }

    /// Whether this is the purpose with that code, or a kind of it.
    pub(crate) fn is_kind_of(&self, code: &str) -> bool {
        self.0 == code || self.parent().is_some_and(|parent| parent.is_kind_of(code))
    }

    /// The code that this one is a kind of, in HL7's hierarchy.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        let parent = match self.0 {
            "CAREMGT" | "COC" | "ETREAT" | "CLINTRL" => "TREAT",
            "BTG" | "ERTREAT" => "ETREAT",
            "CLMATTCH" | "COVAUTH" | "COVERAGE" | "ELIGDTRM" | "ELIGVER" | "ENROLLM"
            | "REMITADV" => "HPAYMT",
            "HACCRED" | "HCOMPL" | "HDIRECT" | "HLEGAL" | "HOUTCOMS" | "HQUALIMP" | "PATADMIN"
            | "PATSFTY" | "PERFMSR" | "RECORDMGT" | "SYSDEV" | "HTEST" | "TRAIN" => "HOPERAT",
            "FAMRQT" => "PATRQT",
            _ => return None,
        };
        Some(Self(parent))
    }
}

/// What a call does, the access policies' action. (A ledger's head shows nobody's data: whoever has
/// credentials may read it.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Operation {
    /// Register a patient.
    RegisterPatient,
    /// File changes in a patient's file.
    Contribute,
    /// Settle a request whose outcome is unknown.
    SettleRequest,
    /// Read the file, now or as of a moment.
    GetPatientFile,
    /// Read the file's history.
    GetPatientHistory,
    /// Find a patient by an identifier.
    FindPatient,
    /// Follow a file's changes.
    WatchPatientFile,
    /// Import items.
    Import,
    /// Read the audit trail.
    ListAccesses,
    /// See again what an access showed.
    Replay,
    /// Read the headers of records, as a verifier of the whole ledger does.
    ReadEntries,
    /// Have it proved what a ledger holds: headers of records, or accesses with what they say.
    Prove,
    /// The same of records with what they say.
    ProveContents,
    /// Propose access policies.
    ProposePolicy,
    /// Put a proposal in force.
    AdoptPolicy,
    /// Take a proposal back.
    WithdrawPolicy,
    /// Read a set of access policies.
    GetPolicy,
    /// List the sets.
    ListPolicies,
    /// See what a set would have changed on the trail.
    TryPolicy,
    /// Break the glass.
    BreakGlass,
    /// End an emergency access.
    EndEmergencyAccess,
    /// List emergency accesses and their reviews.
    ListEmergencyAccesses,
    /// Close the review of an emergency access.
    CloseReview,
    /// Open a privacy incident.
    OpenIncident,
    /// File a privacy incident anew.
    AmendIncident,
    /// Read a privacy incident.
    GetIncident,
    /// List privacy incidents.
    ListIncidents,
    /// Read the node's state.
    GetNodeStatus,
    /// File who works here.
    PutPractitionerRole,
    /// Read what is known of somebody who works here.
    GetPractitionerRole,
    /// Read who works here.
    ListPractitionerRoles,
    /// File which patient somebody who works here is.
    LinkOwnFile,
    /// Read which patient somebody who works here is.
    GetOwnFile,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 33] = [
        Self::RegisterPatient,
        Self::Contribute,
        Self::SettleRequest,
        Self::GetPatientFile,
        Self::GetPatientHistory,
        Self::FindPatient,
        Self::WatchPatientFile,
        Self::Import,
        Self::ListAccesses,
        Self::Replay,
        Self::ReadEntries,
        Self::Prove,
        Self::ProveContents,
        Self::ProposePolicy,
        Self::AdoptPolicy,
        Self::WithdrawPolicy,
        Self::GetPolicy,
        Self::ListPolicies,
        Self::TryPolicy,
        Self::BreakGlass,
        Self::EndEmergencyAccess,
        Self::ListEmergencyAccesses,
        Self::CloseReview,
        Self::OpenIncident,
        Self::AmendIncident,
        Self::GetIncident,
        Self::ListIncidents,
        Self::GetNodeStatus,
        Self::PutPractitionerRole,
        Self::GetPractitionerRole,
        Self::ListPractitionerRoles,
        Self::LinkOwnFile,
        Self::GetOwnFile,
    ];

    /// The action that access policies know it by.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Self::ReadEntries => "ReadEntries",
            Self::ProveContents => "ProveContents",
            Self::RegisterPatient
            | Self::Contribute
            | Self::SettleRequest
            | Self::GetPatientFile
            | Self::GetPatientHistory
            | Self::FindPatient
            | Self::WatchPatientFile
            | Self::Import
            | Self::ListAccesses
            | Self::Replay
            | Self::Prove
            | Self::ProposePolicy
            | Self::AdoptPolicy
            | Self::WithdrawPolicy
            | Self::GetPolicy
            | Self::ListPolicies
            | Self::TryPolicy
            | Self::PutPractitionerRole
            | Self::GetPractitionerRole
            | Self::ListPractitionerRoles
            | Self::LinkOwnFile
            | Self::GetOwnFile
            | Self::BreakGlass
            | Self::EndEmergencyAccess
            | Self::ListEmergencyAccesses
            | Self::CloseReview
            | Self::OpenIncident
            | Self::AmendIncident
            | Self::GetIncident
            | Self::ListIncidents
            | Self::GetNodeStatus => self.name().rsplit('/').next().unwrap_or_default(),
        }
    }

    /// The operation that the audit trail names so.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }

    /// The operation that the audit trail names so, if it is one whose answers are rendered from what
    /// is on file.
    pub(crate) fn replayed(name: &str) -> Option<Self> {
        [
            Self::RegisterPatient,
            Self::GetPatientFile,
            Self::GetPatientHistory,
            Self::FindPatient,
            Self::WatchPatientFile,
            Self::Import,
            Self::ListAccesses,
            Self::Replay,
            Self::GetPractitionerRole,
            Self::ListPractitionerRoles,
            Self::GetOwnFile,
            Self::GetPolicy,
            Self::ListPolicies,
            Self::GetIncident,
            Self::ListIncidents,
            Self::ListEmergencyAccesses,
        ]
        .into_iter()
        .find(|one| one.name() == name)
    }

    /// The gRPC method, or what is asked for by HTTP, as the audit trail names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RegisterPatient => "PatientFileService/RegisterPatient",
            Self::Contribute => "PatientFileService/Contribute",
            Self::SettleRequest => "PatientFileService/SettleRequest",
            Self::GetPatientFile => "PatientFileService/GetPatientFile",
            Self::GetPatientHistory => "PatientFileService/GetPatientHistory",
            Self::FindPatient => "PatientFileService/FindPatient",
            Self::WatchPatientFile => "PatientFileService/WatchPatientFile",
            Self::Import => "ImportService/Import",
            Self::ListAccesses => "AuditService/ListAccesses",
            Self::Replay => "AuditService/Replay",
            Self::ReadEntries => "GET tile/entries",
            Self::Prove => "EvidenceService/Prove",
            Self::ProveContents => "EvidenceService/Prove, with contents",
            Self::ProposePolicy => "PolicyService/ProposePolicy",
            Self::AdoptPolicy => "PolicyService/AdoptPolicy",
            Self::WithdrawPolicy => "PolicyService/WithdrawPolicy",
            Self::GetPolicy => "PolicyService/GetPolicy",
            Self::ListPolicies => "PolicyService/ListPolicies",
            Self::TryPolicy => "PolicyService/TryPolicy",
            Self::BreakGlass => "EmergencyAccessService/BreakGlass",
            Self::EndEmergencyAccess => "EmergencyAccessService/EndEmergencyAccess",
            Self::ListEmergencyAccesses => "EmergencyAccessService/ListEmergencyAccesses",
            Self::CloseReview => "EmergencyAccessService/CloseReview",
            Self::OpenIncident => "PrivacyIncidentService/OpenIncident",
            Self::AmendIncident => "PrivacyIncidentService/AmendIncident",
            Self::GetIncident => "PrivacyIncidentService/GetIncident",
            Self::ListIncidents => "PrivacyIncidentService/ListIncidents",
            Self::GetNodeStatus => "LedgerService/GetNodeStatus",
            Self::PutPractitionerRole => "StaffService/PutPractitionerRole",
            Self::GetPractitionerRole => "StaffService/GetPractitionerRole",
            Self::ListPractitionerRoles => "StaffService/ListPractitionerRoles",
            Self::LinkOwnFile => "StaffService/LinkOwnFile",
            Self::GetOwnFile => "StaffService/GetOwnFile",
        }
    }
}

/// One call: who, why, how long it may take, and its canonical request bytes for the trail.
#[derive(Clone, Debug)]
pub struct Context {
    /// The authenticated caller.
    pub caller: Caller,
    /// Purpose of use.
    pub purpose: Purpose,
    /// Free text the caller gave as a reason; sealed with the access record.
    pub reason: Option<String>,
    /// What is being called.
    pub operation: Operation,
    /// The request as the caller sent it (its protobuf encoding); sealed in the trail, and
    /// what a repeated request id is compared with.
    pub request: Vec<u8>,
    /// How long the caller waits, from the start of the call.
    pub patience: Duration,
}

impl Context {
    /// Whether it is made in an emergency, and therefore by those who broke the glass: with the
    /// purpose BTG, unless it is the breaking itself or its end.
    pub(crate) fn needs_broken_glass(&self) -> bool {
        self.operation.needs_broken_glass(self.purpose.code())
    }
}

/// Which state of a file is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AsOf {
    /// The newest this node has applied.
    Now,
    /// The file after this version of its chain.
    Version(u64),
    /// The file at this time, µs since 1970 UTC.
    Time(u64),
}
