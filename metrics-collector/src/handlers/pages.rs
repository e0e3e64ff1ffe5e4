//! The page at `/`.

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;

use crate::context::Context;

const INDEX: &str = include_str!("../../pages/index.html");

/// The same page for both of its addresses.
pub(crate) fn index(_ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    Ok(Response::page(INDEX).into())
}
