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

/// Seconds since 1970 UTC as people read them (RFC 3339); empty beyond the year 9999.
pub(crate) fn rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).ok();
    let time = seconds.and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    time.map_or_else(String::new, |time| time.to_string())
}
