//! Reads the points of a stretch of time, series by series, in bounded memory.

use std::collections::HashMap;
use std::path::Path;

use common::clock::Timestamp;
use rusqlite::Connection;

use super::scratch::Scratch;
use super::{on_one_state, points};
use crate::series::SeriesId;

/// Points that are held with the series they belong to, so that one look at the table is enough: 4 MB.
const PAIRS_MAX: usize = 256 << 10;
/// Values that are held when there are more: as many series at a time as have so many together. 4 MB.
const VALUES_MAX: usize = 512 << 10;
/// When that makes more groups than this, the points are brought in order in a file, not looked through for each group.
const LOOKS_MAX: usize = 3;

/// What is called for each series.
pub(crate) type Each<'e, E> = &'e mut dyn FnMut(SeriesId, u64, &mut dyn Iterator<Item = f64>) -> Result<(), E>;

/// Calls `each` for every wanted series that has points from `from` on and before `to`: series ascending, with the number of
/// its values and the values ascending.
///
/// All of it is one state of the database. If the values end early, reading failed, and the error is returned afterwards.
/// It holds some 5 MB at most, plus 30 bytes for each series when there are many points: those are counted first, then read for
/// as many series at a time as fit, from a file if that were many times. One that does not fit alone is sorted by SQLite.
pub(crate) fn for_each_series<E: From<rusqlite::Error>>(
    conn: &Connection,
    from: Timestamp,
    to: Timestamp,
    wanted: &dyn Fn(SeriesId) -> bool,
    each: Each<'_, E>,
) -> Result<(), E> {
    let limits = Limits { pairs: PAIRS_MAX, values: VALUES_MAX, looks: LOOKS_MAX };
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
    looks: usize,
}

/// A series and how many points it has.
type Count = (SeriesId, u64);

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
        let groups = groups(&counts, limits.values as u64);
        let scratch = if groups.len() > limits.looks { stretch.scratch(&groups)? } else { None };
        for (number, group) in groups.into_iter().enumerate() {
            match group {
                [(series, count)] if *count > limits.values as u64 => stretch.sorted(*series, *count, each)?,
                _ => stretch.values(group, scratch.as_ref().map(|scratch| (scratch, number)))?.for_each(each)?,
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

/// As many series in each as fit, but at least one.
fn groups(counts: &[Count], values_max: u64) -> Vec<&[Count]> {
    let (mut groups, mut rest) = (Vec::new(), counts);
    while !rest.is_empty() {
        let mut total = 0;
        let fits = rest.iter().take_while(|(_, count)| {
            total += count;
            total <= values_max
        });
        let (group, others) = rest.split_at(fits.count().max(1));
        groups.push(group);
        rest = others;
    }
    groups
}

/// The values of some series side by side.
struct Values<'g> {
    group: &'g [Count],
    all: Vec<f64>,
    /// Where the next value of a series goes.
    places: HashMap<SeriesId, usize>,
}

impl<'g> Values<'g> {
    fn new(group: &'g [Count]) -> Self {
        let mut places = HashMap::with_capacity(group.len());
        let mut total = 0;
        for (series, count) in group {
            places.insert(*series, total);
            total += *count as usize;
        }
        Self { group, all: vec![0.0; total], places }
    }

    fn put(&mut self, series: SeriesId, value: f64) {
        if let Some(place) = self.places.get_mut(&series) {
            self.all[*place] = value;
            *place += 1;
        }
    }

    fn for_each<E>(mut self, each: Each<'_, E>) -> Result<(), E> {
        let mut rest = &mut self.all[..];
        for (series, count) in self.group {
            let (own, others) = rest.split_at_mut(*count as usize);
            own.sort_unstable_by(f64::total_cmp);
            each(*series, *count, &mut own.iter().copied())?;
            rest = others;
        }
        Ok(())
    }
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

    fn counts(&self) -> rusqlite::Result<Vec<Count>> {
        let mut counts = HashMap::new();
        self.read(|series, _| {
            *counts.entry(series).or_insert(0) += 1;
            true
        })?;
        let mut counts: Vec<_> = counts.into_iter().filter(|(series, _)| (self.wanted)(*series)).collect();
        counts.sort_unstable();
        Ok(counts)
    }

    /// All points of these groups, ordered by group in a file. None where no file can be written: another look for each group
    /// takes longer, but does as well.
    fn scratch(&self, groups: &[&[Count]]) -> rusqlite::Result<Option<Scratch>> {
        let Some(path) = self.conn.path().filter(|path| !path.is_empty()) else { return Ok(None) };
        let sizes = groups.iter().map(|group| group.iter().map(|(_, count)| count).sum());
        let Ok(mut scratch) = Scratch::create(Path::new(path), sizes) else { return Ok(None) };
        let mut is_good = true;
        self.read(|series, value| {
            let number = groups.partition_point(|group| group.last().is_some_and(|(last, _)| *last < series));
            let is_in =
                groups.get(number).is_some_and(|group| group.binary_search_by_key(&series, |count| count.0).is_ok());
            is_good = !is_in || scratch.push(number, series, value).is_ok();
            is_good
        })?;
        Ok((is_good && scratch.finish().is_ok()).then_some(scratch))
    }

    /// The values of a group: from a file that has them, or by another look at the table.
    fn values<'g>(&self, group: &'g [Count], scratch: Option<(&Scratch, usize)>) -> rusqlite::Result<Values<'g>> {
        if let Some((scratch, number)) = scratch {
            let mut values = Values::new(group);
            if scratch.read(number, |series, value| values.put(series, value)).is_ok() {
                return Ok(values);
            }
        }
        let mut values = Values::new(group);
        self.read(|series, value| {
            values.put(series, value);
            true
        })?;
        Ok(values)
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

    use common::testing::{Random, TempDir};

    use super::*;
    use crate::store::testing::{add_points, database, database_in};

    const LIMITS: [Limits; 5] = [
        Limits { pairs: 10_000, values: 10_000, looks: 3 },
        Limits { pairs: 4999, values: 10_000, looks: 3 },
        Limits { pairs: 0, values: 700, looks: 1000 },
        Limits { pairs: 0, values: 300, looks: 3 },
        Limits { pairs: 10, values: 1, looks: 0 },
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
        let folder = TempDir::new();
        // Only beside a database in a file there is room for another.
        for conn in [database(), database_in(&folder)] {
            check(&conn);
        }
    }

    #[track_caller]
    fn check(conn: &Connection) {
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
        add_points(conn, &points);
        for values in expected.values_mut() {
            values.sort_by(f64::total_cmp);
        }
        for limits in &LIMITS {
            assert!(read(conn, limits, &|_| true) == expected);
        }
        expected.retain(|series, _| series % 3 == 1);
        for limits in &LIMITS {
            assert!(read(conn, limits, &|series| series % 3 == 1) == expected);
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
        for (limits, series) in LIMITS.iter().zip([1; 5]) {
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
