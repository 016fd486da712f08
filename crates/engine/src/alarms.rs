//! What an operator must know, kept until it is over.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use journal::ConnectionState;
use ledger::LedgerId;
use store::SetAside;

use crate::answers::Alarm;
use crate::clock::Clock;
use crate::engine::Engine;

/// How long one stays that tells of what people did, and is not over by itself, in µs: long enough for an
/// operator who was called. The trail keeps it.
const HOUR: u64 = 60 * 60 * 1_000_000;

/// How long after it was last raised an alarm is over of which nobody says when it is.
fn lasts(code: &str) -> Option<u64> {
    ["DENIALS_FLOOD", "KEYS_MISSING"].contains(&code).then_some(HOUR)
}

/// The node's alarms: one a code and ledger, counted when it repeats.
#[derive(Debug)]
pub(crate) struct Alarms {
    clock: Clock,
    raised: Mutex<BTreeMap<(&'static str, Option<LedgerId>), Alarm>>,
}

impl Alarms {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, raised: Mutex::default() }
    }

    /// Raises an alarm, or counts it again with the newer text.
    pub(crate) fn raise(&self, code: &'static str, ledger: Option<LedgerId>, text: String) {
        tracing::error!(code, ledger = ledger.map(tracing::field::display), "{text}");
        let at = self.clock.now();
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let alarm = raised.entry((code, ledger)).or_insert_with(|| Alarm {
            code,
            ledger,
            text: String::new(),
            at,
            count: 0,
        });
        alarm.text = text;
        alarm.at = at;
        alarm.count += 1;
    }

    /// Raises an alarm, unless it stands with this very text.
    pub(crate) fn keep(&self, code: &'static str, ledger: Option<LedgerId>, text: String) {
        let stands = {
            let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
            raised.get(&(code, ledger)).is_some_and(|alarm| alarm.text == text)
        };
        if !stands {
            self.raise(code, ledger, text);
        }
    }

    /// Whether it is raised.
    pub(crate) fn is_raised(&self, code: &'static str, ledger: Option<LedgerId>) -> bool {
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        raised.contains_key(&(code, ledger))
    }

    /// Takes an alarm back, when what it named is over.
    pub(crate) fn clear(&self, code: &'static str, ledger: Option<LedgerId>) {
        let gone = self
            .raised
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&(code, ledger))
            .is_some();
        if gone {
            tracing::info!(code, ledger = ledger.map(tracing::field::display), "alarm over");
        }
    }

    /// All of them, newest first.
    pub(crate) fn list(&self) -> Vec<Alarm> {
        let now = self.clock.now();
        let mut raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        raised.retain(|(code, _), alarm| {
            lasts(code).is_none_or(|lasts| now < alarm.at.saturating_add(lasts))
        });
        let mut alarms: Vec<Alarm> = raised.values().cloned().collect();
        alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.at));
        alarms
    }
}

impl Engine {
    /// Whether the broker is connected; keeps the alarm that it is not, as long as it is so.
    pub(crate) fn tell_broker(&self) -> bool {
        let connected = *self.journal.state().borrow() == ConnectionState::Connected;
        if connected {
            self.alarms.clear("BROKER_AWAY", None);
        } else {
            let text = "the broker is not connected: nothing is filed, and what is read is recorded in the spool, \
                        which is bounded, and forwarded later. Start it, or look at the network between; this \
                        node connects again by itself";
            self.alarms.keep("BROKER_AWAY", None, text.to_owned());
        }
        connected
    }
}

/// What is to be done with a database that was set aside, and comes again from elsewhere.
const LOOKED_AT: &str = "to be looked at and removed";

/// A database that had to be begun anew is an alarm, until the node is started once more.
pub(crate) fn tell_set_aside(SetAside { name, kept, why }: &SetAside, alarms: &Alarms) {
    let (code, until, anew) = match *name {
        "keys" => (
            "KEYS_SET_ASIDE",
            // Somebody may have deleted entries of the bucket before.
            "to be removed only when no file lacks its key (stop the node and run `caseledgerd fsck`): \
             what the bucket has lost is nowhere else",
            "its keys come again from the bucket of keys",
        ),
        "spool" => {
            ("SPOOL_SET_ASIDE", LOOKED_AT, "SPOOL_DROPPED tells whether access records were lost")
        }
        "position" => ("POSITION_LOST", LOOKED_AT, "it is written anew; find out who removed it"),
        _ => ("DATABASE_SET_ASIDE", LOOKED_AT, "it is made anew from the stream"),
    };
    let place = kept.as_ref().map_or_else(
        || "nothing is left of it".to_owned(),
        |kept| format!("it is kept in {}, {until}", kept.display()),
    );
    alarms.raise(code, None, format!("{name}: {why}; {place}; {anew}"));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn a_flood_is_over_an_hour_after_its_last_and_what_is_damaged_stays() {
        let time = Arc::new(AtomicU64::new(7));
        let alarms = Alarms::new(Clock::new({
            let time = Arc::clone(&time);
            move || time.load(Ordering::Relaxed)
        }));
        alarms.raise("DATABASE_DAMAGED", None, "a row".to_owned());
        for at in [7, HOUR] {
            time.store(at, Ordering::Relaxed);
            alarms.raise("DENIALS_FLOOD", Some(LedgerId::ACCESS), "61 calls".to_owned());
        }
        let told =
            || alarms.list().iter().map(|alarm| (alarm.code, alarm.count)).collect::<Vec<_>>();
        time.store(2 * HOUR - 1, Ordering::Relaxed);
        assert_eq!(told(), [("DENIALS_FLOOD", 2), ("DATABASE_DAMAGED", 1)]);
        time.store(2 * HOUR, Ordering::Relaxed);
        assert_eq!(told(), [("DATABASE_DAMAGED", 1)]);
        alarms.raise("DENIALS_FLOOD", Some(LedgerId::ACCESS), "61 calls".to_owned());
        assert_eq!(told(), [("DENIALS_FLOOD", 1), ("DATABASE_DAMAGED", 1)], "another flood");
    }
    #[test]
    fn keys_set_aside_may_be_the_only_ones_and_are_not_told_to_be_just_removed() {
        let alarms = Alarms::new(Clock::system());
        for name in ["keys", "ledger"] {
            let (kept, why) = (Some("/data/damaged-1".into()), "a row".to_owned());
            tell_set_aside(&SetAside { name, kept, why }, &alarms);
        }
        let told = |code| alarms.list().into_iter().find(|alarm| alarm.code == code).unwrap().text;
        let keys = told("KEYS_SET_ASIDE");
        assert!(
            keys.contains("/data/damaged-1, to be removed only when no file lacks its key"),
            "{keys}"
        );
        assert!(!keys.contains("looked at and removed"), "{keys}");
        let ledger = told("DATABASE_SET_ASIDE");
        assert!(ledger.contains("/data/damaged-1, to be looked at and removed"), "{ledger}");
    }
}
