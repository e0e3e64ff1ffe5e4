//! Pages of entries, the newest first. Lists go by time and id.

use rusqlite::{Connection, params_from_iter};

use super::counts::{self, ALL};
use super::rows::{Listed, Rows};
use super::search::{self, Found, Mode, Wanted};
use crate::filter::{Filter, Place};

/// Up to so many entries it is cheaper to sort what the groups' index gives than to look for them along the time.
const SORTED_MAX: i64 = 10_000;

/// A page, and what it is a page of.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) entries: Vec<Listed>,
    pub(crate) total: i64,
    /// Otherwise there was no time to look at all of them, or the page began in the middle.
    pub(crate) is_total_exact: bool,
    /// Where to go on; none at the end.
    pub(crate) next: Option<Place>,
    /// None when nothing was searched for.
    pub(crate) mode: Option<Mode>,
}

/// The page that a filter asks for. Longer messages are cut.
pub(crate) fn page(conn: &Connection, filter: &Filter, message_bytes_max: usize) -> rusqlite::Result<Page> {
    super::on_one_state(conn, || {
        let wanted = Wanted::new(conn, filter)?;
        let is_scan = !filter.needles.is_empty();
        let found = if filter.search.is_some() || is_scan {
            search::find(conn, &wanted)?
        } else {
            list(conn, filter, wanted.container())?
        };
        let entries = Rows::new(conn, message_bytes_max)?.all(&found.ids)?;
        let last = entries.last().map(|listed| Place { time: listed.entry.time, id: listed.entry.id });
        let is_full = entries.len() == filter.limit;
        Ok(Page {
            next: if is_full { last } else { found.stopped_at },
            entries,
            total: found.total,
            is_total_exact: found.stopped_at.is_none() && !(is_scan && filter.before.is_some()),
            mode: wanted.mode,
        })
    })
}

fn list(conn: &Connection, filter: &Filter, container: Option<i64>) -> rusqlite::Result<Found> {
    let total = counts::total(conn, filter, container)?;
    let (sql, values) = list_sql(filter, container, total);
    let mut statement = conn.prepare_cached(&sql)?;
    let ids = statement.query_map(params_from_iter(values), |row| row.get(0))?;
    Ok(Found { ids: ids.collect::<Result<_, _>>()?, total, stopped_at: None })
}

fn list_sql(filter: &Filter, container: Option<i64>, total: i64) -> (String, Vec<i64>) {
    let (times, values) = times(filter);
    let (limit, offset) = (filter.limit, filter.offset);
    let ending = format!("ORDER BY time DESC, id DESC LIMIT {limit} OFFSET {offset}");
    let group = counts::group_condition(filter, container);
    let sql = if let Some(container) = container {
        // Each level is a stretch of the index; their ends are merged.
        let most = limit + offset;
        let levels: Vec<i64> = filter.levels.iter().map(|level| level as i64).collect();
        let stretches: Vec<String> = levels.into_iter().map(|level| stretch(container, level, times, most)).collect();
        format!("SELECT id FROM ({}) {ending}", stretches.join(" UNION ALL "))
    } else if group != ALL && total <= SORTED_MAX {
        format!("SELECT id FROM entries INDEXED BY entries_by_group WHERE {group} AND {times} {ending}")
    } else {
        let levels = group.replace("container_id IN (SELECT id FROM containers) AND ", "");
        format!("SELECT id FROM entries INDEXED BY entries_by_time WHERE {levels} AND {times} {ending}")
    };
    (sql, values)
}

/// The newest entries of a container and level.
fn stretch(container: i64, level: i64, times: &str, most: usize) -> String {
    format!(
        "SELECT * FROM (SELECT id, time FROM entries INDEXED BY entries_by_group
         WHERE container_id = {container} AND level = {level} AND {times} ORDER BY time DESC, id DESC LIMIT {most})"
    )
}

