//! Which minutes and hours are still to be rolled up.
//!
//! A minute is closed a while after its end. From then on a point in it is late: its batch marks the minute as pending once
//! more, in the transaction that stores the point. So what is stored and not rolled up is always either in a minute that is
//! not closed, or in one that is pending. An hour becomes pending with the transaction that ends a rollup of one of its minutes.

use common::clock::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, Row};

use super::points;

pub(crate) const SECONDS_PER_MINUTE: i64 = 60;
pub(crate) const SECONDS_PER_HOUR: i64 = 3600;

/// Minutes closed by one job, after a time in which none were: each costs a look into the table of points.
const MINUTES_PER_JOB: usize = 500;

/// A bucket that is to be rolled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    /// Its first second.
    pub(crate) bucket: i64,
    changes: i64,
}

/// The first second that is not in a closed minute; 0 before the first one is closed.
pub(crate) fn closed_until(conn: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT CAST(value AS INTEGER) FROM _meta WHERE key = 'minutes_closed_until'";
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

/// The first minute before `to` that is not closed and has points; `to` when there is none. What is before it is in the tables,
/// or pending: while nothing comes in, minutes are over without being closed.
pub(crate) fn first_open(conn: &Connection, to: i64) -> rusqlite::Result<i64> {
    Ok(next_with_points(conn, closed_until(conn)?, to)?.unwrap_or(to))
}

/// Marks a minute that has got a late point.
pub(crate) fn mark_late(tx: &Connection, minute: i64) -> rusqlite::Result<()> {
    mark(tx, SECONDS_PER_MINUTE, minute)
}

/// Closes minutes before `until`, the start of one; those that have points become pending. Whether there are more to close.
///
/// While nothing comes in and nothing is pending, nothing is written: the next point's minute is closed in its turn all the same.
pub(crate) fn close(tx: &Connection, until: i64) -> rusqlite::Result<bool> {
    let mut from = closed_until(tx)?;
    for _ in 0..MINUTES_PER_JOB {
        let Some(minute) = next_with_points(tx, from, until)? else {
            if from < until && is_any_pending(tx)? {
                set_closed_until(tx, until)?;
            }
            return Ok(false);
        };
        mark(tx, SECONDS_PER_MINUTE, minute)?;
        from = minute + SECONDS_PER_MINUTE;
        set_closed_until(tx, from)?;
    }
    Ok(true)
}

/// The minutes from `from` on and before `to` that are closed, but have points that their rollup does not know. Ascending.
pub(crate) fn minutes(conn: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<Pending>> {
    between(conn, SECONDS_PER_MINUTE, from, to)
}

/// The hours from `from` on and before `to` with minutes that their rollup does not know. Ascending.
pub(crate) fn hours(conn: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<Pending>> {
    between(conn, SECONDS_PER_HOUR, from, to)
}

/// The pending hours that can be rolled up: all of their minutes are closed and not pending.
pub(crate) fn complete_hours(conn: &Connection) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(
        "SELECT bucket, changes FROM pending AS hour
         WHERE seconds = 3600 AND bucket + 3600 <= ?1 AND NOT EXISTS (
             SELECT 1 FROM pending WHERE seconds = 60 AND bucket >= hour.bucket AND bucket < hour.bucket + 3600)
         ORDER BY bucket",
    )?
    .query_map([closed_until(conn)?], pending)?
    .collect()
}

/// Ends the rollup of a minute: its hour is to be rolled up, and the minute once more if it has changed meanwhile.
pub(crate) fn minute_is_done(tx: &Connection, minute: &Pending) -> rusqlite::Result<()> {
    mark(tx, SECONDS_PER_HOUR, minute.bucket - minute.bucket.rem_euclid(SECONDS_PER_HOUR))?;
    unmark(tx, SECONDS_PER_MINUTE, minute)
}

/// Ends the rollup of an hour, unless it has changed meanwhile.
pub(crate) fn hour_is_done(tx: &Connection, hour: &Pending) -> rusqlite::Result<()> {
    unmark(tx, SECONDS_PER_HOUR, hour)
}

/// The first second of all that is pending, in minutes; none if nothing is.
pub(crate) fn first_minute(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    first(conn, SECONDS_PER_MINUTE)
}

/// The first second of all that is pending, in hours; none if nothing is.
pub(crate) fn first_hour(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    first(conn, SECONDS_PER_HOUR)
}

fn first(conn: &Connection, seconds: i64) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT min(bucket) FROM pending WHERE seconds = ?1")?.query_row([seconds], |row| row.get(0))
}

fn between(conn: &Connection, seconds: i64, from: i64, to: i64) -> rusqlite::Result<Vec<Pending>> {
    conn.prepare_cached(
        "SELECT bucket, changes FROM pending WHERE seconds = ?1 AND bucket >= ?2 AND bucket < ?3 ORDER BY bucket",
    )?
    .query_map([seconds, from, to], pending)?
    .collect()
}

fn pending(row: &Row<'_>) -> rusqlite::Result<Pending> {
    Ok(Pending { bucket: row.get(0)?, changes: row.get(1)? })
}

fn is_any_pending(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached("SELECT EXISTS (SELECT 1 FROM pending)")?.query_row([], |row| row.get(0))
}

fn mark(tx: &Connection, seconds: i64, bucket: i64) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO pending (seconds, bucket, changes) VALUES (?1, ?2, 1)
         ON CONFLICT (seconds, bucket) DO UPDATE SET changes = changes + 1",
    )?
    .execute([seconds, bucket])
    .map(drop)
}

