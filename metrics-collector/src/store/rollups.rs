//! The tables of minutes and hours.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row, params};

use crate::aggregate::{Aggregate, Percentiles};
use crate::series::{SeriesId, Type};
use crate::sketch::Sketch;

/// Which of the tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tier {
    Minutes,
    Hours,
}

/// What is known of a series in a bucket.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rollup {
    pub(crate) series: SeriesId,
    pub(crate) aggregate: Aggregate,
    /// Of histograms only, and not of those that the original rolled up.
    pub(crate) sketch: Option<Sketch>,
}

/// Stores what became of a bucket, over what was known of it before.
///
/// A bucket never gets fewer values. Should a rollup count fewer than are known, it has not seen all of them - the original
/// kept minutes longer than their points - and is not stored.
pub(crate) fn put<'r>(
    tx: &Connection,
    tier: Tier,
    bucket: i64,
    rollups: impl IntoIterator<Item = &'r Rollup>,
) -> rusqlite::Result<()> {
    let mut figures = tx.prepare_cached(tier.put_figures())?;
    let mut sketches = tx.prepare_cached(tier.put_sketch())?;
    for Rollup { series, aggregate, sketch } in rollups {
        let Aggregate { count, sum, min, max, percentiles } = aggregate;
        let [p50, p95, p99] = percentiles.map_or([None; 3], |all| [all.p50, all.p95, all.p99].map(Some));
        let stored = figures.execute(params![bucket, series, *count as i64, sum, min, max, p50, p95, p99])?;
        if let Some(sketch) = sketch.as_ref().filter(|_| stored > 0) {
            sketches.execute(params![bucket, series, sketch.encode()])?;
        }
    }
    Ok(())
}

/// Says of series that there are points of them in this hour.
pub(crate) fn note_use(tx: &Connection, hour: i64, rollups: &[Rollup]) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached("UPDATE series SET last_hour = ?1 WHERE id = ?2 AND last_hour < ?1")?;
    rollups.iter().try_for_each(|rollup| statement.execute([hour, rollup.series]).map(drop))
}

/// Calls `each` with the rollups of the series `first` to `last` in a bucket, ascending; with their sketches or without.
pub(crate) fn for_each<E: From<rusqlite::Error>>(
    conn: &Connection,
    tier: Tier,
    bucket: i64,
    [first, last]: [SeriesId; 2],
    sketches: bool,
    each: &mut dyn FnMut(Rollup) -> Result<(), E>,
) -> Result<(), E> {
    let mut statement = conn.prepare_cached(if sketches { tier.get() } else { tier.get_figures() })?;
    let mut rows = statement.query([bucket, first, last])?;
    while let Some(row) = rows.next()? {
        each(rollup(row)?)?;
    }
    Ok(())
}

/// The buckets from `from` on and before `to` that hold anything, ascending.
pub(crate) fn buckets(conn: &Connection, tier: Tier, from: i64, to: i64) -> rusqlite::Result<Vec<i64>> {
    // From one bucket to the next, whatever number of series each has.
    let sql = match tier {
        Tier::Minutes => "SELECT min(bucket) FROM minutes WHERE bucket >= ?1 AND bucket < ?2",
        Tier::Hours => "SELECT min(bucket) FROM hours WHERE bucket >= ?1 AND bucket < ?2",
    };
    let mut statement = conn.prepare_cached(sql)?;
    let (mut buckets, mut from) = (Vec::new(), from);
    while let Some(bucket) = statement.query_row([from, to], |row| row.get::<_, Option<i64>>(0))? {
        buckets.push(bucket);
        from = bucket + 1;
    }
    Ok(buckets)
}

/// Calls `each` with series, count and sum of every rollup from `from` on and before `to`.
pub(crate) fn for_each_total(
    conn: &Connection,
    tier: Tier,
    from: i64,
    to: i64,
    each: &mut dyn FnMut(SeriesId, u64, f64),
) -> rusqlite::Result<()> {
    let sql = match tier {
        Tier::Minutes => "SELECT series, count, sum FROM minutes WHERE bucket >= ?1 AND bucket < ?2",
        Tier::Hours => "SELECT series, count, sum FROM hours WHERE bucket >= ?1 AND bucket < ?2",
    };
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([from, to])?;
    while let Some(row) = rows.next()? {
        each(row.get(0)?, row.get::<_, i64>(1)? as u64, row.get(2)?);
    }
    Ok(())
}

