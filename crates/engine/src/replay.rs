//! What an access showed, shown again.
//!
//! An access record keeps the request, the versions shown, and a keyed digest of the answer; a file
//! at a version never changes, nor does a register. So the answer is rendered anew from the records, by the same code that
//! rendered it then and with the same classes of entries masked, whatever the policies say by now, and
//! is the same when it has the digest. What does not have it is not shown: it
//! would be somebody's guess at what was on a screen.

mod documents;

use domain::PatientId;
use schema::{AccessRecord, Outcome};

use crate::access::Pass;
use crate::answers::{
    AccessAnswer, AccessFilter, AccessItem, FileAnswer, FileQuery, HistoryAnswer, HistoryItem,
    Shown,
};
use crate::context::{AsOf, Context, Operation};
use crate::engine::Engine;
use crate::failure::Failure;
use crate::masking::{Judged, Masked, WholeHistory};
use crate::showing::{ANSWER_FORMAT, Ended, Saw};
pub use documents::{DocumentAnswer, DocumentQuery};

/// Replays of replays that are followed.
const MAX_LINKS: usize = 16;
/// Emergency accesses that were on record and that a list of the same moment did not have yet: the calls
/// of people who broke the glass at once, and were not answered yet.
const MAX_UNHEARD: usize = 8;
/// µs.
const MINUTE: u64 = 60_000_000;

/// What the request of an access asked for, where its record does not say it in other fields.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A page of a file; which version, the record says.
    File(FileQuery),
    /// A page of the trail.
    Accesses {
        /// Which accesses.
        filter: AccessFilter,
        /// Before which position.
        before: Option<u64>,
        /// How many at most.
        limit: usize,
    },
    /// Of what is filed about no patient.
    Documents(DocumentQuery),
    /// What the access at this position showed.
    Again(u64),
}

/// What an access showed.
#[derive(Clone, Debug)]
pub enum Replayed {
    /// Nothing of a file: it was denied, or there was nothing to show.
    Nothing,
    /// A page of a file.
    File(Box<FileAnswer>),
    /// A part of a file's history.
    History(HistoryAnswer),
    /// One change, to somebody who follows the file.
    Change(Box<HistoryItem>),
    /// To whom a number belongs.
    Patient(PatientId),
    /// A page of the trail.
    Accesses(AccessAnswer),
    /// Of what is filed about no patient.
    Documents(Box<DocumentAnswer>),
    /// What the reply to a write told of the file, a line each: the code and place of a remark, or the
    /// reason of a refusal; of an import one letter an item (filed, amended, unchanged, refused, or
    /// `-`: not told).
    Told(String),
}

impl Replayed {
    /// How often it is made otherwise when it is not what was shown.
    const fn tried_again(&self) -> usize {
        match self {
            Self::Documents(one) if one.may_lack_the_newest() => MAX_UNHEARD,
            Self::Accesses(_) => 1,
            Self::Nothing
            | Self::File(_)
            | Self::History(_)
            | Self::Change(_)
            | Self::Patient(_)
            | Self::Documents(_)
            | Self::Told(_) => 0,
        }
    }
}

impl Engine {
    /// What the access at a position of `access` showed. `asked` reads a request as the operation of
    /// the record reads it; `render` must render, and give as bytes, what the operation did.
    ///
    /// # Errors
    /// [`Failure::NotFound`] where there is no access; [`Failure::Refused`] when it cannot be shown
    /// again: `NOT_REPLAYED` for an operation whose answers prove themselves, `ANSWER_FORMAT_UNKNOWN`,
    /// `ACCESS_UNREADABLE` when the access record does not open, `NOT_REPRODUCED` when what is rendered
    /// is not what was shown; [`Failure::Denied`], and whatever keeps the showing from being recorded.
    pub async fn replay<T>(
        &self,
        ctx: &Context,
        position: u64,
        asked: impl Fn(&AccessRecord) -> Result<Asked, Failure>,
        render: impl Fn(&Replayed) -> (T, Vec<u8>),
    ) -> Result<Shown<(AccessItem, T)>, Failure> {
        // A denial is filed under the patient concerned; the caller hears the same either way.
        let found = self.access_at(position);
        let named = match &found {
            Ok(Some(access)) => self.named_by(access),
            Ok(None) | Err(_) => Ok(None),
        };
        // May they comes first: that something is damaged is not for everybody either.
        let pass = self.admit(ctx, named.as_ref().ok().copied().flatten()).await?;
        let patient = named?;
        self.access.line.near_end()?;
        let Some(access) = found? else {
            self.ended(ctx, &pass, None, Ended::NotFound, &Saw::default()).await?;
            return Err(Failure::NotFound);
        };
        let size = self.access.line.progress().size;
        // Records are read and opened: a few at a time, and not where others wait for their answers.
        let turn = self.proving.acquire().await.map_err(Failure::internal)?;
        let again = tokio::task::block_in_place(|| self.again(&pass, &access, &asked, &render));
        drop(turn);
        let (seen, answer, saw) = match again {
            Ok(again) => again,
            Err(failure) => {
                // That there is something which is not what was shown is a finding, too.
                if let Failure::Refused { reason, .. } = &failure {
                    let saw = Saw::told(1, (*reason).to_owned());
                    self.ended(ctx, &pass, patient, Ended::Shown, &saw).await?;
                }
                return Err(failure);
            }
        };
        let receipt = match &seen {
            Replayed::Accesses(page) => {
                self.searched(ctx, &pass, &self.all_named_by(page)?, &saw).await?
            }
            Replayed::Documents(answer) => {
                self.searched(ctx, &pass, &answer.affected(), &saw).await?
            }
            Replayed::Patient(found) => self.showed(ctx, &pass, *found, &saw).await?,
            Replayed::Nothing
            | Replayed::File(_)
            | Replayed::History(_)
            | Replayed::Change(_)
            | Replayed::Told(_) => self.ended(ctx, &pass, patient, Ended::Shown, &saw).await?,
        };
        Ok(Shown { answer: (access, answer), receipt, position: size })
    }

