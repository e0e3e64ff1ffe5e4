"""Django: a middleware, set up by `MONLIGHT` in the settings."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, NamedTuple, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import got_request_exception
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from ..error_client import ErrorClient
from ..metrics_client import MetricsClient
from ..timing import Timing

_SETTINGS = {
    "error_tracker_url",
    "metrics_collector_url",
    "api_key",
    "metrics_api_key",
    "project",
    "environment",
    "release",
    "flush_interval",
    "excluded_headers",
    "sensitive_keys",
    "debug",
}


class Clients(NamedTuple):
    """What the settings ask for."""

    error_client: ErrorClient | None
    metrics_client: MetricsClient | None


@lru_cache(maxsize=1)
def clients() -> Clients:
    """The clients of this process, for the application's own reports and metrics too."""
    given: dict[str, Any] = dict(getattr(settings, "MONLIGHT", {}))
    if unknown := given.keys() - _SETTINGS:
        raise ImproperlyConfigured(f"MONLIGHT: unknown {', '.join(sorted(unknown))}")
    if "api_key" not in given:
        raise ImproperlyConfigured("MONLIGHT: api_key is missing")
    error_url, metrics_url = given.pop("error_tracker_url", None), given.pop("metrics_collector_url", None)
    key, interval = given.pop("api_key"), given.pop("flush_interval", 10.0)
    metrics_key, debug = given.pop("metrics_api_key", key), given.pop("debug", False)
    project = given.pop("project", "default")
    errors = ErrorClient(error_url, key, project, debug=debug, **given) if error_url else None
    metrics = MetricsClient(metrics_url, metrics_key, interval, project=project, debug=debug) if metrics_url else None
    if metrics is not None:
        metrics.start()
    return Clients(errors, metrics)


class MonlightMiddleware:
    """Reports exceptions that no other middleware took; counts and times requests, labelled with the route."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)
        clients()
        # Once, however many handlers are made.
        got_request_exception.connect(_report, dispatch_uid="monlight")

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._answer_async(request)
        timing = Timing(clients().metrics_client)
        response = cast(HttpResponseBase, self._get_response(request))
        _finish(timing, request, response)
        return response

    async def _answer_async(self, request: HttpRequest) -> HttpResponseBase:
        timing = Timing(clients().metrics_client)
        response = cast(HttpResponseBase, await self._get_response(request))
        _finish(timing, request, response)
        return response


def _finish(timing: Timing, request: HttpRequest, response: HttpResponseBase) -> None:
    # Django makes answers of all exceptions before they come here.
    timing.finish(request.method or "", lambda: _route(request), response.status_code)


def _route(request: HttpRequest) -> str | None:
    match = request.resolver_match
    return f"/{match.route}" if match is not None else None


def _report(request: HttpRequest | None = None, **_: Any) -> None:
    client, exception = clients().error_client, sys.exc_info()[1]
    if client is not None and exception is not None:
        client.report_once(exception, _context(request) if request is not None else None)


def _context(request: HttpRequest) -> dict[str, Any]:
    # Not `build_absolute_uri`, which raises for hosts that are not allowed.
    host = request.META.get("HTTP_HOST") or request.META.get("SERVER_NAME", "")
    return {
        "request_url": f"{request.scheme}://{host}{request.get_full_path()}",
        "request_method": request.method,
        "request_headers": dict(request.headers),
    }
