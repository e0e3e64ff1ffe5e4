//! The queue of alert mails: a row is written together with the report that raises it, so no crash loses one.

use common::clock::Timestamp;
use rusqlite::{Connection, Row, params};

use super::reports::Recorded;
use crate::alert::{MESSAGE_BYTES_MAX, PendingAlert, Reason, Span, TRACEBACK_BYTES_MAX};
use crate::group::Outcome;

/// Rows kept to show what became of alerts; the oldest go, pending ones too if a dead mail server lets so many gather.
pub(crate) const ALERTS_KEPT: i64 = 10_000;

/// What became of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AlertState {
    /// Delivered to all recipients that take mail.
    Sent,
    /// Given up.
    Failed,
    /// Its error was deleted before the mail left.
    Dropped,
}

impl AlertState {
    const fn name(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

/// An alert as shown.
pub(crate) struct AlertRow {
    pub(crate) id: i64,
    pub(crate) group_id: Option<i64>,
    pub(crate) reason: String,
    pub(crate) state: String,
    pub(crate) attempts: i64,
    pub(crate) created_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
    pub(crate) last_error: Option<String>,
}

/// Queues the alert of a report.
pub(super) fn raise(tx: &Connection, now: Timestamp, recorded: &Recorded) -> rusqlite::Result<()> {
    let reason = if recorded.outcome == Outcome::Reopened { Reason::Regression } else { Reason::New };
    insert(tx, now, Some(recorded.id), reason)
}

/// Queues a test mail.
pub(crate) fn insert_test_alert(tx: &Connection, now: Timestamp) -> rusqlite::Result<()> {
    insert(tx, now, None, Reason::Test)
}

fn insert(tx: &Connection, now: Timestamp, group_id: Option<i64>, reason: Reason) -> rusqlite::Result<()> {
    tx.prepare_cached("INSERT INTO alerts (group_id, reason, state, created_at) VALUES (?1, ?2, 'pending', ?3)")?
        .execute(params![group_id, reason.name(), now.millis()])?;
    Ok(())
}

/// How many alerts of a span wait, and the last one's id.
pub(crate) fn count_pending_alerts(conn: &Connection, span: &Span) -> rusqlite::Result<(u64, i64)> {
    conn.prepare_cached(
        "SELECT count(*), coalesce(max(id), 0) FROM alerts
         WHERE state = 'pending' AND id BETWEEN ?1 AND ?2 AND (reason = 'test') = ?3",
    )?
    .query_row(params![span.ids.start(), span.ids.end(), span.tests], |row| {
        Ok((row.get::<_, i64>(0)? as u64, row.get(1)?))
    })
}

/// The oldest `most` waiting alerts of a span, with what a mail says of them. Those whose error is gone are left out.
pub(crate) fn pending_alerts(conn: &Connection, span: &Span, most: usize) -> rusqlite::Result<Vec<PendingAlert>> {
    // One byte more than is shown tells that something was cut; of text, substr would stop at a NUL character. NULLs of
    // a test alert become empty.
    conn.prepare_cached(&format!(
        "SELECT a.id, a.reason, coalesce(a.group_id, 0), coalesce(g.project, ''), coalesce(g.exception_type, ''),
                substr(CAST(g.message AS BLOB), 1, {MESSAGE_BYTES_MAX} + 1),
                substr(CAST(t.traceback AS BLOB), 1, {TRACEBACK_BYTES_MAX} + 1),
                o.request_method, o.request_url, coalesce(g.count, 0)
         FROM alerts a
         LEFT JOIN groups g ON g.id = a.group_id
         LEFT JOIN group_tracebacks t ON t.group_id = g.id
         LEFT JOIN occurrences o ON o.id = (SELECT max(id) FROM occurrences WHERE group_id = g.id)
         WHERE a.state = 'pending' AND a.id BETWEEN ?1 AND ?2 AND (a.reason = 'test') = ?3
           AND (g.id IS NOT NULL OR a.reason = 'test')
         ORDER BY a.id LIMIT ?4"
    ))?
    .query_map(params![span.ids.start(), span.ids.end(), span.tests, most as i64], pending_alert)?
    .collect()
}

fn pending_alert(row: &Row<'_>) -> rusqlite::Result<PendingAlert> {
    let (method, url): (Option<String>, Option<String>) = (row.get(7)?, row.get(8)?);
    Ok(PendingAlert {
        id: row.get(0)?,
        reason: Reason::from_name(&row.get::<_, String>(1)?).unwrap_or(Reason::New),
        group_id: row.get(2)?,
        project: row.get(3)?,
        exception_type: row.get(4)?,
        message: start_of_text(row, 5)?,
        traceback: start_of_text(row, 6)?,
        request: method.zip(url),
        count: row.get(9)?,
    })
}

/// The start of a text; half a character at its end becomes a whole one, so that it still is too long.
fn start_of_text(row: &Row<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(at)?.as_bytes_or_null()?.unwrap_or_default()).into_owned())
}

