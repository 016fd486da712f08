//! What is known of a caller and a patient when it is decided whether one may see the other.
//!
//! Nothing of it is what the caller says. Who works here stands in the staff directory, everything
//! else in the patient's file: its entries name who cares for the patient ([`Relationship`]), what the
//! patient restricted, and that the file is a protected one.

mod file;

use std::collections::BTreeSet;

use domain::{Actor, Command, Duty, EntryId, Last, PatientId, PractitionerRole, Provision};
use ledger::SubjectId;

use crate::Failure;
use crate::context::{Caller, Context, Purpose};
use crate::engine::Engine;
use crate::local_time::LocalTime;
pub(crate) use file::Files;
use file::{FileFacts, Filed, Named, Span};

/// How long after filing or ordering something one still has to do with the patient for it, µs: 30
/// days, in which results come and letters are written. Ours; no rule says a number.
const AUTHORED_LATELY: u64 = 30 * 24 * 3_600 * 1_000_000;

/// How access records begin the circumstance that only one entry is open; its id follows.
const ALONE: &str = "entry:";

/// How access records begin each unit of the person's, each of the patient's, and the time that the
/// hospital's clocks showed.
const STAFF_UNIT: &str = "staff-unit:";
const UNIT: &str = "unit:";
const TIME: &str = "time:";

/// Bytes of names of units that policies are told and an access record keeps, of the person's and of the
/// patient's each: 200 of some 20.
const MAX_UNITS: usize = 4 * 1024;

/// What access policies are told beyond the call itself. Part of what a decision is remembered by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// How the caller has to do with the patient, as the access record names it; none if not at all,
    /// or if nobody in particular is concerned.
    pub relationship: Option<String>,
    /// The emergency access that the caller has opened and that covers the call.
    pub emergency: Option<[u8; 16]>,
    /// The entry that this emergency access opens alone; none: the whole file. No policy is told:
    /// whatever they open, all other entries stay masked.
    pub alone: Option<EntryId>,
    /// Whether the caller is employed, by the staff directory; none for who is not in it.
    pub employed: Option<bool>,
    /// The file is the caller's own, by the staff directory.
    pub own_file: bool,
    /// The file is labelled as that of somebody whom the public knows.
    pub vip: bool,
    /// A consent on file denies it to the caller, or for this purpose.
    pub restricted: bool,
    /// The units where the caller works or is on call now, by the staff directory.
    pub staff_units: BTreeSet<String>,
    /// The units of the patient's encounters that are not over.
    pub units: BTreeSet<String>,
    /// What the hospital's clocks show; only where policies speak of it.
    pub time: Option<LocalTime>,
}

/// Whether a circumstance that an access record tells is the name of a unit.
pub(crate) fn is_unit(circumstance: &str) -> bool {
    [STAFF_UNIT, UNIT].iter().any(|what| circumstance.starts_with(what))
}

impl Facts {
    /// The facts beside relationship and emergency, as access records name those that hold.
    pub(crate) fn circumstances(&self) -> Vec<String> {
        let holds = [
            ("employed", self.employed == Some(true)),
            ("not-employed", self.employed == Some(false)),
            ("own-file", self.own_file),
            ("vip", self.vip),
            ("restricted", self.restricted),
        ];
        let names = holds.into_iter().filter(|(_, holds)| *holds).map(|(name, _)| name.to_owned());
        names
            .chain(self.alone.map(|entry| format!("{ALONE}{entry}")))
            .chain(self.staff_units.iter().map(|unit| format!("{STAFF_UNIT}{unit}")))
            .chain(self.units.iter().map(|unit| format!("{UNIT}{unit}")))
            .chain(self.time.map(|time| format!("{TIME}{time}")))
            .collect()
    }

    /// What is known of the caller where the patient is nobody.
    pub(crate) fn of_nobody(&self) -> Self {
        let staff_units = self.staff_units.clone();
        Self { employed: self.employed, staff_units, time: self.time, ..Self::default() }
    }

