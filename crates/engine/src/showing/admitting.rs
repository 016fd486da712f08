//! The access check of a call, and how a denial is put on record.

use domain::{Command, PatientId};

use super::{Ended, NOT_OPENED, Saw};
use crate::Failure;
use crate::access::{Barred, Grounds, Pass, check, might_pass};
use crate::context::{Context, Operation};
use crate::denials::{A_MINUTE, Beyond};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::masking::Masked;

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
        let barred = match self.judged(ctx, patient, changes).await? {
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
        let barred = match self.judged(ctx, Some(patient), &[]).await? {
            Ok(pass) => return Ok(Some(pass)),
            Err(barred) => barred,
        };
        let (denied, saw) = (Ended::Denied, Saw::default());
        self.put_on_record(ctx, &barred.grounds, Some(patient), denied, &saw).await?;
        Ok(None)
    }

    /// Lets a caller in, to a patient's file or to what is about none, as soon as this node has at least so
    /// many records.
    pub(crate) async fn admit_once_reached(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
        at_least: Option<u64>,
    ) -> Result<Pass, Failure> {
        let judged = self.judged(ctx, patient, &[]).await?;
        // Whoever may not know of a patient waits as for nobody's file.
        if judged.as_ref().err().is_none_or(|barred| barred.hidden) {
            self.records.line.near_end()?;
            let waited = self.reached(at_least, ctx.patience).await?;
            if !waited && let Ok(pass) = judged {
                return Ok(pass);
            }
        }
        // What was filed meanwhile may be what keeps the caller out.
        self.admit(ctx, patient).await
    }

    /// The access check. Where a file cannot be read, whoever is not let in without it hears that it is there:
    /// that counts as a denial, and is on record.
    async fn judged(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
        changes: &[Command],
    ) -> Result<Result<Pass, Barred>, Failure> {
        let failure = match self.judge(ctx, patient, changes) {
            Err(failure) if patient.is_some() => failure,
            judged => return judged,
        };
        // What is not known of the caller either tells nothing of the file.
        let Ok(facts) = self.facts(ctx, None, &[]) else { return Err(failure) };
        let policies = self.policies_for(ctx.operation)?;
        let time = policies.speak_of_time().then(|| self.in_force.time_zone.local(self.now()));
        if let Err(Barred { grounds, .. }) = check(&policies, ctx, Facts { time, ..facts })? {
            self.another_denial(ctx)?;
            let saw = Saw::told(1, NOT_OPENED.to_owned());
            self.put_on_record(ctx, &grounds, patient, Ended::Refused, &saw).await?;
        }
        Err(failure)
    }

    /// The access check alone: nothing of it is on record yet.
    pub(crate) fn judge(
        &self,
        ctx: &Context,
        patient: Option<PatientId>,
        changes: &[Command],
    ) -> Result<Result<Pass, Barred>, Failure> {
        if ctx.operation.goes_first() {
            self.turns.others_work();
        }
        // Whoever may not anyhow is denied, and does not hear that something is damaged or not here yet.
        let known = self.facts_of_version(ctx, patient, changes);
        let ((facts, version), unknown) = match known {
            Ok(known) => (known, None),
            Err(failure) => ((Facts::default(), 0), Some(failure)),
        };
        let policies = self.policies_for(ctx.operation)?;
        let time = policies.speak_of_time().then(|| self.in_force.time_zone.local(self.now()));
        if let Some(failure) = unknown
            // How a node is, is asked when something is wrong, and shows nobody.
            && ctx.operation != Operation::GetNodeStatus
            && might_pass(&policies, ctx, Facts::possible(patient.is_some(), time))?
        {
            return Err(failure);
        }
        let checked = check(&policies, ctx, Facts { time, ..facts })?;
        Ok(checked.map(|pass| pass.on(patient, version)))
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
        let break_glass = grounds.decision.break_glass && ctx.operation.can_be_covered();
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
}