/// The series that have minutes from `from` on and before `to`, ascending.
pub(crate) fn series_of_minutes(conn: &Connection, from: i64, to: i64) -> rusqlite::Result<Vec<SeriesId>> {
    let sql = "SELECT series FROM minutes WHERE bucket >= ?1 AND bucket < ?2";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query([from, to])?;
    let mut all = std::collections::BTreeSet::new();
    while let Some(row) = rows.next()? {
        all.insert(row.get(0)?);
    }
    Ok(all.into_iter().collect())
}

/// The type of series; for many, one after the other.
pub(crate) struct Types<'c>(CachedStatement<'c>);

impl<'c> Types<'c> {
    pub(crate) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        conn.prepare_cached("SELECT type FROM series WHERE id = ?1").map(Self)
    }

    /// None when there is no such series.
    pub(crate) fn of(&mut self, series: SeriesId) -> rusqlite::Result<Option<Type>> {
        let word = self.0.query_row([series], |row| row.get::<_, String>(0)).optional()?;
        Ok(word.as_deref().and_then(Type::parse))
    }
}

/// The start of the newest bucket there is, in minutes or hours.
pub(crate) fn newest_bucket(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT max(max(bucket), coalesce((SELECT max(bucket) FROM hours), 0)) FROM minutes";
    let newest: Option<i64> = conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    let hours = "SELECT max(bucket) FROM hours";
    newest.map_or_else(|| conn.prepare_cached(hours)?.query_row([], |row| row.get(0)), |newest| Ok(Some(newest)))
}

/// How many values the rollups from `from` on and before `to` count.
pub(crate) fn count(conn: &Connection, tier: Tier, from: i64, to: i64) -> rusqlite::Result<u64> {
    let sql = match tier {
        Tier::Minutes => "SELECT total(count) FROM minutes WHERE bucket >= ?1 AND bucket < ?2",
        Tier::Hours => "SELECT total(count) FROM hours WHERE bucket >= ?1 AND bucket < ?2",
    };
    conn.prepare_cached(sql)?.query_row([from, to], |row| row.get::<_, f64>(0)).map(|count| count as u64)
}

impl Tier {
    const fn put_figures(self) -> &'static str {
        macro_rules! sql {
            ($table:literal) => {
                concat!(
                    "INSERT INTO ",
                    $table,
                    " AS known (bucket, series, count, sum, min, max, p50, p95, p99)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                     ON CONFLICT (bucket, series) DO UPDATE SET count = ?3, sum = ?4, min = ?5, max = ?6,
                         p50 = ?7, p95 = ?8, p99 = ?9
                     WHERE excluded.count >= known.count"
                )
            };
        }
        match self {
            Self::Minutes => sql!("minutes"),
            Self::Hours => sql!("hours"),
        }
    }

    const fn put_sketch(self) -> &'static str {
        match self {
            Self::Minutes => "INSERT OR REPLACE INTO minute_sketches (bucket, series, sketch) VALUES (?1, ?2, ?3)",
            Self::Hours => "INSERT OR REPLACE INTO hour_sketches (bucket, series, sketch) VALUES (?1, ?2, ?3)",
        }
    }

    const fn get_figures(self) -> &'static str {
        macro_rules! sql {
            ($table:literal) => {
                concat!(
                    "SELECT series, count, sum, min, max, p50, p95, p99, NULL FROM ",
                    $table,
                    " WHERE bucket = ?1 AND series BETWEEN ?2 AND ?3 ORDER BY series"
                )
            };
        }
        match self {
            Self::Minutes => sql!("minutes"),
            Self::Hours => sql!("hours"),
        }
    }

    const fn get(self) -> &'static str {
        macro_rules! sql {
            ($table:literal, $sketches:literal) => {
                concat!(
                    "SELECT series, count, sum, min, max, p50, p95, p99, sketch FROM ",
                    $table,
                    " LEFT JOIN ",
                    $sketches,
                    " USING (bucket, series)
                     WHERE bucket = ?1 AND series BETWEEN ?2 AND ?3 ORDER BY series"
                )
            };
        }
        match self {
            Self::Minutes => sql!("minutes", "minute_sketches"),
            Self::Hours => sql!("hours", "hour_sketches"),
        }
    }
}