/// Notes a failed attempt that will be followed by another.
pub(crate) fn note_alert_attempt(tx: &Connection, span: &Span, error: &str) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "UPDATE alerts SET attempts = attempts + 1, last_error = ?4
         WHERE state = 'pending' AND id BETWEEN ?1 AND ?2 AND (reason = 'test') = ?3",
    )?
    .execute(params![span.ids.start(), span.ids.end(), span.tests, error])
}

/// The end of all waiting alerts of a span; counts as an attempt.
pub(crate) fn finish_alerts(
    tx: &Connection,
    span: &Span,
    now: Timestamp,
    state: AlertState,
    error: Option<&str>,
) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "UPDATE alerts SET attempts = attempts + 1, state = ?4, last_error = ?5, finished_at = ?6
         WHERE state = 'pending' AND id BETWEEN ?1 AND ?2 AND (reason = 'test') = ?3",
    )?
    .execute(params![span.ids.start(), span.ids.end(), span.tests, state.name(), error, now.millis()])
}

/// Deletes up to `most` of the oldest alerts beyond the newest `kept`; how many.
pub(crate) fn trim_alerts(tx: &Connection, kept: i64, most: usize) -> rusqlite::Result<usize> {
    tx.prepare_cached(
        "DELETE FROM alerts WHERE id IN (
             SELECT id FROM alerts WHERE id <= (SELECT max(id) FROM alerts) - ?1 ORDER BY id LIMIT ?2)",
    )?
    .execute(params![kept, most as i64])
}