/// The condition on time and place.
fn times(filter: &Filter) -> (&'static str, Vec<i64>) {
    let [since, until] = counts::times(filter);
    match filter.before {
        None => ("time BETWEEN ?1 AND ?2", vec![since, until]),
        // One upper bound, for SQLite begins at only one of several.
        Some(Place { time, .. }) if time.nanos() > until => ("time BETWEEN ?1 AND ?2", vec![since, until]),
        Some(Place { time, id }) => {
            ("time BETWEEN ?1 AND ?2 AND (time < ?2 OR id < ?3)", vec![since, time.nanos(), id])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Level;
    use crate::store::append;
    use crate::store::testing::{NOW, batch, database, entry, filter, page};

    /// What SQLite says about how it will run a statement.
    fn plan(conn: &Connection, sql: &str) -> String {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(sql);
        let lines = statement.raw_query().mapped(|row| row.get(3)).collect::<rusqlite::Result<Vec<String>>>();
        lines.expect("a plan").join("\n")
    }

    #[track_caller]
    fn check(query: &str, container: Option<i64>, total: i64, index: &str, sorts: bool) {
        let plan = plan(&database(), &list_sql(&filter(query), container, total).0);
        assert!(
            plan.contains(&format!("COVERING INDEX {index}")) || plan.contains(&format!("INDEX {index}")),
            "{plan}"
        );
        assert!(!plan.contains("SCAN entries\n"), "{query}: {plan}");
        assert_eq!(plan.contains("TEMP B-TREE"), sorts, "{query}: {plan}");
    }

    #[test]
    fn lists_run_from_the_indexes() {
        let many = SORTED_MAX + 1;
        for more in ["", "&since=2026-01-01", "&since=2026-01-01&until=2026-02-01&before=5_7"] {
            check(more, None, many, "entries_by_time", false);
            check(&format!("level=error{more}"), None, many, "entries_by_time", false);
            check(&format!("level=error{more}"), None, 7, "entries_by_group", true);
            check(&format!("level=error{more}"), Some(1), many, "entries_by_group", false);
            // Only the ends of the five stretches are sorted.
            check(more, Some(1), many, "entries_by_group", true);
        }
    }

    #[test]
    fn entries_of_one_moment_are_sorted_by_id_and_a_place_holds() {
        let conn = database();
        for container in ["web", "db"] {
            let entries = (0..4).map(|number| entry(number / 2, Level::Info, "x")).collect();
            append(&conn, &batch(container, entries), NOW).expect("stored");
        }
        assert_eq!(page(&conn, ""), (vec![8, 7, 4, 3, 6, 5, 2, 1], 8));
        assert_eq!(page(&conn, "limit=3&offset=2"), (vec![4, 3, 6], 8));
        assert_eq!(page(&conn, "container=web&limit=3"), (vec![4, 3, 2], 4));
        assert_eq!(page(&conn, "offset=99"), (vec![], 8));
        assert_eq!(page(&conn, "container=nobody"), (vec![], 0));
        for query in ["", "container=db", "level=info", "level=%3E%3Dinfo&container=web", "search=x", "contains=x"] {
            let (all, _) = page(&conn, query);
            let (mut paged, mut before) = (Vec::new(), String::new());
            loop {
                let part = super::page(&conn, &filter(&format!("{query}&limit=1{before}")), 10).expect("a page");
                paged.extend(part.entries.iter().map(|listed| listed.entry.id));
                // Whatever comes in between changes nothing.
                append(&conn, &batch("new", vec![entry(9, Level::Debug, "y")]), NOW).expect("stored");
                let Some(next) = part.next else { break };
                before = format!("&before={next}");
            }
            paged.retain(|id| *id <= 8);
            assert_eq!(paged, all.into_iter().filter(|id| *id <= 8).collect::<Vec<_>>(), "{query}");
        }
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let conn = database();
        append(&conn, &batch("web", vec![entry(0, Level::Info, "€€€"), entry(1, Level::Info, "€")]), NOW)
            .expect("stored");
        let page = super::page(&conn, &filter(""), 5).expect("a page");
        let shown: Vec<_> =
            page.entries.iter().map(|listed| (listed.entry.message.as_str(), listed.cut_bytes)).collect();
        assert_eq!(shown, [("€", 0), ("€", 6)]);
        assert_eq!(crate::store::entry(&conn, 1).expect("a query").expect("an entry").message, "€€€");
        assert_eq!(crate::store::entry(&conn, 3).expect("a query"), None);
    }
}
