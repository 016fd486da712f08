//! The review of an emergency access: what somebody else makes of a broken glass.

use super::{Rules, Standing};
use crate::limits::{MAX_REASON, MAX_SHORT_TEXT};
use crate::rejection::Rejection;
use crate::report::{Path, Report};

/// The verdicts of a review.
const VERDICTS: &[&str] = &["justified", "not-justified", BreakGlassReview::FURTHER_INQUIRY];

/// The review of an emergency access, filed under its id. The review is open until a final verdict is
/// filed, which stays as it is. Nobody judges their own.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BreakGlassReview {
    /// Who broke the glass: the person's id in the hospital's directory, or `service:` and the name
    /// of a service that acted alone.
    pub person: String,
    /// `justified` or `not-justified`, which are final; or `further-inquiry`: a privacy incident takes
    /// it on, and the review stays open.
    pub verdict: String,
    /// Why, in the reviewer's words.
    pub text: String,
}

impl BreakGlassReview {
    /// It cannot be said yet.
    const FURTHER_INQUIRY: &str = "further-inquiry";

    /// Whether the verdict closes the review.
    #[must_use]
    pub fn is_final(&self) -> bool {
        self.verdict != Self::FURTHER_INQUIRY
    }
}

impl Rules for BreakGlassReview {
    fn check(&self, report: &mut Report) {
        report.line(&Path::Root("person"), &self.person, MAX_SHORT_TEXT);
        report.one_of(&Path::Root("verdict"), Some(&self.verdict), VERDICTS);
        report.lines(&Path::Root("text"), &self.text, MAX_REASON);
    }

    fn follows(&self, before: Option<&Standing<'_, Self>>, author: &str) -> Result<(), Rejection> {
        if author == self.person {
            return Err(Rejection::SamePerson);
        }
        if before.is_some_and(|before| before.document.is_final()) {
            let why = "the review is closed, and its verdict is final";
            return Err(Rejection::DocumentStepNotAllowed(why));
        }
        Ok(())
    }
}
