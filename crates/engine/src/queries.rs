//! Reading: the file now or as it was, its history, a patient by number.
//!
//! Every query is the same four steps: the access check's pass, the read, the rendering, and the
//! access record of exactly what was rendered, durable before the caller gets it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{EntryState, PatientId};
use ledger::{LedgerKind, SubjectId};
use store::{EntriesPage, Folded};

use crate::access::Pass;
use crate::answers::{
    FileAnswer, FilePage, FileQuery, Head, HistoryAnswer, HistoryItem, Shown, Status,
};
use crate::context::{AsOf, Context};
use crate::engine::Engine;
use crate::failure::{Failure, Violation};
use crate::rendered::Of;
use crate::showing::{Ended, Saw};

/// Items a page at most (design, section 7).
pub const MAX_PAGE: usize = 200;

impl Engine {
    /// A page of a patient's file. `render` must make the same bytes of the same answer: what it
    /// made once is shown again as long as the file stays as it is.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn read_file(
        &self,
        ctx: &Context,
        query: &FileQuery,
        render: impl FnOnce(&FileAnswer) -> Vec<u8>,
    ) -> Result<Shown<Arc<FilePage>>, Failure> {
        let pass = self.admit(ctx, Some(query.patient)).await?;
        self.records.line.near_end()?;
        self.reached(query.at_least, ctx.patience).await?;
        let position = self.records.line.progress().size;
        let page = match self.page(&pass, query, render) {
            Ok(page) => page,
            Err(failure) => return Err(self.refused(ctx, &pass, query.patient, failure).await),
        };
        let saw = Saw {
            version: page.version,
            position,
            count: page.count,
            digest: Some(page.digest),
            ..Saw::default()
        };
        let receipt = self.showed(ctx, &pass, query.patient, &saw).await?;
        Ok(Shown { answer: page, receipt, position })
    }

    /// The page as it was rendered before, or rendered now.
    fn page(
        &self,
        pass: &Pass,
        query: &FileQuery,
        render: impl FnOnce(&FileAnswer) -> Vec<u8>,
    ) -> Result<Arc<FilePage>, Failure> {
        let store = self.shelf.open(pass);
        let subject = SubjectId(query.patient.0);
        // Before anything is read: what is erased meanwhile makes this one stale.
        let views = store.views_generation();
        let newest = store.head(self.records.line.ledger, subject)?.ok_or(Failure::NotFound)?;
        let version = match query.as_of {
            AsOf::Now => newest.version,
            AsOf::Version(version) if version > newest.version => return Err(Failure::NotFound),
            AsOf::Version(version) => version,
            // May be newer than the head above: a change was applied in between.
            AsOf::Time(time) => store.reader().version_at(subject, time)?,
        };
        if version == 0 {
            return Err(Failure::NotFound);
        }
        let of = Of::version(views, query, version);
        if let Some(page) = self.rendered.get(pass, &of)
            && store.opens(subject)?
        {
            return Ok(page);
        }
        let answer = match query.as_of {
            AsOf::Now => self.load_current(pass, query)?,
            AsOf::Version(_) | AsOf::Time(_) => self.load_past(pass, query, version)?,
        };
        let bytes = Bytes::from(render(&answer));
        let page = Arc::new(FilePage {
            version: answer.version,
            count: u32::try_from(answer.entries.len()).unwrap_or(u32::MAX),
            digest: self.answer_digest(&bytes)?,
            bytes,
            next: answer.next,
        });
        // Under its own version, which may be newer too.
        self.rendered.put(Of::version(views, query, page.version), &page);
        Ok(page)
    }

    fn load_current(&self, pass: &Pass, query: &FileQuery) -> Result<FileAnswer, Failure> {
        // One reader: header and entries of one moment.
        let reader = self.shelf.open(pass).reader();
        let subject = SubjectId(query.patient.0);
        let header = reader.file_header(subject)?.ok_or(Failure::NotFound)?;
        let limit = page_size(query.page_size);
        let page = reader.entries(subject, &query.kinds, query.after.as_deref(), limit)?;
        Ok(FileAnswer {
            patient: query.patient,
            version: header.version,
            identity: header.identity,
            identity_stamp: header.stamp,
            entries: listed(query, page.entries),
            next: page.next,
            unreadable: reader.unfolded(subject)?,
        })
    }

    /// The page that [`Engine::load_current`] made when the file was at this version.
    pub(crate) fn load_past(
        &self,
        pass: &Pass,
        query: &FileQuery,
        version: u64,
    ) -> Result<FileAnswer, Failure> {
        let subject = SubjectId(query.patient.0);
        let Folded { file, unreadable } = self.shelf.open(pass).reader().fold(subject, version)?;
        let limit = page_size(query.page_size);
        let states = file.entries.into_values();
        let page = EntriesPage::of(states, &query.kinds, query.after.as_deref(), limit)?;
        Ok(FileAnswer {
            patient: query.patient,
            version: file.version,
            identity: file.identity.ok_or(Failure::NotFound)?,
            identity_stamp: file.identity_stamp,
            entries: listed(query, page.entries),
            next: page.next,
            unreadable,
        })
    }

    /// A page of a file's history, oldest first.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn read_history<T>(
        &self,
        ctx: &Context,
        patient: PatientId,
        from_version: u64,
        limit: usize,
        render: impl FnOnce(&HistoryAnswer) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit(ctx, Some(patient)).await?;
        self.records.line.near_end()?;
        let answer = match self.load_history(&pass, patient, from_version, page_size(limit)) {
            Ok(answer) => answer,
            Err(failure) => return Err(self.refused(ctx, &pass, patient, failure).await),
        };
        let (rendered, digest) = render(&answer);
        let version = answer.items.last().map_or(0, |item| item.header.version);
        let first_version = answer.items.first().map_or(0, |item| item.header.version);
        let count = u32::try_from(answer.items.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&digest)?);
        let position = answer.position;
        let saw = Saw { first_version, version, position, count, digest, told: None };
        let receipt = self.showed(ctx, &pass, patient, &saw).await?;
        Ok(Shown { answer: rendered, receipt, position: answer.position })
    }

    pub(crate) fn load_history(
        &self,
        pass: &Pass,
        patient: PatientId,
        from_version: u64,
        limit: usize,
    ) -> Result<HistoryAnswer, Failure> {
        let reader = self.shelf.open(pass).reader();
        let subject = SubjectId(patient.0);
        let position = self.records.line.progress().size;
        // A bucket of the registry is a subject too, but nobody's file.
        reader.file_header(subject)?.ok_or(Failure::NotFound)?;
        let page = reader.history(subject, from_version.max(1), limit)?;
        let items = page
            .items
            .into_iter()
            .map(|item| HistoryItem {
                position: item.position,
                hash: ledger::leaf_hash(&item.header.encode()),
                header: item.header,
                event: item.event,
            })
            .collect();
        Ok(HistoryAnswer { patient, position, items, next: page.next })
    }

    /// The patient that a hospital number belongs to.
    ///
    /// # Errors
    /// [`Failure::NotFound`] when it belongs to nobody, which is recorded as well.
    pub async fn find_patient<T>(
        &self,
        ctx: &Context,
        issuer: &str,
        value: &str,
        render: impl FnOnce(PatientId) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        // A denial is filed under the patient who was asked for; the caller hears the same either way.
        let store = self.shelf.never_to_be_shown();
        let near_end = self.records.line.near_end();
        let asked_for = match near_end {
            Ok(()) => store.reader().find_identifier(issuer, value)?,
            Err(_) => None,
        };
        let pass = self.admit(ctx, asked_for).await?;
        near_end?;
        let position = self.records.line.progress().size;
        match self.shelf.open(&pass).reader().find_identifier(issuer, value)? {
            None => {
                let saw = Saw { position, ..Saw::default() };
                self.ended(ctx, &pass, None, Ended::NotFound, &saw).await?;
                Err(Failure::NotFound)
            }
            Some(patient) => {
                let (rendered, digest) = render(patient);
                let digest = Some(self.answer_digest(&digest)?);
                let saw = Saw { version: 0, position, count: 1, digest, ..Saw::default() };
                let receipt = self.searched(ctx, &pass, &[patient], &saw).await?;
                Ok(Shown { answer: rendered, receipt, position })
            }
        }
    }

    /// How this node is, for a caller who may know.
    ///
    /// # Errors
    /// [`Failure::Denied`], recorded as every denial is.
    pub async fn status_for(&self, ctx: &Context) -> Result<Status, Failure> {
        self.admit(ctx, None).await?;
        self.status()
    }

    /// Waits until this node has applied at least so many records.
    async fn reached(&self, at_least: Option<u64>, patience: Duration) -> Result<(), Failure> {
        let Some(at_least) = at_least else { return Ok(()) };
        let mut progress = self.records.line.follow_progress();
        let reached = progress.wait_for(|now| now.size >= at_least);
        let reached = tokio::time::timeout(patience, reached);
        match self.stopping.run_until_cancelled(reached).await {
            Some(Ok(Ok(_))) => Ok(()),
            Some(Ok(Err(_)) | Err(_)) | None => Err(Failure::Unavailable {
                why: format!(
                    "this node has not applied {at_least} records yet; ask again or another node"
                ),
            }),
        }
    }

    /// Records of `records` that this node has applied: what an answer that files nothing reflects.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.records.line.progress().size
    }

    /// A ledger's head as this node has applied it; the trail's covers what this node has answered on.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn head(&self, kind: LedgerKind) -> Result<Head, Failure> {
        if kind == LedgerKind::Access {
            self.trail.applied().await;
        }
        self.head_now(kind)
    }

    pub(crate) fn head_now(&self, kind: LedgerKind) -> Result<Head, Failure> {
        let side = self.side(kind);
        let state = side.line.state()?;
        Ok(Head {
            ledger: side.line.ledger,
            origin: state.state().origin(),
            genesis: side.sealer.genesis,
            size: state.size,
            root: state.root(),
            sequence: state.sequence,
            stream_hash: state.stream_hash,
            time: state.time,
        })
    }
}

pub(crate) fn page_size(asked: usize) -> usize {
    asked.clamp(1, MAX_PAGE)
}

/// Of a page's entries those that are asked for. A page ends where it does whether or not entries
/// that were taken back are listed.
fn listed(query: &FileQuery, mut entries: Vec<EntryState>) -> Vec<EntryState> {
    if !query.include_retracted {
        entries.retain(|state| state.retracted.is_none());
    }
    entries
}

/// A page size out of range is an error of the caller's, not silently another size.
///
/// # Errors
/// [`Failure::Invalid`] naming the field.
pub fn check_page_size(asked: u32) -> Result<usize, Failure> {
    let asked = usize::try_from(asked).map_err(Failure::internal)?;
    match asked {
        0 => Ok(50),
        1..=MAX_PAGE => Ok(asked),
        _ => Err(Failure::Invalid(vec![Violation {
            field: "page_size".to_owned(),
            code: "too-large".to_owned(),
            description: format!("a page holds at most {MAX_PAGE} items"),
        }])),
    }
}
