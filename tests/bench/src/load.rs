//! Load: callers in a closed loop, or calls at a fixed rate whoever is slow.

mod closed;
mod open;
mod quiet;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hdrhistogram::Histogram;

pub(crate) use closed::{closed, through};
pub(crate) use open::open;
pub(crate) use quiet::quiet;

use crate::usage::Usage;

/// Longest latency told, nanoseconds; what is longer counts as this.
const LONGEST: u64 = 120_000_000_000;
/// Shortest told apart, nanoseconds.
const SHORTEST: u64 = 1_000;
/// Significant digits kept of a latency.
const DIGITS: u8 = 3;

/// One client of something: it has its own connection and makes one call at a time.
pub(crate) trait Caller: Send + 'static {
    /// Makes one call to its end and answers how many units of work it did (records, reads).
    fn call(&mut self) -> impl Future<Output = anyhow::Result<u64>> + Send;
}

/// How long a measurement is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    /// Calls are made, but not counted: connections, caches, first memory.
    pub(crate) warm_up: Duration,
    /// What is counted.
    pub(crate) measured: Duration,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// How long, seconds.
    pub(crate) seconds: f64,
    /// Calls that ended well.
    pub(crate) calls: u64,
    /// Units of work they did.
    pub(crate) units: u64,
    /// Calls that were refused or failed; their time is in the latencies too.
    pub(crate) errors: u64,
    /// What the first of them was told.
    pub(crate) first_error: Option<String>,
    /// From the call (in an open loop: from when it should have been made) to its end, nanoseconds.
    pub(crate) latency: Histogram<u64>,
    /// What the processes used meanwhile.
    pub(crate) usage: Vec<Usage>,
}

impl Measured {
    /// Work whose single steps were not timed.
    ///
    /// # Errors
    /// Never, in fact: the histogram's bounds are constants.
    pub(crate) fn bulk(seconds: f64, units: u64, usage: Vec<Usage>) -> anyhow::Result<Self> {
        let latency = histogram()?;
        Ok(Self { seconds, calls: 0, units, errors: 0, first_error: None, latency, usage })
    }

    /// Units a second.
    pub(crate) fn rate(&self) -> f64 {
        self.units as f64 / self.seconds
    }

    /// The latency that this part (0 to 1) of the calls did not exceed, microseconds.
    pub(crate) fn quantile(&self, part: f64) -> f64 {
        self.latency.value_at_quantile(part) as f64 / 1_000.0
    }
}

fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(SHORTEST, LONGEST, DIGITS)?)
}

/// Where all callers of one measurement count.
struct Tally {
    latency: Mutex<Histogram<u64>>,
    calls: AtomicU64,
    units: AtomicU64,
    errors: AtomicU64,
    first_error: Mutex<Option<String>>,
}

impl Tally {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            latency: Mutex::new(histogram()?),
            calls: AtomicU64::new(0),
            units: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            first_error: Mutex::new(None),
        })
    }

    fn count(&self, took: Duration, outcome: anyhow::Result<u64>) {
        match outcome {
            Ok(units) => {
                self.calls.fetch_add(1, Ordering::Relaxed);
                self.units.fetch_add(units, Ordering::Relaxed);
            }
            Err(error) => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                if let Ok(mut first) = self.first_error.lock() {
                    first.get_or_insert_with(|| format!("{error:#}").replace('\n', " "));
                }
            }
        }
        self.took(took);
    }

    fn took(&self, took: Duration) {
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(LONGEST);
        if let Ok(mut latency) = self.latency.lock() {
            latency.saturating_record(nanoseconds.clamp(SHORTEST, LONGEST));
        }
    }

    fn measured(&self, seconds: f64, usage: Vec<Usage>) -> anyhow::Result<Measured> {
        let panicked = || anyhow::anyhow!("a caller panicked");
        let latency = self.latency.lock().map_err(|_| panicked())?.clone();
        let first_error = self.first_error.lock().map_err(|_| panicked())?.clone();
        Ok(Measured {
            seconds,
            calls: self.calls.load(Ordering::Relaxed),
            units: self.units.load(Ordering::Relaxed),
            errors: self.errors.load(Ordering::Relaxed),
            first_error,
            latency,
            usage,
        })
    }
}

/// Lets time pass while others are measured.
#[expect(clippy::disallowed_methods, reason = "a measurement lasts as long as it was planned")]
pub(crate) async fn lasting(time: Duration) {
    tokio::time::sleep(time).await;
}
