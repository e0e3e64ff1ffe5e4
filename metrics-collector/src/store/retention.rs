//! Deletes what is old, in slices that take some milliseconds each.
//!
//! Each tier is kept at least as long as the finer one, and minutes by whole hours: so a point that comes late, as late as
//! it is accepted, finds all that its minute and its hour are made of. What is not rolled up is never deleted.

use std::time::Duration;

use common::clock::Timestamp;
use common::db;
use rusqlite::{Connection, OptionalExtension as _};

use super::pending::{self, SECONDS_PER_HOUR};
use super::points;
use crate::config::Retention;
use crate::series::SeriesId;

/// Points are kept so much longer than they are accepted: a batch may wait for its commit.
const MARGIN: Duration = Duration::from_secs(120);
/// Seconds a series is known longer than anything of it: `last_hour` is up to date to an hour or so, and points may be a few
/// minutes ahead.
const SERIES_MARGIN: i64 = 2 * SECONDS_PER_HOUR;
const SECONDS_PER_DAY: i64 = 24 * SECONDS_PER_HOUR;
/// Points use free pages again, and after a full hour many are free: this part of the file may be.
const FREE_PART: u64 = 8;

/// What is older goes; seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cutoffs {
    /// The start of a minute.
    raw: i64,
    /// The start of an hour.
    minutes: i64,
    hours: i64,
    /// When a series was last used: what is left of it may be a little younger than the table says.
    series: i64,
}

impl Cutoffs {
    pub(crate) fn new(retention: &Retention, now: Timestamp) -> Self {
        let before = |age: Duration, step: i64| {
            let second = now.saturating_sub(age).millis().div_euclid(1000);
            second - second.rem_euclid(step)
        };
        let raw = retention.raw.saturating_add(MARGIN);
        let minutes = retention.minutes.max(raw);
        let hours = retention.hours.max(minutes);
        let hours = before(hours, SECONDS_PER_HOUR);
        Self {
            raw: before(raw, pending::SECONDS_PER_MINUTE),
            minutes: before(minutes, SECONDS_PER_HOUR),
            hours,
            series: hours - SERIES_MARGIN,
        }
    }
}

/// Deletes up to `slice` points; how many.
pub(crate) fn delete_points(tx: &Connection, cutoffs: &Cutoffs, slice: usize) -> rusqlite::Result<usize> {
    let rolled_up = pending::first_minute(tx)?.unwrap_or(i64::MAX).min(pending::closed_until(tx)?);
    let end = points::first_id(Timestamp::from_millis(cutoffs.raw.min(rolled_up) * 1000));
    let sql = "SELECT id FROM points WHERE id < ?1 ORDER BY id LIMIT 1 OFFSET ?2";
    let next = tx.prepare_cached(sql)?.query_row([end, slice as i64], |row| row.get(0)).optional()?;
    tx.prepare_cached("DELETE FROM points WHERE id < ?1")?.execute([next.unwrap_or(end)])
}

/// Deletes up to `slice` rows of minutes, and as many of their sketches; how many.
pub(crate) fn delete_minutes(tx: &Connection, cutoffs: &Cutoffs, slice: usize) -> rusqlite::Result<usize> {
    let rolled_up = pending::first_hour(tx)?.unwrap_or(i64::MAX);
    let not_yet = pending::first_minute(tx)?.map_or(i64::MAX, |minute| minute - minute.rem_euclid(SECONDS_PER_HOUR));
    let end = cutoffs.minutes.min(rolled_up).min(not_yet);
    Ok(delete_rollups(tx, "minutes", end, slice)? + delete_rollups(tx, "minute_sketches", end, slice)?)
}

/// Deletes up to `slice` rows of hours, and as many of their sketches; how many.
pub(crate) fn delete_hours(tx: &Connection, cutoffs: &Cutoffs, slice: usize) -> rusqlite::Result<usize> {
    Ok(delete_rollups(tx, "hours", cutoffs.hours, slice)? + delete_rollups(tx, "hour_sketches", cutoffs.hours, slice)?)
}

