//! FHIR R4 `dateTime` and `date`, with precision and offset kept exactly as entered.

use std::fmt;

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;
/// Microseconds in a day.
const DAY: i64 = 86_400 * SECOND;
/// Digits of a fraction of a second that are accepted: FHIR sets no limit, nanoseconds are more
/// than any clinical clock gives.
const MAX_FRACTION_DIGITS: usize = 9;

/// A FHIR R4 `date` or `dateTime`: year, month, day, or a time to the second with its offset.
///
/// The text is kept as entered, because "in 2019" is another statement than "at midnight on the
/// first of January 2019 in Greenwich".
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FhirDateTime(String);

/// The text is not a FHIR `date` or `dateTime`, or names a day that does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidDateTime;

impl fmt::Display for InvalidDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "not a date or time: write YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or \
             an offset such as +02:00",
        )
    }
}

impl std::error::Error for InvalidDateTime {}

/// First and last microsecond since 1970-01-01T00:00Z that a text may mean.
#[derive(Clone, Copy)]
struct Span {
    earliest: i64,
    latest: i64,
}

impl FhirDateTime {
    /// Reads a FHIR R4 `date` or `dateTime`.
    ///
    /// # Errors
    /// [`InvalidDateTime`] when the text has another form, the year is 0000, the day does not
    /// exist in the calendar, or a time comes without an offset.
    pub fn parse(text: &str) -> Result<Self, InvalidDateTime> {
        match span(text.as_bytes()) {
            Some(_) => Ok(Self(text.to_owned())),
            None => Err(InvalidDateTime),
        }
    }

    /// The text as entered.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first microsecond that is meant, since 1970-01-01T00:00Z. Dates have no offset and are
    /// taken in UTC: use it to sort, not to say when something happened.
    #[must_use]
    pub fn earliest(&self) -> i64 {
        span(self.0.as_bytes()).map_or(0, |span| span.earliest)
    }

    /// The last microsecond that is meant, since 1970-01-01T00:00Z, dates taken in UTC.
    #[must_use]
    pub fn latest(&self) -> i64 {
        span(self.0.as_bytes()).map_or(0, |span| span.latest)
    }

    /// Whether all that is meant is after all that the other means. A date has no offset: between one
    /// and a time there is a day's grace for the time zones.
    pub(crate) fn is_after(&self, other: &Self) -> bool {
        let grace = if self.is_date() == other.is_date() { 0 } else { DAY };
        self.earliest() > other.latest() + grace
    }

    /// Whether this is a date (or month, or year) without a time of day.
    #[must_use]
    pub fn is_date(&self) -> bool {
        self.0.len() <= "YYYY-MM-DD".len()
    }
}

impl fmt::Display for FhirDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads exactly `N` digits and hands back the rest.
fn digits<const N: usize>(text: &[u8]) -> Option<(i64, &[u8])> {
    let (head, rest) = text.split_first_chunk::<N>()?;
    let mut value = 0;
    for digit in head {
        value = value * 10 + digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
    }
    Some((value, rest))
}

fn span(text: &[u8]) -> Option<Span> {
    let (year, rest) = digits::<4>(text)?;
    if year == 0 {
        return None;
    }
    let Some(rest) = after(rest, b'-')? else {
        return Some(days(days_from_civil(year, 1, 1), days_from_civil(year + 1, 1, 1)));
    };
    let (month, rest) = digits::<2>(rest)?;
    if !(1..=12).contains(&month) {
        return None;
    }
    let Some(rest) = after(rest, b'-')? else {
        let (next_year, next) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
        return Some(days(days_from_civil(year, month, 1), days_from_civil(next_year, next, 1)));
    };
    let (day, rest) = digits::<2>(rest)?;
    if day < 1 || day > days_in_month(year, month) {
        return None;
    }
    let date = days_from_civil(year, month, day);
    match after(rest, b'T')? {
        None => Some(days(date, date + 1)),
        Some(rest) => time(date * DAY, rest),
    }
}

/// `Some(None)` at the end of the text, `Some(Some(rest))` after `separator`, `None` otherwise.
fn after(text: &[u8], separator: u8) -> Option<Option<&[u8]>> {
    match text.split_first() {
        None => Some(None),
        Some((first, rest)) if *first == separator => Some(Some(rest)),
        Some(_) => None,
    }
}

fn days(first: i64, next: i64) -> Span {
    Span { earliest: first * DAY, latest: next * DAY - 1 }
}