    /// What may be so of a caller, and of a patient if one is concerned, where it cannot be told: nothing at
    /// all, or what policies let people in for.
    pub(crate) fn possible(of_patient: bool, time: Option<LocalTime>) -> Vec<Self> {
        let unit = || BTreeSet::from(["any".to_owned()]);
        let nothing = Self { time, ..Self::default() };
        let employed = Self { employed: Some(true), staff_units: unit(), ..nothing.clone() };
        let mut possible = vec![nothing, employed.clone()];
        if of_patient {
            let related = std::iter::once(None).chain(relationships().map(Some));
            for (relationship, restricted) in related.flat_map(|one| [(one, false), (one, true)]) {
                let relationship = relationship.map(ToOwned::to_owned);
                let units = unit();
                possible.push(Self { relationship, restricted, units, ..employed.clone() });
            }
        }
        possible
    }

    /// The facts that an access record tells.
    #[must_use]
    pub fn recorded(record: &schema::AccessRecord) -> Self {
        let holds = |name: &str| record.circumstances.iter().any(|one| one == name);
        let employed = holds("employed").then_some(true);
        let said = |what: &'static str| {
            record.circumstances.iter().filter_map(move |one| one.strip_prefix(what))
        };
        let alone = said(ALONE).find_map(|id| id.parse::<SubjectId>().ok());
        Self {
            relationship: record.relationship.clone(),
            emergency: record.emergency,
            alone: alone.map(|id| EntryId(id.0)),
            employed: employed.or_else(|| holds("not-employed").then_some(false)),
            own_file: holds("own-file"),
            vip: holds("vip"),
            restricted: holds("restricted"),
            staff_units: said(STAFF_UNIT).map(ToOwned::to_owned).collect(),
            units: said(UNIT).map(ToOwned::to_owned).collect(),
            time: said(TIME).find_map(LocalTime::parse),
        }
    }
}

/// How a person has to do with a patient, the strongest first. What one filed oneself makes one its
/// author and no more, whatever it says: nobody gives themselves a relationship of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relationship {
    /// An active care team names them.
    CareTeam,
    /// An encounter that is not over names them: as participant, recorder or asserter.
    Encounter,
    /// An encounter that is not over is in a unit where they work, by the staff directory.
    Unit,
    /// A task that is given and not over, nor the time for it, names them as owner.
    Task,
    /// An active service request names them as performer: their advice or service is asked for.
    Consult,
    /// They are on call now, by the staff directory, for a unit in which an encounter is that is not over.
    OnCall,
    /// An active consent permits it to them as a related person of the patient.
    Representative,
    /// They filed an entry lately, and not in an emergency access, or one filed lately names them as recorder, asserter or verifier (so
    /// whoever ordered something); or one of the above that they filed names them.
    Author,
}

/// Every relationship, as access records and policies name it.
pub(crate) fn relationships() -> impl Iterator<Item = &'static str> {
    Relationship::ALL.into_iter().map(Relationship::name)
}

impl Relationship {
    const ALL: [Self; 8] = [
        Self::CareTeam,
        Self::Encounter,
        Self::Unit,
        Self::Task,
        Self::Consult,
        Self::OnCall,
        Self::Representative,
        Self::Author,
    ];

    /// As access records and policies name it.
    const fn name(self) -> &'static str {
        match self {
            Self::CareTeam => "care-team",
            Self::Encounter => "encounter",
            Self::Unit => "unit",
            Self::Task => "task",
            Self::Consult => "consult",
            Self::OnCall => "on-call",
            Self::Representative => "representative",
            Self::Author => "author",
        }
    }
}

/// The caller, as files and the staff directory know them.
struct Known<'a> {
    caller: &'a Caller,
    /// What they look for.
    purpose: &'a Purpose,
    actor: [u8; 16],
    staff: Option<&'a PractitionerRole>,
    now: u64,
    /// When they had broken the glass for the patient: what they filed then makes them no author, or an
    /// emergency would open the file for a month.
    emergencies: Vec<(u64, u64)>,
}

