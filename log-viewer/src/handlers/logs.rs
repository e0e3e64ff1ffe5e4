//! Scaffold of the list.
use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;

use crate::context::Context;
use crate::entry::Entry;
use crate::filter::Filter;
use crate::store;

#[derive(Serialize)]
pub(crate) struct EntryView<'a> {
    id: i64,
    timestamp: String,
    container: &'a str,
    stream: &'static str,
    level: &'static str,
    message: &'a str,
}

impl<'a> EntryView<'a> {
    pub(crate) fn whole(entry: &'a Entry) -> Self {
        Self {
            id: entry.id,
            timestamp: entry.time.to_string(),
            container: &entry.container,
            stream: entry.stream.name(),
            level: entry.level.name(),
            message: &entry.message,
        }
    }
}

pub(crate) fn list(ctx: &Context, request: &Request) -> Result<Reply, ApiError> {
    let filter = Filter::parse(request.query())?;
    let page = store::entries_between(ctx.reader()?, &filter, 0, i64::MAX, 500)?;
    let views: Vec<_> = page.iter().map(EntryView::whole).collect();
    Ok(Response::json(200, &serde_json::json!({"logs": views})).into())
}
