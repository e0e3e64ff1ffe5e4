//! What reports and operators change. Everything here runs as a job of the writer.

use std::cmp::Reverse;
use std::time::Duration;

use common::clock::Timestamp;
use common::http::idempotency::Once;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use crate::activity::Activity;
use crate::fingerprint::Fingerprint;
use crate::group::{ENVIRONMENTS_MAX, OCCURRENCES_KEPT, Outcome, Source};
use crate::report::Report;

/// How long an `Idempotency-Key` is remembered: longer than any client goes on trying.
pub(crate) const IDEMPOTENCY_KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Recorded {
    pub(crate) outcome: Outcome,
    pub(crate) id: i64,
    pub(crate) count: i64,
}

/// Counts a report to its group, which is made or reopened if need be, and keeps it as the newest occurrence. One job, so
/// two reports at once never make two groups. What was repeated gets the first answer and counts nothing; none when its key
/// came with another report before.
pub(crate) fn record(
    tx: &Connection,
    now: Timestamp,
    report: &Report,
    fingerprint: &Fingerprint,
    alerting: bool,
    once: Option<&Once>,
) -> rusqlite::Result<Option<Recorded>> {
    if let Some(once) = once
        && let Some(Remembered { first, is_same_body }) = remembered(tx, once)?
    {
        return Ok(is_same_body.then_some(first));
    }
    let recorded = match find(tx, fingerprint)? {
        Some(group) => count_again(tx, now, report, &group)?,
        None => create(tx, now, report, fingerprint)?,
    };
    insert_occurrence(tx, now, report, &recorded)?;
    if alerting && recorded.outcome.alerts() {
        super::alerts::raise(tx, now, &recorded)?;
    }
    if let Some(once) = once {
        remember(tx, now, once, &recorded)?;
    }
    Ok(Some(recorded))
}

/// What a report needs to know of its group.
struct Group {
    id: i64,
    count: i64,
    is_resolved: bool,
    source: String,
    environments: String,
    activity: Option<Activity>,
    last_seen: i64,
}

fn find(tx: &Connection, fingerprint: &Fingerprint) -> rusqlite::Result<Option<Group>> {
    // Only an original's file can hold several: the open one counts, else the last seen. Chosen here, since SQLite would
    // make a table for it to sort even one.
    let mut groups = tx.prepare_cached(
        "SELECT id, count, resolved_at IS NOT NULL, source, environments, activity, last_seen FROM groups WHERE fingerprint = ?1",
    )?;
    let groups = groups.query_map([fingerprint.as_bytes().as_slice()], |row| {
        Ok(Group {
            id: row.get(0)?,
            count: row.get(1)?,
            is_resolved: row.get(2)?,
            source: row.get(3)?,
            environments: row.get(4)?,
            activity: row.get_ref(5)?.as_blob_or_null()?.and_then(Activity::from_bytes),
            last_seen: row.get(6)?,
        })
    })?;
    let rank = |group: &Group| (group.is_resolved, Reverse(group.last_seen));
    let mut first: Option<Group> = None;
    for group in groups {
        let group = group?;
        if first.as_ref().is_none_or(|first| rank(&group) < rank(first)) {
            first = Some(group);
        }
    }
    Ok(first)
}

fn create(tx: &Connection, now: Timestamp, report: &Report, fingerprint: &Fingerprint) -> rusqlite::Result<Recorded> {
    let environments = format!("[{}]", json_text(&report.environment));
    tx.prepare_cached(
        "INSERT INTO groups (fingerprint, project, exception_type, message, count, first_seen, last_seen, source, environments,
                             activity)
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?5, ?6, ?7, ?8)",
    )?
    .execute(params![
        fingerprint.as_bytes().as_slice(),
        report.project,
        report.exception_type,
        report.message,
        now.millis(),
        report.source().name(),
        environments,
        Activity::none(now).count(now).to_bytes(),
    ])?;
    let id = tx.last_insert_rowid();
    tx.prepare_cached("INSERT INTO group_tracebacks (group_id, traceback) VALUES (?1, ?2)")?
        .execute(params![id, report.traceback])?;
    Ok(Recorded { outcome: Outcome::Created, id, count: 1 })
}

