//! How much was logged when: which stretches of time a histogram is made of.

use crate::entry::LogTime;

/// Bars of a histogram: more are narrower than a finger or a word.
pub(crate) const BUCKETS_MAX: i64 = 120;
const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3600 * SECOND;
const DAY: i64 = 24 * HOUR;
/// Widths people think in.
const WIDTHS: [i64; 16] = [
    SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    60 * SECOND,
    300 * SECOND,
    600 * SECOND,
    1800 * SECOND,
    HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    7 * DAY,
    30 * DAY,
    365 * DAY,
];

/// Whole buckets of one width, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Buckets {
    pub(crate) width: i64,
    /// Where the first begins.
    pub(crate) from: i64,
    /// Where the last ends.
    pub(crate) to: i64,
}

impl Buckets {
    /// At most [`BUCKETS_MAX`] that cover all moments from `since` to `until`.
    pub(crate) fn covering(since: LogTime, until: LogTime) -> Self {
        let (since, until) = (since.nanos(), until.nanos().max(since.nanos()));
        let of = |width: i64| {
            let from = since.div_euclid(width).saturating_mul(width);
            let to = until.div_euclid(width).saturating_add(1).saturating_mul(width);
            Self { width, from, to }
        };
        let fits = |buckets: &Self| buckets.to.saturating_sub(buckets.from) / buckets.width <= BUCKETS_MAX;
        WIDTHS.into_iter().map(of).find(fits).unwrap_or_else(|| of(DAY * 365 * 3))
    }

    /// Whether they are made of whole hours.
    pub(crate) const fn are_hours(self) -> bool {
        self.width % HOUR == 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn covering(since: i64, until: i64) -> Buckets {
        Buckets::covering(LogTime::from_nanos(since), LogTime::from_nanos(until))
    }

    #[test]
    fn the_narrowest_width_that_fits_is_taken() {
        assert_eq!(covering(0, 59 * SECOND), Buckets { width: SECOND, from: 0, to: 60 * SECOND });
        assert_eq!(covering(1, HOUR), Buckets { width: 60 * SECOND, from: 0, to: HOUR + 60 * SECOND });
        assert_eq!(covering(HOUR + 1, DAY + HOUR).width, 1800 * SECOND);
        assert!(covering(0, 7 * DAY).are_hours());
    }

    proptest! {
        #[test]
        fn all_moments_are_covered_by_few_buckets(since in 0..i64::MAX, length in 0..i64::MAX) {
            let until = since.saturating_add(length);
            let Buckets { width, from, to } = covering(since, until);
            prop_assert!(from <= since && (until < to || to == i64::MAX));
            prop_assert!((to - from) / width <= BUCKETS_MAX);
        }
    }
}
