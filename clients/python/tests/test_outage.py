"""The real services killed and started again under load: nothing is lost and nothing is counted twice."""

from __future__ import annotations

import threading

from monlight import ErrorClient, MetricsClient
from services import KEY, Service, wait_for

EVENTS_PER_SECOND = 50
# Before the outage, during it, and after.
RUNNING_SECONDS = 2
OUTAGE_SECONDS = 10


def test_a_restart_under_load_loses_and_doubles_nothing(tracker: Service, collector: Service) -> None:
    errors = ErrorClient(tracker.url, KEY, project="shop")
    metrics = MetricsClient(collector.url, KEY, flush_interval=0.5, project="shop")
    metrics.start()
    stop = threading.Event()
    sent = 0

    def report() -> None:
        nonlocal sent
        while not stop.wait(1 / EVENTS_PER_SECOND):
            # The same place and type: one group, which counts.
            errors.report_error_sync(ValueError("no such order"))
            metrics.counter("orders")
            metrics.histogram("seconds", 0.25)
            sent += 1

    thread = threading.Thread(target=report)
    thread.start()
    wait_for("events before", lambda: sent >= RUNNING_SECONDS * EVENTS_PER_SECOND)
    for service in (tracker, collector):
        service.kill()
    before = sent
    # As many as an outage of that length would meet.
    wait_for("the outage", lambda: sent >= before + OUTAGE_SECONDS * EVENTS_PER_SECOND, seconds=60)
    for service in (tracker, collector):
        service.start()
    after = sent
    wait_for("events after", lambda: sent >= after + RUNNING_SECONDS * EVENTS_PER_SECOND)
    stop.set()
    thread.join()
    wait_for("the last report", lambda: errors.flush(), seconds=60)
    wait_for("the last values", lambda: metrics.flush(), seconds=60)
    metrics.shutdown()

    assert errors.stats()["retries"] > 0
    assert metrics.stats()["retries"] > 0
    assert [error["count"] for error in tracker.get("/api/errors?project=shop")["errors"]] == [sent]
    sums = collector.get("/api/metrics?name=orders&period=1h&agg=sum")["data"]
    assert sum(row["value"] for row in sums) == sent
    counts = collector.get("/api/metrics?name=seconds&period=1h&agg=count")["data"]
    assert sum(row["value"] for row in counts) == sent
