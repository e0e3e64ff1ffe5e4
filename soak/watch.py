"""Looks at every process once a second: that it lives, its memory, its descriptors."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from .stack import WORKERS, Service, Stack
from .waiting import wait_for

INTERVAL_SECONDS = 1.0
# The limit of a container.
PEAK_KB_MAX = 30 * 1024
# Whether memory is flat is asked of the last process of each service, from so long after its start: its own memory,
# without its program's file. By then a crowd has been there (faults.py), SQLite has filled its page caches, and each
# thread keeps pieces of all sizes that it needs (up to 0.2 MB of them, in glibc). The median of the second half of this
# time may be so much over that of the first. Less is what the load does by chance; a run of an hour finds a leak of
# 9 MB an hour.
WARM_SECONDS = 150
LOOKS_MIN = 60
GROWTH_KB_MAX = 2 * 1024
# When nobody is connected any more, these may have come since the first start: the database of each worker, which opens
# it for its first request, and what is open for a moment.
WORKER_DESCRIPTORS = 3
OTHER_DESCRIPTORS = 10
# Connections inside a service are kept for ten seconds.
IDLE_SECONDS_MAX = 30.0


@dataclass
class Life:
    """What was seen of one process."""

    pid: int
    own_kb: list[int] = field(default_factory=list)
    descriptors: list[int] = field(default_factory=list)
    peak_kb: int = 0


@dataclass
class Use:
    """What a service used."""

    # In the whole run.
    peak_kb: int
    # Its last process, if it lived long enough to say: medians of the first and of the second half.
    own_kb: tuple[float, float] | None
    # With nobody connected: after the first start, and in the end; how many that may be.
    idle_descriptors: tuple[int, int]
    idle_descriptors_max: int
    # In the whole run.
    descriptors: int

    def problems(self) -> list[str]:
        """What is not as it must be."""
        found = []
        if self.peak_kb > PEAK_KB_MAX:
            found.append(f"its memory came to {self.peak_kb / 1024:.1f} MB")
        if self.own_kb and self.own_kb[1] > self.own_kb[0] + GROWTH_KB_MAX:
            found.append(f"its memory grew from {self.own_kb[0]:.0f} to {self.own_kb[1]:.0f} KB")
        first, last = self.idle_descriptors
        if last > self.idle_descriptors_max:
            found.append(f"it holds {last} descriptors with nobody connected, after its first start it held {first}")
        return found


class Watch:
    """A thread with its notes. Starts with a stack that has nothing to do yet."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lives: dict[str, list[Life]] = {service.name: [] for service in stack}
        self._idle = {service.name: _descriptors(_pid(service)) for service in stack}
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> dict[str, Use]:
        """When nobody is connected any more."""
        self._is_over.set()
        self._thread.join()
        return {service.name: self._use(service) for service in self._stack}

    def _run(self) -> None:
        while not self._is_over.wait(INTERVAL_SECONDS):
            for service in self._stack:
                service.check_alive()
                self._look(service)

    def _look(self, service: Service) -> None:
        if (pid := service.pid()) is None:
            return
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            descriptors = _descriptors(pid)
        except OSError:
            # It was killed just now.
            return
        if not (peak := _kilobytes(status, "VmHWM")):
            return
        lives = self._lives[service.name]
        if not lives or lives[-1].pid != pid:
            lives.append(Life(pid))
        life = lives[-1]
        life.own_kb.append(_kilobytes(status, "RssAnon"))
        life.descriptors.append(descriptors)
        life.peak_kb = max(life.peak_kb, peak)

    def _use(self, service: Service) -> Use:
        self._look(service)
        lives = self._lives[service.name]
        few = self._idle[service.name] + WORKER_DESCRIPTORS * WORKERS[service.name] + OTHER_DESCRIPTORS
        pid = _pid(service)
        # If not, the number itself says it.
        with suppress(TimeoutError):
            wait_for("few descriptors", lambda: _descriptors(pid) <= few, IDLE_SECONDS_MAX)
        return Use(
            peak_kb=max(life.peak_kb for life in lives),
            own_kb=halves(lives[-1].own_kb),
            idle_descriptors=(self._idle[service.name], _descriptors(pid)),
            idle_descriptors_max=few,
            descriptors=max(max(life.descriptors) for life in lives),
        )


def halves(own_kb: list[int]) -> tuple[float, float] | None:
    """The medians that tell whether memory is flat; none of a life too short to tell."""
    warm = own_kb[int(WARM_SECONDS / INTERVAL_SECONDS) :]
    half = len(warm) // 2
    return (median(warm[:half]), median(warm[half:])) if len(warm) >= LOOKS_MIN else None


def _pid(service: Service) -> int:
    pid = service.pid()
    assert pid is not None, f"{service.name} does not run"
    return pid


def _descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _kilobytes(status: str, name: str) -> int:
    """Zero of a process that has ended."""
    found = re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) if found else 0
