//! Access decisions by the shipped policies, in this process: of somebody who was decided on before, and
//! of somebody new each time.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use engine::{Context, Facts, Operation, Policies, Purpose, Role};

use super::{ANEW, DECISION, DECISIONS, REMEMBERED};
use crate::load::{Caller, closed};
use crate::session::{Session, say};
use crate::usage::Meter;

/// A nurse who opens files.
struct Nurse {
    policies: Arc<Policies>,
    asked: Context,
    /// Another person each time.
    others: bool,
    number: u64,
}

impl Caller for Nurse {
    async fn call(&mut self) -> anyhow::Result<u64> {
        if self.others {
            self.number += 1;
            self.asked.caller.person = Some(format!("nurse-{}", self.number));
        }
        let decision = self.policies.decide(&self.asked, &Facts::default())?;
        anyhow::ensure!(decision.allowed, "nurses read files");
        Ok(1)
    }
}

/// Caseledger's.
///
/// # Errors
/// When the policies are not what they should be.
pub(crate) async fn caseledger(session: &mut Session) -> anyhow::Result<()> {
    let policies = Arc::new(Policies::shipped()?);
    let meter = Meter(vec![Meter::callers()]);
    for (load, others) in [(REMEMBERED, false), (ANEW, true)] {
        say(&format!("  access decisions, {load}"));
        let asked = Context {
            caller: engine::Caller {
                person: Some("nurse".to_owned()),
                service: "console".to_owned(),
                roles: vec![Role::Nurse],
                organisation: "hospital".to_owned(),
                network: None,
                issuer: None,
            },
            purpose: Purpose::parse("CAREMGT").context("a purpose")?,
            reason: None,
            operation: Operation::GetPatientFile,
            request: Vec::new(),
            patience: Duration::ZERO,
        };
        let nurse = Nurse { policies: Arc::clone(&policies), asked, others, number: 0 };
        let measured = closed(vec![nurse], session.plan.window, &meter).await?;
        session.report.add(DECISIONS, "decisions", DECISION, load, measured);
    }
    Ok(())
}
