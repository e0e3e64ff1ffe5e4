"""Flask: one call sets up error reports and request metrics."""

from __future__ import annotations

from typing import Any

from flask import Flask, Response, g, got_request_exception, request, request_finished, request_started

from ..error_client import ErrorClient
from ..metrics_client import MetricsClient
from ..timing import Timing


def setup_monlight(
    app: Flask, error_client: ErrorClient | None = None, metrics_client: MetricsClient | None = None
) -> None:
    """Reports exceptions that no handler of the application took; counts and times requests by route."""
    if error_client is not None:
        _report_errors(app, error_client)
    if metrics_client is not None:
        _measure_requests(app, metrics_client)
        metrics_client.start()


def _report_errors(app: Flask, client: ErrorClient) -> None:
    def report(_sender: Flask, exception: BaseException, **_: Any) -> None:
        context = {
            "request_url": request.url,
            "request_method": request.method,
            "request_headers": dict(request.headers),
        }
        client.report_once(exception, context)

    # Signals do not keep what is connected to them, unless told to.
    got_request_exception.connect(report, app, weak=False)


def _measure_requests(app: Flask, client: MetricsClient) -> None:
    def start(_sender: Flask, **_: Any) -> None:
        g._monlight_timing = Timing(client)

    def finish(status: int) -> None:
        timing: Timing | None = g.get("_monlight_timing")
        if timing is not None:
            timing.finish(request.method, lambda: request.url_rule.rule if request.url_rule else None, status)

    def answer(_sender: Flask, response: Response, **_: Any) -> None:
        finish(response.status_code)

    request_started.connect(start, app, weak=False)
    request_finished.connect(answer, app, weak=False)
    # When exceptions go on to the server, there is no answer.
    app.teardown_request(lambda _exception: finish(500))
