//! How often one client may ask: a sliding log of the last minute's requests. Pure counting: it is handed the time, and
//! whoever shares it between threads puts it behind a mutex.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::mem;

use crate::clock::Timestamp;

const WINDOW_MILLIS: i64 = 60_000;

/// Refused: how many whole seconds to wait before the next request is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryAfter(pub u64);

/// At most so many requests in any minute, for each client by itself.
///
/// Clients live in two generations. A client that asks moves to the young one; when that is full or a minute old, the
/// old one is forgotten and the young one takes its place. So a client who is silent for two minutes costs nothing,
/// and only with more than `clients_max / 2` clients in a minute are some forgotten early: those silent the longest.
/// Memory is at most about `clients_max * (8 * per_minute + 100)` bytes, and grows only with requests that came.
#[derive(Debug)]
pub struct RateLimit {
    per_minute: usize,
    generation_clients_max: usize,
    young: Generation,
    old: Generation,
    /// When `young` began.
    began: i64,
    /// The latest time seen.
    latest: i64,
    hasher: RandomState,
}

/// By a keyed hash of the client's name: names can be long, and chosen by strangers.
type Generation = HashMap<u64, Allowed>;

/// When a client's requests were allowed, oldest first: the low bits of the milliseconds, enough for what is at most
/// minutes old.
type Allowed = VecDeque<u32>;

impl RateLimit {
    /// `per_minute` 0 allows everything. At least two clients are remembered.
    pub fn new(per_minute: u32, clients_max: usize) -> Self {
        Self {
            per_minute: per_minute as usize,
            generation_clients_max: (clients_max / 2).max(1),
            young: Generation::new(),
            old: Generation::new(),
            began: i64::MIN,
            latest: i64::MIN,
            hasher: RandomState::new(),
        }
    }

    /// Counts a request, or refuses it and does not count it.
    pub fn check(&mut self, client: &str, now: Timestamp) -> Result<(), RetryAfter> {
        if self.per_minute == 0 {
            return Ok(());
        }
        let now = self.advance(now.millis());
        let client = self.hasher.hash_one(client);
        let per_minute = self.per_minute;
        let allowed = self.allowed(client);

        let age = |time: u32| i64::from((now as u32).wrapping_sub(time));
        while allowed.pop_front_if(|time| age(*time) >= WINDOW_MILLIS).is_some() {}
        match allowed.front() {
            Some(oldest) if allowed.len() >= per_minute => {
                let wait = WINDOW_MILLIS - age(*oldest);
                Err(RetryAfter((wait as u64).div_ceil(1000)))
            }
            _ => {
                allowed.push_back(now as u32);
                Ok(())
            }
        }
    }

    /// Retires generations. Returns the time, which never runs backwards: threads may come a little late, and a clock
    /// may be set. One that is set back by more than the window starts over, or nobody would be let in.
    fn advance(&mut self, now: i64) -> i64 {
        let is_set_back = now < self.latest.saturating_sub(WINDOW_MILLIS);
        let now = if is_set_back { now } else { now.max(self.latest) };
        self.latest = now;

        let age = now.saturating_sub(self.began);
        if is_set_back || age >= 2 * WINDOW_MILLIS {
            self.young = Generation::new();
            self.old = Generation::new();
            self.began = now;
        } else if age >= WINDOW_MILLIS {
            self.retire(now);
        }
        now
    }

    fn retire(&mut self, now: i64) {
        self.old = mem::take(&mut self.young);
        self.began = now;
    }