fn count_again(tx: &Connection, now: Timestamp, report: &Report, group: &Group) -> rusqlite::Result<Recorded> {
    // A clock that was set back does not make an error look older. Columns that stay as they are, are not set:
    // SQLite then leaves their indexes alone.
    let activity = group.activity.unwrap_or_else(|| Activity::none(now)).count(now);
    tx.prepare_cached(
        "UPDATE groups SET count = count + 1, last_seen = max(last_seen, ?2), activity = ?3 WHERE id = ?1",
    )?
    .execute(params![group.id, now.millis(), activity.to_bytes()])?;
    if group.is_resolved {
        tx.prepare_cached("UPDATE groups SET resolved_at = NULL WHERE id = ?1")?.execute([group.id])?;
    }
    if report.source() == Source::Browser && group.source != Source::Browser.name() {
        tx.prepare_cached("UPDATE groups SET source = 'browser' WHERE id = ?1")?.execute([group.id])?;
    }
    if let Some(environments) = with_environment(&group.environments, &report.environment) {
        tx.prepare_cached("UPDATE groups SET environments = ?2 WHERE id = ?1")?
            .execute(params![group.id, environments])?;
    }
    let outcome = if group.is_resolved { Outcome::Reopened } else { Outcome::Incremented };
    Ok(Recorded { outcome, id: group.id, count: group.count + 1 })
}

fn insert_occurrence(tx: &Connection, now: Timestamp, report: &Report, recorded: &Recorded) -> rusqlite::Result<()> {
    // A new group has this traceback already; another one usually has the same.
    let traceback = match recorded.outcome {
        Outcome::Created => None,
        _ => Some(&report.traceback),
    };
    tx.prepare_cached(
        "INSERT INTO occurrences (group_id, timestamp, environment, request_url, request_method, request_headers,
                                  user_id, extra, session_id, traceback)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,
                 nullif(?10, (SELECT traceback FROM group_tracebacks WHERE group_id = ?1 AND ?10 IS NOT NULL)))",
    )?
    .execute(params![
        recorded.id,
        now.millis(),
        report.environment,
        report.request_url,
        report.request_method,
        report.request_headers,
        report.user_id,
        report.extra,
        report.session_id,
        traceback,
    ])?;
    if recorded.count as usize > OCCURRENCES_KEPT {
        // Without `IN (SELECT …)`: SQLite would make a table of its own for that, 90 KB each time.
        tx.prepare_cached(
            "DELETE FROM occurrences WHERE group_id = ?1 AND (timestamp, id) < (
                 SELECT timestamp, id FROM occurrences WHERE group_id = ?1
                 ORDER BY timestamp DESC, id DESC LIMIT 1 OFFSET ?2)",
        )?
        .execute(params![recorded.id, OCCURRENCES_KEPT as i64 - 1])?;
    }
    Ok(())
}

/// The array with this name added; none when it has it already or is full.
fn with_environment(environments: &str, name: &str) -> Option<String> {
    let name = json_text(name);
    if holds_environment(environments, &name) {
        return None;
    }
    let known: Vec<String> = serde_json::from_str(environments).unwrap_or_default();
    let (body, _) = environments.rsplit_once(']')?;
    (known.len() < ENVIRONMENTS_MAX).then(|| format!("{body},{name}]"))
}

/// Whether a compact array of strings has this element. A quote inside a string is escaped, so neither `["` nor `,"` can
/// stand inside one; the SQL of lists uses the same.
fn holds_environment(environments: &str, name: &str) -> bool {
    environments.contains(&format!("[{name}")) || environments.contains(&format!(",{name}"))
}

/// A string as JSON.
pub(super) fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What became of a report with the same key.
struct Remembered {
    first: Recorded,
    is_same_body: bool,
}

fn remembered(tx: &Connection, once: &Once) -> rusqlite::Result<Option<Remembered>> {
    let read = |row: &Row<'_>| {
        let outcome = Outcome::from_name(&row.get::<_, String>(1)?).unwrap_or(Outcome::Incremented);
        let first = Recorded { id: row.get(0)?, outcome, count: row.get(2)? };
        Ok(Remembered { first, is_same_body: row.get(3)? })
    };
    tx.prepare_cached("SELECT group_id, status, count, body = ?2 FROM idempotency_keys WHERE key = ?1")?
        .query_row(params![once.key, once.body], read)
        .optional()
}

fn remember(tx: &Connection, now: Timestamp, once: &Once, recorded: &Recorded) -> rusqlite::Result<()> {
    let sql = "INSERT INTO idempotency_keys (key, body, group_id, status, count, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    let outcome = recorded.outcome.name();
    tx.prepare_cached(sql)?
        .execute(params![once.key, once.body, recorded.id, outcome, recorded.count, now.millis()])
        .map(drop)
}

/// 4 MB: some milliseconds.
const SLICE_PAGES_MAX: i64 = 1024;

/// Forgets up to `most` keys; how many.
pub(crate) fn forget_idempotency_keys(tx: &Connection, before: Timestamp, most: usize) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "DELETE FROM idempotency_keys WHERE key IN (SELECT key FROM idempotency_keys WHERE at < ?1 LIMIT ?2)",
    )?
    .execute(params![before.millis(), most as i64])
}

