//! From a call to its access record.

mod admitting;

use std::borrow::Cow;
use std::collections::BTreeSet;

use domain::PatientId;
use ledger::{Hash, KeyId, SubjectId};
use schema::AccessRecord;

use crate::access::{Grounds, Pass};
use crate::context::{Context, Operation};
use crate::engine::Engine;
use crate::facts::{Facts, is_unit};
use crate::masking::Masked;
use crate::trail::Showing;
use crate::writer::BLOCK_ROOM;
use crate::{Failure, LISTED_VIOLATIONS, Receipt, UNAUDITED, Violation};

/// Version of the answers' form: the protobuf messages of `caseledger.v1`. 2 has masked entries; where
/// nothing is masked, its bytes are those of 1, which had none.
pub(crate) const ANSWER_FORMAT: u16 = 2;

/// Longest request that is kept whole; of a longer one its keyed digest, so that the record fits a
/// body.
const MAX_REQUEST: usize = 16 * 1024;

/// Bytes of bodies, which are padded to powers of two, beside that of a query: half a block, for each has
/// a header, and the query's own may be large.
const MAX_BESIDE: usize = BLOCK_ROOM / 2;

/// What the trail says was told of a file that could not be opened, and so of there being one.
pub(crate) const NOT_OPENED: &str = "NOT_OPENED";

/// What stands for a receipt in a build without a trail.
const NO_RECEIPT: Receipt = Receipt(Hash::ZERO);

/// What somebody sees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Saw {
    /// First version shown, where several are; 0: the next field is the only one.
    pub(crate) first_version: u64,
    /// Version of the file shown (0: no file).
    pub(crate) version: u64,
    /// Records applied.
    pub(crate) position: u64,
    /// Records of the trail applied, where the answer is made of both ledgers.
    pub(crate) trail: u64,
    /// When it was made, where it says what is open, due or overdue.
    pub(crate) answered_at: u64,
    /// Entries, records or hits shown.
    pub(crate) count: u32,
    /// Keyed digest of the answer's bytes ([`Engine::answer_digest`]); none: nothing was shown, or
    /// only what the next field says.
    pub(crate) digest: Option<Hash>,
    /// What the reply to a write told of the file, a line each.
    pub(crate) told: Option<String>,
    /// Classes of entries that were masked.
    pub(crate) masked: Masked,
}

impl Saw {
    /// What the reply to a write tells, which no record says again.
    pub(crate) fn told(count: usize, told: String) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        Self { count, told: Some(told), ..Self::default() }
    }
}

/// How an access ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Ended {
    Shown,
    Denied,
    NotFound,
    Refused,
}

/// What the trail keeps of what was said to be wrong with a request: its reason, then a line each, code
/// and field, of those that an answer lists. They say no value.
fn faults(violations: &[Violation]) -> String {
    let line = |one: &Violation| format!("{} {}", one.code, one.field);
    let lines = violations.iter().take(LISTED_VIOLATIONS).map(line);
    ["INVALID_FIELDS".to_owned()].into_iter().chain(lines).collect::<Vec<_>>().join("\n")
}

/// The record of each of so many patients whom a query showed, or a refusal concerns. What was asked for
/// stands in the query's own record alone, which is in the same contribution; where they would be too many
/// bytes together, so do the reason, the policies that decided, and the units.
fn beside_query(query: &AccessRecord, patients: usize) -> Result<AccessRecord, Failure> {
    let mut record = AccessRecord { request: Vec::new(), ..query.clone() };
    let bytes = schema::encode_access(&record).map_err(Failure::internal)?.len();
    if bytes.next_power_of_two().saturating_mul(patients) > MAX_BESIDE {
        record.reason = None;
        record.deciding.clear();
        record.circumstances.retain(|one| !is_unit(one));
    }
    Ok(record)
}

/// The same record, as far as it tells these facts.
fn knowing(record: AccessRecord, facts: &Facts) -> AccessRecord {
    let (known, mut circumstances) = (facts.circumstances(), record.circumstances);
    circumstances.retain(|one| known.contains(one));
    let (relationship, emergency) = (facts.relationship.clone(), facts.emergency);
    AccessRecord { relationship, emergency, circumstances, ..record }
}

impl Engine {
    /// Records a showing of one patient's data.
    pub(crate) async fn showed(
        &self,
        ctx: &Context,
        pass: &Pass,
        patient: PatientId,
        saw: &Saw,
    ) -> Result<Receipt, Failure> {
        self.ended(ctx, pass, Some(patient), Ended::Shown, saw).await
    }

