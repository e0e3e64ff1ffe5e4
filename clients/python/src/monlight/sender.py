"""A thread that sends what a client hands over, in order, until the server has it; and the end of the process."""

from __future__ import annotations

import atexit
import logging
import os
import random
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from .delivery import Line, Outcome, Parcel, Verdict
from .telling import tell

# What waits while the server is away: twenty seconds of fifty reports each, and their usual size.
PARCELS_MAX = 1000
PARCELS_BYTES_MAX = 8 * 1024 * 1024
# The first pause after a failure; each further one is twice as long. A part of it is left to chance, so that many
# processes do not come back at the same moment.
PAUSE_SECONDS = 0.5
PAUSE_SECONDS_MAX = 15.0
# Large powers of two are not needed, and are large.
DOUBLINGS_MAX = 10
# The pause while somebody waits for the end.
HURRIED_PAUSE_SECONDS = 0.2
# A server that fails so often at the same parcel will never take it; the next ones may be better.
BROKEN_MAX = 5
# A thread that has nothing to do ends, and keeps its connection until then.
IDLE_SECONDS = 10.0
# How long the end of the process waits without any success.
EXIT_PATIENCE_SECONDS = 2.0
# The same trouble is told at most once in this time.
WARNING_SECONDS = 60.0

_here = threading.local()


def is_sending() -> bool:
    """Whether this thread is one that sends: what it logs must not be reported."""
    return getattr(_here, "is_sending", False)


class Gatherer(Protocol):
    """Where things gather until they are sent together."""

    def collect(self) -> Iterable[Parcel]:
        """Hands over what has gathered."""

    def take_lost(self) -> Mapping[str, int]:
        """How many were lost for which reason since this was asked before."""

    def waiting(self) -> int:
        """How much has gathered."""

    def forget(self) -> None:
        """In a forked child: what has gathered is the parent's."""


