//! Who asks, and what the policies say to them.

use std::sync::Arc;

use super::asked::{Asked, Asker, What};
use super::{Decision, Policies};
use crate::Failure;
use crate::context::{Context, Operation};
use crate::facts::Facts;
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

    fn decide(&self, what: What) -> Result<Arc<Decision>, Failure> {
        self.policies.decided(Asked { asker: Arc::clone(&self.asker), what })
    }
}
