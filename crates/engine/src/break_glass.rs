//! Breaking the glass, and ending it.

use domain::{EntryId, PatientId};
use ledger::SubjectId;

use crate::Receipt;
use crate::access::Pass;
use crate::answers::Shown;
use crate::context::Context;
use crate::emergencies::{EmergencyAccess, EmergencyId, EmergencyScope};
use crate::engine::Engine;
use crate::failure::{Failure, Violation};
use crate::registers::author;
use crate::showing::{Ended, NOT_OPENED, Saw};

/// Why the glass is broken: codes of HL7 v3 `ActReason` for overriding consent to access
/// (`_ActConsentInformationAccessOverrideReason`). Emergency treatment, professional judgment,
/// public safety, third party safety.
pub const REASON_CODES: [&str; 4] = ["OVRER", "OVRPJ", "OVRPS", "OVRTPS"];

const HOUR: u64 = 60 * 60 * 1_000_000;
/// Longest that a patient's file, or an entry of it, stays open, µs: time to stabilise and to find whoever treats.
/// (DHIS2 opens a programme for three hours.) Ours; the glass can be broken again.
pub const LONGEST_FOR_A_PATIENT: u64 = 4 * HOUR;
/// Longest that a unit's files stay open, µs: a long shift.
pub const LONGEST_FOR_A_UNIT: u64 = 12 * HOUR;

/// Whose file is meant.
#[derive(Clone, Debug)]
pub enum Whose {
    /// This patient's.
    Id(PatientId),
    /// That of the patient to whom this number was issued.
    Number {
        /// URI of the number range.
        issuer: String,
        /// The number.
        value: String,
    },
}

/// What is to be opened.
#[derive(Clone, Debug)]
pub enum Opening {
    /// A patient's file.
    Patient(Whose),
    /// This entry of a patient's file.
    Entry(Whose, EntryId),
    /// The files of the patients in this unit.
    Unit(String),
}

/// A glass that is to be broken.
#[derive(Clone, Debug)]
pub struct BreakGlass {
    /// Why, one of [`REASON_CODES`].
    pub reason_code: String,
    /// What is to be opened.
    pub scope: Opening,
    /// For how long, µs; none: as long as can be.
    pub duration: Option<u64>,
}

impl Engine {
    /// Breaks the glass: on record, also while the broker is away, before it is answered. The alarm
    /// `GLASS_BROKEN` tells whoever reviews accesses at once; who, of whom and why, is theirs to
    /// read.
    ///
    /// # Errors
    /// [`Failure::Invalid`], [`Failure::NotFound`] for a patient, or an entry of theirs, who is not on
    /// file, [`Failure::Denied`], and whatever keeps it from being recorded.
    pub async fn break_glass(
        &self,
        ctx: &Context,
        asked: &BreakGlass,
    ) -> Result<Shown<EmergencyAccess>, Failure> {
        // Before anybody is looked for: what is wrong with the call is so whoever is meant.
        let duration = duration(asked)?;
        let near_end = self.records.line.near_end();
        let patient = match near_end {
            Ok(()) => self.whose_file(&asked.scope)?,
            Err(_) => None,
        };
        let pass = self.admit(ctx, patient).await?;
        near_end?;
        let scope = match self.scope(&asked.scope, patient) {
            Ok(scope) => scope,
            Err(failure) => return Err(self.not_opened(ctx, &pass, patient, failure).await),
        };
        let from = self.now();
        let access = EmergencyAccess {
            id: crate::clock::random()?,
            person: author(&ctx.caller),
            actor: self.actor(&ctx.caller)?,
            roles: ctx.caller.roles.iter().map(|role| role.name().to_owned()).collect(),
            reason_code: asked.reason_code.clone(),
            reason: ctx.reason.clone().unwrap_or_default(),
            scope,
            from,
            until: from.saturating_add(duration),
            ended: None,
        };
        let pass = pass.in_emergency(access.id);
        let position = self.position();
        let saw = Saw { position, ..Saw::told(1, access.told()) };
        let begun = access.clone();
        let remember = move |engine: &Self| {
            engine.emergency_begun(begun);
            engine.tell_overdue();
        };
        let receipt = self.record_emergency(ctx, pass, patient, saw, remember).await?;
        Ok(Shown { answer: access, receipt, position })
    }

    /// The patient concerned, if it is one and on file, whether or not this node can open the file.
    fn whose_file(&self, asked: &Opening) -> Result<Option<PatientId>, Failure> {
        let reader = self.shelf.never_to_be_shown().reader();
        Ok(match asked {
            Opening::Unit(_) => None,
            Opening::Patient(Whose::Id(id)) | Opening::Entry(Whose::Id(id), _) => {
                let first = reader.history(SubjectId(id.0), 1, 1)?.items.into_iter().next();
                first.map(|_| *id)
            }
            Opening::Patient(Whose::Number { issuer, value })
            | Opening::Entry(Whose::Number { issuer, value }, _) => {
                reader.find_identifier(issuer, value)?
            }
        })
    }

