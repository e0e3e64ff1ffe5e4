"""What applications, browsers, containers and people do with the services, each with a ledger of what it sent.

A sender is a thread that does its work so many times a second until it is stopped.
"""

from __future__ import annotations

import json
import random
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from uuid import UUID

import httpx
from monlight import ErrorClient, MetricsClient

from .docker_log import PIECE_BYTES, Container, Rotation
from .ledger import Ledger
from .stack import DSN, KEY, WEB_PROJECT, Stack, proxy_url
from .verdict import Verdict
from .waiting import wait_for

# As long as the clients wait for an answer.
ANSWER_SECONDS_MAX = 5.0
# What waits in a client while its server is away. The client keeps a thousand; more would be lost, and it says so.
WAITING_MAX = 500
# A page that got no answer tries again, with pauses between these, as long as it is open.
RETRY_SECONDS = (0.3, 3.0)
# How long a sender may take for what it still has when the faults are over.
SETTLE_SECONDS_MAX = 120.0
# Values of one batch.
BATCH_MAX = 10
# Types of errors that come again.
RECENT_MAX = 40
LINE_SHOWN_MAX = 200
# What is kept of each log is some minutes of what is written, more than log-viewer is ever away.
ROTATIONS = {
    "shop": None,
    "api": Rotation(bytes_max=100_000, files_max=100, compress=False),
    "worker": Rotation(bytes_max=150_000, files_max=100, compress=True),
}