    /// Records how an access ended that was let in.
    pub(crate) async fn ended(
        &self,
        ctx: &Context,
        pass: &Pass,
        patient: Option<PatientId>,
        ended: Ended,
        saw: &Saw,
    ) -> Result<Receipt, Failure> {
        let grounds = match patient {
            Some(patient) => pass.grounds_for(patient),
            None => Cow::Borrowed(pass.grounds()),
        };
        self.put_on_record(ctx, &grounds, patient, ended, saw).await
    }

    /// Records an access: under the patient's audit key, or the system's when no patient (or none
    /// that exists) is concerned.
    async fn put_on_record(
        &self,
        ctx: &Context,
        grounds: &Grounds,
        patient: Option<PatientId>,
        ended: Ended,
        saw: &Saw,
    ) -> Result<Receipt, Failure> {
        if UNAUDITED {
            return Ok(NO_RECEIPT);
        }
        let record = self.access_record(ctx, grounds, ended, saw)?;
        let (subject, key) = self.audit_key(patient)?;
        self.trail.record(self.actor(&ctx.caller)?, vec![Showing { subject, key, record }]).await
    }

    /// Records a query and each patient it showed, in one contribution. The receipt is the query's.
    pub(crate) async fn searched(
        &self,
        ctx: &Context,
        pass: &Pass,
        shown: &[PatientId],
        saw: &Saw,
    ) -> Result<Receipt, Failure> {
        self.searched_under(ctx, pass, self.system()?.subject, shown, saw).await
    }

    /// Records with each of these patients that what is on file of them refuses a change.
    pub(crate) async fn refused_of(
        &self,
        ctx: &Context,
        pass: &Pass,
        concerned: &BTreeSet<PatientId>,
        failure: Failure,
    ) -> Failure {
        let Failure::Refused { reason, .. } = &failure else { return failure };
        let saw = Saw::told(1, (*reason).to_owned());
        let concerned: Vec<PatientId> = concerned.iter().copied().collect();
        let recorded = async {
            let under = (self.system()?.subject, Ended::Refused);
            self.record_each(ctx, pass, under, &concerned, &saw).await
        };
        recorded.await.err().unwrap_or(failure)
    }

    /// The same, the query's record under a subject of its own.
    pub(crate) async fn searched_under(
        &self,
        ctx: &Context,
        pass: &Pass,
        subject: SubjectId,
        shown: &[PatientId],
        saw: &Saw,
    ) -> Result<Receipt, Failure> {
        self.record_each(ctx, pass, (subject, Ended::Shown), shown, saw).await
    }

    /// Records an access and each patient concerned, in one contribution.
    async fn record_each(
        &self,
        ctx: &Context,
        pass: &Pass,
        (subject, ended): (SubjectId, Ended),
        concerned: &[PatientId],
        saw: &Saw,
    ) -> Result<Receipt, Failure> {
        if UNAUDITED {
            return Ok(NO_RECEIPT);
        }
        let record = self.access_record(ctx, pass.grounds(), ended, saw)?;
        let of_each = beside_query(&record, concerned.len())?;
        let record = AccessRecord { kind: schema::AccessKind::Query, ..record };
        let mut showings = vec![Showing { subject, key: self.system()?.audit, record }];
        for patient in concerned {
            let (subject, key) = self.audit_key(Some(*patient))?;
            let record = knowing(of_each.clone(), &pass.grounds_for(*patient).facts);
            showings.push(Showing { subject, key, record });
        }
        self.trail.record(self.actor(&ctx.caller)?, showings).await
    }