fn rollup(row: &Row<'_>) -> rusqlite::Result<Rollup> {
    let percentiles = match (row.get(5)?, row.get(6)?, row.get(7)?) {
        (Some(p50), Some(p95), Some(p99)) => Some(Percentiles { p50, p95, p99 }),
        _ => None,
    };
    let count = row.get::<_, i64>(1)? as u64;
    let aggregate = Aggregate { count, sum: row.get(2)?, min: row.get(3)?, max: row.get(4)?, percentiles };
    let sketch = row.get_ref(8)?.as_blob_or_null()?.and_then(Sketch::decode);
    Ok(Rollup { series: row.get(0)?, aggregate, sketch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aggregate::exactly;
    use crate::store::testing::{add_series, database};

    fn of(series: SeriesId, kind: Type, values: &[f64]) -> Rollup {
        let (aggregate, sketch) = exactly(kind, values.len() as u64, values.iter().copied()).expect("values");
        Rollup { series, aggregate, sketch }
    }

    fn read(conn: &Connection, tier: Tier, bucket: i64, range: [SeriesId; 2]) -> Vec<Rollup> {
        let mut all = Vec::new();
        let mut each = |rollup| {
            all.push(rollup);
            Ok(())
        };
        for_each::<rusqlite::Error>(conn, tier, bucket, range, true, &mut each).expect("rollups");
        all
    }

    #[test]
    fn what_is_put_is_there() {
        for tier in [Tier::Minutes, Tier::Hours] {
            let conn = database();
            let all =
                [of(1, Type::Histogram, &[1.0, 2.5, 9.0]), of(2, Type::Counter, &[-1.0]), of(5, Type::Gauge, &[0.0])];
            put(&conn, tier, 60, &all).expect("stored");
            put(&conn, tier, 60, &all[..1]).expect("stored again");
            assert_eq!(read(&conn, tier, 60, [1, 9]), all);
            assert_eq!(read(&conn, tier, 60, [2, 4]), all[1..2]);
            assert_eq!(read(&conn, tier, 120, [1, 9]), []);
            assert_eq!(newest_bucket(&conn).expect("a bucket"), Some(60));
            assert_eq!(count(&conn, tier, 0, 61).expect("a count"), 5);
            assert_eq!(count(&conn, tier, 61, 100).expect("a count"), 0);
        }
    }

    #[test]
    fn a_bucket_never_gets_fewer_values() {
        let conn = database();
        let (three, two) = (of(1, Type::Histogram, &[1.0, 2.0, 3.0]), of(1, Type::Histogram, &[8.0, 9.0]));
        for (stored, expected) in [(&two, &two), (&three, &three), (&two, &three)] {
            put(&conn, Tier::Minutes, 0, [stored]).expect("stored");
            assert_eq!(&read(&conn, Tier::Minutes, 0, [1, 1])[0], expected);
        }
    }

    #[test]
    fn types_and_series() {
        let conn = database();
        assert_eq!(newest_bucket(&conn).expect("none"), None);
        let ids = [Type::Gauge, Type::Histogram].map(|kind| add_series(&conn, "x", kind));
        let mut types = Types::new(&conn).expect("a statement");
        assert_eq!(types.of(ids[0]).expect("a type"), Some(Type::Gauge));
        assert_eq!(types.of(ids[1]).expect("a type"), Some(Type::Histogram));
        assert_eq!(types.of(99).expect("none"), None);
        for (bucket, series) in [(0, 3), (60, 1), (60, 3), (120, 7)] {
            put(&conn, Tier::Minutes, bucket, [&of(series, Type::Gauge, &[1.0])]).expect("stored");
        }
        assert_eq!(series_of_minutes(&conn, 0, 120).expect("series"), [1, 3]);
    }
}
