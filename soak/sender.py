"""What everybody who sends something has in common: a thread, and a ledger of what was sent."""

from __future__ import annotations

import json
import random
import threading
import time
from abc import ABC, abstractmethod

import httpx

from .ledger import Ledger
from .verdict import Verdict

# As long as clients wait for an answer.
ANSWER_SECONDS_MAX = 5.0
# How long a sender may take for what it still has when the faults are over.
SETTLE_SECONDS_MAX = 120.0
# Values of one batch.
BATCH_MAX = 10
# Types of errors that come again.
RECENT_MAX = 40


class Sender(ABC):
    """A thread that sends."""

    # Times that it works in a second.
    rate = 30.0

    def __init__(self, what: str, seed: str, verdict: Verdict) -> None:
        self.verdict = verdict
        self.ledger = Ledger(what)
        self.random = random.Random(f"{seed}:{what}")
        self.number = 0
        self.is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=what, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Sends nothing new; what it sent may be on its way."""
        self.is_over.set()

    def join(self, deadline: float) -> None:
        """Until all it sent has arrived or was given up."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self._thread.is_alive():
            self.verdict.violation(f"{self.ledger.what}: not delivered after {SETTLE_SECONDS_MAX:.0f} s")

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
        self.is_over.wait(seconds)

    def _run(self) -> None:
        try:
            while not self.is_over.is_set():
                self.work()
                self.pause(self.random.expovariate(self.rate))
            self.settle()
        except Exception as failure:
            self.verdict.violation(f"{self.ledger.what}: {type(failure).__name__}: {failure}")


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


class HttpSender(Sender):
    """One that speaks HTTP itself."""

    def __init__(self, what: str, seed: str, verdict: Verdict) -> None:
        super().__init__(what, seed, verdict)
        self._http = httpx.Client(timeout=ANSWER_SECONDS_MAX)

    def post(self, url: str, body: object, headers: dict[str, str]) -> int | None:
        """The status, or None when nobody knows what became of it."""
        content = json.dumps(body)
        try:
            return self._http.post(url, content=content, headers=headers).status_code
        except httpx.TransportError:
            return None