    /// After a change was refused: a refusal by a rule of the file, or that there is no such file,
    /// says something about a patient, so it is recorded first.
    pub(crate) async fn refused(
        &self,
        ctx: &Context,
        pass: &Pass,
        patient: impl Into<Option<PatientId>>,
        failure: Failure,
    ) -> Failure {
        let patient = patient.into();
        let recorded = match &failure {
            Failure::NotFound => {
                self.ended(ctx, pass, patient, Ended::NotFound, &Saw::default()).await
            }
            Failure::Refused { reason, .. } => {
                let saw = Saw::told(1, (*reason).to_owned());
                self.ended(ctx, pass, patient, Ended::Refused, &saw).await
            }
            // Where a file is concerned, what is wrong may be so because of what stands there.
            Failure::Invalid(violations) if patient.is_some() => {
                let saw = Saw::told(violations.len(), faults(violations));
                self.ended(ctx, pass, patient, Ended::Refused, &saw).await
            }
            Failure::Invalid(_)
            | Failure::VersionConflict { .. }
            | Failure::Denied { .. }
            | Failure::EntryMasked { .. }
            | Failure::RequestIdReused
            | Failure::RequestAbandoned
            | Failure::NotFiled { .. }
            | Failure::OutcomeUnknown
            | Failure::Unavailable { .. }
            | Failure::CatchingUp { .. }
            | Failure::Exhausted { .. }
            | Failure::Damaged { .. }
            | Failure::Internal { .. } => return failure,
        };
        recorded.err().unwrap_or(failure)
    }

    /// What an access record keeps of an answer: comparable by us, a guess for nobody else.
    pub(crate) fn answer_digest(&self, answer: &[u8]) -> Result<Hash, Failure> {
        Ok(self.vault.digest("answer", answer)?)
    }

    /// What is filed with a request stands in the file, for those who may read that, and not in the
    /// trail.
    fn kept(&self, ctx: &Context) -> Result<Vec<u8>, Failure> {
        let files = matches!(
            ctx.operation,
            Operation::RegisterPatient
                | Operation::Contribute
                | Operation::PutPractitionerRole
                | Operation::LinkOwnFile
                | Operation::ProposePolicy
                | Operation::OpenIncident
                | Operation::AmendIncident
        );
        if !files && ctx.request.len() <= MAX_REQUEST {
            return Ok(ctx.request.clone());
        }
        Ok(self.vault.digest("request", &ctx.request)?.0.to_vec())
    }

    fn audit_key(&self, patient: Option<PatientId>) -> Result<(SubjectId, KeyId), Failure> {
        if let Some(patient) = patient {
            let subject = SubjectId(patient.0);
            let line = &self.records.line;
            // Whoever has keys counts as registered while this node does not know them all: ids are
            // random, so nobody can name one that was never given out.
            let registered =
                line.near_end().is_err() || line.store.head(line.ledger, subject)?.is_some();
            if registered && let Some(keys) = self.vault.keys_of(subject)? {
                return Ok((subject, keys.audit));
            }
        }
        let system = self.system()?;
        Ok((system.subject, system.audit))
    }

    fn access_record(
        &self,
        ctx: &Context,
        grounds: &Grounds,
        ended: Ended,
        saw: &Saw,
    ) -> Result<AccessRecord, Failure> {
        let (kind, outcome) = match ended {
            Ended::Shown => (schema::AccessKind::Shown, schema::Outcome::Shown),
            Ended::Denied => (schema::AccessKind::Denied, schema::Outcome::Denied),
            Ended::NotFound => (schema::AccessKind::Query, schema::Outcome::NotFound),
            Ended::Refused => (schema::AccessKind::Shown, schema::Outcome::Refused),
        };
        Ok(AccessRecord {
            kind,
            person: ctx.caller.person.clone(),
            service: ctx.caller.service.clone(),
            roles: ctx.caller.roles.iter().map(|role| role.name().to_owned()).collect(),
            organisation: ctx.caller.organisation.clone(),
            purpose: ctx.purpose.code().to_owned(),
            reason: ctx.reason.clone(),
            relationship: grounds.facts.relationship.clone(),
            operation: ctx.operation.name().to_owned(),
            outcome,
            request: self.kept(ctx)?,
            position: saw.position,
            trail: saw.trail,
            answered_at: saw.answered_at,
            first_version: if saw.first_version == 0 { saw.version } else { saw.first_version },
            version: saw.version,
            policy_version: grounds.decision.policies.clone(),
            deciding: grounds.decision.deciding.clone(),
            masked: saw.masked.names(),
            answer_format: ANSWER_FORMAT,
            count: saw.count,
            answer_digest: match saw.digest {
                Some(digest) => digest.0,
                None => self.answer_digest(saw.told.as_deref().unwrap_or_default().as_bytes())?.0,
            },
            told: saw.told.clone(),
            network: ctx.caller.network.clone(),
            issuer: ctx.caller.issuer.clone(),
            emergency: grounds.facts.emergency,
            circumstances: grounds.facts.circumstances(),
        })
    }
}
