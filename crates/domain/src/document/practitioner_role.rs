//! A person who works at the hospital (FHIR R4 `PractitionerRole`): one document a person.

use super::{Rules, Standing};
use crate::finding::code;
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
    /// When they are on call, and for which units.
    pub duties: Vec<Duty>,
}

/// A time for which somebody is on call for a unit. FHIR R4 has no resource for that; the nearest, `Schedule` and
/// `Slot`, say when somebody can be booked, not who answers for whom.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Duty {
    /// The unit, as entries name it.
    pub unit: String,
    /// From when until when: both given, each a time of day with its offset, both inclusive.
    pub period: Period,
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
        report.each(&Path::Root("duties"), &self.duties, MAX_ITEMS, check_duty);
    }

    fn follows(&self, _: Option<&Standing<'_, Self>>, _: &str) -> Result<(), Rejection> {
        Ok(())
    }
}

fn check_duty(report: &mut Report, at: &Path<'_>, duty: &Duty) {
    report.line(&at.field("unit"), &duty.unit, MAX_SHORT_TEXT);
    let period = at.field("period");
    report.period(&period, Some(&duty.period));
    for (name, moment) in [("start", &duty.period.start), ("end", &duty.period.end)] {
        let at = period.field(name);
        match moment {
            None => report.required(&at, "a duty begins and ends: say when"),
            // A day ends in UTC here, which is in the middle of a night's duty elsewhere.
            Some(moment) if moment.is_date() => {
                let text = "give the time of day, too, with Z or an offset such as +02:00";
                report.violation(&at, code::VALUE_NOT_ALLOWED, text);
            }
            Some(_) => {}
        }
    }
}
