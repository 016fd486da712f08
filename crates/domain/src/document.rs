//! Documents that are about no patient, and their registry: one file and one line a kind.
//!
//! The documents of a kind are a register, one chain of the ledger. A document is filed whole; each
//! filing after the first is its next revision, and says why.

mod access_policy;
mod break_glass_review;
mod practitioner_role;
mod privacy_incident;

pub use access_policy::AccessPolicy;
pub use break_glass_review::BreakGlassReview;
pub use practitioner_role::{Duty, PractitionerRole};
pub use privacy_incident::{NOTICE_WITHIN, Notice, PrivacyIncident, RiskAssessment, RiskFactor};

use crate::event::{Event, Stamp};
use crate::id::DocumentId;
use crate::limits::{MAX_REASON, MAX_SHORT_TEXT};
use crate::rejection::Rejection;
use crate::report::{Path, Report, refuses};

/// What a kind of document brings: its checks, and which revision may follow which.
trait Rules: Sized {
    /// Checks the fields.
    fn check(&self, report: &mut Report);

    /// Whether `author` may file this after `before`, which stands.
    fn follows(&self, before: Option<&Standing<'_, Self>>, author: &str) -> Result<(), Rejection>;
}

/// A document as it stands, to its kind's rules.
struct Standing<'a, D> {
    document: &'a D,
    /// Who filed it first.
    first_author: &'a str,
}

/// Generates [`DocumentKind`] and [`Document`] from one line a kind.
macro_rules! registry {
    ($($(#[$doc:meta])* $tag:literal $kind:ident, $name:literal;)+) => {
        /// A kind of document.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum DocumentKind {
            $($(#[$doc])* $kind,)+
        }

        impl DocumentKind {
            /// Every kind.
            pub const ALL: &'static [Self] = &[$(Self::$kind,)+];

            /// Stable name, `snake_case`: `access_policy`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$kind => $name,)+ }
            }

            /// Number of the stored form that is written, from 1, given once and for ever: a kind's next form
            /// has the next number that is free.
            #[must_use]
            pub fn tag(self) -> u8 {
                match self { $(Self::$kind => $tag,)+ }
            }

            /// The kind with that [`DocumentKind::tag`].
            #[must_use]
            pub fn from_tag(tag: u8) -> Option<Self> {
                match tag { $($tag => Some(Self::$kind),)+ _ => None }
            }
        }

        /// A document that is about no patient.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum Document {
            $($(#[$doc])* $kind($kind),)+
        }

        impl Document {
            /// Which kind it is.
            #[must_use]
            pub fn kind(&self) -> DocumentKind {
                match self { $(Self::$kind(_) => DocumentKind::$kind,)+ }
            }

            fn check(&self, report: &mut Report) {
                match self { $(Self::$kind(fields) => fields.check(report),)+ }
            }

            fn follows(
                &self,
                before: Option<&DocumentState>,
                author: &str,
            ) -> Result<(), Rejection> {
                match self {
                    $(Self::$kind(fields) => {
                        let before = match before {
                            None => None,
                            Some(DocumentState { document: Self::$kind(document), filed, .. }) => {
                                Some(Standing { document, first_author: &filed.author })
                            }
                            Some(_) => return Err(Rejection::KindChanged),
                        };
                        fields.follows(before.as_ref(), author)
                    })+
                }
            }
        }
    };
}

registry! {
    /// Access policies of the hospital's own.
    1 AccessPolicy, "access_policy";
    /// Reviews of emergency accesses.
    2 BreakGlassReview, "break_glass_review";
    /// Privacy incidents.
    3 PrivacyIncident, "privacy_incident";
    /// A person who works at the hospital (FHIR R4 `PractitionerRole`).
    // Until there were duties it was filed under 4.
    5 PractitionerRole, "practitioner_role";
}

/// Who filed a revision of a document, when and why.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Authored {
    /// Where and when.
    pub stamp: Stamp,
    /// The person's id in the hospital's directory, or `service:` and the name of a service that
    /// acted alone.
    pub author: String,
    /// Why, in the author's words.
    pub reason: String,
}

/// A document as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentState {
    /// Its id.
    pub id: DocumentId,
    /// What it says.
    pub document: Document,
    /// How often it was filed: 1 at first.
    pub revision: u32,
    /// The first filing.
    pub filed: Authored,
    /// The last one.
    pub changed: Authored,
}

/// Judges the filing of a document's first or next revision. Pure, as [`crate::decide`].
///
/// # Errors
/// A [`Rejection`] that says why it is refused; then nothing is to be filed.
pub fn decide_document(
    before: Option<&DocumentState>,
    id: DocumentId,
    document: &Document,
    author: &str,
    reason: &str,
) -> Result<Event, Rejection> {
    if before.is_some() && reason.trim().is_empty() {
        return Err(Rejection::ReasonMissing);
    }
    let mut report = Report::default();
    report.line(&Path::Root("author"), author, MAX_SHORT_TEXT);
    let why = (!reason.is_empty()).then_some(reason);
    report.optional_lines(&Path::Root("reason"), why, MAX_REASON);
    document.check(&mut report);
    let findings = report.finish("document");
    if refuses(&findings) {
        return Err(Rejection::Invalid(findings));
    }
    // First: what was closed or adopted is not told to be so still, for other things may be since.
    document.follows(before, author)?;
    if before.is_some_and(|before| before.document == *document) {
        return Err(Rejection::NothingChanged);
    }
    Ok(Event::DocumentFiled {
        id,
        document: document.clone(),
        author: author.to_owned(),
        reason: reason.to_owned(),
    })
}

/// The document after an event that files it; `before` after any other.
#[must_use]
pub fn evolve_document(
    before: Option<DocumentState>,
    event: &Event,
    stamp: Stamp,
) -> Option<DocumentState> {
    let Event::DocumentFiled { id, document, author, reason } = event else { return before };
    let changed = Authored { stamp, author: author.clone(), reason: reason.clone() };
    let (revision, filed) = match before {
        Some(before) => (before.revision.saturating_add(1), before.filed),
        None => (1, changed.clone()),
    };
    Some(DocumentState { id: *id, document: document.clone(), revision, filed, changed })
}

#[cfg(test)]
mod tests;
