//! The page at `/`, and at `/errors/{id}`, where links in mails point.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;

use crate::context::Context;

const INDEX: &str = include_str!("../../pages/index.html");

/// The same page for every address of it.
pub(crate) fn index(_ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    Ok(Response::page(INDEX).into())
}
