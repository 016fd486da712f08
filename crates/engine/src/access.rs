//! May they? The access check's pass is the only key to what is on file, and both a pass used and a
//! pass refused leave an access record (invariant 7).

use std::sync::Arc;

use store::Store;

use crate::Failure;
use crate::context::Context;
use crate::policy::{Decision, Policies};

/// Proof that the access check said yes. Only this module makes one.
#[derive(Debug)]
pub(crate) struct Pass(());

/// The access check: a pass, or the decision that refuses it.
pub(crate) fn check(
    policies: &Policies,
    ctx: &Context,
) -> Result<Result<Pass, Arc<Decision>>, Failure> {
    let decision = policies.decide(ctx)?;
    Ok(if decision.allowed { Ok(Pass(())) } else { Err(decision) })
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
