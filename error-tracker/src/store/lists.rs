//! What is shown: lists, one group, the projects.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use common::clock::Timestamp;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use super::reports::json_text;
use crate::activity::Activity;
use crate::fingerprint::Fingerprint;
use crate::group::{Detail, Filter, MESSAGE_PREVIEW_BYTES, OCCURRENCES_KEPT, Occurrence, StateFilter, Summary};

const SUMMARY_COLUMNS: &str = "id, fingerprint, project, exception_type, message, count, first_seen, last_seen, resolved_at, source, environments, activity";

/// How many hits a search holds while it looks at more, 16 bytes each: a quarter of a megabyte at most. For what lies further
/// down the list SQLite sorts them all, on the disk where they do not fit into its cache.
const HITS_HELD_MAX: usize = 10_000;

/// The groups a filter asks for, the first by its order first, and how many there are in all, as of one moment.
pub(crate) fn list(conn: &Connection, filter: &Filter) -> rusqlite::Result<(Vec<Summary>, i64)> {
    let snapshot = conn.unchecked_transaction()?;
    let wanted = Wanted::from(filter);
    let (ids, total) = match usize::try_from(filter.offset.saturating_add(filter.limit)) {
        Ok(most) if filter.scans() && most <= HITS_HELD_MAX => search(&snapshot, filter, &wanted, most)?,
        _ => page_and_count(&snapshot, filter, &wanted)?,
    };
    let mut group = snapshot.prepare_cached(&format!("SELECT {SUMMARY_COLUMNS} FROM groups WHERE id = ?1"))?;
    let groups = ids.into_iter().map(|id| group.query_row([id], |row| summary(row, Some(MESSAGE_PREVIEW_BYTES))));
    Ok((groups.collect::<Result<_, _>>()?, total))
}

/// The ids of a page and the number of all hits, found and sorted by SQLite.
fn page_and_count(conn: &Connection, filter: &Filter, wanted: &Wanted) -> rusqlite::Result<(Vec<i64>, i64)> {
    let mut page = conn.prepare_cached(&page_sql(filter, wanted))?;
    let values = wanted.values.iter().cloned().chain([filter.limit.into(), filter.offset.into()]);
    let ids = page.query_map(params_from_iter(values), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut count = conn.prepare_cached(&count_sql(filter, wanted))?;
    Ok((ids, count.query_row(params_from_iter(&wanted.values), |row| row.get(0))?))
}

/// The same, found by looking at every group once, in the order they lie on the disk. It counts the hits, and keeps aside
/// the `most` that come first by the filter's order; the page is the end of them.
fn search(conn: &Connection, filter: &Filter, wanted: &Wanted, most: usize) -> rusqlite::Result<(Vec<i64>, i64)> {
    let mut scan = conn.prepare_cached(&scan_sql(filter, wanted))?;
    let mut hits = scan.query(params_from_iter(&wanted.values))?;
    let mut total = 0;
    let mut first = BinaryHeap::new();
    while let Some(row) = hits.next()? {
        total += 1;
        let hit = Reverse((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?));
        if first.len() < most {
            first.push(hit);
        } else if let Some(mut last) = first.peek_mut()
            && hit < *last
        {
            *last = hit;
        }
    }
    let before = usize::try_from(filter.offset).unwrap_or(usize::MAX);
    Ok((first.into_sorted_vec().into_iter().skip(before).map(|Reverse((_, id))| id).collect(), total))
}

/// Where every group must be looked at, the way over an index is only longer.
const fn table(filter: &Filter) -> &'static str {
    if filter.scans() { "groups NOT INDEXED" } else { "groups" }
}

fn scan_sql(filter: &Filter, wanted: &Wanted) -> String {
    format!("SELECT {}, id FROM {} WHERE {}", filter.sort.column(), table(filter), wanted.condition)
}

fn count_sql(filter: &Filter, wanted: &Wanted) -> String {
    format!("SELECT count(*) FROM {} WHERE {}", table(filter), wanted.condition)
}

/// Followed by its bound values come the limit and the offset.
fn page_sql(filter: &Filter, wanted: &Wanted) -> String {
    let (table, condition, key) = (table(filter), &wanted.condition, filter.sort.column());
    format!("SELECT id FROM {table} WHERE {condition} ORDER BY {key} DESC, id DESC LIMIT ? OFFSET ?")
}

/// A filter as SQL: a condition with bound values.
struct Wanted {
    condition: String,
    values: Vec<Value>,
}

impl Wanted {
    fn add(&mut self, condition: &str, values: impl IntoIterator<Item = Value>) {
        self.condition.push_str(" AND ");
        self.condition.push_str(condition);
        self.values.extend(values);
    }
}

