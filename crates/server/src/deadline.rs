//! How long a caller waits: the `grpc-timeout` header.

use std::time::Duration;

use http::HeaderMap;

/// How long a call may take whose caller sets no deadline.
pub(crate) const DEFAULT_PATIENCE: Duration = Duration::from_secs(30);

/// Longest patience that is honoured: nothing in a node takes a minute, and what waits longer
/// holds a place of the 4,096.
pub(crate) const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// Kept for the way back, so that a typed answer (filed or not?) reaches the caller before the
/// transport ends the call.
const RESERVE: Duration = Duration::from_millis(50);

/// How long the engine may take for a call with these headers. The transport itself ends the call
/// at the caller's deadline.
#[must_use]
pub(crate) fn patience(headers: &HeaderMap) -> Duration {
    let asked = headers.get("grpc-timeout").and_then(|value| parse(value.as_bytes()));
    let asked = asked.unwrap_or(DEFAULT_PATIENCE).min(MAX_PATIENCE);
    // Of a very short deadline a tenth is kept.
    asked.saturating_sub(RESERVE.min(asked / 10))
}

/// The gRPC wire form: at most eight digits and a unit.
fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number.saturating_mul(3_600)),
        b'M' => Duration::from_secs(number.saturating_mul(60)),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &'static str) -> Duration {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", http::HeaderValue::from_static(value));
        patience(&headers)
    }

    #[test]
    fn the_callers_deadline_is_kept_with_a_reserve() {
        assert_eq!(of("5S"), Duration::from_millis(4_950));
        assert_eq!(of("100m"), Duration::from_millis(90));
        assert_eq!(of("0n"), Duration::ZERO);
    }

    #[test]
    fn absent_odd_and_endless_deadlines_are_bounded() {
        let default = DEFAULT_PATIENCE - RESERVE;
        assert_eq!(patience(&HeaderMap::new()), default);
        for odd in ["", "S", "5", "123456789S", "-1S", "5x", "5 S"] {
            assert_eq!(of(odd), default, "{odd}");
        }
        assert_eq!(of("99999999H"), MAX_PATIENCE - RESERVE);
    }
}