    /// The answer rendered anew, when it is the one that the record has the digest of.
    fn again<T>(
        &self,
        pass: &Pass,
        access: &AccessItem,
        asked: &impl Fn(&AccessRecord) -> Result<Asked, Failure>,
        render: &impl Fn(&Replayed) -> (T, Vec<u8>),
    ) -> Result<(Replayed, T, Saw), Failure> {
        let record = said(access)?;
        let mut unheard = 0;
        let (seen, answer, digest) = loop {
            let seen = match self.seen(pass, access.clone(), asked, unheard) {
                // There was, when it was shown: its key is gone.
                Err(Failure::NotFound) => return Err(not_reproduced()),
                seen => seen?,
            };
            let (answer, bytes) = render(&seen);
            let digest = self.answer_digest(&bytes)?;
            if digest.0 == record.answer_digest {
                break (seen, answer, digest);
            }
            if unheard >= seen.tried_again() {
                return Err(not_reproduced());
            }
            unheard += 1;
        };
        let saw = Saw {
            first_version: record.first_version,
            version: record.version,
            position: record.position,
            count: record.count,
            digest: Some(digest),
            told: None,
            masked: Masked::then(record),
            trail: record.trail,
            answered_at: record.answered_at,
        };
        Ok((seen, answer, saw))
    }

    fn seen(
        &self,
        pass: &Pass,
        mut access: AccessItem,
        asked: &impl Fn(&AccessRecord) -> Result<Asked, Failure>,
        unheard: usize,
    ) -> Result<Replayed, Failure> {
        for _ in 0..MAX_LINKS {
            let query = self.query_of(&access)?;
            let record = said(&query)?;
            if record.answer_format > ANSWER_FORMAT {
                return Err(Failure::refused(
                    "ANSWER_FORMAT_UNKNOWN",
                    "this access was answered in a form that this node's version does not know: ask \
                     a node of a newer version",
                ));
            }
            match record.outcome {
                Outcome::Denied | Outcome::NotFound => return Ok(Replayed::Nothing),
                Outcome::Shown | Outcome::Refused => {}
            }
            if let Some(told) = &record.told {
                return Ok(Replayed::Told(told.clone()));
            }
            let patient = access.patient.or(self.shown_by(&query)?);
            let again = match (Operation::replayed(&record.operation), patient) {
                (
                    Some(
                        Operation::FindPatient
                        | Operation::GetOwnFile
                        | Operation::RegisterPatient
                        | Operation::Import,
                    ),
                    Some(patient),
                ) => {
                    return Ok(Replayed::Patient(patient));
                }
                (Some(Operation::GetPatientHistory), Some(patient)) => {
                    return self.history_then(pass, patient, record).map(Replayed::History);
                }
                (Some(Operation::WatchPatientFile), Some(patient)) => {
                    let mut then = self.history_then(pass, patient, record)?;
                    let delivered = then.items.pop().ok_or(Failure::NotFound)?;
                    return Ok(Replayed::Change(Box::new(delivered)));
                }
                (Some(_), _) => asked(record)?,
                (None, _) => return Err(not_replayed()),
            };
            access = match again {
                Asked::File(query) => {
                    return self.file_then(pass, &query, record).map(Replayed::File);
                }
                Asked::Accesses { mut filter, before, limit } => {
                    let size = record.position;
                    // What is newer was hardly there. Where another node's clock was ahead it was, and the
                    // trail's size alone tells.
                    if unheard == 0 {
                        let then = query.header.recorded_at.saturating_add(MINUTE);
                        filter.to = Some(filter.to.map_or(then, |to| to.min(then)));
                    }
                    let page = self.load_accesses(pass, &filter, size, before, limit)?;
                    return Ok(Replayed::Accesses(page));
                }
                Asked::Documents(asked) => {
                    self.has_applied(record.position)?;
                    let answer = self.documents_shown(pass, &asked, &query, unheard)?;
                    return answer.map(Replayed::Documents).ok_or(Failure::NotFound);
                }
                // What was shown again was shown before.
                Asked::Again(position) if position < access.position => {
                    self.access_at(position)?.ok_or(Failure::NotFound)?
                }
                Asked::Again(_) => return Err(not_replayed()),
            };
        }
        Err(Failure::refused(
            "NOT_REPLAYED",
            "too many replays of replays: ask for what was replayed first",
        ))
    }

