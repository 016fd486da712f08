//! Who asks, and what the policies say to them.

use std::collections::BTreeSet;
use std::sync::Arc;

use domain::EntryId;
use schema::AccessRecord;

use super::asked::{Asked, Asker, What};
use super::{Decision, Policies};
use crate::Failure;
use crate::context::{Context, Operation};
use crate::facts::Facts;
use crate::local_time::LocalTime;
use crate::masking::{Class, Masked};

/// A caller with a purpose, before the policies that are in force when the call is made: all of it is
/// decided by the same.
#[derive(Clone, Debug)]
pub(crate) struct Requester {
    policies: Arc<Policies>,
    asker: Arc<Asker>,
}

impl Requester {
    pub(crate) fn new(policies: &Arc<Policies>, ctx: &Context, facts: &Facts) -> Self {
        Self {
            policies: Arc::clone(policies),
            asker: Arc::new(Asker::of(ctx, facts, policies.spoken)),
        }
    }

    /// Who made a call that is on the trail, before these policies; none if its record says what this
    /// version does not know. The time is that when it was recorded where the record does not say when it
    /// was decided.
    pub(crate) fn recorded(
        policies: &Arc<Policies>,
        record: &AccessRecord,
        recorded: impl FnOnce() -> LocalTime,
    ) -> Option<Self> {
        let mut facts = Facts::recorded(record);
        if policies.spoken.time {
            facts.time = Some(facts.time.unwrap_or_else(recorded));
        }
        let asker = Arc::new(Asker::recorded(record, &facts, policies.spoken)?);
        Some(Self { policies: Arc::clone(policies), asker })
    }

    /// May they make this call?
    pub(crate) fn may_call(&self, operation: Operation) -> Result<Arc<Decision>, Failure> {
        self.decide(What::Call(operation))
    }

    /// May they see entries of this class, in whatever answer?
    pub(crate) fn may_see(&self, class: &Class) -> Result<Arc<Decision>, Failure> {
        self.decide(What::Entry(class.clone()))
    }

    /// Of these classes those that they may not see.
    pub(crate) fn masked<'a>(
        &self,
        classes: impl IntoIterator<Item = &'a Class>,
    ) -> Result<Masked, Failure> {
        let mut masked = Vec::new();
        for class in classes {
            if !self.may_see(class)?.allowed {
                masked.push(class);
            }
        }
        Ok(Masked::of(masked))
    }

    /// Of these entries, each with a class of its, what they may not see: by the policies, and for the
    /// glass is broken for one of them alone.
    pub(crate) fn masked_among<'a>(
        &self,
        entries: impl Iterator<Item = (EntryId, &'a Class)> + Clone,
    ) -> Result<Masked, Failure> {
        let classes: BTreeSet<_> = entries.clone().map(|(_, class)| class).collect();
        let masked = self.masked(classes)?;
        Ok(match self.asker.alone() {
            Some(alone) => masked.all_but(alone, entries),
            None => masked,
        })
    }

    fn decide(&self, what: What) -> Result<Arc<Decision>, Failure> {
        self.policies.decided(Asked { asker: Arc::clone(&self.asker), what })
    }
}
