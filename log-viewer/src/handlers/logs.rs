//! `/api/logs`: lists, one entry, exports.

use std::io::{self, Write};

use common::db::Reader;
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::json::Invalid;
use common::query::Query;
use serde::Serialize;

use crate::context::Context;
use crate::entry::Entry;
use crate::filter::{Filter, Place};
use crate::store::{self, Listed, Page, Stretch};

/// The messages of a list together; each may have its part of it.
const LIST_BYTES_MAX: usize = 2 << 20;
/// Entries of an export that are read at a time.
const EXPORT_ENTRIES: usize = 500;
/// Ids that are looked at in one query of an export, so that it never reads for long.
const EXPORT_IDS: i64 = 20_000;

/// An entry as it is shown.
#[derive(Serialize)]
pub(crate) struct EntryView<'a> {
    id: i64,
    timestamp: String,
    container: &'a str,
    stream: &'static str,
    level: &'static str,
    message: &'a str,
    /// Bytes of the message that were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<usize>,
}

impl<'a> EntryView<'a> {
    /// With all that it says.
    pub(crate) fn whole(entry: &'a Entry) -> Self {
        Self {
            id: entry.id,
            timestamp: entry.time.to_string(),
            container: &entry.container,
            stream: entry.stream.name(),
            level: entry.level.name(),
            message: &entry.message,
            cut: None,
        }
    }

    fn listed(listed: &'a Listed) -> Self {
        Self { cut: (listed.cut_bytes > 0).then_some(listed.cut_bytes), ..Self::whole(&listed.entry) }
    }
}

#[derive(Serialize)]
struct PageView<'a> {
    logs: Vec<EntryView<'a>>,
    total: i64,
    /// Only there when it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    total_is_exact: Option<bool>,
    limit: usize,
    offset: usize,
    /// The `before` of the next page.
    next: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    search_mode: Option<&'static str>,
}

/// `GET /api/logs`
pub(crate) fn list(ctx: &Context, request: &Request) -> Result<Reply, ApiError> {
    let filter = Filter::parse(request.query())?;
    let page = store::page(ctx.reader()?, &filter, LIST_BYTES_MAX / filter.limit)?;
    Ok(Response::json(200, &view(&filter, &page)).into())
}

fn view<'a>(filter: &Filter, page: &'a Page) -> PageView<'a> {
    PageView {
        logs: page.entries.iter().map(EntryView::listed).collect(),
        total: page.total,
        total_is_exact: (!page.is_total_exact).then_some(false),
        limit: filter.limit,
        offset: filter.offset,
        next: page.next.as_ref().map(Place::to_string),
        search_mode: page.mode.map(store::Mode::name),
    }
}

/// `GET /api/logs/{id}`
pub(crate) fn show(ctx: &Context, request: &Request) -> Result<Reply, ApiError> {
    let entry = store::entry(ctx.reader()?, request.id)?.ok_or_else(|| ApiError::not_found("Log entry not found"))?;
    Ok(Response::json(200, &EntryView::whole(&entry)).into())
}

/// How an export is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A JSON object per line, as in lists.
    Ndjson,
    /// Time, container, level and message; further lines of a message follow as they are.
    Text,
}

impl Format {
    /// Reads the parameter `format`.
    pub(crate) fn parse(query: &Query) -> Result<Self, Invalid> {
        match query.text("format") {
            None | Some("ndjson") => Ok(Self::Ndjson),
            Some("text") => Ok(Self::Text),
            Some(other) => {
                Err(Invalid::new(format!("parameter 'format': expected one of ndjson, text, got '{other}'")))
            }
        }
    }

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Ndjson => "application/x-ndjson",
            Self::Text => "text/plain; charset=utf-8",
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
pub(crate) fn export(reader: &Reader, filter: &Filter, format: Format, out: &mut dyn Write) -> io::Result<()> {
    reader.restart_time_limit();
    let (oldest, newest) = store::id_span(reader).map_err(io::Error::other)?;
    let mut after = oldest - 1;
    while after < newest {
        reader.restart_time_limit();
        let upto = after.saturating_add(EXPORT_IDS).min(newest);
        let Stretch { entries, upto } =
            store::entries_between(reader, filter, after, upto, EXPORT_ENTRIES).map_err(io::Error::other)?;
        for entry in &entries {
            format.write(out, entry)?;
        }
        after = upto;
    }
    out.flush()
}