    /// The client's entry in the young generation.
    fn allowed(&mut self, client: u64) -> &mut Allowed {
        if !self.young.contains_key(&client) {
            let allowed = self.old.remove(&client).unwrap_or_default();
            if self.young.len() >= self.generation_clients_max {
                self.retire(self.latest);
            }
            self.young.insert(client, allowed);
        }
        self.young.entry(client).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Half a minute before the low 32 bits of the milliseconds run over.
    const START: i64 = (415 << 32) - 30_000;

    #[track_caller]
    fn check(limit: &mut RateLimit, client: &str, millis: i64, expected: Result<(), u64>) {
        let result = limit.check(client, Timestamp::from_millis(START + millis));
        assert_eq!(result, expected.map_err(RetryAfter), "{client} at {millis}");
    }

    #[test]
    fn allows_so_many_in_any_minute() {
        let mut limit = RateLimit::new(3, 100);
        for millis in [0, 0, 20_000] {
            check(&mut limit, "a", millis, Ok(()));
        }
        check(&mut limit, "a", 20_000, Err(40));
        check(&mut limit, "a", 20_001, Err(40));
        check(&mut limit, "a", 59_000, Err(1));
        check(&mut limit, "a", 59_999, Err(1));
        check(&mut limit, "b", 59_999, Ok(()));
        // Refused requests did not count, and a request exactly a minute ago counts no more.
        check(&mut limit, "a", 60_000, Ok(()));
        check(&mut limit, "a", 60_000, Ok(()));
        check(&mut limit, "a", 60_000, Err(20));
        check(&mut limit, "a", 80_000, Ok(()));
        check(&mut limit, "a", 80_000, Err(40));
    }

    #[test]
    fn zero_is_off() {
        let mut limit = RateLimit::new(0, 100);
        for _ in 0..10_000 {
            check(&mut limit, "a", 0, Ok(()));
        }
        assert!(limit.young.is_empty());
    }

    #[test]
    fn forgets_after_any_silence() {
        let mut limit = RateLimit::new(1, 100);
        // Twice the range of a `u32` later the old time looks like now.
        for millis in [0, 60_000, 120_000, 239_999, 240_000 + (1 << 32), 300_000 + (2 << 32)] {
            check(&mut limit, "a", millis, Ok(()));
            check(&mut limit, "a", millis, Err(60));
        }
        check(&mut limit, "b", 360_000 + (2 << 32), Ok(()));
        check(&mut limit, "b", 420_000 + (2 << 32), Ok(()));
        assert_eq!(limit.young.len() + limit.old.len(), 1);
    }

    #[test]
    fn bounds_the_clients_and_keeps_the_latest() {
        let mut limit = RateLimit::new(1, 100);
        for client in 0..10_000 {
            check(&mut limit, &client.to_string(), 0, Ok(()));
            check(&mut limit, "busy", 0, if client == 0 { Ok(()) } else { Err(60) });
            assert!(limit.young.len() + limit.old.len() <= 100);
        }
        for client in 9960..10_000 {
            check(&mut limit, &client.to_string(), 0, Err(60));
        }
        check(&mut limit, "0", 0, Ok(()));
    }

    #[test]
    fn a_clock_that_runs_backwards_locks_nobody_out() {
        let mut limit = RateLimit::new(1, 100);
        check(&mut limit, "a", 0, Ok(()));
        check(&mut limit, "a", -5, Err(60));
        check(&mut limit, "a", -3_600_000, Ok(()));
        check(&mut limit, "a", -3_600_000, Err(60));
        check(&mut limit, "a", -3_540_000, Ok(()));
    }

    proptest! {
        /// Against the rule as the contract words it.
        #[test]
        fn agrees_with_the_rule(
            per_minute in 1_u32..6,
            steps in prop::collection::vec((0_i64..40_000, 0_usize..3), 1..200),
        ) {
            let mut limit = RateLimit::new(per_minute, 100);
            let mut allowed: [Vec<i64>; 3] = Default::default();
            let mut now = START;
            for (step, client) in steps {
                now += step / 3;
                let counted: Vec<i64> = allowed[client].iter().copied().filter(|time| *time > now - 60_000).collect();
                let expected = if counted.len() < per_minute as usize {
                    allowed[client].push(now);
                    Ok(())
                } else {
                    Err(RetryAfter(((counted[0] + 60_000 - now) as u64).div_ceil(1000)))
                };
                prop_assert_eq!(limit.check(&client.to_string(), Timestamp::from_millis(now)), expected);
            }
        }
    }
}
