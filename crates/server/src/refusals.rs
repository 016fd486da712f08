//! Unauthenticated refusals, counted by source, reason and minute.
//!
//! They are deliberately not in the access ledger: whoever has no credentials could flood it. A
//! refusal is logged when its row begins and again when the count has doubled, so that a flood
//! of a million calls makes twenty lines, not a million.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use crate::auth::Refused;

/// Rows kept. One has about 100 bytes with its tree node, so the table stays below 1 MiB even
/// when every call comes from another address.
const MAX_ROWS: usize = 8_192;

/// How long rows are kept, in minutes: long enough for an operator who was called.
const KEPT_MINUTES: u64 = 60;

/// What is counted together. Sources beyond the table's bound share the row without address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    minute: u64,
    source: Option<IpAddr>,
    reason: Refused,
}

/// One line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Start of the minute, seconds since 1970 UTC.
    pub minute: u64,
    /// Where from; none for all sources that did not fit the table.
    pub source: Option<IpAddr>,
    /// Why.
    pub reason: Refused,
    /// How often.
    pub count: u64,
}

/// The table.
#[derive(Debug, Default)]
pub struct Refusals {
    rows: Mutex<BTreeMap<Row, u64>>,
}

impl Refusals {
    /// Counts one refusal at `now` (seconds since 1970 UTC).
    pub fn count(&self, source: Option<IpAddr>, reason: Refused, now: u64) {
        let minute = now / 60;
        let count = {
            let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
            let oldest = Row {
                minute: minute.saturating_sub(KEPT_MINUTES),
                source: None,
                reason: Refused::Missing,
            };
            if rows.first_key_value().is_some_and(|(row, _)| *row < oldest) {
                *rows = rows.split_off(&oldest);
            }
            let mut row = Row { minute, source, reason };
            if rows.len() >= MAX_ROWS && !rows.contains_key(&row) {
                row.source = None;
            }
            let count = rows.entry(row).or_insert(0);
            *count = count.saturating_add(1);
            *count
        };
        if count.is_power_of_two() {
            let source = source.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
            tracing::warn!(
                source,
                reason = reason.code(),
                count,
                "refused a call without valid credentials"
            );
        }
    }

    /// The rows of the last hour, oldest first.
    #[must_use]
    pub fn counts(&self) -> Vec<Count> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.iter()
            .map(|(row, count)| Count {
                minute: row.minute * 60,
                source: row.source,
                reason: row.reason,
                count: *count,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn source(n: usize) -> Option<IpAddr> {
        Some(IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(n).unwrap())))
    }

    #[test]
    fn refusals_are_counted_by_source_reason_and_minute() {
        let refusals = Refusals::default();
        for now in [0, 59, 60] {
            refusals.count(source(1), Refused::Expired, now);
        }
        refusals.count(source(1), Refused::Missing, 60);
        refusals.count(source(2), Refused::Missing, 60);
        let counts = refusals.counts();
        assert_eq!(counts.len(), 4);
        assert_eq!((counts[0].minute, counts[0].count), (0, 2));
        assert_eq!(counts.iter().map(|c| c.count).sum::<u64>(), 5);
    }

    #[test]
    fn a_flood_from_many_addresses_stays_bounded_and_loses_no_count() {
        let refusals = Refusals::default();
        for n in 0..3 * MAX_ROWS {
            refusals.count(source(n), Refused::Signature, 1);
        }
        let counts = refusals.counts();
        assert_eq!(counts.len(), MAX_ROWS + 1);
        assert_eq!(counts.iter().map(|c| c.count).sum::<u64>(), 3 * MAX_ROWS as u64);
    }

    #[test]
    fn old_rows_go() {
        let refusals = Refusals::default();
        refusals.count(source(1), Refused::Missing, 0);
        refusals.count(source(1), Refused::Missing, 60 * (KEPT_MINUTES + 1));
        assert_eq!(refusals.counts().len(), 1);
    }
}
