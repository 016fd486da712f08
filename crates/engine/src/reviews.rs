//! Reviews of emergency accesses: who waits for one, by when, and its verdict.

use domain::{BreakGlassReview, Document, DocumentId, DocumentKind, DocumentState, PatientId};

use crate::answers::Shown;
use crate::clock::as_text;
use crate::context::Context;
use crate::emergencies::{EmergencyAccess, EmergencyId, Register};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::queries::{check_place, page_size};
use crate::registers::{Documents, FiledDocument, Revision, needs_person};
use crate::showing::{Ended, Saw};

/// When a review is due after the start of the emergency access, µs: whoever did it still remembers
/// why, and a weekend is between at most. Ours; no source sets a figure.
pub const REVIEW_WITHIN: u64 = 72 * 60 * 60 * 1_000_000;

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

impl EmergencyPage {
    /// The patients whom it names.
    pub(crate) fn patients(&self) -> Vec<PatientId> {
        let mut patients: Vec<_> =
            self.items.iter().filter_map(|item| item.access.patient()).collect();
        patients.sort_unstable();
        patients.dedup();
        patients
    }
}

/// A page of these emergency accesses with these reviews, as they stand at a time.
pub(crate) fn emergency_page(
    register: &Register,
    reviews: &Documents,
    now: u64,
    filter: &EmergencyFilter,
    after: Option<EmergencyId>,
    limit: usize,
) -> EmergencyPage {
    let mut all: Vec<_> = register.values().collect();
    all.sort_unstable_by_key(|access| std::cmp::Reverse((access.from, access.id)));
    let after = after.and_then(|id| register.get(&id)).map(|access| (access.from, access.id));
    let mut wanted = all
        .into_iter()
        .filter(|access| after.is_none_or(|after| (access.from, access.id) < after))
        .map(|access| reviewed(access, reviews, now))
        .filter(|item| filter.meets(item));
    let items: Vec<_> = wanted.by_ref().take(page_size(limit)).collect();
    let more = wanted.next().is_some();
    let next = items.last().filter(|_| more).map(|item| item.access.id);
    EmergencyPage { items, next }
}

impl Engine {
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
        let (trail, register) = self.emergencies_upto()?;
        check_place(after.is_none_or(|after| register.contains_key(&after)))?;
        let (position, reviews) = self.shown_documents(&pass, DocumentKind::BreakGlassReview)?;
        let answered_at = self.now();
        let page = emergency_page(&register, &reviews, answered_at, filter, after, limit);
        let (rendered, digest) = render(&page);
        let count = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&digest)?);
        let saw = Saw { position, trail, answered_at, count, digest, ..Saw::default() };
        let receipt = self.searched(ctx, &pass, &page.patients(), &saw).await?;
        Ok(Shown { answer: rendered, receipt, position })
    }

    /// Files the verdict of a review: a final one closes it.
    ///
    /// # Errors
    /// [`Failure::Refused`] `SAME_PERSON` when the caller broke the glass or is a service alone,
    /// `STATUS_STEP_NOT_ALLOWED` when the access is still open or the review is closed; [`Failure::NotFound`] for an emergency
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
        if let Err(failure) = needs_person(&ctx.caller) {
            return Err(self.refused(ctx, &pass, patient, failure).await);
        }
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
                Ok(count) => self.alarms.keep(code, None, format!("{count} {what}")),
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
    let refused = |message| Err(Failure::refused("STATUS_STEP_NOT_ALLOWED", message));
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
