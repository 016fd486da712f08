//! Breaking the glass, ending it, and having it reviewed.

use domain::{
    BreakGlassReview, Document, DocumentId, DocumentKind, DocumentState, EntryId, PatientId,
};

use ledger::SubjectId;

use crate::access::Pass;
use crate::answers::Shown;
use crate::clock::as_text;
use crate::context::Context;
use crate::emergencies::{EmergencyAccess, EmergencyId, EmergencyScope};
use crate::engine::Engine;
use crate::failure::{Failure, Violation};
use crate::queries::page_size;
use crate::registers::{Documents, FiledDocument, Revision, author};
use crate::showing::{Ended, Saw};

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
/// When a review is due after the start of the emergency access, µs: whoever did it still remembers
/// why, and a weekend is between at most. Ours; no source sets a figure.
pub const REVIEW_WITHIN: u64 = 72 * HOUR;

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

/// A review, open until a final verdict is filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The verdict that was filed last; it closes the review if it is final.
    pub filed: Option<Verdict>,
    /// When it is due, µs since 1970 UTC.
    pub due: u64,
    /// Whether it was open and due.
    pub overdue: bool,
}

/// A verdict that was filed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Which, and in which words.
    pub review: BreakGlassReview,
    /// By whom.
    pub reviewer: String,
    /// When, µs since 1970 UTC.
    pub at: u64,
}

impl Review {
    /// The verdict that closed it, unless it is open.
    #[must_use]
    pub fn closed(&self) -> Option<&Verdict> {
        self.filed.as_ref().filter(|filed| filed.review.is_final())
    }
}

/// An emergency access, whether it was open, and its review.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// The emergency access.
    pub access: EmergencyAccess,
    /// Whether it was open.
    pub open: bool,
    /// Its review.
    pub review: Review,
}

/// Which emergency accesses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmergencyState {
    /// Those that are open.
    Open,
    /// Those that ended or expired.
    Ended,
    /// Those whose review is open.
    Unreviewed,
    /// Those whose review is open and due.
    Overdue,
}

/// Emergency accesses that are asked for; everything given must hold.
#[derive(Clone, Debug, Default)]
pub struct EmergencyFilter {
    /// In this state.
    pub state: Option<EmergencyState>,
    /// Of this person.
    pub person: Option<String>,
}

/// A page of emergency accesses, the last begun first.
#[derive(Clone, Debug)]
pub struct EmergencyPage {
    /// The emergency accesses.
    pub items: Vec<Reviewed>,
    /// The next page starts after this one.
    pub next: Option<EmergencyId>,
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
        let near_end = self.records.line.near_end();
        let patient = match near_end {
            Ok(()) => self.whose_file(&asked.scope)?,
            Err(_) => None,
        };
        let pass = self.admit(ctx, patient).await?;
        near_end?;
        let duration = duration(asked)?;
        let scope = match self.scope(&asked.scope, patient) {
            Ok(scope) => scope,
            Err(failure) => return Err(self.refused(ctx, &pass, patient, failure).await),
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
        let subject = self.emergency_subject()?;
        let shown: Vec<_> = patient.into_iter().collect();
        let receipt = self.searched_under(ctx, &pass, subject, &shown, &saw).await?;
        self.emergency_begun(access.clone());
        self.tell_overdue();
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
        let at = self.now();
        access.end(at);
        let position = self.position();
        let saw = Saw { position, ..Saw::told(1, "ended".to_owned()) };
        let subject = self.emergency_subject()?;
        let shown: Vec<_> = patient.into_iter().collect();
        let receipt = self.searched_under(ctx, &pass, subject, &shown, &saw).await?;
        self.emergency_ended(&id, at);
        Ok(Shown { answer: access, receipt, position })
    }

