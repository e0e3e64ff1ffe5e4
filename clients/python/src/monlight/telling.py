"""What the clients say to the application's log; a fork waits until it is said."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import suppress

# How long a fork waits. What is said usually takes no time; but it may never end, where the fork is made by what the
# logging waits for.
FORK_PATIENCE_SECONDS = 2.0

# A count of what is being said instead of one lock: a log handler that is waited for may be about to say something too.
_changed = threading.Condition()
_said_now = 0


class _Here(threading.local):
    """Of which this thread says so many, one from within the other."""

    said_now = 0


_here = _Here()


def tell(logger: logging.Logger, level: int, message: str) -> None:
    """Logs a message. An application's filter may raise, but not into what goes on here."""
    _count(1)
    try:
        with suppress(Exception):
            logger.log(level, "%s", message)
    finally:
        _count(-1)


def _count(change: int) -> None:
    global _said_now
    _here.said_now += change
    with _changed:
        _said_now += change
        _changed.notify_all()


def _before_fork() -> None:
    # Logging locks files such as standard error. A child that is made meanwhile would find them locked for ever.
    _changed.acquire()
    _changed.wait_for(lambda: _said_now == _here.said_now, FORK_PATIENCE_SECONDS)


def _after_fork_in_parent() -> None:
    _changed.release()


def _after_fork_in_child() -> None:
    global _changed, _said_now
    _changed = threading.Condition()
    _said_now = _here.said_now


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
