//! Reads rollups bucket by bucket, closed ones from their table, others from what they will be made of: so an answer is never
//! older than the last commit.

use std::collections::BTreeMap;

use common::clock::Timestamp;
use rusqlite::Connection;

use super::pending;
use super::rollups::{self, Rollup, Tier};
use super::scan;
use crate::aggregate::{Merged, exactly};
use crate::series::{SeriesId, Type};
use crate::window::{Resolution, Window};

/// Buckets that are made anew for a question because points came late. While more are pending, which is after a standstill,
/// the others are shown as they are known.
const PENDING_MAX: usize = 3;
/// Totals of longer windows are read in hours: a day of minutes has sixty times as many rows.
const TOTALS_IN_MINUTES_UP_TO: i64 = 2 * pending::SECONDS_PER_HOUR;
/// Ids that are read without being asked for between two that are: fewer than another search costs.
const GAP_MAX: i64 = 16;

/// The series a question is about, by id, and their types.
pub(crate) type Wanted = BTreeMap<SeriesId, Type>;

/// Calls `each` with the first second of a bucket and a rollup in it: buckets ascending, and in each one the series. Without
/// `sketches` the rollups of closed buckets have none. It wants to be called on one state of the database.
pub(crate) fn for_each(
    conn: &Connection,
    window: &Window,
    wanted: &Wanted,
    sketches: bool,
    each: &mut dyn FnMut(i64, Rollup) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let runs = runs(wanted);
    let closed = Closed::of(conn, window)?;
    for bucket in closed.buckets(conn, window)? {
        if closed.is_rolled_up(bucket) {
            for run in &runs {
                let mut outcome = Ok(());
                rollups::for_each(conn, closed.tier(), bucket, *run, sketches, &mut |rollup| {
                    if outcome.is_ok() && wanted.contains_key(&rollup.series) {
                        outcome = each(bucket, rollup);
                    }
                })?;
                outcome?;
            }
        } else {
            for (_, rollup) in closed.make(conn, bucket, wanted, &runs)? {
                each(bucket, rollup)?;
            }
        }
    }
    Ok(())
}

/// From where to where the totals of a window come from which table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TotalSpans {
    hours_from: i64,
    minutes_from: i64,
    minutes_until: i64,
    to: i64,
}

impl TotalSpans {
    /// Long windows are read in hours as far as those go, and begin with the hour they begin in.
    pub(crate) fn of(conn: &Connection, window: &Window) -> rusqlite::Result<Self> {
        let minutes_until = pending::closed_until(conn)?.clamp(window.from, window.to);
        let (mut hours_from, mut minutes_from) = (window.from, window.from);
        if window.seconds() > TOTALS_IN_MINUTES_UP_TO {
            hours_from = Resolution::Hour.floor(window.from);
            minutes_from = hours_until(conn, hours_from, minutes_until)?;
        }
        Ok(Self { hours_from, minutes_from, minutes_until, to: window.to })
    }

    /// Calls `each` with series, number of values and their sum of every rollup: what comes is to be added up.
    pub(crate) fn for_each_closed(
        &self,
        conn: &Connection,
        each: &mut dyn FnMut(SeriesId, u64, f64),
    ) -> rusqlite::Result<()> {
        rollups::for_each_total(conn, Tier::Hours, self.hours_from, self.minutes_from, each)?;
        rollups::for_each_total(conn, Tier::Minutes, self.minutes_from, self.minutes_until, each)
    }

    /// The same of what is not rolled up.
    pub(crate) fn for_each_open(
        &self,
        conn: &Connection,
        each: &mut dyn FnMut(SeriesId, u64, f64),
    ) -> rusqlite::Result<()> {
        let [open, to] = [self.minutes_until, self.to].map(|second| Timestamp::from_millis(second * 1000));
        scan::for_each_total(conn, open, to, each)
    }

    /// Whether the rollups are the same.
    pub(crate) fn has_same_rollups(&self, other: &Self) -> bool {
        Self { to: 0, ..*self } == Self { to: 0, ..*other }
    }
}

/// The first second that no hour knows. An hour that got late points is nearly right, so only the newest ones are read again.
fn hours_until(conn: &Connection, from: i64, minutes_until: i64) -> rusqlite::Result<i64> {
    let open_hour = Resolution::Hour.floor(minutes_until).max(from);
    let newest = (open_hour - PENDING_MAX as i64 * Resolution::Hour.seconds()).max(from);
    let pending = pending::hours(conn, newest, open_hour)?;
    Ok(pending.first().map_or(open_hour, |hour| hour.bucket))
}

/// How far the tables go.
struct Closed {
    resolution: Resolution,
    /// The first second that no table of minutes knows.
    minutes_until: i64,
    /// The first second that the table of this resolution does not know.
    until: i64,
    /// Buckets before it that have got late points since.
    late: Vec<i64>,
    late_minutes: Vec<i64>,
}

