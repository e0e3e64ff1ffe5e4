//! Rolls up closed minutes and hours. Reads on a connection of its own, computes here, and writes in small jobs, so that
//! neither writers nor readers wait for it.
//!
//! Every step can be done twice: a rollup counts what is stored and puts it over what was there, and what is pending stays so
//! until the job that writes the last of it. So a crash anywhere costs a repetition and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use common::clock::Timestamp;
use common::db::Reader;
use common::shutdown::Stop;
use common::writer::{WriteError, Writer};
use rusqlite::Connection;

use crate::aggregate::{Merged, exactly};
use crate::figures::Figures;
use crate::series::SeriesId;
use crate::store::pending::{self, Pending, SECONDS_PER_HOUR, SECONDS_PER_MINUTE};
use crate::store::rollups::{self, Rollup, Tier, Types};
use crate::store::{on_one_state, scan};

/// So long after its end a minute is closed. The Python client sends what it has every ten seconds: what comes by then makes
/// no second rollup.
pub(crate) const GRACE: Duration = Duration::from_secs(15);

/// Rollups written in one job: some milliseconds.
const ROLLUPS_PER_JOB: usize = 200;
/// Series whose hours are put together at a time: their sketches are in memory, 64 KB each if they are as large as they get.
const SERIES_AT_A_TIME: usize = 64;
/// When the queue of writes is full: as soon as this, again.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a round ended early. What is not done stays pending.
#[derive(Debug)]
pub(crate) enum Failure {
    Read(rusqlite::Error),
    Write(WriteError),
    Stopped,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(error) => write!(f, "reading: {error}"),
            Self::Write(error) => error.fmt(f),
            Self::Stopped => f.write_str("the service stops"),
        }
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Read(error)
    }
}

/// What is needed to roll up.
pub(crate) struct Aggregator {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) figures: Arc<Figures>,
    pub(crate) stop: Stop,
}

impl Aggregator {
    /// Closes what is over and rolls up all that is pending, oldest first.
    pub(crate) fn round(&self, now: Timestamp) -> Result<(), Failure> {
        let until = start_of_minute(now.saturating_sub(GRACE));
        while self.write(move |tx| pending::close(tx, until))? {}
        for minute in pending::minutes(&self.reader, 0, i64::MAX)? {
            self.figures.minutes.time(|| self.roll_up_minute(&minute))?;
        }
        for hour in pending::complete_hours(&self.reader)? {
            self.figures.hours.time(|| self.roll_up_hour(&hour))?;
        }
        self.figures.note_round(&self.reader, now)?;
        Ok(())
    }

    fn roll_up_minute(&self, minute: &Pending) -> Result<(), Failure> {
        let minute = *minute;
        let mut slice = Slice::new(self, Tier::Minutes, minute.bucket);
        let mut types = Types::new(&self.reader)?;
        let span =
            [minute.bucket, minute.bucket + SECONDS_PER_MINUTE].map(|second| Timestamp::from_millis(second * 1000));
        scan::for_each_series(&self.reader, span[0], span[1], &|_| true, &mut |series, count, values| {
            if let Some(kind) = types.of(series)?
                && let Some((aggregate, sketch)) = exactly(kind, count, values)
            {
                slice.push(Rollup { series, aggregate, sketch })?;
            }
            Ok::<_, Failure>(())
        })?;
        slice.finish(move |tx| pending::minute_is_done(tx, &minute))
    }

    fn roll_up_hour(&self, hour: &Pending) -> Result<(), Failure> {
        let hour = *hour;
        let mut slice = Slice::new(self, Tier::Hours, hour.bucket);
        let span = hour.bucket..hour.bucket + SECONDS_PER_HOUR;
        on_one_state(&self.reader, || {
            let all = rollups::series_of_minutes(&self.reader, span.start, span.end)?;
            for group in all.chunks(SERIES_AT_A_TIME) {
                for rollup in merged_minutes(&self.reader, &span, group)? {
                    slice.push(rollup)?;
                }
            }
            Ok::<_, Failure>(())
        })?;
        slice.finish(move |tx| pending::hour_is_done(tx, &hour))
    }

    /// Writes, and waits for it. A queue that is full now is not full for ever.
    fn write<T: Send + 'static>(
        &self,
        job: impl Fn(&Connection) -> rusqlite::Result<T> + Send + Sync + 'static,
    ) -> Result<T, Failure> {
        let job = Arc::new(job);
        while !self.stop.is_stopped() {
            let again = Arc::clone(&job);
            match self.writer.call(move |tx| again(tx)) {
                Err(WriteError::Full | WriteError::Late) => _ = self.stop.wait_timeout(PAUSE),
                Err(WriteError::Stopped) => return Err(Failure::Stopped),
                Err(error) => return Err(Failure::Write(error)),
                Ok(value) => return Ok(value),
            }
        }
        Err(Failure::Stopped)
    }
}