/// Forgets up to `slice` series that nothing is left of; how many it has looked at.
///
/// Writers that know a series by its id do not look it up; so `take_out` is asked to make them, and says whether they did know it. Then
/// it may have got a point a moment ago, and is kept for another day. By then the rollup of that point's hour has said so.
pub(crate) fn forget_series(
    tx: &Connection,
    cutoffs: &Cutoffs,
    slice: usize,
    take_out: &mut dyn FnMut(SeriesId) -> bool,
) -> rusqlite::Result<usize> {
    let old: Vec<SeriesId> = tx
        .prepare_cached("SELECT id FROM series WHERE last_hour < ?1 LIMIT ?2")?
        .query_map([cutoffs.series, slice as i64], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for series in &old {
        if take_out(*series) {
            tx.prepare_cached("UPDATE series SET last_hour = ?1 WHERE id = ?2")?
                .execute([cutoffs.series + SECONDS_PER_DAY, *series])?;
        } else {
            tx.prepare_cached("DELETE FROM series WHERE id = ?1")?.execute([series])?;
        }
    }
    Ok(old.len())
}

/// Gives up to `pages` free pages back to the file system, if there are more than points will soon use again. Whether there
/// is more to give.
pub(crate) fn give_back(tx: &Connection, pages: u32) -> rusqlite::Result<bool> {
    let pragma = |name: &str| tx.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let [all, free] = [pragma("page_count")? as u64, pragma("freelist_count")? as u64];
    let kept = all / FREE_PART;
    if free <= kept {
        return Ok(false);
    }
    let left = db::give_back_pages(tx, pages.min((free - kept) as u32))?;
    Ok(u64::from(left) > kept)
}

/// Both columns of the key decide where the slice ends, so that it is one stretch of the table.
fn delete_rollups(tx: &Connection, table: &str, end: i64, slice: usize) -> rusqlite::Result<usize> {
    let next = tx
        .prepare_cached(&format!(
            "SELECT bucket, series FROM {table} WHERE bucket < ?1 ORDER BY bucket, series LIMIT 1 OFFSET ?2"
        ))?
        .query_row([end, slice as i64], |row| Ok([row.get::<_, i64>(0)?, row.get(1)?]))
        .optional()?;
    tx.prepare_cached(&format!("DELETE FROM {table} WHERE (bucket, series) < (?1, ?2)"))?
        .execute(next.unwrap_or([end, i64::MIN]))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::aggregate::exactly;
    use crate::series::Type;
    use crate::store::rollups::{self, Rollup, Tier};
    use crate::store::testing::{add_points, add_series, database};

    const HOUR: i64 = 3600;
    const DAY: i64 = 24 * HOUR;
    /// Half past ten on the hundredth day.
    const NOW: i64 = 100 * DAY + 10 * HOUR + 1830;

    fn cutoffs(raw: u64, minutes: u64, hours: u64) -> Cutoffs {
        let hours_of = |count: u64| Duration::from_secs(3600 * count);
        let retention = Retention { raw: hours_of(raw), minutes: hours_of(minutes), hours: hours_of(hours * 24) };
        Cutoffs::new(&retention, Timestamp::from_millis(NOW * 1000))
    }

    fn one(conn: &Connection, sql: &str) -> i64 {
        conn.query_row(sql, [], |row| row.get(0)).expect(sql)
    }

    fn all(
        conn: &Connection,
        cutoffs: &Cutoffs,
        slice: usize,
        job: fn(&Connection, &Cutoffs, usize) -> rusqlite::Result<usize>,
    ) -> usize {
        std::iter::repeat_with(|| job(conn, cutoffs, slice).expect("deleted")).take_while(|count| *count > 0).sum()
    }

    fn tiers(cutoffs: Cutoffs) -> [i64; 3] {
        [cutoffs.raw, cutoffs.minutes, cutoffs.hours]
    }

    #[test]
    fn each_tier_is_kept_as_long_as_the_finer_one() {
        let expected = [NOW - 3600 - 120 - 30, NOW - DAY - 1830, NOW - 30 * DAY - 1830];
        assert_eq!(tiers(cutoffs(1, 24, 30)), expected);
        let expected = [NOW - 2 * DAY - 150, NOW - 2 * DAY - 1830, NOW - 2 * DAY - 1830];
        assert_eq!(tiers(cutoffs(48, 24, 1)), expected);
    }

    #[test]
    fn points_go_when_they_are_old_and_rolled_up() {
        let conn = database();
        let id = add_series(&conn, "x", Type::Counter);
        let cutoffs = cutoffs(1, 24, 30);
        let points: Vec<_> = (0..100).map(|minute| (id, (cutoffs.raw + (minute - 50) * 60) * 1000, 1.0)).collect();
        add_points(&conn, &points);
        assert_eq!(delete_points(&conn, &cutoffs, 1000).expect("none"), 0, "not closed");
        while pending::close(&conn, NOW).expect("closed") {}
        assert_eq!(delete_points(&conn, &cutoffs, 1000).expect("none"), 0, "not rolled up");
        for minute in &pending::minutes(&conn, 0, cutoffs.raw - 600).expect("minutes") {
            pending::minute_is_done(&conn, minute).expect("done");
        }
        assert_eq!(delete_points(&conn, &cutoffs, 7).expect("some"), 7);
        assert_eq!(all(&conn, &cutoffs, 7, delete_points), 33);
        for minute in &pending::minutes(&conn, 0, i64::MAX).expect("minutes") {
            pending::minute_is_done(&conn, minute).expect("done");
        }
        assert_eq!(all(&conn, &cutoffs, 7, delete_points), 10);
        assert_eq!(
            one(&conn, "SELECT min(id) FROM points"),
            points::first_id(Timestamp::from_millis(cutoffs.raw * 1000))
        );
    }

    fn add_rollups(conn: &Connection, tier: Tier, buckets: impl Iterator<Item = i64>) {
        let (aggregate, sketch) = exactly(Type::Histogram, 1, [1.0].into_iter()).expect("values");
        for bucket in buckets {
            let of = |series| Rollup { series, aggregate: aggregate.clone(), sketch: sketch.clone() };
            rollups::put(conn, tier, bucket, &[of(1), of(2), of(3)]).expect("stored");
        }
    }

    #[test]
    fn minutes_go_by_whole_hours_that_are_rolled_up() {
        let conn = database();
        let cutoffs = cutoffs(1, 24, 30);
        let start = cutoffs.minutes - 2 * HOUR;
        add_rollups(&conn, Tier::Minutes, (start..start + 3 * HOUR).step_by(60));
        pending::mark_late(&conn, start + HOUR + 60).expect("marked");
        assert_eq!(all(&conn, &cutoffs, 50, delete_minutes), 60 * 3 * 2);
        let minute = pending::minutes(&conn, 0, i64::MAX).expect("minutes")[0];
        pending::minute_is_done(&conn, &minute).expect("done");
        assert_eq!(delete_minutes(&conn, &cutoffs, 50).expect("none"), 0, "its hour is not rolled up");
        let hour = pending::hours(&conn, 0, i64::MAX).expect("hours")[0];
        pending::hour_is_done(&conn, &hour).expect("done");
        assert_eq!(all(&conn, &cutoffs, 50, delete_minutes), 60 * 3 * 2);
        for table in ["minutes", "minute_sketches"] {
            assert_eq!(one(&conn, &format!("SELECT min(bucket) FROM {table}")), cutoffs.minutes);
            assert_eq!(one(&conn, &format!("SELECT count(*) FROM {table}")), 60 * 3);
        }
    }

    #[test]
    fn hours_go_and_series_that_nothing_is_left_of() {
        let conn = database();
        let cutoffs = cutoffs(1, 24, 30);
        add_rollups(&conn, Tier::Hours, (0..10).map(|hour| cutoffs.hours + (hour - 5) * HOUR));
        assert_eq!(all(&conn, &cutoffs, 4, delete_hours), 5 * 3 * 2);
        assert_eq!(one(&conn, "SELECT min(bucket) FROM hours"), cutoffs.hours);
        for (name, last_hour) in [("old", cutoffs.hours - 3 * HOUR), ("young", cutoffs.hours - HOUR)] {
            add_series(&conn, name, Type::Gauge);
            conn.execute("UPDATE series SET last_hour = ?1 WHERE name = ?2", (last_hour, name)).expect("updated");
        }
        let known = Cell::new(true);
        let forget = || forget_series(&conn, &cutoffs, 10, &mut |_| known.take()).expect("forgotten");
        assert_eq!((forget(), forget()), (1, 0), "a writer may just have used it");
        assert_eq!(one(&conn, "SELECT count(*) FROM series"), 2);
        conn.execute("UPDATE series SET last_hour = last_hour - ?1", [DAY]).expect("a day later");
        conn.execute("UPDATE series SET last_hour = last_hour + ?1 WHERE name = 'young'", [DAY]).expect("it is in use");
        assert_eq!((forget(), forget()), (0, 0));
        conn.execute("UPDATE series SET last_hour = last_hour - 1 WHERE name = 'old'", []).expect("older");
        assert_eq!((forget(), forget()), (1, 0));
        assert_eq!(one(&conn, "SELECT count(*) FROM series WHERE name = 'young'"), 1);
    }
}
