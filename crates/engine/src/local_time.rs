//! The time on the hospital's own clocks, of which access policies may speak.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZoneDatabase;

/// The days of a week from Monday on, as FHIR R4 `DaysOfWeek` names them.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const MINUTES_A_DAY: u16 = 24 * 60;

/// The time zone of the hospital, UTC if nothing else is said. Its rules come with the program, so that
/// every node of a version has the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimeZone(jiff::tz::TimeZone);

/// A time zone that there is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no time zone \"{0}\": write one of the IANA time zone database, such as \
     \"Europe/Berlin\" or \"America/New_York\", or \"UTC\""
)]
pub struct UnknownTimeZone(String);

impl Default for TimeZone {
    fn default() -> Self {
        Self(jiff::tz::TimeZone::UTC)
    }
}

impl FromStr for TimeZone {
    type Err = UnknownTimeZone;

    fn from_str(name: &str) -> Result<Self, UnknownTimeZone> {
        let found = TimeZoneDatabase::bundled().get(name).ok();
        // The database has a zone, too, of which nothing is known.
        let found = found.filter(|zone| !zone.is_unknown());
        found.map(Self).ok_or_else(|| UnknownTimeZone(name.to_owned()))
    }
}

/// Its name in the IANA database.
impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.iana_name().unwrap_or("UTC"))
    }
}

impl TimeZone {
    /// What the clocks show at a time, µs since 1970 UTC.
    pub(crate) fn local(&self, at: u64) -> LocalTime {
        let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_microsecond(at).ok());
        let at = self.0.to_datetime(at.unwrap_or(Timestamp::MAX));
        let unsigned = |part: i8| u16::try_from(part).unwrap_or_default();
        let minute = unsigned(at.hour()) * 60 + unsigned(at.minute());
        LocalTime { day: at.weekday().to_monday_zero_offset().unsigned_abs(), minute }
    }
}

/// What the hospital's clocks show: the day of the week, and the time to the minute. Where clocks are set
/// back, an hour comes twice; where they are set forward, one does not come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct LocalTime {
    /// Days since Monday.
    day: u8,
    /// Minutes since midnight.
    minute: u16,
}

impl LocalTime {
    /// Noon on each day of a week.
    pub(crate) fn noons() -> [Self; 7] {
        [0, 1, 2, 3, 4, 5, 6].map(|day| Self { day, minute: MINUTES_A_DAY / 2 })
    }

    /// As it is written.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (day, time) = text.split_once(' ')?;
        let day = DAYS.iter().position(|name| *name == day)?;
        let (hour, minute) = time.split_once(':')?;
        let minute =
            hour.parse::<u16>().ok()?.checked_mul(60)?.checked_add(minute.parse().ok()?)?;
        let read = Self { day: u8::try_from(day).ok()?, minute };
        (minute < MINUTES_A_DAY && read.to_string() == text).then_some(read)
    }

    /// The day of the week.
    pub(crate) fn day(self) -> &'static str {
        DAYS.get(usize::from(self.day)).copied().unwrap_or_default()
    }

    /// Minutes since midnight, by the clocks.
    pub(crate) const fn minute(self) -> u16 {
        self.minute
    }
}

/// `fri 14:03`
impl fmt::Display for LocalTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:02}:{:02}", self.day(), self.minute / 60, self.minute % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: &str, at: &str) -> String {
        let zone: TimeZone = zone.parse().unwrap();
        let at: Timestamp = at.parse().unwrap();
        zone.local(u64::try_from(at.as_microsecond()).unwrap()).to_string()
    }

    #[test]
    fn the_clocks_are_set_forward_in_spring_and_back_in_autumn() {
        for (at, told) in [
            ("2026-03-28T23:30:00Z", "sun 00:30"),
            ("2026-03-29T00:59:59Z", "sun 01:59"),
            ("2026-03-29T01:00:00Z", "sun 03:00"),
            ("2026-03-29T21:59:59Z", "sun 23:59"),
            ("2026-03-29T22:00:00Z", "mon 00:00"),
            ("2026-10-24T22:00:00Z", "sun 00:00"),
            ("2026-10-25T00:30:00Z", "sun 02:30"),
            ("2026-10-25T01:30:00Z", "sun 02:30"),
            ("2026-10-25T02:00:00Z", "sun 03:00"),
            ("2026-10-25T22:59:59Z", "sun 23:59"),
            ("2026-10-25T23:00:00Z", "mon 00:00"),
        ] {
            assert_eq!(shown("Europe/Berlin", at), told, "{at}");
        }
    }

    #[test]
    fn each_zone_has_its_own_day() {
        let at = "2026-11-27T23:03:59.999999Z";
        for (zone, told) in [
            ("UTC", "fri 23:03"),
            ("America/New_York", "fri 18:03"),
            ("Asia/Kolkata", "sat 04:33"),
            ("Pacific/Auckland", "sat 12:03"),
        ] {
            assert_eq!(shown(zone, at), told);
            assert_eq!(zone.parse::<TimeZone>().unwrap().to_string(), zone);
        }
        assert_eq!(TimeZone::default(), "UTC".parse().unwrap());
    }

    #[test]
    fn a_zone_that_there_is_not_is_told_with_what_to_write() {
        for name in ["", "Berlin", "Europe/Berlni", "Etc/Unknown", "+02:00", "local"] {
            let told = name.parse::<TimeZone>().unwrap_err().to_string();
            assert!(told.contains(&format!("no time zone \"{name}\"")), "{told}");
            assert!(told.contains("\"Europe/Berlin\""), "{told}");
        }
    }

    #[test]
    fn what_is_written_is_read_again_and_nothing_else() {
        for noon in LocalTime::noons() {
            for minute in 0..MINUTES_A_DAY {
                let time = LocalTime { minute, ..noon };
                assert_eq!(LocalTime::parse(&time.to_string()), Some(time));
            }
        }
        assert_eq!(LocalTime::noons()[6].to_string(), "sun 12:00");
        for text in ["", "fri", "fri 24:00", "fri 1:00", "fri 01:60", "Fri 01:00", "fri +1:00"] {
            assert_eq!(LocalTime::parse(text), None, "{text}");
        }
    }
}
