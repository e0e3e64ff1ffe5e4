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

/// Series that are put together at a time from the minutes of an hour that is not over: a few MB of sketches.
const SERIES_AT_ONCE: usize = 500;

/// The series a question is about, by id, and their types.
pub(crate) type Wanted = BTreeMap<SeriesId, Type>;

/// What is read.
pub(crate) struct Reading<'a> {
    pub(crate) window: &'a Window,
    pub(crate) wanted: &'a Wanted,
    /// Whether rollups of closed buckets have their sketches.
    pub(crate) sketches: bool,
    /// Whether the rollup of a series in a bucket may come in parts, in any order, for who adds them up anyway: then no
    /// more than one is held.
    pub(crate) in_parts: bool,
}

/// Calls `each` with the first second of a bucket and a rollup in it: buckets ascending, and in each one the series. It wants
/// to be called on one state of the database.
pub(crate) fn for_each<E: From<rusqlite::Error>>(
    conn: &Connection,
    reading: &Reading<'_>,
    each: &mut dyn FnMut(i64, Rollup) -> Result<(), E>,
) -> Result<(), E> {
    if reading.wanted.is_empty() {
        return Ok(());
    }
    let closed = Closed::of(conn, reading.window)?;
    let part = Part { conn, closed: &closed, wanted: reading.wanted, sketches: reading.sketches };
    for bucket in closed.buckets(conn, reading.window)? {
        let each = &mut |rollup| each(bucket, rollup);
        if closed.is_rolled_up(bucket) {
            part.known(closed.tier(), bucket, each)?;
        } else if reading.in_parts || closed.resolution == Resolution::Minute {
            part.make(bucket, each)?;
        } else {
            part.put_together(bucket, each)?;
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
        let minutes_until = pending::first_open(conn, window.to)?.clamp(window.from, window.to);
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
        let minutes_until = pending::first_open(conn, window.to)?;
        let resolution = window.resolution;
        let until = resolution.floor(minutes_until);
        let late_minutes = newest(pending::minutes(conn, window.from, minutes_until)?);
        let mut late = late_minutes.clone();
        if resolution == Resolution::Hour {
            // Its hour becomes pending only when such a minute is done.
            late = late_minutes.iter().map(|minute| resolution.floor(*minute)).collect();
            late.extend(newest(pending::hours(conn, window.from, until)?));
        }
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
        if self.resolution == Resolution::Hour && (window.from..window.to).contains(&self.until) {
            // It may have closed minutes only.
            buckets.push(self.until);
        }
        let mut from = self.minutes_until.max(window.from);
        while let Some(minute) = pending::next_with_points(conn, from, window.to)? {
            let bucket = self.resolution.floor(minute);
            buckets.push(bucket);
            from = bucket + self.resolution.seconds();
        }
        buckets.sort_unstable();
        buckets.dedup();
        Ok(buckets)
    }
}

/// Some of the series.
struct Part<'a> {
    conn: &'a Connection,
    closed: &'a Closed,
    wanted: &'a Wanted,
    sketches: bool,
}

