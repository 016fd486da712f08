//! Times as typed and as shown.

use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::{Date, date};

/// A moment as typed: RFC 3339, or a date for its first moment in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment(pub(crate) prost_types::Timestamp);

/// The end of a span as typed, which is not part of it: RFC 3339, or a date for the whole day in
/// UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Until(pub(crate) prost_types::Timestamp);

impl FromStr for Until {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let bare = text.parse::<Timestamp>().is_err();
        let Moment(mut time) = text.parse()?;
        if bare {
            time.seconds = time.seconds.saturating_add(DAY);
        }
        Ok(Self(time))
    }
}

/// Seconds of a day in UTC, which jiff and protobuf count without leap seconds.
const DAY: i64 = 24 * 60 * 60;

/// The last day, of which 22 hours can be counted.
const LAST: Date = date(9999, 12, 30);

/// Something typed that is not a time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotATime {
    #[error("write a time as 2026-11-01T08:00:00Z or 2026-11-01")]
    Form,
    #[error("the calendar has no such day")]
    NoSuchDay,
    #[error("times end with 9999-12-30T22:00:00Z")]
    TooLate,
}

impl NotATime {
    /// What is wrong with it.
    fn of(text: &str) -> Self {
        let day = text.get(..10).unwrap_or_default();
        let fits = |(at, byte): (usize, u8)| match at {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        };
        if day.is_empty() || !day.bytes().enumerate().all(fits) {
            return Self::Form;
        }
        match day.parse::<Date>() {
            Err(_) => Self::NoSuchDay,
            Ok(day) if day >= LAST => Self::TooLate,
            Ok(_) => Self::Form,
        }
    }
}

impl FromStr for Moment {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        let moment: Timestamp = text
            .parse()
            .or_else(|_| format!("{text}T00:00:00Z").parse())
            .map_err(|_| NotATime::of(text))?;
        let (seconds, nanos) = (moment.as_second(), moment.subsec_nanosecond());
        // protobuf counts nanoseconds forward, also before 1970
        let (seconds, nanos) =
            if nanos < 0 { (seconds - 1, nanos + 1_000_000_000) } else { (seconds, nanos) };
        Ok(Self(prost_types::Timestamp { seconds, nanos }))
    }
}

/// A span as typed: whole seconds, minutes or hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span(pub(crate) prost_types::Duration);

/// Something typed that is not a span.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("write a span as 90s, 30m or 2h")]
pub(crate) struct NotASpan;

impl FromStr for Span {
    type Err = NotASpan;

    fn from_str(text: &str) -> Result<Self, NotASpan> {
        let unit = text.chars().last().ok_or(NotASpan)?;
        let number = text.strip_suffix(unit).unwrap_or_default();
        let second = match unit {
            's' => 1,
            'm' => 60,
            'h' => 60 * 60,
            _ => return Err(NotASpan),
        };
        let number: u32 = number.parse().map_err(|_| NotASpan)?;
        Ok(Self(prost_types::Duration { seconds: i64::from(number) * second, nanos: 0 }))
    }
}

/// A state of a file as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AsOf {
    Version(u64),
    Time(Moment),
}

/// Something typed that is neither version nor time.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotAState {
    #[error("write a version as 12, a time as 2026-11-01T08:00:00Z or 2026-11-01")]
    Form,
    #[error(transparent)]
    Time(NotATime),
}

impl FromStr for AsOf {
    type Err = NotAState;

    fn from_str(text: &str) -> Result<Self, NotAState> {
        match text.parse() {
            Ok(version) => Ok(Self::Version(version)),
            Err(_) => text.parse().map(Self::Time).map_err(|error| match error {
                NotATime::Form => NotAState::Form,
                NotATime::NoSuchDay | NotATime::TooLate => NotAState::Time(error),
            }),
        }
    }
}

/// RFC 3339, UTC, to the microsecond that the ledger has.
pub(crate) fn rfc3339(time: &prost_types::Timestamp) -> String {
    match Timestamp::new(time.seconds, time.nanos) {
        Ok(moment) => format!("{moment:.6}"),
        Err(_) => "(outside the calendar)".to_owned(),
    }
}

/// For tables: to the second, "2026-11-01 08:00:00Z"; empty if unknown.
pub(crate) fn short(time: Option<&prost_types::Timestamp>) -> String {
    let Some(time) = time else { return String::new() };
    match Timestamp::new(time.seconds, 0) {
        Ok(moment) => moment.to_string().replace('T', " "),
        Err(_) => rfc3339(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_offset_and_shown_in_utc() {
        let Moment(time) = "2026-11-01T08:00:00.5+02:00".parse().unwrap();
        assert_eq!(rfc3339(&time), "2026-11-01T06:00:00.500000Z");
        assert_eq!(short(Some(&time)), "2026-11-01 06:00:00Z");
        let Moment(day) = "2026-11-01".parse().unwrap();
        assert_eq!(rfc3339(&day), "2026-11-01T00:00:00.000000Z");
        let Moment(early) = "1969-12-31T23:59:59.25Z".parse().unwrap();
        assert_eq!((early.seconds, early.nanos), (-1, 250_000_000));
    }

    #[test]
    fn a_bare_day_counts_whole_to_its_end() {
        let Until(day) = "2026-11-01".parse().unwrap();
        assert_eq!(rfc3339(&day), "2026-11-02T00:00:00.000000Z");
        let Until(moment) = "2026-11-01T00:00:00Z".parse().unwrap();
        assert_eq!(rfc3339(&moment), "2026-11-01T00:00:00.000000Z");
        assert_eq!("2026-11-31".parse::<Until>(), Err(NotATime::NoSuchDay));
    }

    #[test]
    fn what_is_written_as_a_time_is_told_why_it_is_none() {
        for (typed, wrong) in [
            ("2026-02-30", NotATime::NoSuchDay),
            ("2026-02-30T08:00:00Z", NotATime::NoSuchDay),
            ("9999-12-31", NotATime::TooLate),
            ("9999-12-30T23:00:00Z", NotATime::TooLate),
            ("2026-11-01T25:00:00Z", NotATime::Form),
            ("yesterday…", NotATime::Form),
            ("", NotATime::Form),
        ] {
            assert_eq!(typed.parse::<Moment>(), Err(wrong), "{typed}");
        }
        assert!("9999-12-30".parse::<Until>().is_ok());
    }

    #[test]
    fn a_span_has_a_number_and_a_unit() {
        let seconds = |text: &str| text.parse::<Span>().map(|span| span.0.seconds);
        assert_eq!(["90s", "30m", "2h"].map(seconds), [Ok(90), Ok(1_800), Ok(7_200)]);
        assert!(["", "h", "2", "2 h", "-1h", "2d"].map(seconds).iter().all(Result::is_err));
    }

    #[test]
    fn a_number_is_a_version() {
        assert_eq!("12".parse(), Ok(AsOf::Version(12)));
        assert!(matches!("2026-11-01".parse(), Ok(AsOf::Time(_))));
        assert_eq!("yesterday".parse::<AsOf>(), Err(NotAState::Form));
        let no_day = NotAState::Time(NotATime::NoSuchDay);
        assert_eq!("2026-02-30".parse::<AsOf>(), Err(no_day));
    }
}
