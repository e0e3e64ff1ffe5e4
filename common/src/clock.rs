//! The time: `Timestamp`, its text forms, and the only place that asks the system what time it is. Everything else is
//! handed a `Timestamp` or a `Clock`, so that tests decide what "now" means.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NANOS_PER_MILLI: i64 = 1_000_000;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// From `0000-03-01` to `1970-01-01`, in days.
const MARCH_ZERO_TO_EPOCH_DAYS: i64 = 719_468;
/// `0000-01-01T00:00:00.000Z`.
const FIRST: i64 = -719_528 * DAY;
/// `9999-12-31T23:59:59.999Z`.
const LAST: i64 = 2_932_897 * DAY - 1;

/// A point in time: milliseconds since `1970-01-01T00:00:00Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The time this many milliseconds after the start of 1970.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the start of 1970, negative before it.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Reads an ISO 8601 calendar date with or without a time: `2026-01-20`, `2026-01-20T10:00`,
    /// `2026-01-20 10:00:00.5+02:00`, `20260120T100000Z`.
    ///
    /// No zone means UTC; digits beyond milliseconds are dropped here; `24:00` is the end of the day and second `60` the
    /// start of the next minute. `None` also for days that do not exist and for times outside the years 0 to 9999.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_with_nanos(text).map(|(time, _)| time)
    }

    /// The same, with the nanoseconds (up to 999,999) that follow the milliseconds.
    pub fn parse_with_nanos(text: &str) -> Option<(Self, u32)> {
        let mut input = Input(text.as_bytes());
        let mut millis = input.date()? * DAY;
        let mut nanos = 0;
        if !input.is_empty() {
            input.one_of(b"Tt ")?;
            let (of_day, rest) = input.time()?;
            millis += of_day - input.zone()?;
            nanos = rest;
        }
        (input.is_empty() && (FIRST..=LAST).contains(&millis)).then_some((Self(millis), nanos))
    }

    /// The time `duration` later.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(whole_millis(duration)))
    }

    /// The time `duration` earlier.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(whole_millis(duration)))
    }

    /// How long ago `earlier` was; zero when it is not earlier at all.
    pub fn since(self, earlier: Self) -> Duration {
        if self <= earlier {
            return Duration::ZERO;
        }
        Duration::from_millis(self.0.abs_diff(earlier.0))
    }

    /// `2026-01-20T10:00:00.123Z`.
    pub fn with_millis(self) -> String {
        let Fields { year, month, day, hour, minute, second, milli } = Fields::of(self);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
    }
}

/// `2026-01-20T10:00:00Z`: UTC, whole seconds, always twenty characters, so that texts sort as times do.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fields { year, month, day, hour, minute, second, .. } = Fields::of(*self);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Where the time comes from.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The system's wall clock.
    System,
    /// A clock that moves only when told to: milliseconds, shared by all clones.
    Fixed(Arc<AtomicI64>),
}

impl Clock {
    /// A clock that stands still at `at`.
    pub fn fixed(at: Timestamp) -> Self {
        Self::Fixed(Arc::new(AtomicI64::new(at.0)))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => system_now(),
            Self::Fixed(millis) => Timestamp(millis.load(Ordering::SeqCst)),
        }
    }

    /// Moves a fixed clock, and every clone of it, forward. Panics on the system's clock.
    pub fn advance(&self, duration: Duration) {
        match self {
            Self::System => panic!("only a fixed clock can be advanced"),
            Self::Fixed(millis) => {
                millis.fetch_add(whole_millis(duration), Ordering::SeqCst);
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the one place that asks the system for the time")]
fn system_now() -> Timestamp {
    Timestamp(match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(after) => whole_millis(after),
        Err(error) => -whole_millis(error.duration()),
    })
}

fn whole_millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// What is left to read of a time's text. Each method takes its piece off the front.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn one_of(&mut self, wanted: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        wanted.contains(&first).then(|| self.0 = rest)?;
        Some(first)
    }

    fn starts_with_digit(&self) -> bool {
        self.0.first().is_some_and(u8::is_ascii_digit)
    }

    /// Exactly `count` digits.
    fn number(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
    }

    /// `YYYY-MM-DD` or `YYYYMMDD`, as days since the start of 1970.
    fn date(&mut self) -> Option<i64> {
        let year = self.number(4)?;
        let dashed = self.one_of(b"-").is_some();
        let month = self.number(2)?;
        if dashed {
            self.one_of(b"-")?;
        }
        let day = self.number(2)?;
        let exists = (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        exists.then(|| days_from_date(year, month, day))
    }

    /// `hh`, `hh:mm`, `hh:mm:ss` or the same without colons, each with a fraction if it has seconds; in milliseconds
    /// and the nanoseconds beyond them.
    fn time(&mut self) -> Option<(i64, u32)> {
        let hour = self.number(2)?;
        let minute = self.next_part()?.unwrap_or(0);
        let second = self.next_part()?;
        let nanos = if second.is_some() { self.fraction()? } else { 0 };
        let second = second.unwrap_or(0);

        let millis = hour * HOUR + minute * MINUTE + second * SECOND + nanos / NANOS_PER_MILLI;
        let exists = minute <= 59 && second <= 60 && (hour <= 23 || millis == DAY);
        exists.then_some((millis, (nanos % NANOS_PER_MILLI) as u32))
    }

    /// Two more digits, with or without a colon before them.
    #[expect(clippy::option_option, reason = "outer: well-formed; inner: there at all")]
    fn next_part(&mut self) -> Option<Option<i64>> {
        if self.one_of(b":").is_some() || self.starts_with_digit() {
            return self.number(2).map(Some);
        }
        Some(None)
    }

    /// `.5` or `,5`, or nothing; in nanoseconds.
    fn fraction(&mut self) -> Option<i64> {
        if self.one_of(b".,").is_none() {
            return Some(0);
        }
        let end = self.0.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at(end);
        self.0 = rest;
        let digit = |at: usize| digits.get(at).map_or(0, |digit| i64::from(digit - b'0'));
        (!digits.is_empty()).then(|| (0..9).fold(0, |nanos, at| nanos * 10 + digit(at)))
    }

    /// `Z`, `+hh:mm`, `+hhmm`, `+hh` or nothing, as the milliseconds that zone is ahead of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.is_empty() || self.one_of(b"Zz").is_some() {
            return Some(0);
        }
        // A `+` that was not escaped in a URL arrives as a space.
        let sign = if self.one_of(b"+- ")? == b'-' { -1 } else { 1 };
        let hour = self.number(2)?;
        let minute = self.next_part()?.unwrap_or(0);
        (hour <= 23 && minute <= 59).then_some(sign * (hour * HOUR + minute * MINUTE))
    }
}

