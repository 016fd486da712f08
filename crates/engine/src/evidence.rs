//! Evidence: what a ledger holds about a patient, at a position or between two, with all that shows to
//! somebody who trusts no node that it is so and that nothing was left out.

use std::ops::Range;
use std::sync::Arc;

use domain::PatientId;
use ledger::map::MapProof;
use ledger::{Hash, LeafType, LedgerId, LedgerKind, SubjectId, commitment, leaf_hash};
use store::{Reader, Snapshot, StoredRecord};

use crate::Failure;
use crate::access::Pass;
use crate::answers::{AccessItem, HistoryItem, Shown};
use crate::checkpoints::{NodeCheckpoint, OnFile};
use crate::context::Context;
use crate::engine::{Engine, Working};
use crate::proofs::lacks;
use crate::showing::{Ended, Saw};

/// Most leaves about a subject that are proved at once.
pub const MAX_PROVED: usize = 50_000;

/// Most bytes of bodies that are opened for one answer: it is in memory as a whole, several times over.
pub(crate) const MAX_OPENED: usize = 64 * 1024 * 1024;

/// How many answers are made at once; others wait for their turn.
pub(crate) const MADE_AT_ONCE: usize = 2;

/// About what evidence is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Everything about a patient.
    Patient(PatientId),
    /// The leaf at a position.
    Position(u64),
    /// Every leaf from the first of these positions up to the second, at most [`MAX_PROVED`]: headers
    /// alone, for they may be about many patients.
    Range(u64, u64),
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceQuery {
    /// In which ledger.
    pub ledger: LedgerId,
    /// About what.
    pub about: About,
    /// Whether to open the bodies of the records that it is about.
    pub contents: bool,
}

/// Evidence.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// Where it leads.
    pub checkpoint: Arc<NodeCheckpoint>,
    /// About a patient: see [`ledger::completeness::Completeness::first`]. Else the first position.
    pub first: u64,
    /// What the map says of the patient, once there is a commitment.
    pub map: Option<MapProof>,
    /// The range proof of the leaves from `first` on, or of the range that was asked for, or the
    /// inclusion proof of the position.
    pub hashes: Vec<Hash>,
    /// About a patient: those about them before `first`, then every one. Else what was asked for.
    pub leaves: Vec<EvidenceLeaf>,
}

/// A leaf.
#[derive(Clone, Debug)]
pub struct EvidenceLeaf {
    /// Where it is.
    pub position: u64,
    /// Its bytes.
    pub leaf: Vec<u8>,
    /// What it says, where that was asked for.
    pub opened: Option<OpenedLeaf>,
}

/// A record with its body. It does not print: neither content nor keys belong into a log.
#[derive(Clone)]
pub struct OpenedLeaf {
    /// As it is on file.
    pub body: Vec<u8>,
    /// Opens this body alone; none when the patient's key is not here or was destroyed.
    pub record_key: Option<Vec<u8>>,
    /// What the body says.
    pub content: Content,
}

impl std::fmt::Debug for OpenedLeaf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedLeaf").finish_non_exhaustive()
    }
}

/// What a body says.
#[derive(Clone, Debug)]
pub enum Content {
    /// In `records`.
    Filed(Box<HistoryItem>),
    /// In `access`.
    Access(Box<AccessItem>),
    /// A control record, whose body is clear.
    Control,
}

