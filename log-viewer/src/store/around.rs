//! What a container wrote before and after an entry.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::rows::{Listed, Rows};

/// The entry with up to `each_side` before and after it, the newest first; none when there is no such entry.
pub(crate) fn around(
    conn: &Connection,
    id: i64,
    each_side: usize,
    message_bytes_max: usize,
) -> rusqlite::Result<Option<Vec<Listed>>> {
    super::on_one_state(conn, || {
        let found = conn
            .prepare_cached("SELECT container_id, time FROM entries WHERE id = ?1")?
            .query_row([id], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
            .optional()?;
        let Some((container, time)) = found else { return Ok(None) };
        let side = |sql: &str| -> rusqlite::Result<Vec<i64>> {
            let mut statement = conn.prepare_cached(sql)?;
            let ids = statement.query_map(params![container, time, id, each_side as i64], |row| row.get(0))?;
            ids.collect()
        };
        let mut ids = side(&side_sql("time >= ?2 AND (time > ?2 OR id > ?3)", "ASC"))?;
        ids.reverse();
        ids.push(id);
        ids.extend(side(&side_sql("time <= ?2 AND (time < ?2 OR id < ?3)", "DESC"))?);
        Rows::new(conn, message_bytes_max)?.all(&ids).map(Some)
    })
}

/// Each level is a stretch of the index; their ends are merged.
fn side_sql(times: &str, order: &str) -> String {
    let ending = format!("ORDER BY time {order}, id {order} LIMIT ?4");
    let stretch = |level: usize| {
        format!(
            "SELECT * FROM (SELECT id, time FROM entries INDEXED BY entries_by_group
             WHERE container_id = ?1 AND level = {level} AND {times} {ending})"
        )
    };
    let stretches: Vec<String> = (0..crate::entry::Level::ALL.len()).map(stretch).collect();
    format!("SELECT id FROM ({}) {ending}", stretches.join(" UNION ALL "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Level;
    use crate::store::append;
    use crate::store::testing::{NOW, batch, database, entry};

    #[test]
    fn neighbours_are_those_of_the_same_container_in_the_order_of_time() {
        let conn = database();
        for container in ["web", "db"] {
            // Two of each moment, of different levels.
            let level = |number: i64| if number % 2 == 0 { Level::Error } else { Level::Info };
            let entries = (0..8).map(|number| entry(number / 2, level(number), "x")).collect();
            append(&conn, &batch(container, entries), NOW).expect("stored");
        }
        let ids = |id, each| {
            let listed = around(&conn, id, each, 10).expect("a query")?;
            Some(listed.into_iter().map(|listed| listed.entry.id).collect::<Vec<_>>())
        };
        assert_eq!(ids(4, 2), Some(vec![6, 5, 4, 3, 2]));
        assert_eq!(ids(8, 3), Some(vec![8, 7, 6, 5]));
        assert_eq!(ids(9, 1), Some(vec![10, 9]));
        assert_eq!(ids(99, 1), None);
    }
}