    /// A page of emergency accesses with their reviews; each patient named in it is on record.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list_emergencies<T>(
        &self,
        ctx: &Context,
        filter: &EmergencyFilter,
        after: Option<EmergencyId>,
        limit: usize,
        render: impl FnOnce(&EmergencyPage) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit(ctx, None).await?;
        self.access.line.near_end()?;
        self.trail.applied().await;
        let position = self.position();
        let page = self.emergency_page(&pass, filter, after, page_size(limit))?;
        let mut patients: Vec<_> =
            page.items.iter().filter_map(|item| item.access.patient()).collect();
        patients.sort_unstable();
        patients.dedup();
        let (rendered, digest) = render(&page);
        let count = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&digest)?);
        let saw = Saw { position, count, digest, ..Saw::default() };
        let receipt = self.searched(ctx, &pass, &patients, &saw).await?;
        Ok(Shown { answer: rendered, receipt, position })
    }

    fn emergency_page(
        &self,
        pass: &Pass,
        filter: &EmergencyFilter,
        after: Option<EmergencyId>,
        limit: usize,
    ) -> Result<EmergencyPage, Failure> {
        let now = self.now();
        let register = self.emergencies()?;
        let (_, reviews) = self.shown_documents(pass, DocumentKind::BreakGlassReview)?;
        let mut all: Vec<_> = register.values().collect();
        all.sort_unstable_by_key(|access| std::cmp::Reverse((access.from, access.id)));
        let after = after.and_then(|id| register.get(&id)).map(|access| (access.from, access.id));
        let mut wanted = all
            .into_iter()
            .filter(|access| after.is_none_or(|after| (access.from, access.id) < after))
            .map(|access| reviewed(access, &reviews, now))
            .filter(|item| filter.meets(item));
        let items: Vec<_> = wanted.by_ref().take(limit).collect();
        let more = wanted.next().is_some();
        let next = items.last().filter(|_| more).map(|item| item.access.id);
        Ok(EmergencyPage { items, next })
    }

    /// Files the verdict of a review: a final one closes it.
    ///
    /// # Errors
    /// [`Failure::Refused`] `SAME_PERSON` when the caller broke the glass, `STATUS_STEP_NOT_ALLOWED`
    /// when the access is still open or the review is closed; [`Failure::NotFound`] for an emergency
    /// access that this node does not know, [`Failure::Denied`].
    pub async fn close_review(
        &self,
        ctx: &Context,
        request_id: &str,
        id: EmergencyId,
        verdict: &str,
        text: &str,
    ) -> Result<FiledDocument, Failure> {
        let register = self.emergencies()?;
        let access = register.get(&id);
        let patient = access.and_then(EmergencyAccess::patient);
        let pass = self.admit(ctx, patient).await?;
        let Some(access) = access else {
            self.ended(ctx, &pass, None, Ended::NotFound, &Saw::default()).await?;
            return Err(Failure::NotFound);
        };
        let review = BreakGlassReview {
            person: access.person.clone(),
            verdict: verdict.to_owned(),
            text: text.to_owned(),
        };
        let kind = DocumentKind::BreakGlassReview;
        let revision = Revision { kind, id: DocumentId(id), reason: text, patient };
        let open = access.open(self.now()).then_some(access.until);
        let next = move |before: Option<&DocumentState>| {
            may_be_reviewed(open, before)?;
            Ok(Document::BreakGlassReview(review.clone()))
        };
        self.file_document(ctx, &pass, request_id, revision, next).await
    }

    /// Keeps the alarms of what waits for somebody or is overdue, as long as it is so. Looked at with
    /// the node's status, which its health follows four times a second.
    pub(crate) fn tell_overdue(&self) {
        let reviews = "emergency access(es) should have been reviewed by now: caseledger emergency \
                       list --state overdue, then caseledger emergency review";
        let notices = "privacy incident(s) are past the 60 days in which individuals are to be told: \
                       caseledger incident list";
        let broken = "emergency access(es) are open or not yet reviewed. Who, of whom or where, and why: \
                      caseledger emergency list --state unreviewed";
        for (code, overdue, what) in [
            ("GLASS_BROKEN", self.unreviewed(), broken),
            ("REVIEWS_OVERDUE", self.reviews_overdue(), reviews),
            ("INCIDENT_NOTICE_OVERDUE", self.notices_overdue(), notices),
        ] {
            match overdue {
                Ok(0) => self.alarms.clear(code, None),
                Ok(count) => self.alarms.keep(code, format!("{count} {what}")),
                // Keys have not arrived, or something is damaged: the node says so elsewhere.
                Err(failure) => tracing::debug!(?failure, code, "what is overdue is not known"),
            }
        }
    }

    /// How many emergency accesses no final verdict was filed of.
    fn unreviewed(&self) -> Result<usize, Failure> {
        let now = self.now();
        let register = self.emergencies()?;
        if register.is_empty() {
            return Ok(0);
        }
        let reviews = self.documents(DocumentKind::BreakGlassReview)?;
        let closed =
            |access: &&EmergencyAccess| reviewed(access, &reviews, now).review.closed().is_some();
        Ok(register.values().filter(|access| !closed(access)).count())
    }

    /// How many reviews are open and due.
    fn reviews_overdue(&self) -> Result<usize, Failure> {
        let now = self.now();
        let register = self.emergencies()?;
        let mut due = register.values().filter(|access| due(access) <= now).peekable();
        if due.peek().is_none() {
            return Ok(0);
        }
        let reviews = self.documents(DocumentKind::BreakGlassReview)?;
        Ok(due.filter(|access| reviewed(access, &reviews, now).review.overdue).count())
    }
}

impl EmergencyFilter {
    fn meets(&self, item: &Reviewed) -> bool {
        let state = match self.state {
            None => true,
            Some(EmergencyState::Open) => item.open,
            Some(EmergencyState::Ended) => !item.open,
            Some(EmergencyState::Unreviewed) => item.review.closed().is_none(),
            Some(EmergencyState::Overdue) => item.review.overdue,
        };
        state && self.person.as_deref().is_none_or(|person| person == item.access.person)
    }
}

/// When the review is due.
const fn due(access: &EmergencyAccess) -> u64 {
    access.from.saturating_add(REVIEW_WITHIN)
}

fn reviewed(access: &EmergencyAccess, reviews: &Documents, now: u64) -> Reviewed {
    let filed = reviews.get(&DocumentId(access.id)).and_then(verdict);
    let mut review = Review { filed, due: due(access), overdue: false };
    review.overdue = review.closed().is_none() && review.due <= now;
    Reviewed { access: access.clone(), open: access.open(now), review }
}

/// The verdict that stands.
fn verdict(state: &DocumentState) -> Option<Verdict> {
    let Document::BreakGlassReview(review) = &state.document else { return None };
    let reviewer = state.changed.author.clone();
    Some(Verdict { review: review.clone(), reviewer, at: state.changed.stamp.recorded_at })
}

/// Refuses a verdict on what is not over (`open` until then), so that nothing is opened after it was
/// judged, and one after a final one.
fn may_be_reviewed(open: Option<u64>, before: Option<&DocumentState>) -> Result<(), Failure> {
    let refused = |message| Err(Failure::Refused { reason: "STATUS_STEP_NOT_ALLOWED", message });
    if let Some(until) = open {
        return refused(format!(
            "the emergency access is still open: its review can be closed when it has ended, or has \
             expired at {}",
            as_text(until)
        ));
    }
    match before.and_then(verdict).filter(|before| before.review.is_final()) {
        None => Ok(()),
        Some(Verdict { reviewer, at, .. }) => refused(format!(
            "the review was closed by {reviewer} at {}, and its verdict is final",
            as_text(at)
        )),
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
