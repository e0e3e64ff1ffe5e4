"""Asks the services when faults and load are over: they catch up with what waits, and what they answer is right."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import httpx

from .containers import Program
from .load import Load
from .stack import KEY, Stack
from .verdict import Verdict
from .waiting import wait_for

# What was away for seconds has caught up after this time.
CATCH_UP_SECONDS_MAX = 90.0
ANSWER_SECONDS_MAX = 10.0
# Lines of each container that are searched for.
SEARCHES = 20
# Longer than any run; whole minutes up to here are answered exactly.
PERIOD = "24h"


def check(stack: Stack, load: Load, verdict: Verdict) -> None:
    """Ends when nothing waits any more."""
    questions = Questions(stack)
    waiting: list[tuple[str, Callable[[], bool]]] = [
        ("browser-relay to empty its outbox", lambda: questions.figure("browser-relay", "monlight_outbox_events") == 0),
        (
            "metrics-collector to roll up",
            lambda: questions.figure("metrics-collector", "monlight_rollup_pending_minutes") == 0,
        ),
    ]
    waiting += [
        (f"the last line of {program.container.name}", partial(questions.has_last, program))
        for program in load.programs
    ]
    for what, is_done in waiting:
        try:
            wait_for(what, is_done, CATCH_UP_SECONDS_MAX)
        except TimeoutError as failure:
            verdict.violation(str(failure))
    _check_sums(questions, load, verdict)
    _check_searches(questions, load, verdict)


class Questions:
    """What an operator can ask."""

    def __init__(self, stack: Stack) -> None:
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX, headers={"X-API-Key": KEY})
        self._urls = {service.name: service.url for service in stack}

    def ask(self, service: str, path: str, **parameters: str | int) -> httpx.Response:
        """Until it has a moment: 503 says that it has none."""

        def answer() -> httpx.Response | None:
            with suppress(httpx.TransportError):
                answer = self._http.get(f"{self._urls[service]}{path}", params=parameters)
                return None if answer.status_code == 503 else answer
            return None

        return wait_for(f"{service} to answer {path}", answer).raise_for_status()

    def figure(self, service: str, name: str) -> float:
        """Of what a service says of itself."""
        found = re.search(rf"^{name} (\S+)$", self.ask(service, "/metrics").text, re.MULTILINE)
        assert found, f"{service} says nothing of {name}"
        return float(found[1])

    def lines(self, container: str, number: int) -> int:
        """How many lines a search finds that have this number."""
        answer = self.ask("log-viewer", "/api/logs", container=container, search=str(number), limit=500)
        return sum(len(re.findall(rf"#{number}\b", entry["message"])) for entry in answer.json()["logs"])

    def has_last(self, program: Program) -> bool:
        return self.lines(program.container.name, program.number) > 0

    def total(self, name: str, kind: str, **parameters: str) -> float:
        """Of a metric, in all minutes."""
        answer = self.ask("metrics-collector", "/api/metrics", name=name, agg=kind, period=PERIOD, **parameters)
        return float(sum(row["value"] for row in answer.json()["data"]))


def _check_sums(questions: Questions, load: Load, verdict: Verdict) -> None:
    for name, counted in load.sums().items():
        metric, shop = name.split()
        if (total := questions.total(metric, "sum", labels=f"shop:{shop}")) != counted:
            verdict.violation(f"metrics-collector answers {total} for {name}, counted were {counted}")


def _check_searches(questions: Questions, load: Load, verdict: Verdict) -> None:
    chance = random.Random(0)
    for program in load.programs:
        numbers = chance.sample(range(1, program.number + 1), min(SEARCHES, program.number))
        for number in numbers:
            if (found := questions.lines(program.container.name, number)) != 1:
                verdict.violation(f"log-viewer finds line {number} of {program.container.name} {found} times")
