//! Reading: the file now or as it was, its history, a patient by number, the audit trail.
//!
//! Every query is the same four steps: the access check's pass, the read, the rendering, and the
//! access record of exactly what was rendered, durable before the caller gets it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{EntryState, Kind, PatientId};
use ledger::{LedgerKind, SubjectId};
use store::Folded;

use crate::access::Pass;
use crate::answers::{
    AccessAnswer, AccessFilter, AccessItem, FileAnswer, FilePage, FileQuery, Head, HistoryAnswer,
    HistoryItem, Shown, Status,
};
use crate::context::{AsOf, Context};
use crate::engine::Engine;
use crate::failure::{Failure, Violation};
use crate::rendered::Of;
use crate::showing::{Ended, Saw};

/// Items a page at most (design, section 7).
pub const MAX_PAGE: usize = 200;
/// Rows looked at for one page of the audit trail: a filter that matches nothing ends here with a
/// token to go on from, so that no call reads the whole trail.
const MAX_SCANNED: usize = 10_000;

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
            Err(failure) => return Err(self.refused(ctx, query.patient, failure).await),
        };
        let saw = Saw {
            version: page.version,
            position,
            count: page.count,
            digest: Some(page.digest),
            ..Saw::default()
        };
        let receipt = self.showed(ctx, query.patient, &saw).await?;
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
        let limit = page_size(query.page_size);
        let answer = match query.as_of {
            AsOf::Now => self.load_current(pass, query, limit)?,
            AsOf::Version(_) | AsOf::Time(_) => {
                paged(query, limit, store.reader().fold(subject, version)?)?
            }
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

    fn load_current(
        &self,
        pass: &Pass,
        query: &FileQuery,
        limit: usize,
    ) -> Result<FileAnswer, Failure> {
        // One reader: header and entries of one moment.
        let reader = self.shelf.open(pass).reader();
        let subject = SubjectId(query.patient.0);
        let header = reader.file_header(subject)?.ok_or(Failure::NotFound)?;
        let mut answer = FileAnswer {
            patient: query.patient,
            version: header.version,
            identity: header.identity,
            identity_stamp: header.stamp,
            entries: Vec::new(),
            next: None,
            unreadable: reader.unfolded(subject)?,
        };
        let mut sections: Vec<Option<Kind>> = Kind::ALL
            .iter()
            .filter(|kind| query.kinds.contains(kind))
            .map(|kind| Some(*kind))
            .collect();
        if sections.is_empty() {
            sections.push(None);
        }
        let mut after = query.after.clone();
        for section in sections {
            let room = limit - answer.entries.len();
            let part = reader.entries(subject, section, after.as_deref(), room)?;
            after = part.entries.last().map(token).or(after);
            answer.entries.extend(part.entries);
            if part.next.is_some() || answer.entries.len() == limit {
                answer.next = part.next.or(after);
                break;
            }
        }
        if !query.include_retracted {
            answer.entries.retain(|state| state.retracted.is_none());
        }
        Ok(answer)
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
            Err(failure) => return Err(self.refused(ctx, patient, failure).await),
        };
        let (rendered, digest) = render(&answer);
        let version = answer.items.last().map_or(0, |item| item.header.version);
        let first_version = answer.items.first().map_or(0, |item| item.header.version);
        let count = u32::try_from(answer.items.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&digest)?);
        let saw = Saw { first_version, version, position: answer.position, count, digest };
        let receipt = self.showed(ctx, patient, &saw).await?;
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
                self.ended(ctx, None, Ended::NotFound, &saw).await?;
                Err(Failure::NotFound)
            }
            Some(patient) => {
                let (rendered, digest) = render(patient);
                let digest = Some(self.answer_digest(&digest)?);
                let saw = Saw { version: 0, position, count: 1, digest, ..Saw::default() };
                let receipt = self.searched(ctx, &[patient], &saw).await?;
                Ok(Shown { answer: rendered, receipt, position })
            }
        }
    }

    /// A page of the audit trail, newest first. Reading it is on the trail too.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list_accesses<T>(
        &self,
        ctx: &Context,
        filter: &AccessFilter,
        before: Option<u64>,
        limit: usize,
        render: impl FnOnce(&AccessAnswer) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let pass = self.admit(ctx, filter.patient).await?;
        self.access.line.near_end()?;
        self.trail.applied().await;
        // Before this listing itself is on record.
        let waiting_bytes = self.trail.waiting_bytes(&self.access.line.store);
        // Of `access`: this is what the answer reflects.
        let position = self.access.line.progress().size;
        let answer = self.load_accesses(&pass, filter, before, page_size(limit))?;
        let answer = AccessAnswer { waiting_bytes, ..answer };
        let (rendered, digest) = render(&answer);
        let count = u32::try_from(answer.items.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&digest)?);
        let saw = Saw { position, count, digest, ..Saw::default() };
        let mut shown: Vec<PatientId> =
            answer.items.iter().filter_map(|item| item.patient).collect();
        shown.sort_unstable();
        shown.dedup();
        let receipt = self.searched(ctx, &shown, &saw).await?;
        Ok(Shown { answer: rendered, receipt, position })
    }

    fn load_accesses(
        &self,
        pass: &Pass,
        filter: &AccessFilter,
        before: Option<u64>,
        limit: usize,
    ) -> Result<AccessAnswer, Failure> {
        let reader = self.shelf.open(pass).reader();
        let scope = match (&filter.patient, &filter.person) {
            (Some(patient), _) => store::AccessFilter::Subject(SubjectId(patient.0)),
            (None, Some(person)) => store::AccessFilter::Actor(self.actor_of("", Some(person))?),
            (None, None) => store::AccessFilter::All,
        };
        let times =
            filter.from.unwrap_or(0)..=filter.to.map_or(u64::MAX, |to| to.saturating_sub(1));
        let mut answer = AccessAnswer { items: Vec::new(), next: before, waiting_bytes: 0 };
        let mut scanned = 0;
        while answer.items.len() < limit && scanned < MAX_SCANNED {
            let room = (limit - answer.items.len()).min(MAX_PAGE);
            let page = reader.accesses(scope, times.clone(), answer.next, room)?;
            scanned += page.items.len();
            let items = page.items.into_iter().map(|item| AccessItem {
                position: item.position,
                hash: ledger::leaf_hash(&item.header.encode()),
                patient: self.patient_of(item.header.subject),
                header: item.header,
                record: item.record,
            });
            answer.items.extend(items.filter(|item| matches(filter, item)));
            answer.next = page.next;
            if page.next.is_none() {
                break;
            }
        }
        Ok(answer)
    }

    /// The system is a subject of access records too, but no patient.
    pub(crate) fn patient_of(&self, subject: SubjectId) -> Option<PatientId> {
        let keys = self.vault.keys_of(subject).ok().flatten();
        keys.map(|_| PatientId(subject.0))
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

fn page_size(asked: usize) -> usize {
    asked.clamp(1, MAX_PAGE)
}

fn matches(filter: &AccessFilter, item: &AccessItem) -> bool {
    if !item.hash.0.starts_with(&filter.receipt) {
        return false;
    }
    let Some(record) = &item.record else {
        return filter.person.is_none() && filter.purpose.is_none() && filter.outcome.is_none();
    };
    let same =
        |asked: &Option<String>, found: &str| asked.as_deref().is_none_or(|asked| asked == found);
    same(&filter.purpose, &record.purpose)
        && same(&filter.outcome, record.outcome.name())
        && filter.person.as_deref().is_none_or(|person| record.person.as_deref() == Some(person))
}

/// Where an entry stands in the order of the views: kind, then id.
fn token(state: &EntryState) -> Vec<u8> {
    let mut token = vec![state.entry.kind().tag()];
    token.extend_from_slice(&state.id.0);
    token
}

/// A page of a folded file, in the order of the views.
fn paged(query: &FileQuery, limit: usize, folded: Folded) -> Result<FileAnswer, Failure> {
    let Folded { file, unreadable } = folded;
    let identity = file.identity.ok_or(Failure::NotFound)?;
    let mut entries: Vec<EntryState> = file
        .entries
        .into_values()
        .filter(|state| query.include_retracted || state.retracted.is_none())
        .filter(|state| query.kinds.is_empty() || query.kinds.contains(&state.entry.kind()))
        .filter(|state| query.after.as_ref().is_none_or(|after| token(state) > *after))
        .collect();
    entries.sort_by_cached_key(token);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = if more { entries.last().map(token) } else { None };
    Ok(FileAnswer {
        patient: query.patient,
        version: file.version,
        identity,
        identity_stamp: file.identity_stamp,
        entries,
        next,
        unreadable,
    })
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
