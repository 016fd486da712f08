//! Why a command is refused.

use std::fmt;

use crate::finding::Finding;

/// Why a command is refused. Holds no patient data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// Fields are faulty: at least one violation, and the remarks found on the way.
    Invalid(Vec<Finding>),
    /// The file is registered already, or the entry id is taken by a different entry.
    AlreadyExists,
    /// No file is registered under that id.
    NoSuchPatient,
    /// The file has no such entry.
    NoSuchEntry,
    /// The entry was retracted; nothing follows a retraction.
    EntryRetracted,
    /// An amendment cannot turn an entry into another kind.
    KindChanged,
    /// The kind's life cycle has no step between the two statuses, unless it is a correction.
    StatusStepNotAllowed,
    /// The document's life cycle has no such step: why, and what to do instead.
    DocumentStepNotAllowed(&'static str),
    /// An augmentation adds, and this one would change something that is there or take it away.
    AugmentationReplaces,
    /// The file says just that already.
    NothingChanged,
    /// Amending and retracting need a reason.
    ReasonMissing,
    /// Somebody else than who proposed it must adopt it, somebody else than who did it judge it.
    SamePerson,
    /// The text of what was proposed does not change: what is adopted is what was tried.
    TextIsFixed,
}

impl Rejection {
    /// Stable name for programs (gRPC `ErrorInfo.reason`).
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "INVALID",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::NoSuchPatient => "NO_SUCH_PATIENT",
            Self::NoSuchEntry => "NO_SUCH_ENTRY",
            Self::EntryRetracted => "ENTRY_RETRACTED",
            Self::KindChanged => "KIND_CHANGED",
            Self::StatusStepNotAllowed | Self::DocumentStepNotAllowed(_) => {
                "STATUS_STEP_NOT_ALLOWED"
            }
            Self::AugmentationReplaces => "AUGMENTATION_REPLACES",
            Self::NothingChanged => "NOTHING_CHANGED",
            Self::ReasonMissing => "REASON_MISSING",
            Self::SamePerson => "SAME_PERSON",
            Self::TextIsFixed => "TEXT_IS_FIXED",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid(_) => "fields are faulty: correct those that are named and file it again",
            Self::AlreadyExists => "it is filed already: amend it instead",
            Self::NoSuchPatient => "no patient file is registered under this id: register it first",
            Self::NoSuchEntry => "the patient file has no entry with this id",
            Self::EntryRetracted => "the entry was retracted: file a new one instead",
            Self::KindChanged => {
                "an entry keeps its kind: retract it and file one of the other kind"
            }
            Self::StatusStepNotAllowed => {
                "this status cannot follow the present one: if the present one is wrong, file a \
                 correction"
            }
            Self::DocumentStepNotAllowed(why) => why,
            Self::AugmentationReplaces => {
                "an augmentation fills what is empty and adds to lists: to change or remove what is \
                 there, file an amendment or a correction"
            }
            Self::NothingChanged => "the file says just that already",
            Self::ReasonMissing => "a reason is needed to amend or retract",
            Self::SamePerson => {
                "who proposed or did it cannot adopt or judge it: somebody else who may has to"
            }
            Self::TextIsFixed => "a proposal keeps its text: withdraw it and propose the other one",
        })
    }
}

impl std::error::Error for Rejection {}
