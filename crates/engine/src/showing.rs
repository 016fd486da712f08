//! From a call to its access record.

use std::collections::BTreeSet;

use domain::{Command, PatientId};
use ledger::{Hash, KeyId, SubjectId};
use schema::AccessRecord;

use crate::access::{Barred, Grounds, Pass, check};
use crate::context::{Context, Operation};
use crate::denials::{A_MINUTE, Beyond};
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

impl Engine {
    /// The access check; a denial is on record before the caller hears of it.
    pub(crate) async fn admit(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
    ) -> Result<Pass, Failure> {
        self.admit_changes(ctx, patient, &[]).await
    }

    /// The same of a call that is to file these changes.
    pub(crate) async fn admit_changes(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
        changes: &[Command],
    ) -> Result<Pass, Failure> {
        if ctx.operation.goes_first() {
            self.turns.others_work();
        }
        let barred = match self.judge(ctx, patient, changes)? {
            Ok(pass) => return Ok(pass),
            Err(barred) => barred,
        };
        let Barred { grounds, reason, break_glass, hidden } = barred;
        // The limit would tell a patient who is hidden from one who does not exist.
        if !hidden {
            self.another_denial(ctx)?;
        }
        self.put_on_record(ctx, &grounds, patient, Ended::Denied, &Saw::default()).await?;
        if hidden {
            return Err(Failure::NotFound);
        }
        Err(Failure::Denied { reason, break_glass })
    }

    /// The same where whoever is denied hears something of the patient all the same: it is on record
    /// however often they were denied.
    pub(crate) async fn admit_or_record(
        &self,
        ctx: &Context,
        patient: PatientId,
    ) -> Result<Option<Pass>, Failure> {
        let barred = match self.judge(ctx, Some(patient), &[])? {
            Ok(pass) => return Ok(Some(pass)),
            Err(barred) => barred,
        };
        let (denied, saw) = (Ended::Denied, Saw::default());
        self.put_on_record(ctx, &barred.grounds, Some(patient), denied, &saw).await?;
        Ok(None)
    }

    /// The access check alone: nothing of it is on record yet.
    fn judge(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
        changes: &[Command],
    ) -> Result<Result<Pass, Barred>, Failure> {
        // Whoever may not anyhow is denied, and does not hear that something is damaged or not here yet.
        let known = self.facts_of_version(ctx, patient, changes);
        let ((facts, version), unknown) = match known {
            Ok(known) => (known, None),
            Err(failure) => ((Facts::default(), 0), Some(failure)),
        };
        let policies = self.policies_for(ctx.operation)?;
        let now = || self.in_force.time_zone.local(self.now());
        let facts = Facts { time: policies.speak_of_time().then(now), ..facts };
        match (check(&policies, ctx, facts)?, unknown) {
            // How a node is, is asked when something is wrong, and shows nobody.
            (Ok(_), Some(failure)) if ctx.operation != Operation::GetNodeStatus => Err(failure),
            // Whether the glass is broken is not known, so nobody is told that it is not.
            (Err(barred), Some(failure)) if barred.reason == Failure::GLASS_NOT_BROKEN => {
                Err(failure)
            }
            (checked, _) => Ok(checked.map(|pass| pass.on(version))),
        }
    }

    /// The pass for changes of a file that is at this version by now: what was filed since it was given
    /// may be what keeps its holder out. None: they are to be admitted anew.
    pub(crate) fn still_admitted(
        &self,
        ctx: &Context,
        (patient, version): (PatientId, u64),
        changes: &[Command],
        pass: &Pass,
    ) -> Result<Option<Pass>, Failure> {
        if version <= pass.version() {
            return Ok(Some(pass.clone()));
        }
        let judged = self.judge(ctx, Some(patient), changes)?;
        Ok(judged.ok().filter(|pass| pass.version() >= version))
    }

    /// What is known of the caller and the patient, and a version of the file that it is of, or older.
    fn facts_of_version(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
        changes: &[Command],
    ) -> Result<(Facts, u64), Failure> {
        // Before the facts are looked up.
        let version = patient.map_or(Ok(0), |patient| self.version_of(patient))?;
        Ok((self.facts(ctx, patient, changes)?, version))
    }

    /// The access check on what a file says at this version or later.
    pub(crate) async fn admit_on(
        &self,
        ctx: &Context,
        patient: PatientId,
        version: u64,
    ) -> Result<Pass, Failure> {
        self.admit_changes_on(ctx, (patient, version), &[]).await
    }

    /// The same of a call that is to file these changes.
    pub(crate) async fn admit_changes_on(
        &self,
        ctx: &Context,
        (patient, version): (PatientId, u64),
        changes: &[Command],
    ) -> Result<Pass, Failure> {
        // What is read of a file is there a moment before its head is told.
        self.moved(patient, version, &mut self.records.line.follow_progress()).await?;
        self.admit_changes(ctx, Some(patient), changes).await
    }

    /// A change of entries that its caller may not see is denied, and that is on record as any denial.
    pub(crate) async fn deny_change(
        &self,
        ctx: &Context,
        patient: PatientId,
        grounds: &Grounds,
        masked: Masked,
    ) -> Failure {
        if let Err(failure) = self.another_denial(ctx) {
            return failure;
        }
        let saw = Saw { masked, ..Saw::default() };
        let recorded = self.put_on_record(ctx, grounds, Some(patient), Ended::Denied, &saw).await;
        let break_glass = grounds.decision.break_glass;
        recorded.err().unwrap_or(Failure::EntryMasked { break_glass })
    }

    /// Whoever is denied again and again is not recorded each time.
    fn another_denial(&self, ctx: &Context) -> Result<(), Failure> {
        let caller = self.actor(&ctx.caller)?;
        let Err(Beyond { denied, over }) = self.denials.one_more(caller) else { return Ok(()) };
        let text = format!(
            "{denied} calls of one caller, actor {caller}, were denied within a minute, and perhaps more \
             since (told at 61, 62, 64, 68 and so on); those beyond {A_MINUTE} are not recorded. The ones \
             before are in the audit trail: see who it is, and whether their token was stolen"
        );
        // The log, too, does not grow with every try.
        if (denied - A_MINUTE).is_power_of_two() {
            self.alarms.raise("DENIALS_FLOOD", Some(self.access.line.ledger), text);
        }
        Err(Failure::Exhausted {
            retry_after: over,
            limit: "the limit of 60 denials of one caller within a minute",
        })
    }

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
        self.put_on_record(ctx, pass.grounds(), patient, ended, saw).await
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
            showings.push(Showing { subject, key, record: of_each.clone() });
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
