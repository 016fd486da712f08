//! What an operator must know, kept until it is over.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ledger::LedgerId;

use crate::answers::Alarm;
use crate::clock::Clock;

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
        let raised = self.raised.lock().unwrap_or_else(PoisonError::into_inner);
        let mut alarms: Vec<Alarm> = raised.values().cloned().collect();
        alarms.sort_by_key(|alarm| std::cmp::Reverse(alarm.at));
        alarms
    }
}
