//! Time and identifiers, handed in at the start so that tests decide them.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use ledger::RecordId;

/// The node's clock: µs since 1970 UTC.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that reads `now`.
    pub fn new(now: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The operating system's clock.
    #[must_use]
    pub fn system() -> Self {
        Self::new(|| {
            let now = std::time::SystemTime::now();
            let since = now.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
        })
    }

    /// A clock that nobody sets: µs since this call, also across a change of the system's time.
    pub(crate) fn monotonic() -> Self {
        let start = std::time::Instant::now();
        Self::new(move || u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    /// µs since 1970 UTC; of a monotonic clock, since it was made.
    #[must_use]
    pub fn now(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

/// A clock that does not jump with the one it follows: from when that was last known to be right it
/// goes on by a clock that nobody sets. Until then it is the followed one.
#[derive(Debug)]
pub(crate) struct Steady {
    follows: Clock,
    unset: Clock,
    /// What both showed when the followed one was right.
    right: Mutex<Option<(u64, u64)>>,
}

impl Steady {
    /// Follows this clock, which may be set.
    pub(crate) fn new(follows: Clock) -> Arc<Self> {
        Arc::new(Self::between(follows, Clock::monotonic()))
    }

    fn between(follows: Clock, unset: Clock) -> Self {
        Self { follows, unset, right: Mutex::default() }
    }

    /// It as a clock.
    pub(crate) fn clock(self: &Arc<Self>) -> Clock {
        let steady = Arc::clone(self);
        Clock::new(move || steady.now())
    }

    fn now(&self) -> u64 {
        match *self.right.lock().unwrap_or_else(PoisonError::into_inner) {
            Some((then, at)) => then + self.unset.now().saturating_sub(at),
            None => self.follows.now(),
        }
    }

    /// Reads the followed clock, and tells whether that is what goes on from now.
    pub(crate) fn look(&self, is_right: impl FnOnce(u64) -> bool) -> bool {
        let (now, at) = (self.follows.now(), self.unset.now());
        let right = is_right(now);
        if right {
            *self.right.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, at));
        }
        right
    }
}

/// Random bytes from the crypto back end.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], crate::Failure> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes)
        .map_err(|_| crate::Failure::internal("the operating system gives no random bytes"))?;
    Ok(bytes)
}

/// A time, µs since 1970 UTC, as people read it (RFC 3339); empty beyond the year 9999.
pub(crate) fn as_text(at: u64) -> String {
    let time = i64::try_from(at).ok().and_then(|at| jiff::Timestamp::from_microsecond(at).ok());
    time.map_or_else(String::new, |time| time.to_string())
}

/// A new record id: UUIDv7 of this time (RFC 9562).
pub(crate) fn record_id(at: u64) -> Result<RecordId, crate::Failure> {
    let id = uuid::Builder::from_unix_timestamp_millis(at / 1_000, &random()?).into_uuid();
    Ok(RecordId(id.into_bytes()))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    fn hand(at: u64) -> (Arc<AtomicU64>, Clock) {
        let hand = Arc::new(AtomicU64::new(at));
        let read = Arc::clone(&hand);
        (hand, Clock::new(move || read.load(Ordering::Relaxed)))
    }

    #[test]
    fn a_steady_clock_goes_on_when_the_one_it_follows_is_set() {
        let ((wall, follows), (passed, unset)) = (hand(1_000_000), hand(5));
        let steady = Steady::between(follows, unset);
        wall.store(1_000_010, Ordering::Relaxed);
        assert_eq!(steady.now(), 1_000_010, "nobody has compared it yet");

        assert!(steady.look(|now| now == 1_000_010));
        wall.store(9_000_000, Ordering::Relaxed);
        passed.store(25, Ordering::Relaxed);
        assert_eq!(steady.now(), 1_000_030, "it was set ahead");
        assert!(!steady.look(|now| now < 2_000_000));
        assert_eq!(steady.now(), 1_000_030, "and found wrong");

        wall.store(1_000_040, Ordering::Relaxed);
        assert!(steady.look(|now| now < 2_000_000));
        assert_eq!(steady.now(), 1_000_040, "it was set right");
    }
}
