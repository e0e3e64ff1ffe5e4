"""FastAPI and Starlette: one call sets up error reports and request metrics."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from ..error_client import ErrorClient
from ..metrics_client import MetricsClient
from ..plain import text
from .asgi import MonlightMiddleware

__all__ = ["MonlightExceptionHandler", "MonlightMiddleware", "setup_monlight"]

logger = logging.getLogger(__name__)


async def MonlightExceptionHandler(request: Request, exc: Exception) -> JSONResponse:
    """Reports what no other handler caught, with `app.state.monlight_error_client`, and answers 500."""
    client = getattr(request.app.state, "monlight_error_client", None)
    if isinstance(client, ErrorClient):
        client.report_once(exc, _context(request))
    logger.error("Unhandled exception: %s", text(exc), exc_info=exc)
    return JSONResponse({"detail": "Internal server error"}, status_code=500)


def _context(request: Request) -> dict[str, Any]:
    return {
        "request_url": str(request.url),
        "request_method": request.method,
        "request_headers": dict(request.headers),
    }


def setup_monlight(
    app: Any,
    *,
    error_tracker_url: str | None = None,
    metrics_collector_url: str | None = None,
    api_key: str,
    project: str = "default",
    flush_interval: float = 10.0,
    metrics_api_key: str | None = None,
    environment: str | None = None,
    release: str | None = None,
    excluded_headers: set[str] | None = None,
    sensitive_keys: Iterable[str] = (),
    debug: bool = False,
) -> dict[str, Any]:
    """Sets up what has a URL, and returns the clients as `error_client` and `metrics_client`.

    `metrics_api_key` is for services that do not share a key.
    """
    clients: dict[str, Any] = {"error_client": None, "metrics_client": None}
    if error_tracker_url:
        errors = ErrorClient(
            error_tracker_url,
            api_key,
            project,
            excluded_headers=excluded_headers,
            environment=environment,
            release=release,
            sensitive_keys=sensitive_keys,
            debug=debug,
        )
        app.state.monlight_error_client = clients["error_client"] = errors
        app.add_exception_handler(Exception, MonlightExceptionHandler)
        logger.info("Monlight error tracking enabled: %s", error_tracker_url)
    if metrics_collector_url:
        key = metrics_api_key or api_key
        metrics = MetricsClient(metrics_collector_url, key, flush_interval, project=project, debug=debug)
        clients["metrics_client"] = metrics
        app.add_middleware(MonlightMiddleware, metrics_client=metrics)
        metrics.start()
        logger.info("Monlight metrics collection enabled: %s", metrics_collector_url)
    return clients