class Sender(ABC):
    """A thread that sends."""

    # Times that it works in a second.
    rate = 30.0

    def __init__(self, what: str, seed: str) -> None:
        self.ledger = Ledger(what)
        self.random = random.Random(f"{seed}:{what}")
        self.number = 0
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Sends nothing new; what it sent may be on its way."""
        self._is_over.set()

    def join(self) -> None:
        """Until all it sent has arrived or was given up."""
        self._thread.join(SETTLE_SECONDS_MAX)
        assert not self._thread.is_alive(), f"{self.ledger.what} has not come to its end"

    @abstractmethod
    def work(self) -> None:
        """Sends something."""

    def settle(self) -> None:
        """Once in the end; most have nothing more to do."""
        return

    def next(self) -> int:
        self.number += 1
        return self.number

    def pause(self, seconds: float) -> None:
        self._is_over.wait(seconds)

    def _run(self) -> None:
        while not self._is_over.is_set():
            self.work()
            self.pause(self.random.expovariate(self.rate))
        self.settle()


class Types:
    """Names for errors: new ones, and some that come again."""

    def __init__(self, prefix: str, random: random.Random) -> None:
        self._prefix = prefix
        self._random = random
        self._recent: list[str] = []
        self._count = 0

    def choose(self) -> str:
        if self._recent and self._random.random() < 0.6:
            return self._random.choice(self._recent)
        self._count += 1
        name = f"{self._prefix}{self._count}"
        self._recent = [*self._recent, name][-RECENT_MAX:]
        return name


class SdkErrors(Sender):
    """An application that reports its exceptions with the Python client."""

    rate = 60.0

    def __init__(self, seed: str, verdict: Verdict) -> None:
        super().__init__("errors, Python client", seed)
        self._client = ErrorClient(proxy_url("error-tracker"), KEY, project="shop", timeout=ANSWER_SECONDS_MAX)
        self._types = Types("OrderError", self.random)
        self._verdict = verdict

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
        _settle(self, self._client, self._verdict)


class SdkMetrics(Sender):
    """An application that counts and measures with the Python client."""

    rate = 120.0

    def __init__(self, seed: str, verdict: Verdict) -> None:
        super().__init__("measurements, Python client", seed)
        # Sums that the client makes of what is counted.
        self.sums: Counter[str] = Counter()
        self._client = MetricsClient(proxy_url("metrics-collector"), KEY, 1.0, ANSWER_SECONDS_MAX, "shop")
        self._client.start()
        self._verdict = verdict

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
        _settle(self, self._client, self._verdict)
        self._client.shutdown()


def _settle(sender: Sender, client: ErrorClient | MetricsClient, verdict: Verdict) -> None:
    """Whatever happened, the client delivers everything, each thing once."""
    wait_for(f"the last of {sender.ledger.what}", client.flush, SETTLE_SECONDS_MAX)
    stats = client.stats()
    lost = {reason: count for reason, count in stats.items() if reason.startswith("lost_")}
    if lost or stats["waiting"]:
        verdict.violation(f"{sender.ledger.what}: the client gave up: {stats}")
    sender.ledger.acknowledge_all()


class HttpSender(Sender):
    """One that speaks HTTP itself."""

    def __init__(self, what: str, seed: str) -> None:
        super().__init__(what, seed)
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX)

    def post(self, url: str, body: object, headers: dict[str, str]) -> int | None:
        """The status, or None when nobody knows what became of it."""
        content = json.dumps(body)
        try:
            return self._http.post(url, content=content, headers=headers).status_code
        except httpx.TransportError:
            return None


class PlainErrors(HttpSender):
    """A script that reports with plain HTTP, without a key for repeats, and does not try again."""

    def __init__(self, seed: str) -> None:
        super().__init__("errors, plain HTTP", seed)
        self._types = Types("ScriptError", self.random)

    def work(self) -> None:
        kind = self._types.choose()
        report = {"project": "cron", "exception_type": kind, "message": f"failure {self.next()}", "traceback": ""}
        name = f"cron {kind}"
        self.ledger.send(name)
        _book(self.ledger, self.post(f"{proxy_url('error-tracker')}/api/errors", report, {"X-API-Key": KEY}), [name])


class PlainMetrics(HttpSender):
    """A script that sends batches with plain HTTP, without a key for repeats, and does not try again."""

    def __init__(self, seed: str) -> None:
        super().__init__("measurements, plain HTTP", seed)

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


class Page(HttpSender):
    """A page that sends what the JavaScript client sends. `tries_again`: as ours does, else as the published one."""

    def __init__(self, what: str, seed: str, *, tries_again: bool) -> None:
        super().__init__(what, seed)
        self._tries_again = tries_again
        self._session = str(UUID(int=self.random.getrandbits(128), version=4))

    def send(self, path: str, body: object, names: list[str], *, is_beacon: bool = False) -> None:
        self.ledger.send(*names)
        url, headers = f"{proxy_url('browser-relay')}{path}", {"Content-Type": "application/json"}
        if is_beacon:
            url += f"?key={DSN}"
        else:
            headers["X-Monlight-Key"] = DSN
        if self._tries_again:
            headers["Idempotency-Key"] = f"{self._session}-{self.number}"
        while True:
            status = self.post(url, body, headers)
            if status is not None and 200 <= status < 300:
                # Also 202: then it waits in the outbox.
                self.ledger.acknowledge(*names)
                return
            # Otherwise the event may still have come to the service behind the relay.
            if not self._tries_again:
                return
            time.sleep(self.random.uniform(*RETRY_SECONDS))

    def now(self) -> str:
        at = time.time()
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at * 1000) % 1000:03}Z"


class PageErrors(Page):
    def __init__(self, seed: str, *, tries_again: bool) -> None:
        who = "browser" if tries_again else "published browser client"
        super().__init__(f"errors, {who}", seed, tries_again=tries_again)
        self._types = Types("BrowserError" if tries_again else "OldBrowserError", self.random)

    def work(self) -> None:
        kind = self._types.choose()
        body = {
            "type": kind,
            "message": f"x{self.next()} is undefined",
            "stack": f"{kind}: x is undefined\n    at pay (https://shop.example/app.js:{self.number % 50 + 1}:7)",
            "url": "https://shop.example/cart",
            "user_agent": "Mozilla/5.0",
            "session_id": self._session,
            "release": "1.0.0",
            "context": {"number": self.number},
            "timestamp": self.now(),
        }
        self.send("/api/browser/errors", body, [f"{WEB_PROJECT} {kind}"])


class PageMetrics(Page):
    def __init__(self, seed: str, *, tries_again: bool) -> None:
        who = "browser" if tries_again else "published browser client"
        super().__init__(f"measurements, {who}", seed, tries_again=tries_again)
        self._name = "browser_ms" if tries_again else "old_browser_ms"

    def work(self) -> None:
        values = [self.next() for _ in range(self.random.randint(1, BATCH_MAX))]
        labels = {"session_id": self._session, "page": "/cart"}
        at = self.now()
        body = {
            "metrics": [
                {"name": self._name, "type": "histogram", "value": value, "timestamp": at, "labels": labels}
                for value in values
            ]
        }
        names = [f"{self._name} {value}" for value in values]
        self.send("/api/browser/metrics", body, names, is_beacon=self.random.random() < 0.1)


class SourceMaps(HttpSender):
    """A release that uploads its source map; a job that repeats it until somebody says that it is there."""

    rate = 0.5
    MAP = '{"version":3,"sources":["pay.ts"],"names":["pay"],"mappings":"AAAAA"}'

    def __init__(self, seed: str) -> None:
        super().__init__("source maps", seed)

    def work(self) -> None:
        release = f"release-{self.next()}"
        body = {"project": WEB_PROJECT, "release": release, "file_url": "/app.js", "map_content": self.MAP}
        self.ledger.send(release)
        while self.post(f"{proxy_url('browser-relay')}/api/source-maps", body, {"X-API-Key": KEY}) != 201:
            time.sleep(self.random.uniform(*RETRY_SECONDS))
        self.ledger.acknowledge(release)


class Program(Sender):
    """A container that logs, each line with a number of its own."""

    rate = 120.0
    TRACE = ("java.lang.IllegalStateException: no order", "\tat Shop.pay(Shop.java:12)", "\tat Shop.main(Shop.java:4)")

    def __init__(self, stack: Stack, name: str, rotation: Rotation | None, seed: str) -> None:
        super().__init__(f"log lines, {name}", seed)
        self.container = Container(stack.containers, name, rotation)

    def work(self) -> None:
        stream = self.random.choice(["stdout", "stderr"])
        kind = self.random.randrange(40)
        if kind == 0:
            for line in self.TRACE:
                self._write(stream, f"{line} #{self.next()}")
        elif kind == 1:
            # Several records.
            filler = "y" * self.random.randint(PIECE_BYTES - 40, 3 * PIECE_BYTES)
            self._write(stream, f"[debug] #{self.next()} {filler}")
        else:
            filler = "x" * self.random.randint(0, 150)
            self._write(stream, f'[info] #{self.next()} <tag> "quoted" \t{filler}')

    def settle(self) -> None:
        self.container.wait_for_compression()

    def _write(self, stream: str, line: str) -> None:
        name = line_name(self.container.name, stream, line)
        self.ledger.send(name)
        self.container.write(stream, line)
        # As far as a program knows.
        self.ledger.acknowledge(name)


def line_name(container: str, stream: str, line: str) -> str:
    """A line in a ledger: a long one by its beginning and its length."""
    shown = line if len(line) < LINE_SHOWN_MAX else f"{line[:30]}... ({len(line)} bytes)"
    return f"{container} {stream} {shown}"


class Load:
    """All senders."""

    def __init__(self, stack: Stack, seed: str, verdict: Verdict) -> None:
        self._errors = [
            SdkErrors(seed, verdict),
            PlainErrors(seed),
            PageErrors(seed, tries_again=True),
            PageErrors(seed, tries_again=False),
        ]
        self._counter = SdkMetrics(seed, verdict)
        self._measurements = [
            self._counter,
            PlainMetrics(seed),
            PageMetrics(seed, tries_again=True),
            PageMetrics(seed, tries_again=False),
        ]
        self.programs = [Program(stack, name, rotation, seed) for name, rotation in ROTATIONS.items()]
        self._maps = SourceMaps(seed)
        self.senders: list[Sender] = [*self._errors, *self._measurements, *self.programs, self._maps]

    def start(self) -> None:
        for sender in self.senders:
            sender.start()

    def stop(self) -> None:
        """Returns when everything that was sent has arrived or was given up."""
        for sender in self.senders:
            sender.stop()
        for sender in self.senders:
            sender.join()

    def errors(self) -> list[Ledger]:
        return [sender.ledger for sender in self._errors]

    def measurements(self) -> list[Ledger]:
        return [sender.ledger for sender in self._measurements]

    def sums(self) -> Counter[str]:
        return self._counter.sums

    def lines(self) -> list[Ledger]:
        return [program.ledger for program in self.programs]

    def maps(self) -> list[Ledger]:
        return [self._maps.ledger]