    fn file_then(
        &self,
        pass: &Pass,
        query: &FileQuery,
        record: &AccessRecord,
    ) -> Result<Box<FileAnswer>, Failure> {
        let judged = match query.as_of {
            AsOf::Now => Judged::Never,
            AsOf::Version(_) | AsOf::Time(_) => judged_then(record),
        };
        self.has_applied(record.position)?;
        let page = self.load_past(pass, query, record.version, judged)?;
        Ok(Box::new(page.shown(query, &Masked::then(record))))
    }

    /// What this node has not applied yet it would show as it was before, and that would seem a finding.
    fn has_applied(&self, position: u64) -> Result<(), Failure> {
        let applied = self.position();
        if applied >= position {
            return Ok(());
        }
        let why =
            format!("what was shown is of {position} records, and this node has {applied} yet");
        Err(Failure::CatchingUp { why })
    }

    fn history_then(
        &self,
        pass: &Pass,
        patient: PatientId,
        record: &AccessRecord,
    ) -> Result<HistoryAnswer, Failure> {
        self.has_applied(record.position)?;
        let then = self.load_history_then(pass, patient, record, judged_then(record))?;
        Ok(then.shown(&Masked::then(record)))
    }

    /// The part of a history that an access showed, before anything is masked.
    pub(crate) fn load_history_then(
        &self,
        pass: &Pass,
        patient: PatientId,
        record: &AccessRecord,
        judged: Judged,
    ) -> Result<WholeHistory, Failure> {
        let versions = match record.version {
            0 => 0,
            version => version.saturating_sub(record.first_version).saturating_add(1),
        };
        let limit = usize::try_from(versions).map_err(Failure::internal)?;
        let first = record.first_version;
        let mut then = self.load_history(pass, patient, first, limit, judged)?;
        // An empty page was beyond the end of then, not of now.
        then.items.truncate(limit);
        Ok(then)
    }

    pub(crate) fn access_at(&self, position: u64) -> Result<Option<AccessItem>, Failure> {
        let found = self.shelf.never_to_be_shown().reader().access(position)?;
        Ok(found.map(|item| self.access_item(item)))
    }

    /// The first record of an access's contribution: of a query and the patients it showed, the query.
    fn query_of(&self, access: &AccessItem) -> Result<AccessItem, Failure> {
        let mut first = access.clone();
        let mut position = access.position;
        while first.header.index > 0 {
            position = position.checked_sub(1).ok_or_else(|| parted(access.position))?;
            // A commitment may stand between them.
            let Some(before) = self.access_at(position)? else { continue };
            if before.header.contribution_id != access.header.contribution_id {
                return Err(parted(access.position));
            }
            first = before;
        }
        Ok(first)
    }

    /// The patient whom an access is about. A query's own record is about nobody, and says whom it showed
    /// where that is one alone.
    pub(crate) fn named_by(&self, access: &AccessItem) -> Result<Option<PatientId>, Failure> {
        let shows = |record: &AccessRecord| record.outcome == Outcome::Shown;
        let finds = access.header.index == 0 && access.header.count == 2;
        if access.patient.is_some() || !finds || !access.record.as_ref().is_some_and(shows) {
            return Ok(access.patient);
        }
        self.shown_by(access)
    }

    /// The patient whom a query that finds one showed.
    fn shown_by(&self, query: &AccessItem) -> Result<Option<PatientId>, Failure> {
        if query.header.count < 2 {
            return Ok(None);
        }
        let next = [query.position + 1, query.position + 2];
        for position in next {
            if let Some(item) = self.access_at(position)? {
                return Ok(item.patient);
            }
        }
        Ok(None)
    }
}

/// By which version of the file what was masked then was told from what was not.
fn judged_then(record: &AccessRecord) -> Judged {
    if record.masked.is_empty() { Judged::Never } else { Judged::Within(record.position) }
}

pub(crate) fn said(access: &AccessItem) -> Result<&AccessRecord, Failure> {
    access.record.as_ref().ok_or_else(|| {
        Failure::refused(
            "ACCESS_UNREADABLE",
            "the access record cannot be opened: its key is destroyed, or not at this node yet",
        )
    })
}

fn not_reproduced() -> Failure {
    Failure::refused(
        "NOT_REPRODUCED",
        "what this access showed cannot be rendered as it was: a key that was here then is not, or came \
         later, or what is stored is not what was, which caseledgerd fsck tells; or it showed the policies \
         that Caseledger comes with, by a node of a version with other ones",
    )
}

fn not_replayed() -> Failure {
    Failure::refused(
        "NOT_REPLAYED",
        "what this access showed is not rendered again: headers of records and proofs are the same \
         under the same address, and prove themselves; the trail that a policy was tried on stays on \
         file; and the first access records do not say enough of lists of emergency accesses",
    )
}

fn parted(position: u64) -> Failure {
    Failure::Damaged { what: format!("the contribution of access record {position}") }
}
