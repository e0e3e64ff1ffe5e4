//! Reads the points of a stretch of time, series by series, in bounded memory.

use std::collections::HashMap;

use common::clock::Timestamp;
use rusqlite::Connection;

use super::{on_one_state, points};
use crate::series::SeriesId;

/// Points that are held with the series they belong to, so that one look at the table is enough: 4 MB.
const PAIRS_MAX: usize = 256 << 10;
/// Values that are held when there are more: as many series at a time as have so many together. 4 MB.
const VALUES_MAX: usize = 512 << 10;

/// What is called for each series.
pub(crate) type Each<'e, E> = &'e mut dyn FnMut(SeriesId, u64, &mut dyn Iterator<Item = f64>) -> Result<(), E>;

/// Calls `each` for every wanted series that has points from `from` on and before `to`: series ascending, with the number of
/// its values and the values ascending.
///
/// All of it is one state of the database. If the values end early, reading failed, and the error is returned afterwards.
/// It holds some 4 MB at most, plus 30 bytes for each series when there are many points: those are counted first, then read again for
/// as many series at a time as fit. One that does not fit alone is sorted by SQLite, in a file.
pub(crate) fn for_each_series<E: From<rusqlite::Error>>(
    conn: &Connection,
    from: Timestamp,
    to: Timestamp,
    wanted: &dyn Fn(SeriesId) -> bool,
    each: Each<'_, E>,
) -> Result<(), E> {
    let limits = Limits { pairs: PAIRS_MAX, values: VALUES_MAX };
    for_each_within(&limits, &Stretch { conn, from: points::first_id(from), to: points::first_id(to), wanted }, each)
}

/// How many points there are from `from` on and before `to`.
pub(crate) fn count(conn: &Connection, from: Timestamp, to: Timestamp) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM points WHERE id >= ?1 AND id < ?2";
    conn.prepare_cached(sql)?
        .query_row([points::first_id(from), points::first_id(to)], |row| row.get::<_, i64>(0))
        .map(|count| count as u64)
}

/// Calls `each` with number and sum of the values of every series that has points from `from` on and before `to`.
pub(crate) fn for_each_total(
    conn: &Connection,
    from: Timestamp,
    to: Timestamp,
    each: &mut dyn FnMut(SeriesId, u64, f64),
) -> rusqlite::Result<()> {
    let mut totals: HashMap<SeriesId, (u64, f64)> = HashMap::new();
    let stretch = Stretch { conn, from: points::first_id(from), to: points::first_id(to), wanted: &|_| true };
    stretch.read(|series, value| {
        let (count, sum) = totals.entry(series).or_default();
        *count += 1;
        *sum += value;
        true
    })?;
    for (series, (count, sum)) in totals {
        each(series, count, sum);
    }
    Ok(())
}

struct Limits {
    pairs: usize,
    values: usize,
}

struct Stretch<'c> {
    conn: &'c Connection,
    from: i64,
    to: i64,
    wanted: &'c dyn Fn(SeriesId) -> bool,
}

fn for_each_within<E: From<rusqlite::Error>>(
    limits: &Limits,
    stretch: &Stretch<'_>,
    each: Each<'_, E>,
) -> Result<(), E> {
    on_one_state(stretch.conn, || {
        if let Some(pairs) = stretch.pairs(limits.pairs)? {
            return in_memory(pairs, each);
        }
        let counts = stretch.counts()?;
        let mut rest = &counts[..];
        while let Some(group) = first_group(rest, limits.values) {
            rest = &rest[group.len()..];
            match group {
                [(series, count)] if *count > limits.values as u64 => stretch.sorted(*series, *count, each)?,
                _ => stretch.group(group, each)?,
            }
        }
        Ok(())
    })
}

fn in_memory<E>(mut pairs: Vec<(SeriesId, f64)>, each: Each<'_, E>) -> Result<(), E> {
    pairs.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
    for group in pairs.chunk_by(|a, b| a.0 == b.0) {
        each(group[0].0, group.len() as u64, &mut group.iter().map(|pair| pair.1))?;
    }
    Ok(())
}

/// As many series as fit, but at least one; none when there are none.
fn first_group(counts: &[(SeriesId, u64)], values_max: usize) -> Option<&[(SeriesId, u64)]> {
    let mut total = 0;
    let fits = counts.iter().take_while(|(_, count)| {
        total += count;
        total <= values_max as u64
    });
    let length = fits.count().max(1);
    counts.get(..length)
}

