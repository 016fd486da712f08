//! Denials of one caller, bounded: nobody fills the ledger by asking again and again for what they may
//! not have.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ledger::ActorId;

use crate::clock::Clock;

/// Denials of one caller within a minute that are put on record. A person who tries sixty doors in a
/// minute is not one who chose the wrong purpose.
pub(crate) const A_MINUTE: u64 = 60;
/// What they are counted over, µs.
const MINUTE: u64 = 60_000_000;
/// Callers remembered before those of whom a minute has passed are forgotten.
const MANY: usize = 1_024;

/// One caller's denials since a moment.
#[derive(Debug)]
struct Since {
    began: u64,
    denied: u64,
}

/// Denials that are beyond what goes on record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Beyond {
    /// Denials of this caller within the minute, those on record included.
    pub(crate) denied: u64,
    /// When the minute is over.
    pub(crate) over: Duration,
}

/// What was denied lately, by caller.
#[derive(Debug)]
pub(crate) struct Denials {
    clock: Clock,
    callers: Mutex<HashMap<ActorId, Since>>,
}

impl Denials {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, callers: Mutex::default() }
    }

    /// Counts a denial.
    ///
    /// # Errors
    /// It is beyond those that go on record.
    pub(crate) fn one_more(&self, caller: ActorId) -> Result<(), Beyond> {
        let now = self.clock.now();
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= MANY {
            callers.retain(|_, since| now < since.began + MINUTE);
        }
        let since = callers.entry(caller).or_insert(Since { began: now, denied: 0 });
        if now >= since.began + MINUTE {
            *since = Since { began: now, denied: 0 };
        }
        since.denied += 1;
        if since.denied <= A_MINUTE {
            return Ok(());
        }
        let over = Duration::from_micros((since.began + MINUTE).saturating_sub(now));
        Err(Beyond { denied: since.denied, over })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn sixty_denials_a_minute_go_on_record_and_the_rest_are_counted() {
        let time = Arc::new(AtomicU64::new(5));
        let denials = Denials::new(Clock::new({
            let time = Arc::clone(&time);
            move || time.load(Ordering::Relaxed)
        }));
        let (one, other) = (ActorId([1; 16]), ActorId([2; 16]));
        assert!((0..A_MINUTE).all(|_| denials.one_more(one).is_ok()));
        time.store(5 + MINUTE - 1_000_000, Ordering::Relaxed);
        let beyond = Beyond { denied: A_MINUTE + 1, over: Duration::from_secs(1) };
        assert_eq!(denials.one_more(one), Err(beyond));
        assert_eq!(denials.one_more(other), Ok(()), "others are not concerned");
        time.store(5 + MINUTE, Ordering::Relaxed);
        assert_eq!(denials.one_more(one), Ok(()), "another minute");
    }
}
