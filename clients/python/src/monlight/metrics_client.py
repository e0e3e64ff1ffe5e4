"""Counts, measurements and states, gathered here and sent to metrics-collector every few seconds."""

from __future__ import annotations

import logging

from .client import service_line
from .sender import Sender
from .window import POINTS_PER_BATCH_MAX, GivenLabels, Window

logger = logging.getLogger(__name__)


class MetricsClient:
    """Sends every `flush_interval` seconds after `start`, when a batch is full, on `flush`, and when the process ends.

    No method raises, and none but `flush` and `shutdown` waits for anything.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        flush_interval: float = 10.0,
        timeout: float = 5.0,
        project: str | None = None,
        *,
        debug: bool = False,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.api_key = api_key
        self.flush_interval = flush_interval
        self.timeout = timeout
        self.project = project
        self._window = Window(project)
        line = service_line(f"{self.base_url}/api/metrics", api_key, timeout, debug)
        self._sender = Sender(line, timeout=timeout, logger=logger, what="metrics", gatherer=self._window)
        self._is_started = False

    def start(self) -> None:
        """From now on what gathers is sent every `flush_interval` seconds. A second call changes nothing."""
        if not self._is_started:
            self._is_started = True
            self._sender.tick(self.flush_interval)

    def counter(self, name: str, labels: GivenLabels = None, value: float = 1) -> None:
        """Adds to a counter."""
        # Now and then: after a fork, or when threads were short, there is none.
        if self._window.count(name, value, labels) and self._is_started:
            self._sender.wake()

    def histogram(self, name: str, value: float, labels: GivenLabels = None) -> None:
        """Records a measurement."""
        self._add(name, "histogram", value, labels)

    def gauge(self, name: str, value: float, labels: GivenLabels = None) -> None:
        """Records a state."""
        self._add(name, "gauge", value, labels)

    def _add(self, name: str, kind: str, value: float, labels: GivenLabels) -> None:
        gathered = self._window.add(name, kind, value, labels)
        if self._is_started:
            if gathered == 1:
                self._sender.wake()
            elif gathered > 0 and gathered % POINTS_PER_BATCH_MAX == 0:
                self._sender.gather_soon()

    def flush(self) -> bool:
        """Sends everything now and waits for the answer, up to `timeout` seconds. What failed is tried again later."""
        return self._sender.flush(self.timeout)

    def shutdown(self) -> None:
        """Sends everything and stops sending every few seconds; `start` may be called again."""
        self._is_started = False
        self._sender.tick(None)
        self.flush()

    def stats(self) -> dict[str, int]:
        """How many values (a sum is one) were `delivered`, are `waiting` to be sent, or `lost_` for which reason."""
        return self._sender.stats()
