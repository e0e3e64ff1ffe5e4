//! Which stretch of time a question is about, and in buckets of what length.

use std::time::Duration;

use common::clock::Timestamp;
use common::json::Invalid;
use common::query::Query;

use crate::store::pending::{SECONDS_PER_HOUR, SECONDS_PER_MINUTE};

const PERIOD_DEFAULT: &str = "24h";
/// Up to this length a question is answered in minutes, unless it says otherwise.
const MINUTES_UP_TO: i64 = 24 * SECONDS_PER_HOUR;
/// Longer than anything is kept.
const SECONDS_MAX: i64 = 200 * 366 * 24 * SECONDS_PER_HOUR;

/// The length of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resolution {
    Minute,
    Hour,
}

impl Resolution {
    /// Of one bucket.
    pub(crate) const fn seconds(self) -> i64 {
        match self {
            Self::Minute => SECONDS_PER_MINUTE,
            Self::Hour => SECONDS_PER_HOUR,
        }
    }

    /// The word in requests and answers.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
        }
    }

    /// The first second of the bucket that this second is in.
    pub(crate) const fn floor(self, second: i64) -> i64 {
        second - second.rem_euclid(self.seconds())
    }
}

/// Whole buckets, seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// As it was asked for; with `from` and `to` their distance.
    pub(crate) period: String,
    pub(crate) resolution: Resolution,
    /// The first second of the first bucket.
    pub(crate) from: i64,
    /// The first second after the last one.
    pub(crate) to: i64,
}

impl Window {
    /// Reads `period`, or `from` and `to`, and `resolution`. Minutes are kept for so long: what is older is answered in hours,
    /// unless minutes are asked for.
    pub(crate) fn parse(query: &Query, now: Timestamp, minutes_kept: Duration) -> Result<Self, Invalid> {
        let now = now.millis().div_euclid(1000);
        // The second that is not over yet belongs to it.
        let end = now + 1;
        let (period, from, to) = match time(query, "from")? {
            Some(from) => {
                let to = time(query, "to")?.unwrap_or(end);
                if from >= to {
                    return Err(Invalid::new(
                        "parameter 'from': expected a time before 'to', which is now when not given",
                    ));
                }
                (format!("{}s", to - from), from, to)
            }
            None if query.text("to").is_some() => {
                return Err(Invalid::new("parameter 'to': expected together with 'from'"));
            }
            None => {
                let period = query.text("period").unwrap_or(PERIOD_DEFAULT);
                let seconds = period_seconds(period).ok_or_else(|| {
                    Invalid::new(format!("parameter 'period': expected a number and s, m, h or d, got '{period}'"))
                })?;
                (period.to_owned(), end - seconds, end)
            }
        };
        let kept = now - minutes_kept.as_secs() as i64 - SECONDS_PER_MINUTE;
        let auto = if to - from <= MINUTES_UP_TO && from >= kept { Resolution::Minute } else { Resolution::Hour };
        let resolution = match query.text("resolution") {
            None | Some("auto") => auto,
            Some("minute") => Resolution::Minute,
            Some("hour") => Resolution::Hour,
            Some(other) => {
                return Err(Invalid::new(format!(
                    "parameter 'resolution': expected minute, hour or auto, got '{other}'"
                )));
            }
        };
        Ok(Self::of(period, resolution, from, to))
    }

    /// The buckets that hold any of these seconds; `to` is the first one behind them.
    fn of(period: String, resolution: Resolution, from: i64, to: i64) -> Self {
        let to = resolution.floor(to - 1) + resolution.seconds();
        Self { period, resolution, from: resolution.floor(from), to }
    }

    /// The same stretch in other buckets.
    pub(crate) fn with_resolution(&self, resolution: Resolution) -> Self {
        Self::of(self.period.clone(), resolution, self.from, self.to)
    }

    pub(crate) const fn seconds(&self) -> i64 {
        self.to - self.from
    }
}

/// Digits and one of `s`, `m`, `h`, `d`, two to ten characters.
fn period_seconds(period: &str) -> Option<i64> {
    if !(2..=10).contains(&period.len()) {
        return None;
    }
    let unit = match period.as_bytes()[period.len() - 1] {
        b's' => 1,
        b'm' => SECONDS_PER_MINUTE,
        b'h' => SECONDS_PER_HOUR,
        b'd' => 24 * SECONDS_PER_HOUR,
        _ => return None,
    };
    let digits = &period[..period.len() - 1];
    let number: i64 = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    (number > 0).then(|| (number * unit).min(SECONDS_MAX))
}

