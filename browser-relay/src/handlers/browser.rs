//! `/api/browser/…`: what pages send, made readable and passed on.

use std::mem::take;
use std::sync::Arc;
use std::time::Duration;

use common::http::error::{ApiError, Kind};
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use common::json::Invalid;
use common::memory::Share;
use serde_json::json;

use crate::config::EVENT_BYTES_MAX;
use crate::context::{Context, Shared};
use crate::door::{CLIENT_NOTE, DSN_NOTE};
use crate::dsn::{Dsn, new_key};
use crate::resolve::{Readable, resolve_stack};
use crate::translate::{BrowserError, Metrics};
use crate::upstream::{Event, Outcome, Target};

/// The longest `Idempotency-Key` of a page that is taken over.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 100;

/// How long a large event waits for its turn: longer than a back end that hangs holds up another.
const LARGE_EVENT_WAIT: Duration = Duration::from_secs(3);

/// `POST /api/browser/errors`: error-tracker's own answer, or 202 when it has to wait.
pub(crate) fn error(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let dsn = dsn(ctx, request)?;
    let body = take(&mut request.body);
    // Its texts without their escapes, and the report.
    let _share = room(ctx, 2 * body.len())?;
    let report = report(ctx, &dsn.project, &body)?;
    drop(body);
    let event = event(Target::Errors, &dsn, request, report)?;
    forward(ctx, event, Ok, |status, body| {
        let body = if body.is_empty() { br#"{"status":"accepted"}"#.to_vec() } else { body };
        Response::new(status, "application/json", body)
    })
}

/// A share of what events may hold while they are translated and forwarded.
fn room(ctx: &Context, bytes: usize) -> Result<Share<'_>, ApiError> {
    let share = ctx.shared.large_events.take(bytes, LARGE_EVENT_WAIT);
    share.ok_or_else(|| ApiError::unavailable(1, "Too many large events at once, try again"))
}

/// What error-tracker is sent: readable, if it takes so much.
fn report(ctx: &Context, project: &str, body: &[u8]) -> Result<Vec<u8>, ApiError> {
    let error = BrowserError::parse(body)?;
    let mut report = match readable(ctx, project, &error) {
        Some(Readable { stack, sources }) => error.report(project, &stack, sources),
        None => error.report(project, &error.stack, None),
    };
    if report.len() > EVENT_BYTES_MAX {
        report = error.report(project, &error.stack, None);
    }
    if report.len() > EVENT_BYTES_MAX {
        let reason = format!("expected a report of at most {EVENT_BYTES_MAX} bytes, got {}", report.len());
        return Err(ApiError::new(Kind::BodyTooLarge, "Request body exceeds maximum size").with_reason(reason));
    }
    Ok(report)
}

/// The stack as far as source maps make it so. Without a release there is none to look for.
fn readable(ctx: &Context, project: &str, error: &BrowserError<'_>) -> Option<Readable> {
    let release = error.release.as_deref()?;
    let resolved = ctx.reader().and_then(|reader| resolve_stack(reader, project, release, &error.stack));
    resolved.inspect_err(|problem| log::warn!("a stack stays as it is: {problem}")).ok()
}

/// `POST /api/browser/metrics`: 202 with the number of items.
pub(crate) fn metrics(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let dsn = dsn(ctx, request)?;
    let body = take(&mut request.body);
    let metrics = Metrics::parse(&body, &dsn.project, ctx.core.clock.now())?;
    let _share = room(ctx, metrics.bytes())?;
    let event = event(Target::Metrics, &dsn, request, metrics.batch()?)?;
    // What waits must say when it was, or it would count for the time it arrives.
    let with_time = |mut event: Event| {
        // A batch may have half a megabyte: it is not held twice.
        event.body = Vec::new();
        Ok(Event { body: metrics.batch_to_keep()?, ..event })
    };
    let answer = json!({"status": "accepted", "count": metrics.count()});
    forward(ctx, event, with_time, move |_, _| Response::json(202, &answer))
}

/// Sends an event on, or keeps it for later when its back end is away or others wait already.
fn forward(
    ctx: &Context,
    event: Event,
    to_keep: impl FnOnce(Event) -> Result<Event, Invalid>,
    answer: impl FnOnce(u16, Vec<u8>) -> Response,
) -> Result<Reply, ApiError> {
    let Shared { outbox, upstream, .. } = &*ctx.shared;
    if !outbox.must_wait(&event) {
        match upstream.send(&event) {
            Outcome::Taken { status, body } => return Ok(answer(status, body).into()),
            Outcome::Refused { status } => {
                log::warn!("{} answered {status}", event.target.name());
                return Err(ApiError::new(Kind::BadGateway, "Upstream error"));
            }
            Outcome::Limited { retry_after } => {
                outbox.hold(&event, retry_after);
            }
            Outcome::Away { why, retry_after } => {
                log::warn!("{} are not taken, they wait: {why}", event.target.name());
                outbox.put_off(event.target, retry_after);
            }
        }
    }
    Ok(outbox.queue(ctx.core.clock.now(), to_keep(event)?))
}

/// The key that the gate has let in. It may have been deactivated since.
fn dsn(ctx: &Context, request: &Request) -> Result<Arc<Dsn>, ApiError> {
    let id = request.header(DSN_NOTE).and_then(|id| id.parse().ok());
    let dsn = id.and_then(|id| ctx.shared.keys.find_id(id));
    dsn.ok_or_else(|| ApiError::new(Kind::Unauthorized, "Invalid DSN key"))
}

fn event(target: Target, dsn: &Dsn, request: &Request, body: Vec<u8>) -> Result<Event, ApiError> {
    let client = request.header(CLIENT_NOTE).unwrap_or_default().to_owned();
    Ok(Event { target, idempotency_key: idempotency_key(dsn, request)?, client, body })
}

/// The page's own key, kept apart from those of other projects, else a new one. A beacon has no headers of its own: its key is
/// in the query.
fn idempotency_key(dsn: &Dsn, request: &Request) -> Result<String, ApiError> {
    let header = request.header("idempotency-key").filter(|key| !key.is_empty());
    let given = header.or_else(|| request.query().text("idempotency_key"));
    // It goes on in a header.
    if given.is_some_and(|key| !key.bytes().all(|byte| byte.is_ascii_graphic())) {
        return Err(ApiError::new(Kind::Invalid, "Idempotency-Key: expected printable ASCII without spaces"));
    }
    match given {
        Some(key) if key.len() <= IDEMPOTENCY_KEY_BYTES_MAX => Ok(format!("{}:{key}", dsn.id)),
        Some(key) => {
            let bytes = key.len();
            let detail = format!("Idempotency-Key: expected at most {IDEMPOTENCY_KEY_BYTES_MAX} bytes, got {bytes}");
            Err(ApiError::new(Kind::Invalid, detail))
        }
        None => new_key().map_err(|error| {
            log::error!("no randomness: {error}");
            ApiError::new(Kind::Internal, "Internal server error")
        }),
    }
}
