//! How many entries there are, kept as they come and go, so that no total needs a scan.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, params, params_from_iter};

use super::rows::text;
use crate::entry::{Level, LogTime};
use crate::filter::Filter;

const HOUR: i64 = 3600 * 1_000_000_000;

/// What entries are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) container: i64,
    pub(super) level: i64,
    hour: i64,
}

impl Key {
    pub(super) const fn new(container: i64, level: i64, time: i64) -> Self {
        Self { container, level, hour: time.div_euclid(HOUR) }
    }
}

/// Adds to the counts, or takes away from them; what becomes 0 is forgotten.
pub(super) fn add(tx: &Connection, changes: &BTreeMap<Key, i64>) -> rusqlite::Result<()> {
    let mut totals = BTreeMap::new();
    let mut change = tx.prepare_cached(
        "INSERT INTO hours VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET count = count + excluded.count RETURNING count",
    )?;
    for (key, by) in changes {
        let Key { container, level, hour } = *key;
        let count: i64 = change.query_row(params![container, level, hour, by], |row| row.get(0))?;
        if count == 0 {
            tx.prepare_cached("DELETE FROM hours WHERE container_id = ?1 AND level = ?2 AND hour = ?3")?
                .execute([container, level, hour])?;
        }
        *totals.entry((container, level)).or_insert(0) += by;
    }
    for ((container, level), by) in totals {
        add_total(tx, container, level, by)?;
    }
    Ok(())
}

fn add_total(tx: &Connection, container: i64, level: i64, by: i64) -> rusqlite::Result<()> {
    let count: i64 = tx
        .prepare_cached(
            "INSERT INTO counts VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET count = count + excluded.count RETURNING count",
        )?
        .query_row([container, level, by], |row| row.get(0))?;
    if count == 0 {
        tx.prepare_cached("DELETE FROM counts WHERE container_id = ?1 AND level = ?2")?.execute([container, level])?;
        tx.prepare_cached(
            "DELETE FROM containers WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM counts WHERE container_id = ?1)",
        )?
        .execute([container])?;
    }
    Ok(())
}

/// How many entries each container has, by its id.
pub(super) fn by_container(conn: &Connection) -> rusqlite::Result<BTreeMap<i64, i64>> {
    conn.prepare_cached("SELECT container_id, sum(count) FROM counts GROUP BY 1")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect()
}

/// How many entries a filter asks for, as far as container, level and time decide.
pub(super) fn total(conn: &Connection, filter: &Filter, container: Option<i64>) -> rusqlite::Result<i64> {
    let [since, until] = times(filter);
    let group = group_condition(filter, container);
    if since == i64::MIN && until == i64::MAX {
        return sum(conn, &format!("SELECT coalesce(sum(count), 0) FROM counts WHERE {group}"), &[]);
    }
    // Whole hours are known; what hangs over at both ends is counted.
    let first_hour = since.div_euclid(HOUR) + i64::from(since.rem_euclid(HOUR) > 0);
    let last_hour = until.div_euclid(HOUR) - i64::from(until.rem_euclid(HOUR) < HOUR - 1);
    if first_hour > last_hour {
        return between(conn, &group, since, until);
    }
    let hours = format!("SELECT coalesce(sum(count), 0) FROM hours WHERE {group} AND hour BETWEEN ? AND ?");
    let mut total = sum(conn, &hours, &[first_hour, last_hour])?;
    if let Some(begin) = first_hour.checked_mul(HOUR).filter(|begin| *begin > since) {
        total += between(conn, &group, since, begin - 1)?;
    }
    if let Some(end) = (last_hour + 1).checked_mul(HOUR).filter(|end| *end <= until) {
        total += between(conn, &group, end, until)?;
    }
    Ok(total)
}

fn between(conn: &Connection, group: &str, since: i64, until: i64) -> rusqlite::Result<i64> {
    let index = if group == ALL { "entries_by_time" } else { "entries_by_group" };
    let sql = format!("SELECT count(*) FROM entries INDEXED BY {index} WHERE {group} AND time BETWEEN ? AND ?");
    sum(conn, &sql, &[since, until])
}

fn sum(conn: &Connection, sql: &str, values: &[i64]) -> rusqlite::Result<i64> {
    conn.prepare_cached(sql)?.query_row(params_from_iter(values), |row| row.get(0))
}

/// Neither container nor level matter.
pub(super) const ALL: &str = "true";

/// Container and level as a condition that fits both counts and entries, and their indexes.
pub(super) fn group_condition(filter: &Filter, container: Option<i64>) -> String {
    if container.is_none() && filter.levels.is_all() {
        return ALL.into();
    }
    let container = container
        .map_or_else(|| "container_id IN (SELECT id FROM containers)".into(), |id| format!("container_id = {id}"));
    let levels: Vec<String> = filter.levels.iter().map(|level| (level as i64).to_string()).collect();
    format!("{container} AND level IN ({})", levels.join(", "))
}

/// A container's id; none when nothing of it is stored.
pub(super) fn container_id(conn: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM containers WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()
}

/// All containers' names, ascending, each with its count.
pub(crate) fn containers(conn: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    conn.prepare_cached(
        "SELECT name, sum(count) FROM counts JOIN containers ON id = container_id GROUP BY container_id ORDER BY name",
    )?
    .query_map([], |row| Ok((text(row, 0)?, row.get(1)?)))?
    .collect()
}

/// How many entries there are, and the time of the newest.
pub(crate) fn health(conn: &Connection) -> rusqlite::Result<(i64, Option<LogTime>)> {
    conn.prepare_cached("SELECT (SELECT coalesce(sum(count), 0) FROM counts), (SELECT max(time) FROM entries)")?
        .query_row([], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?.map(LogTime::from_nanos))))
}

/// The time of each container's newest entry.
pub(crate) fn newest_times(conn: &Connection) -> rusqlite::Result<Vec<(String, LogTime)>> {
    conn.prepare_cached(
        "SELECT name, max((SELECT max(time) FROM entries e WHERE e.container_id = g.container_id AND e.level = g.level))
         FROM counts g JOIN containers c ON c.id = g.container_id GROUP BY g.container_id",
    )?
    .query_map([], |row| Ok((text(row, 0)?, LogTime::from_nanos(row.get(1)?))))?
    .collect()
}

/// What is stored, in numbers.
pub(crate) struct Stats {
    pub(crate) total: i64,
    pub(crate) oldest: Option<LogTime>,
    pub(crate) newest: Option<LogTime>,
    /// The gravest last; levels without entries are not there.
    pub(crate) by_level: Vec<(Level, i64)>,
    /// By name.
    pub(crate) by_container: Vec<(String, i64)>,
}

pub(crate) fn stats(conn: &Connection) -> rusqlite::Result<Stats> {
    super::on_one_state(conn, || {
        let (total, newest) = health(conn)?;
        let oldest: Option<i64> =
            conn.prepare_cached("SELECT min(time) FROM entries")?.query_row([], |row| row.get(0))?;
        let by_level = conn
            .prepare_cached("SELECT level, sum(count) FROM counts GROUP BY 1 ORDER BY 1")?
            .query_map([], |row| Ok((super::rows::level(row.get(0)?), row.get(1)?)))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(Stats { total, oldest: oldest.map(LogTime::from_nanos), newest, by_level, by_container: containers(conn)? })
    })
}

/// From when until when, both inclusive.
pub(super) fn times(filter: &Filter) -> [i64; 2] {
    [filter.since.map_or(i64::MIN, LogTime::nanos), filter.until.map_or(i64::MAX, LogTime::nanos)]
}