    /// What is opened, if it is on file. Opens an entry: for whoever may break the glass, no earlier.
    fn scope(
        &self,
        asked: &Opening,
        patient: Option<PatientId>,
    ) -> Result<EmergencyScope, Failure> {
        let entry = match asked {
            Opening::Unit(unit) => return Ok(EmergencyScope::Unit(unit.clone())),
            Opening::Patient(_) => None,
            Opening::Entry(_, entry) => Some(*entry),
        };
        let patient = patient.ok_or(Failure::NotFound)?;
        let (store, subject) = (self.shelf.never_to_be_shown(), SubjectId(patient.0));
        if !store.opens(subject)? {
            return Err(self.no_file(&store.reader(), subject)?);
        }
        let Some(entry) = entry else { return Ok(EmergencyScope::Patient(patient)) };
        let found = store.reader().entry(subject, entry)?.ok_or(Failure::NotFound)?;
        Ok(EmergencyScope::Entry(patient, found.id))
    }

    /// After a file was not opened: whatever kept it from that, it tells that there is such a patient,
    /// also where it is no word on them otherwise (a key that is missing, damage).
    async fn not_opened(
        &self,
        ctx: &Context,
        pass: &Pass,
        patient: Option<PatientId>,
        failure: Failure,
    ) -> Failure {
        let says_why =
            matches!(failure, Failure::NotFound | Failure::Refused { .. } | Failure::Invalid(_));
        if patient.is_none() || says_why {
            return self.refused(ctx, pass, patient, failure).await;
        }
        let saw = Saw::told(1, NOT_OPENED.to_owned());
        let recorded = self.ended(ctx, pass, patient, Ended::Refused, &saw).await;
        recorded.err().unwrap_or(failure)
    }

    /// Ends an emergency access of the caller's own; one that is over already stays as it is.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when the caller has no such emergency access, [`Failure::Denied`], and
    /// whatever keeps it from being recorded.
    pub async fn end_emergency(
        &self,
        ctx: &Context,
        id: EmergencyId,
    ) -> Result<Shown<EmergencyAccess>, Failure> {
        let register = self.emergencies()?;
        let own = register.get(&id).filter(|access| access.person == author(&ctx.caller));
        let patient = own.and_then(EmergencyAccess::patient);
        let pass = self.admit(ctx, patient).await?;
        let Some(access) = own else {
            self.ended(ctx, &pass, None, Ended::NotFound, &Saw::default()).await?;
            return Err(Failure::NotFound);
        };
        let pass = pass.in_emergency(id);
        let mut access = access.clone();
        let at = access.ended.unwrap_or_else(|| self.now());
        access.end(at);
        let position = self.position();
        let saw = Saw { position, ..Saw::told(1, format!("ended {at}")) };
        let remember = move |engine: &Self| engine.emergency_ended(&id, at);
        let receipt = self.record_emergency(ctx, pass, patient, saw, remember).await?;
        Ok(Shown { answer: access, receipt, position })
    }

    /// Records that an emergency access began or ended, then remembers it, also when the caller goes away
    /// in between: what is on record holds.
    async fn record_emergency(
        &self,
        ctx: &Context,
        pass: Pass,
        patient: Option<PatientId>,
        saw: Saw,
        remember: impl FnOnce(&Self) + Send + 'static,
    ) -> Result<Receipt, Failure> {
        let subject = self.emergency_subject()?;
        let (engine, ctx) = (self.clone(), ctx.clone());
        let recorded = tokio::spawn(async move {
            let shown = patient.as_slice();
            let receipt = engine.searched_under(&ctx, &pass, subject, shown, &saw).await?;
            remember(&engine);
            Ok(receipt)
        });
        recorded.await.map_err(Failure::internal)?
    }
}

/// For how long the glass is broken, when code and duration are as they may be.
fn duration(asked: &BreakGlass) -> Result<u64, Failure> {
    let mut violations = Vec::new();
    let mut fault = |field: &str, code: &str, description: String| {
        let (field, code) = (field.to_owned(), code.to_owned());
        violations.push(Violation { field, code, description });
    };
    if !REASON_CODES.contains(&asked.reason_code.as_str()) {
        let known = REASON_CODES.join(", ");
        fault("reason_code", "value-not-allowed", format!("must be one of {known}"));
    }
    if let Opening::Unit(unit) = &asked.scope
        && (unit.trim().is_empty()
            || unit.len() > domain::limits::MAX_SHORT_TEXT
            || unit.chars().any(char::is_control))
    {
        fault("unit", "value-not-allowed", "must be a unit's name, in one line".to_owned());
    }
    let longest = match asked.scope {
        Opening::Patient(_) | Opening::Entry(..) => LONGEST_FOR_A_PATIENT,
        Opening::Unit(_) => LONGEST_FOR_A_UNIT,
    };
    let duration = asked.duration.unwrap_or(longest);
    if duration == 0 || duration > longest {
        let hours = longest / HOUR;
        let description = format!("must be more than nothing and at most {hours} hours");
        fault("duration", "out-of-range", description);
    }
    if violations.is_empty() { Ok(duration) } else { Err(Failure::Invalid(violations)) }
}