impl Engine {
    /// What is known of the caller and the patient when these changes are to be filed, or none. Nothing
    /// of a file that cannot be opened here: its key is destroyed, or has not arrived.
    pub(crate) fn facts(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
        changes: &[Command],
    ) -> Result<Facts, Failure> {
        let covering = match patient {
            Some(patient) if ctx.needs_broken_glass() => {
                self.emergency_covering(ctx, patient, changes)?
            }
            Some(_) | None => None,
        };
        let emergency = covering.map(|covering| covering.id);
        let alone = covering.and_then(|covering| covering.alone);
        let now = self.now();
        let directory = self.staff()?;
        let staff = self.listed(&directory, &ctx.caller)?;
        let employed = staff.map(|staff| is_employed(staff, now));
        let units = staff.map(|staff| units_of(staff, now)).unwrap_or_default();
        let staff_units = told(&units, &BTreeSet::new());
        let facts = Facts { employed, emergency, alone, staff_units, ..Facts::default() };
        let Some(patient) = patient else { return Ok(facts) };
        let own_file = staff.is_some_and(|staff| staff.patient == Some(patient));
        let facts = Facts { own_file, ..facts };
        let Some(file) = self.file_facts(patient)? else { return Ok(facts) };
        let actor = self.actor(&ctx.caller)?.0;
        let (caller, purpose) = (&ctx.caller, &ctx.purpose);
        let mut known = Known { caller, purpose, actor, staff, now, emergencies: Vec::new() };
        let mut relationship = known.relationship(&file);
        // Few are authors, and few of them broke the glass.
        if relationship == Some(Relationship::Author) {
            known.emergencies = self.emergencies_of(&ctx.caller, patient);
            relationship = known.relationship(&file);
        }
        let here = file.units(now);
        Ok(Facts {
            relationship: relationship.map(|found| found.name().to_owned()),
            vip: file.vip,
            restricted: known.is_restricted(&file),
            staff_units: told(&units, &here),
            units: told(&here, &units),
            ..facts
        })
    }
}

/// Whether an employment is now, from its first day to its last, in UTC.
fn is_employed(staff: &PractitionerRole, now: u64) -> bool {
    Span::of(staff.period.as_ref()).holds(now)
}

/// The units where somebody works, and those for which they are on call now.
fn units_of(staff: &PractitionerRole, now: u64) -> BTreeSet<&str> {
    let on_call = staff.duties.iter().filter(|duty| is_on_call(duty, now));
    let on_call = on_call.map(|duty| duty.unit.as_str());
    staff.units.iter().map(String::as_str).chain(on_call).collect()
}

fn is_on_call(duty: &Duty, now: u64) -> bool {
    Span::of(Some(&duty.period)).holds(now)
}

/// How a provision's actor is to be read: as it is spelt; of a denial also without the version and the server
/// that it names, which do not matter: too much of it is noticed.
fn readings<'a>(provision: &Provision, actor: &'a Actor) -> impl Iterator<Item = &'a str> {
    let spelt = actor.reference.as_str();
    let whoever = spelt.split_once("/_history/").map_or(spelt, |(whoever, _)| whoever);
    let whoever = (provision.r#type == "deny").then_some(whoever);
    let here = whoever.and_then(|whoever| {
        let (end, _) = whoever.rmatch_indices('/').nth(1)?;
        whoever.get(end + 1..)
    });
    std::iter::once(spelt).chain(whoever).chain(here)
}

/// Of these units those that are told, of too many first what both have.
fn told(units: &BTreeSet<&str>, others: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut room = MAX_UNITS;
    let fits = |unit: &&&str| match room.checked_sub(unit.len()) {
        Some(left) => {
            room = left;
            true
        }
        None => false,
    };
    let both = units.intersection(others).chain(units.difference(others));
    both.take_while(fits).map(|unit| (*unit).to_owned()).collect()
}