/// `hh:mm:ss[.fraction]` and an obligatory offset, on the day that begins at `midnight`.
fn time(midnight: i64, text: &[u8]) -> Option<Span> {
    let (hour, rest) = digits::<2>(text)?;
    let (minute, rest) = digits::<2>(after(rest, b':')??)?;
    // 60 is a leap second, which FHIR allows.
    let (second, rest) = digits::<2>(after(rest, b':')??)?;
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (fraction, precision, rest) = match rest.strip_prefix(b".") {
        None => (0, SECOND, rest),
        Some(rest) => fraction(rest)?,
    };
    let offset = offset(rest)?;
    let earliest = midnight + (hour * 3600 + minute * 60 + second) * SECOND + fraction - offset;
    Some(Span { earliest, latest: earliest + precision - 1 })
}

/// Microseconds, the precision in microseconds, and the rest of the text.
fn fraction(text: &[u8]) -> Option<(i64, i64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > MAX_FRACTION_DIGITS {
        return None;
    }
    let (head, rest) = text.split_at_checked(length)?;
    let mut micros = 0;
    let mut unit = SECOND;
    for digit in head {
        unit /= 10;
        micros += i64::from(digit - b'0') * unit;
    }
    Some((micros, unit.max(1), rest))
}

/// The offset from UTC in microseconds.
fn offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = text.split_first()?;
    let sign = match sign {
        b'Z' => return rest.is_empty().then_some(0),
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hour, rest) = digits::<2>(rest)?;
    let (minute, rest) = digits::<2>(after(rest, b':')??)?;
    // FHIR's own pattern: 00:00 to 13:59, and 14:00.
    let valid = minute <= 59 && (hour <= 13 || (hour == 14 && minute == 0)) && rest.is_empty();
    valid.then_some(sign * (hour * 3600 + minute * 60) * SECOND)
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible
/// low-level date algorithms"), for years from 1.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<FhirDateTime> {
        FhirDateTime::parse(text).ok()
    }

    #[test]
    fn keeps_precision_and_offset_as_entered() {
        for text in
            ["2019", "2019-05", "2019-05-07", "1991-06-07T23:37:54+00:00", "2026-01-09T10:28:00Z"]
        {
            assert_eq!(parse(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn refuses_what_is_no_date() {
        for text in [
            "",
            "0000",
            "0000-13-45",
            "2019-00",
            "2019-13",
            "2019-02-29",
            "2019-04-31",
            "1900-02-29",
            "19-01-01",
            "2019-1-1",
            "2019-05-07T10:00:00",
            "2019-05-07T24:00:00Z",
            "2019-05-07T10:60:00Z",
            "2019-05-07T10:00Z",
            "2019-05-07T10:00:00.Z",
            "2019-05-07T10:00:00+14:01",
            "2019-05-07T10:00:00Zx",
            "2019-05-07 10:00:00Z",
            "²019",
            "2019-05-07T10:00:00.1234567890Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_time_is_after_a_date_only_where_it_is_so_in_every_time_zone() {
        for (one, other, expected) in [
            ("2020-01-01T20:00:00-05:00", "2020-01-01", false),
            ("2020-01-03T00:00:00Z", "2020-01-01", true),
            ("2020-01-02", "2020-01-01T10:00:00Z", false),
            ("2020-01-02", "2020-01-01", true),
            ("2020-01-01T10:00:01Z", "2020-01-01T10:00:00Z", true),
        ] {
            assert_eq!(parse(one).unwrap().is_after(&parse(other).unwrap()), expected, "{one}");
        }
    }

    #[test]
    fn knows_the_first_and_last_moment_meant() {
        let span = |text| parse(text).map(|at| (at.earliest(), at.latest())).unwrap();
        assert_eq!(span("1970"), (0, 365 * DAY - 1));
        assert_eq!(span("1970-12"), (334 * DAY, 365 * DAY - 1));
        assert_eq!(span("1970-01-01"), (0, DAY - 1));
        assert_eq!(span("1970-01-01T00:00:00Z"), (0, SECOND - 1));
        assert_eq!(span("1970-01-01T02:00:00.5+02:00"), (500_000, 599_999));
        assert_eq!(span("2000-03-01").0, 11_017 * DAY);
        assert_eq!(span("1969-12-31").0, -DAY);
        assert_eq!(span("2016-12-31T23:59:60Z").0, span("2017-01-01T00:00:00Z").0);
        assert_eq!(span("2024-02-29").1 + 1, span("2024-03-01").0);
    }
}