impl From<&Filter> for Wanted {
    fn from(filter: &Filter) -> Self {
        let state = match filter.state {
            StateFilter::Open => "resolved_at IS NULL",
            StateFilter::Resolved => "resolved_at IS NOT NULL",
            StateFilter::All => "true",
        };
        let mut wanted = Self { condition: state.into(), values: Vec::new() };
        if let Some(project) = &filter.project {
            wanted.add("project = ?", [project.clone().into()]);
        }
        if let Some(source) = filter.source {
            wanted.add("source = ?", [source.name().to_owned().into()]);
        }
        if let Some(environment) = &filter.environment {
            let name = json_text(environment);
            // Most groups were seen in one environment only, and comparing is cheaper than searching.
            let forms = [format!("[{name}]").into(), format!("[{name},").into(), format!(",{name}").into()];
            wanted.add("(environments = ? OR instr(environments, ?) OR instr(environments, ?))", forms);
        }
        if let Some(since) = filter.since {
            wanted.add("last_seen >= ?", [since.millis().into()]);
        }
        if let Some(session) = &filter.session_id {
            wanted.add("id IN (SELECT group_id FROM occurrences WHERE session_id = ?)", [session.clone().into()]);
        }
        if let Some(search) = &filter.search {
            let needle: Value = search.to_lowercase().into();
            wanted.add("(holds(exception_type, ?) OR holds(message, ?))", [needle.clone(), needle]);
        }
        wanted
    }
}

fn summary(row: &Row<'_>, message_bytes_max: Option<usize>) -> rusqlite::Result<Summary> {
    let message = row.get_ref(4)?.as_str()?;
    Ok(Summary {
        id: row.get(0)?,
        fingerprint: Fingerprint::from_stored(row.get_ref(1)?.as_bytes()?),
        project: row.get(2)?,
        exception_type: row.get(3)?,
        message: message_bytes_max.map_or(message, |most| start_of(message, most)).to_owned(),
        count: row.get(5)?,
        first_seen: timestamp(row, 6)?,
        last_seen: timestamp(row, 7)?,
        resolved_at: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_millis),
        source: row.get(9)?,
        environments: row.get(10)?,
        activity: row.get_ref(11)?.as_blob_or_null()?.and_then(Activity::from_bytes),
    })
}

/// The start of a text, cut between two characters.
fn start_of(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn timestamp(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    row.get(at).map(Timestamp::from_millis)
}

/// One group with its last occurrences.
pub(crate) fn detail(conn: &Connection, id: i64) -> rusqlite::Result<Option<Detail>> {
    let found = conn
        .prepare_cached(&format!(
            "SELECT {SUMMARY_COLUMNS}, traceback FROM groups JOIN group_tracebacks ON group_id = id WHERE id = ?1"
        ))?
        .query_row([id], |row| Ok((summary(row, None)?, row.get(12)?)))
        .optional()?;
    let Some((summary, traceback)) = found else { return Ok(None) };
    let mut occurrences = conn.prepare_cached(
        "SELECT id, timestamp, environment, request_url, request_method, request_headers, user_id, extra, traceback
         FROM occurrences WHERE group_id = ?1 ORDER BY timestamp DESC, id DESC LIMIT ?2",
    )?;
    let rows = occurrences.query_map(params![id, OCCURRENCES_KEPT as i64], |row| {
        Ok(Occurrence {
            id: row.get(0)?,
            timestamp: timestamp(row, 1)?,
            environment: row.get(2)?,
            request_url: row.get(3)?,
            request_method: row.get(4)?,
            request_headers: row.get(5)?,
            user_id: row.get(6)?,
            extra: row.get(7)?,
            traceback: row.get(8)?,
        })
    })?;
    Ok(Some(Detail { summary, traceback, occurrences: rows.collect::<Result<_, _>>()? }))
}

/// All project names, ascending.
pub(crate) fn projects(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    // Jumps from one name to the next in the index; DISTINCT would walk over every group.
    conn.prepare_cached(
        "WITH RECURSIVE names (name) AS (
             SELECT min(project) FROM groups
             UNION ALL
             SELECT (SELECT min(project) FROM groups WHERE project > name) FROM names WHERE name IS NOT NULL)
         SELECT name FROM names WHERE name IS NOT NULL",
    )?
    .query_map([], |row| row.get(0))?
    .collect()
}

#[cfg(test)]
mod tests {
    use common::query::Query;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::report::Report;
    use crate::store::record;
    use crate::store::testing::database;

    fn filter(query: &str) -> Filter {
        Filter::parse(&Query::parse(query).expect("well-formed")).expect("a filter")
    }

    /// What SQLite says about how it will run a statement.
    fn plan(conn: &Connection, sql: &str) -> String {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect(sql);
        let lines = statement.raw_query().mapped(|row| row.get(3)).collect::<rusqlite::Result<Vec<String>>>();
        lines.expect("a plan").join("\n")
    }

