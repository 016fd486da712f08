//! Judging a command.

use crate::augmentation::Adds;
use crate::command::{Amendment, Command};
use crate::entry::{Entry, Override};
use crate::event::Event;
use crate::file::{EntryState, PatientFile};
use crate::finding::{Finding, Severity, code};
use crate::id::EntryId;
use crate::identity::Identity;
use crate::limits::{MAX_ITEMS, MAX_REASON};
use crate::mask;
use crate::rejection::Rejection;
use crate::report::{Path, Report, refuses};

/// Judges a command against the file as it stands. Pure: the same file and command give the same
/// answer on every node. Of the file only what the command is about needs to be there.
///
/// # Errors
/// A [`Rejection`] that says why the command is refused; then nothing is to be filed.
pub fn decide(file: &PatientFile, command: &Command) -> Result<Vec<Event>, Rejection> {
    let event = match command {
        Command::Register(identity) => register(file, identity)?,
        Command::AmendIdentity { identity, mask, how, reason } => {
            amend_identity(file, identity, mask, *how, reason)?
        }
        Command::AddEntry { id, entry } => add_entry(file, *id, entry)?,
        Command::AmendEntry { id, entry, mask, how, reason } => {
            check_reason(reason)?;
            // Also when it was retracted since: the source does not say anything new.
            if file.entries.get(id).is_some_and(|s| again(entry.delivered, s.entry.delivered)) {
                return Err(Rejection::NothingChanged);
            }
            amend_entry(standing(file, *id)?, entry, mask, *how, reason)?
        }
        Command::RetractEntry { id, reason } => {
            check_reason(reason)?;
            let id = standing(file, *id)?.id;
            Event::EntryRetracted { id, reason: reason.clone() }
        }
    };
    Ok(vec![event])
}

fn register(file: &PatientFile, identity: &Identity) -> Result<Event, Rejection> {
    if file.registered {
        return Err(Rejection::AlreadyExists);
    }
    accept(identity.validate())?;
    Ok(Event::PatientRegistered { identity: identity.clone() })
}

fn amend_identity(
    file: &PatientFile,
    new: &Identity,
    mask: &[String],
    how: Amendment,
    reason: &str,
) -> Result<Event, Rejection> {
    check_reason(reason)?;
    let before = file.identity.as_ref().ok_or(Rejection::NoSuchPatient)?;
    accept(mask::check(mask, Identity::FIELDS))?;
    if again(new.delivered, before.delivered) {
        return Err(Rejection::NothingChanged);
    }
    let mut identity = before.clone();
    identity.replace(mask, new);
    identity.delivered = new.delivered.or(before.delivered);
    let changed = identity.differing(before);
    if changed.is_empty() && new.delivered.is_none() {
        return Err(Rejection::NothingChanged);
    }
    accept(identity.validate())?;
    if how == Amendment::Augmentation && !identity.adds_to(before) {
        return Err(Rejection::AugmentationReplaces);
    }
    Ok(Event::IdentityAmended { identity, changed, how, reason: reason.to_owned() })
}

fn add_entry(file: &PatientFile, id: EntryId, entry: &Entry) -> Result<Event, Rejection> {
    if !file.registered {
        return Err(Rejection::NoSuchPatient);
    }
    if let Some(there) = file.entries.get(&id) {
        return Err(if there.retracted.is_some() {
            Rejection::EntryRetracted
        } else if entry.differing(&there.entry).is_empty() {
            Rejection::NothingChanged
        } else {
            Rejection::AlreadyExists
        });
    }
    if id == EntryId::ZERO {
        return Err(Rejection::Invalid(fault("id", code::REQUIRED, "the entry needs an id")));
    }
    let findings = accept(judge(entry, &[]))?;
    Ok(Event::EntryAdded { id, entry: Entry { findings, ..entry.clone() } })
}

