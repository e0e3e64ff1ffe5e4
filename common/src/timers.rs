//! Work that repeats on a named thread: once at start, then by the wall clock, until the service stops.

use std::io;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};
use crate::shutdown::Stop;

/// Background work calls SQLite and little else.
const STACK_BYTES: usize = 512 << 10;

/// Runs `work` at start and then whenever the wall clock passes a multiple of `every`, so that restarts neither skip
/// nor repeat it for long. A failure is logged; the next round tries again.
pub fn repeat<E: std::fmt::Display>(
    name: &'static str,
    every: Duration,
    clock: Clock,
    stop: Stop,
    mut work: impl FnMut(&Stop) -> Result<(), E> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(move || {
        loop {
            if let Err(error) = work(&stop) {
                log::warn!("{name}: {error}");
            }
            if stop.wait_timeout(until_next(every, clock.now())) {
                return;
            }
        }
    })
}

fn until_next(every: Duration, now: Timestamp) -> Duration {
    let every = (every.as_millis() as i64).max(1);
    Duration::from_millis((every - now.millis().rem_euclid(every)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_round_is_at_a_multiple_of_the_interval() {
        let at = Timestamp::from_millis;
        assert_eq!(until_next(Duration::from_secs(60), at(60_000)), Duration::from_secs(60));
        assert_eq!(until_next(Duration::from_secs(60), at(61_500)), Duration::from_millis(58_500));
    }
}
