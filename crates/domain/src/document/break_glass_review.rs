//! The review of an emergency access: what somebody else makes of a broken glass.

use super::{Rules, Standing};
use crate::limits::{MAX_REASON, MAX_SHORT_TEXT};
use crate::rejection::Rejection;
use crate::report::{Path, Report};

/// The verdicts of a review.
const VERDICTS: &[&str] = &["justified", "not-justified", "further-inquiry"];

/// The review of an emergency access, filed under its id. The review is open until this is filed;
/// whoever thinks better of it files the next revision. Nobody judges their own.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BreakGlassReview {
    /// Who broke the glass: the person's id in the hospital's directory, or `service:` and the name
    /// of a service that acted alone.
    pub person: String,
    /// `justified`, `not-justified`, or `further-inquiry`: a privacy incident takes it on.
    pub verdict: String,
    /// Why, in the reviewer's words.
    pub text: String,
}

impl Rules for BreakGlassReview {
    fn check(&self, report: &mut Report) {
        report.line(&Path::Root("person"), &self.person, MAX_SHORT_TEXT);
        report.one_of(&Path::Root("verdict"), Some(&self.verdict), VERDICTS);
        report.lines(&Path::Root("text"), &self.text, MAX_REASON);
    }

    fn follows(&self, _: Option<&Standing<'_, Self>>, author: &str) -> Result<(), Rejection> {
        if author == self.person { Err(Rejection::SamePerson) } else { Ok(()) }
    }
}
