//! Who cares for the patient together (FHIR R4 `CareTeam`).

use super::{Rules, line, when};
use crate::augmentation::adds;
use crate::entry::Entry;
use crate::id::EntryId;
use crate::limits::{MAX_ITEMS, MAX_SHORT_TEXT};
use crate::report::{Path, Report};
use crate::value::{Actor, CodeableConcept, Period};

/// The fields that only a care team has. `Entry.code` is its category, `Entry.effective` its period.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CareTeam {
    /// What the team is called.
    pub name: Option<String>,
    /// Who is in it.
    pub participant: Vec<CareTeamParticipant>,
    /// Why there is one.
    pub reason: Vec<CodeableConcept>,
    /// The entries of this file that are the reason (FHIR `reasonReference`).
    pub reason_reference: Vec<EntryId>,
    /// Which organisations answer for it.
    pub managing_organization: Vec<Actor>,
}

/// A member of a care team (FHIR R4 `CareTeam.participant`).
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct CareTeamParticipant {
    /// Who: a person, their role, an organisation, the patient or a relative.
    pub member: Actor,
    /// What they do in the team.
    pub role: Option<CodeableConcept>,
    /// From when until when; either end may be open.
    pub period: Option<Period>,
}

adds!(CareTeam { name, participant, reason, reason_reference, managing_organization });
adds!(CareTeamParticipant { member, role, period });

impl Rules for CareTeam {
    const STATUSES: &'static [&'static str] = &["proposed", "active", "suspended", "inactive"];
    // A team that has ended does not begin again: a new one is filed.
    const FINAL: &'static [&'static str] = &["inactive"];
    // FHIR R4: status is 0..1. But whether somebody belongs to it now hangs on it.
    const STATUS_REQUIRED: bool = true;
    const CODE_REQUIRED: bool = false;

    fn check(&self, _: &Entry, report: &mut Report) {
        let detail = Path::Root("detail");
        report.optional_line(&detail.field("name"), self.name.as_deref(), MAX_SHORT_TEXT);
        let participant = detail.field("participant");
        report.each(&participant, &self.participant, MAX_ITEMS, |report, at, one| {
            report.actor(&at.field("member"), &one.member);
            report.optional_concept(&at.field("role"), one.role.as_ref());
            report.period(&at.field("period"), one.period.as_ref());
        });
        report.concepts(&detail.field("reason"), &self.reason);
        report.entry_ids(&detail.field("reason_reference"), &self.reason_reference);
        report.actors(&detail.field("managing_organization"), &self.managing_organization);
    }

    fn summary(&self, entry: &Entry) -> String {
        let name = self.name.as_deref().unwrap_or(entry.code.words());
        let size = match self.participant.len() {
            1 => "1 member".to_owned(),
            members => format!("{members} members"),
        };
        let period = when(entry.effective.as_ref());
        line(name, [Some(size.as_str()), entry.status.as_deref(), period.as_deref()])
    }
}
