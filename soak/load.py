"""Everybody who sends something to the services."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from .applications import PlainErrors, PlainMetrics, SdkErrors, SdkMetrics
from .browsers import Browser, PageErrors, PageMetrics, SourceMaps
from .containers import ROTATIONS, Program
from .ledger import Ledger
from .sender import SETTLE_SECONDS_MAX, Sender
from .stack import Stack
from .verdict import Verdict


class Load:
    """All who send."""

    def __init__(self, stack: Stack, seed: str, verdict: Verdict) -> None:
        self._errors = [
            SdkErrors(seed, verdict),
            PlainErrors(seed, verdict),
            PageErrors(seed, verdict, tries_again=True),
            PageErrors(seed, verdict, tries_again=False),
            browser := Browser(seed, verdict),
        ]
        self._counter = SdkMetrics(seed, verdict)
        self._measurements = [
            self._counter,
            PlainMetrics(seed, verdict),
            PageMetrics(seed, verdict, tries_again=True),
            PageMetrics(seed, verdict, tries_again=False),
        ]
        self.programs = [Program(stack, name, rotation, seed, verdict) for name, rotation in ROTATIONS.items()]
        self._browser = browser
        self._maps = SourceMaps(seed, verdict)
        self.senders: list[Sender] = [*self._errors, *self._measurements, *self.programs, self._maps]

    def start(self) -> None:
        for sender in self.senders:
            sender.start()

    def stop(self) -> None:
        """Returns when everything that was sent has arrived or was given up."""
        self._stop(self.senders)

    def give_up(self) -> None:
        """Nothing can arrive any more. Returns when no log is written to."""
        self._stop(self.programs)

    def _stop(self, awaited: Sequence[Sender]) -> None:
        for sender in self.senders:
            sender.stop()
        deadline = time.monotonic() + SETTLE_SECONDS_MAX
        for sender in awaited:
            sender.join(deadline)

    def errors(self) -> list[Ledger]:
        return [sender.ledger for sender in self._errors]

    def measurements(self) -> list[Ledger]:
        return [*(sender.ledger for sender in self._measurements), self._browser.values]

    def sums(self) -> Counter[str]:
        return self._counter.sums

    def lines(self) -> list[Ledger]:
        return [program.ledger for program in self.programs]

    def maps(self) -> list[Ledger]:
        return [self._maps.ledger]
