//! Privacy incidents: filed whole, shown with the patients whom their accesses concern.

use std::collections::BTreeSet;

use domain::{Document, DocumentId, DocumentKind, DocumentState, PatientId, PrivacyIncident};
use ledger::Hash;
use schema::Outcome;

use crate::answers::Shown;
use crate::context::Context;
use crate::engine::Engine;
use crate::failure::{Failure, Violation};
use crate::filing::first_half;
use crate::queries::{check_place, page_size};
use crate::registers::{Documents, FiledDocument, Revision};
use crate::showing::{Ended, Saw};

/// A day, µs: a notice may be dated by its day alone, which begins earlier east of Greenwich than in UTC.
const DAY: u64 = 24 * 3_600 * 1_000_000;

/// An incident as it stands.
#[derive(Clone, Debug)]
pub struct Incident {
    /// Its id, revision, and who filed it when.
    pub state: DocumentState,
    /// What it says.
    pub incident: PrivacyIncident,
    /// Whether a notice was due when this was answered, and not given.
    pub notice_overdue: bool,
}

/// An incident, and a page of the patients whom it affects.
#[derive(Clone, Debug)]
pub struct IncidentPage {
    /// The incident.
    pub incident: Incident,
    /// How many patients it affects.
    pub affected_count: usize,
    /// Those on this page, in the order of their ids.
    pub affected: Vec<PatientId>,
    /// The next page starts after this one.
    pub next: Option<PatientId>,
}

/// A page of incidents, the last opened first.
#[derive(Clone, Debug)]
pub struct IncidentsPage {
    /// The incidents.
    pub items: Vec<Incident>,
    /// The next page starts after this one.
    pub next: Option<DocumentId>,
}

impl Engine {
    /// Opens an incident.
    ///
    /// # Errors
    /// [`Failure::Invalid`] also for a position that is no access's and for a time in the future;
    /// [`Failure::Unavailable`] for one beyond what this node has of the trail; [`Failure::Denied`], and
    /// what keeps it from being filed.
    pub async fn open_incident(
        &self,
        ctx: &Context,
        request_id: &str,
        incident: PrivacyIncident,
    ) -> Result<FiledDocument, Failure> {
        let pass = self.admit(ctx, None).await?;
        self.check_incident(&incident)?;
        let mut bytes = b"caseledger/document/v1".to_vec();
        bytes.extend_from_slice(&Self::contribution_id(&ctx.caller, request_id).0);
        let id = DocumentId(first_half(&Hash::of(&bytes).0));
        let revision =
            Revision { kind: DocumentKind::PrivacyIncident, id, reason: "", patient: None };
        let next = move |_: Option<&DocumentState>| Ok(Document::PrivacyIncident(incident.clone()));
        self.file_document(ctx, &pass, request_id, revision, next).await.map_err(placed)
    }

    /// Files an incident anew, whole, after the revision that the caller saw.
    ///
    /// # Errors
    /// As [`Engine::open_incident`]; [`Failure::NotFound`], and [`Failure::VersionConflict`] when
    /// another revision stands.
    pub async fn amend_incident(
        &self,
        ctx: &Context,
        request_id: &str,
        id: DocumentId,
        expected_revision: u32,
        incident: PrivacyIncident,
        reason: &str,
    ) -> Result<FiledDocument, Failure> {
        let pass = self.admit(ctx, None).await?;
        self.check_incident(&incident)?;
        let revision = Revision { kind: DocumentKind::PrivacyIncident, id, reason, patient: None };
        let next = move |before: Option<&DocumentState>| {
            let before = before.ok_or(Failure::NotFound)?;
            if before.revision != expected_revision {
                return Err(Failure::VersionConflict { current: before.revision.into() });
            }
            Ok(Document::PrivacyIncident(incident.clone()))
        };
        self.file_document(ctx, &pass, request_id, revision, next).await.map_err(placed)
    }

