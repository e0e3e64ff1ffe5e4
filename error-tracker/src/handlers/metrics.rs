//! `GET /metrics`: the service about itself, in the Prometheus text format.

use std::sync::atomic::Ordering::Relaxed;

use common::http::error::ApiError;
use common::http::reply::Reply;
use common::http::request::Request;

use crate::context::{AlertSwitch, Context};

/// All figures; costs no query.
pub(crate) fn show(ctx: &Context, _request: &mut Request) -> Result<Reply, ApiError> {
    let mut page = ctx.core.figures();
    if let AlertSwitch::On(alerter) = &ctx.shared.alerts {
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
    Ok(page.response().into())
}
