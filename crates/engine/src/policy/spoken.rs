//! Which facts a set of policies speaks of: only by those its decisions differ, and are remembered.
//!
//! A nurse meets patients of many units, and every minute is another: decisions that do not ask would be
//! made anew for each.

use cedar_policy::PolicySet;
use serde_json::Value;

use crate::facts::Facts;

/// What a model calls the units, of a person and of a patient, and the time.
const UNITS: &str = "units";
const TIME: [&str; 2] = ["timeOfDay", "dayOfWeek"];

/// Which of the facts that are many a set speaks of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    pub(super) units: bool,
    pub(super) time: bool,
}

impl Spoken {
    /// Of these policies.
    pub(super) fn of(set: &PolicySet) -> Self {
        let mut spoken = Self::default();
        for policy in set.policies() {
            match policy.to_json() {
                Ok(policy) => spoken.read(&policy),
                // What cannot be looked into may speak of anything.
                Err(_) => spoken = Self { units: true, time: true },
            }
        }
        spoken
    }

    /// What a policy says, in Cedar's JSON form. An attribute is asked for by name; and who takes the whole
    /// context, to compare it or to choose among several, may speak of all that is in it.
    fn read(&mut self, policy: &Value) {
        let mut within = vec![policy];
        while let Some(value) = within.pop() {
            let Value::Object(members) = value else {
                within.extend(value.as_array().into_iter().flatten());
                continue;
            };
            for (name, member) in members {
                let attribute = match name.as_str() {
                    "." | "has" => member.get("attr").and_then(Value::as_str),
                    "Var" if member == "context" => {
                        *self = Self { units: true, time: true };
                        None
                    }
                    _ => None,
                };
                self.units |= attribute == Some(UNITS);
                self.time |= attribute.is_some_and(|attribute| TIME.contains(&attribute));
                let of_context = member.pointer("/left/Var").is_some_and(|left| left == "context");
                if attribute.is_none() || !of_context {
                    within.push(member);
                }
            }
        }
    }

    /// The facts without those that it does not speak of.
    pub(super) fn among(self, facts: &Facts) -> Facts {
        let mut among = facts.clone();
        if !self.units {
            among.staff_units.clear();
            among.units.clear();
        }
        if !self.time {
            among.time = None;
        }
        among
    }
}
