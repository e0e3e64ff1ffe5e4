//! How often an error was seen in each of the last 24 hours, small enough to be kept with its group.

use common::clock::Timestamp;

/// Hours that are told apart.
pub(crate) const HOURS: usize = 24;
const MILLIS_PER_HOUR: i64 = 3_600_000;

/// Counts by the hour, the last of them being `hour`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Activity {
    /// Since 1970.
    hour: u32,
    /// The oldest first.
    counts: [u32; HOURS],
}

impl Activity {
    /// Nothing yet, as seen at this time.
    pub(crate) fn none(now: Timestamp) -> Self {
        Self { hour: hour_of(now), counts: [0; HOURS] }
    }

    /// One more now. A clock that was set back counts in the hour that was the last.
    pub(crate) fn count(self, now: Timestamp) -> Self {
        let mut moved = self.moved_to(hour_of(now));
        moved.counts[HOURS - 1] = moved.counts[HOURS - 1].saturating_add(1);
        moved
    }

    /// The counts of the 24 hours up to now, the oldest first; the hour that is not over is the last.
    pub(crate) fn until(self, now: Timestamp) -> [u32; HOURS] {
        self.moved_to(hour_of(now)).counts
    }

    fn moved_to(mut self, hour: u32) -> Self {
        let passed = hour.saturating_sub(self.hour) as usize;
        self.counts.rotate_left(passed.min(HOURS) % HOURS);
        let first_new = HOURS - passed.min(HOURS);
        self.counts[first_new..].fill(0);
        self.hour = self.hour.max(hour);
        self
    }

    /// As it is stored: the hour, then the counts, each four bytes, the highest first.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        std::iter::once(self.hour).chain(self.counts).flat_map(u32::to_be_bytes).collect()
    }

    /// None for what is none, such as the NULL of a group that was there before activity was kept.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(4).map(|four| u32::from_be_bytes([four[0], four[1], four[2], four[3]]));
        let hour = numbers.next()?;
        let mut counts = [0; HOURS];
        for count in &mut counts {
            *count = numbers.next()?;
        }
        Some(Self { hour, counts })
    }
}

fn hour_of(time: Timestamp) -> u32 {
    u32::try_from(time.millis().div_euclid(MILLIS_PER_HOUR)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_millis(hour * MILLIS_PER_HOUR + 1)
    }

    proptest! {
        #[test]
        fn counts_are_those_of_the_last_day(mut hours in prop::collection::vec(100..200_i64, 0..50), later in 0..40_i64) {
            hours.sort_unstable();
            let now = hours.last().unwrap_or(&100) + later;
            let seen = hours.iter().fold(Activity::none(at(100)), |activity, hour| activity.count(at(*hour)));
            let expected: Vec<u32> = (now - 23..=now)
                .map(|hour| hours.iter().filter(|seen| **seen == hour).count() as u32)
                .collect();
            prop_assert_eq!(seen.until(at(now)).to_vec(), expected);
            prop_assert_eq!(Activity::from_bytes(&seen.to_bytes()), Some(seen));
        }
    }

    #[test]
    fn a_clock_set_back_loses_nothing() {
        let activity = Activity::none(at(50)).count(at(50)).count(at(40));
        assert_eq!(activity.until(at(50))[HOURS - 1], 2);
        assert_eq!(activity.until(at(40))[HOURS - 1], 2);
    }

    #[test]
    fn what_is_no_activity_is_none() {
        for bytes in [&b""[..], b"abc", &[0; 99]] {
            assert_eq!(Activity::from_bytes(bytes), None);
        }
    }
}
