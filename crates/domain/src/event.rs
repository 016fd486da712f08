//! What has happened: the facts that are stored.

use crate::command::Amendment;
use crate::document::Document;
use crate::entry::Entry;
use crate::finding::Finding;
use crate::id::{DocumentId, EntryId, PatientId};
use crate::identity::Identity;

/// One fact, once decided never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The file was opened.
    PatientRegistered {
        /// Who it is about.
        identity: Identity,
    },
    /// It was changed who the file is about.
    IdentityAmended {
        /// The whole identity afterwards.
        identity: Identity,
        /// The fields that differ from before, in the order of [`Identity::FIELDS`]; none
        /// when the source has caught up with what was changed by hand.
        changed: Vec<String>,
        /// Why it was changed.
        how: Amendment,
        /// Why, in the author's words.
        reason: String,
    },
    /// An entry was filed.
    EntryAdded {
        /// Its id.
        id: EntryId,
        /// The entry, findings included.
        entry: Entry,
    },
    /// An entry was changed.
    EntryAmended {
        /// Which entry.
        id: EntryId,
        /// The whole entry afterwards, findings included.
        entry: Entry,
        /// The fields that differ from before, in the order of [`Entry::FIELDS`]; none
        /// when the source has caught up with what was changed by hand.
        changed: Vec<String>,
        /// Why it was changed.
        how: Amendment,
        /// Why, in the author's words.
        reason: String,
    },
    /// An entry was marked as entered in error.
    EntryRetracted {
        /// Which entry.
        id: EntryId,
        /// Why, in the author's words.
        reason: String,
    },
    /// An issuer's number was given to a patient. Filed in the chain of the issuer's registry
    /// bucket, not in the patient's, so that no two patients get one number.
    IdentifierAssigned {
        /// The issuer's namespace URI.
        identifier_system: String,
        /// The number.
        identifier_value: String,
        /// Whose it is.
        patient: PatientId,
    },
    /// An issuer's number was taken off a patient who never had it, so that its rightful owner can
    /// be given it. Filed where it was assigned.
    IdentifierReleased {
        /// The issuer's namespace URI.
        identifier_system: String,
        /// The number.
        identifier_value: String,
        /// Whose it was by mistake.
        patient: PatientId,
    },
    /// A document that is about no patient was filed, for the first time or anew. In the chain of
    /// its kind's register.
    DocumentFiled {
        /// Its id.
        id: DocumentId,
        /// The whole document afterwards.
        document: Document,
        /// The person's id in the hospital's directory, or `service:` and the name of a service
        /// that acted alone.
        author: String,
        /// Why, in the author's words; never blank but at the first filing.
        reason: String,
    },
}

impl Event {
    /// The remarks that were filed with it.
    #[must_use]
    pub fn remarks(&self) -> Vec<Finding> {
        match self {
            Self::EntryAdded { entry, .. } | Self::EntryAmended { entry, .. } => {
                entry.findings.clone()
            }
            Self::PatientRegistered { identity } | Self::IdentityAmended { identity, .. } => {
                identity.validate()
            }
            Self::EntryRetracted { .. }
            | Self::IdentifierAssigned { .. }
            | Self::IdentifierReleased { .. }
            | Self::DocumentFiled { .. } => Vec::new(),
        }
    }
}

/// Where and when an event was filed: taken from its record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stamp {
    /// Leaf index in the records ledger, from 0.
    pub position: u64,
    /// Place in the subject's chain, from 1.
    pub version: u64,
    /// Microseconds since 1970-01-01T00:00Z.
    pub recorded_at: u64,
    /// Pseudonymous id of who filed it.
    pub actor: [u8; 16],
}
