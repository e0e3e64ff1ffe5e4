"""What is measured of a request, whatever the framework."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from .metrics_client import MetricsClient

# A client may call a method what it likes: each would make a series.
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
# Paths that lead nowhere are as many as strangers can think of.
UNMATCHED = "unmatched"


class Timing:
    """From its creation to the first sign of an answer."""

    def __init__(self, metrics: MetricsClient | None) -> None:
        self._metrics = metrics
        self._start = perf_counter()

    def finish(self, method: str, endpoint: Callable[[], str | None], status: int) -> None:
        """Records the request; a second call does nothing."""
        metrics, self._metrics = self._metrics, None
        if metrics is None:
            return
        seconds = perf_counter() - self._start
        labels = {
            "method": method if method in METHODS else "OTHER",
            "endpoint": _endpoint(endpoint),
            "status": str(status),
        }
        metrics.counter("http_requests_total", labels=labels)
        metrics.histogram("http_request_duration_seconds", seconds, labels=labels)


def _endpoint(find: Callable[[], str | None]) -> str:
    try:
        return find() or UNMATCHED
    except Exception:
        # Whatever a framework's insides have become: not the application's trouble.
        return UNMATCHED
