//! Closed loop: every caller makes its next call when the last one has ended, for a while or until
//! there is no more to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Caller, Measured, Tally, Window, lasting};
use crate::usage::Meter;

const WARMING_UP: u8 = 0;
const COUNTING: u8 = 1;
const ENDED: u8 = 2;

/// Has all of them call until the window is over; what ends within it is counted. Warming up begins
/// when everybody has made a call: hundreds who connect at once may wait a second for that, which no
/// call is to be blamed for.
///
/// # Errors
/// When a process ended or a caller panicked. A call that fails is counted.
pub(crate) async fn closed<C: Caller>(
    callers: Vec<C>,
    window: Window,
    meter: &Meter,
) -> anyhow::Result<Measured> {
    let tally = Arc::new(Tally::new()?);
    let phase = Arc::new(AtomicU8::new(WARMING_UP));
    let connected = Arc::new(Barrier::new(callers.len() + 1));
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        let (tally, phase) = (Arc::clone(&tally), Arc::clone(&phase));
        let connected = Arc::clone(&connected);
        tasks.spawn(async move {
            // Whether it went well is seen with the calls that are counted.
            drop(caller.call().await);
            connected.wait().await;
            while phase.load(Ordering::Relaxed) != ENDED {
                let began = Instant::now();
                let outcome = caller.call().await;
                if phase.load(Ordering::Relaxed) == COUNTING {
                    tally.count(began.elapsed(), outcome);
                }
            }
        });
    }
    tokio::select! {
        _ = connected.wait() => {}
        // Before all have made a call none ends, but by a panic.
        Some(ended) = tasks.join_next() => ended.context("a caller did not end")?,
    }
    lasting(window.warm_up).await;
    let before = meter.read()?;
    let began = Instant::now();
    phase.store(COUNTING, Ordering::Relaxed);
    lasting(window.measured).await;
    phase.store(ENDED, Ordering::Relaxed);
    let seconds = began.elapsed().as_secs_f64();
    let usage = meter.since(&before)?;
    while let Some(ended) = tasks.join_next().await {
        ended.context("a caller did not end")?;
    }
    tally.measured(seconds, usage)
}

/// Has all of them make `calls` calls together; each is counted.
///
/// # Errors
/// When a process ended or a caller panicked. A call that fails is counted.
pub(crate) async fn through<C: Caller>(
    callers: Vec<C>,
    calls: u64,
    meter: &Meter,
) -> anyhow::Result<Measured> {
    let tally = Arc::new(Tally::new()?);
    let next = Arc::new(AtomicU64::new(0));
    let before = meter.read()?;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        let (tally, next) = (Arc::clone(&tally), Arc::clone(&next));
        tasks.spawn(async move {
            while next.fetch_add(1, Ordering::Relaxed) < calls {
                let began = Instant::now();
                let outcome = caller.call().await;
                tally.count(began.elapsed(), outcome);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.context("a caller did not end")?;
    }
    let seconds = began.elapsed().as_secs_f64();
    tally.measured(seconds, meter.since(&before)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts its calls, and fails every other one.
    struct Counting(Arc<AtomicU64>);

    impl Caller for Counting {
        async fn call(&mut self) -> anyhow::Result<u64> {
            anyhow::ensure!(
                self.0.fetch_add(1, Ordering::Relaxed).is_multiple_of(2),
                "an odd call"
            );
            Ok(1)
        }
    }

    #[tokio::test]
    async fn so_many_calls_are_made_and_no_more() {
        let made = Arc::new(AtomicU64::new(0));
        let callers = (0..7).map(|_| Counting(Arc::clone(&made))).collect();
        let measured = through(callers, 100, &Meter(Vec::new())).await.unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 100);
        assert_eq!((measured.calls, measured.errors, measured.latency.len()), (50, 50, 100));
    }
}
