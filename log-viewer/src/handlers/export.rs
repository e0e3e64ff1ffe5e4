//! `GET /api/logs/export`: everything a filter asks for, as one stream.

use std::io::{self, BufWriter, Write};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::db::Reader;
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::http::stream::Stream;
use common::json::Invalid;
use common::query::Query;

use super::logs::EntryView;
use crate::context::Context;
use crate::entry::Entry;
use crate::filter::Filter;
use crate::store::{self, Stretch};

/// At a time: each holds a connection, a stack and a stretch of entries.
const EXPORTS_MAX: usize = 2;
/// Entries that are read at a time.
const ENTRIES: usize = 500;
/// Ids that are looked at in one query, so that it never reads for long.
const IDS: i64 = 20_000;
/// What is sent at a time.
const BUFFER_BYTES: usize = 16 << 10;

/// The stream: `format=ndjson`, which is the default, or `format=text`.
pub(crate) fn start(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let format = Format::parse(request.query())?;
    let filter = Filter::parse(request.query())?;
    let seat = Seat::take().ok_or_else(|| ApiError::unavailable(5, "Too many exports at once, try again"))?;
    let reader = ctx.core.database.reader()?;
    let head =
        Response::new(200, format.content_type(), Vec::new()).with_header("content-disposition", format.disposition());
    let run = Box::new(move |outlet: &mut common::http::stream::Outlet| {
        let _seat = seat;
        export(&reader, &filter, format, &mut BufWriter::with_capacity(BUFFER_BYTES, outlet))
    });
    Ok(Stream { head, run }.into())
}

static RUNNING: AtomicUsize = AtomicUsize::new(0);

/// The place of one export; free again when dropped.
struct Seat;

impl Seat {
    fn take() -> Option<Self> {
        if RUNNING.fetch_add(1, Ordering::SeqCst) < EXPORTS_MAX {
            return Some(Self);
        }
        RUNNING.fetch_sub(1, Ordering::SeqCst);
        None
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        RUNNING.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    /// A JSON object per line, as in lists.
    Ndjson,
    /// Time, container, level and message; further lines of a message follow as they are.
    Text,
}

impl Format {
    /// Reads the parameter `format`.
    fn parse(query: &Query) -> Result<Self, Invalid> {
        match query.text("format") {
            None | Some("ndjson") => Ok(Self::Ndjson),
            Some("text") => Ok(Self::Text),
            Some(other) => {
                Err(Invalid::new(format!("parameter 'format': expected one of ndjson, text, got '{other}'")))
            }
        }
    }

    const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    const fn disposition(self) -> &'static str {
        match self {
            Self::Ndjson => "attachment; filename=\"logs.ndjson\"",
            Self::Text => "attachment; filename=\"logs.txt\"",
        }
    }

    fn write(self, out: &mut dyn Write, entry: &Entry) -> io::Result<()> {
        match self {
            Self::Ndjson => {
                serde_json::to_writer(&mut *out, &EntryView::whole(entry))?;
                out.write_all(b"\n")
            }
            Self::Text => {
                let Entry { time, container, level, message, .. } = entry;
                writeln!(out, "{time} {container} {} {message}", level.name())
            }
        }
    }
}

/// Writes everything a filter asks for, in the order of arrival, up to what was there when it began. Its limit, offset and
/// place do not count. What is trimmed meanwhile is left out; nothing is held in memory or read for long.
fn export(reader: &Reader, filter: &Filter, format: Format, out: &mut dyn Write) -> io::Result<()> {
    reader.restart_time_limit();
    let (oldest, newest) = store::id_span(reader).map_err(io::Error::other)?;
    let mut after = oldest - 1;
    while after < newest {
        reader.restart_time_limit();
        let upto = after.saturating_add(IDS).min(newest);
        let Stretch { entries, upto } =
            store::entries_between(reader, filter, after, upto, ENTRIES).map_err(io::Error::other)?;
        for entry in &entries {
            format.write(out, entry)?;
        }
        after = upto;
    }
    out.flush()
}
