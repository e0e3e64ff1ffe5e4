//! `GET /api/metrics/names`: which metrics there are.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde::Serialize;

use crate::context::Context;
use crate::store::lists;

#[derive(Serialize)]
struct NameView {
    name: String,
    r#type: String,
}

#[derive(Serialize)]
struct NamesView {
    metrics: Vec<NameView>,
}

/// Names with their types, ascending; of a project if one is given.
pub(crate) fn list(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let names = lists::names(ctx.reader()?, request.query().text("project"))?;
    let metrics = names.into_iter().map(|(name, kind)| NameView { name, r#type: kind }).collect();
    Ok(Response::json(200, &NamesView { metrics }).into())
}
