//! Registers: documents that are about no patient, a chain of the ledger for each kind.
//!
//! A register is small (policies, incidents, the staff of a hospital), so it is kept in memory, and
//! brought up to its chain's head whenever it is looked at: what decides is what is on file.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use domain::{
    Document, DocumentId, DocumentKind, DocumentState, PatientId, decide_document, evolve_document,
};
use ledger::SubjectId;
use store::HistoryItem;

use crate::Failure;
use crate::access::Pass;
use crate::commands::{check_request_id, rejected};
use crate::context::{Caller, Context};
use crate::engine::Engine;
use crate::filing::{Decided, Filing, draft, first_half};
use crate::staff::without_link;

/// Records of a chain that are read at once.
const PAGE: usize = 256;

/// The documents of one kind as they stand, by their ids.
pub(crate) type Documents = Arc<BTreeMap<DocumentId, DocumentState>>;

/// Registers, as far as they were looked at.
#[derive(Debug, Default)]
pub(crate) struct Registers(Mutex<HashMap<DocumentKind, Register>>);

#[derive(Debug, Default)]
struct Register {
    /// Version of its chain that the documents are of.
    version: u64,
    /// The size of `records` that has that version and nothing behind it.
    size: u64,
    /// The stream's sequence up to which nothing is missing: while nothing is applied, an access asks no
    /// table.
    looked_at: u64,
    documents: Documents,
}

/// A document's revision that is to be filed.
pub(crate) struct Revision<'a> {
    pub(crate) kind: DocumentKind,
    pub(crate) id: DocumentId,
    /// Why; needed for all but the first.
    pub(crate) reason: &'a str,
    /// Whom it concerns, if somebody: a refusal is on record in their trail.
    pub(crate) patient: Option<PatientId>,
}

/// A document that was filed.
#[derive(Clone, Debug)]
pub struct FiledDocument {
    /// Its id.
    pub id: DocumentId,
    /// The size of `records` that has it.
    pub position: u64,
    /// Whether this call filed it; false when an earlier one with the same request id did.
    pub first: bool,
}

impl Engine {
    /// The chain of a kind's register.
    pub(crate) fn register_chain(&self, kind: DocumentKind) -> Result<SubjectId, Failure> {
        let term = self.vault.index_term("register", &[kind.name().as_bytes()])?;
        Ok(SubjectId(first_half(&term)))
    }

    /// The documents of a kind, as this node has applied them. They decide, or are shown on a pass's
    /// ground: see [`Engine::shown_documents`].
    pub(crate) fn documents(&self, kind: DocumentKind) -> Result<Documents, Failure> {
        self.edition(kind).map(|(_, documents)| documents)
    }

    /// The same with the smallest size of `records` that has them.
    fn edition(&self, kind: DocumentKind) -> Result<(u64, Documents), Failure> {
        let line = &self.records.line;
        // Before the head is read: it is at least of then.
        let applied = line.progress().sequence;
        let chain = self.register_chain(kind)?;
        let head = line.store.head(line.ledger, chain)?.map_or(0, |head| head.version);
        let mut registers = self.registers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let register = registers.entry(kind).or_default();
        let Register { version: known, size, looked_at, documents } = register;
        while *known < head {
            let page = self.shelf.never_to_be_shown().reader().history(chain, *known + 1, PAGE)?;
            if page.items.is_empty() {
                let what = format!("the register {}, after its version {known}", kind.name());
                return Err(Failure::Damaged { what });
            }
            for item in page.items {
                take_in(Arc::make_mut(documents), kind, &item)?;
                // One by one: what is taken in is not taken in again when the next cannot be opened.
                *known = item.header.version;
                *size = item.position.saturating_add(1);
            }
        }
        *looked_at = (*looked_at).max(applied);
        Ok((*size, Arc::clone(documents)))
    }

    /// The same for deciding on an access: as of what has been told to be applied. A revision is not decided
    /// on this, for its chain's head may be a moment ahead.
    pub(crate) fn documents_told(&self, kind: DocumentKind) -> Result<Documents, Failure> {
        let told = self.records.line.progress().sequence;
        let registers = self.registers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = registers.get(&kind).filter(|register| register.looked_at >= told);
        let known = known.map(|register| Arc::clone(&register.documents));
        drop(registers);
        known.map_or_else(|| self.documents(kind), Ok)
    }