    /// An incident, and a page of the patients whom it affects; each is on record before. The page is of those
    /// after a patient, once this node has at least so many records.
    ///
    /// # Errors
    /// [`Failure::NotFound`], which is recorded as well; see [`Failure`].
    pub async fn get_incident<T>(
        &self,
        ctx: &Context,
        id: DocumentId,
        (after, at_least): (Option<PatientId>, Option<u64>),
        limit: usize,
        render: impl FnOnce(&IncidentPage) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit_once_reached(ctx, None, at_least).await?;
        self.access.line.near_end()?;
        let (position, incidents) = self.shown_documents(&pass, DocumentKind::PrivacyIncident)?;
        let answered_at = self.now();
        let page = self.incident_page(&incidents, answered_at, id, after, limit)?;
        let Some(page) = page else {
            self.ended(ctx, &pass, None, Ended::NotFound, &Saw::default()).await?;
            return Err(Failure::NotFound);
        };
        let (rendered, digest) = render(&page);
        let digest = Some(self.answer_digest(&digest)?);
        let saw = Saw { position, answered_at, count: 1, digest, ..Saw::default() };
        let receipt = self.searched(ctx, &pass, &page.affected, &saw).await?;
        Ok(Shown { answer: rendered, receipt, position })
    }

    /// A page of incidents; it names no patients.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list_incidents<T>(
        &self,
        ctx: &Context,
        open_only: bool,
        after: Option<DocumentId>,
        limit: usize,
        render: impl FnOnce(&IncidentsPage) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit(ctx, None).await?;
        self.records.line.near_end()?;
        let (position, incidents) = self.shown_documents(&pass, DocumentKind::PrivacyIncident)?;
        check_place(after.is_none_or(|after| incidents.contains_key(&after)))?;
        let answered_at = self.now();
        let page = incidents_page(&incidents, answered_at, open_only, after, limit);
        let (rendered, digest) = render(&page);
        let count = u32::try_from(page.items.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&digest)?);
        let saw = Saw { position, answered_at, count, digest, ..Saw::default() };
        let receipt = self.searched(ctx, &pass, &[], &saw).await?;
        Ok(Shown { answer: rendered, receipt, position })
    }

    /// An incident of these as it stands at a time, with a page of the patients whom it affects.
    pub(crate) fn incident_page(
        &self,
        incidents: &Documents,
        now: u64,
        id: DocumentId,
        after: Option<PatientId>,
        limit: usize,
    ) -> Result<Option<IncidentPage>, Failure> {
        let found = incidents.get(&id).and_then(|state| standing(state, now));
        let Some(incident) = found else { return Ok(None) };
        let positions = &incident.incident.access_positions;
        let all = tokio::task::block_in_place(|| self.affected(positions))?;
        let mut rest = all.iter().copied().filter(|one| after.is_none_or(|after| *one > after));
        let affected: Vec<_> = rest.by_ref().take(page_size(limit)).collect();
        let next = affected.last().copied().filter(|_| rest.next().is_some());
        Ok(Some(IncidentPage { incident, affected_count: all.len(), affected, next }))
    }

    /// Of how many incidents a notice is due.
    pub(crate) fn notices_overdue(&self) -> Result<usize, Failure> {
        let now = self.now();
        let incidents = self.documents(DocumentKind::PrivacyIncident)?;
        let overdue = |state: &&DocumentState| matches!(&state.document, Document::PrivacyIncident(one) if one.notice_overdue(now));
        Ok(incidents.values().filter(overdue).count())
    }

    /// The patients of these accesses; of a query, all whom it showed. Who was denied, or found nothing,
    /// was shown nothing of anybody.
    fn affected(&self, positions: &[u64]) -> Result<BTreeSet<PatientId>, Failure> {
        let size = self.access.line.progress().size;
        let mut affected = BTreeSet::new();
        for position in positions {
            let access = self.access_at(*position)?.ok_or_else(|| not_applied(*position))?;
            // What cannot be opened here may have shown something.
            let outcome = access.record.as_ref().map(|record| record.outcome);
            if matches!(outcome, Some(Outcome::Denied | Outcome::NotFound)) {
                continue;
            }
            let patient = self.concerned_by(&access)?;
            affected.extend(patient);
            if patient.is_some() || access.header.index > 0 {
                continue;
            }
            // A commitment may stand between them.
            let mut left = access.header.count.saturating_sub(1);
            for at in *position + 1..size {
                if left == 0 {
                    break;
                }
                let Some(next) = self.access_at(at)? else { continue };
                affected.extend(self.concerned_by(&next)?);
                left -= 1;
            }
        }
        Ok(affected)
    }

    /// What the file's rules cannot know: this node's clock, and what is in the trail.
    fn check_incident(&self, incident: &PrivacyIncident) -> Result<(), Failure> {
        self.access.line.near_end()?;
        let size = self.access.line.progress().size;
        let now = self.now();
        let mut violations = Vec::new();
        let mut fault = |field: String, code: &str, description: &str| {
            let (code, description) = (code.to_owned(), description.to_owned());
            violations.push(Violation { field, code, description });
        };
        if incident.discover_time > now {
            fault(
                "incident.discover_time".to_owned(),
                "in-the-future",
                "must not be in the future",
            );
        }
        for (index, notice) in incident.notices.iter().enumerate() {
            if notice.notice_time > now.saturating_add(DAY) {
                let field = format!("incident.notices[{index}].notice_time");
                fault(field, "in-the-future", "must not be in the future");
            }
        }
        // No further than the limit, which the domain refuses to exceed.
        let positions = incident.access_positions.iter();
        for position in positions.take(domain::limits::MAX_INCIDENT_ACCESSES) {
            if self.access_at(*position)?.is_none() {
                if *position >= size {
                    return Err(not_applied(*position));
                }
                let text = format!("the ledger of accesses has no access at position {position}");
                fault("incident.access_positions".to_owned(), "unknown", &text);
            }
        }
        if violations.is_empty() { Ok(()) } else { Err(Failure::Invalid(violations)) }
    }
}

