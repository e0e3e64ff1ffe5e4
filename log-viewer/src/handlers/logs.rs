//! `GET /api/logs` and `GET /api/logs/{id}`: pages of entries, and one with all that it says.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;
use serde_json::json;

use crate::context::Context;
use crate::entry::Entry;
use crate::filter::{Filter, Place};
use crate::store::{self, Listed, Page};

/// The messages of a list together; each may have its part of it.
const LIST_BYTES_MAX: usize = 2 << 20;
/// Entries before and after the one that is looked at.
const AROUND_DEFAULT: i64 = 50;
const AROUND_MAX: i64 = 250;
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
pub(crate) fn list(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
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

/// `GET /api/logs/{id}/around`: what its container wrote before and after it, the newest first.
pub(crate) fn around(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let each_side = request.query().page(AROUND_DEFAULT, AROUND_MAX)?.limit as usize;
    let bytes_max = LIST_BYTES_MAX / (2 * each_side + 1);
    let entries = store::around(ctx.reader()?, request.id, each_side, bytes_max)?;
    let entries = entries.ok_or_else(|| ApiError::not_found("Log entry not found"))?;
    let logs: Vec<_> = entries.iter().map(EntryView::listed).collect();
    Ok(Response::json(200, &json!({"logs": logs, "limit": each_side})).into())
}

/// `GET /api/logs/{id}`
pub(crate) fn show(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let entry = store::entry(ctx.reader()?, request.id)?.ok_or_else(|| ApiError::not_found("Log entry not found"))?;
    Ok(Response::json(200, &EntryView::whole(&entry)).into())
}
