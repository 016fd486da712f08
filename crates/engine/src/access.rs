//! May they? The access check's pass is the only key to what is on file, and both a pass used and a
//! pass refused leave an access record (invariant 7).

use std::borrow::Cow;
use std::sync::Arc;

use domain::{EntryId, PatientId};
use store::Store;

use crate::Failure;
use crate::context::{Context, Operation};
use crate::emergencies::EmergencyId;
use crate::facts::Facts;
use crate::masking::{Class, Masked};
use crate::policy::{Decision, Policies, Requester};

/// What the access check knew, and what it decided: the access record tells both.
#[derive(Clone, Debug)]
pub(crate) struct Grounds {
    pub(crate) facts: Facts,
    pub(crate) decision: Arc<Decision>,
}

/// Proof that the access check said yes, with the grounds. Only this module makes one.
#[derive(Clone, Debug)]
pub(crate) struct Pass {
    grounds: Grounds,
    requester: Requester,
    /// Whom the grounds are about; none: nobody.
    patient: Option<PatientId>,
    /// The version of the patient's file that the facts are of, or an earlier one.
    version: u64,
}

impl Pass {
    /// What it was given on.
    pub(crate) const fn grounds(&self) -> &Grounds {
        &self.grounds
    }

    /// What the trail of this patient may say of them: of anybody else than the grounds are about, only what
    /// is known of the caller.
    pub(crate) fn grounds_for(&self, patient: PatientId) -> Cow<'_, Grounds> {
        if self.patient == Some(patient) {
            return Cow::Borrowed(&self.grounds);
        }
        let Grounds { facts, decision } = &self.grounds;
        Cow::Owned(Grounds { facts: facts.of_nobody(), decision: Arc::clone(decision) })
    }

    /// The same, on facts of this patient, by this version of the file or a later one.
    pub(crate) fn on(self, patient: Option<PatientId>, version: u64) -> Self {
        Self { patient, version, ..self }
    }

    /// The version of the patient's file that it was given on, or an earlier one.
    pub(crate) const fn version(&self) -> u64 {
        self.version
    }

    /// Of these classes of entries those that its holder may not see by the policies.
    pub(crate) fn masked<'a>(
        &self,
        classes: impl IntoIterator<Item = &'a Class>,
    ) -> Result<Masked, Failure> {
        self.requester.masked(classes)
    }

    /// Of these entries, each with a class of its, what its holder may not see.
    pub(crate) fn masked_among<'a>(
        &self,
        entries: impl Iterator<Item = (EntryId, &'a Class)> + Clone,
    ) -> Result<Masked, Failure> {
        self.requester.masked_among(entries)
    }

    /// The entry that the glass is broken for alone; none: the policies open what is open.
    pub(crate) const fn alone(&self) -> Option<EntryId> {
        self.grounds.facts.alone
    }

    /// Of these classes all that its holder may not see, and the grounds for the first of them; none if
    /// they may see them all.
    pub(crate) fn hidden<'a>(
        &self,
        classes: impl IntoIterator<Item = &'a Class>,
    ) -> Result<Option<(Masked, Grounds)>, Failure> {
        let (mut hidden, mut first) = (Vec::new(), None);
        for class in classes {
            let decision = self.requester.may_see(class)?;
            if !decision.allowed {
                hidden.push(class);
                first.get_or_insert(decision);
            }
        }
        let facts = self.grounds.facts.clone();
        Ok(first.map(|decision| (Masked::of(hidden), Grounds { facts, decision })))
    }

    /// The same, of what begins or ends this emergency access: its record names it.
    pub(crate) fn in_emergency(mut self, id: EmergencyId) -> Self {
        self.grounds.facts.emergency = Some(id);
        self
    }
}

impl Context {
    /// The same, without the request's bytes: what the access check looks at.
    pub(crate) fn asker(&self) -> Self {
        Self {
            caller: self.caller.clone(),
            purpose: self.purpose.clone(),
            reason: self.reason.clone(),
            operation: self.operation,
            request: Vec::new(),
            patience: self.patience,
        }
    }
}