impl Part<'_> {
    /// What a table has of a bucket.
    fn known<E: From<rusqlite::Error>>(
        &self,
        tier: Tier,
        bucket: i64,
        each: &mut dyn FnMut(Rollup) -> Result<(), E>,
    ) -> Result<(), E> {
        for run in runs(self.wanted) {
            rollups::for_each(self.conn, tier, bucket, run, self.sketches, &mut |rollup| {
                if self.wanted.contains_key(&rollup.series) { each(rollup) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    /// What a bucket that its table does not know is made of: minutes as far as those go, then points.
    fn make<E: From<rusqlite::Error>>(
        &self,
        bucket: i64,
        each: &mut dyn FnMut(Rollup) -> Result<(), E>,
    ) -> Result<(), E> {
        let Closed { resolution, minutes_until, late_minutes, .. } = self.closed;
        let end = bucket + resolution.seconds();
        if *resolution == Resolution::Minute {
            return self.of_points(bucket, end, each);
        }
        for minute in rollups::buckets(self.conn, Tier::Minutes, bucket, end.min(*minutes_until))? {
            if !late_minutes.contains(&minute) {
                self.known(Tier::Minutes, minute, each)?;
            }
        }
        for minute in late_minutes.iter().filter(|minute| (bucket..end).contains(*minute)) {
            self.of_points(*minute, minute + Resolution::Minute.seconds(), each)?;
        }
        if end > *minutes_until {
            self.of_points(bucket.max(*minutes_until), end, each)?;
        }
        Ok(())
    }

    /// The same with one rollup for each series.
    fn put_together<E: From<rusqlite::Error>>(
        &self,
        bucket: i64,
        each: &mut dyn FnMut(Rollup) -> Result<(), E>,
    ) -> Result<(), E> {
        let all: Vec<(SeriesId, Type)> = self.wanted.iter().map(|(id, kind)| (*id, *kind)).collect();
        for some in all.chunks(SERIES_AT_ONCE) {
            let wanted: Wanted = some.iter().copied().collect();
            let mut merged: BTreeMap<SeriesId, Merged> = BTreeMap::new();
            // Percentiles of several minutes come from sketches.
            Part { wanted: &wanted, sketches: true, ..*self }.make::<E>(
                bucket,
                &mut |Rollup { series, aggregate, sketch }| {
                    let kind = wanted.get(&series).copied().unwrap_or(Type::Gauge);
                    merged.entry(series).or_insert_with(|| Merged::new(kind)).add(&aggregate, sketch.as_ref());
                    Ok(())
                },
            )?;
            for (series, merged) in merged {
                if let Some(aggregate) = merged.aggregate() {
                    each(Rollup { series, aggregate, sketch: merged.into_sketch() })?;
                }
            }
        }
        Ok(())
    }

    /// Exact rollups of a stretch of points.
    fn of_points<E: From<rusqlite::Error>>(
        &self,
        from: i64,
        to: i64,
        each: &mut dyn FnMut(Rollup) -> Result<(), E>,
    ) -> Result<(), E> {
        let [from, to] = [from, to].map(|second| Timestamp::from_millis(second * 1000));
        let is_wanted = |series| self.wanted.contains_key(&series);
        scan::for_each_series(self.conn, from, to, &is_wanted, &mut |series, count, values| {
            let kind = self.wanted.get(&series).copied().unwrap_or(Type::Gauge);
            let rollup = exactly(kind, count, values);
            rollup.map_or(Ok(()), |(aggregate, sketch)| each(Rollup { series, aggregate, sketch }))
        })
    }
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

#[cfg(test)]
mod tests {
    use common::query::Query;

    use super::*;
    use crate::store::testing::{add_points, add_series, database};

    /// Ten hours after 1970, and 20 minutes.
    const NOW: i64 = 37_200;

    fn read(conn: &Connection, wanted: &Wanted, query: &str, in_parts: bool) -> Vec<(i64, Rollup)> {
        let query = Query::parse(query).expect("a query");
        let (now, kept) = (Timestamp::from_millis(NOW * 1000), std::time::Duration::from_secs(86_400));
        let window = Window::parse(&query, now, kept).expect("a window");
        let mut all = Vec::new();
        let reading = Reading { window: &window, wanted, sketches: true, in_parts };
        for_each::<rusqlite::Error>(conn, &reading, &mut |bucket, rollup| {
            all.push((bucket, rollup));
            Ok(())
        })
        .expect("read");
        all
    }

    /// 1,100 series with three values each in the open hour: in two closed minutes, one of them late, and in an open one.
    fn with_points() -> (Connection, Wanted) {
        let conn = database();
        let mut wanted = Wanted::new();
        for number in 0..1100 {
            let id = add_series(&conn, &format!("x{number}"), Type::Histogram);
            let value = id as f64;
            add_points(&conn, &[(id, 36_060_000, value), (id, 36_120_000, value * 2.0), (id, 37_190_000, value * 3.0)]);
            wanted.insert(id, Type::Histogram);
        }
        let sql = "INSERT OR REPLACE INTO _meta VALUES ('minutes_closed_until', 37140)";
        conn.execute(sql, []).expect("a row");
        for id in wanted.keys() {
            let (aggregate, sketch) = exactly(Type::Histogram, 1, std::iter::once(*id as f64)).expect("values");
            rollups::put(&conn, Tier::Minutes, 36_060, [&Rollup { series: *id, aggregate, sketch }]).expect("stored");
        }
        pending::mark_late(&conn, 36_120).expect("marked");
        (conn, wanted)
    }

    #[test]
    fn the_open_hour_has_one_rollup_for_each_series_however_many_there_are() {
        let (conn, wanted) = with_points();
        let whole = read(&conn, &wanted, "period=1h&resolution=hour", false);
        let found: Vec<_> =
            whole.iter().map(|(bucket, rollup)| (*bucket, rollup.series, rollup.aggregate.count)).collect();
        let expected: Vec<_> = wanted.keys().map(|id| (36_000, *id, 3)).collect();
        assert_eq!(found, expected);
        let sum = |rollups: &[(i64, Rollup)]| rollups.iter().map(|(_, rollup)| rollup.aggregate.sum).sum::<f64>();
        let parts = read(&conn, &wanted, "period=1h&resolution=hour", true);
        assert_eq!(parts.len(), 3300);
        assert!((sum(&parts) - sum(&whole)).abs() < 1e-6);
    }

    #[test]
    fn minutes_come_once_whether_closed_late_or_open() {
        let (conn, wanted) = with_points();
        let rows = read(&conn, &wanted, "period=1h", false);
        let mut buckets: Vec<i64> = rows.iter().map(|(bucket, _)| *bucket).collect();
        buckets.dedup();
        assert_eq!((rows.len(), buckets), (3300, vec![36_060, 36_120, 37_140]));
        assert_eq!(read(&conn, &Wanted::new(), "period=1h", false), []);
    }

    #[test]
    fn what_each_refuses_ends_it() {
        let (conn, wanted) = with_points();
        let query = Query::parse("from=1970-01-01T10:00:00Z&to=1970-01-01T11:00:00Z").expect("a query");
        let window =
            Window::parse(&query, Timestamp::from_millis(NOW * 1000), std::time::Duration::ZERO).expect("a window");
        for in_parts in [false, true] {
            let mut seen = 0;
            let reading = Reading { window: &window, wanted: &wanted, sketches: false, in_parts };
            let outcome = for_each(&conn, &reading, &mut |_, _| {
                seen += 1;
                Err(rusqlite::Error::InvalidQuery)
            });
            assert_eq!((outcome, seen), (Err(rusqlite::Error::InvalidQuery), 1));
        }
    }

    #[test]
    fn nothing_is_looked_for_where_nothing_can_be() {
        let conn = database();
        let id = add_series(&conn, "x", Type::Counter);
        let wanted = Wanted::from([(id, Type::Counter)]);
        let (aggregate, sketch) = exactly(Type::Counter, 1, std::iter::once(5.0)).expect("values");
        let old = Rollup { series: id, aggregate, sketch };
        rollups::put(&conn, Tier::Hours, 3600, [&old]).expect("stored");
        rollups::put(&conn, Tier::Minutes, 36_060, [&old]).expect("stored");
        // No minute has been closed yet: as in a file of the original that has no values of its last hour.
        assert_eq!(read(&conn, &wanted, "period=9999d&resolution=hour", true), [(3600, old.clone())]);
        assert_eq!(read(&conn, &wanted, "period=9999d&resolution=minute", true), [(36_060, old.clone())]);
        // A point long after the newest rollup, and minutes between that nobody has closed: there were no points.
        add_points(&conn, &[(id, 37_190_000, 7.0)]);
        let counts = |query: &str| {
            let rows = read(&conn, &wanted, query, false);
            rows.iter().map(|(bucket, rollup)| (*bucket, rollup.aggregate.sum)).collect::<Vec<_>>()
        };
        assert_eq!(counts("period=9999d&resolution=minute"), [(36_060, 5.0), (37_140, 7.0)]);
        assert_eq!(counts("period=9999d&resolution=hour"), [(3600, 5.0), (36_000, 12.0)]);
    }
}
