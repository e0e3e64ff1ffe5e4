//! `GET /api/stats`, also under `/api/logs/stats`: what is stored, in numbers.

use std::collections::BTreeMap;

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;

use crate::context::Context;
use crate::entry::LogTime;
use crate::store;

#[derive(Serialize)]
struct StatsView {
    total_logs: i64,
    oldest_log: Option<String>,
    newest_log: Option<String>,
    by_level: BTreeMap<&'static str, i64>,
    by_container: BTreeMap<String, i64>,
}

pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let stats = store::stats(ctx.reader()?)?;
    let view = StatsView {
        total_logs: stats.total,
        oldest_log: stats.oldest.as_ref().map(LogTime::to_string),
        newest_log: stats.newest.as_ref().map(LogTime::to_string),
        by_level: stats.by_level.into_iter().map(|(level, count)| (level.name(), count)).collect(),
        by_container: stats.by_container.into_iter().collect(),
    };
    Ok(Response::json(200, &view).into())
}