/// The start of the minute, in seconds.
pub(crate) const fn start_of_minute(at: Timestamp) -> i64 {
    let second = at.millis().div_euclid(1000);
    second - second.rem_euclid(SECONDS_PER_MINUTE)
}

/// What the minutes of some series, which ascend, come to; minute after minute, so that it is the same each time.
fn merged_minutes(conn: &Connection, span: &Range<i64>, group: &[SeriesId]) -> rusqlite::Result<Vec<Rollup>> {
    let [Some(first), Some(last)] = [group.first(), group.last()] else { return Ok(Vec::new()) };
    let mut types = Types::new(conn)?;
    let mut merged = BTreeMap::new();
    for series in group {
        if let Some(kind) = types.of(*series)? {
            merged.insert(*series, Merged::new(kind));
        }
    }
    for minute in span.clone().step_by(SECONDS_PER_MINUTE as usize) {
        rollups::for_each::<rusqlite::Error>(conn, Tier::Minutes, minute, [*first, *last], true, &mut |rollup| {
            if let Some(merged) = merged.get_mut(&rollup.series) {
                merged.add(&rollup.aggregate, rollup.sketch.as_ref());
            }
            Ok(())
        })?;
    }
    let rollup = |(series, merged): (SeriesId, Merged)| {
        let aggregate = merged.aggregate()?;
        Some(Rollup { series, aggregate, sketch: merged.into_sketch() })
    };
    Ok(merged.into_iter().filter_map(rollup).collect())
}

/// Rollups of one bucket on their way to the tables.
struct Slice<'a> {
    aggregator: &'a Aggregator,
    tier: Tier,
    bucket: i64,
    rollups: Vec<Rollup>,
}

impl<'a> Slice<'a> {
    fn new(aggregator: &'a Aggregator, tier: Tier, bucket: i64) -> Self {
        Self { aggregator, tier, bucket, rollups: Vec::with_capacity(ROLLUPS_PER_JOB) }
    }

    fn push(&mut self, rollup: Rollup) -> Result<(), Failure> {
        self.rollups.push(rollup);
        if self.rollups.len() < ROLLUPS_PER_JOB { Ok(()) } else { self.write(|_| Ok(())) }
    }

