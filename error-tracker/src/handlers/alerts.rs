//! `/api/alerts` and `/api/test-alert`: what was sent, and whether sending works.

use std::sync::Arc;

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;
use serde_json::{Value, json};

use crate::context::{AlertSwitch, Context};
use crate::group;
use crate::store::{self, AlertRow};

/// `GET /api/alerts`: the newest first, with what became of each.
pub(crate) fn list(ctx: &Context, request: &mut Request) -> Result<Reply, ApiError> {
    let page = group::page(request.query())?;
    let (alerts, total) = store::alerts(ctx.reader()?, page.limit, page.offset)?;
    let alerts: Vec<_> = alerts.iter().map(render).collect();
    let body = json!({
        "enabled": ctx.shared.alerts.is_on(),
        "alerts": alerts,
        "total": total,
        "limit": page.limit,
        "offset": page.offset,
    });
    Ok(Response::json(200, &body).into())
}

/// `POST /api/test-alert`: queues a mail that only says that mails arrive.
pub(crate) fn test(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    if let AlertSwitch::Off { missing } = ctx.shared.alerts {
        return Ok(Response::json(503, &json!({"detail": format!("SMTP not configured: {missing}")})).into());
    }
    let now = ctx.core.clock.now();
    let shared = Arc::clone(&ctx.shared);
    Ok(Reply::after_commit(
        0,
        move |tx| store::insert_test_alert(tx, now),
        move |()| {
            shared.alerts.wake();
            let body = json!({
                "status": "test alert dispatched",
                "detail": "Check service logs for SMTP transaction result",
            });
            Ok(Response::json(202, &body))
        },
    ))
}

fn render(alert: &AlertRow) -> Value {
    json!({
        "id": alert.id,
        "error_id": alert.group_id,
        "reason": alert.reason,
        "state": alert.state,
        "attempts": alert.attempts,
        "created_at": alert.created_at.to_string(),
        "finished_at": alert.finished_at.map(|at| at.to_string()),
        "last_error": alert.last_error,
    })
}
