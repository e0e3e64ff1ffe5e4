//! Rows as entries.

use rusqlite::{CachedStatement, Connection, OptionalExtension as _, Row};

use crate::entry::{Entry, Level, LogTime, Stream};

/// An entry of a page.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) entry: Entry,
    /// How many bytes of its message were left out.
    pub(crate) cut_bytes: usize,
}

/// One entry with its whole message.
pub(crate) fn entry(conn: &Connection, id: i64) -> rusqlite::Result<Option<Entry>> {
    Ok(Rows::new(conn, usize::MAX)?.get(id)?.map(|listed| listed.entry))
}

/// Reads entries by id.
pub(super) struct Rows<'c> {
    statement: CachedStatement<'c>,
    message_bytes_max: usize,
}

impl<'c> Rows<'c> {
    /// Longer messages are cut.
    pub(super) fn new(conn: &'c Connection, message_bytes_max: usize) -> rusqlite::Result<Self> {
        let statement = conn.prepare_cached(
            "SELECT e.id, c.name, e.time, e.stream, e.level, m.message
             FROM entries e
             CROSS JOIN messages m ON m.id = e.id
             CROSS JOIN containers c ON c.id = e.container_id
             WHERE e.id = ?1",
        )?;
        Ok(Self { statement, message_bytes_max })
    }

    pub(super) fn get(&mut self, id: i64) -> rusqlite::Result<Option<Listed>> {
        let most = self.message_bytes_max;
        self.statement.query_row([id], |row| listed(row, most)).optional()
    }

    /// Those that exist, in the order of `ids`.
    pub(super) fn all(&mut self, ids: &[i64]) -> rusqlite::Result<Vec<Listed>> {
        ids.iter().filter_map(|id| self.get(*id).transpose()).collect()
    }
}

fn listed(row: &Row<'_>, message_bytes_max: usize) -> rusqlite::Result<Listed> {
    let bytes = row.get_ref(5)?.as_bytes()?;
    // A character more, so that one that is cut here is not taken for a broken one.
    let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(message_bytes_max.saturating_add(4))]);
    let message = &shown[..shown.floor_char_boundary(message_bytes_max)];
    let entry = Entry {
        id: row.get(0)?,
        container: text(row, 1)?,
        time: LogTime::from_nanos(row.get(2)?),
        stream: if row.get::<_, i64>(3)? == Stream::Stdout as i64 { Stream::Stdout } else { Stream::Stderr },
        level: level(row.get(4)?),
        message: message.to_owned(),
    };
    let is_cut = entry.message.len() < shown.len();
    Ok(Listed { cut_bytes: if is_cut { bytes.len().saturating_sub(entry.message.len()) } else { 0 }, entry })
}

/// The level of that number; our own migration and [`append`](super::append()) write no others.
pub(super) fn level(number: i64) -> Level {
    Level::ALL.into_iter().find(|level| *level as i64 == number).unwrap_or(Level::Info)
}

/// A text; files of the original can hold some that is not UTF-8.
pub(super) fn text(row: &Row<'_>, at: usize) -> rusqlite::Result<String> {
    Ok(String::from_utf8_lossy(row.get_ref(at)?.as_bytes()?).into_owned())
}