fn amend_entry(
    state: &EntryState,
    new: &Entry,
    mask: &[String],
    how: Amendment,
    reason: &str,
) -> Result<Event, Rejection> {
    accept(mask::check(mask, Entry::FIELDS))?;
    let before = &state.entry;
    let mut entry = before.clone();
    entry.replace(mask, new);
    entry.delivered = new.delivered.or(before.delivered);
    if entry.kind() != before.kind() {
        return Err(Rejection::KindChanged);
    }
    let changed = entry.differing(before);
    if changed.is_empty() && new.delivered.is_none() {
        return Err(Rejection::NothingChanged);
    }
    // An import finds the entry by the id that its first source gave it: only a delivery, which has
    // found it so, sets another one right.
    if new.delivered.is_none() && entry.source != before.source {
        let text = "the source cannot be changed, because imports find the entry by it: leave it out, \
                    or retract the entry and file another one";
        return Err(Rejection::Invalid(fault("mask", code::BAD_MASK, text)));
    }
    entry.findings = accept(judge(&entry, &before.overrides))?;
    if how != Amendment::Correction && leaves_final_status(before, &entry) {
        return Err(Rejection::StatusStepNotAllowed);
    }
    if how == Amendment::Augmentation && !entry.adds_to(before) {
        return Err(Rejection::AugmentationReplaces);
    }
    Ok(Event::EntryAmended { id: state.id, entry, changed, how, reason: reason.to_owned() })
}

/// Whether a source delivers just what it delivered last.
fn again(now: Option<[u8; 32]>, last: Option<[u8; 32]>) -> bool {
    now.is_some() && now == last
}

/// The entry, if it is there and was not retracted.
fn standing(file: &PatientFile, id: EntryId) -> Result<&EntryState, Rejection> {
    if !file.registered {
        return Err(Rejection::NoSuchPatient);
    }
    let state = file.entries.get(&id).ok_or(Rejection::NoSuchEntry)?;
    if state.retracted.is_some() { Err(Rejection::EntryRetracted) } else { Ok(state) }
}

/// What the checks say of an entry, and of the overrides that it has beside those `filed` before.
///
/// An override answers a remark, so one that names none is a mistake. One that was filed before may
/// stay without its remark: what a mask does not name is not taken away.
fn judge(entry: &Entry, filed: &[Override]) -> Vec<Finding> {
    let mut findings = entry.validate();
    let mut report = Report::default();
    let overrides = Path::Root("overrides");
    // More than so many are refused by their number alone.
    for (index, given) in entry.overrides.iter().enumerate().take(MAX_ITEMS) {
        let answers = |finding: &Finding| {
            finding.severity == Severity::Remark && finding.code == given.finding_code
        };
        let blank = given.finding_code.trim().is_empty();
        if !blank && !filed.contains(given) && !findings.iter().any(answers) {
            let at = Path::Item(&overrides, index);
            let text = "the checks do not remark this of the entry: name the code of a remark, or \
                        leave the override out";
            report.violation(&at.field("finding_code"), code::NO_SUCH_FINDING, text);
        }
    }
    findings.extend(report.finish("overrides"));
    findings
}

fn leaves_final_status(before: &Entry, after: &Entry) -> bool {
    let last = before.status.as_deref().unwrap_or_default();
    before.status != after.status && before.detail.final_statuses().contains(&last)
}

fn check_reason(reason: &str) -> Result<(), Rejection> {
    if reason.trim().is_empty() {
        return Err(Rejection::ReasonMissing);
    }
    let mut report = Report::default();
    report.lines(&Path::Root("reason"), reason, MAX_REASON);
    accept(report.finish("reason")).map(|_| ())
}

/// The remarks, if there is no violation among the findings.
fn accept(findings: Vec<Finding>) -> Result<Vec<Finding>, Rejection> {
    if refuses(&findings) { Err(Rejection::Invalid(findings)) } else { Ok(findings) }
}

fn fault(field: &'static str, code: &str, text: &str) -> Vec<Finding> {
    let mut report = Report::default();
    report.violation(&Path::Root(field), code, text);
    report.finish(field)
}

#[cfg(test)]
mod tests;
