//! The wall clock, read in one place. It decides when tokens end and which minute a refusal is
//! counted in; the ledger's time is the engine's affair.

use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970 UTC; 0 if the machine's clock is before that.
#[must_use]
pub fn micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_micros()).unwrap_or(u64::MAX)
}

/// Seconds since 1970 UTC.
#[must_use]
pub fn seconds() -> u64 {
    micros() / 1_000_000
}