impl Closed {
    fn of(conn: &Connection, window: &Window) -> rusqlite::Result<Self> {
        let newest = |pending: Vec<pending::Pending>| -> Vec<i64> {
            pending.iter().rev().take(PENDING_MAX).map(|pending| pending.bucket).collect()
        };
        let minutes_until = pending::closed_until(conn)?;
        let resolution = window.resolution;
        let until = resolution.floor(minutes_until);
        let late_minutes = newest(pending::minutes(conn, window.from, minutes_until)?);
        let late = match resolution {
            Resolution::Minute => late_minutes.clone(),
            Resolution::Hour => newest(pending::hours(conn, window.from, until)?),
        };
        Ok(Self { resolution, minutes_until, until, late, late_minutes })
    }

    const fn tier(&self) -> Tier {
        match self.resolution {
            Resolution::Minute => Tier::Minutes,
            Resolution::Hour => Tier::Hours,
        }
    }

    fn is_rolled_up(&self, bucket: i64) -> bool {
        bucket < self.until && !self.late.contains(&bucket)
    }

    /// The buckets of the window that may hold something, ascending.
    fn buckets(&self, conn: &Connection, window: &Window) -> rusqlite::Result<Vec<i64>> {
        let mut buckets = rollups::buckets(conn, self.tier(), window.from, window.to)?;
        buckets.extend(self.late.iter().filter(|bucket| (window.from..window.to).contains(*bucket)));
        let open = self.until.max(window.from);
        let seconds = self.resolution.seconds();
        buckets.extend((open..window.to).step_by(seconds as usize).filter(|bucket| *bucket >= self.until));
        buckets.sort_unstable();
        buckets.dedup();
        Ok(buckets)
    }

    /// The rollups of a bucket that no table knows yet.
    fn make(
        &self,
        conn: &Connection,
        bucket: i64,
        wanted: &Wanted,
        runs: &[[SeriesId; 2]],
    ) -> rusqlite::Result<BTreeMap<SeriesId, Rollup>> {
        let mut merged: BTreeMap<SeriesId, Merged> = BTreeMap::new();
        let mut add = |rollup: &Rollup| {
            if let Some(kind) = wanted.get(&rollup.series) {
                let merged = merged.entry(rollup.series).or_insert_with(|| Merged::new(*kind));
                merged.add(&rollup.aggregate, rollup.sketch.as_ref());
            }
        };
        if self.resolution == Resolution::Minute {
            return from_points(conn, bucket, bucket + 60, wanted);
        }
        let end = bucket + self.resolution.seconds();
        for minute in rollups::buckets(conn, Tier::Minutes, bucket, end.min(self.minutes_until))? {
            if self.late_minutes.contains(&minute) {
                continue;
            }
            for run in runs {
                rollups::for_each(conn, Tier::Minutes, minute, *run, true, &mut |rollup| add(&rollup))?;
            }
        }
        for minute in self.late_minutes.iter().filter(|minute| (bucket..end).contains(*minute)) {
            from_points(conn, *minute, minute + 60, wanted)?.values().for_each(&mut add);
        }
        if end > self.minutes_until {
            from_points(conn, bucket.max(self.minutes_until), end, wanted)?.values().for_each(&mut add);
        }
        let rollup = |(series, merged): (SeriesId, Merged)| {
            let aggregate = merged.aggregate()?;
            Some((series, Rollup { series, aggregate, sketch: merged.into_sketch() }))
        };
        Ok(merged.into_iter().filter_map(rollup).collect())
    }
}

/// Exact rollups of a stretch of points.
fn from_points(conn: &Connection, from: i64, to: i64, wanted: &Wanted) -> rusqlite::Result<BTreeMap<SeriesId, Rollup>> {
    let mut all = BTreeMap::new();
    let [from, to] = [from, to].map(|second| Timestamp::from_millis(second * 1000));
    scan::for_each_series(conn, from, to, &|series| wanted.contains_key(&series), &mut |series, count, values| {
        let kind = wanted.get(&series).copied().unwrap_or(Type::Gauge);
        if let Some((aggregate, sketch)) = exactly(kind, count, values) {
            all.insert(series, Rollup { series, aggregate, sketch });
        }
        Ok::<_, rusqlite::Error>(())
    })?;
    Ok(all)
}

/// The wanted ids as few stretches.
fn runs(wanted: &Wanted) -> Vec<[SeriesId; 2]> {
    let mut runs: Vec<[SeriesId; 2]> = Vec::new();
    for id in wanted.keys() {
        match runs.last_mut() {
            Some([_, last]) if id - *last <= GAP_MAX => *last = *id,
            _ => runs.push([*id, *id]),
        }
    }
    runs
}