class Sender:
    """Takes parcels at once and delivers them in the background: each once, if the server remembers keys."""

    def __init__(
        self, line: Line, *, timeout: float, logger: logging.Logger, what: str, gatherer: Gatherer | None = None
    ) -> None:
        self.timeout = timeout
        self._line = line
        self._logger = logger
        self._what = what
        self._gatherer = gatherer
        self._period: float | None = None
        self._warned: dict[str, float] = {}
        self._start_anew()
        _senders.add(self)

    def _start_anew(self) -> None:
        # Reentrant, because a signal handler may report as well.
        self._changed = threading.Condition(threading.RLock())
        self._parcels: deque[Parcel] = deque()
        self._bytes = 0
        self._counts: dict[str, int] = {"delivered": 0, "retries": 0}
        self._thread: threading.Thread | None = None
        # How often gathering was asked for, and how often that was done.
        self._asked = 0
        self._gathered = 0
        self._due = time.monotonic() + (self._period or 0.0)
        self._flushers = 0
        self._failures = 0
        self._failures_in_a_row = 0
        self._progressed_at = time.monotonic()
        self._not_before = 0.0
        self._is_told_to_wait = False

    # What clients call.

    def has_room(self) -> bool:
        """Whether making another parcel is worth the trouble."""
        return len(self._parcels) < PARCELS_MAX and self._bytes < PARCELS_BYTES_MAX

    def submit(self, parcel: Parcel) -> bool:
        """Takes a parcel, or not when too many wait."""
        if not self._take(parcel):
            return False
        self.wake()
        if _is_end:
            # Nobody will wait for it later.
            now = time.monotonic()
            self.leave(now, now + EXIT_PATIENCE_SECONDS)
        return True

    def tick(self, period: float | None) -> None:
        """Gathers every so many seconds from now on, or no more."""
        with self._changed:
            self._period = period
            self._due = time.monotonic() + (period or 0.0)
            self._changed.notify_all()
        if period is not None:
            self.wake()

    def gather_soon(self) -> None:
        """Gathers now instead of when it is time."""
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
        self.wake()

    def wake(self) -> None:
        """Makes sure that the thread is there."""
        with self._changed:
            if self._thread is not None and self._thread.is_alive():
                return
            thread = threading.Thread(target=self._run, name=f"monlight-{self._what}", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                # Not now, as at the end of the interpreter: whoever flushes does the work then.
                return
            self._thread = thread

    def flush(self, timeout: float) -> bool:
        """Waits until everything has left, or an attempt fails, or the time is over. What is left goes on waiting."""
        deadline = time.monotonic() + timeout
        with self._changed:
            failures = self._failures
        self.hurry()
        return self._wait(deadline, lambda: self._failures > failures)

    def hurry(self) -> None:
        """Everything is to leave now."""
        with self._changed:
            if not self._is_told_to_wait:
                self._not_before = 0.0
            self._asked += self._gatherer is not None
            has_work = self._has_work()
            self._changed.notify_all()
        if has_work:
            self.wake()

    def leave(self, start: float, deadline: float) -> None:
        """At the end of the process: goes on trying for a while, then gives up."""
        if self._thread is None:
            # Nothing has been tried yet.
            start = time.monotonic()

        def is_hopeless() -> bool:
            return time.monotonic() > max(start, self._progressed_at) + EXIT_PATIENCE_SECONDS

        if self._wait(deadline, is_hopeless):
            self._line.hang_up()
        left = self.stats()["waiting"]
        with self._changed:
            self._parcels.clear()
            self._bytes = 0
        if self._gatherer is not None:
            self._gatherer.forget()
        if left:
            self.lose("at_exit", left)

    def stats(self) -> dict[str, int]:
        """What became of everything: `delivered`, `waiting`, `retries`, and `lost_` with each reason there was."""
        self._tell_of_losses()
        with self._changed:
            gathered = self._gatherer.waiting() if self._gatherer else 0
            return {**self._counts, "waiting": gathered + sum(parcel.weight for parcel in self._parcels)}

    def lose(self, reason: str, weight: int, why: str = "") -> None:
        """Counts what will not arrive, and says so now and then."""
        self._count(f"lost_{reason}", weight)
        words = f"{reason.replace('_', ' ')}{': ' if why else ''}{why}"
        self._warn(reason, f"{self._counts[f'lost_{reason}']} {self._what} lost so far, {words}")

    def after_fork(self) -> None:
        """In the child: the parent sends what waits, and owns the connection."""
        self._line = self._line.another()
        if self._gatherer is not None:
            self._gatherer.forget()
        self._start_anew()

    # What the thread does.

    def _run(self) -> None:
        _here.is_sending = True
        _flush_when_multiprocessing_ends()
        while self._wait_for_work():
            try:
                self._work()
            except Exception as failure:
                # A mistake of ours must not be the end of all that comes after.
                tell(self._logger, logging.ERROR, f"{type(failure).__name__} while sending {self._what}: {failure}")
                with self._changed:
                    self._pause(None)
        self._line.hang_up()

    def _wait_for_work(self) -> bool:
        """False when there is none and none is expected."""
        with self._changed:
            while not self._is_time():
                now = time.monotonic()
                if self._parcels:
                    until = self._not_before
                elif self._period is not None:
                    until = self._due
                else:
                    until = self._progressed_at + IDLE_SECONDS
                    if now >= until:
                        self._thread = None
                        return False
                self._changed.wait(until - now)
            return True

    def _is_time(self) -> bool:
        now = time.monotonic()
        if self._asked > self._gathered:
            return True
        # While the server is away, things gather where they take less space.
        if self._parcels:
            return now >= self._not_before
        return self._period is not None and now >= self._due

    def _work(self) -> None:
        """One step: gathers, or tries the first parcel."""
        with self._changed:
            asked = self._asked
            is_due = self._period is not None and not self._parcels and time.monotonic() >= self._due
            is_gathering = asked > self._gathered or is_due
            first = self._parcels[0] if self._parcels else None
        if is_gathering:
            self._gather(asked)
        elif first is not None:
            self._settle(first, self._line.attempt(first))

    def _gather(self, asked: int) -> None:
        try:
            for parcel in self._gatherer.collect() if self._gatherer else ():
                if not self._take(parcel):
                    self.lose("queue_full", parcel.weight)
        finally:
            self._tell_of_losses()
            with self._changed:
                self._gathered = asked
                self._due = time.monotonic() + (self._period or 0.0)
                self._changed.notify_all()

    def _tell_of_losses(self) -> None:
        for reason, weight in self._gatherer.take_lost().items() if self._gatherer else ():
            self.lose(reason, weight)

    def _take(self, parcel: Parcel) -> bool:
        with self._changed:
            if len(self._parcels) >= PARCELS_MAX or self._bytes + len(parcel.body) > PARCELS_BYTES_MAX:
                return False
            self._parcels.append(parcel)
            self._bytes += len(parcel.body)
            self._changed.notify_all()
            return True

    def _settle(self, parcel: Parcel, outcome: Outcome) -> None:
        verdict = outcome.verdict
        parcel.broken += verdict is Verdict.BROKEN
        pieces = parcel.split() if verdict is Verdict.UNFIT and parcel.split else []
        is_to_stay = verdict is Verdict.LATER or (verdict is Verdict.BROKEN and parcel.broken < BROKEN_MAX)
        # Told before waiters are woken, never with the lock: a log handler may be waiting for it.
        if verdict is Verdict.DELIVERED:
            self._count("delivered", parcel.weight)
            tell(self._logger, logging.DEBUG, outcome.reason)
        elif is_to_stay:
            self._count("retries")
            self._warn("later", f"Failed to send {self._what}, will try again: {outcome.reason}")
        elif pieces:
            tell(self._logger, logging.DEBUG, f"trying smaller parts: {outcome.reason}")
        else:
            self.lose("too_old" if verdict is Verdict.TOO_OLD else "refused", parcel.weight, outcome.reason)
        with self._changed:
            if is_to_stay:
                self._pause(outcome.retry_after)
            else:
                self._replace_first(parcel, pieces)
            self._changed.notify_all()

    def _pause(self, retry_after: float | None) -> None:
        pause = min(PAUSE_SECONDS * 2**self._failures_in_a_row, PAUSE_SECONDS_MAX) * random.uniform(0.5, 1.0)
        if self._flushers:
            pause = min(pause, HURRIED_PAUSE_SECONDS)
        self._failures += 1
        self._failures_in_a_row = min(self._failures_in_a_row + 1, DOUBLINGS_MAX)
        self._is_told_to_wait = retry_after is not None
        self._not_before = time.monotonic() + (pause if retry_after is None else retry_after)

    def _replace_first(self, parcel: Parcel, pieces: list[Parcel]) -> None:
        # It is not there any more when the process gave up meanwhile.
        if self._parcels and self._parcels[0] is parcel:
            self._parcels.popleft()
            self._parcels.extendleft(reversed(pieces))
            self._bytes += sum(len(piece.body) for piece in pieces) - len(parcel.body)
        self._failures_in_a_row = 0
        self._progressed_at = time.monotonic()
        self._not_before = 0.0
        self._is_told_to_wait = False

    # Waiting and telling.

    def _has_work(self) -> bool:
        return bool(self._parcels) or self._asked > self._gathered

    def _wait(self, deadline: float, is_given_up: Callable[[], bool]) -> bool:
        with self._changed:
            self._flushers += 1
        try:
            while self._has_work() and time.monotonic() < deadline and not is_given_up():
                if self._is_told_to_wait and self._not_before > deadline:
                    break
                with self._changed:
                    if self._thread is not None:
                        self._changed.wait(min(deadline - time.monotonic(), HURRIED_PAUSE_SECONDS))
                        continue
                # No thread could be started: then here.
                if self._is_time():
                    self._work()
                else:
                    time.sleep(min(HURRIED_PAUSE_SECONDS, max(0.0, deadline - time.monotonic())))
            return not self._has_work()
        finally:
            with self._changed:
                self._flushers -= 1

    def _count(self, name: str, weight: int = 1) -> None:
        with self._changed:
            self._counts[name] = self._counts.get(name, 0) + weight

    def _warn(self, kind: str, message: str) -> None:
        now = time.monotonic()
        if now - self._warned.get(kind, -WARNING_SECONDS) < WARNING_SECONDS:
            tell(self._logger, logging.DEBUG, message)
        else:
            self._warned[kind] = now
            tell(self._logger, logging.WARNING, message)


# Every process has one end, at which all of them leave together.

_senders: weakref.WeakSet[Sender] = weakref.WeakSet()
_pid_with_finalizer: int | None = None
_is_end = False


def _leave_all() -> None:
    global _is_end
    _is_end = True
    senders = list(_senders)
    start = time.monotonic()
    for sender in senders:
        sender.hurry()
    for sender in senders:
        sender.leave(start, start + sender.timeout)


def _forget_all() -> None:
    for sender in list(_senders):
        sender.after_fork()


def _flush_when_multiprocessing_ends() -> None:
    """A child of `multiprocessing` ends without `atexit`."""
    global _pid_with_finalizer
    if "multiprocessing.process" not in sys.modules or _pid_with_finalizer == os.getpid():
        return
    from multiprocessing import parent_process, util

    if parent_process() is not None:
        _pid_with_finalizer = os.getpid()
        util.Finalize(None, _leave_all, exitpriority=0)


atexit.register(_leave_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
