//! Single values, in the order of their times.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use common::clock::Timestamp;
use common::http::idempotency::Once;
use rusqlite::{Connection, params};

use super::series::{self, Catalog};
use super::{idempotency, pending};
use crate::sample::Batch;
use crate::series::{Key, SeriesId};

/// A point's id is its time in milliseconds, shifted by so many bits, plus a number that keeps points of one millisecond
/// apart. 42 bits of time last until the year 2109.
const SEQUENCE_BITS: u32 = 21;
const SEQUENCE_MASK: u64 = (1 << SEQUENCE_BITS) - 1;
/// Ids of its own millisecond that are tried for a point. More in a row are taken only where nearly all are.
const ATTEMPTS_MAX: u32 = 4;
const MINUTE_MILLIS: i64 = 60_000;
const HOUR_SECONDS: i64 = 3600;

/// The smallest id of the points at this time; those before it are smaller.
pub(crate) const fn first_id(at: Timestamp) -> i64 {
    at.millis() << SEQUENCE_BITS
}

/// When the point of this id was measured.
pub(crate) const fn time_of(id: i64) -> Timestamp {
    Timestamp::from_millis(id >> SEQUENCE_BITS)
}

/// What the writing of batches shares.
#[derive(Debug)]
pub(crate) struct Ingest {
    pub(crate) catalog: Catalog,
    /// Series that there may be.
    pub(crate) series_max: i64,
    /// Batches refused for a series too many.
    pub(crate) refused: AtomicU64,
    /// The last part of the next id. It starts anywhere, so that a restart within a millisecond meets no old ids.
    sequence: AtomicU64,
}

/// What became of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Recorded {
    /// All points are stored.
    Stored { count: usize, learned: Vec<(Key, SeriesId)> },
    /// They were before.
    Repeated { count: usize },
    /// The key came with another body before.
    KeyReused,
    /// The catalog was cleared after this batch was read; it is to be read again.
    Stale,
    /// This item's series would be one too many; nothing is stored.
    TooManySeries { item: usize },
}

impl Ingest {
    /// Nothing is known yet. `seed` is any number.
    pub(crate) fn new(series_max: u32, seed: u64) -> Self {
        Self {
            catalog: Catalog::default(),
            series_max: i64::from(series_max),
            refused: AtomicU64::new(0),
            sequence: AtomicU64::new(seed),
        }
    }

    /// Stores a batch, whole or not at all.
    pub(crate) fn record(
        &self,
        tx: &Connection,
        now: Timestamp,
        batch: &Batch,
        once: Option<&Once>,
    ) -> rusqlite::Result<Recorded> {
        if let Some(once) = once
            && let Some(earlier) = idempotency::find(tx, once)?
        {
            return Ok(earlier);
        }
        let hour = now.millis().div_euclid(1000 * HOUR_SECONDS) * HOUR_SECONDS;
        let learned = match self.define(tx, hour, batch)? {
            Ok(learned) => learned,
            Err(refused) => return Ok(refused),
        };
        if !self.insert(tx, batch, &learned)? {
            return Ok(Recorded::Stale);
        }
        mark_late_minutes(tx, batch)?;
        if let Some(once) = once {
            idempotency::remember(tx, now, once, batch.points.len())?;
        }
        Ok(Recorded::Stored { count: batch.points.len(), learned: learned.into_iter().collect() })
    }

    /// The ids of the batch's new series, which are stored where they are not yet; the refusal when there is no room.
    fn define(
        &self,
        tx: &Connection,
        hour: i64,
        batch: &Batch,
    ) -> rusqlite::Result<Result<HashMap<Key, SeriesId>, Recorded>> {
        let mut ids = HashMap::with_capacity(batch.new.len());
        let mut missing = Vec::new();
        for (key, definition, item) in &batch.new {
            match series::find(tx, definition, hour)? {
                Some(id) => {
                    ids.insert(*key, id);
                }
                None => missing.push((key, definition, item)),
            }
        }
        if missing.is_empty() {
            return Ok(Ok(ids));
        }
        let room = (self.series_max - series::count(tx)?).max(0) as usize;
        if let Some((_, _, item)) = missing.get(room) {
            return Ok(Err(Recorded::TooManySeries { item: **item }));
        }
        for (key, definition, _) in missing {
            ids.insert(*key, series::insert(tx, definition, hour)?);
        }
        Ok(Ok(ids))
    }

