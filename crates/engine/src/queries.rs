//! Reading: the file now or as it was, its history, a patient by number.
//!
//! Every query is the same steps: the access check's pass, the read, masking what that pass does not
//! open, the rendering, and the access record of exactly what was rendered, durable before the caller
//! gets it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::PatientId;
use ledger::{LedgerKind, SubjectId};
use store::{EntriesPage, FileRows, Folded, Reader};

use crate::access::Pass;
use crate::answers::{
    FileAnswer, FilePage, FileQuery, Head, HistoryAnswer, HistoryItem, Shown, Status,
};
use crate::context::{AsOf, Context};
use crate::engine::Engine;
use crate::failure::{Failure, Violation};
use crate::masking::{Judged, Masked, Standing, WholeHistory, WholeItem, WholePage, as_shown};
use crate::rendered::Of;
use crate::showing::{Ended, Saw};

/// Items a page at most (design, section 7).
pub const MAX_PAGE: usize = 200;

/// How often a caller is let in anew because what was read is of a newer version of the file than what
/// they were let in on: what was filed in between may be what keeps them out.
pub(crate) const ANEW: usize = 8;

/// Why a file is neither shown nor changed that had grown each time.
pub(crate) fn grows() -> Failure {
    let why = "the file changed again and again meanwhile; ask again";
    Failure::Unavailable { why: why.to_owned() }
}

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
        render: impl Fn(&FileAnswer) -> Vec<u8>,
    ) -> Result<Shown<Arc<FilePage>>, Failure> {
        let mut pass = self.admit_once_reached(ctx, Some(query.patient), query.at_least).await?;
        let mut anew = 0..ANEW;
        let (page, position) = loop {
            match self.page(&pass, query, &render) {
                Ok((page, _)) if page.version > pass.version() => {
                    anew.next().ok_or_else(grows)?;
                    pass = self.admit_on(ctx, query.patient, page.version).await?;
                }
                Ok(made) => break made,
                Err(failure) => return Err(self.refused(ctx, &pass, query.patient, failure).await),
            }
        };
        let saw = Saw {
            version: page.version,
            position,
            count: page.count,
            digest: Some(page.digest),
            masked: page.masked.clone(),
            ..Saw::default()
        };
        let receipt = self.showed(ctx, &pass, query.patient, &saw).await?;
        Ok(Shown { answer: page, receipt, position })
    }

    /// The page as it was rendered before, or rendered now; and how many records it reflects.
    fn page(
        &self,
        pass: &Pass,
        query: &FileQuery,
        render: impl Fn(&FileAnswer) -> Vec<u8>,
    ) -> Result<(Arc<FilePage>, u64), Failure> {
        let store = self.shelf.open(pass);
        let subject = SubjectId(query.patient.0);
        // Before anything is read: what is erased meanwhile makes this one stale.
        let views = store.views_generation();
        let size = self.records.line.progress().size;
        let newest = store.head(self.records.line.ledger, subject)?.ok_or(Failure::NotFound)?;
        let position = covering(size, newest.position);
        let version = match query.as_of {
            AsOf::Now => newest.version,
            AsOf::Version(version) if version > newest.version => return Err(Failure::NotFound),
            AsOf::Version(version) => version,
            AsOf::Time(time) => store.reader().version_at(subject, time)?.min(newest.version),
        };
        if version == 0 {
            return Err(Failure::NotFound);
        }
        let of = Of::version(views, query, version, newest.version);
        // Where one entry is open alone, another page is masked for each: few, and not kept.
        if pass.alone().is_none()
            && let Some(page) = self.rendered.get(pass, &of)
            && store.opens(subject)?
        {
            let masked = pass.masked(&page.classes)?;
            if masked.is_empty() {
                return Ok((page, position));
            }
            if let Some(page) = self.rendered.get(pass, &of.masking(masked)) {
                return Ok((page, position));
            }
        }
        let whole = match query.as_of {
            AsOf::Now => self.load_current(pass, query)?,
            AsOf::Version(_) | AsOf::Time(_) => {
                self.load_past(pass, query, version, Judged::Within(position))?
            }
        };
        // Under its own version, which may be newer than the head above: a change was applied in between.
        let of = Of::version(views, query, whole.version, newest.version);
        Ok((self.render_page(pass, query, of, whole, render)?, position))
    }

    /// Renders a page for its reader, and for those who may see all of it.
    fn render_page(
        &self,
        pass: &Pass,
        query: &FileQuery,
        of: Of,
        whole: WholePage,
        render: impl Fn(&FileAnswer) -> Vec<u8>,
    ) -> Result<Arc<FilePage>, Failure> {
        let classes: Vec<_> = whole.classes().into_iter().collect();
        let masked = pass.masked_among(whole.entries())?;
        let rendered = |whole: WholePage, masked: Masked| {
            let answer = whole.shown(query, &masked);
            let bytes = Bytes::from(render(&answer));
            Ok::<_, Failure>(Arc::new(FilePage {
                version: answer.version,
                count: u32::try_from(answer.entries.len()).unwrap_or(u32::MAX),
                digest: self.answer_digest(&bytes)?,
                bytes,
                next: answer.next,
                classes: classes.clone(),
                masked,
            }))
        };
        if pass.alone().is_some() {
            return rendered(whole, masked);
        }
        if masked.is_empty() {
            let page = rendered(whole, masked)?;
            self.rendered.put(of, &page);
            return Ok(page);
        }
        let page = rendered(whole.clone(), masked.clone())?;
        self.rendered.put(of.clone().masking(masked), &page);
        self.rendered.put(of, &rendered(whole, Masked::default())?);
        Ok(page)
    }

    fn load_current(&self, pass: &Pass, query: &FileQuery) -> Result<WholePage, Failure> {
        // One reader: header and entries of one moment.
        let reader = self.shelf.open(pass).reader();
        let subject = SubjectId(query.patient.0);
        let limit = page_size(query.page_size);
        let rows = reader.file(subject, &query.kinds, query.after.as_deref(), limit)?;
        let Some(FileRows { header, page, .. }) = rows else {
            return Err(self.no_file(&reader, subject)?);
        };
        Ok(WholePage {
            patient: query.patient,
            version: header.version,
            identity: header.identity,
            identity_stamp: header.stamp,
            entries: as_shown(page.entries),
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
        judged: Judged,
    ) -> Result<WholePage, Failure> {
        let subject = SubjectId(query.patient.0);
        let reader = self.shelf.open(pass).reader();
        let Folded { file, unreadable } = reader.fold(subject, version)?;
        let limit = page_size(query.page_size);
        let states = file.entries.into_values();
        let page = EntriesPage::of(states, &query.kinds, query.after.as_deref(), limit)?;
        let entries = match self.standing(&reader, subject, judged)? {
            Some(standing) if standing.version != file.version => {
                standing.judge_entries(page.entries)?
            }
            Some(_) | None => as_shown(page.entries),
        };
        Ok(WholePage {
            patient: query.patient,
            version: file.version,
            identity: match file.identity {
                Some(identity) => identity,
                None => return Err(self.no_file(&reader, subject)?),
            },
            identity_stamp: file.identity_stamp,
            entries,
            next: page.next,
            unreadable,
        })
    }

    /// Why there is no file to be shown: there is none, or this node cannot open it, which is no word on
    /// the patient.
    pub(crate) fn no_file(
        &self,
        reader: &Reader<'_>,
        subject: SubjectId,
    ) -> Result<Failure, Failure> {
        let first = reader.history(subject, 1, 1)?.items.into_iter().next();
        let Some(first) = first else { return Ok(Failure::NotFound) };
        if self.vault.is_missing(first.header.data_key)? {
            let text = "patients are on file whose keys this node does not have: their files are not \
                        shown here. Its keys come back from the key bucket when the broker is reached; \
                        if they do not, stop the node, move the folder keys of its data away, and start it";
            self.alarms.keep("KEYS_MISSING", None, text.to_owned());
            let why =
                "this node does not have the file's key yet; ask another node, or this one later";
            return Ok(Failure::Unavailable { why: why.to_owned() });
        }
        // Its key came a moment ago, perhaps after what this reader reads.
        let now = self.shelf.never_to_be_shown();
        if self.vault.is_to_fold(subject) || now.reader().file_version(subject)?.is_some() {
            let why = "the file's key has just reached this node; ask once more";
            return Ok(Failure::Unavailable { why: why.to_owned() });
        }
        Ok(Failure::NotFound)
    }

    /// The file at the version by which its entries are judged; none if they are not.
    fn standing<'r, 'a>(
        &self,
        reader: &'r Reader<'a>,
        subject: SubjectId,
        judged: Judged,
    ) -> Result<Option<Standing<'r, 'a>>, Failure> {
        let ledger = self.records.line.ledger;
        let version = match judged {
            Judged::Now => reader.head(ledger, subject)?.map_or(0, |head| head.version),
            Judged::Within(size) => reader.version_within(subject, size)?,
            Judged::Never => return Ok(None),
        };
        Ok(Some(Standing { reader, ledger, subject, version }))
    }

    /// A page of a file's history, oldest first, once this node has at least so many records: else the
    /// end of what it has yet would pass for that of the history.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn read_history<T>(
        &self,
        ctx: &Context,
        patient: PatientId,
        from_version: u64,
        at_least: Option<u64>,
        limit: usize,
        render: impl FnOnce(&HistoryAnswer) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let mut pass = self.admit_once_reached(ctx, Some(patient), at_least).await?;
        let limit = page_size(limit);
        let mut anew = 0..ANEW;
        let whole = loop {
            match self.load_history(&pass, patient, from_version, limit, Judged::Now) {
                Ok(whole) if whole.version > pass.version() => {
                    anew.next().ok_or_else(grows)?;
                    pass = self.admit_on(ctx, patient, whole.version).await?;
                }
                Ok(whole) => break whole,
                Err(failure) => return Err(self.refused(ctx, &pass, patient, failure).await),
            }
        };
        let masked = pass.masked_among(whole.entries())?;
        let answer = whole.shown(&masked);
        let (rendered, digest) = render(&answer);
        let version = answer.items.last().map_or(0, |item| item.header.version);
        let first_version = answer.items.first().map_or(0, |item| item.header.version);
        let count = u32::try_from(answer.items.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&digest)?);
        let position = answer.position;
        let saw = Saw { first_version, version, position, count, digest, masked, ..Saw::default() };
        let receipt = self.showed(ctx, &pass, patient, &saw).await?;
        Ok(Shown { answer: rendered, receipt, position: answer.position })
    }

    pub(crate) fn load_history(
        &self,
        pass: &Pass,
        patient: PatientId,
        from_version: u64,
        limit: usize,
        judged: Judged,
    ) -> Result<WholeHistory, Failure> {
        // Before the reader's moment, see `covering`.
        let size = self.records.line.progress().size;
        let reader = self.shelf.open(pass).reader();
        let subject = SubjectId(patient.0);
        // A bucket of the registry is a subject too, but nobody's file.
        if reader.file_header(subject)?.is_none() {
            return Err(self.no_file(&reader, subject)?);
        }
        let newest = reader.head(self.records.line.ledger, subject)?.ok_or(Failure::NotFound)?;
        let page = reader.history(subject, from_version.max(1), limit)?;
        let items = page.items.into_iter().map(|item| HistoryItem {
            position: item.position,
            hash: ledger::leaf_hash(&item.header.encode()),
            header: item.header,
            event: item.event.into(),
        });
        let items = match self.standing(&reader, subject, judged)? {
            Some(standing) => standing.judge(items.collect())?,
            None => items.map(WholeItem::unmasked).collect(),
        };
        let position = covering(size, newest.position);
        Ok(WholeHistory { patient, position, version: newest.version, items, next: page.next })
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

    /// Waits until this node has applied at least so many records; tells whether it had to.
    pub(crate) async fn reached(
        &self,
        at_least: Option<u64>,
        patience: Duration,
    ) -> Result<bool, Failure> {
        let Some(at_least) = at_least else { return Ok(false) };
        let mut progress = self.records.line.follow_progress();
        if progress.borrow().size >= at_least {
            return Ok(false);
        }
        let reached = progress.wait_for(|now| now.size >= at_least);
        let reached = tokio::time::timeout(patience, reached);
        match self.stopping.run_until_cancelled(reached).await {
            Some(Ok(Ok(_))) => Ok(true),
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

/// A number of records within which a file has just the versions up to the one whose record is at
/// `newest`, when `size` were applied before that was looked up. So an access record that keeps it tells
/// for ever by which version of the file its answer was judged.
fn covering(size: u64, newest: u64) -> u64 {
    size.max(newest + 1)
}

/// Where a page goes on after what this node has yet to hear of, it would begin anew.
pub(crate) fn check_place(known: bool) -> Result<(), Failure> {
    if known {
        return Ok(());
    }
    let why = "this node has not applied yet what the page before ended with; ask again later, or the \
               node that gave the page token";
    Err(Failure::CatchingUp { why: why.to_owned() })
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
