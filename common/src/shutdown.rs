//! How the process is told to stop, and how everything that waits hears of it.

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a shell reports for a program ended by Ctrl-C.
const INTERRUPTED: i32 = 130;
const STACK_BYTES: usize = 64 * 1024;

/// Tells its clones, one for each thread that waits, that it is time to stop. Once stopped it stays so.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<State>);

#[derive(Debug, Default)]
struct State {
    stopped: Mutex<bool>,
    changed: Condvar,
    failure: OnceLock<String>,
}

impl Stop {
    /// One that has not been told yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes everybody who waits.
    pub fn stop(&self) {
        *self.stopped() = true;
        self.0.changed.notify_all();
    }

    /// Stops because something broke without which the service is of no use: whoever supervises it starts it anew. While it
    /// stops already, parts may well miss each other, and nothing has failed.
    pub fn fail(&self, why: impl Into<String>) {
        let mut stopped = self.stopped();
        if !*stopped {
            *stopped = true;
            let why = self.0.failure.get_or_init(|| why.into());
            log::error!("{why}");
            self.0.changed.notify_all();
        }
    }

    /// What broke, if that is why it is time to stop.
    pub fn failure(&self) -> Option<&str> {
        self.0.failure.get().map(String::as_str)
    }

    /// Whether it is time to stop.
    pub fn is_stopped(&self) -> bool {
        *self.stopped()
    }

    /// Waits until it is time to stop.
    pub fn wait(&self) {
        drop(self.0.changed.wait_while(self.stopped(), |stopped| !*stopped));
    }

    /// Waits for `duration` or until it is time to stop; true when it is.
    pub fn wait_timeout(&self, duration: Duration) -> bool {
        let waited = self.0.changed.wait_timeout_while(self.stopped(), duration, |stopped| !*stopped);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn stopped(&self) -> MutexGuard<'_, bool> {
        self.0.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// From now on the first SIGTERM or SIGINT stops `stop`, and a second one ends the process at once with code 130.
pub fn on_signals(stop: &Stop) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let stop = stop.clone();
    let watch = move || {
        for _ in signals.forever() {
            if stop.is_stopped() {
                // Without exit handlers: whoever asks twice wants no more waiting.
                signal_hook::low_level::exit(INTERRUPTED);
            }
            stop.stop();
        }
    };
    thread::Builder::new().name("signals".into()).stack_size(STACK_BYTES).spawn(watch)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use signal_hook::low_level::raise;
    use std::process::Command;
    use std::time::Instant;

    const LONG: Duration = Duration::from_mins(1);

    #[test]
    fn waits_until_time_is_up() {
        let stop = Stop::new();
        assert!(!stop.wait_timeout(Duration::from_millis(1)));
        assert!(!stop.is_stopped());
    }

    #[test]
    fn wakes_everybody_and_stays_stopped() {
        let stop = Stop::new();
        let waiting = [(); 3].map(|()| {
            let stop = stop.clone();
            thread::spawn(move || stop.wait_timeout(LONG))
        });
        stop.stop();
        for thread in waiting {
            assert!(thread.join().unwrap());
        }
        assert!(stop.is_stopped() && stop.wait_timeout(LONG));
    }

    #[test]
    fn a_failure_stops_but_a_stop_does_not_fail() {
        let stop = Stop::new();
        stop.fail("no way");
        assert!(stop.is_stopped());
        assert_eq!(stop.failure(), Some("no way"));
        let stop = Stop::new();
        stop.stop();
        stop.fail("too late");
        assert_eq!(stop.failure(), None);
    }

    /// Signals reach the whole process, so this test runs itself again in one of its own.
    #[test]
    fn the_first_signal_stops_and_the_second_exits() {
        const CHILD: &str = "MONLIGHT_TEST_SIGNALS";
        if std::env::var_os(CHILD).is_some() {
            let stop = Stop::new();
            on_signals(&stop).unwrap();
            raise(SIGTERM).unwrap();
            assert!(stop.wait_timeout(LONG));
            raise(SIGINT).unwrap();
            thread::sleep(LONG);
        }
        let started = Instant::now();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "shutdown::tests::the_first_signal_stops_and_the_second_exits"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(INTERRUPTED), "{output:?}");
        assert!(started.elapsed() < LONG);
    }
}