impl Stretch<'_> {
    fn read(&self, mut row: impl FnMut(SeriesId, f64) -> bool) -> rusqlite::Result<()> {
        let sql = "SELECT series, value FROM points WHERE id >= ?1 AND id < ?2";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut rows = statement.query([self.from, self.to])?;
        while let Some(next) = rows.next()? {
            if !row(next.get(0)?, next.get(1)?) {
                break;
            }
        }
        Ok(())
    }

    /// All wanted points, if there are no more than so many.
    fn pairs(&self, most: usize) -> rusqlite::Result<Option<Vec<(SeriesId, f64)>>> {
        let mut pairs = Vec::new();
        let mut fits = true;
        self.read(|series, value| {
            if (self.wanted)(series) {
                fits = pairs.len() < most;
                pairs.push((series, value));
            }
            fits
        })?;
        Ok(fits.then_some(pairs))
    }

    fn counts(&self) -> rusqlite::Result<Vec<(SeriesId, u64)>> {
        let mut counts = HashMap::new();
        self.read(|series, _| {
            *counts.entry(series).or_insert(0) += 1;
            true
        })?;
        let mut counts: Vec<_> = counts.into_iter().filter(|(series, _)| (self.wanted)(*series)).collect();
        counts.sort_unstable();
        Ok(counts)
    }

    /// Reads the values of some series side by side into one buffer.
    fn group<E: From<rusqlite::Error>>(&self, group: &[(SeriesId, u64)], each: Each<'_, E>) -> Result<(), E> {
        let mut places = HashMap::with_capacity(group.len());
        let mut total = 0;
        for (series, count) in group {
            places.insert(*series, total);
            total += *count as usize;
        }
        let mut values = vec![0.0; total];
        self.read(|series, value| {
            if let Some(place) = places.get_mut(&series) {
                values[*place] = value;
                *place += 1;
            }
            true
        })?;
        let mut rest = &mut values[..];
        for (series, count) in group {
            let (own, others) = rest.split_at_mut(*count as usize);
            own.sort_unstable_by(f64::total_cmp);
            each(*series, *count, &mut own.iter().copied())?;
            rest = others;
        }
        Ok(())
    }

    /// One series, too large for memory.
    fn sorted<E: From<rusqlite::Error>>(&self, series: SeriesId, count: u64, each: Each<'_, E>) -> Result<(), E> {
        let sql = "SELECT value FROM points WHERE id >= ?1 AND id < ?2 AND series = ?3 ORDER BY value";
        let mut statement = self.conn.prepare_cached(sql)?;
        let mut values = statement.query_map([self.from, self.to, series], |row| row.get::<_, f64>(0))?;
        let mut failure = None;
        let mut good = values.by_ref().map_while(|value| value.map_err(|error| failure = Some(error)).ok());
        let outcome = each(series, count, &mut good);
        failure.map_or(outcome, |error| Err(error.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use common::testing::Random;

    use super::*;
    use crate::store::testing::{add_points, database};

    const LIMITS: [Limits; 4] = [
        Limits { pairs: 10_000, values: 10_000 },
        Limits { pairs: 4999, values: 10_000 },
        Limits { pairs: 0, values: 700 },
        Limits { pairs: 10, values: 1 },
    ];

    type Values = BTreeMap<SeriesId, Vec<f64>>;

    fn read(conn: &Connection, limits: &Limits, wanted: &dyn Fn(SeriesId) -> bool) -> Values {
        let mut found = Values::new();
        let stretch = Stretch {
            conn,
            from: points::first_id(Timestamp::from_millis(60_000)),
            to: points::first_id(Timestamp::from_millis(120_000)),
            wanted,
        };
        let mut newest = 0;
        let mut each = |series, count, values: &mut dyn Iterator<Item = f64>| {
            assert!(series > newest, "series ascend");
            newest = series;
            let values: Vec<f64> = values.collect();
            assert_eq!(values.len() as u64, count);
            found.insert(series, values);
            rusqlite::Result::Ok(())
        };
        for_each_within::<rusqlite::Error>(limits, &stretch, &mut each).expect("read");
        found
    }

    #[test]
    fn series_come_one_after_the_other_with_ascending_values_however_little_memory_there_is() {
        let conn = database();
        let mut random = Random::new();
        let mut expected = Values::new();
        let mut points = Vec::new();
        for _ in 0..6000 {
            // The first series have most of them.
            let series = 1 + (random.below(40) * random.below(40) / 40) as SeriesId;
            let (millis, value) = (random.below(72_000) as i64 + 54_000, random.below(1000) as f64 - 500.0);
            points.push((series, millis, value));
            if (60_000..120_000).contains(&millis) {
                expected.entry(series).or_default().push(value);
            }
        }
        add_points(&conn, &points);
        for values in expected.values_mut() {
            values.sort_by(f64::total_cmp);
        }
        for limits in &LIMITS {
            assert!(read(&conn, limits, &|_| true) == expected);
        }
        expected.retain(|series, _| series % 3 == 1);
        for limits in &LIMITS {
            assert!(read(&conn, limits, &|series| series % 3 == 1) == expected);
        }
    }

    #[test]
    fn where_nothing_is_nothing_is_called() {
        let conn = database();
        for limits in &LIMITS {
            assert!(read(&conn, limits, &|_| true).is_empty());
        }
        assert_eq!(count(&conn, Timestamp::from_millis(0), Timestamp::from_millis(1)).expect("a count"), 0);
    }

    #[test]
    fn what_each_refuses_ends_it() {
        let conn = database();
        add_points(&conn, &[(1, 60_000, 1.0), (2, 60_001, 2.0)]);
        for (limits, series) in LIMITS.iter().zip([1; 4]) {
            let mut seen = Vec::new();
            let stretch = Stretch { conn: &conn, from: 0, to: i64::MAX, wanted: &|_| true };
            let outcome = for_each_within(limits, &stretch, &mut |series, _, _| {
                seen.push(series);
                Err(rusqlite::Error::InvalidQuery)
            });
            assert_eq!(outcome, Err(rusqlite::Error::InvalidQuery));
            assert_eq!(seen, [series]);
        }
    }
}