/// A refusal: the grounds, and its stable code.
#[derive(Clone, Debug)]
pub(crate) struct Barred {
    pub(crate) grounds: Grounds,
    pub(crate) reason: &'static str,
    /// What breaking the glass would do, as the caller may know it.
    pub(crate) break_glass: bool,
    /// The caller may not even know that there is such a patient: what they hear is that there is none.
    pub(crate) hidden: bool,
}

/// What stands for a policy's id where the glass is not broken: no policy can do without.
const GLASS_NOT_BROKEN: &str = "glass-not-broken";

/// The access check: a pass, or the grounds on which it is refused. What policies permit for an
/// emergency (BTG), they permit to whoever broke the glass.
pub(crate) fn check(
    policies: &Arc<Policies>,
    ctx: &Context,
    facts: Facts,
) -> Result<Result<Pass, Barred>, Failure> {
    let requester = Requester::new(policies, ctx, &facts);
    let decision = requester.may_call(ctx.operation)?;
    if !decision.allowed {
        let nobody = match decision.break_glass {
            true => None,
            false => about_nobody(&requester, policies, ctx, &facts)?,
        };
        // Of who may not know the patient, no more is said than of nobody's file.
        let told = nobody.as_ref().unwrap_or(&decision);
        let (hidden, break_glass) = (told.allowed, told.break_glass);
        let reason = if told.deciding.is_empty() { "NOT_PERMITTED" } else { "FORBIDDEN" };
        let grounds = Grounds { facts, decision };
        return Ok(Err(Barred { grounds, reason, break_glass, hidden }));
    }
    if ctx.needs_broken_glass() && facts.emergency.is_none() {
        let deciding = vec![GLASS_NOT_BROKEN.to_owned()];
        let policies = decision.policies.clone();
        let break_glass = ctx.operation.can_be_covered();
        let decision = Decision { allowed: false, deciding, break_glass, policies };
        let grounds = Grounds { facts, decision: Arc::new(decision) };
        let reason = Failure::GLASS_NOT_BROKEN;
        return Ok(Err(Barred { grounds, reason, break_glass, hidden: false }));
    }
    Ok(Ok(Pass { grounds: Grounds { facts, decision }, requester, patient: None, version: 0 }))
}

/// How the same call would be decided if it were about nobody, where a denial would tell something of a
/// patient to somebody who may not know that there is one: finding this patient by a number is denied, too.
/// Whose file it is knows anyway.
fn about_nobody(
    requester: &Requester,
    policies: &Arc<Policies>,
    ctx: &Context,
    facts: &Facts,
) -> Result<Option<Arc<Decision>>, Failure> {
    let nobody = facts.of_nobody();
    if facts.own_file || *facts == nobody || requester.may_call(Operation::FindPatient)?.allowed {
        return Ok(None);
    }
    let decision = Requester::new(policies, ctx, &nobody).may_call(ctx.operation)?;
    // What whoever is let in hears otherwise than by NOT_FOUND, NOT_FOUND would not hide.
    Ok(Some(decision).filter(|told| !told.allowed || ctx.operation.looks_for_a_patient()))
}

/// Whether any of these facts would let the caller in, or leave it to an emergency access: where it is not
/// known which hold, nobody is told that they may not.
pub(crate) fn might_pass(
    policies: &Arc<Policies>,
    ctx: &Context,
    possible: impl IntoIterator<Item = Facts>,
) -> Result<bool, Failure> {
    for facts in possible {
        match check(policies, ctx, facts)? {
            Err(barred) if barred.reason != Failure::GLASS_NOT_BROKEN || !barred.break_glass => {}
            Ok(_) | Err(_) => return Ok(true),
        }
    }
    Ok(false)
}

/// What is on file, behind the access check.
#[derive(Clone, Debug)]
pub(crate) struct Shelf(Arc<Store>);

impl Shelf {
    pub(crate) const fn new(store: Arc<Store>) -> Self {
        Self(store)
    }

    /// For reading what will be shown, and recorded before it is.
    pub(crate) fn open(&self, _pass: &Pass) -> &Store {
        &self.0
    }

    /// For deciding on a change: nothing read this way may reach an answer.
    pub(crate) fn never_to_be_shown(&self) -> &Arc<Store> {
        &self.0
    }
}
