//! What became of an item, as its sender hears it.

use domain::{EntryId, Finding, Rejection};

use crate::commands::rejected;
use crate::failure::{Failure, Violation};

/// The code of an item that its source took back while its entry stands.
pub(super) const TAKEN_BACK: &str = "taken-back-by-source";

/// What became of an item.
#[derive(Clone, Debug)]
pub enum ImportOutcome {
    /// It is on file now.
    Filed {
        /// The entry it became; none for a patient's identity.
        entry: Option<EntryId>,
        /// Records in the ledger afterwards.
        position: u64,
        /// What the code checks remarked.
        remarks: Vec<Finding>,
        /// More is not told because that could not be put on the trail: remarks, or that it was on
        /// file with other content.
        withheld: bool,
    },
    /// It was on file and says something else now.
    Amended {
        /// The entry; none for a patient's identity.
        entry: Option<EntryId>,
        /// Records in the ledger afterwards.
        position: u64,
        /// What the code checks remarked.
        remarks: Vec<Finding>,
        /// Remarks are not told because that could not be put on the trail.
        withheld: bool,
    },
    /// The file says just that already.
    Unchanged {
        /// The entry; none for a patient's identity.
        entry: Option<EntryId>,
    },
    /// Its fields are faulty; nothing was filed.
    Invalid {
        /// Why, field by field.
        violations: Vec<Violation>,
    },
    /// A rule of the file refuses it; nothing was filed.
    Refused {
        /// Stable code, as in [`Failure::Refused`].
        reason: &'static str,
        /// What to do about it.
        message: String,
    },
    /// It became an entry that the importer may not see, and nothing was filed, whatever the item says:
    /// that it says the same would tell what the entry says.
    Masked,
    /// Nothing was filed now, and why may not be told because that could not be put on the trail:
    /// sent again, the item is looked at anew.
    Untold,
}

impl ImportOutcome {
    #[expect(clippy::wildcard_enum_match_arm, reason = "a rejection has a text whatever it is")]
    pub(super) fn refused(rejection: &Rejection) -> Self {
        match rejected(rejection, "") {
            Failure::Invalid(violations) => Self::Invalid { violations },
            other => Self::Refused { reason: rejection.code(), message: other.to_string() },
        }
    }

    /// Somebody has to look at what a source takes back: others may have acted on it since.
    pub(super) fn still_standing(entry: EntryId) -> Self {
        let description = format!(
            "its source says that it was entered in error, and it still stands on file: look at entry \
             {entry} and retract it"
        );
        let (field, code) = ("status".to_owned(), TAKEN_BACK.to_owned());
        Self::Invalid { violations: vec![Violation { field, code, description }] }
    }

    pub(super) fn at(self, filed_at: u64) -> Self {
        match self {
            Self::Filed { entry, remarks, withheld, .. } => {
                Self::Filed { entry, position: filed_at, remarks, withheld }
            }
            Self::Amended { entry, remarks, withheld, .. } => {
                Self::Amended { entry, position: filed_at, remarks, withheld }
            }
            Self::Unchanged { .. }
            | Self::Invalid { .. }
            | Self::Refused { .. }
            | Self::Masked
            | Self::Untold => self,
        }
    }

    /// What is left to say of it when nothing of the file may be shown: that it is on file now.
    pub(super) fn withheld(self) -> Self {
        match self {
            Self::Filed { entry, position, .. } | Self::Amended { entry, position, .. } => {
                Self::Filed { entry, position, remarks: Vec::new(), withheld: true }
            }
            Self::Unchanged { .. }
            | Self::Invalid { .. }
            | Self::Refused { .. }
            | Self::Masked
            | Self::Untold => Self::Untold,
        }
    }
}
