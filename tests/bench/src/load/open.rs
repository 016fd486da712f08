//! Open loop: calls are due at fixed times, as if many people came by themselves.
//!
//! A latency counts from when the call was due, not from when a caller was free to make it, so what
//! a slow answer keeps waiting is slow too (no "coordinated omission"). Calls that were due but never
//! made count as having taken until the end.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Caller, Measured, Tally, Window, lasting};
use crate::usage::Meter;

/// How long what is due may be late before the rest is given up.
const GRACE: Duration = Duration::from_secs(2);

/// When every call is due.
#[derive(Clone, Copy, Debug)]
struct Timetable {
    began: Instant,
    /// Calls a second.
    rate: u32,
    window: Window,
}

impl Timetable {
    fn total(self) -> u64 {
        let time = self.window.warm_up + self.window.measured;
        u64::try_from(time.as_millis() * u128::from(self.rate) / 1_000).unwrap_or(u64::MAX)
    }

    fn due(self, call: u64) -> Instant {
        let nanoseconds = u128::from(call) * 1_000_000_000 / u128::from(self.rate.max(1));
        self.began + Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }

    fn counts(self, due: Instant) -> bool {
        due >= self.began + self.window.warm_up
    }

    fn ends(self) -> Instant {
        self.began + self.window.warm_up + self.window.measured
    }
}

/// Makes `rate` calls a second, with as many at once as there are callers.
///
/// # Errors
/// When a process ended or a caller panicked. A call that fails is counted.
pub(crate) async fn open<C: Caller>(
    callers: Vec<C>,
    rate: u32,
    window: Window,
    meter: &Meter,
) -> anyhow::Result<Measured> {
    let tally = Arc::new(Tally::new()?);
    let due = Arc::new(Semaphore::new(0));
    let next = Arc::new(AtomicU64::new(0));
    let timetable = Timetable { began: Instant::now(), rate, window };
    let total = timetable.total();
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        let (tally, due, next) = (Arc::clone(&tally), Arc::clone(&due), Arc::clone(&next));
        tasks.spawn(async move {
            while let Ok(permit) = due.acquire().await {
                permit.forget();
                let call = next.fetch_add(1, Ordering::Relaxed);
                let intended = timetable.due(call);
                let outcome = caller.call().await;
                if timetable.counts(intended) {
                    tally.count(intended.elapsed(), outcome);
                }
                if call + 1 == total {
                    due.close();
                }
            }
        });
    }
    let paced = Arc::clone(&due);
    let pacer = std::thread::spawn(move || pace(&paced, timetable));
    lasting(window.warm_up).await;
    let before = meter.read()?;
    while let Some(ended) = tasks.join_next().await {
        ended.context("a caller did not end")?;
    }
    pacer.join().map_err(|_| anyhow::anyhow!("the pacer panicked"))?;
    let usage = meter.since(&before)?;
    let ended = Instant::now();
    for call in next.load(Ordering::Relaxed)..total {
        tally.took(ended.saturating_duration_since(timetable.due(call)));
    }
    let seconds = ended.saturating_duration_since(timetable.began + window.warm_up).as_secs_f64();
    tally.measured(seconds, usage)
}

/// Lets calls be made when they are due. A thread of its own: the runtime's timers tick in whole
/// milliseconds.
#[expect(clippy::disallowed_methods, reason = "the clock is what it waits for")]
fn pace(due: &Semaphore, timetable: Timetable) {
    let total = timetable.total();
    let mut call = 0;
    while call < total {
        let at = timetable.due(call);
        let now = Instant::now();
        if at > now {
            std::thread::sleep(at - now);
        }
        due.add_permits(1);
        call += 1;
    }
    let deadline = timetable.ends() + GRACE;
    while !due.is_closed() {
        if Instant::now() >= deadline {
            due.close();
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Its first call is slow, the others take no time.
    struct SlowOnce(bool);

    const SLOW: Duration = Duration::from_millis(300);

    impl Caller for SlowOnce {
        async fn call(&mut self) -> anyhow::Result<u64> {
            if std::mem::take(&mut self.0) {
                lasting(SLOW).await;
            }
            Ok(1)
        }
    }

    #[tokio::test]
    async fn what_a_slow_answer_keeps_waiting_is_slow_too() {
        let window = Window { warm_up: Duration::ZERO, measured: 2 * SLOW };
        let measured = open(vec![SlowOnce(true)], 100, window, &Meter(Vec::new())).await.unwrap();
        assert_eq!((measured.calls, measured.latency.len()), (60, 60), "every call that was due");
        // Thirty calls were due meanwhile, and twenty of them waited longer than 100 ms.
        let slow = measured.latency.count_between(100_000_000, 1_000_000_000);
        assert!((15..=60).contains(&slow), "{slow} slow calls");
    }

    #[tokio::test]
    async fn calls_that_are_never_made_count_until_the_end() {
        let window = Window { warm_up: Duration::ZERO, measured: SLOW };
        let timetable = Timetable { began: Instant::now(), rate: 100, window };
        assert_eq!(timetable.total(), 30);
        let measured = open(Vec::<SlowOnce>::new(), 100, window, &Meter(Vec::new())).await.unwrap();
        assert_eq!((measured.calls, measured.latency.len()), (0, 30));
    }
}
