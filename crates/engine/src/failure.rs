//! Everything that can go wrong with a call, as the caller may know it.

use std::time::Duration;

/// Why a call was not answered. `server` maps each to exactly one gRPC status; the texts are for
/// the caller and hold neither patient data nor internals.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Fields are malformed or not allowed; nothing was filed.
    #[error("the request has {} invalid field(s)", .0.len())]
    Invalid(Vec<Violation>),
    /// A rule of the file refuses the change; nothing was filed.
    #[error("{message}")]
    Refused {
        /// Stable code, upper snake case.
        reason: &'static str,
        /// Path in the request of what is refused; empty: the request as a whole.
        subject: String,
        /// What to do about it.
        message: String,
    },
    /// The file is not at the version the caller expected.
    #[error("the file is at version {current}, not at the expected one; reload it and decide anew")]
    VersionConflict {
        /// The file's version now.
        current: u64,
    },
    /// There is no such thing, or the caller may not know that there is.
    #[error(
        "there is no such patient file, or not at that version or time, and no such entry, position, \
         request, policy, person, incident, emergency access or ledger"
    )]
    NotFound,
    /// The caller may not do this.
    #[error("{}", denied(reason, *break_glass))]
    Denied {
        /// Stable code, upper snake case.
        reason: &'static str,
        /// Whether emergency access could open it.
        break_glass: bool,
    },
    /// An entry that the caller may not see would be changed; nothing was filed.
    #[error(
        "the access policies do not show an entry that would be changed to these roles for this \
         purpose, and who may not see it may not change it"
    )]
    EntryMasked {
        /// Whether emergency access could open it.
        break_glass: bool,
    },
    /// The request id was used before with another request.
    #[error("this request id was used before with another request; use a new one")]
    RequestIdReused,
    /// The request was abandoned by `SettleRequest` before it was filed.
    #[error("this request was abandoned; send it anew under a new request id")]
    RequestAbandoned,
    /// This call surely filed nothing: nothing left this node, or the ledger refused it. Of an earlier one
    /// under the same request id, at another node or before a restart, it says nothing.
    #[error("not filed: {why}; send the same request id again later")]
    NotFiled {
        /// What is unavailable.
        why: String,
    },
    /// Perhaps filed: the same request id tells, as does `SettleRequest`.
    #[error("the outcome is not known yet; send the same request id again, or settle it")]
    OutcomeUnknown,
    /// Not answered in time, or this node cannot answer now; nothing was shown.
    #[error("{why}")]
    Unavailable {
        /// What is unavailable.
        why: String,
    },
    /// This node has not come near the stream's end: what it does not find may be on file.
    #[error("{why}")]
    CatchingUp {
        /// How far it is.
        why: String,
    },
    /// Too much is in flight.
    #[error("{limit} is reached; try again")]
    Exhausted {
        /// After which time.
        retry_after: Duration,
        /// Which limit.
        limit: &'static str,
    },
    /// Stored bytes do not match their hash, key or place.
    #[error("{what} is damaged; the rest stays readable")]
    Damaged {
        /// Table or record, never content. A row's key, which may tell the kind of an entry that the caller
        /// may not see, goes to the log alone.
        what: String,
    },
    /// A fault of ours. The cause goes to the log only.
    #[error("internal error")]
    Internal {
        /// For the log.
        cause: String,
    },
}

/// Violations that an answer lists and the trail keeps. Details of a status travel in HTTP/2 trailers,
/// where clients accept 8 KiB by default (grpc-java, grpc-go: 8–16 KiB); each has up to 120 bytes of
/// field path and 240 of text, and is base64-encoded: 12 × (120 + 240) × 4/3 = 5.8 KiB.
pub const LISTED_VIOLATIONS: usize = 12;

/// One field that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field in the request, snake case.
    pub field: String,
    /// Stable code, lower snake case.
    pub code: String,
    /// What is wrong and what is allowed, without the value.
    pub description: String,
}

/// What a caller is told who may not.
fn denied(reason: &str, break_glass: bool) -> &'static str {
    match (reason, break_glass) {
        (Failure::GLASS_NOT_BROKEN, false) => {
            "no emergency access covers a call of this kind, so the purpose BTG opens nothing here: call with \
             the purpose that you have without the emergency"
        }
        (Failure::GLASS_NOT_BROKEN, true) => {
            "the purpose BTG needs an emergency access of yours that is open and covers the patient; one for a \
             single entry covers reading, and changes of that entry alone: break the glass first \
             (EmergencyAccessService.BreakGlass), then call again"
        }
        ("FORBIDDEN", true) => {
            "a policy forbids this call, whatever the roles: for what is known of the caller and the \
             patient, or of the purpose; in an emergency, break the glass \
             (EmergencyAccessService.BreakGlass) and call again with the purpose BTG"
        }
        ("FORBIDDEN", false) => {
            "a policy forbids this call, whatever the roles: for what is known of the caller and the \
             patient (an employment that is not now, one's own file, what the patient restricted), or of \
             the purpose; the privacy office sees in the audit trail which policy it was"
        }
        (_, true) => {
            "the access policies do not permit this call to these roles for this purpose; in an \
             emergency, break the glass (EmergencyAccessService.BreakGlass) and call again with the \
             purpose BTG"
        }
        (_, false) => "the access policies do not permit this call to these roles for this purpose",
    }
}

impl Failure {
    /// Why a call with the purpose BTG is denied without an emergency access.
    pub(crate) const GLASS_NOT_BROKEN: &str = "GLASS_NOT_BROKEN";

    /// A rule refuses the request as a whole.
    pub(crate) fn refused(reason: &'static str, message: impl Into<String>) -> Self {
        Self::Refused { reason, subject: String::new(), message: message.into() }
    }

    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        Self::Internal { cause: cause.to_string() }
    }
}

impl From<store::StoreError> for Failure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are faults of ours")]
    fn from(error: store::StoreError) -> Self {
        match error {
            store::StoreError::Damaged { what, key } => {
                tracing::error!(what, key, "damaged");
                Self::Damaged { what: what.to_owned() }
            }
            store::StoreError::Vault(error) => error.into(),
            store::StoreError::SpoolFull { .. } => Self::Exhausted {
                retry_after: Duration::from_secs(1),
                limit: "the limit of 1 GiB of access records that wait for the broker",
            },
            other => Self::internal(store::causes(&other)),
        }
    }
}

impl From<vault::VaultError> for Failure {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all others are faults of ours")]
    fn from(error: vault::VaultError) -> Self {
        match error {
            vault::VaultError::Tampered { .. }
            | vault::VaultError::ViewTampered
            | vault::VaultError::WrapTampered { .. } => {
                tracing::error!(%error, "damaged");
                Self::Damaged { what: error.to_string() }
            }
            vault::VaultError::Damaged { table, .. } => {
                tracing::error!(%error, "damaged");
                Self::Damaged { what: format!("the key database, in {table},") }
            }
            vault::VaultError::BodyTooLarge { .. } => Self::Invalid(vec![Violation {
                field: String::new(),
                code: "too-large".to_owned(),
                description: error.to_string(),
            }]),
            vault::VaultError::NoSystemKeys => Self::Unavailable { why: error.to_string() },
            other => Self::internal(store::causes(&other)),
        }
    }
}