    /// Without a search, rows are neither read to be counted nor sorted to be shown.
    #[test]
    fn lists_run_from_the_indexes() {
        let tx = database();
        for query in ["", "resolved=all", "source=browser", "environment=prod", "since=2026-01-01"] {
            for (project, index) in [("", "groups_by_last_seen"), ("&project=shop", "groups_by_project")] {
                let filter = filter(&format!("{query}{project}"));
                let wanted = Wanted::from(&filter);
                let (count, page) = (plan(&tx, &count_sql(&filter, &wanted)), plan(&tx, &page_sql(&filter, &wanted)));
                assert!(count.contains("USING COVERING INDEX"), "{query}{project}: {count}");
                assert!(page.contains(&format!("USING COVERING INDEX {index}")), "{query}{project}: {page}");
                assert!(!page.contains("TEMP B-TREE FOR ORDER BY"), "{query}{project}: {page}");
            }
        }
    }

    /// Every statement of its own stays in the cache of its connection.
    #[test]
    fn all_pages_of_a_list_are_one_statement() {
        for query in ["", "project=shop", "search=m"] {
            let sql = |page: &str| {
                let filter = filter(&format!("{query}&{page}"));
                let wanted = Wanted::from(&filter);
                [count_sql, page_sql, scan_sql].map(|sql| sql(&filter, &wanted))
            };
            assert_eq!(sql("limit=2"), sql("limit=3&offset=7"));
        }
    }

    #[test]
    fn what_was_seen_at_one_moment_is_sorted_by_id() {
        let tx = database();
        for name in ["a", "b", "c", "d"] {
            let body = serde_json::json!({"project": name, "exception_type": "E", "message": "m", "traceback": ""});
            let report = Report::parse(body.to_string().as_bytes()).expect("a report");
            let fingerprint = Fingerprint::of(name, "E", "");
            record(&tx, Timestamp::from_millis(7), &report, &fingerprint, false, None)
                .expect("recorded")
                .expect("no key");
        }
        let ids = |query: &str| {
            let (groups, total) = list(&tx, &filter(query)).expect("a list");
            (groups.iter().map(|group| group.id).collect::<Vec<_>>(), total)
        };
        assert_eq!(ids("limit=2"), (vec![4, 3], 4));
        assert_eq!(ids("limit=2&offset=2"), (vec![2, 1], 4));
        assert_eq!(ids("limit=2&offset=4"), (vec![], 4));
        for query in ["search=M&limit=3&offset=1", "search=e&offset=9", "search=e&offset=99999"] {
            assert_eq!(ids(query).1, 4, "{query}");
        }
        assert_eq!(ids("search=m&limit=3&offset=1").0, [3, 2, 1]);
    }

    proptest! {
        /// What is kept aside while every group is looked at is what SQLite sorts to the front.
        #[test]
        fn a_search_shows_what_sorting_all_hits_would(
            groups in vec((0..4_i64, 0..4_i64, 1..4_i64), 0..40),
            search in "[ab]?",
            sort in select(vec!["last_seen", "first_seen", "count"]),
            limit in 1..9_usize,
            offset in 0..30_usize,
        ) {
            let tx = database();
            for (seen, age, count) in groups {
                tx.execute(
                    "INSERT INTO groups (fingerprint, project, exception_type, message, count, first_seen, last_seen, source, environments)
                     VALUES (x'', 'p', 'E', iif(?3 = 1, 'a', 'b'), ?3, ?1 - ?2, ?1, 'server', '[]')",
                    [seen, age, count],
                )
                .expect("a group");
            }
            let filter = filter(&format!("search={search}&sort={sort}&limit={limit}&offset={offset}"));
            let wanted = Wanted::from(&filter);
            let searched = super::search(&tx, &filter, &wanted, limit + offset).expect("a page");
            prop_assert_eq!(searched, page_and_count(&tx, &filter, &wanted).expect("a page"));
        }
    }

    #[test]
    fn a_message_is_cut_between_characters_in_a_list() {
        let tx = database();
        let message = "€".repeat(MESSAGE_PREVIEW_BYTES);
        let body = serde_json::json!({"project": "p", "exception_type": "E", "message": message, "traceback": ""});
        let report = Report::parse(body.to_string().as_bytes()).expect("a report");
        record(&tx, Timestamp::from_millis(7), &report, &Fingerprint::of("p", "E", ""), false, None)
            .expect("recorded")
            .expect("no key");
        let (groups, _) = list(&tx, &filter("")).expect("a list");
        assert_eq!(groups[0].message, "€".repeat(MESSAGE_PREVIEW_BYTES / 3));
        assert_eq!(detail(&tx, 1).expect("a query").expect("a group").summary.message, message);
    }
}