/// A stretch of all alerts, the newest first, and how many there are.
pub(crate) fn alerts(conn: &Connection, limit: i64, offset: i64) -> rusqlite::Result<(Vec<AlertRow>, i64)> {
    let total = conn.query_row("SELECT count(*) FROM alerts", [], |row| row.get(0))?;
    let rows = conn
        .prepare_cached(
            "SELECT id, group_id, reason, state, attempts, created_at, finished_at, last_error
             FROM alerts ORDER BY id DESC LIMIT ?1 OFFSET ?2",
        )?
        .query_map(params![limit, offset], |row| {
            Ok(AlertRow {
                id: row.get(0)?,
                group_id: row.get(1)?,
                reason: row.get(2)?,
                state: row.get(3)?,
                attempts: row.get(4)?,
                created_at: row.get(5).map(Timestamp::from_millis)?,
                finished_at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_millis),
                last_error: row.get(7)?,
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok((rows, total))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::Fingerprint;
    use crate::report::Report;
    use crate::store::testing::database;
    use crate::store::{record, resolve};

    const NOW: Timestamp = Timestamp::from_millis(7);
    const ALL: Span = Span { ids: 1..=i64::MAX, tests: false };

    /// Counts a report that alerts; another `name` is another error.
    fn report(tx: &Connection, name: &str, message: &str, traceback: &str) -> i64 {
        let body =
            serde_json::json!({"project": name, "exception_type": "E", "message": message, "traceback": traceback});
        let report = Report::parse(body.to_string().as_bytes()).expect("a report");
        record(tx, NOW, &report, &Fingerprint::of(name, "E", ""), true, None).expect("recorded").expect("no key").id
    }

    fn ids(tx: &Connection) -> Vec<i64> {
        alerts(tx, 100, 0).expect("alerts").0.iter().map(|alert| alert.id).collect()
    }

    #[test]
    fn new_and_returning_errors_raise_one_each() {
        let tx = database();
        let id = report(&tx, "p", "m", "t");
        report(&tx, "p", "again", "t");
        resolve(&tx, NOW, id).expect("resolved");
        report(&tx, "p", "back", "t");
        insert_test_alert(&tx, NOW).expect("a test");
        assert_eq!(count_pending_alerts(&tx, &ALL).expect("a count"), (2, 2));
        assert_eq!(count_pending_alerts(&tx, &Span { tests: true, ..ALL }).expect("a count"), (1, 3));
        let pending = pending_alerts(&tx, &ALL, 10).expect("alerts");
        let said: Vec<_> = pending.iter().map(|alert| (alert.reason, alert.group_id, alert.count)).collect();
        assert_eq!(said, [(Reason::New, id, 3), (Reason::Regression, id, 3)]);
    }

    #[test]
    fn a_mail_has_the_start_of_long_texts_and_what_stands_behind_a_nul() {
        let tx = database();
        report(&tx, "nul", "before\0after", "\0traceback");
        report(&tx, "long", &"é".repeat(MESSAGE_BYTES_MAX), &"x€".repeat(TRACEBACK_BYTES_MAX));
        report(&tx, "exact", &"m".repeat(MESSAGE_BYTES_MAX), "");
        let pending = pending_alerts(&tx, &ALL, 10).expect("alerts");
        assert_eq!((pending[0].message.as_str(), pending[0].traceback.as_str()), ("before\0after", "\0traceback"));
        // Longer than what is shown, so that it is seen to be cut, and not by much.
        assert!((MESSAGE_BYTES_MAX + 1..MESSAGE_BYTES_MAX + 4).contains(&pending[1].message.len()));
        assert!((TRACEBACK_BYTES_MAX + 1..TRACEBACK_BYTES_MAX + 4).contains(&pending[1].traceback.len()));
        assert!(pending[1].message.starts_with(&"é".repeat(MESSAGE_BYTES_MAX / 2)));
        assert_eq!(pending[2].message.len(), MESSAGE_BYTES_MAX);
    }

    #[test]
    fn only_what_waits_is_finished() {
        let tx = database();
        for name in ["a", "b", "c"] {
            report(&tx, name, "m", "t");
        }
        let first = Span { ids: 1..=1, tests: false };
        assert_eq!(note_alert_attempt(&tx, &ALL, "away").expect("noted"), 3);
        assert_eq!(finish_alerts(&tx, &first, NOW, AlertState::Sent, None).expect("finished"), 1);
        assert_eq!(finish_alerts(&tx, &ALL, NOW, AlertState::Failed, Some("refused")).expect("finished"), 2);
        assert_eq!(finish_alerts(&tx, &ALL, NOW, AlertState::Dropped, None).expect("nothing left"), 0);
        let (rows, total) = alerts(&tx, 2, 1).expect("a stretch");
        let said: Vec<_> =
            rows.iter().map(|row| (row.state.as_str(), row.attempts, row.last_error.as_deref())).collect();
        assert_eq!((said.as_slice(), total), (&[("failed", 2, Some("refused")), ("sent", 2, None)][..], 3));
    }

    #[test]
    fn the_oldest_are_trimmed_in_slices() {
        let tx = database();
        for name in ["a", "b", "c", "d", "e"] {
            report(&tx, name, "m", "t");
        }
        assert_eq!(trim_alerts(&tx, 5, 10).expect("all fit"), 0);
        assert_eq!(trim_alerts(&tx, 2, 2).expect("a slice"), 2);
        assert_eq!(ids(&tx), [5, 4, 3]);
        assert_eq!(trim_alerts(&tx, 2, 2).expect("the rest"), 1);
        assert_eq!(ids(&tx), [5, 4]);
        assert_eq!(trim_alerts(&tx, 2, 2).expect("done"), 0);
        assert_eq!(trim_alerts(&database(), 2, 2).expect("none"), 0);
    }
}