impl Known<'_> {
    fn relationship(&self, file: &FileFacts) -> Option<Relationship> {
        // A service that acts alone treats nobody.
        self.caller.person.as_ref()?;
        let filed = file.bearing.values().filter_map(|filed| self.related_by(filed));
        let authored = || self.is_author(file).then_some(Relationship::Author);
        filed.min().or_else(authored)
    }

    /// How one entry relates the caller.
    fn related_by(&self, filed: &Filed) -> Option<Relationship> {
        let found = match &filed.named {
            Named::CareTeam { during, members } if during.holds(self.now) => {
                let mut members = members.iter().filter(|(_, during)| during.holds(self.now));
                members.any(|(who, _)| self.is(who)).then_some(Relationship::CareTeam)
            }
            Named::Encounter { until, people, unit } if *until >= self.now => {
                let named = people.iter().any(|who| self.is(who));
                let here = || unit.as_ref().and_then(|unit| self.belongs_to(unit));
                named.then_some(Relationship::Encounter).or_else(here)
            }
            Named::Task { until, owner } if *until >= self.now => {
                self.is(owner).then_some(Relationship::Task)
            }
            Named::ServiceRequest { performers } => {
                performers.iter().any(|who| self.is(who)).then_some(Relationship::Consult)
            }
            Named::Consent(provisions) => {
                let named = |one: &&Provision| self.matches(one) && self.is_related(one);
                let holding = provisions.iter().rev().find(named)?;
                (holding.r#type == "permit").then_some(Relationship::Representative)
            }
            Named::CareTeam { .. } | Named::Encounter { .. } | Named::Task { .. } => None,
        }?;
        if filed.by != self.actor {
            return Some(found);
        }
        self.is_usual(filed.at).then_some(Relationship::Author)
    }

    /// Whether a provision names the caller as a `RelatedPerson`.
    fn is_related(&self, provision: &Provision) -> bool {
        let Some(person) = self.caller.person.as_deref() else { return false };
        let mut named = provision.actor.iter().flat_map(|actor| readings(provision, actor));
        named.any(|one| one.strip_prefix("RelatedPerson/") == Some(person))
    }

    fn is_author(&self, file: &FileFacts) -> bool {
        let lately = |at: u64| at.saturating_add(AUTHORED_LATELY) >= self.now;
        let counts = |last: &Last| lately(last.at) && self.is_usual(last.at);
        let mut named = file.authors.named.iter().filter(|(_, last)| counts(last));
        file.authors.filed.get(&self.actor).is_some_and(counts)
            || named.any(|(who, _)| self.is(who))
    }

    /// Whether the caller had not broken the glass for the patient then.
    fn is_usual(&self, at: u64) -> bool {
        !self.emergencies.iter().any(|(from, to)| (*from..=*to).contains(&at))
    }

    /// Whether a reference names the caller.
    fn is(&self, reference: &str) -> bool {
        let Some(person) = self.caller.person.as_deref() else { return false };
        reference == person
            || reference.strip_prefix("Practitioner/") == Some(person)
            || self.staff.is_some_and(|staff| staff.references.iter().any(|one| one == reference))
    }

    /// How the caller belongs to a unit, by the staff directory.
    fn belongs_to(&self, unit: &str) -> Option<Relationship> {
        let staff = self.staff?;
        let on_call = |duty: &Duty| duty.unit == unit && is_on_call(duty, self.now);
        if staff.units.iter().any(|one| one == unit) {
            return Some(Relationship::Unit);
        }
        staff.duties.iter().any(on_call).then_some(Relationship::OnCall)
    }

    /// Whether a consent denies it: of its provisions that match, the last one holds.
    fn is_restricted(&self, file: &FileFacts) -> bool {
        let consents = file.bearing.values().filter_map(|filed| match &filed.named {
            Named::Consent(provisions) => Some(provisions),
            Named::CareTeam { .. }
            | Named::Encounter { .. }
            | Named::Task { .. }
            | Named::ServiceRequest { .. } => None,
        });
        let mut holding = consents.filter_map(|provisions| {
            provisions.iter().rev().find(|provision| self.matches(provision))
        });
        holding.any(|provision| provision.r#type == "deny")
    }

    /// Whether a provision is about the caller, what they look for, and now.
    fn matches(&self, provision: &Provision) -> bool {
        let during = Span::of(provision.period.as_ref());
        let mut actors = provision.actor.iter();
        let mut purposes = provision.purpose.iter();
        let related = self.is_related(provision);
        let meant = |actor: &Actor| readings(provision, actor).any(|one| self.is_meant(one));
        during.holds(self.now)
            && (provision.actor.is_empty() || related || actors.any(meant))
            && (provision.purpose.is_empty()
                || purposes
                    .any(|coding| self.purpose.is_kind_of(&coding.code.to_ascii_uppercase())))
    }

    /// Whether a provision's actor is the caller, in one of their roles, or of their organisation.
    fn is_meant(&self, reference: &str) -> bool {
        let role = |name: &str| {
            self.caller.roles.iter().any(|role| role.name().eq_ignore_ascii_case(name))
        };
        self.is(reference)
            || reference.strip_prefix("PractitionerRole/").is_some_and(role)
            || reference.strip_prefix("Organization/") == Some(self.caller.organisation.as_str())
    }
}

#[cfg(test)]
mod tests;
