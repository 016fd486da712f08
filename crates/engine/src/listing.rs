//! The audit trail, read by those who review it.

use std::collections::BTreeSet;

use domain::PatientId;
use ledger::SubjectId;

use crate::access::Pass;
use crate::answers::{AccessAnswer, AccessFilter, AccessItem, Shown};
use crate::context::Context;
use crate::engine::Engine;
use crate::failure::Failure;
use crate::queries::{MAX_PAGE, check_place, page_size};
use crate::showing::Saw;

/// Rows looked at for one page: a filter that matches nothing ends here with a token to go on from,
/// so that no call reads the whole trail.
const MAX_SCANNED: usize = 10_000;

/// Bytes of records from which on no more are read for one page: a read adds at most
/// [`store::PAGE_BYTES`], and all of it has to fit a message.
const FULL: usize = store::PAGE_BYTES / 2;

impl Engine {
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
        check_place(before.is_none_or(|before| before < position))?;
        let answer = self.load_accesses(&pass, filter, position, before, limit)?;
        let answer = AccessAnswer { waiting_bytes, ..answer };
        let (rendered, digest) = render(&answer);
        let count = u32::try_from(answer.items.len()).unwrap_or(u32::MAX);
        let digest = Some(self.answer_digest(&digest)?);
        let saw = Saw { position, count, digest, ..Saw::default() };
        let receipt = self.searched(ctx, &pass, &self.all_named_by(&answer)?, &saw).await?;
        Ok(Shown { answer: rendered, receipt, position })
    }

    /// The trail as it was when it had so many records.
    pub(crate) fn load_accesses(
        &self,
        pass: &Pass,
        filter: &AccessFilter,
        size: u64,
        before: Option<u64>,
        limit: usize,
    ) -> Result<AccessAnswer, Failure> {
        let limit = page_size(limit);
        let reader = self.shelf.open(pass).reader();
        let mut answer = AccessAnswer { items: Vec::new(), next: before, waiting_bytes: 0 };
        // What is made in an emergency access is made by one person.
        let emergency = match &filter.emergency {
            Some(id) => match self.emergencies()?.get(id) {
                Some(access) => Some(access.actor),
                None => return Ok(AccessAnswer { next: None, ..answer }),
            },
            None => None,
        };
        let scope = match (&filter.patient, &filter.person, emergency) {
            (Some(patient), ..) => store::AccessFilter::Subject(SubjectId(patient.0)),
            (None, Some(person), _) => store::AccessFilter::Actor(self.actor_of("", Some(person))?),
            (None, None, Some(actor)) => store::AccessFilter::Actor(actor),
            (None, None, None) => store::AccessFilter::All,
        };
        let times =
            filter.from.unwrap_or(0)..=filter.to.map_or(u64::MAX, |to| to.saturating_sub(1));
        let (mut scanned, mut bytes) = (0, 0);
        while answer.items.len() < limit && scanned < MAX_SCANNED && bytes < FULL {
            let room = (limit - answer.items.len()).min(MAX_PAGE);
            let page = reader.accesses(scope, times.clone(), size, answer.next, room)?;
            scanned += page.items.len();
            for item in page.items.into_iter().map(|item| self.access_item(item)) {
                if matches(filter, &item) {
                    let length = usize::try_from(item.header.body_length);
                    bytes += length.map_err(Failure::internal)?;
                    answer.items.push(item);
                }
            }
            answer.next = page.next;
            if page.next.is_none() {
                break;
            }
        }
        Ok(answer)
    }

    /// Whom a page of the trail is about, each once.
    pub(crate) fn all_named_by(&self, answer: &AccessAnswer) -> Result<Vec<PatientId>, Failure> {
        let mut about = BTreeSet::new();
        for item in &answer.items {
            about.extend(self.named_by(item)?);
        }
        Ok(about.into_iter().collect())
    }

    pub(crate) fn access_item(&self, item: store::AccessItem) -> AccessItem {
        AccessItem {
            position: item.position,
            hash: ledger::leaf_hash(&item.header.encode()),
            patient: self.patient_of(item.header.subject),
            header: item.header,
            record: item.record,
        }
    }

    /// The patient whom an access is about, for those who may miss none; none of what is about nobody.
    pub(crate) fn concerned_by(&self, access: &AccessItem) -> Result<Option<PatientId>, Failure> {
        let subject = access.header.subject;
        if [self.system()?.subject, self.emergency_subject()?].contains(&subject) {
            return Ok(None);
        }
        if self.vault.keys_of(subject)?.is_none() {
            let why = format!(
                "this node does not have the keys yet of the patient whom access {} is about; ask \
                 another node, or this one later",
                access.position
            );
            return Err(Failure::Unavailable { why });
        }
        Ok(Some(PatientId(subject.0)))
    }

    /// The system is a subject of access records too, but no patient; nor is, for a list of accesses, whose
    /// keys are not here: one of them does not keep the others from being seen.
    pub(crate) fn patient_of(&self, subject: SubjectId) -> Option<PatientId> {
        let keys = self.vault.keys_of(subject).ok().flatten();
        keys.map(|_| PatientId(subject.0))
    }
}

fn matches(filter: &AccessFilter, item: &AccessItem) -> bool {
    if !item.hash.0.starts_with(&filter.receipt) {
        return false;
    }
    let Some(record) = &item.record else {
        return filter.person.is_none()
            && filter.purpose.is_none()
            && filter.outcome.is_none()
            && filter.emergency.is_none();
    };
    let same =
        |asked: &Option<String>, found: &str| asked.as_deref().is_none_or(|asked| asked == found);
    same(&filter.purpose, &record.purpose)
        && same(&filter.outcome, record.outcome.name())
        && filter.emergency.is_none_or(|asked| record.emergency == Some(asked))
        && filter.person.as_deref().is_none_or(|person| record.person.as_deref() == Some(person))
}
