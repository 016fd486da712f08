//! The access record: who was shown or denied what, when, why and on whose authority (IHE BALP,
//! HL7 EHR-S FM RI.1.1.5.1). When and on which node stands in the record's header.

/// What an access record is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccessKind {
    /// Something of one patient's file was shown.
    Shown,
    /// Something was refused.
    Denied,
    /// A query was answered, whatever it found.
    Query,
}

/// How an access ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The answer was shown.
    Shown,
    /// The caller may not see it.
    Denied,
    /// There is nothing, or the caller may not know that there is.
    NotFound,
    /// It was let in, and a rule of what it was to change refused it, as the caller was told.
    Refused,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Shown, Self::Denied, Self::NotFound, Self::Refused];

    /// Stable name, for filters and the wire: `shown`, `denied`, `not-found`, `refused`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Denied => "denied",
            Self::NotFound => "not-found",
            Self::Refused => "refused",
        }
    }
}

/// One access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// What it is about.
    pub kind: AccessKind,
    /// Who: the token's `sub`; unset if a service acted alone.
    pub person: Option<String>,
    /// Through which service: the token's `azp` or the certificate.
    pub service: String,
    /// In which roles.
    pub roles: Vec<String>,
    /// Of which organisation.
    pub organisation: String,
    /// Why: HL7 v3 PurposeOfUse.
    pub purpose: String,
    /// Why, in the caller's words.
    pub reason: Option<String>,
    /// Relationship to the patient that the decision rested on.
    pub relationship: Option<String>,
    /// The call: `PatientFileService/GetPatientFile`.
    pub operation: String,
    /// How it ended.
    pub outcome: Outcome,
    /// The request as it was asked, protobuf bytes of the operation's request message.
    pub request: Vec<u8>,
    /// Size of the records ledger that the answer reflected; of the trail, of a page of it.
    pub position: u64,
    /// Size of the trail that the answer reflected, where it is made of both ledgers; else 0.
    pub trail: u64,
    /// When the answer was made, µs since 1970 UTC, where it says what was open, due or overdue then;
    /// else 0.
    pub answered_at: u64,
    /// First version of the file that was shown; 0 if none.
    pub first_version: u64,
    /// Last version of the file that was shown; 0 if none.
    pub version: u64,
    /// Version of the policy that decided.
    pub policy_version: String,
    /// Ids of the rules that decided.
    pub deciding: Vec<String>,
    /// What was masked: classes of entries by their names; after `other ` what was masked only in entries
    /// beside the one that the emergency access opens.
    pub masked: Vec<String>,
    /// Version of the answer's format.
    pub answer_format: u16,
    /// How many things were shown.
    pub count: u32,
    /// Keyed digest of the answer.
    pub answer_digest: [u8; 32],
    /// What the reply to a write told of the file, a line each, where no record says it again.
    pub told: Option<String>,
    /// Network address that the call came from.
    pub network: Option<String>,
    /// Who vouched for the person: the token's `iss`; unset without a token.
    pub issuer: Option<String>,
    /// The emergency access (broken glass) that it was made in, opened or closed: its id.
    pub emergency: Option<[u8; 16]>,
    /// What else was known of the caller and the patient and held: `employed`, `not-employed`,
    /// `own-file`, `vip`, `restricted`; `entry:` and an entry's id, if the emergency access opens that
    /// entry alone.
    pub circumstances: Vec<String>,
}
