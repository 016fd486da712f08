//! The staff directory: who works here, in which units, until when, and which file is their own.
//!
//! A person is one document of the register, under an id that is made of theirs. The directory shows and
//! takes no patient: which patient somebody is, is filed and seen by itself, by those who may.

use domain::{Document, DocumentId, DocumentKind, DocumentState, PatientId, PractitionerRole};
use ledger::SubjectId;

use crate::Failure;
use crate::answers::Shown;
use crate::context::{Caller, Context};
use crate::engine::Engine;
use crate::filing::first_half;
use crate::registers::{Documents, FiledDocument, Revision};
use crate::showing::{Ended, Saw};

const KIND: DocumentKind = DocumentKind::PractitionerRole;

/// A page of the staff directory, by persons' ids.
#[derive(Clone, Debug)]
pub struct StaffPage {
    /// What is filed of each person, and how it stands.
    pub people: Vec<(PractitionerRole, DocumentState)>,
    /// The person's id after whom the next page starts.
    pub next: Option<String>,
}

impl Engine {
    /// The directory, for deciding on an access.
    pub(crate) fn staff(&self) -> Result<Documents, Failure> {
        self.documents_told(KIND)
    }

    /// What the directory says of a caller; none of a service, and of who is not in it.
    pub(crate) fn listed<'a>(
        &self,
        staff: &'a Documents,
        caller: &Caller,
    ) -> Result<Option<&'a PractitionerRole>, Failure> {
        let Some(person) = &caller.person else { return Ok(None) };
        Ok(staff.get(&self.practitioner_id(person)?).and_then(said))
    }

    fn practitioner_id(&self, person: &str) -> Result<DocumentId, Failure> {
        let term = self.vault.index_term("practitioner", &[person.as_bytes()])?;
        Ok(DocumentId(first_half(&term)))
    }

    /// Files what is known of a person, whole; which patient they are stays as it is.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn put_practitioner_role(
        &self,
        ctx: &Context,
        request_id: &str,
        role: PractitionerRole,
    ) -> Result<FiledDocument, Failure> {
        let pass = self.admit(ctx, None).await?;
        let id = self.practitioner_id(&role.person)?;
        let next = move |before: Option<&DocumentState>| {
            let patient = before.and_then(said).and_then(|before| before.patient);
            Ok(Document::PractitionerRole(PractitionerRole { patient, ..role.clone() }))
        };
        let reason = ctx.reason.as_deref().unwrap_or_default();
        let revision = Revision { kind: KIND, id, reason, patient: None };
        self.file_document(ctx, &pass, request_id, revision, next).await.map_err(placed)
    }

    /// Files which patient a person is; none: not one that is on file here.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when the person is not in the directory or there is no such file; see
    /// [`Failure`].
    pub async fn link_own_file(
        &self,
        ctx: &Context,
        request_id: &str,
        person: &str,
        patient: Option<PatientId>,
    ) -> Result<FiledDocument, Failure> {
        let id = self.practitioner_id(person)?;
        let before = self.staff()?.get(&id).and_then(said).cloned();
        // The link that stands comes first: nobody takes their own one away.
        let linked = before.as_ref().and_then(|before| before.patient);
        let pass = self.admit_once_reached(ctx, linked.or(patient), None).await?;
        let reader_finds = |patient: PatientId| {
            let reader = self.shelf.never_to_be_shown().reader();
            reader.file_version(SubjectId(patient.0)).map(|version| version.is_some())
        };
        let exists = patient.map_or(Ok(true), reader_finds)?;
        if before.is_none() || !exists {
            self.ended(ctx, &pass, patient, Ended::NotFound, &Saw::default()).await?;
            return Err(Failure::NotFound);
        }
        let next = move |before: Option<&DocumentState>| match before.and_then(said) {
            // Whether the caller may change it was decided on the link that stood.
            Some(before) if before.patient != linked => {
                Err(Failure::NotFiled { why: "the link was changed at the same moment".to_owned() })
            }
            Some(before) => {
                Ok(Document::PractitionerRole(PractitionerRole { patient, ..before.clone() }))
            }
            None => Err(Failure::NotFound),
        };
        let reason = ctx.reason.as_deref().unwrap_or_default();
        let revision = Revision { kind: KIND, id, reason, patient: linked.or(patient) };
        self.file_document(ctx, &pass, request_id, revision, next).await.map_err(placed)
    }

    /// What is known of a person.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when they are not in the directory; see [`Failure`].
    pub async fn read_practitioner_role<T>(
        &self,
        ctx: &Context,
        person: &str,
        render: impl FnOnce(&PractitionerRole, &DocumentState) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit(ctx, None).await?;
        self.records.line.near_end()?;
        let (position, documents) = self.shown_documents(&pass, KIND)?;
        let Some((role, state)) = self.person(&documents, person)? else {
            let saw = Saw { position, ..Saw::default() };
            self.ended(ctx, &pass, None, Ended::NotFound, &saw).await?;
            return Err(Failure::NotFound);
        };
        let (answer, bytes) = render(role, state);
        let digest = Some(self.answer_digest(&bytes)?);
        let saw = Saw { position, count: 1, digest, ..Saw::default() };
        let receipt = self.ended(ctx, &pass, None, Ended::Shown, &saw).await?;
        Ok(Shown { answer, receipt, position })
    }

    /// A page of the directory, after a person's id, once this node has at least so many records.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list_practitioner_roles<T>(
        &self,
        ctx: &Context,
        (after, at_least): (Option<&str>, Option<u64>),
        limit: usize,
        render: impl FnOnce(&StaffPage) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit_once_reached(ctx, None, at_least).await?;
        let (position, documents) = self.shown_documents(&pass, KIND)?;
        let page = staff_page(&documents, after, limit);
        let (answer, bytes) = render(&page);
        let count = u32::try_from(page.people.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&bytes)?);
        let saw = Saw { position, count, digest, ..Saw::default() };
        let receipt = self.ended(ctx, &pass, None, Ended::Shown, &saw).await?;
        Ok(Shown { answer, receipt, position })
    }

    /// Somebody who is in the directory, and how their entry stands.
    pub(crate) fn person<'a>(
        &self,
        documents: &'a Documents,
        person: &str,
    ) -> Result<Option<(&'a PractitionerRole, &'a DocumentState)>, Failure> {
        let found = documents.get(&self.practitioner_id(person)?);
        Ok(found.and_then(|state| Some((said(state)?, state))))
    }

    /// Which patient a person is.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when the directory does not say; see [`Failure`].
    pub async fn read_own_file<T>(
        &self,
        ctx: &Context,
        person: &str,
        render: impl FnOnce(PatientId) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let id = self.practitioner_id(person)?;
        let linked = self.staff()?.get(&id).and_then(said).and_then(|role| role.patient);
        // A denial is filed under the patient concerned; the caller hears the same either way.
        let pass = self.admit_once_reached(ctx, linked, None).await?;
        let position = self.position();
        let Some(patient) = linked else {
            let saw = Saw { position, ..Saw::default() };
            self.ended(ctx, &pass, None, Ended::NotFound, &saw).await?;
            return Err(Failure::NotFound);
        };
        let (answer, bytes) = render(patient);
        let digest = Some(self.answer_digest(&bytes)?);
        let saw = Saw { position, count: 1, digest, ..Saw::default() };
        let receipt = self.showed(ctx, &pass, patient, &saw).await?;
        Ok(Shown { answer, receipt, position })
    }
}