/// A time parameter, in seconds.
fn time(query: &Query, name: &str) -> Result<Option<i64>, Invalid> {
    let Some(text) = query.text(name) else { return Ok(None) };
    let time = Timestamp::parse(text).map(|at| at.millis().div_euclid(1000));
    let time = time.or_else(|| text.parse().ok().filter(|second: &i64| (0..=SECONDS_MAX).contains(second)));
    time.map(Some).ok_or_else(|| {
        Invalid::new(format!("parameter '{name}': expected an ISO 8601 time or seconds since 1970, got '{text}'"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-01-20T10:00:30Z
    const NOW: Timestamp = Timestamp::from_millis(1_768_903_230_500);
    const DAY: Duration = Duration::from_secs(86_400);

    fn parse(query: &str) -> Result<Window, String> {
        let query = Query::parse(query).expect("a query");
        Window::parse(&query, NOW, DAY).map_err(|invalid| invalid.detail)
    }

    #[track_caller]
    fn check(query: &str, resolution: Resolution, from: &str, to: &str) {
        let window = parse(query).expect("a window");
        let text = |second: i64| Timestamp::from_millis(second * 1000).to_string();
        assert_eq!(
            (window.resolution, text(window.from), text(window.to)),
            (resolution, from.into(), to.into()),
            "{query}"
        );
    }

    #[test]
    fn periods_end_now() {
        check("", Resolution::Minute, "2026-01-19T10:00:00Z", "2026-01-20T10:01:00Z");
        check("period=30s", Resolution::Minute, "2026-01-20T10:00:00Z", "2026-01-20T10:01:00Z");
        check("period=5m", Resolution::Minute, "2026-01-20T09:55:00Z", "2026-01-20T10:01:00Z");
        check("period=1440m", Resolution::Minute, "2026-01-19T10:00:00Z", "2026-01-20T10:01:00Z");
        check("period=25h", Resolution::Hour, "2026-01-19T09:00:00Z", "2026-01-20T11:00:00Z");
        check("period=2d", Resolution::Hour, "2026-01-18T10:00:00Z", "2026-01-20T11:00:00Z");
        check("period=1h&resolution=hour", Resolution::Hour, "2026-01-20T09:00:00Z", "2026-01-20T11:00:00Z");
        check("period=2d&resolution=minute", Resolution::Minute, "2026-01-18T10:00:00Z", "2026-01-20T10:01:00Z");
        assert_eq!(parse("period=0007d").map(|window| window.period), Ok("0007d".into()));
        assert!(parse("period=999999999d").is_ok());
    }

    #[test]
    fn the_first_second_of_a_bucket_is_in_it() {
        let now = Timestamp::from_millis(1_768_903_200_000);
        let window = Window::parse(&Query::parse("period=60s").expect("a query"), now, DAY).expect("a window");
        let second = now.millis() / 1000;
        assert_eq!((window.from, window.to), (second - 60, second + 60));
    }

    #[test]
    fn from_and_to_are_any_times() {
        check(
            "from=2026-01-20T08:30:10Z&to=2026-01-20T11:00:00%2B02:00",
            Resolution::Minute,
            "2026-01-20T08:30:00Z",
            "2026-01-20T09:00:00Z",
        );
        check("from=2026-01-01", Resolution::Hour, "2026-01-01T00:00:00Z", "2026-01-20T11:00:00Z");
        check("from=1768899600", Resolution::Minute, "2026-01-20T09:00:00Z", "2026-01-20T10:01:00Z");
        // Minutes are not kept so long.
        check(
            "from=2026-01-10T00:00&to=2026-01-10T01:00",
            Resolution::Hour,
            "2026-01-10T00:00:00Z",
            "2026-01-10T01:00:00Z",
        );
        assert_eq!(parse("from=2026-01-20T09:00:00Z").map(|window| window.period), Ok("3631s".into()));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for period in ["0h", "h", "1", "1w", "-1h", "+1h", "1.5h", "12345678901h", "1h ", "é", "1H"] {
            let query = format!("period={}", period.replace('+', "%2B"));
            assert!(parse(&query).expect_err(period).starts_with("parameter 'period'"), "{period}");
        }
        for (query, start) in [
            ("from=x", "parameter 'from': expected an ISO"),
            ("from=-5", "parameter 'from': expected an ISO"),
            ("from=2026-01-01&to=2025-01-01", "parameter 'from': expected a time before"),
            ("from=2027-01-01", "parameter 'from': expected a time before"),
            ("to=2026-01-01", "parameter 'to': expected together"),
            ("resolution=second", "parameter 'resolution': expected minute"),
        ] {
            assert!(parse(query).expect_err(query).starts_with(start), "{query}");
        }
    }
}
