//! Entries in the order of their arrival, a stretch at a time: what a live tail has missed, and exports.

use std::ops::ControlFlow::{Break, Continue};

use rusqlite::Connection;

use super::rows::Rows;
use super::search::{Order, Wanted};
use crate::entry::Entry;
use crate::filter::Filter;

/// Messages in one stretch; one more may lie over it.
const STRETCH_BYTES_MAX: usize = 512 << 10;

/// Some entries, the oldest first.
#[derive(Debug)]
pub(crate) struct Stretch {
    pub(crate) entries: Vec<Entry>,
    /// Everything that is wanted up to this id is among them.
    pub(crate) upto: i64,
}

/// Wanted entries with ids after `after` and up to `upto`, at most `limit` and not too many bytes at a time. The filter's
/// own limit, offset and place do not count.
pub(crate) fn entries_between(
    conn: &Connection,
    filter: &Filter,
    after: i64,
    upto: i64,
    limit: usize,
) -> rusqlite::Result<Stretch> {
    super::on_one_state(conn, || {
        let wanted = Wanted::new(conn, filter)?;
        let mut ids = Vec::new();
        wanted.visit(conn, (after.saturating_add(1), upto), Order::Oldest, |id| {
            ids.push(id);
            if ids.len() >= limit { Break(()) } else { Continue(()) }
        })?;
        let mut rows = Rows::new(conn, usize::MAX)?;
        let mut stretch =
            Stretch { entries: Vec::new(), upto: ids.last().copied().filter(|_| ids.len() == limit).unwrap_or(upto) };
        let mut bytes = 0;
        for id in ids {
            if bytes >= STRETCH_BYTES_MAX {
                stretch.upto = id - 1;
                break;
            }
            let Some(listed) = rows.get(id)? else { continue };
            bytes += listed.entry.message.len();
            stretch.entries.push(listed.entry);
        }
        Ok(stretch)
    })
}
