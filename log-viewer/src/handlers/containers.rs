//! `GET /api/containers`, also under `/api/logs/containers`: whose lines are stored.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;

use crate::context::Context;
use crate::store;

#[derive(Serialize)]
struct ContainerView {
    name: String,
    log_count: i64,
}

pub(crate) fn list(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let containers = store::containers(ctx.reader()?)?;
    let views: Vec<_> = containers.into_iter().map(|(name, log_count)| ContainerView { name, log_count }).collect();
    Ok(Response::json(200, &serde_json::json!({ "containers": views })).into())
}
