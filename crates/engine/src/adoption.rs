//! Access policies as documents: proposed by one, adopted by another, shown to whoever may.

use domain::{AccessPolicy, Authored, Document, DocumentId, DocumentKind, DocumentState};

use crate::access::Pass;
use crate::answers::Shown;
use crate::context::{Caller, Context};
use crate::engine::Engine;
use crate::failure::{Failure, Violation};
use crate::filing::first_half;
use crate::in_force::adopted_last;
use crate::policy::Policies;
use crate::registers::{Documents, FiledDocument, Revision, needs_person};
use crate::showing::{Ended, Saw};

/// The kind of their register.
const KIND: DocumentKind = DocumentKind::AccessPolicy;

/// Which set of access policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhichPolicy {
    /// The one that decides now.
    InForce,
    /// The one that Caseledger comes with.
    Shipped,
    /// One that was proposed.
    Of(DocumentId),
}

/// A set of access policies, as those see it who may.
#[derive(Clone, Debug)]
pub struct PolicyAnswer {
    /// Its id; none of the set that Caseledger comes with.
    pub id: Option<DocumentId>,
    /// A code of FHIR `PublicationStatus`: `draft`, `active` or `retired`.
    pub status: String,
    /// As access records name it.
    pub version: String,
    /// Whether it decides now.
    pub in_force: bool,
    /// Its proposal; none of the set that Caseledger comes with.
    pub proposed: Option<Authored>,
    /// Its adoption or withdrawal, as `status` says; none before.
    pub ended: Option<Authored>,
    /// The policies in Cedar's language.
    pub text: String,
}

/// A page of the list of sets.
#[derive(Clone, Debug)]
pub struct PolicyPage {
    /// The sets, the last proposed first.
    pub policies: Vec<PolicyAnswer>,
    /// Where the next page starts; none after the last.
    pub next: Option<u64>,
}

/// A step of a set of access policies that is on file.
#[derive(Clone, Debug)]
pub struct FiledPolicy {
    /// The record.
    pub filed: FiledDocument,
    /// The set, as access records name it.
    pub version: String,
}

impl Engine {
    /// Proposes a set, once nothing is wrong with its text.
    ///
    /// # Errors
    /// [`Failure::Invalid`] with every fault of the text; `POLICY_LOCKS_OUT`; else see [`Failure`].
    pub async fn propose_policy(
        &self,
        ctx: &Context,
        request_id: &str,
        text: &str,
        reason: &str,
    ) -> Result<FiledPolicy, Failure> {
        let pass = self.admit(ctx, None).await?;
        needs_reason(reason)?;
        // The same request, the same set.
        let id = DocumentId(first_half(&Self::contribution_id(&ctx.caller, request_id).0));
        check(id, text, &ctx.caller)?;
        let policy = AccessPolicy { status: "draft".to_owned(), text: text.to_owned() };
        let document = Document::AccessPolicy(policy);
        let next = move |_: Option<&DocumentState>| Ok(document.clone());
        let filed = self.file_document(ctx, &pass, request_id, revision(id, reason), next).await?;
        Ok(FiledPolicy { filed, version: Policies::version_of(id, text) })
    }

    /// Puts a proposal in force; who proposed it cannot, nor a service alone.
    ///
    /// # Errors
    /// [`Failure::NotFound`], `SAME_PERSON`, `STATUS_STEP_NOT_ALLOWED`, `POLICY_LOCKS_OUT`; else see
    /// [`Failure`].
    pub async fn adopt_policy(
        &self,
        ctx: &Context,
        request_id: &str,
        id: DocumentId,
        reason: &str,
    ) -> Result<FiledPolicy, Failure> {
        let pass = self.admit(ctx, None).await?;
        if let Err(failure) = needs_person(&ctx.caller) {
            return Err(self.refused(ctx, &pass, None, failure).await);
        }
        self.step(ctx, &pass, request_id, id, "active", reason).await
    }

    /// Takes a proposal back.
    ///
    /// # Errors
    /// [`Failure::NotFound`], `STATUS_STEP_NOT_ALLOWED`; else see [`Failure`].
    pub async fn withdraw_policy(
        &self,
        ctx: &Context,
        request_id: &str,
        id: DocumentId,
        reason: &str,
    ) -> Result<FiledPolicy, Failure> {
        let pass = self.admit(ctx, None).await?;
        self.step(ctx, &pass, request_id, id, "retired", reason).await
    }

    async fn step(
        &self,
        ctx: &Context,
        pass: &Pass,
        request_id: &str,
        id: DocumentId,
        status: &'static str,
        reason: &str,
    ) -> Result<FiledPolicy, Failure> {
        needs_reason(reason)?;
        let on_file = text_of(self.documents(KIND)?.get(&id)).and_then(|text| {
            if status == "active" {
                // Its text does not change; what this version's model says of it, or who asks, does.
                check(id, &text, &ctx.caller)?;
            }
            Ok(text)
        });
        let text = match on_file {
            Ok(text) => text,
            Err(failure) => return Err(self.refused(ctx, pass, None, failure).await),
        };
        let next = move |before: Option<&DocumentState>| {
            let policy = AccessPolicy { status: status.to_owned(), text: text_of(before)? };
            Ok(Document::AccessPolicy(policy))
        };
        let version = Policies::version_of(id, &text);
        let filed = self.file_document(ctx, pass, request_id, revision(id, reason), next).await?;
        Ok(FiledPolicy { filed, version })
    }

