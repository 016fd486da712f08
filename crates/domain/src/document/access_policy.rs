//! A set of access policies, from its proposal to its adoption.

use super::{Rules, Standing};
use crate::limits::MAX_POLICY_TEXT;
use crate::rejection::Rejection;
use crate::report::{Path, Report};

/// The statuses of an access policy, codes of FHIR `PublicationStatus`.
const STATUSES: &[&str] = &["draft", "active", "retired"];

/// A set of access policies. Proposed as `draft`, in force once it is `active`, which takes a second
/// person; `retired` when it is withdrawn before that. What is in force is the set that became active
/// last.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct AccessPolicy {
    /// A code of FHIR `PublicationStatus`: `draft`, `active` or `retired`.
    pub status: String,
    /// The policies in Cedar's language (<https://www.cedarpolicy.com>); at most
    /// [`MAX_POLICY_TEXT`] bytes. Never changes after the first filing.
    pub text: String,
}

impl Rules for AccessPolicy {
    fn check(&self, report: &mut Report) {
        report.one_of(&Path::Root("status"), Some(&self.status), STATUSES);
        report.lines(&Path::Root("text"), &self.text, MAX_POLICY_TEXT);
    }

    fn follows(&self, before: Option<&Standing<'_, Self>>, author: &str) -> Result<(), Rejection> {
        match (before, self.status.as_str()) {
            (None, "draft") => Ok(()),
            (Some(before), _) if before.document.text != self.text => Err(Rejection::TextIsFixed),
            (Some(before), "active") if before.document.status == "draft" => {
                if before.first_author == author { Err(Rejection::SamePerson) } else { Ok(()) }
            }
            (Some(before), "retired") if before.document.status == "draft" => Ok(()),
            (before, step) => {
                let status = before.map(|before| before.document.status.as_str());
                Err(Rejection::DocumentStepNotAllowed(no_step(status, step)))
            }
        }
    }
}

/// Why a set of this status, if it is on file, has no such step, and what to do instead.
fn no_step(status: Option<&str>, step: &str) -> &'static str {
    match (status, step) {
        (Some("active"), "active") => {
            "the set was adopted before, and is in force unless another was adopted since; propose \
             its text again to put it in force again"
        }
        (Some("active"), _) => {
            "the set was adopted, and only a proposal is withdrawn: adopt another set in its place"
        }
        (Some("retired"), "active") => {
            "the set was withdrawn; propose its text again to put it in force"
        }
        (Some("retired"), _) => "the set was withdrawn before",
        _ => "a set is proposed once, and then adopted or withdrawn",
    }
}