    /// Writes the rest, and with it that the bucket is done.
    fn finish(
        mut self,
        done: impl Fn(&Connection) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Result<(), Failure> {
        self.write(done)
    }

    fn write(
        &mut self,
        also: impl Fn(&Connection) -> rusqlite::Result<()> + Send + Sync + 'static,
    ) -> Result<(), Failure> {
        let (tier, bucket) = (self.tier, self.bucket);
        let rollups = std::mem::replace(&mut self.rollups, Vec::with_capacity(ROLLUPS_PER_JOB));
        self.aggregator.write(move |tx| {
            rollups::put(tx, tier, bucket, &rollups)?;
            if tier == Tier::Hours {
                rollups::note_use(tx, bucket, &rollups)?;
            }
            also(tx)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fmt::Write as _;

    use common::db::Database;
    use common::testing::{Random, TempDir};
    use common::writer::WriterThreads;

    use super::*;
    use crate::aggregate::Aggregate;
    use crate::series::Type;
    use crate::sketch::RELATIVE_ERROR_MAX;
    use crate::store::MIGRATIONS;
    use crate::store::testing::{add_points, add_series};

    struct Bench {
        aggregator: Aggregator,
        series: Cell<u32>,
        _database: Database,
        _threads: WriterThreads,
        _folder: TempDir,
    }

    /// All rows of all tables that rollups write.
    type Tables = Vec<Vec<rusqlite::types::Value>>;

    impl Bench {
        fn new() -> Self {
            let folder = TempDir::new();
            let (database, conn) =
                Database::open(&folder.path().join("x.db"), "metrics-collector", MIGRATIONS).expect("a database");
            let (writer, threads) = Writer::start(conn).expect("a writer");
            let reader = database.reader().expect("a reader");
            let aggregator = Aggregator { reader, writer, figures: Arc::default(), stop: Stop::new() };
            Self { aggregator, series: Cell::new(0), _database: database, _threads: threads, _folder: folder }
        }

        fn write<T: Send + 'static>(&self, job: impl Fn(&Connection) -> T + Send + Sync + 'static) -> T {
            self.aggregator.write(move |tx| Ok(job(tx))).expect("written")
        }

        fn series(&self, kind: Type) -> SeriesId {
            self.series.update(|number| number + 1);
            let name = format!("x{}", self.series.get());
            self.write(move |tx| add_series(tx, &name, kind))
        }

        fn points(&self, points: &[(SeriesId, i64, f64)]) {
            let points = points.to_vec();
            self.write(move |tx| add_points(tx, &points));
        }

        fn round(&self, second: i64) {
            self.aggregator.round(Timestamp::from_millis(second * 1000)).expect("a round");
        }

        fn rollup(&self, tier: Tier, bucket: i64, series: SeriesId) -> Option<Aggregate> {
            let mut found = None;
            rollups::for_each::<rusqlite::Error>(
                &self.aggregator.reader,
                tier,
                bucket,
                [series, series],
                false,
                &mut |rollup| {
                    found = Some(rollup.aggregate);
                    Ok(())
                },
            )
            .expect("a query");
            found
        }

        fn tables(&self) -> Tables {
            let mut rows = Vec::new();
            for table in ["minutes", "minute_sketches", "hours", "hour_sketches", "pending"] {
                let mut statement = self.aggregator.reader.prepare(&format!("SELECT * FROM {table}")).expect(table);
                let columns = statement.column_count();
                let row = |row: &rusqlite::Row<'_>| (0..columns).map(|column| row.get(column)).collect();
                rows.extend(statement.query_map([], row).expect(table).map(|row| row.expect(table)));
            }
            rows
        }
    }

    /// Points of some series over two hours and a bit; the last minutes are open at 7260.
    fn points_of(series: &[SeriesId], count: usize, random: &mut Random) -> Vec<(SeriesId, i64, f64)> {
        let mut point = || {
            let value = (random.below(1_000_000) as f64 / 1e5).exp() - 5.0;
            (series[random.below(series.len())], random.below(7_260_000) as i64, value)
        };
        (0..count).map(|_| point()).collect()
    }

    fn exact(points: &[(SeriesId, i64, f64)], kind: Type, series: SeriesId, span: Range<i64>) -> Option<Aggregate> {
        let of_it = points.iter().filter(|(id, millis, _)| *id == series && span.contains(&(millis / 1000)));
        let mut values: Vec<f64> = of_it.map(|point| point.2).collect();
        values.sort_by(f64::total_cmp);
        exactly(kind, values.len() as u64, values.into_iter()).map(|(aggregate, _)| aggregate)
    }

    #[test]
    fn minutes_are_exact_and_hours_within_one_percent() {
        let bench = Bench::new();
        let kinds = [Type::Histogram, Type::Counter, Type::Gauge];
        let series = kinds.map(|kind| (bench.series(kind), kind));
        let points = points_of(&series.map(|(id, _)| id), 6000, &mut Random::new());
        bench.points(&points);
        bench.round(7260);
        for (id, kind) in series {
            for minute in (0..7320).step_by(60) {
                let expected = exact(&points, kind, id, minute..minute + 60).filter(|_| minute < 7200);
                assert_eq!(bench.rollup(Tier::Minutes, minute, id), expected, "minute {minute} of {kind:?}");
            }
            for hour in [0, 3600] {
                let (found, exact) = (bench.rollup(Tier::Hours, hour, id), exact(&points, kind, id, hour..hour + 3600));
                let (found, exact) = found.zip(exact).expect("an hour");
                assert_eq!((found.count, found.min, found.max), (exact.count, exact.min, exact.max));
                assert!((found.sum / exact.sum - 1.0).abs() < 1e-12, "{found:?} for {exact:?}");
                assert_eq!(found.percentiles.is_some(), kind == Type::Histogram);
                if let Some((found, exact)) = found.percentiles.zip(exact.percentiles) {
                    for (found, exact) in [(found.p50, exact.p50), (found.p95, exact.p95), (found.p99, exact.p99)] {
                        assert!((found - exact).abs() <= exact.abs() * RELATIVE_ERROR_MAX, "{found} for {exact}");
                    }
                }
            }
            assert_eq!(bench.rollup(Tier::Hours, 7200, id), None, "it is not over");
        }
    }

    #[test]
    fn a_minute_is_closed_some_seconds_after_its_end() {
        let bench = Bench::new();
        let id = bench.series(Type::Counter);
        bench.points(&[(id, 60_000, 1.0)]);
        bench.round(134);
        assert_eq!(bench.rollup(Tier::Minutes, 60, id), None);
        bench.round(135);
        assert_eq!(bench.rollup(Tier::Minutes, 60, id).map(|minute| minute.count), Some(1));
    }

    #[test]
    fn a_late_point_is_in_its_minute_and_its_hour_after_the_next_round() {
        let bench = Bench::new();
        let (id, other) = (bench.series(Type::Histogram), bench.series(Type::Gauge));
        bench.points(&[(id, 60_000, 1.0), (other, 60_000, 5.0)]);
        bench.round(3700);
        bench.points(&[(id, 61_000, 3.0)]);
        bench.write(|tx| pending::mark_late(tx, 60).expect("marked"));
        bench.round(3701);
        for (tier, bucket) in [(Tier::Minutes, 60), (Tier::Hours, 0)] {
            let of = |id| bench.rollup(tier, bucket, id).map(|rollup| (rollup.count, rollup.sum));
            assert_eq!((of(id), of(other)), (Some((2, 4.0)), Some((1, 5.0))));
        }
        assert_eq!(
            bench.rollup(Tier::Minutes, 60, id).and_then(|rollup| rollup.percentiles).map(|all| all.p50),
            Some(1.0)
        );
    }

    /// Breaks off the job that makes the `n`th change to what rollups write.
    const FUSE: &str = "CREATE TABLE fuse (left INTEGER NOT NULL); INSERT INTO fuse VALUES (0);";

    fn fuses() -> String {
        let mut sql = FUSE.to_owned();
        for table in ["minutes", "minute_sketches", "hours", "hour_sketches", "pending", "_meta"] {
            for change in ["INSERT", "UPDATE", "DELETE"] {
                let _ = write!(
                    sql,
                    "CREATE TRIGGER fuse_{table}_{change} BEFORE {change} ON {table} BEGIN
                         UPDATE fuse SET left = left - 1;
                         SELECT RAISE(ABORT, 'fuse') FROM fuse WHERE left < 0;
                     END;"
                );
            }
        }
        sql
    }

    #[test]
    fn a_round_that_breaks_off_anywhere_is_made_good_by_the_next() {
        let (undisturbed, disturbed) = (Bench::new(), Bench::new());
        let mut random = Random::new();
        let kind = |number: usize| if number.is_multiple_of(2) { Type::Histogram } else { Type::Counter };
        let series: Vec<_> = (0..ROLLUPS_PER_JOB + 30).map(|number| undisturbed.series(kind(number))).collect();
        for number in 0..series.len() {
            disturbed.series(kind(number));
        }
        let mut points = points_of(&series, 400, &mut random);
        points.extend(series.iter().map(|id| (*id, 1000, 1.0)));
        undisturbed.points(&points);
        // In another order.
        points.sort_by(|a, b| b.2.total_cmp(&a.2));
        disturbed.points(&points);
        undisturbed.round(7300);

        disturbed.write(|tx| tx.execute_batch(&fuses()).expect("fuses"));
        let mut failures = 0;
        for allowed in (0..).step_by(7) {
            disturbed.write(move |tx| tx.execute("UPDATE fuse SET left = ?1", [allowed]).expect("a fuse"));
            match disturbed.aggregator.round(Timestamp::from_millis(7_300_000)) {
                Ok(()) => break,
                Err(_) => failures += 1,
            }
        }
        assert!(failures > 50, "{failures}");
        assert!(undisturbed.tables() == disturbed.tables());
        disturbed.round(7300);
        assert!(undisturbed.tables() == disturbed.tables(), "another round changes nothing");
    }

    #[test]
    fn what_was_stored_is_counted_for_health() {
        let bench = Bench::new();
        let health = |second: i64| bench.aggregator.figures.health(Timestamp::from_millis(second * 1000));
        assert_eq!((health(0).newest_bucket, health(0).lag), (None, None));
        let id = bench.series(Type::Counter);
        let day = 24 * 3600;
        let now = 3 * day + 1800;
        // Too old, and each hour one in the last day; the newest minute is open.
        let hours = (0..=48).map(|hour| (id, (now - 1 - hour * 3600) * 1000, 1.0));
        bench.points(&hours.collect::<Vec<_>>());
        for second in [now, now + 1] {
            bench.round(second);
            assert_eq!(health(second).received_day, 24, "at {second}");
        }
        bench.aggregator.figures.points_stored(5);
        let health = health(now + 31);
        assert_eq!(health.received_day, 29);
        assert_eq!(health.lag, Some(Duration::from_secs(30)));
        assert_eq!(health.newest_bucket, Some(Timestamp::from_millis((now - 3660) / 60 * 60 * 1000)));
    }
}
