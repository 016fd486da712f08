//! Time and identifiers, handed in at the start so that tests decide them.

use std::fmt;
use std::sync::Arc;

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
