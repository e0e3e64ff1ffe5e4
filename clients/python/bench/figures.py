"""Measures what the client costs an application, and prints a line for each figure: name, goal, measured, met."""

from __future__ import annotations

import asyncio
import gc
import logging
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from monlight import ErrorClient, MetricsClient
from monlight.integrations.asgi import MonlightMiddleware
from outage import restart_under_load

ROUNDS = 15
CALLS = 20_000
REQUESTS = 2_000
REPORTS = 900
COUNTER_GOAL = 2.0
MIDDLEWARE_GOAL = 30.0
# Nobody listens there, so that nothing but the call is measured.
NOWHERE = "http://127.0.0.1:9"


def best(measure: Callable[[], float]) -> float:
    """The median of the rounds, in microseconds: others use the machine too."""
    gc.disable()
    try:
        return statistics.median(measure() for _ in range(ROUNDS)) * 1e6
    finally:
        gc.enable()


def seconds_per_call(call: Callable[[], None], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def counter(labels: dict[str, str] | None) -> float:
    metrics = MetricsClient(NOWHERE, "key", flush_interval=3600)
    return best(lambda: seconds_per_call(lambda: metrics.counter("orders_total", labels), CALLS))


def histogram(labels: dict[str, str]) -> float:
    def measure() -> float:
        metrics = MetricsClient(NOWHERE, "key", flush_interval=3600)
        return seconds_per_call(lambda: metrics.histogram("seconds", 0.25, labels), CALLS // 2)

    return best(measure)


def report() -> float:
    def crash(depth: int) -> None:
        if depth:
            crash(depth - 1)
        raise ValueError("no such order")

    try:
        crash(10)
    except ValueError as error:
        raised = error

    def measure() -> float:
        errors = ErrorClient(NOWHERE, "key")
        return seconds_per_call(lambda: errors.report_error_sync(raised, {"extra": {"order": 7}}), REPORTS)

    return best(measure)


async def _order(_: Request) -> PlainTextResponse:
    return PlainTextResponse("order")


async def _requests(app: Callable[..., Awaitable[None]]) -> float:
    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_: Any) -> None:
        pass

    start = time.perf_counter()
    for _ in range(REQUESTS):
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/orders/7",
            "headers": [],
            "query_string": b"",
            "root_path": "",
        }
        await app(scope, receive, send)
    return (time.perf_counter() - start) / REQUESTS


def middleware() -> tuple[float, float]:
    """Of a request: what the middleware adds, and what it takes without."""

    def application(*, is_measured: bool) -> Starlette:
        app = Starlette(routes=[Route("/orders/{number}", _order)])
        if is_measured:
            metrics = MetricsClient(NOWHERE, "key", flush_interval=3600)
            app.add_middleware(MonlightMiddleware, metrics_client=metrics)
        return app

    bare, measured = application(is_measured=False), application(is_measured=True)
    # In turns, so that whatever else the machine does hits both.
    pairs = [(asyncio.run(_requests(bare)), asyncio.run(_requests(measured))) for _ in range(ROUNDS)]
    return statistics.median(more - less for less, more in pairs) * 1e6, statistics.median(
        less for less, _ in pairs
    ) * 1e6


def outage() -> None:
    """Both services are away for ten seconds under fifty events a second."""
    with TemporaryDirectory() as folder:
        outcome = restart_under_load(Path(folder))
    stored = (outcome.reports, outcome.increments, outcome.measurements)
    off = sum(abs(outcome.sent - kept) for kept in stored)
    what = f"{off:.0f} lost or doubled of {outcome.sent} reports, increments and measurements each"
    print(f"services killed and away for 10 s under 50 events/s\t0 lost\t{what}\t{'no' if off else 'yes'}")
    show("slowest three calls of an event meanwhile", None, outcome.slowest_event)


def show(name: str, goal: float | None, measured: float, note: str = "") -> None:
    wanted = f"under {goal:.0f} µs" if goal else "-"
    met = "yes" if goal is None or measured < goal else "no"
    print(f"{name}\t{wanted}\t{measured:.2f} µs{note}\t{met}")


def main() -> None:
    # That nobody listens is known.
    logging.disable()
    labels = {"method": "GET", "endpoint": "/orders/{number}", "status": "200"}
    show("`counter()` without labels", COUNTER_GOAL, counter(None))
    show("`counter()` with three labels", COUNTER_GOAL, counter(labels))
    show("`histogram()` with three labels", None, histogram(labels))
    show("`report_error_sync()`, eleven frames", None, report())
    added, bare = middleware()
    show("ASGI middleware, per request", MIDDLEWARE_GOAL, added, f" beyond the {bare:.0f} µs of Starlette alone")
    outage()


if __name__ == "__main__":
    main()
