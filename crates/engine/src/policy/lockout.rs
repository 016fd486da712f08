//! No set of policies may shut out those who could replace it.

use std::time::Duration;

use ledger::SubjectId;

use super::asked::{Asked, Asker, What};
use super::{Arc, Policies};
use crate::Failure;
use crate::clock::random;
use crate::context::{Caller, Context, Operation, Purpose, Role};
use crate::facts::Facts;
use crate::local_time::LocalTime;

/// What compliance officers can do under any set: replace it, and see who was shown what.
const KEPT: [Operation; 4] = [
    Operation::ProposePolicy,
    Operation::GetPolicy,
    Operation::AdoptPolicy,
    Operation::ListAccesses,
];

impl Policies {
    /// Refuses a set under which no compliance officer of the caller's organisation, at the caller's
    /// service, could replace it. It takes two, and people come and go: so whoever they are, and wherever they
    /// work. A set that speaks of the time of day may close to them at times, for what is wrong with it can be
    /// put right at others; it has to be open at noon on some day of the week. (To try every hour of a week
    /// for every purpose took sets like the shipped one seconds.)
    pub(crate) fn keep_the_door_open(&self, caller: &Caller) -> Result<(), Failure> {
        let officer = Caller {
            // A set cannot name whom it lets in.
            person: Some(SubjectId(random()?).to_string()),
            roles: vec![Role::ComplianceOfficer],
            ..caller.clone()
        };
        // In the staff directory or not, and whatever else is known of who works there.
        let listed = Facts {
            employed: Some(true),
            staff_units: [SubjectId(random()?).to_string()].into(),
            ..Facts::default()
        };
        let known = [Facts::default(), listed];
        let open = |operation: &Operation| {
            known.iter().all(|facts| self.open_to(&officer, *operation, facts))
        };
        let shut: Vec<_> = KEPT.into_iter().filter(|operation| !open(operation)).collect();
        if shut.is_empty() {
            return Ok(());
        }
        let shut: Vec<_> = shut.into_iter().map(Operation::name).collect();
        let message = format!(
            "under these policies a compliance officer could not call {} for any purpose, whoever they \
             are{}: nobody could replace them again",
            shut.join(", "),
            if self.spoken.time { ", at noon on any day of the week" } else { "" }
        );
        Err(Failure::refused("POLICY_LOCKS_OUT", message))
    }

    /// Whether there is a purpose, and a day, for which they may, of whom this is known.
    fn open_to(&self, caller: &Caller, operation: Operation, facts: &Facts) -> bool {
        let times: Vec<_> =
            if self.spoken.time { LocalTime::noons().map(Some).to_vec() } else { vec![None] };
        // In an emergency nobody governs: an emergency access is to a patient's file, or a unit's.
        let usual = |purpose: &Purpose| !operation.needs_broken_glass(purpose.code());
        Purpose::CODES.into_iter().filter_map(Purpose::parse).filter(usual).any(|purpose| {
            let asking = Context {
                caller: caller.clone(),
                purpose,
                reason: Some("to replace the policies".to_owned()),
                operation,
                request: Vec::new(),
                patience: Duration::ZERO,
            };
            times.iter().any(|time| {
                let facts = Facts { time: *time, ..facts.clone() };
                let asker = Arc::new(Asker::of(&asking, &facts, self.spoken));
                // What cannot be evaluated lets nobody in.
                self.ask(&Asked { asker, what: What::Call(operation) }).is_ok_and(|(may, _)| may)
            })
        })
    }
}
