//! A log entry: what a container said at one moment, on one or several lines.

use std::fmt;

use common::clock::Timestamp;

const NANOS_PER_MILLI: i64 = 1_000_000;

/// A point in time: nanoseconds since `1970-01-01T00:00:00Z`, as Docker writes them.
///
/// It reaches from 1677 to 2262; what lies outside is the nearest end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LogTime(i64);

impl LogTime {
    pub(crate) const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    pub(crate) const fn nanos(self) -> i64 {
        self.0
    }

    /// How long ago `earlier` was, whole seconds; 0 when it was not.
    pub(crate) const fn seconds_since(self, earlier: Self) -> i64 {
        let nanos = self.0.saturating_sub(earlier.0);
        if nanos < 0 { 0 } else { nanos / 1_000_000_000 }
    }

    /// Reads any ISO 8601 form that [`Timestamp::parse`] reads, with up to nine digits of a second kept.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (time, nanos) = Timestamp::parse_with_nanos(text)?;
        Some(Self(Self::from(time).0.saturating_add(i64::from(nanos))))
    }
}

impl From<Timestamp> for LogTime {
    fn from(time: Timestamp) -> Self {
        Self(time.millis().saturating_mul(NANOS_PER_MILLI))
    }
}

/// `2026-01-20T10:00:00.123456789Z`: always nine digits, so that texts sort as times do.
impl fmt::Display for LogTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = Timestamp::from_millis(self.0.div_euclid(NANOS_PER_MILLI)).with_millis();
        write!(f, "{}{:06}Z", text.trim_end_matches('Z'), self.0.rem_euclid(NANOS_PER_MILLI))
    }
}

/// Where a container wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    /// Docker's word.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How grave an entry is. The order is that of gravity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

impl Level {
    pub(crate) const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The word that is stored, shown and filtered by.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Critical => "CRITICAL",
        }
    }
}

/// An entry that is not stored yet; it has no id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NewEntry {
    /// Of its first line.
    pub(crate) time: LogTime,
    pub(crate) stream: Stream,
    pub(crate) level: Level,
    /// Lines joined by `\n`, without the last one's.
    pub(crate) message: String,
}

/// A stored entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Ids grow in the order of arrival.
    pub(crate) id: i64,
    /// The container's name.
    pub(crate) container: String,
    pub(crate) time: LogTime,
    pub(crate) stream: Stream,
    pub(crate) level: Level,
    pub(crate) message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, shown: &str) {
        assert_eq!(LogTime::parse(text).expect("a time").to_string(), shown);
    }

    #[test]
    fn times_keep_nine_digits() {
        check("2026-11-23T02:12:51.261236969Z", "2026-11-23T02:12:51.261236969Z");
        check("2026-11-23T02:12:51.26Z", "2026-11-23T02:12:51.260000000Z");
        check("2026-11-23T02:12:51.2612369691234+02:00", "2026-11-23T00:12:51.261236969Z");
        check("1969-12-31T23:59:59.999999999Z", "1969-12-31T23:59:59.999999999Z");
        check("2026-11-23", "2026-11-23T00:00:00.000000000Z");
        assert_eq!(LogTime::parse("yesterday"), None);
    }
}
