//! Work that repeats on a named thread: once at start, then by the wall clock, until the service stops.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::clock::{Clock, Timestamp};
use crate::db;
use crate::prometheus::Page;
use crate::shutdown::Stop;
use crate::writer::{WriteError, Writer};

/// Background work calls SQLite and little else.
const STACK_BYTES: usize = 512 << 10;

/// Rounds that failed or panicked, of all repeated work in the process.
static FAILURES: AtomicU64 = AtomicU64::new(0);

/// Pages given back in one job: a few milliseconds, so that nobody waits long behind it.
const PAGES: u32 = 200;

/// Runs `work` at start and then whenever the wall clock passes a multiple of `every`, so that restarts neither skip
/// nor repeat it for long. A failure or panic is logged and counted; the next round tries again.
pub fn repeat<E: std::fmt::Display>(
    name: &'static str,
    every: Duration,
    clock: Clock,
    stop: Stop,
    mut work: impl FnMut(&Stop) -> Result<(), E> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name(name.into()).stack_size(STACK_BYTES).spawn(move || {
        loop {
            match catch_unwind(AssertUnwindSafe(|| work(&stop))) {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    FAILURES.fetch_add(1, Ordering::Relaxed);
                    log::warn!("{name}: {error}");
                }
                Err(_) => {
                    FAILURES.fetch_add(1, Ordering::Relaxed);
                    log::error!("{name}: panicked, the next round tries again");
                }
            }
            let next = next_after(clock.now(), every);
            // What is waited for runs by another clock, which may be ahead of the wall's.
            while let Some(left) = left_until(next, clock.now(), every) {
                if stop.wait_timeout(left) {
                    return;
                }
            }
            if stop.is_stopped() {
                return;
            }
        }
    })
}

/// Repeats a job until it finds nothing more to do, or it is time to stop; how much it did. Between two of them others have as
/// much time as one took.
pub fn in_slices(
    writer: &Writer,
    stop: &Stop,
    job: impl Fn(&Connection) -> rusqlite::Result<usize> + Send + Copy + 'static,
) -> Result<usize, WriteError> {
    let mut total = 0;
    loop {
        let began = Instant::now();
        let count = writer.call(job)?;
        total += count;
        if count == 0 || stop.wait_timeout(began.elapsed()) {
            return Ok(total);
        }
    }
}

/// After much was deleted: gives free pages back to the file system.
pub fn give_space_back(writer: &Writer, stop: &Stop) -> Result<(), WriteError> {
    in_slices(writer, stop, |tx| db::give_back_pages(tx, PAGES).map(|left| left as usize)).map(drop)
}

/// Appends how often repeated work failed.
pub fn render(page: &mut Page) {
    let failures = FAILURES.load(Ordering::Relaxed);
    page.counter("monlight_timer_failures_total", "Rounds of repeated work that failed.", failures);
}

fn next_after(now: Timestamp, every: Duration) -> Timestamp {
    let every = (every.as_millis() as i64).max(1);
    Timestamp::from_millis(now.millis() + every - now.millis().rem_euclid(every))
}

/// How long to wait for the next round; none when it is due, also because the clock was set back.
fn left_until(next: Timestamp, now: Timestamp, every: Duration) -> Option<Duration> {
    let left = Duration::from_millis(u64::try_from(next.millis() - now.millis()).ok()?);
    (!left.is_zero() && left <= every).then_some(left)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::testing::wait_for;

    #[test]
    fn a_round_that_fails_or_panics_is_counted_and_not_the_last() {
        let (stop, rounds) = (Stop::new(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&rounds);
        let failures_before = FAILURES.load(Ordering::Relaxed);
        let work = move |_: &Stop| match counted.fetch_add(1, Ordering::Relaxed) {
            0 => panic!("a round of a test panics"),
            1 => Err("a round of a test fails"),
            _ => Ok(()),
        };
        let thread = repeat("test", Duration::from_millis(1), Clock::System, stop.clone(), work).expect("a thread");
        wait_for("a round after those", || (rounds.load(Ordering::Relaxed) > 2).then_some(()));
        stop.stop();
        thread.join().expect("it ends");
        assert_eq!(FAILURES.load(Ordering::Relaxed), failures_before + 2);
    }

    #[test]
    fn a_clock_that_is_slowed_down_wakes_nobody_early() {
        let (at, every) = (Timestamp::from_millis, Duration::from_secs(60));
        assert_eq!(left_until(at(60_000), at(59_990), every), Some(Duration::from_millis(10)));
        assert_eq!(left_until(at(60_000), at(60_000), every), None);
        assert_eq!(left_until(at(60_000), at(99_000), every), None);
        // Set back by hours, it is not waited for.
        assert_eq!(left_until(at(99_000_000), at(60_000), every), None);
    }

    #[test]
    fn the_next_round_is_at_a_multiple_of_the_interval() {
        let at = Timestamp::from_millis;
        assert_eq!(next_after(at(60_000), Duration::from_secs(60)), at(120_000));
        assert_eq!(next_after(at(61_500), Duration::from_secs(60)), at(120_000));
    }
}