/// Resolves a group; whether there is one. Doing it again does not move the time.
pub(crate) fn resolve(tx: &Connection, now: Timestamp, id: i64) -> rusqlite::Result<bool> {
    let count = tx
        .prepare_cached("UPDATE groups SET resolved_at = coalesce(resolved_at, ?2) WHERE id = ?1")?
        .execute(params![id, now.millis()])?;
    Ok(count > 0)
}

/// Opens a group again; whether there is one.
pub(crate) fn reopen(tx: &Connection, id: i64) -> rusqlite::Result<bool> {
    let count = tx.prepare_cached("UPDATE groups SET resolved_at = NULL WHERE id = ?1")?.execute([id])?;
    Ok(count > 0)
}

/// Deletes up to `most` groups that were resolved before; how many. Occurrences and tracebacks go with them. A group can be
/// 1.5 MB: once [`SLICE_PAGES_MAX`] are free the rest is left for the next call.
pub(crate) fn delete_resolved_before(tx: &Connection, before: Timestamp, most: usize) -> rusqlite::Result<usize> {
    let free_pages = || tx.query_row("PRAGMA freelist_count", [], |row| row.get::<_, i64>(0));
    let enough = free_pages()? + SLICE_PAGES_MAX;
    let ids: Vec<i64> = tx
        .prepare_cached("SELECT id FROM groups WHERE resolved_at < ?1 LIMIT ?2")?
        .query_map(params![before.millis(), most as i64], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut deleted = 0;
    let mut delete = tx.prepare_cached("DELETE FROM groups WHERE id = ?1")?;
    for id in ids {
        deleted += delete.execute([id])?;
        if free_pages()? >= enough {
            break;
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::database;

    fn report(traceback: &str) -> Report {
        let body = serde_json::json!({"project": "p", "exception_type": "E", "message": "m", "traceback": traceback});
        Report::parse(body.to_string().as_bytes()).expect("a report")
    }

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn recorded(tx: &Connection, now: i64, report: &Report, key: Option<&str>) -> Recorded {
        let fingerprint = Fingerprint::of(&report.project, &report.exception_type, "t");
        let once = key.map(|key| Once { key: key.into(), body: [7; 16] });
        record(tx, at(now), report, &fingerprint, true, once.as_ref()).expect("recorded").expect("the same body")
    }

    fn count(tx: &Connection, sql: &str) -> i64 {
        tx.query_row(sql, [], |row| row.get(0)).expect("a number")
    }

    #[test]
    fn a_group_is_created_counted_and_reopened() {
        let tx = database();
        let report = report("t");
        let outcome = |now| recorded(&tx, now, &report, None);
        assert_eq!(outcome(1), Recorded { outcome: Outcome::Created, id: 1, count: 1 });
        assert_eq!(outcome(2), Recorded { outcome: Outcome::Incremented, id: 1, count: 2 });
        assert!(resolve(&tx, at(3), 1).expect("resolved"));
        assert!(resolve(&tx, at(4), 1).expect("resolved again"));
        assert_eq!(count(&tx, "SELECT resolved_at FROM groups"), 3);
        assert_eq!(outcome(5), Recorded { outcome: Outcome::Reopened, id: 1, count: 3 });
        assert!(!resolve(&tx, at(6), 2).expect("no such group"));
        assert_eq!(count(&tx, "SELECT count(*) FROM alerts"), 2);
    }

    #[test]
    fn the_five_newest_occurrences_are_kept() {
        let tx = database();
        for now in [10, 11, 12, 13, 14, 9, 15] {
            recorded(&tx, now, &report("t"), None);
        }
        assert_eq!(count(&tx, "SELECT count(*) FROM occurrences"), 5);
        assert_eq!(count(&tx, "SELECT min(timestamp) FROM occurrences"), 11);
        assert_eq!(count(&tx, "SELECT last_seen FROM groups"), 15);
    }

    #[test]
    fn a_traceback_is_stored_once() {
        let tx = database();
        for traceback in ["t", "t", "other"] {
            recorded(&tx, 1, &report(traceback), None);
        }
        assert_eq!(count(&tx, "SELECT count(*) FROM occurrences WHERE traceback IS NULL"), 2);
        assert_eq!(count(&tx, "SELECT count(*) FROM error_occurrences WHERE traceback = 't'"), 2);
        assert_eq!(count(&tx, "SELECT count(*) FROM error_occurrences WHERE traceback = 'other'"), 1);
    }

    #[test]
    fn a_repeated_key_counts_nothing_until_it_is_forgotten() {
        let tx = database();
        let first = recorded(&tx, 1, &report("t"), Some("k"));
        assert_eq!(recorded(&tx, 2, &report("t"), Some("k")), first);
        assert_eq!(forget_idempotency_keys(&tx, at(1), 10).expect("forgotten"), 0);
        assert_eq!(forget_idempotency_keys(&tx, at(2), 10).expect("forgotten"), 1);
        assert_eq!(recorded(&tx, 3, &report("t"), Some("k")).count, 2);
    }

    /// As in a file of the original, which did not keep two reports from making a group each.
    #[test]
    fn of_several_groups_the_open_one_counts_else_the_last_seen() {
        let tx = database();
        let fingerprint = Fingerprint::of("p", "E", "t");
        let insert = "INSERT INTO groups SELECT ?2, ?1, 'p', 'E', 'm', 1, ?3, ?3, ?4, 'server', '[\"prod\"]', NULL";
        for (id, last_seen, resolved_at) in [(1, 30, Some(40)), (2, 10, None), (3, 20, Some(40))] {
            let values = params![fingerprint.as_bytes().as_slice(), id, last_seen, resolved_at];
            tx.execute(insert, values).expect("a group");
        }
        let counted = |now| recorded(&tx, now, &report("t"), None);
        assert_eq!(counted(50), Recorded { outcome: Outcome::Incremented, id: 2, count: 2 });
        resolve(&tx, at(60), 2).expect("resolved");
        assert_eq!(counted(70), Recorded { outcome: Outcome::Reopened, id: 2, count: 3 });
        tx.execute("DELETE FROM groups WHERE id = 2", []).expect("deleted");
        assert_eq!(counted(80), Recorded { outcome: Outcome::Reopened, id: 1, count: 2 });
        assert_eq!(count(&tx, "SELECT resolved_at FROM groups WHERE id = 3"), 40);
    }

    #[test]
    fn a_clock_set_back_makes_nothing_older() {
        let tx = database();
        recorded(&tx, 100, &report("t"), None);
        assert_eq!(recorded(&tx, 50, &report("t"), None).count, 2);
        assert_eq!(count(&tx, "SELECT last_seen FROM groups"), 100);
        assert_eq!(count(&tx, "SELECT first_seen FROM groups"), 100);
        assert_eq!(count(&tx, "SELECT min(timestamp) FROM occurrences"), 50);
    }

    #[test]
    fn environments_are_a_bounded_set() {
        assert_eq!(with_environment(r#"["prod"]"#, "prod"), None);
        assert_eq!(with_environment(r#"["prod"]"#, "pro").as_deref(), Some(r#"["prod","pro"]"#));
        assert_eq!(with_environment(r#"["a\",\"b"]"#, "b").as_deref(), Some(r#"["a\",\"b","b"]"#));
        let full = serde_json::to_string(&vec!["x"; ENVIRONMENTS_MAX]).expect("JSON");
        assert_eq!(with_environment(&full, "y"), None);
    }

    #[test]
    fn a_slice_is_small_where_groups_are_large() {
        const GROUPS: usize = 40;
        let tx = database();
        tx.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM").expect("a pragma");
        // Together less than all that SQLite may hold.
        let traceback = "t".repeat(150 << 10);
        for id in 1..=GROUPS {
            let fingerprint = Fingerprint::of("p", "E", &id.to_string());
            record(&tx, at(1), &report(&traceback), &fingerprint, false, None).expect("recorded").expect("no key");
            assert!(resolve(&tx, at(1), id as i64).expect("resolved"));
        }
        let first = delete_resolved_before(&tx, at(20), GROUPS).expect("a slice");
        assert!((10..30).contains(&first), "{first} in one slice");
        let mut deleted = first;
        while deleted < GROUPS {
            let more = delete_resolved_before(&tx, at(20), GROUPS).expect("a slice");
            assert!(more > 0, "{deleted} deleted");
            deleted += more;
        }
        assert_eq!(delete_resolved_before(&tx, at(20), GROUPS).expect("a slice"), 0);
    }

    #[test]
    fn retention_deletes_resolved_groups_in_slices() {
        let tx = database();
        for (id, resolved_at) in [(1, Some(10)), (2, Some(10)), (3, Some(20)), (4, None)] {
            let report = report("t");
            let fingerprint = Fingerprint::of("p", "E", &id.to_string());
            record(&tx, at(1), &report, &fingerprint, false, None).expect("recorded").expect("no key");
            if let Some(now) = resolved_at {
                assert!(resolve(&tx, at(now), id).expect("resolved"));
            }
        }
        assert_eq!(delete_resolved_before(&tx, at(20), 1).expect("a slice"), 1);
        assert_eq!(delete_resolved_before(&tx, at(20), 5).expect("a slice"), 1);
        assert_eq!(delete_resolved_before(&tx, at(20), 5).expect("a slice"), 0);
        assert_eq!(count(&tx, "SELECT count(*) FROM groups"), 2);
        assert_eq!(count(&tx, "SELECT count(*) FROM occurrences"), 2);
        assert_eq!(count(&tx, "SELECT count(*) FROM group_tracebacks"), 2);
    }
}
