//! What waits for a back end, in the order of arrival.

use common::clock::Timestamp;
use rusqlite::{Connection, params};

use crate::upstream::{Event, Target};

/// Events kept; days of a quiet site, minutes of a busy one.
pub(crate) const ROWS_MAX: i64 = 50_000;
/// Bytes kept: what a small server has to spare.
pub(crate) const BYTES_MAX: i64 = 64 << 20;
/// Old events that go for one new one: as many as the largest batch of metrics may push out.
const DROPPED_MAX: usize = 2000;

/// What the outbox holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) rows: i64,
    pub(crate) bytes: i64,
}

/// Adds an event; how many of the oldest had to go for it.
pub(crate) fn push(tx: &Connection, now: Timestamp, event: &Event) -> rusqlite::Result<u64> {
    tx.prepare_cached("INSERT INTO outbox (target, idempotency_key, client, body, at) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![event.target.name(), event.idempotency_key, event.client, event.body, now.millis()])?;
    let mut dropped = 0;
    for _ in 0..DROPPED_MAX {
        let Size { rows, bytes } = size(tx)?;
        if rows <= ROWS_MAX && bytes <= BYTES_MAX {
            break;
        }
        tx.prepare_cached("DELETE FROM outbox WHERE id = (SELECT min(id) FROM outbox)")?.execute([])?;
        dropped += 1;
    }
    Ok(dropped)
}

/// The oldest event of a target behind this id, and its own id. Those of some clients are passed over, and `after` is then
/// the last of them.
pub(crate) fn next(
    conn: &Connection,
    target: Target,
    after: &mut i64,
    is_passed_over: impl Fn(&str) -> bool,
) -> rusqlite::Result<Option<(i64, Event)>> {
    let sql = "SELECT id, client, idempotency_key, body FROM outbox WHERE target = ?1 AND id > ?2 ORDER BY id";
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params![target.name(), *after])?;
    while let Some(row) = rows.next()? {
        let (id, client): (i64, String) = (row.get(0)?, row.get(1)?);
        if !is_passed_over(&client) {
            return Ok(Some((id, Event { target, idempotency_key: row.get(2)?, client, body: row.get(3)? })));
        }
        *after = id;
    }
    Ok(None)
}

/// Takes events out.
pub(crate) fn remove(tx: &Connection, ids: &[i64]) -> rusqlite::Result<()> {
    let mut statement = tx.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
    ids.iter().try_for_each(|id| statement.execute([id]).map(drop))
}

/// How many events of a target wait.
pub(crate) fn count(conn: &Connection, target: Target) -> rusqlite::Result<i64> {
    conn.prepare_cached("SELECT count(*) FROM outbox WHERE target = ?1")?.query_row([target.name()], |row| row.get(0))
}

/// What all events come to.
pub(crate) fn size(conn: &Connection) -> rusqlite::Result<Size> {
    let mut statement = conn.prepare_cached("SELECT rows, bytes FROM outbox_size")?;
    statement.query_row([], |row| Ok(Size { rows: row.get(0)?, bytes: row.get(1)? }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::database;

    const NOW: Timestamp = Timestamp::from_millis(0);

    fn event(target: Target, body: &[u8]) -> Event {
        Event { target, idempotency_key: "k".into(), client: "127.0.0.1".into(), body: body.to_vec() }
    }

    fn next_of_any(conn: &Connection, target: Target, mut after: i64) -> Option<(i64, Event)> {
        next(conn, target, &mut after, |_| false).expect("a query")
    }

    #[test]
    fn events_come_out_in_the_order_they_went_in() {
        let conn = database();
        for (target, body) in [(Target::Errors, b"1"), (Target::Metrics, b"2"), (Target::Errors, b"3")] {
            push(&conn, NOW, &event(target, body)).expect("stored");
        }
        assert_eq!(count(&conn, Target::Errors), Ok(2));
        assert_eq!(size(&conn), Ok(Size { rows: 3, bytes: 3 }));
        let mut seen = Vec::new();
        let mut ids = vec![0];
        while let Some((id, event)) = next_of_any(&conn, Target::Errors, ids[ids.len() - 1]) {
            seen.push(event.body);
            ids.push(id);
        }
        remove(&conn, &ids).expect("removed");
        assert_eq!(seen, [b"1", b"3"]);
        assert_eq!(size(&conn), Ok(Size { rows: 1, bytes: 1 }));
    }

    #[test]
    fn clients_can_be_passed_over() {
        let conn = database();
        for (client, body) in [("a", b"1"), ("a", b"2"), ("b", b"3"), ("a", b"4")] {
            push(&conn, NOW, &Event { client: client.into(), ..event(Target::Errors, body) }).expect("stored");
        }
        let mut after = 0;
        let mut next_of_b = || next(&conn, Target::Errors, &mut after, |client| client == "a").expect("a query");
        assert_eq!(next_of_b().map(|(id, event)| (id, event.client, event.body)), Some((3, "b".into(), b"3".to_vec())));
        assert_eq!(next_of_b().map(|(id, _)| id), Some(3), "an event that is found may have to be found again");
        assert_eq!((after, next_of_any(&conn, Target::Errors, 3).map(|(id, _)| id)), (2, Some(4)));
        after = 3;
        assert_eq!(next(&conn, Target::Errors, &mut after, |client| client == "a"), Ok(None));
        assert_eq!(after, 4);
    }

    #[test]
    fn the_oldest_go_when_there_is_too_much() {
        let conn = database();
        let large = vec![b'x'; (BYTES_MAX / 2) as usize];
        assert_eq!(push(&conn, NOW, &event(Target::Errors, b"small")), Ok(0));
        assert_eq!(push(&conn, NOW, &event(Target::Errors, &large)), Ok(0));
        assert_eq!(push(&conn, NOW, &event(Target::Metrics, &large)), Ok(1));
        assert_eq!(size(&conn), Ok(Size { rows: 2, bytes: BYTES_MAX }));
    }
}
