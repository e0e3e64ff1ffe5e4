//! Counts of entries by time and level.

use rusqlite::{Connection, params};

use super::counts::{self, ALL, container_id, group_condition};
use super::rows::level;
use crate::entry::{Level, LogTime};
use crate::filter::Filter;
use crate::histogram::Buckets;

const HOUR: i64 = 3600 * 1_000_000_000;

/// A histogram of what a filter's container, levels and times ask for.
pub(crate) struct Histogram {
    pub(crate) buckets: Buckets,
    /// By the begin of their bucket; empty ones are not there.
    pub(crate) counts: Vec<(LogTime, Level, i64)>,
}

/// None when there is nothing to count.
pub(crate) fn histogram(conn: &Connection, filter: &Filter, now: LogTime) -> rusqlite::Result<Option<Histogram>> {
    super::on_one_state(conn, || {
        let container = match &filter.container {
            Some(name) => match container_id(conn, name)? {
                Some(id) => Some(id),
                None => return Ok(None),
            },
            None => None,
        };
        let [since, until] = counts::times(filter);
        let oldest: Option<i64> =
            conn.prepare_cached("SELECT min(time) FROM entries")?.query_row([], |row| row.get(0))?;
        let Some(oldest) = oldest else { return Ok(None) };
        let (since, until) = (since.max(oldest), until.min(now.nanos().max(oldest)));
        if since > until {
            return Ok(None);
        }
        let buckets = Buckets::covering(LogTime::from_nanos(since), LogTime::from_nanos(until));
        let group = group_condition(filter, container);
        let Buckets { width, from, to } = buckets;
        let (sql, scale) = if buckets.are_hours() {
            let sql = format!(
                "SELECT hour / ?1 * ?1, level, sum(count) FROM hours WHERE {group} AND hour >= ?2 AND hour < ?3 GROUP BY 1, 2"
            );
            (sql, HOUR)
        } else {
            // From an index alone: the rows themselves are not read.
            let index = if group == ALL { "" } else { "INDEXED BY entries_by_group" };
            let every = if group == ALL {
                "container_id IN (SELECT id FROM containers) AND level IN (0, 1, 2, 3, 4)"
            } else {
                &group
            };
            let sql = format!(
                "SELECT time / ?1 * ?1, level, count(*) FROM entries {index} WHERE {every} AND time >= ?2 AND time < ?3 GROUP BY 1, 2"
            );
            (sql, 1)
        };
        let mut statement = conn.prepare_cached(&sql)?;
        let rows = statement.query_map(params![width / scale, from / scale, to / scale], |row| {
            Ok((LogTime::from_nanos(row.get::<_, i64>(0)?.saturating_mul(scale)), level(row.get(1)?), row.get(2)?))
        })?;
        Ok(Some(Histogram { buckets, counts: rows.collect::<Result<_, _>>()? }))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::append;
    use crate::store::testing::{NOW, batch, database, entry, filter};

    const SECOND: i64 = 1_000_000_000;

    fn counted(query: &str, spread: i64) -> (i64, i64, usize) {
        let conn = database();
        for container in ["web", "db"] {
            let level = |number: i64| if number % 5 == 0 { Level::Error } else { Level::Info };
            let entries = (0..40).map(|number| entry(number * spread, level(number), "x")).collect();
            append(&conn, &batch(container, entries), NOW).expect("stored");
        }
        let now = LogTime::from_nanos(LogTime::from(NOW).nanos() + 40 * spread * SECOND);
        let histogram = histogram(&conn, &filter(query), now).expect("a query").expect("entries");
        let total = histogram.counts.iter().map(|(_, _, count)| count).sum();
        (histogram.buckets.width / SECOND, total, histogram.counts.len())
    }

    #[test]
    fn every_entry_is_counted_once_at_every_width() {
        assert_eq!(counted("", 1), (1, 80, 40));
        assert_eq!(counted("container=web", 1), (1, 40, 40));
        assert_eq!(counted("level=error", 60).1, 16);
        assert_eq!(counted("container=db&level=error", 3600).1, 8);
        let (width, total, _) = counted("", 12 * 3600);
        assert_eq!((width, total), (6 * 3600, 80));
    }
}
