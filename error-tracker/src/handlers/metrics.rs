//! `GET /metrics`: the service about itself, in the Prometheus text format.

use std::sync::atomic::Ordering::Relaxed;

use common::http::error::ApiError;
use common::http::metrics::Page;
use common::http::reply::Reply;
use common::http::request::Request;
use common::http::response::Response;

use crate::context::{AlertSwitch, Context};

/// All figures; costs no query.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let mut page = Page::default();
    let shared = &ctx.shared;
    shared.http.render(&mut page);
    shared.writer.render(&mut page);
    shared.database.render(&mut page);
    common::timers::render(&mut page);
    common::process::render(&mut page, shared.started.elapsed());
    if let AlertSwitch::On(alerter) = &shared.alerts {
        let figures = alerter.figures();
        page.counter(
            "monlight_alert_mails_sent_total",
            "Alert mails delivered, per recipient.",
            figures.sent.load(Relaxed),
        );
        page.counter("monlight_alert_mails_failed_total", "Alert mails given up.", figures.failed.load(Relaxed));
        page.counter("monlight_alert_attempts_total", "SMTP sessions tried.", figures.attempts.load(Relaxed));
        page.counter(
            "monlight_alert_digests_total",
            "Mails that stood for many alerts.",
            figures.digests.load(Relaxed),
        );
        page.gauge("monlight_alerts_pending", "Alerts not yet sent.", figures.pending.load(Relaxed));
    }
    Ok(Response::new(200, "text/plain; version=0.0.4", page.finish().into_bytes()).into())
}
