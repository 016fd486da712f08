//! A person who works at the hospital (FHIR R4 `PractitionerRole`): one document a person.

use super::{Rules, Standing};
use crate::id::PatientId;
use crate::limits::{MAX_CODE, MAX_ITEMS, MAX_SHORT_TEXT, MAX_URI};
use crate::rejection::Rejection;
use crate::report::{Path, Report};
use crate::value::Period;

/// A person who works at the hospital.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct PractitionerRole {
    /// The person's id in the hospital's directory, the `sub` of their tokens. Never changes.
    pub person: String,
    /// The person's name.
    pub name: String,
    /// How files name the person beside `Practitioner/` and their id: references of other systems.
    pub references: Vec<String>,
    /// What they work as, in the hospital's words or the names of functional roles. Tokens decide in
    /// which role somebody acts, not this.
    pub roles: Vec<String>,
    /// The units where they work, as entries name them.
    pub units: Vec<String>,
    /// Which organisation employs them.
    pub organization: Option<String>,
    /// From when until when they are employed; the last day belongs to it.
    pub period: Option<Period>,
    /// The person's own file, if they are a patient here, too.
    pub patient: Option<PatientId>,
}

impl Rules for PractitionerRole {
    fn check(&self, report: &mut Report) {
        report.line(&Path::Root("person"), &self.person, MAX_SHORT_TEXT);
        report.line(&Path::Root("name"), &self.name, MAX_SHORT_TEXT);
        for (name, lines, limit) in [
            ("references", &self.references, MAX_URI),
            ("roles", &self.roles, MAX_CODE),
            ("units", &self.units, MAX_SHORT_TEXT),
        ] {
            report.each(&Path::Root(name), lines, MAX_ITEMS, |report, at, line| {
                report.line(at, line, limit);
            });
        }
        let organization = self.organization.as_deref();
        report.optional_line(&Path::Root("organization"), organization, MAX_SHORT_TEXT);
        report.period(&Path::Root("period"), self.period.as_ref());
    }

    fn follows(&self, _: Option<&Standing<'_, Self>>, _: &str) -> Result<(), Rejection> {
        Ok(())
    }
}