    /// Stores the points; false, and nothing is stored, when a series is not known any more.
    fn insert(&self, tx: &Connection, batch: &Batch, new: &HashMap<Key, SeriesId>) -> rusqlite::Result<bool> {
        let known: Option<Vec<SeriesId>> = {
            let ids = self.catalog.lock();
            batch.points.iter().map(|point| new.get(&point.key).or_else(|| ids.get(&point.key)).copied()).collect()
        };
        let Some(known) = known else { return Ok(false) };
        let sql = "INSERT OR IGNORE INTO points (id, series, value, dropped) VALUES (?1, ?2, ?3, ?4)";
        let mut statement = tx.prepare_cached(sql)?;
        for (point, series) in batch.points.iter().zip(known) {
            let mut at = point.at;
            for attempt in 1_u32.. {
                let sequence = self.sequence.fetch_add(1, Ordering::Relaxed) & SEQUENCE_MASK;
                let id = first_id(at) | sequence as i64;
                if statement.execute(params![id, series, point.value, point.dropped.as_deref()])? == 1 {
                    break;
                }
                if attempt >= ATTEMPTS_MAX {
                    at = elsewhere_in_second(at, sequence);
                }
            }
        }
        Ok(true)
    }
}

/// Any of the second's milliseconds. Clients that send whole seconds put all their points into one, which can become full.
const fn elsewhere_in_second(at: Timestamp, number: u64) -> Timestamp {
    Timestamp::from_millis(at.millis().div_euclid(1000) * 1000 + (number % 1000) as i64)
}

/// Minutes that are closed already are rolled up once more.
fn mark_late_minutes(tx: &Connection, batch: &Batch) -> rusqlite::Result<()> {
    let closed_until = pending::closed_until(tx)?;
    let minute = |at: Timestamp| at.millis().div_euclid(MINUTE_MILLIS) * (MINUTE_MILLIS / 1000);
    let mut late: Vec<i64> =
        batch.points.iter().map(|point| minute(point.at)).filter(|minute| *minute < closed_until).collect();
    late.sort_unstable();
    late.dedup();
    late.into_iter().try_for_each(|minute| pending::mark_late(tx, minute))
}

#[cfg(test)]
mod tests {
    use common::testing::TempDir;

    use super::*;
    use crate::sample::Point;
    use crate::series::{Series, Type};
    use crate::store::testing::database_in;

    const AT: Timestamp = Timestamp::from_millis(1_768_903_200_500);

    fn batch(points: usize) -> Batch {
        let series = Series { name: "a".into(), kind: Type::Gauge, project: String::new(), labels: "{}".into() };
        let point = Point { key: 7, at: AT, value: 1.0, dropped: None };
        Batch { points: vec![point; points], new: vec![(7, series, 0)] }
    }

    #[test]
    fn a_millisecond_that_is_full_takes_more_in_its_second() {
        let folder = TempDir::new();
        let conn = database_in(&folder);
        conn.execute(
            "WITH RECURSIVE n(id) AS (SELECT ?1 UNION ALL SELECT id + 1 FROM n LIMIT 2097152)
             INSERT INTO points (id, series, value) SELECT id, 0, 0 FROM n",
            [first_id(AT)],
        )
        .expect("points");
        let ingest = Ingest::new(10, SEQUENCE_MASK - 5);
        let recorded = ingest.record(&conn, AT, &batch(100), None).expect("recorded");
        assert!(matches!(recorded, Recorded::Stored { count: 100, .. }), "{recorded:?}");
        let ids = "SELECT count(*), min(id), max(id) FROM points WHERE series > 0";
        let (count, first, last): (i64, i64, i64) =
            conn.query_row(ids, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("counted");
        assert_eq!(count, 100);
        let second = AT.millis() / 1000;
        assert_eq!([first, last].map(|id| time_of(id).millis() / 1000), [second, second]);
    }
}