/// A page of the directory, after a person's id.
pub(crate) fn staff_page(documents: &Documents, after: Option<&str>, limit: usize) -> StaffPage {
    let people = documents.values().filter_map(|state| Some((said(state)?, state)));
    let later =
        |(role, _): &(&PractitionerRole, _)| after.is_none_or(|after| role.person.as_str() > after);
    let mut people: Vec<_> = people.filter(later).collect();
    people.sort_unstable_by_key(|(role, _)| role.person.as_str());
    let more = people.len() > limit;
    people.truncate(limit);
    let people: Vec<_> =
        people.into_iter().map(|(role, state)| (role.clone(), state.clone())).collect();
    let next = people.last().filter(|_| more).map(|(role, _)| role.person.clone());
    StaffPage { people, next }
}

/// A person's entry as the directory shows it: that it was filed which patient they are, and why, is for
/// those who may see that, so it counts as no revision here.
pub(crate) fn without_link(before: Option<&DocumentState>, after: DocumentState) -> DocumentState {
    let (Some(before), Some(role)) = (before, said(&after)) else { return after };
    let link_alone = said(before)
        .is_some_and(|old| *role == PractitionerRole { patient: role.patient, ..old.clone() });
    if !link_alone {
        return after;
    }
    DocumentState { revision: before.revision, changed: before.changed.clone(), ..after }
}

fn said(state: &DocumentState) -> Option<&PractitionerRole> {
    let Document::PractitionerRole(role) = &state.document else { return None };
    Some(role)
}

/// The document is the request's field `practitioner_role`, and why it is filed, its purpose's.
fn placed(failure: Failure) -> Failure {
    let Failure::Invalid(mut violations) = failure else { return failure };
    for violation in &mut violations {
        match violation.field.as_str() {
            "request_id" | "author" => {}
            "reason" => violation.field = "purpose.reason".to_owned(),
            within => violation.field = format!("practitioner_role.{within}"),
        }
    }
    Failure::Invalid(violations)
}
