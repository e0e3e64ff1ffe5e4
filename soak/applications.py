"""Applications and scripts that report and measure."""

from __future__ import annotations

from collections import Counter

from monlight import ErrorClient, MetricsClient

from .ledger import Ledger
from .sender import ANSWER_SECONDS_MAX, BATCH_MAX, SETTLE_SECONDS_MAX, HttpSender, Sender, Types
from .stack import KEY, proxy_url
from .verdict import Verdict
from .waiting import wait_for

# What waits in a client while its server is away. The client keeps a thousand; more would be lost, and it says so.
WAITING_MAX = 500


class SdkErrors(Sender):
    """An application that reports its exceptions with the Python client."""

    rate = 60.0

    def __init__(self, seed: str, verdict: Verdict) -> None:
        super().__init__("errors, Python client", seed, verdict)
        self._client = ErrorClient(proxy_url("error-tracker"), KEY, project="shop", timeout=ANSWER_SECONDS_MAX)
        self._types = Types("OrderError", self.random)

    def work(self) -> None:
        if self._client.stats()["waiting"] > WAITING_MAX:
            return
        kind = self._types.choose()
        self.ledger.send(f"shop {kind}")
        try:
            raise type(kind, (Exception,), {})(f"no such order: {self.next()}")
        except Exception as error:
            self._client.report_error_sync(error, {"request_url": "/orders", "extra": {"number": self.number}})

    def settle(self) -> None:
        _settle(self, self._client)


class SdkMetrics(Sender):
    """An application that counts and measures with the Python client."""

    rate = 120.0

    def __init__(self, seed: str, verdict: Verdict) -> None:
        super().__init__("measurements, Python client", seed, verdict)
        # Sums that the client makes of what is counted.
        self.sums: Counter[str] = Counter()
        self._client = MetricsClient(proxy_url("metrics-collector"), KEY, 1.0, ANSWER_SECONDS_MAX, "shop")
        self._client.start()

    def work(self) -> None:
        if self._client.stats()["waiting"] > WAITING_MAX:
            return
        shop = self.random.choice(["berlin", "paris", "rome"])
        amount = self.random.randint(1, 9)
        self.sums[f"orders_total {shop}"] += amount
        self._client.counter("orders_total", {"shop": shop}, amount)
        # Each value once, so that it can be found again.
        value = self.next()
        self.ledger.send(f"shop_seconds {value}", f"shop_queue {value}")
        self._client.histogram("shop_seconds", value, {"shop": shop})
        self._client.gauge("shop_queue", value)

    def settle(self) -> None:
        _settle(self, self._client)
        self._client.shutdown()


def _settle(sender: Sender, client: ErrorClient | MetricsClient) -> None:
    """Whatever happened, the client delivers everything, each thing once."""
    wait_for(f"the last of {sender.ledger.what}", client.flush, SETTLE_SECONDS_MAX)
    stats = client.stats()
    lost = {reason: count for reason, count in stats.items() if reason.startswith("lost_")}
    if lost or stats["waiting"]:
        sender.verdict.violation(f"{sender.ledger.what}: the client gave up: {stats}")
    sender.ledger.acknowledge_all()


class PlainErrors(HttpSender):
    """A script that reports with plain HTTP, without a key for repeats, and does not try again."""

    def __init__(self, seed: str, verdict: Verdict) -> None:
        super().__init__("errors, plain HTTP", seed, verdict)
        self._types = Types("ScriptError", self.random)

    def work(self) -> None:
        kind = self._types.choose()
        report = {"project": "cron", "exception_type": kind, "message": f"failure {self.next()}", "traceback": ""}
        name = f"cron {kind}"
        self.ledger.send(name)
        _book(self.ledger, self.post(f"{proxy_url('error-tracker')}/api/errors", report, {"X-API-Key": KEY}), [name])


class PlainMetrics(HttpSender):
    """A script that sends batches with plain HTTP, without a key for repeats, and does not try again."""

    def __init__(self, seed: str, verdict: Verdict) -> None:
        super().__init__("measurements, plain HTTP", seed, verdict)

    def work(self) -> None:
        values = [self.next() for _ in range(self.random.randint(1, BATCH_MAX))]
        body = [{"name": "cron_seconds", "type": "histogram", "value": value} for value in values]
        names = [f"cron_seconds {value}" for value in values]
        self.ledger.send(*names)
        _book(self.ledger, self.post(f"{proxy_url('metrics-collector')}/api/metrics", body, {"X-API-Key": KEY}), names)


def _book(ledger: Ledger, status: int | None, names: list[str]) -> None:
    """For a service that stores what it answers 2xx to, and nothing that it refuses."""
    if status is None:
        return
    if 200 <= status < 300:
        ledger.acknowledge(*names)
    else:
        ledger.refuse(*names)
