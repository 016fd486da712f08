//! Closed loop: every caller makes its next call when the last one has ended.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use tokio::task::JoinSet;

use super::{Caller, Measured, Tally, Window, lasting};
use crate::usage::Meter;

const WARMING_UP: u8 = 0;
const COUNTING: u8 = 1;
const ENDED: u8 = 2;

/// Has all of them call until the window is over; what ends within it is counted.
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
    let mut tasks = JoinSet::new();
    for mut caller in callers {
        let (tally, phase) = (Arc::clone(&tally), Arc::clone(&phase));
        tasks.spawn(async move {
            while phase.load(Ordering::Relaxed) != ENDED {
                let began = Instant::now();
                let outcome = caller.call().await;
                if phase.load(Ordering::Relaxed) == COUNTING {
                    tally.count(began.elapsed(), outcome);
                }
            }
        });
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