/// A page of these incidents as they stand at a time.
pub(crate) fn incidents_page(
    incidents: &Documents,
    now: u64,
    open_only: bool,
    after: Option<DocumentId>,
    limit: usize,
) -> IncidentsPage {
    let opened = |state: &DocumentState| state.filed.stamp.version;
    let after = after.and_then(|id| incidents.get(&id)).map(opened);
    let mut all: Vec<_> = incidents
        .values()
        .filter(|state| after.is_none_or(|after| opened(state) < after))
        .collect();
    all.sort_unstable_by_key(|state| std::cmp::Reverse(opened(state)));
    let mut wanted = all
        .into_iter()
        .filter_map(|state| standing(state, now))
        .filter(|one| !open_only || one.incident.closure.is_none());
    let items: Vec<_> = wanted.by_ref().take(page_size(limit)).collect();
    let more = wanted.next().is_some();
    let next = items.last().filter(|_| more).map(|one| one.state.id);
    IncidentsPage { items, next }
}

fn standing(state: &DocumentState, now: u64) -> Option<Incident> {
    let Document::PrivacyIncident(incident) = &state.document else { return None };
    let notice_overdue = incident.notice_overdue(now);
    Some(Incident { state: state.clone(), incident: incident.clone(), notice_overdue })
}

/// Whether there is such an access cannot be said here yet.
fn not_applied(position: u64) -> Failure {
    let why = format!(
        "this node has not applied access {position} yet, if there is one; ask another node"
    );
    Failure::Unavailable { why }
}

/// The document is the request's field `incident`.
fn placed(failure: Failure) -> Failure {
    let Failure::Invalid(mut violations) = failure else { return failure };
    for violation in &mut violations {
        if !["request_id", "reason", "author"].contains(&violation.field.as_str()) {
            violation.field = format!("incident.{}", violation.field);
        }
    }
    Failure::Invalid(violations)
}