/// A time taken apart for printing. Years stay within 0 to 9999: what lies outside is shown as the nearest end.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    milli: i64,
}

impl Fields {
    fn of(time: Timestamp) -> Self {
        let millis = time.0.clamp(FIRST, LAST);
        let (year, month, day) = date_from_days(millis.div_euclid(DAY));
        let rest = millis.rem_euclid(DAY);
        Self {
            year,
            month,
            day,
            hour: rest / HOUR,
            minute: rest % HOUR / MINUTE,
            second: rest % MINUTE / SECOND,
            milli: rest % SECOND,
        }
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

// Both directions count years from March, which makes the leap day the last of its year: then the days before a month
// do not depend on the year, and run 0, 31, 61, 92, 122, 153 ..., which `(153 * month + 2) / 5` yields.

fn days_from_date(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - MARCH_ZERO_TO_EPOCH_DAYS
}

fn date_from_days(days: i64) -> (i64, i64, i64) {
    const CYCLE_DAYS: i64 = 400 * 365 + 97;
    const CENTURY_DAYS: i64 = 100 * 365 + 24;
    const FOUR_YEARS_DAYS: i64 = 4 * 365 + 1;

    let days = days + MARCH_ZERO_TO_EPOCH_DAYS;
    let (cycle, rest) = (days.div_euclid(CYCLE_DAYS), days.rem_euclid(CYCLE_DAYS));
    // The last day of the cycle and of each four years is a leap day: a fifth part, were it not for `min`.
    let century = (rest / CENTURY_DAYS).min(3);
    let rest = rest - century * CENTURY_DAYS;
    let (four_years, rest) = (rest / FOUR_YEARS_DAYS, rest % FOUR_YEARS_DAYS);
    let year = (rest / 365).min(3);
    let rest = rest - year * 365;

    let month = (5 * rest + 2) / 153;
    let day = rest - (153 * month + 2) / 5 + 1;
    let year = cycle * 400 + century * 100 + four_years * 4 + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(Timestamp::parse(text).unwrap().with_millis(), expected, "{text}");
    }

    #[track_caller]
    fn refuse(text: &str) {
        assert_eq!(Timestamp::parse(text), None, "{text}");
    }

    #[test]
    fn reads_every_calendar_form() {
        check("2026-01-20", "2026-01-20T00:00:00.000Z");
        check("20260120", "2026-01-20T00:00:00.000Z");
        check("2026-01-20T10", "2026-01-20T10:00:00.000Z");
        check("2026-01-20T10:00", "2026-01-20T10:00:00.000Z");
        check("2026-01-20t10:00:05z", "2026-01-20T10:00:05.000Z");
        check("2026-01-20 10:00:05", "2026-01-20T10:00:05.000Z");
        check("20260120T100005Z", "2026-01-20T10:00:05.000Z");
        check("20260120T1000", "2026-01-20T10:00:00.000Z");
        check("20260120T10+0100", "2026-01-20T09:00:00.000Z");
        check("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z");
        check("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
        check("2024-02-29", "2024-02-29T00:00:00.000Z");
        check("2000-02-29", "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn reads_fractions_down_to_milliseconds() {
        check("2026-01-20T10:00:00.5Z", "2026-01-20T10:00:00.500Z");
        check("2026-01-20T10:00:00,25", "2026-01-20T10:00:00.250Z");
        check("2026-01-20T10:00:00.123456789Z", "2026-01-20T10:00:00.123Z");
        check("2026-01-20T10:00:00.999999999+00:00", "2026-01-20T10:00:00.999Z");
    }

    #[test]
    fn reads_zones() {
        check("2026-01-20T10:00:00+02:00", "2026-01-20T08:00:00.000Z");
        check("2026-01-20T10:00:00 02:00", "2026-01-20T08:00:00.000Z");
        check("2026-01-20T10:00:00-0230", "2026-01-20T12:30:00.000Z");
        check("2026-01-20T10:00:00-03", "2026-01-20T13:00:00.000Z");
        check("2026-01-01T00:30+01", "2025-12-31T23:30:00.000Z");
    }

    #[test]
    fn reads_the_end_of_a_day_and_leap_seconds() {
        check("2026-01-20T24:00:00Z", "2026-01-21T00:00:00.000Z");
        check("2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z");
        refuse("2026-01-20T24:00:01Z");
        refuse("2026-01-20T25:00Z");
        refuse("2026-01-20T10:00:61Z");
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            " ",
            "now",
            "2026",
            "2026-1-2",
            "2026-01",
            "202601-20",
            "2026-0120",
            "2026-00-01",
            "2026-13-01",
            "2026-01-00",
            "2026-01-32",
            "2026-02-29",
            "1900-02-29",
            "2026-01-20T",
            "2026-01-20X10:00",
            "2026-01-20Z",
            "2026-01-20T1:00",
            "2026-01-20T10:60",
            "2026-01-20T10:00:00.",
            "2026-01-20T10:00.5",
            "2026-01-20T10:00:00ZZ",
            "2026-01-20T10:00:00+2",
            "2026-01-20T10:00:00+24:00",
            "2026-01-20T10:00:00+02:60",
            "2026-01-20T10:00:00 UTC",
            "+2026-01-20",
            "0000-01-01T00:00+01:00",
            "9999-12-31T23:59-01:00",
            "２０２６-01-20",
        ] {
            refuse(text);
        }
    }

    #[test]
    fn prints_whole_seconds() {
        check("1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59.999Z");
        assert_eq!(Timestamp::from_millis(-1).to_string(), "1969-12-31T23:59:59Z");
        assert_eq!(Timestamp::from_millis(0).to_string(), "1970-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_millis(i64::MIN).to_string(), "0000-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_millis(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }

    #[test]
    fn counts_without_overflow() {
        let (first, last) = (Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX));
        assert_eq!(last.since(first), Duration::from_millis(u64::MAX));
        assert_eq!(first.since(last), Duration::ZERO);
        assert_eq!(last.saturating_add(Duration::MAX), last);
        assert_eq!(first.saturating_sub(Duration::MAX), first);
    }

    #[test]
    fn a_fixed_clock_moves_only_when_told() {
        let clock = Clock::fixed(Timestamp::from_millis(5));
        let clone = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clone.now(), Timestamp::from_millis(2005));
    }

    /// Days since 1970 by walking year by year and month by month.
    fn walk(year: i64, month: i64, day: i64) -> i64 {
        let is_leap = |year: i64| year % 400 == 0 || (year % 4 == 0 && year % 100 != 0);
        let year_days = |year| if is_leap(year) { 366 } else { 365 };
        let years = if year >= 1970 {
            (1970..year).map(year_days).sum::<i64>()
        } else {
            -(year..1970).map(year_days).sum::<i64>()
        };
        let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        years + lengths[..month as usize - 1].iter().sum::<i64>() + day - 1
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(millis in FIRST..=LAST) {
            let time = Timestamp(millis);
            prop_assert_eq!(Timestamp::parse(&time.with_millis()), Some(time));
            let whole = Timestamp(millis - millis.rem_euclid(SECOND));
            prop_assert_eq!(Timestamp::parse(&time.to_string()), Some(whole));
        }

        #[test]
        fn dates_agree_with_counting_days(days in FIRST / DAY..=LAST / DAY) {
            let (year, month, day) = date_from_days(days);
            prop_assert!((1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day));
            prop_assert_eq!(walk(year, month, day), days);
            prop_assert_eq!(days_from_date(year, month, day), days);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}", tail in "[-0-9TZ:+., ]{0,30}") {
            let _ = Timestamp::parse(&text);
            let _ = Timestamp::parse(&format!("2026-01-20{tail}"));
        }

        #[test]
        fn texts_sort_as_times_do(a: i64, b: i64) {
            let (a, b) = (Timestamp(a.min(b)), Timestamp(a.max(b)));
            prop_assert!(a.with_millis() <= b.with_millis());
            prop_assert!(a.to_string() <= b.to_string());
        }
    }
}
