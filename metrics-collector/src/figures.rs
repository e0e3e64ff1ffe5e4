//! How far rollups are, counted where it happens and read by `/health` and `/metrics`.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::clock::Timestamp;
use common::prometheus::Page;
use rusqlite::Connection;

use crate::store::pending::{self, SECONDS_PER_HOUR};
use crate::store::rollups::{self, Tier};
use crate::store::scan;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What the aggregator has done.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) minutes: Work,
    pub(crate) hours: Work,
    /// Points stored since the start.
    points: AtomicU64,
    deleted: AtomicU64,
    /// All below are of the last round. Milliseconds; 0 before the first one.
    round_at: AtomicI64,
    pending_minutes: AtomicU64,
    pending_hours: AtomicU64,
    /// Seconds; 0 for none.
    newest_bucket: AtomicI64,
    /// Points of the 24 hours before it, and how many were stored since the start by then.
    day: AtomicU64,
    points_at_round: AtomicU64,
}

/// How often something was done, and how long it took.
#[derive(Debug, Default)]
pub(crate) struct Work {
    done: AtomicU64,
    micros: AtomicU64,
}

/// What `/health` tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Health {
    /// With times of the 24 hours before the last round, and all since.
    pub(crate) received_day: u64,
    /// The start of the newest minute or hour that is rolled up.
    pub(crate) newest_bucket: Option<Timestamp>,
    /// How long ago a round ended that left nothing to do; none before the first one.
    pub(crate) lag: Option<Duration>,
}

impl Work {
    /// Counts it if it succeeds.
    pub(crate) fn time<E>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<(), E> {
        let began = Instant::now();
        work()?;
        self.done.fetch_add(1, Ordering::Relaxed);
        self.micros.fetch_add(began.elapsed().as_micros() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// How often, since the start.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    fn render(&self, page: &mut Page, what: &str) {
        let [done, seconds] = ["total", "seconds_total"].map(|end| format!("monlight_rollup_{what}_{end}"));
        page.counter(&done, &format!("Rollups of {what}, repeated ones included."), self.done.load(Ordering::Relaxed));
        let spent = self.micros.load(Ordering::Relaxed) as f64 / 1e6;
        page.counter(&seconds, "Time they took.", spent);
    }
}

impl Figures {
    /// Called with each batch of points that was stored.
    pub(crate) fn points_stored(&self, count: u64) {
        self.points.fetch_add(count, Ordering::Relaxed);
    }

    /// Called when points were deleted.
    pub(crate) fn points_deleted(&self, count: u64) {
        self.deleted.fetch_add(count, Ordering::Relaxed);
    }

    /// Looks at where a round has led to.
    pub(crate) fn note_round(&self, conn: &Connection, now: Timestamp) -> rusqlite::Result<()> {
        let points = self.points.load(Ordering::Relaxed);
        self.day.store(points_since(conn, now.saturating_sub(DAY))?, Ordering::Relaxed);
        self.points_at_round.store(points, Ordering::Relaxed);
        self.newest_bucket.store(rollups::newest_bucket(conn)?.unwrap_or(0), Ordering::Relaxed);
        let [minutes, hours] = [pending::minutes(conn, 0, i64::MAX)?.len(), pending::hours(conn, 0, i64::MAX)?.len()];
        self.pending_minutes.store(minutes as u64, Ordering::Relaxed);
        self.pending_hours.store(hours as u64, Ordering::Relaxed);
        self.round_at.store(now.millis(), Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn health(&self, now: Timestamp) -> Health {
        let of = |figure: &AtomicI64| Some(figure.load(Ordering::Relaxed)).filter(|value| *value != 0);
        let since_round =
            self.points.load(Ordering::Relaxed).saturating_sub(self.points_at_round.load(Ordering::Relaxed));
        Health {
            received_day: self.day.load(Ordering::Relaxed) + since_round,
            newest_bucket: of(&self.newest_bucket).map(|second| Timestamp::from_millis(second * 1000)),
            lag: of(&self.round_at).map(|at| now.since(Timestamp::from_millis(at))),
        }
    }

    /// Appends the figures for `/metrics`.
    pub(crate) fn render(&self, page: &mut Page, now: Timestamp) {
        let load = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        page.counter("monlight_points_total", "Points stored.", load(&self.points));
        page.counter("monlight_points_deleted_total", "Points deleted because of their age.", load(&self.deleted));
        self.minutes.render(page, "minutes");
        self.hours.render(page, "hours");
        page.gauge(
            "monlight_rollup_pending_minutes",
            "Closed minutes that are to be rolled up.",
            load(&self.pending_minutes),
        );
        page.gauge("monlight_rollup_pending_hours", "Hours that are to be rolled up.", load(&self.pending_hours));
        if let Some(lag) = self.health(now).lag {
            page.gauge(
                "monlight_rollup_lag_seconds",
                "Time since all closed minutes were rolled up.",
                lag.as_secs_f64(),
            );
        }
    }
}

/// From the coarsest tables that know them: hours, minutes of hours that are not rolled up, points of open minutes.
fn points_since(conn: &Connection, since: Timestamp) -> rusqlite::Result<u64> {
    let second = since.millis().div_euclid(1000);
    let first_hour = second - second.rem_euclid(SECONDS_PER_HOUR) + SECONDS_PER_HOUR;
    let closed_until = pending::closed_until(conn)?;
    let open_hour = closed_until - closed_until.rem_euclid(SECONDS_PER_HOUR);
    let hours_until = pending::first_hour(conn)?.unwrap_or(open_hour).min(open_hour).max(first_hour);
    let open = Timestamp::from_millis(closed_until * 1000).max(since);
    Ok(rollups::count(conn, Tier::Minutes, second, first_hour)?
        + rollups::count(conn, Tier::Hours, first_hour, hours_until)?
        + rollups::count(conn, Tier::Minutes, hours_until, closed_until)?
        + scan::count(conn, open, Timestamp::from_millis(i64::MAX >> 22))?)
}
