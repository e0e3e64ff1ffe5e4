"""Whatever an application hands over, the real services take what the client makes of it."""

from __future__ import annotations

import os
import random
from typing import Any

from monlight import ErrorClient, MetricsClient
from services import KEY, Service

ROUNDS = 150
DEPTH_MAX = 30
CHARACTERS = ["a", "\x00", "\ud800", "\udfff", "é", "😀", '"', "\\", "\n", "\u2028", "\x7f"]
NUMBERS = [0, 1, -1, 2**63, 2**64, -(2**70), 10**400, 10**5000, 0.1, -0.0, 1e308, 5e-324, float("nan"), float("inf")]


class Unprintable:
    """Fails when it is shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")


class Chance:
    """Values of all kinds; the same again with the same seed."""

    def __init__(self) -> None:
        seed = int(os.environ.get("SEED", random.randrange(2**32)))
        # Shown when a test fails.
        print(f"SEED={seed}")
        self._random = random.Random(seed)

    def text(self) -> str:
        length = self._random.choice([0, 1, 5, 50, 3000])
        return "".join(self._random.choices(CHARACTERS, k=length))

    def value(self, depth: int = 0) -> Any:
        makers = [self.text, self._number, self._other]
        if depth < DEPTH_MAX:
            makers += [lambda: self._list(depth + 1), lambda: self._mapping(depth + 1), self._cycle]
        return self._random.choice(makers)()

    def labels(self) -> Any:
        names = [self.text() for _ in range(self._random.randrange(40))]
        return self._random.choice([None, {}, self.value(), {name: self.text() for name in names}])

    def context(self) -> dict[str, Any]:
        fields = ["request_url", "request_method", "request_headers", "user_id", "extra"]
        return {field: self.value() for field in fields if self._random.random() < 0.6}

    def _number(self) -> float:
        return self._random.choice(NUMBERS)

    def _other(self) -> Any:
        return self._random.choice([None, True, b"\xff", Unprintable(), object(), (1,), {2}])

    def _list(self, depth: int) -> list[Any]:
        return [self.value(depth) for _ in range(self._random.randrange(4))]

    def _mapping(self, depth: int) -> dict[Any, Any]:
        keys = [self._random.choice([1, 1.5, None, "password", self.text()]) for _ in range(self._random.randrange(4))]
        return {key: self.value(depth) for key in keys}

    def _cycle(self) -> Any:
        cycle: dict[str, Any] = {}
        cycle["self"] = [cycle]
        return cycle


def test_the_tracker_takes_every_report(tracker: Service) -> None:
    chance = Chance()
    errors = ErrorClient(tracker.url, KEY, project=chance.text(), environment=chance.text(), release=chance.text())
    for _ in range(ROUNDS):
        errors.report_error_sync(ValueError(chance.value()), chance.context())
    assert errors.flush(20)
    assert errors.stats() == {"delivered": ROUNDS, "retries": 0, "waiting": 0}


def test_the_collector_takes_every_value_that_is_one(collector: Service) -> None:
    chance = Chance()
    metrics = MetricsClient(collector.url, KEY, project=chance.text())
    for _ in range(ROUNDS):
        metrics.counter(chance.text(), chance.labels(), chance.value())
        metrics.histogram(chance.text(), chance.value(), chance.labels())
        metrics.gauge(chance.text(), chance.value(), chance.labels())
        metrics.gauge("always", 1)
    assert metrics.flush()
    stats = metrics.stats()
    assert stats["delivered"] >= ROUNDS
    assert stats["waiting"] == 0
    # Those that are no numbers, or have no name; nothing that the service would refuse.
    assert set(stats) <= {"delivered", "retries", "waiting", "lost_invalid"}