    /// Shows a set with its text.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn show_policy<T>(
        &self,
        ctx: &Context,
        which: WhichPolicy,
        render: impl FnOnce(&PolicyAnswer) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit(ctx, None).await?;
        let (position, documents) = self.shown_documents(&pass, KIND)?;
        let Some(answer) = policy_answer(&documents, which) else {
            self.ended(ctx, &pass, None, Ended::NotFound, &Saw::default()).await?;
            return Err(Failure::NotFound);
        };
        let (rendered, bytes) = render(&answer);
        let digest = Some(self.answer_digest(&bytes)?);
        let saw = Saw { position, count: 1, digest, ..Saw::default() };
        let receipt = self.searched(ctx, &pass, &[], &saw).await?;
        Ok(Shown { answer: rendered, receipt, position })
    }

    /// A page of all sets, the last proposed first; `before` is where the page before ended.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list_policies<T>(
        &self,
        ctx: &Context,
        before: Option<u64>,
        limit: usize,
        render: impl FnOnce(&PolicyPage) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit(ctx, None).await?;
        let (position, documents) = self.shown_documents(&pass, KIND)?;
        let page = policy_page(&documents, before, limit);
        let (rendered, bytes) = render(&page);
        let count = u32::try_from(page.policies.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&bytes)?);
        let saw = Saw { position, count, digest, ..Saw::default() };
        let receipt = self.searched(ctx, &pass, &[], &saw).await?;
        Ok(Shown { answer: rendered, receipt, position })
    }
}

/// A page of all sets, the last proposed first; `before` is where the page before ended.
pub(crate) fn policy_page(documents: &Documents, before: Option<u64>, limit: usize) -> PolicyPage {
    let in_force = adopted_last(documents).map(|(state, _)| state.id);
    // By the version of the proposal's record; what Caseledger comes with was there before all.
    let shipped = (0, shipped(in_force.is_none()));
    let proposed = documents.values().filter_map(|state| {
        Some((state.filed.stamp.version, answer(state, in_force == Some(state.id))?))
    });
    let mut all: Vec<_> = std::iter::once(shipped).chain(proposed).collect();
    all.retain(|(version, _)| before.is_none_or(|before| *version < before));
    all.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    let more = all.len() > limit;
    all.truncate(limit);
    let next = all.last().filter(|_| more).map(|(version, _)| *version);
    PolicyPage { policies: all.into_iter().map(|(_, answer)| answer).collect(), next }
}

/// A set that is on file; none if there is none with that id.
pub(crate) fn policy_answer(documents: &Documents, which: WhichPolicy) -> Option<PolicyAnswer> {
    let in_force = adopted_last(documents).map(|(state, _)| state.id);
    let id = match which {
        WhichPolicy::Shipped => None,
        WhichPolicy::InForce => in_force,
        WhichPolicy::Of(id) => Some(id),
    };
    let Some(id) = id else { return Some(shipped(in_force.is_none())) };
    documents.get(&id).and_then(|state| answer(state, in_force == Some(id)))
}

/// The access policies that a document is, if it is such.
pub(crate) fn access_policy(document: &Document) -> Option<&AccessPolicy> {
    let Document::AccessPolicy(policy) = document else { return None };
    Some(policy)
}

/// Whether nothing is wrong with a set that is to be in force; not where others wait for their answers.
fn check(id: DocumentId, text: &str, caller: &Caller) -> Result<(), Failure> {
    tokio::task::block_in_place(|| Policies::proposed(id, text)?.keep_the_door_open(caller))
}

fn shipped(in_force: bool) -> PolicyAnswer {
    PolicyAnswer {
        id: None,
        status: "active".to_owned(),
        version: Policies::shipped_version(),
        in_force,
        proposed: None,
        ended: None,
        text: Policies::SHIPPED.to_owned(),
    }
}

fn answer(state: &DocumentState, in_force: bool) -> Option<PolicyAnswer> {
    let policy = access_policy(&state.document)?;
    Some(PolicyAnswer {
        id: Some(state.id),
        status: policy.status.clone(),
        version: Policies::version_of(state.id, &policy.text),
        in_force,
        proposed: Some(state.filed.clone()),
        ended: (state.revision > 1).then(|| state.changed.clone()),
        text: policy.text.clone(),
    })
}

fn text_of(state: Option<&DocumentState>) -> Result<String, Failure> {
    let policy = state.and_then(|state| access_policy(&state.document));
    policy.map(|policy| policy.text.clone()).ok_or(Failure::NotFound)
}

fn revision(id: DocumentId, reason: &str) -> Revision<'_> {
    Revision { kind: KIND, id, reason, patient: None }
}

/// Each step says why, the first too.
fn needs_reason(reason: &str) -> Result<(), Failure> {
    if !reason.trim().is_empty() {
        return Ok(());
    }
    Err(Failure::Invalid(vec![Violation {
        field: "reason".to_owned(),
        code: "required".to_owned(),
        description: "must be set: say why".to_owned(),
    }]))
}