    /// The documents of a kind for somebody who may see them, and a size of `records` that has just
    /// these of them; the caller records the showing with it.
    pub(crate) fn shown_documents(
        &self,
        _pass: &Pass,
        kind: DocumentKind,
    ) -> Result<(u64, Documents), Failure> {
        // Before they are looked at: more may be applied meanwhile.
        let position = self.position();
        let (size, documents) = self.edition(kind)?;
        Ok((position.max(size), documents))
    }

    /// The same as they were when `records` had this size.
    pub(crate) fn documents_then(
        &self,
        pass: &Pass,
        kind: DocumentKind,
        position: u64,
    ) -> Result<Documents, Failure> {
        let (size, documents) = self.edition(kind)?;
        if size <= position {
            return Ok(documents);
        }
        let chain = self.register_chain(kind)?;
        let (mut then, mut next) = (BTreeMap::new(), Some(1));
        while let Some(from) = next {
            let page = self.shelf.open(pass).reader().history(chain, from, PAGE)?;
            for item in &page.items {
                if item.position >= position {
                    return Ok(Arc::new(then));
                }
                take_in(&mut then, kind, item)?;
            }
            next = page.next;
        }
        Ok(Arc::new(then))
    }

    /// Files a document's first or next revision: `next` makes it of the one that stands, each time
    /// that it is decided on. A refusal tells something of what is on file, so it is recorded first.
    pub(crate) async fn file_document(
        &self,
        ctx: &Context,
        pass: &Pass,
        request_id: &str,
        revision: Revision<'_>,
        next: impl Fn(Option<&DocumentState>) -> Result<Document, Failure> + Send + 'static,
    ) -> Result<FiledDocument, Failure> {
        let Revision { kind, id, reason, patient } = revision;
        check_request_id(request_id)?;
        let chain = self.register_chain(kind)?;
        let request = self.request(ctx, request_id, vec![chain])?;
        let (author, reason) = (author(&ctx.caller), reason.to_owned());
        let decide = move |engine: &Self| {
            let documents = engine.documents(kind)?;
            let before = documents.get(&id);
            let event = decide_document(before, id, &next(before)?, &author, &reason);
            let event = event.map_err(|rejection| rejected(&rejection, ""))?;
            let drafts = vec![draft(chain, engine.system()?.registry, &event)?];
            Ok(Decided::File { drafts, answer: () })
        };
        let (position, first) = match self.file(request, decide).await {
            Ok(Filing::Filed { first_position, count, .. }) => {
                (ledger::commitment::end(first_position, count), true)
            }
            Ok(Filing::Repeated { first_position, count }) => {
                (ledger::commitment::end(first_position, count), false)
            }
            Ok(Filing::Nothing(())) => {
                return Err(Failure::internal("a document without a record"));
            }
            Err(failure) => return Err(self.refused(ctx, pass, patient, failure).await),
        };
        Ok(FiledDocument { id, position, first })
    }
}

/// Takes a record of a register in.
fn take_in(
    documents: &mut BTreeMap<DocumentId, DocumentState>,
    kind: DocumentKind,
    item: &HistoryItem,
) -> Result<(), Failure> {
    // Half a register would decide wrongly; its key is the system's and arrives.
    let event = item.event.as_ref().ok_or_else(|| Failure::Unavailable {
        why: format!("the register {} cannot be opened here yet", kind.name()),
    })?;
    if let domain::Event::DocumentFiled { id, .. } = event {
        let before = documents.remove(id);
        let after = evolve_document(before.clone(), event, item.stamp());
        let after = after.map(|after| without_link(before.as_ref(), after));
        documents.extend(after.map(|after| (*id, after)));
    }
    Ok(())
}

/// Where a second person has to act, a service alone is none: the first one may use it.
pub(crate) fn needs_person(caller: &Caller) -> Result<(), Failure> {
    if caller.person.is_some() {
        return Ok(());
    }
    let message = "somebody else than who proposed or did it has to adopt or judge it, and a service that \
                   acts alone is nobody: call with the token of the person who does";
    Err(Failure::refused("SAME_PERSON", message))
}

/// Who files, as documents name authors.
pub(crate) fn author(caller: &Caller) -> String {
    match &caller.person {
        Some(person) => person.clone(),
        None => format!("service:{}", caller.service),
    }
}
