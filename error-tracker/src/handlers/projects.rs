//! `GET /api/projects`

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde_json::json;

use crate::context::Context;
use crate::store;

/// All project names, ascending, those of resolved errors included.
pub(crate) fn list(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let projects = store::projects(ctx.reader()?)?;
    Ok(Response::json(200, &json!({"projects": projects})).into())
}
