"""The real services killed and started again under load: for a test, and for the figures."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from monlight import ErrorClient, MetricsClient
from services import KEY, Service, wait_for

EVENTS_PER_SECOND = 50
# Before the outage, and after.
RUNNING_SECONDS = 2
OUTAGE_SECONDS = 10


@dataclass
class Outcome:
    """How many events there were, and how many of each kind the services know of."""

    sent: int
    reports: float
    increments: float
    measurements: float
    retries: int
    # Of the three calls of an event, in microseconds.
    slowest_event: float


class Load:
    """Sends an event of each kind so many times a second, until it is stopped."""

    def __init__(self, errors: ErrorClient, metrics: MetricsClient) -> None:
        self.sent = 0
        self.slowest = 0.0
        self._clients = errors, metrics
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        errors, metrics = self._clients
        while not self._stop.wait(1 / EVENTS_PER_SECOND):
            start = time.perf_counter()
            # The same place and type: one error, which counts.
            errors.report_error_sync(ValueError("no such order"))
            metrics.counter("orders")
            metrics.histogram("seconds", 0.25)
            self.slowest = max(self.slowest, time.perf_counter() - start)
            self.sent += 1

    def wait(self, seconds: float) -> None:
        """Until as many more events as fit in this time."""
        wanted = self.sent + seconds * EVENTS_PER_SECOND
        wait_for(f"{wanted} events", lambda: self.sent >= wanted, seconds * 5)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()


def restart_under_load(folder: Path) -> Outcome:
    tracker, collector = services = [Service(name, folder) for name in ("error-tracker", "metrics-collector")]
    errors = ErrorClient(tracker.url, KEY, project="shop")
    metrics = MetricsClient(collector.url, KEY, flush_interval=0.5, project="shop")
    metrics.start()
    load = Load(errors, metrics)
    try:
        load.wait(RUNNING_SECONDS)
        for service in services:
            service.kill()
        load.wait(OUTAGE_SECONDS)
        for service in services:
            service.start()
        load.wait(RUNNING_SECONDS)
        load.stop()
        for client in (errors, metrics):
            wait_for("the last event", client.flush, 60)
        metrics.shutdown()
        return Outcome(
            load.sent,
            sum(error["count"] for error in tracker.get("/api/errors?project=shop")["errors"]),
            total(collector, "name=orders&agg=sum"),
            total(collector, "name=seconds&agg=count"),
            min(errors.stats()["retries"], metrics.stats()["retries"]),
            load.slowest * 1e6,
        )
    finally:
        load.stop()
        for service in services:
            service.kill()


def total(collector: Service, question: str) -> float:
    return float(sum(row["value"] for row in collector.get(f"/api/metrics?period=1h&{question}")["data"]))
