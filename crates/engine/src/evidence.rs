//! Evidence: what a ledger holds about a patient or at a position, with all that shows to somebody who
//! trusts no node that it is so and that nothing was left out.

use std::sync::Arc;

use domain::PatientId;
use ledger::map::MapProof;
use ledger::{Commitment, Hash, LedgerId, LedgerKind, SubjectId, commitment, leaf_hash};
use store::{Reader, StoredRecord};

use crate::Failure;
use crate::access::Pass;
use crate::answers::{AccessItem, HistoryItem, Shown};
use crate::checkpoints::{NodeCheckpoint, OnFile};
use crate::context::Context;
use crate::engine::{Engine, Working};
use crate::showing::{Ended, Saw};

/// Most leaves about a subject that are proved at once: with their bodies some 100 MB.
pub const MAX_PROVED: usize = 50_000;

/// About what evidence is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// Everything about a patient.
    Patient(PatientId),
    /// The leaf at a position.
    Position(u64),
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
    /// About a patient: see [`ledger::completeness::Completeness::first`]. Else the position.
    pub first: u64,
    /// What the map says of the patient, once there is a commitment.
    pub map: Option<MapProof>,
    /// The range proof of the leaves from `first` on, or the inclusion proof of the position.
    pub hashes: Vec<Hash>,
    /// About a patient: those about them before `first`, then every one. Else the one.
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

/// A record with its body.
#[derive(Clone, Debug)]
pub struct OpenedLeaf {
    /// As it is on file.
    pub body: Vec<u8>,
    /// Opens this body alone; none when the patient's key is not here or was destroyed.
    pub record_key: Option<Vec<u8>>,
    /// What the body says.
    pub content: Content,
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
    pub async fn prove<T>(
        &self,
        ctx: &Context,
        query: &EvidenceQuery,
        render: impl FnOnce(&Evidence) -> (T, Vec<u8>),
    ) -> Result<Shown<T>, Failure> {
        let side = self.side_of(query.ledger)?;
        let patient = self.concerned(side, query)?;
        let pass = self.admit(ctx, patient).await?;
        side.line.near_end()?;
        if query.ledger.kind == LedgerKind::Access {
            self.trail.applied().await;
        }
        let position = side.line.state()?.size;
        let evidence = match query.about {
            About::Patient(patient) => {
                self.about(&pass, ctx, side, patient, query.contents).await?
            }
            About::Position(at) => self.at(&pass, ctx, side, at, query.contents).await?,
        };
        let (answer, bytes) = render(&evidence);
        let saw = Saw {
            position,
            count: u32::try_from(evidence.leaves.len()).map_err(Failure::internal)?,
            digest: Some(self.answer_digest(&bytes)?),
            ..Saw::default()
        };
        let receipt = self.ended(ctx, patient, Ended::Shown, &saw).await?;
        Ok(Shown { answer, receipt, position })
    }

    /// Whom the showing is about: of a position, the patient of its record.
    fn concerned(
        &self,
        side: &Working,
        query: &EvidenceQuery,
    ) -> Result<Option<PatientId>, Failure> {
        let at = match query.about {
            About::Patient(patient) => return Ok(Some(patient)),
            About::Position(at) => at,
        };
        let store = self.shelf.never_to_be_shown();
        let record = match side.line.state()?.size {
            size if at < size => store.reader().record(query.ledger, at)?,
            _ => None,
        };
        Ok(record.and_then(|record| self.patient_of(record.header.subject)))
    }

    async fn about(
        &self,
        pass: &Pass,
        ctx: &Context,
        side: &Working,
        patient: PatientId,
        contents: bool,
    ) -> Result<Evidence, Failure> {
        let (line, subject) = (&side.line, SubjectId(patient.0));
        let now = line.state()?;
        let first = (now.size - now.size % commitment::EVERY).saturating_sub(1);
        let map = (first > 0).then(|| now.state().subjects.map().prove(subject));
        let checkpoint = self.covering(side, now.size, ctx).await?;
        let reader = self.shelf.open(pass).reader();
        let size = checkpoint.checkpoint.size;
        let about = reader.about(line.ledger, subject, first)?;
        if about.len() > MAX_PROVED {
            let message = format!(
                "the ledger holds {} records about this patient, and at most {MAX_PROVED} are proved \
                 at once: verify the whole ledger instead",
                about.len()
            );
            return Err(Failure::Refused { reason: "TOO_MANY_RECORDS", message });
        }
        let mut leaves = Vec::with_capacity(about.len());
        for position in about {
            leaves.push(self.record(&reader, line.ledger, position, contents)?);
        }
        let since = reader.leaves(line.ledger, first, size)?;
        for (position, leaf) in (first..).zip(since) {
            let opened = contents && is_about(&leaf, subject);
            leaves.push(match opened {
                true => self.record(&reader, line.ledger, position, true)?,
                false => EvidenceLeaf { position, leaf, opened: None },
            });
        }
        let hashes = reader.range_proof(line.ledger, first, size, size)?;
        Ok(Evidence { checkpoint, first, map, hashes, leaves })
    }

    async fn at(
        &self,
        pass: &Pass,
        ctx: &Context,
        side: &Working,
        position: u64,
        contents: bool,
    ) -> Result<Evidence, Failure> {
        let ledger = side.line.ledger;
        if position >= side.line.state()?.size {
            return Err(Failure::NotFound);
        }
        let checkpoint = self.covering(side, position + 1, ctx).await?;
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
            why: format!("no checkpoint of {} covers {size} records yet", side.line.ledger),
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
        if !contents {
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
                let event = plain.and_then(|plain| schema::decode_event(version, plain).ok());
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

fn is_about(leaf: &[u8], subject: SubjectId) -> bool {
    match ledger::Leaf::decode(leaf) {
        Ok(ledger::Leaf::Record(header)) => header.subject == subject,
        Ok(ledger::Leaf::Commitment(Commitment { .. })) | Err(_) => false,
    }
}