impl Engine {
    /// Evidence under a checkpoint that covers everything filed when it was asked for; shown, and on
    /// the trail before it is.
    ///
    /// # Errors
    /// [`Failure::NotFound`] for a ledger or position that there is not, [`Failure::Unavailable`]
    /// when no checkpoint covers it within the caller's patience, [`Failure::Refused`] beyond
    /// [`MAX_PROVED`], [`Failure::Denied`], and whatever keeps the showing from being recorded.
    pub async fn prove<T: Send + 'static>(
        &self,
        ctx: &Context,
        query: &EvidenceQuery,
        render: impl FnOnce(&Evidence) -> (T, Vec<u8>) + Send + 'static,
    ) -> Result<Shown<T>, Failure> {
        let side = self.side_of(query.ledger)?;
        if query.ledger.kind == LedgerKind::Access {
            self.trail.applied().await;
        }
        // One moment for both: whose a record is that comes on file meanwhile, nobody has looked at.
        let now = side.line.state()?;
        let concerned = self.concerned(now.size, query);
        // May they comes first: that something is damaged is not for everybody either.
        let pass = self.admit(ctx, concerned.as_ref().ok().copied().flatten()).await?;
        let patient = concerned?;
        side.line.near_end()?;
        let covered = match query.about {
            About::Patient(_) => now.size,
            About::Position(at) if at < now.size => at + 1,
            About::Range(first, end) if first < end && end <= now.size => end,
            About::Position(_) | About::Range(..) => {
                self.ended(ctx, &pass, None, Ended::NotFound, &Saw::default()).await?;
                return Err(Failure::NotFound);
            }
        };
        let position = now.size;
        let checkpoint = self.covering(side, covered, ctx).await?;
        // Thousands of records are read and opened: not where others wait for their answers.
        let turn = Arc::clone(&self.proving).acquire_owned().await.map_err(Failure::internal)?;
        let (engine, query, read) = (self.clone(), *query, pass.clone());
        let made = tokio::task::spawn_blocking(move || {
            // Whoever asked may be gone: the work goes on, and so does its turn.
            let _turn = turn;
            let evidence = engine.evidence(&read, &query, &now, checkpoint)?;
            let (answer, bytes) = render(&evidence);
            Ok::<_, Failure>((answer, evidence.leaves.len(), engine.answer_digest(&bytes)?))
        });
        let (answer, count, digest) = match (made.await.map_err(Failure::internal)?, patient) {
            (Ok(made), _) => made,
            // It tells how much there is.
            (Err(failure), Some(patient)) => {
                return Err(self.refused(ctx, &pass, patient, failure).await);
            }
            (Err(failure), None) => return Err(failure),
        };
        let count = u32::try_from(count).map_err(Failure::internal)?;
        let saw = Saw { position, count, digest: Some(digest), ..Saw::default() };
        let receipt = self.ended(ctx, &pass, patient, Ended::Shown, &saw).await?;
        Ok(Shown { answer, receipt, position })
    }

    /// Whom the showing is about: of a position, the patient of its record.
    fn concerned(&self, size: u64, query: &EvidenceQuery) -> Result<Option<PatientId>, Failure> {
        let at = match query.about {
            About::Patient(patient) => return Ok(Some(patient)),
            About::Range(..) => return Ok(None),
            About::Position(at) => at,
        };
        let store = self.shelf.never_to_be_shown();
        let record = if at < size { store.reader().record(query.ledger, at)? } else { None };
        Ok(record.and_then(|record| self.patient_of(record.header.subject)))
    }

    fn evidence(
        &self,
        pass: &Pass,
        query: &EvidenceQuery,
        now: &Snapshot,
        checkpoint: Arc<NodeCheckpoint>,
    ) -> Result<Evidence, Failure> {
        match query.about {
            About::Patient(patient) => self.about(pass, query, now, checkpoint, patient),
            About::Position(position) => self.at(pass, query, checkpoint, position),
            About::Range(first, end) => self.range(pass, query.ledger, checkpoint, first..end),
        }
    }

    fn range(
        &self,
        pass: &Pass,
        ledger: LedgerId,
        checkpoint: Arc<NodeCheckpoint>,
        Range { start: first, end }: Range<u64>,
    ) -> Result<Evidence, Failure> {
        let reader = self.shelf.open(pass).reader();
        let hashes = reader.range_proof(ledger, first, end, checkpoint.checkpoint.size)?;
        let leaves = (first..).zip(reader.leaves(ledger, first, end)?);
        let leaves = leaves.map(|(position, leaf)| EvidenceLeaf { position, leaf, opened: None });
        Ok(Evidence { checkpoint, first, map: None, hashes, leaves: leaves.collect() })
    }

    fn about(
        &self,
        pass: &Pass,
        query: &EvidenceQuery,
        now: &Snapshot,
        checkpoint: Arc<NodeCheckpoint>,
        patient: PatientId,
    ) -> Result<Evidence, Failure> {
        let EvidenceQuery { ledger, contents, .. } = *query;
        let subject = SubjectId(patient.0);
        let first = (now.size - now.size % commitment::EVERY).saturating_sub(1);
        let map = (first > 0).then(|| now.state().subjects.map().prove(subject));
        let reader = self.shelf.open(pass).reader();
        let size = checkpoint.checkpoint.size;
        let about = reader.about(ledger, subject, first)?;
        if about.len() > MAX_PROVED {
            return Err(too_many());
        }
        let since = (first..).zip(reader.leaves(ledger, first, size)?);
        let wanted = about.into_iter().map(|position| (position, None));
        let (mut leaves, mut opened) = (Vec::new(), 0);
        for (position, leaf) in wanted.chain(since.map(|(position, leaf)| (position, Some(leaf)))) {
            let leaf = match leaf {
                Some(leaf) if !(contents && is_about(&leaf, subject)) => {
                    EvidenceLeaf { position, leaf, opened: None }
                }
                Some(_) | None => self.record(&reader, ledger, position, contents)?,
            };
            opened += leaf.opened.as_ref().map_or(0, |opened| opened.body.len());
            if opened > MAX_OPENED {
                return Err(too_many());
            }
            leaves.push(leaf);
        }
        let hashes = reader.range_proof(ledger, first, size, size)?;
        Ok(Evidence { checkpoint, first, map, hashes, leaves })
    }

    fn at(
        &self,
        pass: &Pass,
        query: &EvidenceQuery,
        checkpoint: Arc<NodeCheckpoint>,
        position: u64,
    ) -> Result<Evidence, Failure> {
        let EvidenceQuery { ledger, contents, .. } = *query;
        let reader = self.shelf.open(pass).reader();
        let hashes = reader.inclusion_proof(ledger, position, checkpoint.checkpoint.size)?;
        let leaf = if commitment::is_at(position) {
            let leaf = reader.leaves(ledger, position, position + 1)?.pop().unwrap_or_default();
            EvidenceLeaf { position, leaf, opened: None }
        } else {
            self.record(&reader, ledger, position, contents)?
        };
        Ok(Evidence { checkpoint, first: position, map: None, hashes, leaves: vec![leaf] })
    }

    /// The newest checkpoint, once it covers so many leaves.
    async fn covering(
        &self,
        side: &Working,
        size: u64,
        ctx: &Context,
    ) -> Result<Arc<NodeCheckpoint>, Failure> {
        let covers =
            |now: &OnFile| now.newest.as_ref().is_some_and(|newest| newest.checkpoint.size >= size);
        let mut on_file = side.on_file.clone();
        let covered = tokio::time::timeout(ctx.patience, on_file.wait_for(covers));
        let covered = self.stopping.run_until_cancelled(covered).await;
        let newest = match covered {
            Some(Ok(Ok(on_file))) => on_file.newest.clone(),
            Some(Ok(Err(_)) | Err(_)) | None => None,
        };
        newest.ok_or_else(|| Failure::Unavailable {
            why: format!(
                "no checkpoint of {} covers {size} records yet{}",
                side.line.ledger,
                lacks(side)
            ),
        })
    }

    fn record(
        &self,
        reader: &Reader<'_>,
        ledger: LedgerId,
        position: u64,
        contents: bool,
    ) -> Result<EvidenceLeaf, Failure> {
        let damaged = || Failure::Damaged { what: format!("record {position} of {ledger}") };
        let record = reader.record(ledger, position)?.ok_or_else(damaged)?;
        // A bucket of the registry is a subject too, but nobody's file: what it says is about others.
        let of_nobody = record.header.leaf == LeafType::Record
            && ledger.kind == LedgerKind::Records
            && self.patient_of(record.header.subject).is_none();
        if !contents || of_nobody {
            return Ok(EvidenceLeaf { position, leaf: record.header_bytes, opened: None });
        }
        let opened = reader.hand_out(&record)?;
        let plain = opened.as_ref().map(|opened| opened.plain.as_slice());
        let content = self.content(&record, plain);
        let record_key = opened.map(|opened| opened.record_key.to_vec());
        let opened = OpenedLeaf { body: record.body, record_key, content };
        Ok(EvidenceLeaf { position, leaf: record.header_bytes, opened: Some(opened) })
    }

    /// What a body says; of one that this build cannot read, that it cannot.
    fn content(&self, record: &StoredRecord, plain: Option<&[u8]>) -> Content {
        let (position, header) = (record.position, record.header.clone());
        let hash = leaf_hash(&record.header_bytes);
        match (header.leaf, header.ledger.kind) {
            (ledger::LeafType::Control, _) => Content::Control,
            (ledger::LeafType::Record, LedgerKind::Records) => {
                let version = header.envelope_version;
                // Never masked: evidence is of all that was filed.
                let event =
                    plain.and_then(|plain| schema::decode_event(version, plain).ok()).into();
                Content::Filed(Box::new(HistoryItem { position, header, hash, event }))
            }
            (ledger::LeafType::Record, LedgerKind::Access) => {
                let version = header.envelope_version;
                let said = plain.and_then(|plain| schema::decode_access(version, plain).ok());
                let patient = self.patient_of(header.subject);
                Content::Access(Box::new(AccessItem {
                    position,
                    header,
                    patient,
                    hash,
                    record: said,
                }))
            }
        }
    }
}

fn too_many() -> Failure {
    let message = format!(
        "the ledger holds more about this patient than is proved at once, {MAX_PROVED} records or \
         {MAX_OPENED} bytes of bodies: ask without contents, or verify the whole ledger instead"
    );
    Failure::refused("TOO_MANY_RECORDS", message)
}

fn is_about(leaf: &[u8], subject: SubjectId) -> bool {
    match ledger::Leaf::decode(leaf) {
        Ok(ledger::Leaf::Record(header)) => header.subject == subject,
        Ok(ledger::Leaf::Commitment(_)) | Err(_) => false,
    }
}