fn unmark(tx: &Connection, seconds: i64, pending: &Pending) -> rusqlite::Result<()> {
    tx.prepare_cached("DELETE FROM pending WHERE seconds = ?1 AND bucket = ?2 AND changes = ?3")?
        .execute([seconds, pending.bucket, pending.changes])
        .map(drop)
}

fn set_closed_until(tx: &Connection, until: i64) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT OR REPLACE INTO _meta (key, value) VALUES ('minutes_closed_until', ?1)")?
        .execute([until.to_string()])
        .map(drop)
}

pub(crate) fn next_with_points(conn: &Connection, from: i64, until: i64) -> rusqlite::Result<Option<i64>> {
    let first_id = |second: i64| points::first_id(Timestamp::from_millis(second.saturating_mul(1000)));
    let sql = "SELECT id FROM points WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT 1";
    let id = conn.prepare_cached(sql)?.query_row([first_id(from), first_id(until)], |row| row.get(0)).optional()?;
    Ok(id.map(|id| {
        let second = points::time_of(id).millis().div_euclid(1000);
        second - second.rem_euclid(SECONDS_PER_MINUTE)
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{add_points, database};

    fn buckets(pending: &[Pending]) -> Vec<i64> {
        pending.iter().map(|pending| pending.bucket).collect()
    }

    fn all_minutes(conn: &Connection) -> Vec<Pending> {
        minutes(conn, 0, i64::MAX).expect("minutes")
    }

    #[test]
    fn closed_minutes_with_points_are_pending() {
        let conn = database();
        add_points(&conn, &[(1, 60_000, 1.0), (1, 119_999, 1.0), (1, 240_500, 1.0), (1, 300_000, 1.0)]);
        assert!(!close(&conn, 300).expect("closed"));
        assert_eq!(closed_until(&conn).expect("a time"), 300);
        assert_eq!(buckets(&all_minutes(&conn)), [60, 240]);
        assert!(!close(&conn, 240).expect("closed"), "set back");
        assert_eq!(closed_until(&conn).expect("a time"), 300);
        assert_eq!(buckets(&minutes(&conn, 61, 240).expect("minutes")), [0; 0]);
    }

    #[test]
    fn many_minutes_are_closed_in_several_jobs() {
        let conn = database();
        let points: Vec<_> = (0..1200).map(|minute| (1, minute * 60_000, 1.0)).collect();
        add_points(&conn, &points);
        let mut jobs = 1;
        while close(&conn, 1_000_000).expect("closed") {
            jobs += 1;
        }
        assert_eq!((jobs, all_minutes(&conn).len()), (3, 1200));
        assert_eq!(closed_until(&conn).expect("a time"), 1_000_000 / 60 * 60 + 40);
    }

    #[test]
    fn nothing_is_written_while_nothing_happens() {
        let conn = database();
        let before = conn.total_changes();
        assert!(!close(&conn, 6000).expect("closed"));
        assert_eq!(conn.total_changes(), before);
        assert_eq!(closed_until(&conn).expect("a time"), 0);
    }

    #[test]
    fn a_minute_that_changes_during_its_rollup_stays() {
        let conn = database();
        mark_late(&conn, 60).expect("marked");
        let [minute] = all_minutes(&conn)[..] else { panic!("one minute") };
        mark_late(&conn, 60).expect("marked");
        minute_is_done(&conn, &minute).expect("done");
        let [minute] = all_minutes(&conn)[..] else { panic!("it stays") };
        minute_is_done(&conn, &minute).expect("done");
        assert_eq!(all_minutes(&conn), []);

        let [hour] = hours(&conn, 0, 3600).expect("hours")[..] else { panic!("one hour") };
        minute_is_done(&conn, &minute).expect("done");
        hour_is_done(&conn, &hour).expect("done");
        assert_eq!(first_hour(&conn).expect("an hour"), Some(0));
    }

    #[test]
    fn an_hour_is_complete_when_all_its_minutes_are() {
        let conn = database();
        let complete = || buckets(&complete_hours(&conn).expect("hours"));
        add_points(&conn, &[(1, 60_000, 1.0), (1, 7_190_000, 1.0)]);
        close(&conn, 3540).expect("closed");
        minute_is_done(&conn, &all_minutes(&conn)[0]).expect("done");
        assert_eq!(complete(), [0; 0], "it is not over");
        close(&conn, 3600).expect("closed");
        assert_eq!(complete(), [0]);
        mark_late(&conn, 3540).expect("marked");
        assert_eq!(complete(), [0; 0], "a minute is pending");
        close(&conn, 7200).expect("closed");
        assert_eq!(first_minute(&conn).expect("a minute"), Some(3540));
        for minute in all_minutes(&conn) {
            minute_is_done(&conn, &minute).expect("done");
        }
        assert_eq!(complete(), [0, 3600]);
    }
}
