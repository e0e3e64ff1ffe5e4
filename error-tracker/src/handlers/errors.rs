//! `/api/errors`: take a report, list groups, show one, resolve one.

use std::borrow::Cow;
use std::sync::Arc;

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::json::Invalid;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::context::Context;
use crate::fingerprint::Fingerprint;
use crate::group::{Detail, Filter, Occurrence, State, Summary};
use crate::report::Report;
use crate::store::{self, Recorded};

/// The longest `Idempotency-Key` that is remembered.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 200;

/// `POST /api/errors`: stores the report and answers once that is on disk.
pub(crate) fn create(ctx: &Context, request: &Request) -> Result<Reply, ApiError> {
    let report = Report::parse(&request.body)?;
    let fingerprint = Fingerprint::of(&report.project, &report.exception_type, &report.traceback);
    let key = idempotency_key(request)?;
    let now = ctx.shared.clock.now();
    let shared = Arc::clone(&ctx.shared);
    let alerting = shared.alerts.is_on();
    Ok(Reply::after_commit(
        report.bytes(),
        move |tx| store::record(tx, now, &report, &fingerprint, alerting, key.as_deref()),
        move |recorded| {
            if recorded.outcome.alerts() {
                shared.alerts.wake();
            }
            Ok(recorded_response(&recorded, &fingerprint))
        },
    ))
}

/// `GET /api/errors`: groups, the last seen first.
pub(crate) fn list(ctx: &Context, request: &Request) -> Result<Reply, ApiError> {
    let filter = Filter::parse(request.query())?;
    let (groups, total) = store::list(ctx.reader(), &filter)?;
    let errors: Vec<_> = groups.iter().map(SummaryView::from).collect();
    let body = json_of(&errors)?;
    Ok(Response::json(
        200,
        &ListView { errors: &body, total, limit: filter.limit, offset: filter.offset },
    )
    .into())
}

/// `GET /api/errors/{id}`
pub(crate) fn show(ctx: &Context, request: &Request) -> Result<Reply, ApiError> {
    let detail = store::detail(ctx.reader(), request.id)?.ok_or_else(|| ApiError::not_found("Error not found"))?;
    Ok(Response::json(200, &DetailView::try_from(&detail)?).into())
}

/// `POST /api/errors/{id}/resolve`
pub(crate) fn resolve(ctx: &Context, request: &Request) -> Result<Reply, ApiError> {
    let (id, now) = (request.id, ctx.shared.clock.now());
    Ok(Reply::after_commit(
        0,
        move |tx| store::resolve(tx, now, id),
        move |found| match found {
            true => Ok(Response::json(200, &json!({"status": "resolved", "id": id}))),
            false => Err(ApiError::not_found("Error not found")),
        },
    ))
}
